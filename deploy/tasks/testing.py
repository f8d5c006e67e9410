"""All tests in one pytest run, so that it ends with one summary; what they need has been prepared before."""

import os

from tasks.engines import Engine
from tasks.image import Image
from tasks.paths import VENV
from tasks.shell import show


def run(engine: Engine, image: Image, arguments: list[str]) -> int:
    """Run pytest and return its exit code. tests/e2e/conftest.py makes the cluster, through pytest-kind."""
    print(f"\ntests, with the image {image.reference}; KEEP=1 keeps the cluster for the next run", flush=True)
    keep = ["--keep-cluster"] if os.environ.get("KEEP") else []
    archive = str(image.archive or "")
    environment = {
        "IMAGE": image.reference,
        "IMAGE_ARCHIVE": archive,
        "ENGINE": engine.name,
        "PYTHONPATH": "",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    return show([VENV / "bin" / "python", "-m", "pytest", "--durations=10", *keep, *arguments], env=environment)
