"""`periodic-sync simulate` without a cluster: which policies it plays, and what it shows."""

import json
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from periodic_sync.cli import main as cli
from periodic_sync.cli.errors import CommandError
from periodic_sync.cli.simulated import BAR_WIDTH, bar, document, table
from periodic_sync.cli.variants import changed, from_file, spec_of
from periodic_sync.simulation.people import made_up
from periodic_sync.simulation.simulate import Inputs, Simulation, simulate
from policy_support import MINIMAL_SPEC, policy_body
from scheduling import instant

EIGHT = "2026-11-25T08:00:00Z"
START = instant("2026-11-25T08:00+00:00")


def played(hours: int = 2, **fields: object) -> Simulation:
    spec = spec_of(policy_body({**MINIMAL_SPEC, **fields}, name="p", namespace="shop"), "It")
    return simulate(Inputs(spec, made_up(20, share=1.0, start=START, hours=hours), START, hours))


def drawn(names: list[str], simulations: list[Simulation]) -> list[str]:
    console = Console(width=80, markup=False, highlight=False, emoji=False, color_system=None)
    with console.capture() as captured:
        console.print(table(names, simulations))
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    target = tmp_path / "policy.yaml"
    body = policy_body(MINIMAL_SPEC, name="portfolios", namespace="shop")
    target.write_text(yaml.safe_dump_all([{"kind": "ConfigMap", "metadata": {"name": "portfolios"}}, body]))
    return target


def test_one_policy_has_its_totals_a_chart_and_advice() -> None:
    lines = drawn(["as it is"], [played()])
    assert lines[0] == "2 h from 2026-11-25T08:00:00.000Z, 20 users"
    assert "syncs                          320" in lines
    [head, eight, nine] = [line for line in lines if line[:2] in ("HO", "08", "09")]
    assert head.split() == ["HOUR", "SYNCS", "JOBS", "PODS", "WRITES", "LAG", "P99"]
    assert eight.split()[:3] == ["08:00", "80", "████████"]
    assert nine.split()[:3] == ["09:00*", "240", "█" * BAR_WIDTH]
    assert "hours of Etc/UTC, * market hours" in lines
    assert lines[-1] == "nothing to warn of"
    assert max(map(len, lines)) <= 80


def test_several_stand_side_by_side_with_bars_of_one_scale() -> None:
    lines = drawn(["as it is", "changed"], [played(), played(intervals={"marketHours": "10m", "offHours": "30m"})])
    assert "TOTAL                     AS IT IS  CHANGED" in lines
    assert "syncs                          320      160" in lines
    [nine] = [line for line in lines if line.startswith("09:00")]
    first, second = nine.split()[2], nine.split()[4]
    assert len(first) == 2 * len(second) == 18
    assert lines[-1] == "changed: nothing to warn of"
    assert max(map(len, lines)) <= 80


def test_what_is_warned_of_is_shown_whole() -> None:
    lines = " ".join(drawn(["as it is"], [played(jobs={"deadline": "1s"}, batchSize=10)]))
    assert "Deadline: A batch of 10 users takes" in lines
    assert "lower batchSize to" in lines


@pytest.mark.parametrize(("value", "text"), [(0, ""), (1, "▏"), (4, "▌"), (8, "█"), (12, "█▌"), (16, "██")], ids=str)
def test_bars_are_drawn_in_eighths(value: int, text: str) -> None:
    assert bar(value, 16, 2) == text
    assert bar(0, 0, 2) == ""


def test_programs_get_every_hour() -> None:
    found = json.loads(json.dumps(document(["as it is"], [played()])))
    assert (found["start"], found["hours"], found["users"]) == ("2026-11-25T08:00:00.000Z", 2, 20)
    [variant] = found["variants"]
    assert [hour["synced"] for hour in variant["hours"]] == [80, 240]
    assert variant["total"]["synced"] == 320
    assert variant["total"]["apiWrites"]["total"] == sum(hour["apiWrites"]["total"] for hour in variant["hours"])
    assert variant["advice"] == []


def test_it_takes_no_cluster(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    arguments = ["simulate", "-f", str(file), "--users", "40", "--active", "20", "--hours", "1", "--from", EIGHT]
    assert cli.main([*arguments, "--set", "spec.batchSize=2", "--compare", str(file), "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["variants"]] == ["as it is", "changed", str(file)]
    assert found["variants"][0]["total"] == found["variants"][2]["total"]
    assert found["variants"][1]["total"]["jobs"] > 3 * found["variants"][0]["total"]["jobs"]
    assert 10 < found["variants"][0]["total"]["mostActive"] < 35


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a POLICY, or give one in a file with -f FILE"),
        (["-f", "p.yaml"], "say for how many, with --users"),
        (["-f", "p.yaml", "--users", "5", "--active", "6"], "--active is how many of --users"),
        (["p", "--active", "6"], "--active is how many of --users"),
        (["p", "--from", "noon"], "write RFC 3339"),
        (["p", "--failing", "2"], "less than or equal to 1"),
        (["p", "--sync", "fast"], "'fast' is not a duration"),
    ],
)
def test_a_mistake_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert cli.main(["simulate", *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())


BODY = {"metadata": {"name": "p"}, "spec": {**MINIMAL_SPEC, "jobs": {"usersPerMinute": 60}}}


class TestVariants:
    @pytest.mark.parametrize(
        ("changes", "path", "value"),
        [
            (["spec.batchSize=20"], ["batchSize"], 20),
            (["batchSize=20"], ["batchSize"], 20),
            (["intervals.marketHours=7m"], ["intervals", "marketHours"], "7m"),
            (["spec.marketHours.days=[Mon, Tue]"], ["marketHours", "days"], ["Mon", "Tue"]),
            (["spec.jobs.usersPerMinute=null"], ["jobs"], {}),
            (["batchSize=20", "batchSize=30"], ["batchSize"], 30),
        ],
    )
    def test_fields_are_changed(self, changes: list[str], path: list[str], value: object) -> None:
        found = changed(BODY, changes)["spec"]
        for step in path:
            found = found[step]
        assert found == value
        assert "batchSize" not in BODY["spec"]

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ("batchSize", "write it as spec.batchSize=20"),
            ("=20", "write it as"),
            ("spec..x=1", "write it as"),
            ("batchSize=[", "is no YAML"),
            ("worker.http.url.x=1", "there is nothing under url to be set"),
        ],
    )
    def test_what_is_no_change_is_told(self, change: str, words: str) -> None:
        with pytest.raises(CommandError, match=words):
            changed(BODY, [change])

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ("batchSize=0", r"spec\.batchSize"),
            ("jobs.maxConcurentBatches=3", "maxConcurrentBatches"),
            ("thresholds.stale=1m", "stale"),
        ],
    )
    def test_what_the_api_server_would_refuse_is_told(self, change: str, words: str) -> None:
        with pytest.raises(CommandError, match=f"It would be refused: .*{words}"):
            spec_of(changed(BODY, [change]), "It")

    def test_of_several_policies_one_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "two.yaml"
        bodies = [policy_body(MINIMAL_SPEC, name=name, namespace="shop") for name in ("one", "two")]
        file.write_text(yaml.safe_dump({"kind": "List", "items": bodies}))
        assert from_file(str(file), "two")["metadata"]["name"] == "two"
        with pytest.raises(CommandError, match="has several SyncPolicies: name one of one, two"):
            from_file(str(file), None)
        with pytest.raises(CommandError, match="has no SyncPolicy three, but one, two"):
            from_file(str(file), "three")

    def test_a_file_that_is_no_yaml_is_told_with_its_line(self, tmp_path: Path) -> None:
        file = tmp_path / "bad.yaml"
        file.write_text("spec:\n  a: [1\n")
        with pytest.raises(CommandError, match=r"bad.yaml, line 3 is no YAML: "):
            from_file(str(file), None)
        file.write_text("a: 1\n")
        with pytest.raises(CommandError, match=r"has no SyncPolicy$"):
            from_file(str(file), None)


@pytest.mark.parametrize(
    ("intervals", "users", "told"),
    [
        pytest.param({"marketHours": "20s", "offHours": "20s"}, 6_000, True, id="a demonstration's intervals"),
        pytest.param({"marketHours": "5m", "offHours": "15m"}, 6_000, False, id="usual ones"),
        pytest.param({"marketHours": "20s", "offHours": "20s"}, 50, False, id="few users"),
    ],
)
def test_what_takes_long_is_told_beforehand(
    intervals: dict[str, str],
    users: int,
    told: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    short = played()

    def at_once(inputs: Inputs, progress: object) -> Simulation:
        asked.append(capsys.readouterr().err)
        return short

    monkeypatch.setattr("periodic_sync.simulation.simulate.simulate", at_once)
    file = tmp_path / "policy.yaml"
    body = policy_body({**MINIMAL_SPEC, "intervals": {**intervals, "userMinimum": "10s"}}, name="p", namespace="shop")
    file.write_text(yaml.safe_dump(body))
    assert cli.main(["simulate", "-f", str(file), "--users", str(users), "--hours", "1"]) == 0
    assert ("up to 1.1 million syncs are played" in " ".join(asked[0].split())) is told


def test_hours_beyond_a_day_are_told_with_their_weekday() -> None:
    lines = drawn(["as it is"], [played(hours=25)])
    assert any(line.startswith("Thu 08:00") for line in lines)
