"""`deploy/tasks/run TASK`: what `make TASK` calls. ENGINE, IMAGE, STORE and ARGS come from the environment."""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from types import FrameType

from tasks import cleaning, demo, deploying, engines, examples, handbook, image, lint, lock, testing, venv
from tasks.paths import VENV
from tasks.shell import TaskError, show
from tasks.steps import Step, run_steps


def _engine() -> engines.Engine:
    engine = engines.choose(os.environ.get("ENGINE", ""))
    print(f"cluster engine: {engine.name}{f', images by {engine.container}' if engine.container else ''}", flush=True)
    return engine


def _given_image() -> str:
    return os.environ.get("IMAGE", "")


def _arguments() -> list[str]:
    return shlex.split(os.environ.get("ARGS", ""))


def _cluster_steps(engine: engines.Engine) -> list[Step]:
    made = Step("cluster", "the cluster", "30 s", engine.ensure_cluster, after=("kubernetes",))
    return [venv.step(), *engine.preparation(), made]


def cluster() -> None:
    engine = _engine()
    run_steps(_cluster_steps(engine))
    print(f"\nexport KUBECONFIG={engine.kubeconfig()} PATH={VENV / 'bin'}:$PATH")


def build_image() -> None:
    engine = _engine()
    with image.sources(engine, _given_image()) as (built, steps):
        run_steps([venv.step(), *engine.preparation(), *steps])
    print(built.reference)


def deploy() -> None:
    engine = _engine()
    with image.sources(engine, _given_image()) as (built, steps):
        run_steps([*_cluster_steps(engine), *steps, *deploying.steps(engine, built)])


def run_demo() -> None:
    example = examples.choose(os.environ.get("STORE", ""))
    engine = _engine()
    with image.sources(engine, _given_image()) as (built, steps):
        installed = [*_cluster_steps(engine), *steps, *deploying.steps(engine, built)]
        run_steps([*installed, *demo.steps(engine, built, example)])
    print(demo.explain(engine, example))


def test() -> int:
    engine = _engine()
    with testing.cluster_deleted(engine), image.sources(engine, _given_image()) as (built, steps):
        run_steps([venv.step(), lint.step(), *engine.preparation(), *testing.steps(engine), *steps])
        return testing.run(engine, built, _arguments())


def bench() -> int:
    run_steps([venv.step()])
    python = VENV / "bin" / "python"
    return show([python, "-m", "benchmarks.redis_store", *_arguments()], env={"PYTHONPATH": "operator:deploy/local"})


def crds() -> int:
    run_steps([venv.step()])
    return show([VENV / "bin" / "python", "-m", "periodic_sync.api.crd"], env={"PYTHONPATH": "operator"})


def metrics() -> int:
    run_steps([venv.step()])
    return show([VENV / "bin" / "python", "-m", "periodic_sync.telemetry.reference"], env={"PYTHONPATH": "operator"})


def reference() -> int:
    run_steps([venv.step()])
    return show([VENV / "bin" / "python", "-m", "handbook.reference"], env={"PYTHONPATH": "operator:deploy"})


def clean() -> None:
    cleaning.run(engines.choose(os.environ.get("ENGINE", "")))


TASKS: dict[str, Callable[[], int | None]] = {
    "demo": run_demo,
    "test": test,
    "bench": bench,
    "cluster": cluster,
    "deploy": deploy,
    "image": build_image,
    "lint": lambda: run_steps([venv.step(), lint.step()]),
    "crds": crds,
    "metrics": metrics,
    "reference": reference,
    "docs": lambda: run_steps([venv.step(), handbook.step()]),
    "lock": lambda: run_steps([venv.step(), lock.step("--upgrade" in _arguments())]),
    "venv": lambda: run_steps([venv.step()]),
    "clean": clean,
}


def _stop(signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in TASKS:
        print(f"usage: deploy/tasks/run {'|'.join(TASKS)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)
    try:
        return TASKS[arguments[0]]() or 0
    except TaskError as failure:
        print(f"\nerror: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
