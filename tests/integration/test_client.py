"""The client against a real API server: what each answer means, pages, watches, and what is put on the wire."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from cluster_support import Kubectl
from periodic_sync.api.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from periodic_sync.kube import client as client_module
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import CONFIG_MAPS, POD_TEMPLATES, SYNC_POLICIES
from periodic_sync.kube.watch import follow_changes
from policy_support import policy_body, spec_with

DEADLINE_SECONDS = 30
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def namespace(kubectl: Kubectl) -> str:
    return kubectl.namespace


def named(name: str, data: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "data": data or {}}


async def names(client: KubeClient, namespace: str, labels: str = "batch=1", **more: Any) -> list[str]:
    found = await client.list(CONFIG_MAPS, namespace, labels=labels, **more)
    return [item["metadata"]["name"] for item in found]


@asynccontextmanager
async def served(answer: Handler) -> AsyncIterator[KubeClient]:
    """A client of a server that answers every GET so."""
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ApiClient(configuration=Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")) as api:
        yield KubeClient(api)
    await runner.cleanup()


class TestAnswers:
    async def test_what_is_not_there(self, client: KubeClient, namespace: str) -> None:
        with pytest.raises(NotFoundError) as error:
            await client.get(CONFIG_MAPS, namespace, "nothing")
        assert (error.value.status, error.value.reason) == (404, "NotFound")
        assert str(error.value) == 'configmaps "nothing" not found'

    async def test_what_is_there_already(self, client: KubeClient, namespace: str) -> None:
        await client.create(CONFIG_MAPS, namespace, named("a"))
        with pytest.raises(AlreadyExistsError) as error:
            await client.create(CONFIG_MAPS, namespace, named("a"))
        assert not isinstance(error.value, ConflictError), "it is no lost race of a compare-and-swap"

    async def test_a_lost_compare_and_swap(self, client: KubeClient, namespace: str) -> None:
        made = await client.create(CONFIG_MAPS, namespace, named("a"))
        version = made["metadata"]["resourceVersion"]
        await client.replace(CONFIG_MAPS, namespace, "a", named("a", {"k": "1"}, resourceVersion=version))
        with pytest.raises(ConflictError):
            await client.replace(CONFIG_MAPS, namespace, "a", named("a", {"k": "2"}, resourceVersion=version))

    async def test_an_object_that_is_wrong(self, client: KubeClient, namespace: str) -> None:
        with pytest.raises(InvalidError) as error:
            await client.create(CONFIG_MAPS, namespace, named("Not A Name"))
        assert error.value.status == 422
        with pytest.raises(InvalidError) as error:
            await client.create(CONFIG_MAPS, namespace, {"data": 3})
        assert error.value.status == 400

    @pytest.mark.parametrize("megabytes", [1.5, 4], ids=["for etcd", "for the server"])
    async def test_an_object_that_is_too_large(self, client: KubeClient, namespace: str, megabytes: float) -> None:
        container = {"name": "c", "image": "i", "env": [{"name": "X", "value": "x" * int(megabytes * 2**20)}]}
        body = {"metadata": {"name": "large"}, "template": {"spec": {"containers": [container]}}}
        with pytest.raises(TooLargeError):
            await client.create(POD_TEMPLATES, namespace, body)

    async def test_a_namespace_that_ends_forbids(self, client: KubeClient, kubectl: Kubectl) -> None:
        kubectl("create", "namespace", f"{kubectl.namespace}-2")
        held = named("held", finalizers=["example.com/held"])
        await client.create(CONFIG_MAPS, f"{kubectl.namespace}-2", held)
        kubectl("delete", "namespace", f"{kubectl.namespace}-2", "--wait=false")
        try:
            with pytest.raises(ForbiddenError):
                await client.create(CONFIG_MAPS, f"{kubectl.namespace}-2", named("late"))
        finally:
            await client.merge(CONFIG_MAPS, f"{kubectl.namespace}-2", "held", {"metadata": {"finalizers": None}})

    async def test_a_token_that_is_not_accepted_is_trouble_on_the_way(self, client: KubeClient, namespace: str) -> None:
        settings = Configuration(host=client.api.configuration.host, api_key={"authorization": "Bearer nonsense"})
        settings.ssl_ca_cert = client.api.configuration.ssl_ca_cert
        async with ApiClient(configuration=settings) as api:
            with pytest.raises(UnavailableError) as error:
                await KubeClient(api).get(CONFIG_MAPS, namespace, "a")
        assert error.value.status == 401

    async def test_no_api_server(self, namespace: str) -> None:
        async with ApiClient(configuration=Configuration(host="http://127.0.0.1:1")) as api:
            with pytest.raises(UnavailableError, match="the API server can't be reached"):
                await KubeClient(api).get(CONFIG_MAPS, namespace, "a")

    async def test_an_api_server_that_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client_module, "REQUEST_TIMEOUT_SECONDS", 0.2)
        hanging = asyncio.Event()

        async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hanging.wait()
            writer.close()

        server = await asyncio.start_server(never, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with ApiClient(configuration=Configuration(host=f"http://127.0.0.1:{port}")) as api:
            with pytest.raises(UnavailableError, match="no answer from the API server"):
                await KubeClient(api).create(CONFIG_MAPS, "default", named("a"))
        hanging.set()
        server.close()


class TestLists:
    async def test_all_pages_are_one_list(
        self, client: KubeClient, namespace: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "PAGE_SIZE", 2)
        for number in range(5):
            await client.create(CONFIG_MAPS, namespace, named(f"c{number}", labels={"batch": "1"}))
        await client.create(CONFIG_MAPS, namespace, named("other"))
        assert await names(client, namespace) == [f"c{number}" for number in range(5)]
        assert await names(client, namespace, fields="metadata.name=c3") == ["c3"]
        assert await names(client, namespace, labels="batch=2") == []

    async def test_metadata_only_leaves_the_rest_at_the_server(self, client: KubeClient, namespace: str) -> None:
        await client.create(CONFIG_MAPS, namespace, named("a", {"k": "v"}, labels={"batch": "1"}))
        (listed,) = await client.list(CONFIG_MAPS, namespace, labels="batch=1", metadata_only=True)
        for item in (listed, await client.get(CONFIG_MAPS, namespace, "a", metadata_only=True)):
            assert "data" not in item
            assert item["metadata"]["labels"] == {"batch": "1"}

    async def test_across_all_namespaces(self, client: KubeClient, namespace: str) -> None:
        await client.create(CONFIG_MAPS, namespace, named("a", labels={"batch": namespace}))
        found = await client.list(CONFIG_MAPS, None, labels=f"batch={namespace}")
        assert [item["metadata"]["namespace"] for item in found] == [namespace]


class TestDeletions:
    async def test_what_was_there_and_what_was_not(self, client: KubeClient, namespace: str) -> None:
        await client.create(CONFIG_MAPS, namespace, named("a"))
        assert await client.delete(CONFIG_MAPS, namespace, "a") is True
        assert await client.delete(CONFIG_MAPS, namespace, "a") is False

    async def test_only_the_very_object(self, client: KubeClient, namespace: str) -> None:
        old = await client.create(CONFIG_MAPS, namespace, named("a"))
        await client.delete(CONFIG_MAPS, namespace, "a")
        new = await client.create(CONFIG_MAPS, namespace, named("a"))
        assert await client.delete(CONFIG_MAPS, namespace, "a", uid=old["metadata"]["uid"]) is False
        assert (await client.get(CONFIG_MAPS, namespace, "a"))["metadata"]["uid"] == new["metadata"]["uid"]
        assert await client.delete(CONFIG_MAPS, namespace, "a", uid=new["metadata"]["uid"]) is True

    async def test_only_the_very_version(self, client: KubeClient, namespace: str) -> None:
        old = await client.create(CONFIG_MAPS, namespace, named("a"))
        new = await client.merge(CONFIG_MAPS, namespace, "a", {"data": {"k": "1"}})
        versions = [item["metadata"]["resourceVersion"] for item in (old, new)]
        done = [await client.delete(CONFIG_MAPS, namespace, "a", resource_version=version) for version in versions]
        assert done == [False, True]


@pytest.mark.usefixtures("crd")
async def test_a_status_is_merged_and_the_spec_left_alone(client: KubeClient, namespace: str) -> None:
    made = await client.create(SYNC_POLICIES, namespace, policy_body(spec_with({}), namespace=namespace))
    version = first = made["metadata"]["resourceVersion"]
    for change in ({"totalUsers": 3, "dueUsers": 1}, {"totalUsers": 4, "dueUsers": None}):
        written = await client.merge_status(SYNC_POLICIES, namespace, "portfolios", change, version=version)
        version = written["metadata"]["resourceVersion"]
    with pytest.raises(ConflictError):
        await client.merge_status(SYNC_POLICIES, namespace, "portfolios", {"totalUsers": 5}, version=first)
    now = await client.get(SYNC_POLICIES, namespace, "portfolios")
    assert now["status"] == {"totalUsers": 4}
    assert (now["spec"], now["metadata"]["generation"]) == (made["spec"], 1)
    managers = {entry["manager"] for entry in now["metadata"]["managedFields"]}
    assert managers == {"periodic-sync"}


class TestWatches:
    async def test_every_change_since_the_list_is_told(self, client: KubeClient, namespace: str) -> None:
        version = await client.current_version(CONFIG_MAPS, namespace, labels="batch=1")
        await client.create(CONFIG_MAPS, namespace, named("a", {"k": "v"}, labels={"batch": "1"}))
        await client.create(CONFIG_MAPS, namespace, named("other"))
        await client.merge(CONFIG_MAPS, namespace, "a", {"data": {"k": "w"}})
        await client.delete(CONFIG_MAPS, namespace, "a")
        told = []
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            contextlib.aclosing(
                client.watch(CONFIG_MAPS, namespace, since=version, labels="batch=1", silence_seconds=DEADLINE_SECONDS)
            ) as events,
        ):
            async for event in events:
                told.append((event["type"], event["object"]["metadata"]["name"]))
                assert "data" not in event["object"]
                if event["type"] == "DELETED":
                    break
        assert told == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]

    async def test_a_version_of_long_ago_has_expired(self) -> None:
        """Played, since a new server remembers everything; these are the words of one that has run for a while."""
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (40143)"}

        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=json.dumps({"type": "ERROR", "object": status}) + "\n")

        async with served(answer) as client:
            with pytest.raises(ExpiredError, match="too old resource version"):
                async for _ in client.watch(CONFIG_MAPS, "default", since="1", silence_seconds=DEADLINE_SECONDS):
                    pass

    async def test_a_version_that_is_none_is_refused(self, client: KubeClient, namespace: str) -> None:
        with pytest.raises(ApiError):
            async for _ in client.watch(CONFIG_MAPS, namespace, since="yesterday", silence_seconds=DEADLINE_SECONDS):
                pass

    async def test_a_silent_watch_is_given_up(self, client: KubeClient, namespace: str) -> None:
        version = await client.current_version(CONFIG_MAPS, namespace)
        with pytest.raises(UnavailableError):
            async for _ in client.watch(
                CONFIG_MAPS, namespace, since=version, labels="batch=none", silence_seconds=0.2
            ):
                pass

    async def test_what_changes_is_told_until_cancelled(self, client: KubeClient, namespace: str) -> None:
        told: asyncio.Queue[str] = asyncio.Queue()

        def tell(metadata: Mapping[str, Any]) -> None:
            told.put_nowait(metadata["name"])

        following = asyncio.create_task(follow_changes(client, CONFIG_MAPS, namespace, tell, labels="batch=1"))
        async with asyncio.timeout(DEADLINE_SECONDS):
            # Only what happens once it follows is told, so changes are made until one is.
            for number in itertools.count():
                await client.create(CONFIG_MAPS, namespace, named(f"c{number}", labels={"batch": "1"}))
                with contextlib.suppress(TimeoutError):
                    name = await asyncio.wait_for(told.get(), timeout=0.2)
                    break
            while not told.empty():
                told.get_nowait()
            await client.create(CONFIG_MAPS, namespace, named("other"))
            await client.delete(CONFIG_MAPS, namespace, name)
            while await told.get() != name:
                pass
        assert told.empty()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
