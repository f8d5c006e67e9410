"""The quickstart on the cluster: applied, watched until every active user was synced twice, and explained."""

import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tasks.deploying import image_fields
from tasks.engines import Engine
from tasks.image import Image
from tasks.kubectl import Kubectl, wait_for
from tasks.paths import BUILD, QUICKSTART, VENV, shown
from tasks.shell import TaskError
from tasks.steps import Progress, Step

NAMESPACE = "periodic-sync-demo"
POLICY = "portfolios"
STATS = f"/api/v1/namespaces/{NAMESPACE}/services/sync-service:http/proxy/stats"
ROUNDS = 2
SYNC_SECONDS = 180

_OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../examples/quickstart]
images:
  - name: periodic-sync
    newName: {name}
    {version}
"""

_NEXT = """
Next, after  export KUBECONFIG={kubeconfig} PATH={path}:$PATH
  watch       kubectl get syncpolicy,jobs -n {namespace} -w
  what the sync service was asked
              kubectl get --raw {stats}
  change      kubectl patch syncpolicy {policy} -n {namespace} --type merge -p '{{"spec": {{"batchSize": 5}}}}'
  roll back   kubectl patch syncpolicy {policy} -n {namespace} --type merge -p '{{"spec": {{"enabled": false}}}}'
  and forth   kubectl patch syncpolicy {policy} -n {namespace} --type merge -p '{{"spec": {{"enabled": true}}}}'
  clean up    kubectl delete namespace {namespace}    (only the example)
              make clean                                    (the cluster too)
"""


class Users(NamedTuple):
    """The quickstart's users by id, and the ConfigMap that has them, seen as of now."""

    active: list[str]
    inactive: list[str]
    config_map: str


def steps(engine: Engine, image: Image) -> list[Step]:
    """Apply the example and watch it, once the operator is there."""
    kubectl = Kubectl(engine.kubeconfig())
    users = read_users()
    return [
        Step("example", "examples/quickstart", "10 s", lambda p: apply(p, kubectl, image, users), after=("operator",)),
        Step("sync", "every active user, twice", "40 s", lambda p: _watch(p, kubectl, users), after=("example",)),
    ]


def read_users() -> Users:
    """What examples/quickstart/users.py prints, and which of them are active."""
    spec = importlib.util.spec_from_file_location("quickstart_users", QUICKSTART / "users.py")
    if spec is None or spec.loader is None:
        raise TaskError(f"{shown(QUICKSTART / 'users.py')} can't be read")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Users(module.ACTIVE, module.INACTIVE, json.dumps(module.config_map(NAMESPACE, datetime.now(UTC))))


def apply(progress: Progress, kubectl: Kubectl, image: Image, users: Users) -> str:
    """The namespace; the users, active as of now; then the sync service and the policy."""
    folder = BUILD / "quickstart"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(_OVERLAY.format(**image_fields(image.reference)))
    progress.run(kubectl.command("apply", "--server-side", "--force-conflicts", "-f", QUICKSTART / "namespace.yaml"))
    kubectl.apply(users.config_map)
    progress.run(kubectl.command("apply", "--server-side", "--force-conflicts", "-k", folder))
    progress.run(kubectl.command("rollout", "status", "deployment/sync-service", "-n", NAMESPACE, "--timeout=90s"))
    return f"{len(users.active)} active users and {len(users.inactive)} inactive ones"


def _watch(progress: Progress, kubectl: Kubectl, users: Users) -> str:
    """Wait until every active user was synced twice from now on.

    Raises: TaskError when that takes too long, or when an inactive user was synced.
    """
    before, restarts = synced(kubectl), kubectl.operator_restarts()

    def all_synced() -> bool | None:
        now = synced(kubectl)
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
    wrong = sorted(set(users.inactive) & set(synced(kubectl)))
    if wrong:
        raise TaskError(f"users who are not active were synced: {', '.join(wrong)}\n{kubectl.diagnosis()}")
    if kubectl.operator_restarts() > restarts:
        raise TaskError(f"every active user was synced, but the operator ended in between\n{kubectl.diagnosis()}")
    return f"all {len(users.active)} active users, and none of the {len(users.inactive)} inactive ones"


def synced(kubectl: Kubectl) -> dict[str, int]:
    """How often each user was synced, as the sync service counts."""
    stats: dict[str, Any] = json.loads(kubectl("get", "--raw", STATS))
    return {user: seen["synced"] for user, seen in stats["users"].items()}


def explain(engine: Engine) -> str:
    """What there is to see now, and what to try."""
    kubectl = Kubectl(engine.kubeconfig())
    shown_tables = [
        f"$ {' '.join(words)}\n{kubectl(*words[1:])}"
        for words in (
            ("kubectl", "get", "syncpolicy", "-n", NAMESPACE, "-o", "wide"),
            ("kubectl", "get", "jobs", "-n", NAMESPACE),
        )
    ]
    following = _NEXT.format(
        kubeconfig=_absolute(engine.kubeconfig()),
        path=VENV / "bin",
        namespace=NAMESPACE,
        policy=POLICY,
        stats=STATS,
    )
    return "\n".join(["", *shown_tables]) + following


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()
