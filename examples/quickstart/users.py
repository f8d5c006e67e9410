#!/usr/bin/env python3
"""Prints the ConfigMap `user-activity` of the quickstart: 30 users, six of them not seen for days.

When they were last seen is relative to now, so apply it again to make them active once more:
    python3 examples/quickstart/users.py | kubectl apply --server-side -f -
"""

import argparse
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

ACTIVE = [f"user-{number:02d}" for number in range(1, 25)]
INACTIVE = [f"user-{number:02d}" for number in range(25, 31)]
SEEN = "%Y-%m-%dT%H:%M:%SZ"


def records(now: datetime) -> dict[str, str]:
    """What an application writes of each user, by user id: the value is the JSON record."""
    last_active = {user: now - timedelta(minutes=10 * place) for place, user in enumerate(ACTIVE)}
    last_active |= {user: now - timedelta(days=2 + place) for place, user in enumerate(INACTIVE)}
    return {
        user: json.dumps({"userId": user, "wallet": wallet_of(user), "lastActive": seen.strftime(SEEN)})
        for user, seen in last_active.items()
    }


def wallet_of(user: str) -> str:
    return f"0x{sha256(user.encode()).hexdigest()[:40]}"


def config_map(namespace: str, now: datetime) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "user-activity", "namespace": namespace},
        "data": records(now),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", default="periodic-sync-demo")
    options = parser.parse_args()
    print(json.dumps(config_map(options.namespace, datetime.now(UTC)), indent=2))


if __name__ == "__main__":
    main()
