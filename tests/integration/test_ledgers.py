"""The ledger's ConfigMap on a real API server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster_support import Kubectl
from job_support import POLICY
from ledger_support import open_job
from periodic_sync.api.errors import AlreadyExistsError, ConflictError, NotFoundError
from periodic_sync.api.names import Role
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef, ledger_name, metadata
from periodic_sync.kube.connect import connected
from periodic_sync.kube.ledgers import KEY, Ledgers, LedgerUnreadableError

LEDGER = Ledger(generation=3, enabled=True, jobs=(open_job(sizes=(2, 3)),), last_claim=9)


@pytest.fixture
async def ledgers(api_server: Path, kubectl: Kubectl) -> AsyncIterator[Ledgers]:
    policy = PolicyRef(kubectl.namespace, POLICY.name, POLICY.uid)
    about = metadata(policy, NAME, role=Role.LEDGER)
    del about["ownerReferences"]  # nobody made the policy, so the garbage collector would delete its ledger
    async with connected(str(api_server)) as client:
        yield Ledgers(client, about)


NAME = ledger_name(POLICY.name, POLICY.uid)


async def test_what_was_written_is_read(ledgers: Ledgers) -> None:
    assert await ledgers.read() is None
    made = await ledgers.create(LEDGER)
    assert await ledgers.read() == made
    swapped = await ledgers.swap(made, replace(LEDGER, last_claim=10))
    assert swapped.resource_version != made.resource_version
    assert await ledgers.read() == swapped


async def test_of_two_who_make_it_one_is_first(ledgers: Ledgers) -> None:
    await ledgers.create(LEDGER)
    with pytest.raises(AlreadyExistsError):
        await ledgers.create(Ledger())


async def test_of_two_swaps_of_one_version_one_is_lost(ledgers: Ledgers) -> None:
    made = await ledgers.create(LEDGER)
    won = await ledgers.swap(made, replace(LEDGER, last_claim=10))
    with pytest.raises(ConflictError):
        await ledgers.swap(made, replace(LEDGER, last_claim=11))
    assert await ledgers.read() == won


async def test_a_swap_of_a_ledger_that_was_deleted_does_not_make_it_again(ledgers: Ledgers, kubectl: Kubectl) -> None:
    made = await ledgers.create(LEDGER)
    kubectl("delete", "configmap", NAME)
    with pytest.raises((ConflictError, NotFoundError)):
        await ledgers.swap(made, LEDGER)
    assert await ledgers.read() is None


async def test_a_swap_of_a_ledger_that_was_deleted_and_made_again_is_lost(ledgers: Ledgers, kubectl: Kubectl) -> None:
    made = await ledgers.create(LEDGER)
    kubectl("delete", "configmap", NAME)
    again = await ledgers.create(Ledger())
    with pytest.raises(ConflictError):
        await ledgers.swap(made, LEDGER)
    assert await ledgers.read() == again


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({KEY: "no JSON"}, id="no JSON"),
        pytest.param({KEY: '{"version": 2}'}, id="a later version"),
        pytest.param({"other": "{}"}, id="another key"),
        pytest.param({}, id="no data"),
    ],
)
async def test_an_unreadable_ledger_is_no_missing_ledger(
    ledgers: Ledgers, kubectl: Kubectl, data: dict[str, str]
) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": data}
    kubectl.apply(body)
    with pytest.raises(LedgerUnreadableError) as error:
        await ledgers.read()
    assert f"ConfigMap {kubectl.namespace}/{NAME}" in str(error.value)
    assert "delete it" in str(error.value)
    assert "\n" not in str(error.value)


async def test_people_can_read_it(ledgers: Ledgers, kubectl: Kubectl) -> None:
    await ledgers.create(LEDGER)
    shown = kubectl("get", "configmap", NAME, "-o", r"jsonpath={.data.ledger\.json}")
    assert '"enabled":true' in shown
    assert '"phase":"created"' in shown
