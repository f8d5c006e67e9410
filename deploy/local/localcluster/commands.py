"""What each verb does, once its words are understood."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGSTOP, Signals

from localcluster import cluster, components, kubeconfig
from localcluster.api import Api
from localcluster.errors import LocalClusterError
from localcluster.golang import ensure_binary, kubernetes_version
from localcluster.images import BASE, REDIS, ensure_debian_image, ensure_pause, saved_image
from localcluster.node import import_image
from localcluster.packages import IMAGE_TOOLS, NODE_TOOLS, ensure_tools
from localcluster.paths import ClusterPaths, clusters_root
from localcluster.processes import ProcessRecord, is_frozen, is_running, kill_all, read_record, resident_bytes, send
from localcluster.progress import say, step
from localcluster.state import ClusterState, all_clusters, existing, is_alive
from localcluster.waiting import wait_until

_START_SECONDS = 90

Options = argparse.Namespace


def _kubeconfig_of(options: Options) -> Path:
    chosen: Path | None = options.kubeconfig
    return chosen or kubeconfig.default_path()


def create_cluster(options: Options) -> None:
    if options.config:
        say(f"{options.config} is not read: the local cluster has one node and no settings")
    wanted = cluster.Wanted(
        name=options.name,
        kubeconfig=_kubeconfig_of(options),
        control_plane_only=options.control_plane_only,
        wait_seconds=max(cluster.Wanted.wait_seconds, options.wait),
        keep_after_failure=options.retain,
    )
    cluster.create(wanted)
    context = kubeconfig.context_name(options.name)
    print(f'Set kubectl context to "{context}"\n\nkubectl cluster-info --context {context}', file=sys.stderr)


def delete_cluster(options: Options) -> None:
    _delete(options.name, _kubeconfig_of(options))


def delete_clusters(options: Options) -> None:
    everything = [folder.name for folder in sorted(clusters_root().glob("*/"))] if options.all else []
    for name in [*options.names, *everything]:
        _delete(name, _kubeconfig_of(options))


def _delete(name: str, kubeconfig_path: Path) -> None:
    print(f'Deleting cluster "{name}" ...', file=sys.stderr)
    cluster.delete(name, kubeconfig_path)


def get_clusters(options: Options) -> None:
    names = [paths.name for paths, state in all_clusters() if state.ready and is_alive(paths)]
    if not names:
        print("No kind clusters found.", file=sys.stderr)
    for name in names:
        print(name)


def get_nodes(options: Options) -> None:
    paths, state = existing(options.name)
    if state.has_node:
        print(paths.node_name)


def get_components(options: Options) -> None:
    paths, state = existing(options.name)
    print(f"{'COMPONENT':<25}{'PID':<9}{'STATE':<9}{'MEMORY':<10}LOG")
    for name in components.known_components(state):
        record = read_record(paths.record(name))
        condition, pid, memory = "stopped", "-", "-"
        if record is not None and is_running(record):
            condition = "paused" if is_frozen(record) else "running"
            pid, memory = str(record.pid), f"{resident_bytes(record) // 2**20} MiB"
        print(f"{name:<25}{pid:<9}{condition:<9}{memory:<10}{paths.log(name)}")


def get_kubeconfig(options: Options) -> None:
    paths, state = existing(options.name)
    print(json.dumps(kubeconfig.for_people(paths, state), indent=2))


def export_kubeconfig(options: Options) -> None:
    paths, state = existing(options.name)
    kubeconfig.add_entries(_kubeconfig_of(options), kubeconfig.for_people(paths, state))
    print(f'Set kubectl context to "{kubeconfig.context_name(options.name)}"', file=sys.stderr)


def export_logs(options: Options) -> None:
    paths, _ = existing(options.name)
    folder = options.folder or Path(tempfile.mkdtemp(prefix=f"{options.name}-logs-"))
    shutil.copytree(paths.logs, folder, dirs_exist_ok=True)
    if (paths.root / "pod-logs").exists():
        shutil.copytree(paths.root / "pod-logs", folder / "pods", dirs_exist_ok=True)
    print(f'Exporting logs for cluster "{options.name}" to:', file=sys.stderr)
    print(folder)


def version(options: Options) -> None:
    print(f"kind (periodic-sync's local cluster) kubernetes {kubernetes_version()}")


def _node_of(options: Options) -> ProcessRecord:
    paths, state = existing(options.name)
    if not state.has_node:
        raise LocalClusterError(f"Cluster {paths.name} has no node that could hold an image: it was made without one.")
    return cluster.living_holder(paths, state)


def load_docker_image(options: Options) -> None:
    holder = _node_of(options)
    for image in options.images:
        with step(f"loading {image} into cluster {options.name}", "5 to 15 s"), saved_image(image) as archive:
            import_image(holder, archive)


def load_image_archive(options: Options) -> None:
    holder = _node_of(options)
    for file in options.archives:
        if not file.is_file():
            raise LocalClusterError(f"There is no archive {file}.")
        with step(f"loading {file} into cluster {options.name}", "5 to 15 s"), file.open("rb") as archive:
            import_image(holder, archive)


def _chosen(options: Options) -> tuple[ClusterPaths, ClusterState]:
    paths, state = existing(options.name)
    known = components.known_components(state)
    for name in options.components:
        if name not in known:
            raise LocalClusterError(f"Cluster {options.name} has no '{name}'. It has {', '.join(known)}.")
    return paths, state


def _running(paths: ClusterPaths, component: str) -> ProcessRecord:
    record = read_record(paths.record(component))
    if record is None or not is_running(record):
        raise LocalClusterError(f"{component} of cluster {paths.name} is not running: start it first.")
    return record


def stop(options: Options) -> None:
    paths, _ = _chosen(options)
    for component in options.components:
        _end(component, _running(paths, component), options.signal, options.grace)


def _end(component: str, record: ProcessRecord, first: Signals, grace: float) -> None:
    send(record, first)
    # A frozen process takes a signal only once it goes on.
    send(record, SIGCONT)
    try:
        wait_until(lambda: not is_running(record), f"{component} to end", grace)
    except LocalClusterError:
        say(f"{component} did not end within {grace:.0f} s of {first.name}: killing it")
        kill_all([record])


def start(options: Options) -> None:
    paths, state = _chosen(options)
    for component in options.components:
        if is_running(read_record(paths.record(component))):
            raise LocalClusterError(f"{component} of cluster {paths.name} is running already.")
        cluster.start_component(component, paths, state)
        if component == "kube-apiserver":
            cluster.await_component(component, paths, Api(paths, state).is_ready, _START_SECONDS)


def pause(options: Options) -> None:
    paths, _ = _chosen(options)
    for component in options.components:
        record = _running(paths, component)
        send(record, SIGSTOP)
        wait_until(partial(is_frozen, record), f"{component} to stand still", 10, interval=0.01)


def resume(options: Options) -> None:
    paths, _ = _chosen(options)
    for component in options.components:
        send(_running(paths, component), SIGCONT)


def build(options: Options) -> None:
    print(ensure_binary())


def base_image(options: Options) -> None:
    print(ensure_debian_image(BASE))


def redis_image(options: Options) -> None:
    print(ensure_debian_image(REDIS))


def prepare(options: Options) -> None:
    """The compiler waits for the processor and the base image for the network: side by side they cost one of them."""
    ensure_tools([*NODE_TOOLS, *IMAGE_TOOLS])
    steps: list[Callable[[], object]] = [ensure_binary, partial(ensure_debian_image, BASE), ensure_pause]
    with ThreadPoolExecutor(len(steps)) as pool:
        for result in [pool.submit(run) for run in steps]:
            result.result()
    print(BASE.name)
