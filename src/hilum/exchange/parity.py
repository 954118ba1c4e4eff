"""Whether an exported network answers as the run does, on one of the run's own images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum import tasks
from hilum.errors import HilumError
from hilum.exchange.answer import Entry
from hilum.inference.predictor import make_predictor
from hilum.planning.plan import Plan
from hilum.study.masks import read_case_image
from hilum.training.run import Run

logger = logging.getLogger(__name__)
TOLERANCE = 1e-3
_LOOKED_AT = 8


@dataclass(frozen=True)
class Parity:
    """The largest difference of probabilities, on which image, and how the run's own precision differs."""

    difference: float
    image: str
    own_precision: float

    def to_json(self) -> dict[str, Any]:
        """As plain values; the image is not named, for exports leave the house."""
        return {
            "largest_difference": self.difference,
            "tolerance": TOLERANCE,
            "run_in_its_own_precision": self.own_precision,
        }

    def __str__(self) -> str:
        return f"probabilities differ by at most {self.difference:.2g} from those of the run on {self.image}"


def check_parity(run: Run, networks: Sequence[nn.Module], exported: nn.Module, entry: Entry) -> Parity:
    """Compare an exported network, as a module, with the run's networks by the run's own prediction.

    Raises HilumError where the probabilities differ by more than 0.001.
    """
    name, prepared = sample_input(run, entry)
    exact = exact_plan(run.plan)
    bare = exact.model_copy(deep=True)
    bare.inference.moves = False
    wanted = make_predictor(networks, exact).prepared(prepared)
    found = make_predictor([exported], bare).prepared(prepared)
    difference = _apart(found, wanted)
    if not difference <= TOLERANCE:
        raise HilumError(
            f"{run.folder}: the exported network differs from the run by {difference:.3g} on {name}, more "
            f"than {TOLERANCE:g}; nothing was exported. Please report this with the model's settings: "
            f"{run.plan.model.name} {run.plan.model.settings}"
        )
    own = make_predictor(networks, run.plan).prepared(prepared) if exact != run.plan else wanted
    return Parity(difference, name, _apart(own, wanted))


def exact_plan(plan: Plan) -> Plan:
    """The plan on a processor in single precision, which exported networks compute in."""
    exact = plan.model_copy(deep=True)
    exact.training.precision, exact.training.device = "32-true", "cpu"
    return exact


def sample_input(run: Run, entry: Entry) -> tuple[str, Tensor]:
    """A prepared image (C, *S') of the run's study, or noise where none of its files is there any more."""
    task = tasks.get_task(run.plan.task)
    for case in run.study.cases[:_LOOKED_AT]:
        try:
            return case.name, task.prepare(read_case_image(case), run.plan)
        except HilumError as error:
            logger.debug("%s", error)
    sides = entry.size or tuple(max(side, entry.divisor) for side in run.plan.training.patch)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(entry.channels, *sides, generator=generator)
    return "noise (no image of its study is there)", noise


def check_noise(networks: Sequence[nn.Module], exported: nn.Module, plan: Plan, entry: Entry) -> float:
    """The largest difference of probabilities on noise, in single precision.

    Raises HilumError where it is more than 0.001.
    """
    exact, noise = exact_plan(plan), entry.example()
    wanted = make_predictor(networks, exact).together(noise)
    difference = _apart(make_predictor([exported], exact).together(noise), wanted)
    if not difference <= TOLERANCE:
        raise HilumError(
            f"the exported second classifier differs from the run's by {difference:.3g} on noise, more than "
            f"{TOLERANCE:g}; nothing was exported. Please report this with the model's settings: "
            f"{plan.model.name} {plan.model.settings}"
        )
    return difference


def _apart(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    if found.shape != wanted.shape:
        return float("inf")
    return float(np.abs(found - wanted).max())
