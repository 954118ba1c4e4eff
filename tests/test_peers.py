"""The yardstick's own parts: its scorer, its clock of CPU seconds, its tables (`bench/peers/`)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

PEERS = Path(__file__).resolve().parents[1] / "bench" / "peers"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch):
    for folder in (PEERS, PEERS / "drivers"):
        monkeypatch.syspath_prepend(str(folder))
    yield
    for name in ("job", "score", "table", "nnunet", "data"):
        sys.modules.pop(name, None)


@pytest.fixture
def fold(tmp_path: Path) -> Path:
    """Two test cases of one target: a square, and nothing."""
    (tmp_path / "masks").mkdir()
    square = np.zeros((1, 8, 8), bool)
    square[0, :4, :4] = True
    np.save(tmp_path / "masks" / "0000.npy", square)
    np.save(tmp_path / "masks" / "0001.npy", np.zeros_like(square))
    path = tmp_path / "fold-0.json"
    content = {"targets": ["spot"], "train": [], "test": ["0000", "0001"]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def predicted(folder: Path, masks: list[np.ndarray]) -> Path:
    folder.mkdir()
    for number, mask in enumerate(masks):
        np.save(folder / f"{number:04d}.npy", mask)
    return folder


def test_score_counts_cases_that_have_the_target_and_pools_all(fold: Path, tmp_path: Path):
    from score import score

    half = np.zeros((1, 8, 8), bool)
    half[0, :4, :2] = True
    false = np.zeros((1, 8, 8), bool)
    false[0, 7] = True
    found = score(fold, predicted(tmp_path / "out", [half, false]))["spot"]
    assert found["mean"] == pytest.approx(2 * 8 / (8 + 16))
    assert found["cases"] == 1
    assert found["pooled"] == pytest.approx(2 * 8 / (16 + 16))
    assert found["false_pixels_without"] == 8


def test_score_refuses_masks_of_another_shape(fold: Path, tmp_path: Path):
    from score import score

    wrong = predicted(tmp_path / "out", [np.zeros((1, 4, 4), bool)] * 2)
    with pytest.raises(ValueError, match="truth"):
        score(fold, wrong)


def test_clock_counts_children_and_stops():
    from job import Meter

    meter = Meter()
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    spent = meter.cpu_s()
    assert spent >= 0.25
    with meter.stopped():
        started = time.process_time()
        while time.process_time() - started < 0.1:
            pass
    assert meter.cpu_s() - spent < 0.09


def test_overlapping_targets_become_regions():
    from nnunet import labels

    assert labels(["a"]) == {"a": 1}
    assert labels(["a", "b"]) == {"a": [1, 3], "b": [2, 3]}


def test_fixed_folds_name_each_group_once():
    for path in (PEERS / "splits").glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        groups = [group for test in content["test"] for group in test]
        assert content["by"] == "group"
        assert len(groups) == len(set(groups))


def test_table_keeps_the_newest_and_folds_apart():
    import table

    def row(fold: int, dice: float) -> dict[str, object]:
        scores = {"spot": {"mean": dice, "pooled": dice}}
        named = {"peer": "monai", "data": "x", "fold": fold, "seed": 0, "variant": "", "threads": "1"}
        figures = {"budget_cpu_s": 20.0, "cpu_s": 21.0, "steps": 4, "peak_bytes": 2e9, "dice": scores}
        speeds = {"train_mpx_per_cpu_s": 0.1, "predict_mpx_per_cpu_s": 0.2, "versions": {"monai": "1"}}
        return {**named, **figures, **speeds}

    rows = table.newest([row(0, 0.1), row(0, 0.5), row(1, 0.7)])
    first, second = table.grouped(rows)
    assert "spot 0.500" in table.line(first)
    assert "spot 0.700" in table.line(second)
    again = table.newest([row(0, 0.1), {**row(0, 0.3), "peak_bytes": None}])
    assert "spot 0.300" in table.line(again)
    assert table.line(again).endswith("| 2.0 |")
