"""Authentication and authorisation by Kubernetes: TokenReview and SubjectAccessReview."""

from periodic_sync.api.errors import ApiError
from periodic_sync.api.names import GROUP, VERSION
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.resources import ACCESS_REVIEWS, TOKEN_REVIEWS
from periodic_sync.server.access import Act, Caller


class TokenReviews:
    """An `Authenticator`."""

    def __init__(self, client: KubeClient, audience: str) -> None:
        self._client, self._audience = client, audience

    async def authenticate(self, token: str) -> Caller | None:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        status = (await self._client.create(TOKEN_REVIEWS, None, body)).get("status") or {}
        # An API server that knows of no audiences names none; then the token was meant for somebody else.
        if not status.get("authenticated") or self._audience not in (status.get("audiences") or ()):
            return None
        user = status.get("user") or {}
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        return Caller(
            user["username"], user.get("uid", ""), tuple(user.get("groups") or ()), tuple(sorted(extra.items()))
        )


class SubjectAccessReviews:
    """An `Authorizer`."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def allows(self, caller: Caller, act: Act) -> bool:
        status = (await self._client.create(ACCESS_REVIEWS, None, review(caller, act))).get("status")
        if not isinstance(status, dict):
            raise ApiError("the answer to a SubjectAccessReview has no status")
        return status.get("allowed") is True and not status.get("denied")


def review(caller: Caller, act: Act) -> Object:
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": caller.name,
            "uid": caller.uid,
            "groups": list(caller.groups),
            "extra": {key: list(values) for key, values in caller.extra},
            **_attributes(act),
        },
    }


def _attributes(act: Act) -> Object:
    if act.is_path:
        return {"nonResourceAttributes": {"path": act.resource, "verb": act.verb}}
    resource, _, subresource = act.resource.partition("/")
    attributes = {"group": GROUP, "version": VERSION, "resource": resource, "verb": act.verb}
    optional = {"subresource": subresource, "namespace": act.namespace, "name": act.policy}
    return {"resourceAttributes": attributes | {key: value for key, value in optional.items() if value}}
