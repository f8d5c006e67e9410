"""What really ran, counted again from the Jobs, pods and batch files that a witness saw, and from nothing of the
operator's own: no ledger, no state, no status."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from live.api import Object
from live.witness import Seen, Witness

INDEX = "batch.kubernetes.io/job-completion-index"
JOB_NAME = "batch.kubernetes.io/job-name"
POLICY = "sync.moonx.farm/policy"


@dataclass(frozen=True)
class Run:
    """A worker container that ran: seconds since the epoch, whole ones. `finished`: None while it runs."""

    policy: str
    batch: str
    users: tuple[str, ...]
    started: float
    finished: float | None


@dataclass(frozen=True)
class Claim:
    """One user's place in a batch file; milliseconds."""

    user: str
    at: int
    batch: str
    is_probe: bool


@dataclass(frozen=True)
class Count:
    """Users synced and failed by the results of Jobs."""

    synced: int
    failed: int


def jobs_of(witness: Witness, policy: str) -> list[Seen]:
    return [job for job in witness.jobs.all() if job.body["metadata"]["labels"][POLICY] == policy]


def users_of(witness: Witness) -> dict[str, tuple[str, ...]]:
    """The users of every batch that was ever proposed, by `<Job>-<index>`."""
    return {
        f"{file.name}-{index}": tuple(user["id"] for user in json.loads(text)["users"])
        for file in witness.files.all()
        for index, text in file.body["data"].items()
        if index.isdigit()
    }


def claims(witness: Witness, policy: str) -> list[Claim]:
    """Who was put in a batch that became a Job, and when."""
    made = {job.name for job in jobs_of(witness, policy)}
    users = users_of(witness)
    found = []
    for file in witness.files.all():
        if file.name not in made:
            continue
        about = json.loads(file.body["data"]["claim.json"])
        for index in range(len(about["batches"])):
            batch = f"{file.name}-{index}"
            found += [Claim(user, about["claimedAt"], batch, about["probe"]) for user in users[batch]]
    return sorted(found, key=lambda claim: claim.at)


def shortest_gap(found: list[Claim]) -> float:
    """The shortest time between two claims of one user, in seconds."""
    times: dict[str, list[int]] = {}
    for claim in found:
        times.setdefault(claim.user, []).append(claim.at)
    gaps = [later - earlier for at in times.values() for earlier, later in pairwise(sorted(at))]
    return min(gaps, default=1 << 40) / 1000


def runs(witness: Witness) -> Iterator[Run]:
    users = users_of(witness)
    for pod in witness.pods.all():
        about = pod.body["metadata"]
        policy, batch = about["labels"][POLICY], f"{about['labels'][JOB_NAME]}-{about['annotations'][INDEX]}"
        state = _worker_state(pod.body)
        ended, running = state.get("terminated"), state.get("running")
        if ended and ended.get("startedAt"):
            yield Run(policy, batch, users[batch], _seconds(ended["startedAt"]), _seconds(ended["finishedAt"]))
        elif running:
            yield Run(policy, batch, users[batch], _seconds(running["startedAt"]), pod.gone_at)


def overlapping(witness: Witness) -> list[str]:
    """Every case of a user in two running batches at once. Times are whole seconds, so what is told is certain."""
    by_user: dict[tuple[str, str], list[Run]] = {}
    for run in runs(witness):
        for user in run.users:
            by_user.setdefault((run.policy, user), []).append(run)
    found = []
    for (_, user), ran in by_user.items():
        for earlier, later in pairwise(sorted(ran, key=lambda run: run.started)):
            if earlier.finished is None or later.started < earlier.finished:
                found.append(f"{user} in {earlier} and in {later}")
    return found


def recount(witness: Witness, policy: str) -> Count:
    """Synced and failed users by what the Jobs and the workers' own messages say; where an index failed without a
    message, everyone in it did. For batches that nobody deleted."""
    users = users_of(witness)
    messages = _messages(witness)
    synced = failed = 0
    for job in jobs_of(witness, policy):
        status = job.body.get("status") or {}
        for index in indexes(status.get("completedIndexes", "")):
            synced += len(users[f"{job.name}-{index}"])
        for index in indexes(status.get("failedIndexes", "")):
            batch = f"{job.name}-{index}"
            said = messages.get(batch, {"failed": users[batch]})
            named = set(said.get("failed", ())) | {users[batch][at] for at in indexes(said.get("failedIndexes", ""))}
            synced += len(users[batch]) - len(named)
            failed += len(named)
    return Count(synced, failed)


def indexes(text: str) -> list[int]:
    """`1,3-5` in numbers."""
    parts = [part.split("-") for part in text.split(",") if part]
    return [number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)]


def _messages(witness: Witness) -> dict[str, Any]:
    found = {}
    for pod in witness.pods.all():
        about, message = pod.body["metadata"], _worker_state(pod.body).get("terminated", {}).get("message")
        if message:
            found[f"{about['labels'][JOB_NAME]}-{about['annotations'][INDEX]}"] = json.loads(message)
    return found


def _worker_state(pod: Object) -> Object:
    states = (pod.get("status") or {}).get("containerStatuses") or []
    return next((state["state"] for state in states if state["name"] == "worker"), {})


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
