"""`check` and `report` beside a real operator: nothing is amiss, and the bundle has its logs and metrics."""

import json
import tarfile
from pathlib import Path

from cli_support import periodic_sync
from cluster_support import Kubectl, eventually
from live.scene import POLICY, Scene, spec
from live.service import SyncService

UNTOLD = {"operator's version"}
"""Images of tests have no version."""


def synced(scene: Scene, users: int) -> None:
    status = scene.status()
    assert status["usersSynced"] >= users
    assert {it["type"]: it["status"] for it in status["conditions"]} == {"Ready": "True", "StoreReady": "True"}


async def test_where_an_operator_works_nothing_is_amiss(
    scene: Scene, service: SyncService, cluster: Kubectl, tmp_path: Path
) -> None:
    users = scene.user_ids(3)
    scene.write_users(users)
    scene.apply(spec(service.worker))
    eventually(lambda: synced(scene, len(users)), seconds=90)
    where = (POLICY, "-n", scene.namespace)
    done = await periodic_sync("check", *where, "-o", "json", kubeconfig=cluster.kubeconfig)
    lines = json.loads(done.out)
    amiss = [line for line in lines if line["result"] != "ok" and line["topic"] not in UNTOLD]
    assert amiss == []
    assert done.code == 0
    assert {"operator", "leader", "operator's rights", "Jobs", "pods", "store"} <= {line["topic"] for line in lines}

    file = tmp_path / "bundle.tar.gz"
    done = await periodic_sync("report", *where, "-f", str(file), kubeconfig=cluster.kubeconfig)
    assert done.code == 0, done.err
    with tarfile.open(file) as archive:
        found = {name.partition("/")[2]: archive.extractfile(name) for name in archive.getnames()}
        files = {name: content.read().decode() for name, content in found.items() if content}
    everything = "\n".join(files.values())
    assert any(name.endswith(".log") and '"operator started"' in text for name, text in files.items())
    assert any(name.endswith(".metrics") and "periodic_sync_leader" in text for name, text in files.items())
    assert "nothing" in files["README.txt"].rpartition("What could not be had:")[2]
    for user in users:
        assert user not in everything
    assert "0x" not in everything
