"""What `convert-env` makes of each recommended setting is taken by the real API server."""

from pathlib import Path

import pytest

from cli_support import periodic_sync
from cluster_support import Kubectl
from policy_support import DEFAULTS, PRESETS, merged

MILLISECONDS = {
    "Development": (600_000, 1_800_000, 7_200_000, 5),
    "Production": (300_000, 900_000, 3_600_000, 10),
    "High load": (900_000, 1_800_000, 1_800_000, 20),
}
NAMES = ("MARKET_HOURS_INTERVAL", "OFF_HOURS_INTERVAL", "STALE_THRESHOLD", "BATCH_SIZE")


@pytest.mark.usefixtures("crd")
@pytest.mark.parametrize("store", [[], ["--redis-secret", "redis"]])
@pytest.mark.parametrize("preset", PRESETS)
async def test_a_preset_is_applied_as_it_is_printed(
    kubectl: Kubectl, tmp_path: Path, preset: str, store: list[str]
) -> None:
    file = tmp_path / ".env"
    lines = [f"PERIODIC_SYNC_{name}={value}" for name, value in zip(NAMES, MILLISECONDS[preset], strict=True)]
    file.write_text("\n".join(lines))
    code, manifest, _ = await periodic_sync("convert-env", str(file), *store)
    assert code == 0
    kubectl("apply", "-f", "-", stdin=manifest)
    spec = kubectl.get("syncpolicy", "portfolios")["spec"]
    expected = merged(DEFAULTS, PRESETS[preset])
    assert {key: spec[key] for key in ("enabled", "intervals", "thresholds", "batchSize")} == {
        key: expected[key] for key in ("enabled", "intervals", "thresholds", "batchSize")
    }
