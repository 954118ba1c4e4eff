"""`hilum doctor`: machine, versions and devices, and a short test of each part with known answers."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.image.image import Image
from hilum.image.readers import read_image
from hilum.image.runlength import decode, encode
from hilum.image.spacing import Spacing
from hilum.image.writers import write_image
from hilum.inference.predictor import predict_tensor
from hilum.measurement.table import measure_masks
from hilum.planning.device import find_device, free_memory_bytes
from hilum.planning.plan import DataPlan, ModelPlan, Plan, TrainingPlan
from hilum.scoring.overlap import overlap
from hilum.training.loop import Trainer, make_fabric
from hilum.training.run import make_network, package_versions, processor_name
from hilum.training.samples import Sample, masked_sample
from hilum.training.space import existing, in_words

STEPS = 40
SIDE = 32
GOOD_DICE = 0.8


@dataclass(frozen=True)
class Check:
    """One test: what it is about, whether the answer was right, what was found and what is known."""

    name: str
    passed: bool
    found: str
    known: str


@dataclass(frozen=True)
class Diagnosis:
    """What the machine is and can do, the versions installed, and the outcome of the tests."""

    machine: dict[str, str]
    versions: dict[str, str]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every test gave the known answer."""
        return all(check.passed for check in self.checks)

    def lines(self) -> list[str]:
        """As text, one line a fact."""
        facts = {**self.machine, **self.versions}
        tests = [
            f"{'ok  ' if check.passed else 'WRONG'} {check.name}: {check.found}"
            + ("" if check.passed else f", known is {check.known}")
            for check in self.checks
        ]
        return [f"{name:<18} {value}" for name, value in facts.items()] + tests

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "passed": self.passed}


def doctor(folder: str | Path = ".") -> Diagnosis:
    """Look at this machine and test the parts of Hilum against known answers, in about ten seconds.

    `folder` is where runs are going to be written: its disk is looked at.
    """
    return Diagnosis(_machine(Path(folder)), package_versions(), tuple(map(_tested, _TESTS)))


def _machine(folder: Path) -> dict[str, str]:
    here = find_device()
    card = here.name if here.kind == "cuda" else "none"
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "processors to use": str(find_device("cpu").threads),
        "bfloat16": "in hardware" if find_device("cpu").bf16 else "not in hardware, float32 is used",
        "free memory": in_words(free_memory_bytes()),
        "free disk": in_words(shutil.disk_usage(existing(folder)).free),
        "graphics card": card,
    }


def _tested(test: tuple[str, str, Callable[[], tuple[bool, str]]]) -> Check:
    name, known, run = test
    try:
        passed, found = run()
    except (HilumError, OSError, RuntimeError, ValueError, ImportError) as error:
        passed, found = False, f"{type(error).__name__}: {error}"
    return Check(name, passed, found, known)


def _area() -> tuple[bool, str]:
    mask = np.zeros((30, 40), bool)
    mask[5:15, 10:30] = True
    rows, regions = measure_masks("a", {"target": mask}, Spacing((0.5, 0.5), "mm"))
    return (rows[0]["area"], rows[0]["unit"], len(regions)) == (50.0, "mm²", 1), f"{rows[0]['area']:g} mm²"


def _dice() -> tuple[bool, str]:
    one, two = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    one[5:15, 5:15], two[5:15, 10:20] = True, True
    found = overlap(one, two).dice
    return found == 0.5, f"{found:g}"


def _runs() -> tuple[bool, str]:
    mask = np.array([[True, False], [True, True]])
    text = encode(mask)
    return text == "1 2 4 1" and bool((decode(text, (2, 2)) == mask).all()), text


def _files() -> tuple[bool, str]:
    array = np.random.default_rng(0).integers(0, 65_535, (3, 21, 33), dtype=np.uint16)
    kept = []
    with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
        for suffix in (".png", ".tif", ".npy"):
            path = Path(folder) / f"a{suffix}"
            write_image(path, Image(array, Spacing((0.65, 0.65), "um")))
            back = read_image(path).array
            kept += [suffix] if back.dtype == array.dtype and bool((back == array).all()) else []
    return len(kept) == 3, ", ".join(kept)


def _training() -> tuple[bool, str]:
    began = time.perf_counter()
    first, second = _trained(), _trained()
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    same = all(torch.equal(one, two) for one, two in pairs)
    sample = _disc(17, 14, 8, seed=9)
    with torch.inference_mode():
        found = predict_tensor(first, sample.stack[:1], _plan()).numpy() > 0.5
    dice = overlap(found[0], sample.stack[1].numpy() > 0.5).dice
    told = f"Dice {dice:.3f}, {'equal' if same else 'different'} weights, {time.perf_counter() - began:.1f} s"
    return same and dice > GOOD_DICE, told


def _plan() -> Plan:
    return Plan(
        data=DataPlan(channels=1, outputs=["disc"], mean=[0.0], std=[1.0]),
        model=ModelPlan(settings={"width": 8, "depth": 2, "stem": 1}),
        training=TrainingPlan(patch=[SIDE, SIDE], batch=4, threads=1, warmup=3, ema=0.9, learning_rate=1e-2),
    )


def _trained() -> torch.nn.Module:
    plan, threads = _plan(), torch.get_num_threads()
    samples = [_disc(12 + 2 * k, 20 - 2 * k, 6 + k, seed=k) for k in range(4)]
    try:
        trainer = Trainer(make_network(plan), plan, samples, 0, make_fabric(plan), torch.ones(1))
        for step in range(STEPS):
            trainer.step(step, STEPS)
    finally:
        torch.set_num_threads(threads)
    return trainer.average.network.eval()


def _disc(y: int, x: int, radius: int, seed: int) -> Sample:
    rows, columns = np.ogrid[:SIDE, :SIDE]
    inside: NDArray[np.bool_] = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    mask = torch.from_numpy(inside).float()[None]
    noise = torch.randn(1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    return masked_sample(f"disc {seed}", mask + 0.1 * noise, mask, torch.ones(1))


_TESTS: tuple[tuple[str, str, Callable[[], tuple[bool, str]]], ...] = (
    ("area of 20 x 10 pixels of 0.5 mm", "50 mm²", _area),
    ("Dice of two squares that share a half", "0.5", _dice),
    ("run lengths of a mask of three pixels", "1 2 4 1", _runs),
    ("images written and read again, bit for bit", ".png, .tif, .npy", _files),
    ("a disc learnt twice", f"equal weights and a Dice above {GOOD_DICE}", _training),
)
