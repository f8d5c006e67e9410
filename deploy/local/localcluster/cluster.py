"""Making a cluster, step by step, and taking it away again, whatever state it was left in."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localcluster import cgroups, components, dns, kubeconfig, network, node
from localcluster.api import Api, answers
from localcluster.errors import LocalClusterError, last_lines
from localcluster.golang import ensure_binary
from localcluster.images import ensure_pause, pause_archive
from localcluster.launch import Launch, launch
from localcluster.locks import exclusive
from localcluster.packages import CONTROL_PLANE_TOOLS, NODE_TOOLS, ensure_tools
from localcluster.paths import ClusterPaths, cluster_paths
from localcluster.pki import Authority
from localcluster.processes import ProcessRecord, is_running, kill_all, read_record, read_records
from localcluster.progress import say, step
from localcluster.state import (
    HOLDER,
    ClusterState,
    all_clusters,
    holder_of,
    is_alive,
    read_state,
    remove_folder,
    write_state,
)
from localcluster.waiting import wait_until

_LOCK_SECONDS = 900
_NODE_PORT = 6443


@dataclass(frozen=True)
class Wanted:
    name: str
    kubeconfig: Path
    control_plane_only: bool = False
    wait_seconds: float = 120
    keep_after_failure: bool = False


def create(wanted: Wanted) -> None:
    _check_machine(wanted)
    paths = cluster_paths(wanted.name)
    with exclusive(f"cluster-{wanted.name}", _LOCK_SECONDS):
        _refuse_if_there(paths)
        ensure_tools(CONTROL_PLANE_TOOLS if wanted.control_plane_only else NODE_TOOLS)
        binary = ensure_binary()
        tear_down(paths)
        shutil.rmtree(paths.failed_logs, ignore_errors=True)
        try:
            with step(f"starting cluster {wanted.name}", "5 to 10 s"):
                state = _allocate(paths, binary, wanted.control_plane_only)
                _start_everything(paths, state, wanted.wait_seconds)
                write_state(paths, state.made_ready())
                kubeconfig.add_entries(wanted.kubeconfig, kubeconfig.for_people(paths, state))
        except BaseException as problem:
            if wanted.keep_after_failure:
                raise
            _keep_logs(paths)
            tear_down(paths)
            if isinstance(problem, LocalClusterError):
                # The folder its text points to is gone now.
                moved = str(problem).replace(str(paths.logs), str(paths.failed_logs))
                raise LocalClusterError(moved) from problem
            raise


def _check_machine(wanted: Wanted) -> None:
    if sys.platform != "linux":
        raise LocalClusterError("The local cluster needs Linux. Elsewhere use kind with a container engine.")
    if not wanted.control_plane_only and os.geteuid() != 0:
        raise LocalClusterError(
            "A cluster with a node needs root, for its namespaces and containers. Use sudo, or --control-plane-only "
            "for an API server and controllers without a node, or kind with a container engine."
        )


def _refuse_if_there(paths: ClusterPaths) -> None:
    state = read_state(paths)
    if state and state.ready and is_alive(paths):
        raise LocalClusterError(
            f'failed to create cluster: node(s) already exist for a cluster with the name "{paths.name}"'
        )
    if paths.root.exists():
        say(f"clearing away what a dead cluster left behind in {paths.root}")


def _allocate(paths: ClusterPaths, binary: Path, control_plane_only: bool) -> ClusterState:
    with exclusive("addresses", 60):
        others = [state for _, state in all_clusters()]
        if control_plane_only:
            port = network.choose_port({state.port for state in others if not state.has_node})
            state = ClusterState(str(binary), port)
        else:
            taken = network.machine_networks() | {state.block.network for state in others if state.has_node}
            state = ClusterState(str(binary), _NODE_PORT, str(network.choose_block(taken).network))
        write_state(paths, state)
    return state


def _start_everything(paths: ClusterPaths, state: ClusterState, seconds: float) -> None:
    _write_identities(paths, state)
    if state.has_node:
        pause = ensure_pause()
        node.write_node_files(paths, state)
        cgroups.make(paths.tag)
        holder = node.start_holder(paths, pause)
        network.connect(paths.tag, holder.pid, state.block)
        start_component("containerd", paths, state)
    for component in components.CONTROL_PLANE[:2]:
        start_component(component, paths, state)
    api = Api(paths, state)
    await_component("kube-apiserver", paths, api.is_ready, seconds)
    start_component("kube-controller-manager", paths, state)
    if state.has_node:
        _start_node(paths, state, api, pause, seconds)
    await_component("kube-controller-manager", paths, api.controllers_work, seconds)


def _start_node(paths: ClusterPaths, state: ClusterState, api: Api, pause: Path, seconds: float) -> None:
    dns.allow_reading(api)
    dns.publish(api, state.block)
    for component in ("kube-scheduler", "kube-proxy", "coredns"):
        start_component(component, paths, state)
    holder = living_holder(paths, state)
    await_component("containerd", paths, lambda: node.containerd_answers(holder), seconds)
    with tempfile.TemporaryFile() as archive:
        archive.write(pause_archive(pause))
        archive.seek(0)
        node.import_image(holder, archive)
    start_component("kubelet", paths, state)
    await_component("kubelet", paths, lambda: api.node_is_ready(paths.node_name), seconds)
    await_component("kube-proxy", paths, lambda: answers(f"http://{state.block.node}:10256/healthz"), seconds)
    await_component("coredns", paths, lambda: answers(f"http://{state.block.node}:8181/ready"), seconds)


def _write_identities(paths: ClusterPaths, state: ClusterState) -> None:
    authority = Authority(paths.pki)
    authority.establish(f"periodic-sync {paths.name}")
    authority.make_token_keys()
    for identity in components.identities(paths, state):
        authority.issue(identity)
        kubeconfig.write(paths.kubeconfig(identity.name), kubeconfig.for_component(paths, state, identity.name))


def living_holder(paths: ClusterPaths, state: ClusterState) -> ProcessRecord:
    holder = holder_of(paths, state)
    if holder is None or not is_running(holder):
        raise LocalClusterError(f"Cluster {paths.name} is dead: delete it and create it again.")
    return holder


def start_component(component: str, paths: ClusterPaths, state: ClusterState) -> ProcessRecord:
    join = living_holder(paths, state) if state.has_node else None
    argv = components.command(component, paths, state)
    return launch(Launch(argv, paths.log(component), paths.record(component), join=join))


def await_component(component: str, paths: ClusterPaths, works: Callable[[], bool], seconds: float) -> None:
    def settled() -> bool:
        return not is_running(read_record(paths.record(component))) or works()

    def logged() -> str:
        return f"{component} last said:\n{last_lines(paths.log(component))}"

    wait_until(settled, f"{component} to work", seconds, detail=logged)
    if not is_running(read_record(paths.record(component))):
        raise LocalClusterError(f"{component} of cluster {paths.name} ended as soon as it was started. {logged()}")


def tear_down(paths: ClusterPaths) -> None:
    """Needs no file to be right: addresses a cluster by what the kernel knows of it, and by recorded processes."""
    records = read_records(paths.records)
    kill_all([record for name, record in records.items() if name == HOLDER])
    kill_all(records.values())
    if os.geteuid() == 0 and shutil.which("ip"):
        cgroups.remove(paths.tag)
        network.cut(paths.tag)
    remove_folder(paths)


def _keep_logs(paths: ClusterPaths) -> None:
    if paths.logs.is_dir():
        shutil.copytree(paths.logs, paths.failed_logs, dirs_exist_ok=True)


def delete(name: str, kubeconfig_path: Path) -> None:
    paths = cluster_paths(name)
    with exclusive(f"cluster-{name}", _LOCK_SECONDS):
        tear_down(paths)
        shutil.rmtree(paths.failed_logs, ignore_errors=True)
        kubeconfig.remove_entries(kubeconfig_path, name)
