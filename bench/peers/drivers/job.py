"""What every driver shares: the fold it was given, a clock of CPU seconds, checkpoints. NumPy alone.

A driver is `python drivers/NAME.py FOLD_JSON OUT --cpu 20 60 --seed 0`. It reads `images/KEY.npy` (C, Y, X)
and `masks/KEY.npy` (T, Y, X, bool) beside FOLD_JSON, writes `OUT/at-BUDGET/KEY.npy` (T, Y, X, bool) for each
test case, and `OUT/report.json`, which is whole after every checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Predict = Callable[[Any], Any]


def tree_cpu_s(pid: int | None = None) -> float:
    """CPU seconds (user and system) of a process and all below it, those that have ended included."""
    pid = os.getpid() if pid is None else pid
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task").glob("*/children")
        below = [int(child) for path in children for child in path.read_text().split()]
    except OSError:
        return 0.0
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return own + sum(map(tree_cpu_s, below))


class Meter:
    """CPU and wall seconds since it was made, less what passed while it was stopped."""

    def __init__(self) -> None:
        self._cpu, self._wall = tree_cpu_s(), time.perf_counter()

    def cpu_s(self) -> float:
        """CPU seconds of the process tree."""
        return tree_cpu_s() - self._cpu

    def wall_s(self) -> float:
        """Wall seconds."""
        return time.perf_counter() - self._wall

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within it nothing is counted: predictions at a checkpoint, which are no training."""
        cpu, wall = tree_cpu_s(), time.perf_counter()
        yield
        self._cpu += tree_cpu_s() - cpu
        self._wall += time.perf_counter() - wall


@dataclass
class Job:
    """A fold to learn and to predict, with budgets in CPU seconds."""

    fold: Path
    out: Path
    budgets: list[float]
    seed: int
    options: argparse.Namespace
    report: dict[str, Any] = field(default_factory=lambda: {"checkpoints": []})

    def __post_init__(self) -> None:
        self.content: dict[str, Any] = json.loads(self.fold.read_text(encoding="utf-8"))
        self.targets: list[str] = self.content["targets"]
        self.train: list[str] = self.content["train"]
        self.test: list[str] = self.content["test"]

    def image(self, key: str) -> Any:
        """An image (C, Y, X) as it is stored."""
        return np.load(self.fold.parent / "images" / f"{key}.npy")

    def masks(self, key: str) -> Any:
        """Masks (T, Y, X), bool."""
        return np.load(self.fold.parent / "masks" / f"{key}.npy")

    @property
    def smallest(self) -> tuple[int, int]:
        """The least height and width among the images to train on."""
        shapes = [np.load(self._path(key), mmap_mode="r").shape[1:] for key in self.train]
        return min(y for y, _ in shapes), min(x for _, x in shapes)

    def _path(self, key: str) -> Path:
        return self.fold.parent / "images" / f"{key}.npy"

    @property
    def rarest(self) -> int:
        """The index of the target with the fewest pixels."""
        pixels = sum(self.masks(key).reshape(len(self.targets), -1).sum(1) for key in self.train)
        return int(np.argmin(pixels))

    def begin(self, packages: Iterable[str], **facts: object) -> Meter:
        """Say what is run; the clock of the training starts here, what came before was start-up."""
        self.report |= {"versions": {name: version(name) for name in packages}, **facts}
        self.report["startup_cpu_s"] = tree_cpu_s()
        self._write()
        return Meter()

    def checkpoint(
        self,
        meter: Meter,
        budget: float,
        steps: int,
        pixels: float,
        predict: Predict,
        variant: str = "",
        **facts: object,
    ) -> None:
        """Predict the test cases and report what was spent; `pixels` is what the training has seen."""
        spent, wall = meter.cpu_s(), meter.wall_s()
        folder = self.out / f"at-{budget:g}{'-' + variant if variant else ''}"
        folder.mkdir(parents=True, exist_ok=True)
        with meter.stopped():
            predicting, size = Meter(), 0
            for key in self.test:
                image = self.image(key)
                masks = np.asarray(predict(image), bool)
                if masks.shape != (len(self.targets), *image.shape[1:]):
                    raise ValueError(f"{key}: masks {masks.shape} for an image {image.shape}")
                np.save(folder / f"{key}.npy", masks)
                size += image[0].size
            took, clock = predicting.cpu_s(), predicting.wall_s()
        found = {"budget_cpu_s": budget, "variant": variant, "cpu_s": spent, "wall_s": wall, "steps": steps}
        found |= {"train_mpx_per_cpu_s": pixels / 1e6 / max(spent, 1e-9), "predict_cpu_s": took}
        found |= {"predict_mpx_per_cpu_s": size / 1e6 / max(took, 1e-9), "predict_wall_s": clock, **facts}
        found |= {"folder": folder.name}
        self.report["checkpoints"].append(found)
        self._write()

    def train_until_spent(self, meter: Meter, step: Callable[[], int], predict: Predict) -> int:
        """Take steps to each budget in turn and predict there; `step` gives the pixels it has seen."""
        steps, pixels = 0, 0
        for budget in self.budgets:
            while meter.cpu_s() < budget:
                pixels += step()
                steps += 1
            self.checkpoint(meter, budget, steps, pixels, predict)
        return steps

    def _write(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / "report.json"
        path.with_suffix(".part").write_text(json.dumps(self.report, indent=1), encoding="utf-8")
        path.with_suffix(".part").replace(path)


def read_job(*flags: str) -> Job:
    """The job on the command line; `flags` are switches that this driver knows besides."""
    parser = argparse.ArgumentParser()
    parser.add_argument("fold", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cpu", type=float, nargs="+", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], help="settings, of Hilum alone")
    for flag in flags:
        parser.add_argument(f"--{flag}", action="store_true")
    given = parser.parse_args()
    return Job(given.fold, given.out, sorted(given.cpu), given.seed, given)
