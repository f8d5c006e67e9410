"""kind's own words, and a few more."""

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster import commands
from localcluster.errors import LocalClusterError
from localcluster.paths import DEFAULT_NAME

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(text: str) -> float:
    """A duration as Go writes it."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a duration: write it like 90s or 5m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def signal_number(text: str) -> signal.Signals:
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    try:
        return signal.Signals(int(text)) if text.isdigit() else signal.Signals[name]
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"'{text}' is not a signal: write it like TERM or KILL") from None


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kind", description=__doc__, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_create_and_delete(verbs)
    _add_get_and_export(verbs)
    _add_load(verbs)
    _add_component_verbs(verbs)
    _add_artefacts(verbs)
    return parser


def _nouns(verbs: "Verbs", verb: str, about: str) -> "Verbs":
    parser = verbs.add_parser(verb, help=about, allow_abbrev=False)
    return parser.add_subparsers(dest="noun", required=True, metavar="WHAT")


def _command(
    verbs: "Verbs", word: str, about: str, run: Callable[[argparse.Namespace], None], *, of_cluster: bool = True
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(word, help=about, description=about, allow_abbrev=False)
    parser.set_defaults(run=run)
    # kind takes these everywhere.
    parser.add_argument("-q", "--quiet", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-v", "--verbosity", help=argparse.SUPPRESS)
    if of_cluster:
        parser.add_argument(
            "-n", "--name", default=os.environ.get("KIND_CLUSTER_NAME") or DEFAULT_NAME, help="the cluster's name"
        )
    return parser


def _add_kubeconfig(parser: argparse.ArgumentParser) -> None:
    about = "the kubeconfig file to change, in place of $KUBECONFIG or ~/.kube/config"
    parser.add_argument("--kubeconfig", type=Path, help=about)


def _add_create_and_delete(verbs: "Verbs") -> None:
    create = _command(_nouns(verbs, "create", "make a cluster"), "cluster", "make a cluster", commands.create_cluster)
    _add_kubeconfig(create)
    create.add_argument("--image", help="accepted for kind's sake: there is one version, built from source")
    create.add_argument("--config", help="accepted for kind's sake: there is one node")
    create.add_argument("--wait", type=seconds, default=0.0, help="how long a component may take, at least 120s")
    create.add_argument("--retain", action="store_true", help="keep a cluster that failed to start, to look at it")
    create.add_argument(
        "--control-plane-only",
        action="store_true",
        default=os.environ.get("PERIODIC_SYNC_CONTROL_PLANE_ONLY", "") not in ("", "0"),
        help="API server and controllers without a node, on loopback; needs no root "
        "(also by PERIODIC_SYNC_CONTROL_PLANE_ONLY=1)",
    )
    delete = _nouns(verbs, "delete", "take clusters away")
    _add_kubeconfig(_command(delete, "cluster", "take a cluster away, whatever is left of it", commands.delete_cluster))
    several = _command(delete, "clusters", "take several away", commands.delete_clusters, of_cluster=False)
    _add_kubeconfig(several)
    several.add_argument("names", nargs="*", metavar="NAME")
    several.add_argument("-A", "--all", action="store_true", help="all of them, dead ones too")


def _add_get_and_export(verbs: "Verbs") -> None:
    get = _nouns(verbs, "get", "show clusters, nodes, components or a kubeconfig")
    _command(get, "clusters", "the names of the clusters", commands.get_clusters, of_cluster=False)
    _command(get, "nodes", "the names of a cluster's nodes", commands.get_nodes)
    _command(get, "components", "what each component does: pid, state, memory, log", commands.get_components)
    kubeconfig = _command(get, "kubeconfig", "a cluster's kubeconfig", commands.get_kubeconfig)
    kubeconfig.add_argument("--internal", action="store_true", help="accepted for kind's sake: the address is the same")
    export = _nouns(verbs, "export", "write a kubeconfig or logs")
    _add_kubeconfig(_command(export, "kubeconfig", "add a cluster to a kubeconfig file", commands.export_kubeconfig))
    logs = _command(export, "logs", "copy a cluster's logs to a folder", commands.export_logs)
    logs.add_argument("folder", nargs="?", type=Path, metavar="FOLDER")
    _command(verbs, "version", "the version of Kubernetes", commands.version, of_cluster=False)


def _add_load(verbs: "Verbs") -> None:
    load = _nouns(verbs, "load", "bring images into a cluster")
    image = _command(load, "docker-image", "images of docker, podman or buildah", commands.load_docker_image)
    image.add_argument("images", nargs="+", metavar="IMAGE")
    archive = _command(load, "image-archive", "an archive as `docker save` writes it", commands.load_image_archive)
    archive.add_argument("archives", nargs="+", type=Path, metavar="FILE")
    for parser in (image, archive):
        parser.add_argument("--nodes", help="accepted for kind's sake: there is one node")


def _add_component_verbs(verbs: "Verbs") -> None:
    about = {
        "stop": ("end a component and wait until it is gone", commands.stop),
        "start": ("start a component that was stopped", commands.start),
        "pause": ("freeze a component where it is", commands.pause),
        "resume": ("let a frozen component go on", commands.resume),
    }
    for verb, (text, run) in about.items():
        parser = _command(verbs, verb, text, run)
        parser.add_argument("components", nargs="+", metavar="COMPONENT", help="etcd, kube-apiserver, kubelet, …")
        if verb == "stop":
            parser.add_argument("--signal", type=signal_number, default=signal.SIGTERM, help="in place of TERM")
            parser.add_argument("--grace", type=seconds, default=10.0, help="after this KILL is sent, 10s")


def _add_artefacts(verbs: "Verbs") -> None:
    _command(verbs, "build", "build the components, once", commands.build, of_cluster=False)
    _command(verbs, "base-image", "make the base image, once", commands.base_image, of_cluster=False)
    _command(verbs, "redis-image", "make the image of Redis, once", commands.redis_image, of_cluster=False)
    _command(verbs, "prepare", "make all that is cached, side by side", commands.prepare, of_cluster=False)


def main(arguments: Sequence[str]) -> int:
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except LocalClusterError as problem:
        print(f"ERROR: {problem}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the answer has seen enough; Python must not fail on it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("ERROR: interrupted", file=sys.stderr)
        return 130
    return 0
