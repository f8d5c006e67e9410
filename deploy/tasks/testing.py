"""All tests in one pytest run, so that it ends with one summary; what they need has been prepared before."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks import redis_image
from tasks.engines import TEST_NAME, Engine
from tasks.image import Image
from tasks.paths import TEST_KUBECONFIG, VENV
from tasks.shell import show
from tasks.steps import Progress, Step

# tests/conftest.py says what runs beside what; -n0 in ARGS for one process, as a debugger needs it
SIDE_BY_SIDE = ("-n2", "--dist=loadscope", "--no-loadscope-reorder", "--max-worker-restart=0")


def steps(engine: Engine) -> list[Step]:
    """The cluster of the end-to-end tests, made while the images are built; pytest-kind then finds it."""

    def make(progress: Progress) -> str:
        return engine.ensure_cluster(progress, TEST_NAME, TEST_KUBECONFIG)

    cluster = Step("cluster", "the test cluster", "30 s", make, after=("kubernetes",))
    return [*redis_image.build_step(engine), *([cluster] if engine.kind else [])]


@contextmanager
def cluster_deleted(engine: Engine) -> Iterator[None]:
    """Whatever happens inside, the test cluster is gone afterwards, unless KEEP=1."""
    try:
        yield
    finally:
        if not _keep(engine):
            engine.delete_clusters(TEST_NAME)


def _keep(engine: Engine) -> bool:
    return bool(os.environ.get("KEEP")) or not engine.kind


def run(engine: Engine, image: Image, arguments: list[str]) -> int:
    """Run pytest and return its exit code."""
    print(f"\ntests, with the image {image.reference}", flush=True)
    keep = ["--keep-cluster"] if _keep(engine) else []
    variables = {"ENGINE": engine.name, "IMAGE": image.reference, "IMAGE_ARCHIVE": str(image.archive or "")}
    if engine.name != "local":  # the local engine makes an API server without a node for the integration tests
        kubeconfig = TEST_KUBECONFIG if engine.kind else engine.kubeconfig()
        variables["PERIODIC_SYNC_TEST_KUBECONFIG"] = str(kubeconfig)
    command: list[str | Path] = [VENV / "bin" / "python", "-m", "pytest", "--durations=10", *SIDE_BY_SIDE, *keep]
    return show([*command, *arguments], env={**variables, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": ""})
