"""The examples that `make demo` shows, one for each store, and how they are brought onto a cluster."""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from tasks.deploying import image_fields
from tasks.kubectl import Kubectl
from tasks.paths import BUILD, EXAMPLES, ROOT, shown
from tasks.shell import TaskError
from tasks.steps import Progress

POLICY = "portfolios"

_OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{example}]
images:
"""
_IMAGE = """\
  - name: {image}
    newName: {name}
    {version}
"""


class Users(NamedTuple):
    """The examples' users by id, and the quickstart's ConfigMap that has them, seen as of now."""

    active: list[str]
    inactive: list[str]
    config_map: str


@dataclass(frozen=True)
class Example:
    """`name`: of its folder. `job`: registers its users; where there is none they are a ConfigMap that is made here."""

    name: str
    namespace: str
    workloads: tuple[str, ...] = ("deployment/sync-service",)
    job: str = ""
    looks: tuple[tuple[str, str], ...] = ()
    """What there is to see of its store: titles and commands."""

    @property
    def stats(self) -> str:
        """Where the API server hands out what the sync service was asked."""
        return f"/api/v1/namespaces/{self.namespace}/services/sync-service:http/proxy/stats"


QUICKSTART = Example("quickstart", "periodic-sync-demo")

_REDIS_CLI = "kubectl exec redis-0 -n periodic-sync-demo-redis -- redis-cli"
REDIS = Example(
    "redis",
    "periodic-sync-demo-redis",
    workloads=("statefulset/redis", "deployment/sync-service"),
    job="register-users",
    looks=(
        ("what is in Redis", f"{_REDIS_CLI} --scan --pattern 'portfolios:*'"),
        ("a user in Redis", f"{_REDIS_CLI} HGETALL 'portfolios:{{3ad6}}u:user-01'"),
    ),
)

_BY_STORE = {"": QUICKSTART, "configmap": QUICKSTART, "redis": REDIS}


def choose(store: str) -> Example:
    """The example of the store that STORE names.

    Raises: TaskError where there is none.
    """
    if store not in _BY_STORE:
        raise TaskError(f"STORE={store} is not known: write STORE=configmap (as without it) or STORE=redis")
    return _BY_STORE[store]


def read_users() -> Users:
    """What examples/quickstart/users.py prints, and which of them are active; all examples have these."""
    file = EXAMPLES / QUICKSTART.name / "users.py"
    spec = importlib.util.spec_from_file_location("quickstart_users", file)
    if spec is None or spec.loader is None:
        raise TaskError(f"{shown(file)} can't be read")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = module.config_map(QUICKSTART.namespace, datetime.now(UTC))
    return Users(module.ACTIVE, module.INACTIVE, json.dumps(written))


def apply(progress: Progress, kubectl: Kubectl, example: Example, images: Mapping[str, str]) -> str:
    """The example with its users, active as of now, until all of it runs. images: other names for those it names."""
    users = read_users()
    if example.job:
        # a Job runs once: without it, its users stay as old as they are
        kubectl("delete", "job", example.job, "-n", example.namespace, "--ignore-not-found")
    else:
        namespace = EXAMPLES / example.name / "namespace.yaml"
        progress.run(kubectl.command("apply", "--server-side", "--force-conflicts", "-f", namespace))
        kubectl.apply(users.config_map)
    overlay = _overlay(example, images)
    progress.run(kubectl.command("apply", "--server-side", "--force-conflicts", "-k", overlay))
    _await(progress, kubectl, example)
    return f"{len(users.active)} active users and {len(users.inactive)} inactive ones"


def _overlay(example: Example, images: Mapping[str, str]) -> str:
    folder = BUILD / example.name
    folder.mkdir(parents=True, exist_ok=True)
    path = EXAMPLES.relative_to(ROOT) / example.name
    lines = [_IMAGE.format(image=image, **image_fields(reference)) for image, reference in images.items()]
    text = _OVERLAY.format(example=f"../../{path}") + "".join(lines)
    (folder / "kustomization.yaml").write_text(text)
    return str(folder)


def _await(progress: Progress, kubectl: Kubectl, example: Example) -> None:
    """Raises: TaskError with the namespace's pods and what the Job said, where something does not come to run."""
    namespace = ("-n", example.namespace)
    try:
        for workload in example.workloads:
            progress.run(kubectl.command("rollout", "status", workload, *namespace, "--timeout=90s"))
        if example.job:
            done = ("wait", f"job/{example.job}", "--for=condition=Complete", "--timeout=90s")
            progress.run(kubectl.command(*done, *namespace))
    except TaskError as failure:
        raise TaskError(f"{failure}\n{kubectl.diagnosis_of(example.namespace)}") from failure
