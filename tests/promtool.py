"""promtool: an installed one, or the one of Debian's package, unpacked."""

import shutil
import subprocess
from pathlib import Path

import pytest

from localcluster.packages import out_of_debian


def promtool(*arguments: str | Path) -> str:
    """Run it. Returns: what it says. The test is skipped where there is none, and fails where it finds fault."""
    found = shutil.which("promtool") or out_of_debian("prometheus", "usr/bin/promtool")
    if found is None:
        pytest.skip("promtool is not here, and this is not Debian: install Prometheus to have the rules tried")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
