"""Rights: those that the operator's account needs, and those of whoever asks."""

from collections.abc import Iterable
from dataclasses import dataclass

from periodic_sync.api.errors import ApiError
from periodic_sync.api.names import GROUP
from periodic_sync.cli.check.lines import Line, failed, ok, tried, unseen
from periodic_sync.cli.check.operators import Operator
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.parallel import answers
from periodic_sync.kube.resources import ACCESS_REVIEWS, OWN_ACCESS_REVIEWS


@dataclass(frozen=True, slots=True)
class Right:
    """namespace: None for all of them, or for what is in none."""

    verb: str
    group: str
    resource: str
    name: str = ""
    namespace: str | None = None

    @property
    def words(self) -> str:
        of_group = f".{self.group}" if self.group else ""
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {self.resource}{of_group}{named}" + (f" in {self.namespace}" if self.namespace else "")

    def attributes(self) -> Object:
        resource, _, subresource = self.resource.partition("/")
        named = {"name": self.name, "namespace": self.namespace, "subresource": subresource}
        return {"verb": self.verb, "group": self.group, "resource": resource} | {k: v for k, v in named.items() if v}


CLUSTER_WIDE = ("namespaces", "customresourcedefinitions")
OPERATOR = (
    (GROUP, "syncpolicies", ("get", "list", "watch"), ""),
    (GROUP, "syncpolicies/status", ("get", "patch"), ""),
    ("batch", "jobs", ("get", "list", "watch", "create", "delete"), ""),
    ("", "pods", ("list",), ""),
    ("", "configmaps", ("get", "list", "watch", "create", "update", "delete"), ""),
    ("", "podtemplates", ("get",), ""),
    ("events.k8s.io", "events", ("create",), ""),
    ("", "namespaces", ("list", "watch"), ""),
    ("", "namespaces", ("get",), "kube-system"),
    ("apiextensions.k8s.io", "customresourcedefinitions", ("get", "list", "watch"), ""),
)
"""deploy/kustomize/cluster-role.yaml, which a test compares."""
LEASE_VERBS = ("get", "list", "watch", "update")

YOURS = (
    ("see policies", (GROUP, "syncpolicies", "get")),
    ("pause and sync", (GROUP, "syncpolicies", "patch")),
    ("see Jobs", ("batch", "jobs", "list")),
    ("see pods", ("", "pods", "list")),
    ("see ledgers and users in ConfigMaps", ("", "configmaps", "list")),
    ("register users in ConfigMaps", ("", "configmaps", "patch")),
    ("read Redis URLs from Secrets", ("", "secrets", "get")),
)


def operators_rights(operator: Operator, policy_namespace: str | None, redis_secret: str | None) -> list[Right]:
    """redis_secret: the one that the policy names."""
    inside = operator.serves or policy_namespace
    rights = [
        Right(verb, group, resource, name, None if resource in CLUSTER_WIDE else inside)
        for group, resource, verbs, name in OPERATOR
        for verb in verbs
        if not (operator.serves and resource in CLUSTER_WIDE)
    ]
    group = "coordination.k8s.io"
    rights += [Right(verb, group, "leases", operator.lease, operator.namespace) for verb in LEASE_VERBS]
    rights.append(Right("create", group, "leases", "", operator.namespace))
    if redis_secret and policy_namespace:
        rights.append(Right("get", "", "secrets", redis_secret, policy_namespace))
    return rights


async def look_at_operators_rights(client: KubeClient, operator: Operator, rights: Iterable[Right]) -> Line:
    wanted = list(rights)
    user = f"system:serviceaccount:{operator.namespace}:{operator.account}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{operator.namespace}", "system:authenticated"]

    def review(right: Right) -> Object:
        about = {"user": user, "groups": groups, "resourceAttributes": right.attributes()}
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": about}

    first = await tried(client.create(ACCESS_REVIEWS, None, review(wanted[0])))
    if isinstance(first, ApiError):
        return unseen("operator's rights", first)
    rest = await answers(client.create(ACCESS_REVIEWS, None, review(right)) for right in wanted[1:])
    return judge_rights(user, wanted, [first, *rest])


def judge_rights(user: str, rights: list[Right], reviews: list[Object | ApiError]) -> Line:
    topic = "operator's rights"
    trouble = next((review for review in reviews if isinstance(review, ApiError)), None)
    if trouble is not None:
        return unseen(topic, trouble)
    missing = [right.words for right, review in zip(rights, reviews, strict=True) if not _allowed(review)]
    if not missing:
        return ok(topic, f"{user} may do all that it needs ({len(rights)} rights)")
    secrets = all("secrets" in words for words in missing)
    fix = (
        "allow it in the policy's namespace: deploy/kustomize/redis-secret"
        if secrets
        else "apply the roles of the operator's version: `kubectl apply --server-side -k deploy/kustomize`"
    )
    return failed(topic, f"{user} may not {', '.join(missing)}", fix)


async def look_at_own_rights(client: KubeClient, namespace: str) -> Line:
    """What this program can do for whoever asks; nothing of it is a failure."""
    rights = [Right(verb, group, resource, "", namespace) for _, (group, resource, verb) in YOURS]
    reviews = await answers(
        client.create(
            OWN_ACCESS_REVIEWS,
            None,
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": right.attributes()},
            },
        )
        for right in rights
    )
    return judge_own_rights(namespace, reviews)


def judge_own_rights(namespace: str, reviews: list[Object | ApiError]) -> Line:
    topic = "your rights"
    trouble = next((review for review in reviews if isinstance(review, ApiError)), None)
    if trouble is not None:
        return unseen(topic, trouble)
    words = [what for what, _ in YOURS]
    may = [what for what, review in zip(words, reviews, strict=True) if _allowed(review)]
    may_not = [what for what in words if what not in may]
    message = f"in {namespace} you may " + (", ".join(may) or "nothing of what this program does")
    return ok(topic, message + (f"; you may not {', '.join(may_not)}" if may_not else ""))


def _allowed(review: Object | ApiError) -> bool:
    return not isinstance(review, ApiError) and bool((review.get("status") or {}).get("allowed"))
