"""Where things are: everything a task makes lives in `.venv`, `.build` or `.cluster`, which `make clean` removes."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BUILD = ROOT / ".build"
LOGS = BUILD / "logs"
CLUSTER = ROOT / ".cluster"
KUBECONFIG = CLUSTER / "kubeconfig"
TEST_KUBECONFIG = CLUSTER / "test-kubeconfig"
PACKAGE = ROOT / "operator" / "periodic_sync"
REQUIREMENTS = ROOT / "requirements"
EXAMPLES = ROOT / "examples"
LOCAL_KIND = ROOT / "deploy" / "local" / "kind"
DOCKERFILE = ROOT / "deploy" / "image" / "Dockerfile"
KUBECTL = VENV / "bin" / "kubectl"


def shown(path: Path) -> str:
    """A path as a person at the root of the checkout would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
