"""`periodic-sync server`: the HTTP API."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from periodic_sync.cli.ending import end_on_sigterm


def add_to(commands: Any) -> None:
    server = commands.add_parser("server", help="serve the HTTP API until SIGTERM")
    server.add_argument("--namespace", help="serve only the policies of this namespace (default: all)")
    server.add_argument("--kubeconfig", help="kubeconfig file (default: the pod's service account, else $KUBECONFIG)")
    server.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    server.add_argument("--port", type=int, default=3001, help="port to listen on (default: %(default)s)")
    server.add_argument(
        "--tls-cert-file", type=Path, help="PEM certificate, with intermediates; read again when renewed"
    )
    server.add_argument("--tls-key-file", type=Path, help="its key, in PEM")
    server.add_argument(
        "--insecure-http", action="store_true", help="plain HTTP: tokens and wallets can be read on the way"
    )
    server.add_argument(
        "--token-audience", default="periodic-sync", help="audience that tokens must be made for (default: %(default)s)"
    )
    limits = server.add_argument_group("limits")
    limits.add_argument(
        "--requests-per-second", type=float, default=1000.0, help="with one token, twice that at once (%(default)g)"
    )
    limits.add_argument("--max-body-bytes", type=int, default=256 * 1024, help="(default: %(default)s)")
    limits.add_argument("--max-connections", type=int, default=1000, help="(default: %(default)s)")
    limits.add_argument("--request-timeout", type=float, default=30.0, help="seconds (default: %(default)g)")
    server.add_argument("--log-format", choices=("json", "text"), default="json")
    server.add_argument("--log-level", choices=("debug", "info", "warning"), default="info")
    server.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Raises: SystemExit with what to correct."""
    check(chosen)
    end_on_sigterm()
    # Imported only here: the operator shall not carry FastAPI about.
    from periodic_sync.controller import logs
    from periodic_sync.server.app import Limits
    from periodic_sync.server.process import Options
    from periodic_sync.server.process import run as serve

    logs.set_up(style=chosen.log_format, level=chosen.log_level)
    options = Options(
        host=chosen.host,
        port=chosen.port,
        audience=chosen.token_audience,
        namespace=chosen.namespace,
        kubeconfig=chosen.kubeconfig,
        certificate=chosen.tls_cert_file,
        key=chosen.tls_key_file,
        connections=chosen.max_connections,
        limits=Limits(
            per_second=chosen.requests_per_second,
            burst=max(1.0, 2 * chosen.requests_per_second),
            body_bytes=chosen.max_body_bytes,
            request_seconds=chosen.request_timeout,
        ),
    )
    return asyncio.run(serve(options))


def check(chosen: argparse.Namespace) -> None:
    """Tokens never go over plain HTTP by mistake. Raises: SystemExit."""
    files = (chosen.tls_cert_file, chosen.tls_key_file)
    if any(files) if chosen.insecure_http else not all(files):
        raise SystemExit(
            "error: give both --tls-cert-file and --tls-key-file, or, where something in front of this server speaks "
            "TLS, --insecure-http alone"
        )
    if min(chosen.requests_per_second, chosen.max_connections, chosen.request_timeout, chosen.max_body_bytes) <= 0:
        raise SystemExit("error: limits must be above 0")
