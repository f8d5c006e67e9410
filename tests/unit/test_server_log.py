"""The HTTP API's line for each request: what it tells of whom the request was about."""

import logging
from typing import Any

import pytest

from periodic_sync.server.middleware import AccessLog
from periodic_sync.telemetry.api import ApiMetrics

WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"


async def line(caplog: pytest.LogCaptureFixture, level: int, status: int, **params: str) -> dict[str, Any]:
    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def send(message: Any) -> None:
        pass

    path = "/v1/" + "/".join(params.values())
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"wallet=0xCANARY", "path_params": params}
    with caplog.at_level(level, "periodic_sync.server.access_log"):
        await AccessLog(answers, ApiMetrics())(scope, None, send)  # type: ignore[arg-type]
    assert "0xCANARY" not in str(caplog.records[-1].__dict__)
    return caplog.records[-1].__dict__


async def test_users_are_told_at_debug_only(caplog: pytest.LogCaptureFixture) -> None:
    params = {"namespace": "shop", "policy": "portfolios", "user_id": "ada"}
    told = await line(caplog, logging.DEBUG, 204, **params)
    assert (told["user"], told["policy"]) == ("ada", "shop/portfolios")
    assert not {"user", "policy"} & (await line(caplog, logging.INFO, 204, **params)).keys()


@pytest.mark.parametrize("user_id", [WALLET, WALLET.lower(), f"user:{WALLET}", f"{WALLET}!", "wal let", ""])
@pytest.mark.parametrize("status", [204, 404])
async def test_what_is_a_wallet_or_no_id_is_told_never(
    caplog: pytest.LogCaptureFixture, status: int, user_id: str
) -> None:
    told = await line(caplog, logging.DEBUG, status, namespace="shop", policy="portfolios", user_id=user_id)
    assert not user_id or user_id not in str(told)


async def test_names_of_policies_that_are_none_are_told_never(caplog: pytest.LogCaptureFixture) -> None:
    told = await line(caplog, logging.DEBUG, 404, namespace="wal-let", policy="wal-let", user_id="ada")
    assert "wal-let" not in str(told)
