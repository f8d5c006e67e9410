"""`periodic-sync import` and `migrate` as people type them, with the stores played by the test."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from client_support import STORE, MemoryMaps, SetClock, client_on
from periodic_sync.api.errors import ApiError
from periodic_sync.cli import main as cli
from periodic_sync.client import Client
from periodic_sync.client.migration import Migration, Moved, MoveRefusedError
from periodic_sync.stores.base import StoreNotReady
from store_contract import WALLET

HEADER = "userId,wallet,lastActive\n"
LINE = f"u1,{WALLET},2026-01-31T09:30:00Z\n"
TO = ["portfolios", "--to-redis-secret", "redis", "--key-prefix", "portfolios:"]


@pytest.fixture
def maps() -> MemoryMaps:
    maps = MemoryMaps()
    maps.store(STORE, {})
    return maps


class TestImport:
    @pytest.fixture(autouse=True)
    def opened(self, maps: MemoryMaps, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
        """How clients were opened; all are on `maps`."""
        calls: list[tuple[Any, ...]] = []

        def opener(*names: Any, **more: Any) -> Client:
            calls.append((*names, more))
            return client_on(maps, SetClock())

        for way in ("for_config_map", "for_redis"):
            monkeypatch.setattr(Client, way, opener)
        return calls

    def test_a_file(
        self, maps: MemoryMaps, opened: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "users.csv"
        file.write_text(HEADER + LINE)
        assert cli.main(["import", str(file), "--namespace", "shop", "--config-map", STORE]) == 0
        assert opened == [("shop", STORE, {"kubeconfig": None, "context": None})]
        assert maps.data().keys() == {"u1"}
        assert capsys.readouterr().out == "1 lines imported, 0 skipped\n"

    def test_standard_input_into_redis_with_the_url_from_the_environment(
        self, maps: MemoryMaps, opened: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "input").write_text(HEADER + LINE)
        monkeypatch.setenv("REDIS_URL", "redis://host")
        with (tmp_path / "input").open("rb") as file:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
            assert cli.main(["import", "-", "--key-prefix", "portfolios:"]) == 0
        assert opened == [("redis://host", "portfolios:", {})]
        assert maps.data().keys() == {"u1"}

    def test_bad_lines_are_told_and_cost_the_exit_code(
        self, maps: MemoryMaps, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "users.csv"
        file.write_text(HEADER + "u2,[red]w[/red],yesterday\n" + LINE + "u3\n" * 1_001)
        assert cli.main(["import", str(file), "-n", "shop", "--config-map", STORE]) == 1
        told = capsys.readouterr()
        assert told.out == "1 lines imported, 1002 skipped\n"
        assert told.err.startswith('line 2: lastActive "yesterday" is not a time')
        assert told.err.endswith("line 1002: the line has 1 columns, and the header 3\nand 2 more\n")
        assert maps.data().keys() == {"u1"}

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["/none/users.csv", "--policy", "p"], "No such file or directory: '/none/users.csv'"),
            (["FILE", "--config-map", "p"], "lacks userId, wallet, lastActive"),
            (["FILE", "--key-prefix", "p:"], "set REDIS_URL, or give --redis-url, with the URL"),
        ],
    )
    def test_what_can_t_be_done_at_all_is_told(
        self,
        arguments: list[str],
        told: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("REDIS_URL", raising=False)
        (tmp_path / "f").write_text("hello\n")
        assert (
            cli.main(["import", *[str(tmp_path / "f") if it == "FILE" else it for it in arguments], "-n", "shop"]) == 2
        )
        assert told in capsys.readouterr().err

    def test_a_store_that_is_not_ready_is_told(
        self, maps: MemoryMaps, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "f").write_text(HEADER + LINE)
        del maps.objects[STORE]
        assert cli.main(["import", str(tmp_path / "f"), "-n", "shop", "--config-map", STORE]) == 2
        assert "periodic-sync import: ConfigMap shop/user-activity" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["f"], ["f", "--policy", "p", "--config-map", "c"], ["--policy", "p"]])
    def test_one_store_and_one_file(self, arguments: list[str]) -> None:
        assert cli.main(["import", *arguments]) == 2


class TestMigrate:
    @pytest.fixture
    def to(self, tmp_path: Path) -> list[str]:
        return [*TO, "--kubeconfig", str(tmp_path / "kubeconfig")]

    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
        """What was asked of the migration."""
        calls: list[Any] = []

        async def run(self: Migration, *, wait_seconds: float, apply: bool) -> Moved:
            calls.append((self.namespace, self.name, self.to.secret, self.to.key, wait_seconds, apply))
            return Moved(7, 5, 1, ("user-activity/bad: not JSON",))

        async def copy_again(self: Migration, config_map: str) -> Moved:
            calls.append(config_map)
            return Moved(7, 5, 0, ())

        monkeypatch.setattr(Migration, "run", run)
        monkeypatch.setattr(Migration, "copy_again", copy_again)
        kubeconfig = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
            "users": [{"name": "u", "user": {}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
        return calls

    def test_without_apply_the_patch_is_printed(
        self, calls: list[Any], to: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["migrate", "--namespace", "shop", *to]) == 0
        assert calls == [("shop", "portfolios", "redis", "url", 0.0, False)]
        told = capsys.readouterr()
        assert "7 users are in Redis, 5 of them with a state; 1 entries were skipped" in told.out
        assert "kubectl patch --namespace shop syncpolicy portfolios --type merge -p '" in told.out
        patch = json.loads(told.out.rpartition(" -p '")[2].rstrip("'\n"))
        redis = {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": "portfolios:"}
        assert patch == {"spec": {"store": {"configMap": None, "redis": redis}}}
        assert "left behind: user-activity/bad: not JSON" in told.err

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--wait"], ("default", "portfolios", "redis", "url", 900.0, False)),
            (["--apply"], ("default", "portfolios", "redis", "url", 900.0, True)),
            (
                ["--wait", "--timeout", "90s", "--secret-key", "uri"],
                ("default", "portfolios", "redis", "uri", 90.0, False),
            ),
            (["--config-map", STORE], STORE),
        ],
    )
    def test_how(self, calls: list[Any], to: list[str], arguments: list[str], expected: object) -> None:
        assert cli.main(["migrate", *to, *arguments]) == 0
        assert calls == [expected]

    @pytest.mark.parametrize("error", [MoveRefusedError("not now"), StoreNotReady("not now"), ApiError("not now")])
    def test_a_refusal_is_told(
        self,
        calls: list[Any],
        to: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        error: Exception,
    ) -> None:
        async def run(self: Migration, **more: Any) -> Moved:
            raise error

        monkeypatch.setattr(Migration, "run", run)
        assert cli.main(["migrate", *to]) == 1
        assert capsys.readouterr().err == "periodic-sync migrate: not now\n"

    def test_stopped_by_hand(
        self, calls: list[Any], to: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def run(self: Migration, **more: Any) -> Moved:
            raise KeyboardInterrupt

        monkeypatch.setattr(Migration, "run", run)
        assert cli.main(["migrate", *to]) == 130
        assert "stopped; it can be run again" in capsys.readouterr().err

    def test_a_prefix_that_is_none(self, calls: list[Any], to: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["migrate", *TO[:-1], "a b"]) == 1
        assert "the key prefix is not valid" in capsys.readouterr().err

    def test_a_timeout_that_is_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["migrate", *TO, "--timeout", "soon"]) == 2
        assert "is not a duration" in capsys.readouterr().err
