"""What goes into a bundle, read with the rights of whoever asks; what can't be had is noted."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import yaml

from periodic_sync.api.errors import ApiError
from periodic_sync.api.names import STORE_LABEL, SYNC_USERS_ANNOTATION, Condition, Role
from periodic_sync.api.reasons import EventReason
from periodic_sync.cli.check import conditions, operators
from periodic_sync.cli.check.lines import tried
from periodic_sync.cli.report import redaction as redact
from periodic_sync.cli.report.redaction import Redaction
from periodic_sync.core.objects import PolicyRef, selector
from periodic_sync.kube.client import KubeClient, Object, Objects
from periodic_sync.kube.resources import CONFIG_MAPS, EVENTS, JOBS, LEASES, PODS
from periodic_sync.stores.state_format import decode

T = TypeVar("T")
METRICS_PORT = 8080


@dataclass(slots=True)
class Collection:
    """files: text by name. missing: what could not be had, and why."""

    client: KubeClient
    namespace: str
    redaction: Redaction
    files: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    async def asked(self, what: str, request: Awaitable[T]) -> T | None:
        found = await tried(request)
        if isinstance(found, ApiError):
            self.missing.append(f"{what}: {found}")
            return None
        return found

    def add(self, name: str, document: Any) -> None:
        self.files[name] = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


async def learn_users(found: Collection, bodies: Iterable[Object]) -> None:
    """Ids and wallets, to be looked for in all texts. They stay in this process."""
    for body in bodies:
        about, redaction = body["metadata"], found.redaction
        asked = (about.get("annotations") or {}).get(SYNC_USERS_ANNOTATION, "")
        redaction.users |= {part.strip() for part in asked.split(",")} - {"all", "active", ""}
        store = ((body.get("spec") or {}).get("store") or {}).get("configMap") or {}
        if name := store.get("name"):
            main = await found.asked(f"users of {name}", found.client.get(CONFIG_MAPS, found.namespace, name))
            labels = f"{STORE_LABEL}={name}"
            more = await found.asked(f"users of {name}", found.client.list(CONFIG_MAPS, found.namespace, labels=labels))
            for item in [*([main] if main else []), *(more or [])]:
                for key, text in (item.get("data") or {}).items():
                    _learn(redaction, key, text)
        for item in await _config_maps(found, about["name"], Role.BATCH) or []:
            for text in (item.get("data") or {}).values():
                for user in _users_of(text):
                    _learn(redaction, str(user.get("id", "")), json.dumps(user))
        for condition in (body.get("status") or {}).get("conditions") or ():
            if condition.get("type") == Condition.STORE_READY and not redaction.with_user_ids:
                _phrase(redaction, str(condition.get("message") or ""))


def _learn(redaction: Redaction, key: str, text: str) -> None:
    redaction.users.add(key)
    try:
        record = json.loads(text)
    except ValueError:
        return
    if isinstance(record, dict):
        redaction.users |= {str(record[name]) for name in ("userId", "id") if record.get(name)}
        if isinstance(record.get("wallet"), str) and record["wallet"]:
            redaction.wallets.add(record["wallet"])


def _users_of(text: str) -> list[dict[str, Any]]:
    try:
        users = json.loads(text)["users"]
    except (ValueError, KeyError, TypeError):
        return []
    return [user for user in users if isinstance(user, dict)] if isinstance(users, list) else []


def _phrase(redaction: Redaction, text: str) -> None:
    if (shorter := redact.cut(text)) != text:
        redaction.phrases[text] = shorter


async def collect_policy(found: Collection, body: Object) -> None:
    name, uid = body["metadata"]["name"], body["metadata"]["uid"]
    folder, labels = f"policies/{name}", selector(name)
    found.add(f"{folder}/policy.yaml", redact.policy(body, found.redaction))
    for item in await _config_maps(found, name, Role.LEDGER) or []:
        text = "\n".join((item.get("data") or {}).values())
        found.files[f"{folder}/ledger.json"] = found.redaction.pattern(text)
    states = await _config_maps(found, name, Role.STATE)
    if states is not None:
        found.add(f"{folder}/state-figures.yaml", state_figures(states))
    batches = await found.asked(
        f"batch files of {name}",
        found.client.list(CONFIG_MAPS, found.namespace, labels=selector(name, Role.BATCH), metadata_only=True),
    )
    if batches is not None:
        found.add(f"{folder}/batch-files.yaml", [redact.object_metadata(it["metadata"]) for it in batches])
    await _listed(found, f"{folder}/jobs.yaml", JOBS, labels, lambda it: redact.job(it, found.redaction))
    await _listed(found, f"{folder}/pods.yaml", PODS, labels, lambda it: redact.pod(it, found.redaction))
    events = await found.asked(f"events of {name}", found.client.list(EVENTS, found.namespace))
    if events is not None:
        policy = PolicyRef(found.namespace, name, uid)
        found.add(
            f"{folder}/events.yaml", [_event(it, found.redaction) for it in events if conditions.is_of(it, policy)]
        )


async def _listed(
    found: Collection, file: str, resource: Any, labels: str, shown: Callable[[Object], dict[str, Any]]
) -> None:
    items = await found.asked(file, found.client.list(resource, found.namespace, labels=labels))
    if items is not None:
        found.add(file, [shown(it) for it in items])


async def _config_maps(found: Collection, policy: str, role: Role) -> Objects | None:
    what = f"ConfigMaps of {policy} with the role {role.value}"
    return await found.asked(what, found.client.list(CONFIG_MAPS, found.namespace, labels=selector(policy, role)))


def state_figures(states: Objects) -> dict[str, Any]:
    """How many users have failed and so on; nobody's record."""
    figures = {"configMaps": len(states), "users": 0, "failing": 0, "unexplained": 0, "returned": 0, "unreadable": 0}
    for item in states:
        try:
            users = decode((item.get("data") or {}).get("users", ""))
        except ValueError:
            figures["unreadable"] += 1
            continue
        figures["users"] += len(users)
        figures["failing"] += sum(state.failures > 0 for state in users.values())
        figures["unexplained"] += sum(state.unexplained > 0 for state in users.values())
        figures["returned"] += sum(state.returns > 0 for state in users.values())
    return figures


def _event(event: Mapping[str, Any], redaction: Redaction) -> dict[str, Any]:
    note = str(event.get("note") or "")
    if event.get("reason") == EventReason.UNKNOWN_USERS and not redaction.with_user_ids:
        _phrase(redaction, note)
    return {
        "time": conditions.event_time(dict(event)).isoformat(),
        "type": event.get("type"),
        "reason": event.get("reason"),
        "regarding": {key: (event.get("regarding") or {}).get(key) for key in ("kind", "name")},
        "note": redaction.text(note),
        "count": (event.get("series") or {}).get("count") or event.get("deprecatedCount") or 1,
    }


async def collect_operator(found: Collection, namespace: str, lines: int) -> None:
    """lines: of each pod's log, the last ones."""
    deployments = await operators.find_operators(found.client, namespace)
    places = {namespace}
    if isinstance(deployments, ApiError):
        found.missing.append(f"the operator's Deployment: {deployments}")
    else:
        found.add("operator/deployments.yaml", [asdict(each) for each in deployments])
        places |= {each.namespace for each in deployments}
    for place in sorted(places):
        leases = await found.asked("Leases", found.client.list(LEASES, place))
        ours = [it for it in leases or [] if it["metadata"]["name"].startswith(operators.NAME)]
        found.add(f"operator/{place}/leases.yaml", [{"name": it["metadata"]["name"], **it["spec"]} for it in ours])
        pods = await found.asked("the operator's pods", found.client.list(PODS, place, labels=operators.SELECTOR))
        found.add(f"operator/{place}/pods.yaml", [redact.pod(it, found.redaction) for it in pods or []])
        for pod in pods or []:
            await _collect_pod(found, place, pod["metadata"]["name"], lines)


async def _collect_pod(found: Collection, namespace: str, name: str, lines: int) -> None:
    path = PODS.path(namespace, name)
    for kind, more in (("log", ()), ("previous log", (("previous", "true"),))):
        answer = await tried(found.client.read(f"{path}/log", [("tailLines", str(lines)), *more]))
        if not isinstance(answer, ApiError):
            text = answer.body.decode(errors="replace")
            file = f"operator/{namespace}/{name}{'.previous' if more else ''}.log"
            found.files[file] = "".join(f"{log_line(line, found.redaction)}\n" for line in text.splitlines())
        elif not more:
            found.missing.append(f"{kind} of {namespace}/{name}: {answer}")
    metrics = await found.asked(
        f"metrics of {namespace}/{name}",
        found.client.read(f"{PODS.path(namespace, f'{name}:{METRICS_PORT}')}/proxy/metrics"),
    )
    if metrics is not None:
        found.files[f"operator/{namespace}/{name}.metrics"] = metrics.body.decode(errors="replace")


def log_line(line: str, redaction: Redaction) -> str:
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    if isinstance(fields, dict):
        return json.dumps(redaction.value(fields), ensure_ascii=False)
    return redaction.text(line)
