"""Why, asked of the HTTP API in the cluster about users who are kept in a state for as long as it takes to look."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cluster_support import Kubectl, eventually
from live.api import Api, Object
from live.http_api import ACCOUNT, HttpApi, started
from live.scene import Scene, spec, staged
from live.service import SyncService, await_service, start_service
from tasks import image

ONE_AT_A_TIME = {"batchSize": 1, "jobs": {"maxConcurrentBatches": 1}}
REFUSED = {"http": {"url": "http://127.0.0.1:9/{userId}", "attempts": 1}}


@dataclass(frozen=True)
class Asked:
    """A scene with a policy for each trouble, named by it, and somebody who may ask why."""

    scene: Scene
    http: HttpApi

    def call(self, method: str, policy: str, path: str, body: object = None) -> Object:
        place = f"/v1/namespaces/{self.scene.namespace}/policies/{policy}/users/{path}"
        answer = self.http(method, place, body, token=self.http.token("manager", "periodic-sync-user-manager"))
        assert answer.status < 300, answer.text
        found: Object = answer.json if answer.text else {}
        return found

    def why(self, policy: str, user: str) -> str:
        """The reason code, and the Due code where it is held."""
        told = self.call("GET", policy, f"{user}/why")
        return told["reason"] + (f" from {told['heldFrom']}" if told["heldFrom"] else "")

    def await_why(self, policy: str, user: str, reason: str) -> None:
        eventually(lambda: _assert_equal(self.why(policy, user), reason), seconds=60)


def _assert_equal(found: object, wanted: object) -> None:
    assert found == wanted


@pytest.fixture(scope="module")
def asked(
    cluster: Kubectl, api: Api, operator_image: image.Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asked]:
    reference = operator_image.reference
    with staged(cluster, api, "why") as scene:
        service = start_service(scene.kubectl, api, reference)
        _allow_secret(scene.kubectl)
        await_service(scene.kubectl)
        service.control(failUsers=["failing"], status=422)
        for name, (active, change) in _policies(service, reference).items():
            if name != "lost":
                scene.write_users(active, ["away"], store=name)
            scene.apply({**spec(service.worker), **change, **_store_of(name)}, name)
        with started(scene.kubectl, reference, tmp_path_factory.mktemp("why")) as http:
            yield Asked(scene, http)


def _policies(service: SyncService, reference: str) -> dict[str, tuple[list[str], Object]]:
    """By name: its active users, and what is special about it."""
    sleeping = {"worker": {"image": reference, "command": ["sleep", "600"]}}
    return {
        "works": (["ada", "failing"], {}),
        "off": (["ada"], {"enabled": False}),
        "lost": ([], {}),
        "nowhere": ([], {}),
        "sleeps": (["ada", "bob"], {**sleeping, **ONE_AT_A_TIME}),
        "limited": (["ada", "bob", "eve"], {"jobs": {"usersPerMinute": 1}}),
        "down": (["ada", "bob", "eve"], {"worker": REFUSED, "batchSize": 1}),
    }


def _store_of(name: str) -> Object:
    redis = {"redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": "p:"}}
    return {"store": redis if name == "nowhere" else {"configMap": {"name": name}}}


def _allow_secret(kubectl: Kubectl) -> None:
    """The URL of a Redis that is nowhere, for operator and API."""
    kubectl("create", "secret", "generic", "redis", "--from-literal=url=redis://nowhere.invalid:6379")
    kubectl("create", "role", "reads", "--verb=get", "--resource=secrets", "--resource-name=redis")
    for name, account in (("operator", "periodic-sync:periodic-sync"), ("api", f"{kubectl.namespace}:{ACCOUNT}")):
        kubectl("create", "rolebinding", f"{name}-reads", "--role=reads", f"--serviceaccount={account}")


@pytest.mark.parametrize(
    ("policy", "user", "reason"),
    [
        ("works", "ada", "NotDue"),
        ("works", "away", "Inactive"),
        ("works", "failing", "BackingOff"),
        ("off", "ada", "PolicyDisabled"),
        ("lost", "ada", "StoreNotReady"),
        ("nowhere", "ada", "StoreNotReady"),
    ],
)
def test_users_have_the_reason_of_the_state_that_they_are_in(asked: Asked, policy: str, user: str, reason: str) -> None:
    asked.await_why(policy, user, reason)


def test_a_store_that_is_not_ready_is_told_with_the_cause(asked: Asked) -> None:
    causes = {"lost": "does not exist", "nowhere": "nowhere.invalid"}
    for policy, cause in causes.items():
        assert cause in asked.call("GET", policy, "ada/why")["message"]


def test_of_two_users_and_room_for_one_the_other_waits_for_whatever_it_is_due_for(asked: Asked) -> None:
    users = ("ada", "bob")
    eventually(lambda: _assert_equal(_sorted(asked, "sleeps", users), ["InFlight", "WaitingForCapacity from DueStale"]))
    [waiting] = [user for user in users if asked.why("sleeps", user) != "InFlight"]
    asked.scene.request("all", "everyone", "sleeps")
    asked.await_why("sleeps", waiting, "WaitingForCapacity from DueBulk")
    asked.call("POST", "sleeps", f"{waiting}/sync")
    asked.await_why("sleeps", waiting, "WaitingForCapacity from DueRequested")


def test_beyond_the_rate_users_are_told_so_until_when(asked: Asked) -> None:
    def is_limited() -> Object:
        told = [asked.call("GET", "limited", f"{user}/why") for user in ("ada", "bob", "eve")]
        held = [each for each in told if each["heldFrom"]]
        assert held
        return held[0]

    told = eventually(is_limited)
    assert (told["reason"], told["heldFrom"]) == ("RateLimited", "DueStale")
    assert told["until"] > told["asOf"]


def test_while_the_worker_fails_whoever_comes_waits_for_a_probe(asked: Asked) -> None:
    eventually(lambda: _assert_equal(asked.scene.condition("Ready", "down")["reason"], "WorkerFailing"), seconds=90)
    asked.call("PUT", "down", "late", {"wallet": "0xa1"})
    asked.await_why("down", "late", "WorkerFailing from DueStale")


def _sorted(asked: Asked, policy: str, users: tuple[str, ...]) -> list[str]:
    return sorted(asked.why(policy, user) for user in users)
