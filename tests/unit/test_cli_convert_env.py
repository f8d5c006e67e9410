"""`periodic-sync convert-env`: the old service's variables as a SyncPolicy, by tables."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND
from periodic_sync.cli import main as cli
from periodic_sync.cli.convert_env import settings as old
from periodic_sync.cli.convert_env.manifest import Place, manifest
from periodic_sync.cli.convert_env.settings import Settings, read_settings
from periodic_sync.cli.lint.check import check_policy

PLACE = Place("portfolios", None, "user-activity", None, "url", "portfolios:", None)


def settings(**variables: str) -> Settings:
    return read_settings({f"{old.PREFIX}{name}": text for name, text in variables.items()})


def spec_of(found: Settings, place: Place = PLACE) -> dict[str, Any]:
    body = yaml.safe_load(manifest(found, place, "a test"))
    assert [each for each in check_policy(body) if each.is_error] == []
    spec: dict[str, Any] = body["spec"]
    return spec


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({}, (True, 5 * MINUTE, 15 * MINUTE, HOUR, 10), id="nothing: the defaults"),
        pytest.param({"ENABLED": "false"}, (False, 5 * MINUTE, 15 * MINUTE, HOUR, 10), id="off"),
        pytest.param({"ENABLED": " TRUE "}, (True, 5 * MINUTE, 15 * MINUTE, HOUR, 10), id="on, in capitals"),
        pytest.param(
            {"MARKET_HOURS_INTERVAL": "600000", "OFF_HOURS_INTERVAL": "1800000", "STALE_THRESHOLD": "7200000",
             "BATCH_SIZE": "5"},
            (True, 10 * MINUTE, 30 * MINUTE, 2 * HOUR, 5), id="Development",
        ),
        pytest.param(
            {"MARKET_HOURS_INTERVAL": "900000", "OFF_HOURS_INTERVAL": "1800000", "STALE_THRESHOLD": "1800000",
             "BATCH_SIZE": "20"},
            (True, 15 * MINUTE, 30 * MINUTE, 30 * MINUTE, 20), id="High load",
        ),
        pytest.param(
            {"OFF_HOURS_INTERVAL": "86400000", "STALE_THRESHOLD": "90061001"},
            (True, 5 * MINUTE, DAY, DAY + HOUR + MINUTE + SECOND + 1, 10), id="to the millisecond",
        ),
    ],
)  # fmt: skip
def test_what_is_as_it_should_be_is_taken_without_a_word(variables: dict[str, str], expected: tuple[Any, ...]) -> None:
    found = settings(**variables)
    assert (found.enabled, found.market_hours, found.off_hours, found.stale, found.batch_size) == expected
    assert found.warnings == []
    spec_of(found)


@pytest.mark.parametrize(
    ("variables", "field", "made", "words"),
    [
        ({"ENABLED": "maybe"}, "enabled", False, "neither true nor false"),
        ({"ENABLED": ""}, "enabled", False, "neither true nor false"),
        ({"MARKET_HOURS_INTERVAL": "0"}, "market_hours", 5 * MINUTE, "not longer than zero. Made of it: 5m"),
        ({"MARKET_HOURS_INTERVAL": "-5"}, "market_hours", 5 * MINUTE, "not longer than zero"),
        ({"MARKET_HOURS_INTERVAL": "300"}, "market_hours", SECOND, "1s to 99999h can be set. Made of it: 1s"),
        ({"MARKET_HOURS_INTERVAL": "7m"}, "market_hours", 7 * MINUTE, "no number of milliseconds"),
        ({"OFF_HOURS_INTERVAL": "soon"}, "off_hours", 15 * MINUTE, "Made of it: 15m, the default"),
        ({"OFF_HOURS_INTERVAL": "1.5"}, "off_hours", 15 * MINUTE, "no number of milliseconds"),
        ({"STALE_THRESHOLD": "9" * 30}, "stale", 99_999 * HOUR, "refused"),
        ({"STALE_THRESHOLD": "60000"}, "stale", 10 * MINUTE, "not longer than the shorter interval, 5m"),
        (
            {"MARKET_HOURS_INTERVAL": "9" * 15, "OFF_HOURS_INTERVAL": "9" * 15},
            "stale",
            100_000 * HOUR - SECOND,
            "Made of it: 99999h59m59s, the longest that can be written",
        ),
        ({"OFF_HOURS_INTERVAL": "172800000"}, "active", 2 * DAY, "thresholds.active of 48h"),
        ({"BATCH_SIZE": "0"}, "batch_size", 10, "no number of users from 1 on"),
        ({"BATCH_SIZE": "many"}, "batch_size", 10, "no number of users from 1 on"),
        ({"BATCH_SIZE": "5000"}, "batch_size", 1000, "1 to 1000 can be set"),
        ({"WORKERS": "3"}, "batch_size", 10, "PERIODIC_SYNC_WORKERS is none of the old service's settings"),
    ],
)
def test_what_the_rules_refuse_is_mended_and_told(variables: dict[str, str], field: str, made: Any, words: str) -> None:
    found = settings(**variables)
    assert getattr(found, field) == made
    assert words in "; ".join(found.warnings)
    spec_of(found)


@given(st.dictionaries(st.sampled_from(old.KNOWN), st.text(max_size=12) | st.integers(-5, 10**13).map(str)))
def test_whatever_the_variables_say_the_api_server_would_take_it(variables: dict[str, str]) -> None:
    spec_of(read_settings(variables))


def test_each_line_says_where_it_came_from() -> None:
    text = manifest(settings(BATCH_SIZE="20", ENABLED="true"), PLACE, ".env")
    assert re.search(r"batchSize: 20 +# from PERIODIC_SYNC_BATCH_SIZE=20\n", text)
    assert re.search(r"offHours: 15m +# the default\n", text)


def test_a_store_in_redis_and_an_address() -> None:
    place = Place("p", "shop", "", "redis", "address", "p:", "http://sync.shop.svc/{userId}")
    spec = spec_of(settings(), place)
    assert spec["store"] == {"redis": {"urlSecretRef": {"name": "redis", "key": "address"}, "keyPrefix": "p:"}}
    assert spec["worker"] == {"http": {"url": "http://sync.shop.svc/{userId}"}}


ENV_FILE = """\
# the old service
export PERIODIC_SYNC_ENABLED="true" # at last
PERIODIC_SYNC_BATCH_SIZE='20'
PERIODIC_SYNC_STALE_THRESHOLD=${HOME}
REDIS_URL=redis://:hunter2@redis:6379
"""


def test_a_file_of_variables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / ".env"
    file.write_text(ENV_FILE)
    assert cli.main(["convert-env", str(file), "-n", "shop", "--name", "nft"]) == 0
    out, err = capsys.readouterr()
    body = yaml.safe_load(out)
    assert body["metadata"] == {"name": "nft", "namespace": "shop"}
    assert body["spec"]["batchSize"] == 20
    assert body["spec"]["thresholds"] == {"stale": "1h"}, "nothing of this machine's environment gets in"
    assert "PERIODIC_SYNC_STALE_THRESHOLD=${HOME} is no number of milliseconds" in err
    assert "spec.worker.http.url is still to be filled in" in err
    assert "hunter2" not in out + err


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(ENV_FILE))
    assert cli.main(["convert-env", "-", "--worker-url", "http://sync.shop.svc/{userId}"]) == 0
    out, err = capsys.readouterr()
    assert yaml.safe_load(out)["spec"]["worker"]["http"]["url"] == "http://sync.shop.svc/{userId}"
    assert "filled in" not in err


def test_the_environment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(old.ENABLED, "false")
    assert cli.main(["convert-env"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["spec"]["enabled"] is False


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("A=1\n", [], ".env has none of PERIODIC_SYNC_ENABLED, "),
        (ENV_FILE, ["--name", "My.Policy"], "metadata.name must be at most 40 characters"),
        (ENV_FILE, ["--worker-url", "sync.shop.svc"], "spec.worker.http.url: write an http:// or https:// address"),
        (ENV_FILE, ["--redis-secret", "r", "--key-prefix", "{p}"], "spec.store.redis.keyPrefix"),
    ],
)
def test_what_can_not_be_made_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, options: list[str], words: str
) -> None:
    file = tmp_path / ".env"
    file.write_text(text)
    assert cli.main(["convert-env", str(file), *options]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
