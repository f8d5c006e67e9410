"""Canary wallets, also where writers put them by mistake, are looked for in everything that can be read of a cluster:
the operator logs all it can, workers fail in every way, and callers send what they must not."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster_support import Kubectl, eventually
from faults.redis_pod import POD, RedisPod, start_redis
from live.api import Api, NotThereError, Object
from live.canaries import OWN_WORKER, Canaries, mistakes
from live.desk import said
from live.http_api import ACCOUNT, Answer, HttpApi, forwarded, started
from live.operator import REPLICAS, Operator
from live.scene import LABEL, Scene, every, spec, staged
from live.service import await_service, start_service
from live.streams import Stream, listening
from periodic_sync.stores.redis.keys import Keys
from tasks import engines, image, redis_image
from tasks.steps import run_steps

PREFIX = "canaries:"


@dataclass
class Cage:
    """A scene with canaries, everything that can be read about them, and what was answered to callers."""

    scene: Scene
    operator: Operator
    http: HttpApi
    redis: RedisPod
    canaries: Canaries
    refusals: list[str]

    def hits(self, place: str, text: str, *but: str) -> list[str]:
        found = text.lower()
        return [f"{name} in {place}" for name, core in self.canaries.cores(*but).items() if core.lower() in found]

    def call(self, role: str, method: str, path: str, body: object = None) -> Answer:
        """Answers that are errors are kept; roles are accounts of the namespace."""
        tokens = {
            "manager": lambda: self.http.token("manager", "periodic-sync-user-manager"),
            "nobody": lambda: self.http.token("nobody"),
            "watcher": lambda: self.http.token("watcher", "periodic-sync-event-reader"),
            "": lambda: "",
        }
        answer = self.http(method, path, body, token=tokens[role]())
        if answer.status >= 400:
            self.refusals.append(f"{role} {method}: {answer.status} {answer.text}")
        return answer


@pytest.fixture(scope="module")
def cage(
    request: pytest.FixtureRequest,
    cluster: Kubectl,
    api: Api,
    operator: Operator,
    engine: engines.Engine,
    operator_image: image.Image,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cage]:
    run_steps(redis_image.steps(engine, request.config.option.cluster_name))
    folder: Path = tmp_path_factory.mktemp("canaries")
    reference = operator_image.reference
    with staged(cluster, api, "canaries") as scene, operator.started_with("--log-level=debug", replicas=REPLICAS):
        service = start_service(scene.kubectl, api, reference)
        redis_of = redis_image.reference() if engine.name == "local" else "redis:7"
        redis = start_redis(scene.kubectl, redis_image=redis_of, client_image=reference)
        await_service(scene.kubectl)
        service.control(status=422)  # with the wallet in the body, since that is in the path
        subject = f"--serviceaccount={scene.namespace}:{ACCOUNT}"
        scene.kubectl("create", "rolebinding", "api-reads", "--role=periodic-sync-reads-redis", subject)
        with started(scene.kubectl, reference, folder, "--log-level=debug") as http:
            yield Cage(scene, operator, http, redis, Canaries.hatched(), [])


def test_no_canary_is_seen_outside_of_the_store_and_the_batch_files(
    cage: Cage, operator_image: image.Image, tmp_path: Path
) -> None:
    scene, canaries = cage.scene, cage.canaries
    _write_configmaps(scene, canaries)
    paths: dict[str, str] = {}
    for name, worker in _workers(scene, operator_image.reference).items():
        paths |= {policy: _path(cage, policy) for policy in (f"maps-{name}", f"redis-{name}")}
        _apply(scene, f"maps-{name}", worker, {"configMap": {"name": "user-activity"}})
        store = {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": f"{PREFIX}{name}:"}
        _apply(scene, f"redis-{name}", worker, {"redis": store})
    with listening(cage.http, paths, cage.http.token("watcher", "periodic-sync-event-reader")) as streams:
        _call_as_careless_callers_do(cage)
        _damage_redis(cage, "answers")
        _await_all_mistakes(cage, streams)
        seen = [*_everything(cage, streams, tmp_path)]
    _assert_canaries_live(cage)
    hits = [hit for place, text, *but in seen for hit in cage.hits(place, text, *but)]
    assert not hits, "\n".join(sorted(hits))


def _await_all_mistakes(cage: Cage, streams: Mapping[str, Stream]) -> None:
    scene, canaries = cage.scene, cage.canaries
    for name in _workers(scene, ""):
        eventually(lambda name=name: _assert_failed(scene, f"maps-{name}", 6), seconds=120)  # type: ignore[misc]
        eventually(lambda name=name: _assert_failed(scene, f"redis-{name}", 4), seconds=120)  # type: ignore[misc]
    scene.request(f"plain,{canaries.unknown}", "asked", "maps-own")
    eventually(lambda: _assert_told(scene, "UnknownUsers"))
    eventually(lambda: _assert_skipped(scene, "maps-own", 5))
    eventually(lambda: _assert_skipped(scene, "redis-answers", 2))
    eventually(lambda: _assert_told_of_users(cage))
    eventually(lambda: _assert_streamed(streams, canaries), seconds=120)


def _write_configmaps(scene: Scene, canaries: Canaries) -> None:
    entries = canaries.records()
    scene.write_entries(entries)
    shard = {"sync.moonx.farm/store": "user-activity"}
    scene.write_entries({canaries.key: entries[canaries.key]}, store="more", labels=shard)


def _workers(scene: Scene, reference: str) -> dict[str, Object]:
    """By the policy's name, what fails how."""
    own = {"image": reference, "command": ["python3", "-c", OWN_WORKER]}
    service = f"http://sync-service.{scene.namespace}.svc/users/{{wallet}}/sync"
    return {
        "answers": {"http": {"url": service, "attempts": 1}},
        "refused": {"http": {"url": "http://127.0.0.1:9/{wallet}?{wallet}", "attempts": 1}},
        "nowhere": {"http": {"url": "http://nowhere.invalid/{wallet}", "attempts": 1, "body": {"w": "{wallet}"}}},
        "own": {**own, "args": ["names"]},
        "panic": {**own, "args": ["panics"]},
    }


def _apply(scene: Scene, name: str, worker: Object, store: Object) -> None:
    base = spec(worker, intervals=every("1h"), batchSize=20)
    scene.apply({**base, "store": store}, name)


def _damage_redis(cage: Cage, name: str) -> None:
    """What no writer of ours leaves: a wallet in a number's field of a user whose id is that wallet, and one ahead."""
    prefix = f"{PREFIX}{name}:"
    [meta] = cage.scene.kubectl("exec", POD, "--", "redis-cli", "--scan", "--pattern", f"{prefix}*meta").split()
    keys = Keys(prefix)
    assert keys.meta == meta
    broken, ahead = cage.canaries.broken, cage.canaries.ahead
    for user_id in (broken, ahead):
        assert (
            cage.call("manager", "PUT", f"{_path(cage, f'redis-{name}')}/users/{user_id}", {"wallet": user_id}).status
            == 204
        )
    commands = [f"hset {keys.user(broken)} interval {broken}", f"zadd {keys.shared[1]} 7258118400000 {ahead}"]
    for command in commands:
        cage.scene.kubectl("exec", POD, "--", "redis-cli", *command.split())


def _path(cage: Cage, policy: str) -> str:
    return f"/v1/namespaces/{cage.scene.namespace}/policies/{policy}"


def _call_as_careless_callers_do(cage: Cage) -> None:
    wallets, manager = cage.canaries, "manager"
    for name in _workers(cage.scene, ""):
        path = f"{_path(cage, f'redis-{name}')}/users"
        for user_id, wallet in (
            ("plain", wallets.plain),
            ("odd", wallets.odd),
            (wallets.key, wallets.key),
            ("token", wallets.token),
        ):
            assert cage.call(manager, "PUT", f"{path}/{user_id}", {"wallet": wallet}).status == 204
        assert cage.call(manager, "POST", f"{path}/token/tokens", {"tokens": [wallets.token]}).status == 204
    for role in (manager, "nobody", ""):
        for policy in ("maps-own", "redis-own"):
            for wallet in (wallets.unknown, wallets.odd):
                for method, path, body in mistakes(_path(cage, policy), wallet):
                    cage.call(role, method, path, body)
    assert len(cage.refusals) >= 3 * 2 * 2 * 10


def _everything(cage: Cage, streams: Mapping[str, Stream], folder: Path) -> Iterator[tuple[str, ...]]:
    """Places, what can be read there, and which canaries may be."""
    yield from _processes(cage)
    yield from ((f"an answer: {refusal}", refusal) for refusal in cage.refusals)
    yield from _objects(cage.scene)
    yield from _kept(cage.scene, cage.canaries)
    yield from _told(cage, streams, folder)


def _processes(cage: Cage) -> Iterator[tuple[str, str]]:
    """What operator, HTTP API and built-in workers say."""
    for pod in cage.operator.ready_pods():
        yield "the operator's log", json.dumps(cage.operator.log_of(pod))
    yield "the operator's metrics", cage.operator.scrape_leader().text
    yield "the HTTP API's log", cage.http.log()
    yield "the HTTP API's metrics", cage.http("GET", "/metrics", token=cage.http.token("nobody")).text
    yield "the HTTP API's health", cage.http("GET", "/health").text
    for name, log in _logs_of_built_in_workers(cage.scene).items():
        yield f"log of pod {name}", log


def _objects(scene: Scene) -> Iterator[tuple[str, str]]:
    """All that was ever made, as it was last."""
    for kind in ("/apis/events.k8s.io/v1", "/api/v1"):
        for event in scene.api.items(f"{kind}/namespaces/{scene.namespace}/events"):
            yield f"event {event['reason']}", json.dumps(event)
    for policy in scene.api.items(f"/apis/sync.moonx.farm/v1alpha1/namespaces/{scene.namespace}/syncpolicies"):
        yield f"status of {policy['metadata']['name']}", json.dumps(policy["status"])
    for job in scene.witness.jobs.all():
        yield f"Job {job.name}", json.dumps(job.body)
    for pod in scene.witness.pods.all():
        yield f"pod {pod.name}", json.dumps(_without_own_words(pod.body))
    for file in scene.witness.files.all():
        yield f"metadata of batch file {file.name}", json.dumps({**file.body, "data": [*file.body["data"]]})


def _kept(scene: Scene, wallets: Canaries) -> Iterator[tuple[str, ...]]:
    for found in scene.api.items(f"/api/v1/namespaces/{scene.namespace}/configmaps?labelSelector={LABEL}"):
        role = found["metadata"]["labels"]["sync.moonx.farm/role"]
        if role == "ledger":
            yield "a ledger", json.dumps(found)
        if role == "state":  # which names users, so that wallets used as ids are there
            yield "a state object", json.dumps(found), *wallets.ids


def _told(cage: Cage, streams: Mapping[str, Stream], folder: Path) -> Iterator[tuple[str, ...]]:
    """What people and programs ask for who have the rights. Whoever may see users' ids is shown them as they are."""
    for name, stream in streams.items():
        yield f"live events of {name}", stream.text, *cage.canaries.ids
    with forwarded(cage.scene.kubectl, POD, 6379) as redis:
        for policy in ("maps-own", "redis-answers"):
            for place, text in said(cage.scene.kubectl, policy, "plain", folder, REDIS_URL=f"redis://{redis}"):
                shows_ids = place.startswith(("users ", "plan "))
                yield f"{place} about {policy}", text, *(cage.canaries.ids if shows_ids else ())


def _is_own(pod: Object) -> bool:
    return pod["metadata"]["labels"][LABEL].rpartition("-")[2] in {"own", "panic"}


def _without_own_words(pod: Object) -> Object:
    """What a person's own image writes into its termination message is that person's affair."""
    shown: Object = json.loads(json.dumps(pod))
    for container in shown["status"].get("containerStatuses", ()) if _is_own(pod) else ():
        container["state"].get("terminated", {}).pop("message", None)
    return shown


def _logs_of_built_in_workers(scene: Scene) -> dict[str, str]:
    """By the pod's name, of those that have ended and are still there."""
    logs: dict[str, str] = {}
    for pod in scene.witness.pods.present():
        states = [container["state"] for container in pod.body["status"].get("containerStatuses", ())]
        if not _is_own(pod.body) and states and all("terminated" in state for state in states):
            with suppress(NotThereError):
                logs[pod.name] = scene.api.text(f"/api/v1/namespaces/{scene.namespace}/pods/{pod.name}/log")
    return logs


def _assert_canaries_live(cage: Cage) -> None:
    """Each is where it belongs, and every way in which it could have got out was gone."""
    scene, wallets = cage.scene, cage.canaries
    files = " ".join(json.dumps(each.body["data"]) for each in scene.witness.files.all())
    alive = {name for name, core in wallets.cores().items() if core in files}
    assert alive >= {name for name, wallet in vars(wallets).items() if wallet in wallets.in_batches}
    own = [pod.body for pod in scene.witness.pods.all() if _is_own(pod.body)]
    assert cage.hits("messages", json.dumps(own))
    logged = [line for pod in cage.operator.ready_pods() for line in cage.operator.log_of(pod)]
    assert {"debug", "warning"} <= {line["level"] for line in logged}
    assert any(line["level"] == "debug" for line in map(json.loads, cage.http.log().splitlines()))
    logs = _logs_of_built_in_workers(scene).values()
    assert sum("HTTP 422" in log for log in logs) >= 2
    assert sum("no connection" in log for log in logs) >= 2


def _assert_told_of_users(cage: Cage) -> None:
    lines = [line for pod in cage.operator.ready_pods() for line in cage.operator.log_of(pod)]
    reasons = [line["reason"] for line in lines if line["message"] == "user not synced"]
    assert any("no balance of (wallet), https://rpc.example/(wallet)" in reason for reason in reasons), reasons[-5:]
    assert any('{"wallet": "(wallet)"' in reason for reason in reasons)


def _assert_streamed(streams: Mapping[str, Stream], wallets: Canaries) -> None:
    for name, stream in streams.items():
        assert stream.events("user.failed"), f"{name}: {stream.text[-500:]}"
    assert any(event["user"] == wallets.key for event in streams["redis-own"].events("user.failed"))


def _assert_failed(scene: Scene, policy: str, users: int) -> None:
    assert scene.status(policy)["usersFailed"] >= users, f"{policy}: {scene.status(policy)}"


def _assert_skipped(scene: Scene, policy: str, entries: int) -> None:
    assert scene.status(policy)["skippedEntries"] >= entries, f"{policy}: {scene.status(policy)}"


def _assert_told(scene: Scene, reason: str) -> None:
    assert reason in {told for told, _ in scene.told("maps-own")}
