"""The URL in a Secret: followed as it changes, and what a person is told of one that can't be used."""

import asyncio
import base64
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from cluster_support import Kubectl, KubectlError, eventually
from periodic_sync.api.errors import ApiError, UnavailableError
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.connect import connected
from periodic_sync.kube.secrets import KubeSecrets
from periodic_sync.stores.redis.node import CLIENT_NAME
from periodic_sync.stores.redis.secrets import READ_SECONDS, SecretConnection, SecretRef
from periodic_sync.stores.redis.troubles import RedisNotReady
from redis_calls import COUNT, KEY, SECONDS, SECRET, Clock
from redis_support import HOST, Certificates, Server, redis_server, until

REF = SecretRef("team-a", "redis", "url")


@dataclass
class Drawer:
    """`Secrets` with one of them, which counts how often it is read."""

    values: dict[str, str | bytes] = field(default_factory=dict)
    trouble: ApiError | None = None
    reads: int = 0

    async def get(self, namespace: str, name: str) -> dict[str, Any]:
        assert (namespace, name) == (REF.namespace, REF.name)
        self.reads += 1
        if self.trouble:
            raise self.trouble
        raw = {key: value.encode() if isinstance(value, str) else value for key, value in self.values.items()}
        return {"data": {key: base64.b64encode(value).decode() for key, value in raw.items()}}


@pytest.fixture
def drawer() -> Drawer:
    return Drawer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def connection(drawer: Drawer, clock: Clock) -> AsyncIterator[SecretConnection]:
    connection = SecretConnection(drawer, REF, seconds=SECONDS, clock=clock)
    yield connection
    await connection.close()


async def told(connection: SecretConnection) -> str:
    with pytest.raises(RedisNotReady) as caught:
        await connection.run(COUNT, [KEY])
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"
    return str(caught.value)


async def disconnected(server: Server) -> bool:
    return CLIENT_NAME.encode() not in await server.command("CLIENT", "LIST")


class TestRotation:
    async def test_a_secret_is_read_twice_a_minute(
        self, server: Server, drawer: Drawer, clock: Clock, connection: SecretConnection
    ) -> None:
        drawer.values["url"] = f"{server.url}\n"
        for _ in range(3):
            await connection.run(COUNT, [KEY])
        assert drawer.reads == 1
        clock.now += READ_SECONDS
        assert await connection.read(KEY, [("GET", KEY)]) == [b"3"]
        assert list(await connection.info("server")) == [f"{HOST}:{server.port}"]
        assert drawer.reads == 2
        assert b"total_connections_received:3" in await server.command("INFO", "stats"), "it was not opened anew"

    async def test_a_new_password_is_found_at_once(
        self, server: Server, drawer: Drawer, connection: SecretConnection
    ) -> None:
        await server.command("ACL", "SETUSER", "app", "on", ">one", "~*", "+@all")
        drawer.values["url"] = f"redis://app:one@{HOST}:{server.port}"
        assert await connection.run(COUNT, [KEY]) == 1
        await server.command("ACL", "SETUSER", "app", "<one", f">{SECRET}")
        assert await connection.run(COUNT, [KEY]) == 2, "who is in stays in"
        await server.command("CLIENT", "KILL", "USER", "app")
        assert "does not accept the URL's user and password" in await told(connection)
        drawer.values["url"] = f"redis://app:{SECRET}@{HOST}:{server.port}"
        assert await connection.run(COUNT, [KEY]) == 3

    async def test_another_server_takes_over_within_half_a_minute(
        self, server: Server, drawer: Drawer, clock: Clock, connection: SecretConnection
    ) -> None:
        drawer.values["url"] = server.url
        await connection.run(COUNT, [KEY])
        async with redis_server() as other:
            drawer.values["url"] = other.url
            clock.now += READ_SECONDS - 1
            assert await connection.run(COUNT, [KEY]) == 2
            clock.now += 1
            assert await connection.run(COUNT, [KEY]) == 1
            await until(lambda: disconnected(server), "the old connections are closed")
            await connection.close()

    async def test_calls_on_the_old_connection_end_as_they_would_have(
        self, server: Server, drawer: Drawer, clock: Clock, connection: SecretConnection
    ) -> None:
        drawer.values["url"] = server.url
        await connection.run(COUNT, [KEY])
        async with redis_server() as other:
            server.pause()
            running = asyncio.create_task(connection.run(COUNT, [KEY]))
            await asyncio.sleep(0)
            drawer.values["url"] = other.url
            clock.now += READ_SECONDS
            assert await connection.run(COUNT, [KEY]) == 1
            server.resume()
            assert await running == 2
            await until(lambda: disconnected(server), "the old connections are closed")
            await connection.close()

    async def test_a_secret_that_can_t_be_read_for_a_while_changes_nothing(
        self, server: Server, drawer: Drawer, clock: Clock, connection: SecretConnection
    ) -> None:
        drawer.values["url"] = server.url
        drawer.trouble = UnavailableError("the API server is away")
        with pytest.raises(UnavailableError):
            await connection.run(COUNT, [KEY])
        drawer.trouble = None
        assert await connection.run(COUNT, [KEY]) == 1
        drawer.trouble = UnavailableError("the API server is away")
        clock.now += READ_SECONDS
        assert await connection.run(COUNT, [KEY]) == 2

    async def test_an_authority_beside_the_url_is_trusted(
        self, certificates: Certificates, drawer: Drawer, clock: Clock, connection: SecretConnection
    ) -> None:
        async with redis_server(certificates=certificates) as server:
            drawer.values["url"] = server.url
            assert "is not trusted" in await told(connection)
            drawer.values["ca.crt"] = certificates.authority.read_bytes()
            clock.now += READ_SECONDS
            assert await connection.run(COUNT, [KEY]) == 1
            await connection.close()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "Secret team-a/redis has no key url (its keys: none): add it with `kubectl --namespace team-a patch"),
        ({"uri": SECRET, "user": SECRET}, "has no key url (its keys: uri, user)"),
        ({"url": SECRET}, "Key url of Secret team-a/redis: the URL has to begin with redis://"),
        ({"url": f"redis://:{SECRET}"}, "Key url of Secret team-a/redis: the URL's host and port are not of the form"),
        ({"url": b"\xff\xfe"}, "Key url of Secret team-a/redis is not text"),
        ({"url": f"rediss://:{SECRET}@r", "ca.crt": "x"}, "Key ca.crt of Secret team-a/redis holds no certificate"),
    ],
)
async def test_what_is_wrong_with_a_secret_is_told(
    drawer: Drawer, connection: SecretConnection, values: dict[str, str | bytes], sentence: str
) -> None:
    drawer.values = values
    assert sentence in await told(connection)


async def test_a_url_that_becomes_wrong_is_told_and_one_that_is_mended_is_taken(
    server: Server, drawer: Drawer, clock: Clock, connection: SecretConnection
) -> None:
    drawer.values["url"] = server.url
    await connection.run(COUNT, [KEY])
    drawer.values["url"] = "redis:/typo"
    clock.now += READ_SECONDS
    for _ in range(2):
        assert "has to begin with redis://" in await told(connection)
    drawer.values["url"] = server.url
    assert await connection.run(COUNT, [KEY]) == 2


def follow(kubectl: Kubectl, sentence: str) -> None:
    """Type the commands that a sentence says."""
    for command in sentence.split("`")[1::2]:
        words = shlex.split(command)
        assert words[:3] == ["kubectl", "--namespace", kubectl.namespace]
        kubectl(*words[3:])


class TestApiServer:
    """What it says of Secrets, and that following the advice helps."""

    @pytest.fixture
    async def operator(self, api_server: Path, kubectl: Kubectl) -> AsyncIterator[KubeClient]:
        """A client with the rights of a service account, which has none."""
        kubectl("create", "serviceaccount", "operator")
        token = kubectl("create", "token", "operator").strip()
        async with connected(str(api_server)) as admin:
            settings = Configuration(host=admin.api.configuration.host)
            settings.ssl_ca_cert = admin.api.configuration.ssl_ca_cert
            settings.api_key = {"BearerToken": f"Bearer {token}"}
            async with ApiClient(configuration=settings) as api:
                yield KubeClient(api)

    async def test_the_right_to_read_one_secret_is_what_the_sentence_says(
        self, server: Server, operator: KubeClient, kubectl: Kubectl
    ) -> None:
        ref = SecretRef(kubectl.namespace, "redis", "url")
        connection = SecretConnection(KubeSecrets(operator), ref, seconds=SECONDS)
        allow = await told(connection)
        assert f"may not read Secret {kubectl.namespace}/redis" in allow
        follow(kubectl, allow)
        account = f"--as=system:serviceaccount:{kubectl.namespace}:operator"
        # Authorisation follows roles with a moment's delay.
        eventually(lambda: kubectl("auth", "can-i", "get", "secrets/redis", account))
        for refused in ("get secrets/other", "list secrets", "watch secrets", "update secrets/redis"):
            with pytest.raises(KubectlError, match="no"):
                kubectl("auth", "can-i", *refused.split(), account)
        create = await told(connection)
        assert "does not exist: create it with" in create
        follow(kubectl, create.replace("redis://...", server.url))
        assert await connection.run(COUNT, [KEY]) == 1
        await connection.close()

    async def test_a_key_is_added_as_the_sentence_says(
        self, api_server: Path, server: Server, kubectl: Kubectl
    ) -> None:
        kubectl("create", "secret", "generic", "redis", "--from-literal=other=1")
        async with connected(str(api_server)) as client:
            ref = SecretRef(kubectl.namespace, "redis", "url")
            connection = SecretConnection(KubeSecrets(client), ref, seconds=SECONDS)
            follow(kubectl, (await told(connection)).replace("redis://...", server.url))
            assert await connection.run(COUNT, [KEY]) == 1
            await connection.close()
