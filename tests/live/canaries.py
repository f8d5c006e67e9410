"""Canary wallets: who has them, where careless writers and callers put them, and a worker that tells them on."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from live.api import Object
from live.scene import record

AHEAD = "2199-01-01T00:00:00Z"
OWN_WORKER = """
import json, os, sys
users = json.load(open(os.environ["SYNC_BATCH_FILE"]))["users"]
print("failing for", [user["wallet"] for user in users], flush=True)
reasons = {user["id"]: f"no balance of {user['wallet']}, https://rpc.example/{user['wallet']}" for user in users}
reasons[users[0]["id"]] = {"wallet": users[0]["wallet"], "why": [users[-1]["wallet"].upper()]}
said = json.dumps({"version": 1, "failed": reasons}) if sys.argv[1] == "names" else f"panic: {users[0]['wallet']}"
open("/dev/termination-log", "w").write(said[:4096])
sys.exit(3)
"""
"""Whose reasons name wallets; or whose message is no JSON, and a wallet."""


def hexadecimal() -> str:
    return f"0x{secrets.token_hex(20)}"


@dataclass(frozen=True)
class Canaries:
    """Wallets by what is done with them. Each has a part that stands in no other text."""

    plain: str
    odd: str
    key: str
    user_id: str
    field: str
    broken: str
    token: str
    ahead: str
    unknown: str

    @classmethod
    def hatched(cls) -> "Canaries":
        odd = f'cänary "{secrets.token_hex(6)}" {{userId}}%2F&?#\\'
        return cls(hexadecimal(), odd, *(hexadecimal() for _ in range(7)))

    @property
    def in_batches(self) -> set[str]:
        """Those whose users are synced."""
        return {self.plain, self.odd, self.key, self.user_id, self.field, self.token}

    @property
    def ids(self) -> tuple[str, ...]:
        """Those that are users' ids too, which are told to whoever may see users."""
        return self.key, self.user_id, self.broken, self.ahead

    def cores(self, *without: str) -> dict[str, str]:
        """What to look for, by the name of the canary; the same in every spelling."""
        return {
            name: wallet.split('"')[1] if name == "odd" else wallet.removeprefix("0x")
            for name, wallet in vars(self).items()
            if wallet not in without
        }

    def records(self) -> dict[str, str]:
        """The entries of a ConfigMap, as careless writers leave them."""
        odd = {"interval": self.odd[:20], "timeZone": self.odd, "syncRequestedAt": self.odd}
        bad = {"interval": self.field, "timeZone": self.field, "syncRequestedAt": self.field, "changedTokens": "none"}
        entries: dict[str, Object] = {
            "plain": {"wallet": self.plain},
            "odd": {"wallet": self.odd, **odd},
            self.key: {"wallet": self.key, "interval": "often"},
            "by-id": {"userId": self.user_id, "wallet": self.user_id, "timeZone": "nowhere"},
            "field": {"wallet": self.field, **bad},
            "token": {"wallet": self.token, "changedTokens": {self.token: record()["lastActive"]}},
            self.ahead: {"wallet": self.ahead, "lastActive": AHEAD},
        }
        written = {key: json.dumps({**record(), **fields}) for key, fields in entries.items()}
        return {**written, self.broken: f'{{"wallet": "{self.broken}'}


def mistakes(path: str, wallet: str) -> Iterator[tuple[str, str, Any]]:
    """Requests with a wallet where none belongs; nearly all are refused."""

    quoted = quote(wallet, safe="")
    yield "GET", f"{path}/users/{quoted}", None
    yield "GET", f"{path}/users/{quoted}/why", None
    yield "GET", f"{path}/users/ada?wallet={quoted}", None
    yield "GET", f"{path}/users?cursor={quoted}", None
    yield "GET", f"{path}/users?limit={quoted}", None
    yield "GET", f"/v1/namespaces/{quoted.lower()}/policies/{quoted.lower()}/users", None
    yield "GET", f"/health?policy={quoted.lower()}/{quoted.lower()}", None
    yield "GET", f"/queue-stats?policy={quoted.lower()}", None
    yield "GET", f"/{quoted}", None
    yield "PUT", f"{path}/users/ada", {"wallet": wallet, "interval": wallet}
    yield "PUT", f"{path}/users/ada", {"wallet": "0xa1", "timeZone": wallet}
    yield "PUT", f"{path}/users/ada", {"wallet": "0xa1", "lastActive": wallet}
    yield "PUT", f"{path}/users/ada", {"wallet": [wallet]}
    yield "PUT", f"{path}/users/ada", {"wallet": wallet * 9}
    yield "PUT", f"{path}/users/ada", {wallet: wallet}
    yield "PUT", f"{path}/users/ada", f'{{"wallet": "{wallet}'.encode()
    yield "PUT", f"{path}/users/{quoted}!", {"wallet": wallet}
    yield "POST", f"{path}/users/{quoted}/activity", {"at": wallet}
    yield "POST", f"{path}/users/{quoted}/sync", {"wallet": wallet, "interval": wallet}
    yield "POST", f"{path}/activity", {"users": [{"id": f"{wallet}!", "at": wallet}]}
    yield "POST", f"{path}/users/{quoted}/tokens", {"tokens": [wallet]}
    yield "DELETE", f"{path}/users/{quoted}", None
