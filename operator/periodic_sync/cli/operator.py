"""`periodic-sync operator`: schedules the policies."""

import asyncio
from typing import Annotated

import typer

from periodic_sync.cli.ending import end_on_sigterm
from periodic_sync.cli.options import Kubeconfig, LogFormat, LogLevel


def operator(
    namespace: Annotated[str | None, typer.Option(help="Serve only this namespace. By default all.")] = None,
    kubeconfig: Kubeconfig = None,
    host: Annotated[str, typer.Option(help="Address of the health endpoint.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the health endpoint.")] = 8080,
    worker_image: Annotated[
        str | None, typer.Option(help="Image of the built-in worker. By default $WORKER_IMAGE.")
    ] = None,
    leader_election: Annotated[
        bool,
        typer.Option(
            help="Schedule only while holding the Lease; without it any number of operators are safe, and work in vain."
        ),
    ] = True,
    lease_namespace: Annotated[
        str | None, typer.Option(help="Namespace of the Lease. By default $POD_NAMESPACE, else that of --namespace.")
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="JSON for programs, text for people.")] = LogFormat.JSON,
    log_level: Annotated[LogLevel, typer.Option(help="From which level on.")] = LogLevel.INFO,
) -> None:
    """Run the operator until SIGTERM."""
    end_on_sigterm()
    # Imported only here, so that other commands start without kopf and the Kubernetes client.
    from periodic_sync.controller.operator import Options, run

    options = Options(
        namespace=namespace,
        kubeconfig=kubeconfig,
        host=host,
        port=port,
        worker_image=worker_image,
        leader_election=leader_election,
        lease_namespace=lease_namespace,
        log_format=log_format.value,
        log_level=log_level.value,
    )
    raise typer.Exit(asyncio.run(run(options)))
