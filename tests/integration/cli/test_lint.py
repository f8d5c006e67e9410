"""`lint` and the real API server say the same of the same SyncPolicies."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bad_specs import BAD_SPECS, TYPOS, Bad
from cluster_support import ROOT
from periodic_sync.cli.lint.check import SOME_RULES_WERE_NOT_CHECKED, check_policy
from periodic_sync.cli.lint.findings import spelled
from periodic_sync.kube.client import KubeClient
from periodic_sync.kube.resources import SYNC_POLICIES
from policy_support import EVERY_FIELD, GOOD_CHANGES, MINIMAL_SPEC, Spec, largest_spec, policy_body, spec_with

EXAMPLES = 150
SAID_TWICE = "Checked value must be of type integer"
"""Of a fraction in place of a whole number the server says so, besides what it says of its type."""

MANIFESTS = {
    str(path.relative_to(ROOT)): text
    for path in sorted((ROOT / "examples").glob("*/*.yaml"))
    if "kind: SyncPolicy" in (text := path.read_text())
}


class Refusal(NamedTuple):
    field: str
    cause: str
    message: str


async def answer(client: KubeClient, body: Spec) -> dict[str, Any]:
    """What the API server says of it, with every cause, and nothing is written."""
    response = await client._open(
        "POST",
        SYNC_POLICIES.path(body["metadata"].get("namespace", "default")),
        [("dryRun", "All"), ("fieldValidation", "Strict")],
        "application/json",
        body=body,
        timeout=aiohttp.ClientTimeout(total=30),
    )
    text = await response.read()
    said: dict[str, Any] = json.loads(text)
    return said


def refusals(said: dict[str, Any]) -> list[Refusal]:
    causes = (said.get("details") or {}).get("causes") or [] if said["kind"] == "Status" else []
    return sorted(Refusal(_field(it["field"]), it["reason"], it["message"]) for it in causes)


def _field(text: str) -> str:
    """Rules write a map's key in brackets, types write it after a point; `lint` does the latter. The root is <nil>."""
    return re.sub(r"\[([^]\d][^]]*)\]", r".\1", text).replace("<nil>", "")


def found(body: Spec) -> list[Refusal]:
    return sorted(
        Refusal(spelled(it.path), it.cause.value, it.message) for it in check_policy(body) if it.cause is not None
    )


def agree(said: dict[str, Any], body: Spec) -> None:
    """On each field and cause, and on the sentence, before which the server puts the value."""
    theirs = refusals(said)
    silent = [it for it in theirs if SOME_RULES_WERE_NOT_CHECKED in it.message]
    assert bool(silent) == any(it.message == SOME_RULES_WERE_NOT_CHECKED for it in check_policy(body))
    rest = [it for it in theirs if it not in silent and SAID_TWICE not in it.message]
    for mine in found(body):
        same = [it for it in rest if it[:2] == mine[:2] and it.message.endswith(mine.message)]
        assert same, (mine, rest)
        rest.remove(same[0])
    assert rest == []


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.case) for bad in BAD_SPECS])
async def test_a_bad_spec_is_refused_with_the_same_sentence(client: KubeClient, bad: Bad) -> None:
    body = policy_body(spec_with(bad.change))
    said = await answer(client, body)
    assert said["kind"] == "Status"
    assert found(body)
    agree(said, body)


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.case) for bad in TYPOS])
async def test_a_misspelt_field_is_told_by_the_same_words(client: KubeClient, bad: Bad) -> None:
    body = policy_body(spec_with(bad.change))
    theirs = re.findall(r'unknown field "[^"]*"', (await answer(client, body))["message"])
    ours = [it.message.partition(": do you mean")[0] for it in check_policy(body) if "unknown field" in it.message]
    assert sorted(ours) == sorted(theirs) != []


GOOD = {
    "the minimal spec": MINIMAL_SPEC,
    "every field": EVERY_FIELD,
    "the largest spec": largest_spec(),
    **{case: spec_with(change) for case, change in GOOD_CHANGES.items()},
}


@pytest.mark.parametrize("case", GOOD)
async def test_a_good_spec_is_taken_by_both(client: KubeClient, case: str) -> None:
    body = policy_body(GOOD[case])
    assert (await answer(client, body))["kind"] == "SyncPolicy"
    assert [it for it in check_policy(body) if it.is_error] == []


@pytest.mark.parametrize("file", MANIFESTS)
async def test_an_example_is_taken_by_both(client: KubeClient, file: str) -> None:
    for body in yaml.safe_load_all(MANIFESTS[file]):
        if body["kind"] == "SyncPolicy":
            body["metadata"].pop("namespace", None)
            assert (await answer(client, body))["kind"] == "SyncPolicy"
            assert [it for it in check_policy(body) if it.is_error] == []


STRANGE: dict[str, Callable[[Spec], None]] = {
    "no spec": lambda body: body.pop("spec"),
    "a spec of nothing": lambda body: body.update(spec=None),
    "a spec that is a list": lambda body: body.update(spec=[]),
    "a name of 41": lambda body: body["metadata"].update(name="p" * 41),
    "a name with a dot": lambda body: body["metadata"].update(name="my.policy"),
    "a name with capitals": lambda body: body["metadata"].update(name="Mine"),
    "a name of 40 letters outside ASCII": lambda body: body["metadata"].update(name="ä" * 40),
    "no name": lambda body: body["metadata"].pop("name"),
    "null in a list": lambda body: body["spec"].update(marketHours={"days": [None]}),
    "null among variables": lambda body: body["spec"]["worker"].update(env=[None]),
    "null among labels": lambda body: body["spec"].update(jobs={"labels": {"team": None}}),
    "a store's name in umlauts": lambda body: body["spec"].update(store={"configMap": {"name": "ü" * 40}}),
    "a number with a point that is whole": lambda body: body["spec"].update(batchSize=10.0),
    "too many labels": lambda body: body["spec"].update(jobs={"labels": {f"k{n}": "" for n in range(33)}}),
    "a text that is too long": lambda body: body["spec"]["store"]["configMap"].update(name="u" * 1000),
    "an empty key": lambda body: body["spec"].update(jobs={"labels": {"": "x"}}),
    "a quantity as a fraction": lambda body: body["spec"]["worker"].update(resources={"limits": {"cpu": 0.5}}),
    "requests in another unit": lambda body: body["spec"]["worker"].update(
        resources={"requests": {"cpu": "1500m", "memory": "1e3"}, "limits": {"cpu": 1, "memory": "1Ki"}}
    ),
}


@pytest.mark.parametrize("case", STRANGE)
async def test_what_is_strange_is_judged_alike(client: KubeClient, case: str) -> None:
    body = policy_body(json.loads(json.dumps(MINIMAL_SPEC)))
    STRANGE[case](body)
    agree(await answer(client, body), body)


WORDS = (
    "", "0s", "1s", "5m", "1h", "25h", "09:00", "17:00", "24:00", "Mon", "GET", "user-activity", "Users", "ä" * 3,
    "{userId}", "http://sync/{userId}", "sync.moonx.farm/x", "a" * 70, "64Mi", "1Gi", "Etc/UTC", "\n", "a\u0000",
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 1002) | st.sampled_from(WORDS) | st.floats(-2, 2, width=16),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("name", "key", "value")), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All there are in a spec, containers too."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(each for key, item in inside for each in places(item, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> Spec:
    """A good spec with up to three values in it replaced, taken away, or added."""
    spec: Spec = json.loads(
        json.dumps(draw(st.sampled_from((EVERY_FIELD, MINIMAL_SPEC, *map(spec_with, GOOD_CHANGES.values())))))
    )
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(spec)))
        inside: Any = spec
        for step in way:
            inside = inside[step]
        if draw(st.booleans()):
            del inside[last]
        else:
            inside[last] = draw(values)
        if not spec:
            break
    return spec


async def test_whatever_a_spec_is_changed_to_both_refuse_it_or_neither(client: KubeClient) -> None:
    """The sentences too. Examples are drawn in a thread, since hypothesis knows no event loop."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(mutated())
    def holds(spec: Spec) -> None:
        body = policy_body(spec)
        said = asyncio.run_coroutine_threadsafe(answer(client, body), loop).result(60)
        if said["kind"] == "Status" and "strict decoding error" in said["message"]:
            assert any("unknown field" in it.message for it in check_policy(body))
            return
        assert (said["kind"] == "Status") == bool(found(body)), said.get("message")
        agree(said, body)

    await asyncio.to_thread(holds)
