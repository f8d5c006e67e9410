"""The kinds of objects the operator reads and writes, and their paths."""

from dataclasses import dataclass

from periodic_sync.api.names import GROUP, PLURAL, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource, namespaced or not: `prefix` is the path of its API version."""

    prefix: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        scope = [] if namespace is None else ["namespaces", namespace]
        rest = [part for part in (name, subresource) if part]
        return "/".join([self.prefix, *scope, self.plural, *rest])


CONFIG_MAPS = Resource("/api/v1", "configmaps")
PODS = Resource("/api/v1", "pods")
POD_TEMPLATES = Resource("/api/v1", "podtemplates")
NAMESPACES = Resource("/api/v1", "namespaces")
SECRETS = Resource("/api/v1", "secrets")
EVENTS = Resource("/apis/events.k8s.io/v1", "events")
JOBS = Resource("/apis/batch/v1", "jobs")
LEASES = Resource("/apis/coordination.k8s.io/v1", "leases")
TOKEN_REVIEWS = Resource("/apis/authentication.k8s.io/v1", "tokenreviews")
ACCESS_REVIEWS = Resource("/apis/authorization.k8s.io/v1", "subjectaccessreviews")
OWN_ACCESS_REVIEWS = Resource("/apis/authorization.k8s.io/v1", "selfsubjectaccessreviews")
DEPLOYMENTS = Resource("/apis/apps/v1", "deployments")
DEFINITIONS = Resource("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions")
SYNC_POLICIES = Resource(f"/apis/{GROUP}/{VERSION}", PLURAL)
