"""Users for the ConfigMap store, in shards, as applications would write them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

Object = dict[str, Any]

STORE = "user-activity"
SHARD_LABEL = "sync.moonx.farm/store"


def config_maps(users: int, active: int, shards: int) -> Iterator[Object]:
    """ConfigMaps with that many users, of whom the active are spread over all of them."""
    now = datetime.now(UTC)
    step = users // active
    for shard in range(shards):
        data = {}
        for number in range(shard, users, shards):
            is_active = (number // shards) % step == 0
            seen = now - (timedelta(minutes=1) if is_active else timedelta(days=3))
            user_id, record = _user(number, seen)
            data[user_id] = json.dumps(record)
        name = STORE if shard == 0 else f"{STORE}-{shard}"
        about: Object = {"name": name, "labels": {SHARD_LABEL: STORE} if shard else {}}
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}


def _user(number: int, seen: datetime) -> tuple[str, Object]:
    """An id as long as a UUID, and a wallet as long as a real one."""
    digest = sha256(str(number).encode()).hexdigest()
    user_id = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
    return user_id, {"wallet": f"0x{digest[:40]}", "lastActive": seen.isoformat(timespec="seconds")}
