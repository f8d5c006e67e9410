"""End-to-end tests: the operator from its image, on a real cluster that pytest-kind's `kind_cluster` makes.

    make test ARGS=tests/e2e     builds what is needed first
    python -m pytest tests/e2e   takes what is there

pytest-kind's own options hold (`--keep-cluster`, `--cluster-name` and so on); without them the engine of the Makefile
is used, which the environment variable ENGINE names.
"""

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tasks.kubectl
from cluster_support import Kubectl
from live.api import Api, proxied
from live.operator import Operator
from live.scene import Scene, staged
from live.service import SyncService, await_service, start_service
from tasks import deploying, engines, image
from tasks.paths import KUBECTL, TEST_KUBECONFIG
from tasks.steps import Progress, Step, run_steps

_OPERATOR = pytest.StashKey[tasks.kubectl.Kubectl]()


@pytest.fixture(scope="session")
def engine() -> engines.Engine:
    return engines.choose(os.environ.get("ENGINE", ""))


@pytest.fixture(scope="session")
def operator_image(engine: engines.Engine) -> image.Image:
    """The image that `make test` has built, or the one that belongs to the files as they are now."""
    if os.environ.get("IMAGE"):
        archive = os.environ.get("IMAGE_ARCHIVE")
        return image.Image(os.environ["IMAGE"], Path(archive) if archive else None)
    current = image.named_by_content(engine)
    if current.archive is None or not current.archive.exists():
        pytest.fail(f"the image {current.reference} is not built: run `make image` first")
    return current


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest, engine: engines.Engine) -> Path:
    """The kubeconfig of a cluster that is up: pytest-kind's, or the existing one."""
    if engine.kind is None:
        return engine.kubeconfig()
    option = request.config.option
    option.kind_bin = option.kind_bin or str(engine.kind)
    option.kind_kubectl_bin = option.kind_kubectl_bin or str(KUBECTL)
    option.kubeconfig = option.kubeconfig or str(TEST_KUBECONFIG)
    option.cluster_name = engines.TEST_NAME if option.cluster_name == "pytest-kind" else option.cluster_name
    engine.write_kubeconfig(option.cluster_name, Path(option.kubeconfig))  # pytest-kind takes what is there as it is
    return Path(request.getfixturevalue("kind_cluster").kubeconfig_path)


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest, kubeconfig: Path, engine: engines.Engine, operator_image: image.Image
) -> Kubectl:
    """kubectl on a cluster with the operator in it, deployed from the image and ready."""
    operator = tasks.kubectl.Kubectl(kubeconfig)

    def load_and_install(progress: Progress) -> str:
        if operator_image.archive is not None:
            engine.load(progress, operator_image.archive, request.config.option.cluster_name)
        return deploying.install(progress, operator, operator_image)

    run_steps([Step("operator", "image, CRD and operator into the test cluster", "20 s", load_and_install)])
    request.config.stash[_OPERATOR] = operator
    return Kubectl(kubeconfig)


@pytest.fixture
def kubectl(request: pytest.FixtureRequest, cluster: Kubectl) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own; deleted afterwards, which nobody waits for."""
    test = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    namespace = f"{test}-{secrets.token_hex(3)}"
    cluster("create", "namespace", namespace)
    yield cluster.within(namespace)
    cluster("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="session")
def api(cluster: Kubectl) -> Iterator[Api]:
    """The API server, for tests that look often."""
    with proxied(cluster.kubeconfig) as found:
        yield found


@pytest.fixture(scope="session")
def operator(cluster: Kubectl, api: Api) -> Operator:
    return Operator(cluster.within("periodic-sync"), api)


@pytest.fixture(scope="session")
def service(cluster: Kubectl, api: Api, operator_image: image.Image) -> Iterator[SyncService]:
    """A sync service that works, for all tests that don't tell theirs how to behave."""
    with staged(cluster, api, "service") as scene:
        started = start_service(scene.kubectl, api, operator_image.reference)
        await_service(scene.kubectl)
        yield started


@pytest.fixture
def scene(request: pytest.FixtureRequest, cluster: Kubectl, api: Api) -> Iterator[Scene]:
    """A namespace of the test's own, with a witness."""
    title = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:40].strip("-")
    with staged(cluster, api, title) as found:
        yield found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A failure shows the operator's log and the policies' status, as they are at that moment."""
    report = yield
    operator = item.config.stash.get(_OPERATOR, None)
    if operator is not None and report.failed and report.when in ("setup", "call"):
        report.sections.append(("operator and policies", operator.diagnosis()))
    return report
