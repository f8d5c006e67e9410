"""Whatever the OpenAPI document allows, and much that it does not, is answered without a 5xx."""

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from redis_support import Server

from .conftest import Place, on_redis

EXAMPLES = 8  # of each operation, valid ones and invalid ones


async def test_no_request_that_schemathesis_thinks_of_is_answered_with_5xx(place: Place, redis: Server) -> None:
    await redis.command("FLUSHALL")
    await on_redis(place, redis)
    schema = schemathesis.openapi.from_url(f"{place.server.base}/openapi.json")
    seen: dict[int, int] = {}

    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {place.tokens['manager']}"

    def send(case: schemathesis.Case) -> None:
        if "policy" in (case.path_parameters or {}):
            case.path_parameters |= {"namespace": place.namespace, "policy": "portfolios"}
        answer = case.call(session=session)
        assert answer.status_code < 500, f"{case.as_curl_command()}: {answer.text}"
        if answer.status_code >= 400:
            assert answer.headers["content-type"][0] == "application/problem+json", answer.text
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1

    limited = settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    for found in schema.get_all_operations():
        operation = found.ok()
        modes = GenerationMode if "/v1/" in operation.path else (GenerationMode.POSITIVE,)
        for mode in modes:
            limited(given(case=operation.as_strategy(generation_mode=mode))(send))()
    session.close()
    assert {200, 204, 404, 422} <= seen.keys(), seen
