"""What holds for all tests: who runs beside whom in `make test`, and what is shown of it.

The end-to-end tests mostly wait and the others compute, so `make test` runs them side by side, in two processes of one
pytest-xdist session. Whatever needs a cluster stays in the process that made it. By itself pytest runs everything in
one process, in the order of the folders.
"""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

pytest.register_assert_rewrite("store_contract")  # before any conftest imports it

# How long an example took says nothing while another process has the machine.
settings.register_profile("side by side", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("side by side")

E2E, INTEGRATION, MODEL = "tests/e2e/", "tests/integration/", "tests/unit/test_model.py"

SHARED = bool(os.environ.get("PERIODIC_SYNC_TEST_KUBECONFIG"))
"""There is one cluster for both of them: the integration tests come first, since they want no operator in it."""

ORDER = (INTEGRATION, E2E, "tests/unit/", MODEL) if SHARED else (E2E, "tests/unit/", INTEGRATION, MODEL)
"""What takes longest comes first. The model's tests come last: whoever is done first takes some of them."""


class Scheduling(LoadScopeScheduling):
    """All tests of a cluster go to one process; any other test goes to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        if SHARED and nodeid.startswith((E2E, INTEGRATION)):
            return "cluster"
        return next((folder for folder in (E2E, INTEGRATION) if nodeid.startswith(folder)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: max(at for at, part in enumerate(ORDER) if item.nodeid.startswith(part)))


def pytest_configure(config: pytest.Config) -> None:
    is_controller = config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput")
    if is_controller and config.get_verbosity() == 0:
        config.pluginmanager.register(Files(config), "files")


class Files:
    """A line for each file of tests that is done, since the dots of two processes tell nothing; failures at once."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._waiting: Counter[str] = Counter()
        self._ended: dict[str, Counter[str]] = {}
        self._seconds: Counter[str] = Counter()

    def pytest_xdist_node_collection_finished(self, node: WorkerController, ids: list[str]) -> None:
        self._waiting = Counter(_file_of(nodeid) for nodeid in ids)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Iterator[None]:
        category, _, word = yield
        return category, "", word  # no dot

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = _file_of(report.nodeid)
        self._seconds[file] += report.duration
        if report.failed:
            self._say(f"FAILED {report.nodeid}")
        if report.failed or report.skipped or report.when == "call":
            self._ended.setdefault(file, Counter())[report.outcome] += 1
        if report.when == "teardown":
            self._waiting[file] -= 1
            if not self._waiting[file]:
                counts = ", ".join(f"{count} {outcome}" for outcome, count in self._ended[file].items())
                self._say(f"{file}: {counts} in {self._seconds[file]:.0f} s")

    def _say(self, text: str) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        terminal.ensure_newline()
        terminal.write_line(text)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests measured, which pytest itself only puts into an XML report."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, ())]
    measured = {(_file_of(report.nodeid), *pair): None for report in reports for pair in report.user_properties}
    if measured:
        terminalreporter.section("figures")
    for file, name, value in measured:
        terminalreporter.write_line(f"{file}: {name}: {value}")


def _file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]
