"""`report` on a real API server, with canaries everywhere: none of them is in the unpacked bundle."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster_support import Kubectl
from periodic_sync.api.names import REQUESTED_AT_ANNOTATION, SYNC_USERS_ANNOTATION
from periodic_sync.kube.resources import CONFIG_MAPS, SYNC_POLICIES
from turns_support import NAME, STORE

from .conftest import PASSWORD, Place

CANARIES = {
    "a variable": "canary-variable",
    "an argument": "canary-argument",
    "a header": "canary-header",
    "a body": "canary-body",
    "a query": "canary-query",
    "an annotation": "canary-annotation",
    "a Job's annotation": "canary-on-jobs",
    "a Secret": "canary-secret",
    "Redis": PASSWORD,
}
USERS = ("canary-ada", "canary-bob", "canary-nobody")
WALLET = "0xwallet-of-"
POLICY: dict[str, Any] = {
    "worker": {
        "http": {
            "url": "http://sync.default.svc/{userId}?key=canary-query",
            "headers": [{"name": "X-Key", "value": "canary-header"}],
            "body": {"user": "{userId}", "key": "canary-body"},
        },
        "env": [{"name": "KEY", "value": "canary-variable"}],
    },
    "jobs": {"annotations": {"example.com/x": "canary-on-jobs"}},
}


async def prepared(place: Place, api_server: Path) -> None:
    """A policy with users in flight, an ended pod that named one, a broken record, and a request for somebody else."""
    bench = place.bench
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"k": "canary-secret"}}
    Kubectl(api_server, bench.namespace).apply(secret)
    await place.apply(POLICY)
    await place.register(*USERS[:2])
    if place.redis is None:
        broken = {"data": {"canary-broken": "no JSON"}}
        await bench.client.merge(CONFIG_MAPS, bench.namespace, STORE, broken)
    marks = {
        "example.com/note": "canary-annotation",
        SYNC_USERS_ANNOTATION: ",".join(USERS),
        REQUESTED_AT_ANNOTATION: "first",
    }
    await bench.client.merge(SYNC_POLICIES, bench.namespace, NAME, {"metadata": {"annotations": marks}})
    operator = bench.operator()
    await operator.turn()
    bench.now += 1
    await operator.turn()


def unpacked(file: Path, folder: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}


async def test_a_bundle_holds_what_helps_and_nothing_that_must_not_leave(
    place: Place, api_server: Path, tmp_path: Path
) -> None:
    await prepared(place, api_server)
    file = tmp_path / "bundle.tar.gz"
    done = await place.run("report", NAME, "-f", str(file))
    assert (done.code, done.err) == (0, "")
    assert file.stat().st_mode & 0o777 == 0o600
    files = unpacked(file, tmp_path / "out")
    folder = f"policies/{NAME}"
    for name in ("policy.yaml", "ledger.json", "jobs.yaml", "pods.yaml", "events.yaml", "batch-files.yaml"):
        assert f"{folder}/{name}" in files
    assert {"README.txt", "check.json", "versions.json"} <= files.keys()
    everything = "\n".join(files.values())
    for what, canary in CANARIES.items():
        assert canary not in everything, what
    for user in (*USERS, "canary-broken"):
        assert user not in everything
    assert WALLET not in everything
    policy = yaml.safe_load(files[f"{folder}/policy.yaml"])
    assert policy["spec"]["worker"]["http"]["body"] == {"user": "{userId}", "key": "…"}
    assert policy["spec"]["worker"]["env"] == [{"name": "KEY", "value": "[redacted]"}]
    assert policy["status"]["totalUsers"] == 2
    assert len(yaml.safe_load(files[f"{folder}/jobs.yaml"])) >= 1
    assert any(line["topic"] == "CRD" for line in json.loads(files["check.json"]))
    assert "there is no" not in files["README.txt"]
    assert "hashed" in files["README.txt"]


async def test_ids_are_there_for_those_who_want_them(on_config_maps: Place, api_server: Path, tmp_path: Path) -> None:
    await prepared(on_config_maps, api_server)
    file = tmp_path / "bundle.tar.gz"
    assert (await on_config_maps.run("report", "-f", str(file), "--with-user-ids")).code == 0
    everything = "\n".join(unpacked(file, tmp_path / "out").values())
    assert "canary-nobody" in everything
    assert WALLET not in everything
    for what, canary in CANARIES.items():
        assert canary not in everything, what


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("other",), "There is no SyncPolicy other in namespace"),
        (("-f", "/nowhere/at/all.tar.gz"), "/nowhere/at/all.tar.gz"),
    ],
)
async def test_what_can_not_be_done_is_told(on_config_maps: Place, arguments: tuple[str, ...], words: str) -> None:
    done = await on_config_maps.run("report", *arguments)
    assert (done.code, done.out) == (1, "")
    assert words in done.err
