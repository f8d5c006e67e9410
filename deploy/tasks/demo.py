"""An example on the cluster: applied, watched until every active user was synced twice, and explained."""

import json
from pathlib import Path
from typing import Any

from tasks import examples, redis_image
from tasks.engines import Engine
from tasks.examples import POLICY, Example, Users
from tasks.image import Image
from tasks.kubectl import Kubectl, wait_for
from tasks.paths import VENV
from tasks.shell import TaskError
from tasks.steps import Progress, Step

ROUNDS = 2
SYNC_SECONDS = 180

_NEXT = """
Next, after  export KUBECONFIG={kubeconfig} PATH={path}:$PATH
{commands}
  clean up    kubectl delete namespace {namespace}    (only the example)
              make clean                                    (the cluster too)
"""


def steps(engine: Engine, image: Image, example: Example) -> list[Step]:
    """Apply the example and watch it, once the operator is there."""
    kubectl = Kubectl(engine.kubeconfig())

    def apply(progress: Progress) -> str:
        more = redis_image.images(engine) if example is examples.REDIS else {}
        return examples.apply(progress, kubectl, example, {"periodic-sync": image.reference, **more})

    def watch(progress: Progress) -> str:
        return _watch(progress, kubectl, example, examples.read_users())

    loaded = redis_image.steps(engine) if example is examples.REDIS else []
    return [
        *loaded,
        Step("example", f"examples/{example.name}", "10 s", apply, after=("operator", "load-redis")),
        Step("sync", "every active user, twice", "40 s", watch, after=("example",)),
    ]


def _watch(progress: Progress, kubectl: Kubectl, example: Example, users: Users) -> str:
    """Wait until every active user was synced twice from now on.

    Raises: TaskError when that takes too long, or when an inactive user was synced.
    """
    before, restarts = synced(kubectl, example), kubectl.operator_restarts()

    def all_synced() -> bool | None:
        now = synced(kubectl, example)
        rounds = [now.get(user, 0) - before.get(user, 0) for user in users.active]
        once, twice = (sum(done >= wanted for done in rounds) for wanted in (1, ROUNDS))
        note = f"{once} of {len(rounds)} active users synced once, {twice} twice"
        if note != progress.latest:
            progress.note(note)
            progress.say(note)
        return True if twice == len(rounds) else None

    try:
        wait_for(all_synced, "every active user to be synced twice", SYNC_SECONDS)
    except TaskError as failure:
        raise TaskError(f"{failure}; {progress.latest}\n{kubectl.diagnosis()}") from failure
    wrong = sorted(set(users.inactive) & set(synced(kubectl, example)))
    if wrong:
        raise TaskError(f"users who are not active were synced: {', '.join(wrong)}\n{kubectl.diagnosis()}")
    if kubectl.operator_restarts() > restarts:
        raise TaskError(f"every active user was synced, but the operator ended in between\n{kubectl.diagnosis()}")
    return f"all {len(users.active)} active users, and none of the {len(users.inactive)} inactive ones"


def synced(kubectl: Kubectl, example: Example) -> dict[str, int]:
    """How often each user was synced, as the sync service counts."""
    stats: dict[str, Any] = json.loads(kubectl("get", "--raw", example.stats))
    return {user: seen["synced"] for user, seen in stats["users"].items()}


def explain(engine: Engine, example: Example) -> str:
    """What there is to see now, and what to try."""
    kubectl = Kubectl(engine.kubeconfig())
    shown_tables = [
        f"$ {' '.join(words)}\n{kubectl(*words[1:])}"
        for words in (
            ("kubectl", "get", "syncpolicy", "-n", example.namespace, "-o", "wide"),
            ("kubectl", "get", "jobs", "-n", example.namespace),
        )
    ]
    following = _NEXT.format(
        kubeconfig=_absolute(engine.kubeconfig()),
        path=VENV / "bin",
        namespace=example.namespace,
        commands="\n".join(_listed(title, command) for title, command in to_try(example)),
    )
    return "\n".join(["", *shown_tables]) + following


def to_try(example: Example) -> list[tuple[str, str]]:
    """Commands for somebody who has the example before them, with what they are for."""
    policy = f"syncpolicy {POLICY} -n {example.namespace}"
    return [
        ("watch", f"kubectl get syncpolicy -n {example.namespace} -w"),
        ("what the sync service was asked", f"kubectl get --raw {example.stats}"),
        *example.looks,
        ("change", f'kubectl patch {policy} --type merge -p \'{{"spec": {{"batchSize": 5}}}}\''),
        ("roll back", f'kubectl patch {policy} --type merge -p \'{{"spec": {{"enabled": false}}}}\''),
        ("and forth", f'kubectl patch {policy} --type merge -p \'{{"spec": {{"enabled": true}}}}\''),
    ]


def _listed(title: str, command: str) -> str:
    return f"  {title:<12}{command}" if len(title) < 12 else f"  {title}\n{'':14}{command}"


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()
