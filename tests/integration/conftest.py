"""A real API server for the tests of this folder: one a session, and a namespace of its own for each test."""

import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cluster_support import CRD_FILE, ROOT, Kubectl, eventually
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from turns_support import Bench, new_bench

LOCAL_KIND = ROOT / "deploy" / "local" / "kind"
KUBECONFIG_VARIABLE = "PERIODIC_SYNC_TEST_KUBECONFIG"
"""The kubeconfig of an API server to use in place of one started here; tests make namespaces there, and the CRD."""


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an API server with its controllers and no node, gone when the session ends."""
    given = os.environ.get(KUBECONFIG_VARIABLE)
    if given:
        yield Path(given)
        return
    name = f"it-{secrets.token_hex(4)}"
    kubeconfig = tmp_path_factory.mktemp("api-server") / "kubeconfig"
    try:
        _kind("create", "cluster", "--control-plane-only", "--name", name, "--kubeconfig", kubeconfig)
        yield kubeconfig
    finally:
        _kind("delete", "cluster", "--name", name, "--kubeconfig", kubeconfig)


def _kind(*arguments: str | Path) -> None:
    done = subprocess.run([LOCAL_KIND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"kind {' '.join(map(str, arguments))}:\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def crd(api_server: Path) -> None:
    """The CRD, applied as a person would, and ready to be used."""
    kubectl = Kubectl(api_server)
    kubectl("apply", "-f", str(CRD_FILE))
    # For a moment a new CRD has no conditions at all, which `kubectl wait` takes for an error.
    eventually(
        lambda: kubectl("wait", "--for=condition=Established", "crd/syncpolicies.sync.moonx.farm", "--timeout=30s")
    )
    eventually(lambda: kubectl("get", "syncpolicies"))


@pytest.fixture
def kubectl(api_server: Path) -> Iterator[Kubectl]:
    """kubectl in a new namespace, which is deleted after the test."""
    outside = Kubectl(api_server)
    namespace = f"test-{secrets.token_hex(4)}"
    outside("create", "namespace", namespace)
    yield outside.within(namespace)
    outside("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
async def client(api_server: Path, crd: None) -> AsyncIterator[KubeClient]:
    async with connected(str(api_server)) as client:
        yield client


@pytest.fixture
async def bench(client: KubeClient) -> AsyncIterator[Bench]:
    """A new namespace for turns of one policy; the test makes policy and store."""
    async with new_bench(client) as bench:
        yield bench
