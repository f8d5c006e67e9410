"""`periodic-sync`: one program for everything that people and manifests start."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from periodic_sync import __version__
from periodic_sync.cli import import_users, migrate, server
from periodic_sync.cli.ending import end_on_sigterm


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="periodic-sync", description="Keep the data of a product's active users fresh.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    operator = commands.add_parser("operator", help="run the operator until SIGTERM")
    operator.add_argument("--namespace", help="serve only this namespace (default: all)")
    operator.add_argument("--kubeconfig", help="kubeconfig file (default: the pod's service account, else $KUBECONFIG)")
    operator.add_argument("--host", default="127.0.0.1", help="address of the health endpoint (default: %(default)s)")
    operator.add_argument("--port", type=int, default=8080, help="port of the health endpoint (default: %(default)s)")
    operator.add_argument("--worker-image", help="image of the built-in worker (default: $WORKER_IMAGE)")
    operator.add_argument(
        "--leader-election",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="schedule only while holding the Lease; without it any number of operators are safe, and work in vain",
    )
    operator.add_argument(
        "--lease-namespace", help="namespace of the Lease (default: $POD_NAMESPACE, else that of --namespace)"
    )
    operator.add_argument("--log-format", choices=("json", "text"), default="json")
    operator.add_argument("--log-level", choices=("debug", "info", "warning"), default="info")
    operator.set_defaults(run=run_operator)
    server.add_to(commands)
    import_users.add_to(commands)
    migrate.add_to(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    code: int = chosen.run(chosen)
    return code


def run_operator(chosen: argparse.Namespace) -> int:
    end_on_sigterm()
    # Imported only here, so that other commands start without kopf and the Kubernetes client.
    from periodic_sync.controller.operator import Options, run

    return asyncio.run(
        run(
            Options(
                namespace=chosen.namespace,
                kubeconfig=chosen.kubeconfig,
                host=chosen.host,
                port=chosen.port,
                worker_image=chosen.worker_image,
                leader_election=chosen.leader_election,
                lease_namespace=chosen.lease_namespace,
                log_format=chosen.log_format,
                log_level=chosen.log_level,
            )
        )
    )


if __name__ == "__main__":
    sys.exit(main())
