"""The README's commands work as they stand there, one after the other, as a reader would type them.

Blocks that begin with ```sh run are run, by bash, from the root of the checkout; the others need another machine or
more time.
"""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

import tasks.kubectl
from cluster_support import ROOT, Kubectl
from tasks import demo, image
from tasks.paths import KUBECTL
from tasks.steps import Step, run_steps

_RUN = re.compile(r"^```sh run\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    return _RUN.findall((ROOT / "README.md").read_text())


@pytest.fixture
def after_make_demo(cluster: Kubectl, operator_image: image.Image) -> Iterator[Kubectl]:
    """A cluster as `make demo` leaves it."""
    operator = tasks.kubectl.Kubectl(cluster.kubeconfig)
    users = demo.read_users()
    run_steps(
        [Step("example", "examples/quickstart", "10 s", lambda p: demo.apply(p, operator, operator_image, users))]
    )
    yield cluster
    cluster("delete", "namespace", demo.NAMESPACE, "first", "--ignore-not-found")


def test_every_command_of_the_readme_works(after_make_demo: Kubectl) -> None:
    environment = {
        **os.environ,
        "KUBECONFIG": str(after_make_demo.kubeconfig),
        "PATH": f"{KUBECTL.parent}{os.pathsep}{os.environ['PATH']}",
    }
    found = blocks()
    assert len(found) > 5
    for block in found:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"this block of README.md failed:\n{block}\n{done.stdout}{done.stderr}"
