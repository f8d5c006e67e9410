"""What Kubernetes is asked about tokens and rights, and how its answers are read."""

from typing import Any

import pytest

from periodic_sync.api.errors import ApiError
from periodic_sync.server.access import Act, Caller
from periodic_sync.server.reviews import SubjectAccessReviews, TokenReviews, review

USER = {"username": "ada", "uid": "u", "groups": ["people"], "extra": {"scopes": ["a", "b"]}}
ACT = Act("update", "syncpolicies/users", "shop", "portfolios")


class Answering:
    """A `KubeClient` that answers a review with this status."""

    def __init__(self, status: Any) -> None:
        self.status, self.sent = status, {}

    async def create(self, resource: object, namespace: str | None, body: dict[str, Any]) -> dict[str, Any]:
        self.sent = body
        return {**body, "status": self.status}


@pytest.mark.parametrize(
    ("status", "name"),
    [
        ({"authenticated": True, "user": USER, "audiences": ["periodic-sync"]}, "ada"),
        ({"authenticated": True, "user": USER}, None),  # from one that knows of no audiences
        ({"authenticated": True, "user": USER, "audiences": ["https://kubernetes.default.svc"]}, None),
        ({"authenticated": False, "error": "expired"}, None),
        ({}, None),
        (None, None),
    ],
)
async def test_only_a_token_for_this_audience_is_accepted(status: Any, name: str | None) -> None:
    client = Answering(status)
    caller = await TokenReviews(client, "periodic-sync").authenticate("token")  # type: ignore[arg-type]
    assert (caller.name if caller else None) == name
    assert client.sent["spec"] == {"token": "token", "audiences": ["periodic-sync"]}


def test_a_right_is_asked_for_as_rbac_knows_it_with_all_that_is_known_of_the_caller() -> None:
    caller = Caller("ada", "u", ("people",), (("scopes", ("a", "b")),))
    assert review(caller, ACT)["spec"] == {
        "user": "ada",
        "uid": "u",
        "groups": ["people"],
        "extra": {"scopes": ["a", "b"]},
        "resourceAttributes": {
            "group": "sync.moonx.farm",
            "version": "v1alpha1",
            "resource": "syncpolicies",
            "subresource": "users",
            "verb": "update",
            "namespace": "shop",
            "name": "portfolios",
        },
    }
    attributes = review(caller, Act("list", "syncpolicies", "", ""))["spec"]["resourceAttributes"]
    assert attributes.keys() == {"group", "version", "resource", "verb"}


@pytest.mark.parametrize(
    ("status", "allowed"),
    [({"allowed": True}, True), ({"allowed": False}, False), ({"allowed": True, "denied": True}, False), ({}, False)],
)
async def test_a_right_is_there_only_where_kubernetes_says_so(status: Any, allowed: bool) -> None:
    assert await SubjectAccessReviews(Answering(status)).allows(Caller("ada"), ACT) is allowed  # type: ignore[arg-type]


async def test_an_answer_without_a_status_is_none() -> None:
    with pytest.raises(ApiError):
        await SubjectAccessReviews(Answering(None)).allows(Caller("ada"), ACT)  # type: ignore[arg-type]
