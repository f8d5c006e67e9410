"""`periodic-sync server`: the HTTP API."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from periodic_sync.cli.ending import end_on_sigterm
from periodic_sync.cli.options import Kubeconfig, LogFormat, LogLevel

LIMITS = "Limits"


def server(
    namespace: Annotated[
        str | None, typer.Option(help="Serve only the policies of this namespace. By default all.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3001,
    metrics_port: Annotated[
        int, typer.Option(help="Port for GET /metrics in plain HTTP, open to whoever reaches it; 0: none.")
    ] = 0,
    tls_cert_file: Annotated[
        Path | None, typer.Option(help="PEM certificate, with intermediates; read again when renewed.")
    ] = None,
    tls_key_file: Annotated[Path | None, typer.Option(help="Its key, in PEM.")] = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Plain HTTP: tokens and wallets can be read on the way.")
    ] = False,
    token_audience: Annotated[str, typer.Option(help="Audience that tokens must be made for.")] = "periodic-sync",
    requests_per_second: Annotated[
        float, typer.Option(help="With one token; twice that at once.", rich_help_panel=LIMITS)
    ] = 1000.0,
    max_body_bytes: Annotated[int, typer.Option(help="Of one request.", rich_help_panel=LIMITS)] = 256 * 1024,
    max_connections: Annotated[int, typer.Option(help="At once.", rich_help_panel=LIMITS)] = 1000,
    request_timeout: Annotated[float, typer.Option(help="Seconds.", rich_help_panel=LIMITS)] = 30.0,
    max_event_readers: Annotated[
        int, typer.Option(help="Connections that read live events.", rich_help_panel=LIMITS)
    ] = 500,
    max_event_readers_per_account: Annotated[int, typer.Option(help="Of those.", rich_help_panel=LIMITS)] = 50,
    log_format: Annotated[LogFormat, typer.Option(help="JSON for programs, text for people.")] = LogFormat.JSON,
    log_level: Annotated[LogLevel, typer.Option(help="From which level on.")] = LogLevel.INFO,
) -> None:
    """Serve the HTTP API until SIGTERM."""
    check_transport(tls_cert_file, tls_key_file, insecure_http)
    readers = (max_event_readers, max_event_readers_per_account)
    if min(requests_per_second, max_connections, request_timeout, max_body_bytes, *readers) <= 0:
        raise typer.BadParameter("limits must be above 0")
    end_on_sigterm()
    # Imported only here: the operator shall not carry FastAPI about.
    from periodic_sync.controller import logs
    from periodic_sync.server.app import Limits
    from periodic_sync.server.process import Options, run

    logs.set_up(style=log_format.value, level=log_level.value)
    options = Options(
        host=host,
        port=port,
        metrics_port=metrics_port,
        audience=token_audience,
        namespace=namespace,
        kubeconfig=kubeconfig,
        certificate=tls_cert_file,
        key=tls_key_file,
        connections=max_connections,
        limits=Limits(
            per_second=requests_per_second,
            burst=max(1.0, 2 * requests_per_second),
            body_bytes=max_body_bytes,
            request_seconds=request_timeout,
            readers=max_event_readers,
            readers_of_one=max_event_readers_per_account,
        ),
    )
    raise typer.Exit(asyncio.run(run(options)))


def check_transport(certificate: Path | None, key: Path | None, insecure_http: bool) -> None:
    """Tokens never go over plain HTTP by mistake. Raises: BadParameter."""
    files = (certificate, key)
    if any(files) if insecure_http else not all(files):
        raise typer.BadParameter(
            "give both --tls-cert-file and --tls-key-file, or, where something in front of this server speaks TLS, "
            "--insecure-http alone"
        )
