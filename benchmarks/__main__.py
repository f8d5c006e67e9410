"""`benchmarks/run`: a cluster named `bench` and the image, then all measurements one after another."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.operator_process import ROOT
from tasks import engines, image
from tasks.paths import BUILD
from tasks.shell import TaskError
from tasks.steps import Progress, Step, run_steps

NAME = "bench"
CRD = ROOT / "crds" / "syncpolicies.sync.moonx.farm.yaml"


def main() -> int:
    engine = engines.choose(os.environ.get("ENGINE", ""))
    if engine.kind is None:
        raise TaskError("the benchmarks make a cluster of their own: leave ENGINE out, or say kind or local")
    kubeconfig = BUILD / "bench.kubeconfig"
    try:
        with image.sources(engine, "") as (built, steps):
            cluster = partial(engine.ensure_cluster, name=NAME, kubeconfig=kubeconfig)
            made = Step("cluster", "a cluster of its own", "30 s", cluster, after=("kubernetes",))
            run_steps([*engine.preparation(), made, *steps, _install(engine, built, kubeconfig)])
        return measure(engine, built.reference, kubeconfig)
    finally:
        engine.delete_clusters(NAME)
        kubeconfig.unlink(missing_ok=True)


def _install(engine: engines.Engine, built: image.Image, kubeconfig: Path) -> Step:
    def work(progress: Progress) -> None:
        if built.archive is not None:
            engine.load(progress, built.archive, NAME)
        progress.run(["kubectl", "--kubeconfig", kubeconfig, "apply", "--server-side", "-f", CRD])
        progress.run(["kubectl", "--kubeconfig", kubeconfig, "wait", "--for=create", "-f", CRD])

    return Step("install", "the image and the CRD", "10 s", work, after=("cluster", "image"))


def measure(engine: engines.Engine, reference: str, kubeconfig: Path) -> int:
    """Run each benchmark in a process of its own. Returns: 0 where all went well."""
    common = ["--kubeconfig", str(kubeconfig)]
    scale = [*common, "--image", reference, *sys.argv[1:]]
    if engine.name == "local":
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "periodic-sync"
        cache = Path(os.environ.get("PERIODIC_SYNC_CACHE") or cache)
        scale += ["--etcd-socket", str(cache / "clusters" / NAME / "etcd.sock")]
    codes = []
    for module, arguments in (("idle", common), ("latency", common), ("scale", scale)):
        print(f"\n# {module}\n", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *arguments], check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TaskError as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(1)
