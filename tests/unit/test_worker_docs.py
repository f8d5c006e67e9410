"""The Python example of the handbook does what it says, with the batch file that is shown there."""

import json
import re
import subprocess
import sys
from pathlib import Path

from periodic_sync.worker.batch import parse_batch

DOCS = Path(__file__).parents[2] / "docs"
TEXT = "".join((DOCS / page).read_text() for page in ("reference/worker.md", "how-to/write-a-worker.md"))


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found
    return found[1]


def test_the_batch_file_shown_is_one() -> None:
    assert [user.id for user in parse_batch(block("json").encode()).users] == ["u1", "u2"]


def test_the_python_example_reports_who_failed(tmp_path: Path) -> None:
    batch, message = tmp_path / "batch.json", tmp_path / "message"
    batch.write_text(block("json"))
    program = block("python").replace("/dev/termination-log", str(message))
    fails_for_u2 = program.replace("...  # yours", "if user['id'] == 'u2': raise TimeoutError  # yours")
    for text, code, failed in ((program, 0, None), (fails_for_u2, 1, "1")):
        done = subprocess.run([sys.executable, "-c", text], env={"SYNC_BATCH_FILE": str(batch)}, check=False)
        assert done.returncode == code
        assert (json.loads(message.read_text())["failedIndexes"] if message.exists() else None) == failed
