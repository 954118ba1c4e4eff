"""What a task says. The only place where segmentation, classification and detection differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from hilum.explanation.decision import Decide
    from hilum.image.image import Image
    from hilum.image.spacing import Spacing
    from hilum.inference.cells import Cells
    from hilum.planning.draft import Draft
    from hilum.planning.fingerprint import Fingerprint
    from hilum.planning.plan import Plan
    from hilum.reporting.blocks import Headline, Section
    from hilum.study.study import Case, Study
    from hilum.study.survey import Facts
    from hilum.training.batches import Batch
    from hilum.training.run import Run
    from hilum.training.samples import Sample

Weights = Sequence[float] | Sequence[Sequence[float]]


@dataclass(frozen=True)
class Delivery:
    """What `hilum predict` is asked to write besides masks or labels and tables.

    `collect` is told of each case and what was decided on it (a segmenter: its masks by target), for
    submissions. `mask_format` is how masks of huge images are written: "tiff" or "zarr".
    Without `tables` their rows are in the summary alone, for `Task.write_tables`. `root` is the folder that
    files are named from, where not all images are at hand. What is done with each case is done inside its
    `guard`: an error that the guard keeps leaves the case out of all tables, and the others go on.
    """

    out: Path
    probabilities: bool = False
    overlays: bool = True
    collect: Callable[[Case, Mapping[str, Any]], None] | None = None
    mask_format: str = "tiff"
    tables: bool = True
    root: Path | None = None
    guard: Callable[[Case], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True, eq=False)
class Predicted:
    """A new image with what the network says: `probability` (K, *S') or (K,), 0 to 1, working resolution.

    `case` carries annotations where they are there, for scoring.
    """

    case: Case
    image: Image
    probability: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PredictedBlocks:
    """A huge image with what the network says of it, kept on disk by cells of its working resolution.

    `shape` (Y, X) is that of the image at full resolution, `spacing` its own.
    """

    case: Case
    shape: tuple[int, int]
    spacing: Spacing
    cells: Cells


class Task(Protocol):
    """One task: how annotations become tensors, what is planned, scored, written and reported."""

    @property
    def name(self) -> str:
        """The task's name, as in `plan.task`."""
        ...

    @property
    def unread(self) -> Collection[str]:
        """Groups of settings that mean nothing to this task; the report leaves them out."""
        ...

    @property
    def in_blocks(self) -> bool:
        """Whether `deliver` takes huge images as `PredictedBlocks`; else they have to fit into memory."""
        ...

    def accepts(self, study: Study) -> bool:
        """Whether the study is annotated for this task."""
        ...

    def why(self, study: Study) -> str:
        """The reason to choose this task, for the plan."""
        ...

    def plan(
        self, draft: Draft, study: Study, fingerprint: Fingerprint, folds: int, folds_reason: str
    ) -> None:
        """Set what this task plans."""
        ...

    def plan_sizes(self, draft: Draft, fingerprint: Fingerprint) -> None:
        """Set what follows from `data.downsample` and `data.size`, also where these were asked for."""
        ...

    def balance(self, study: Study, facts: Mapping[str, Facts]) -> Mapping[str, Sequence[float]]:
        """What each case carries of each output, to spread evenly over folds."""
        ...

    def samples(self, case: Case, image: Image, plan: Plan) -> Sequence[Sample]:
        """The training samples of one case."""
        ...

    def prepare(self, image: Image, plan: Plan) -> Tensor:
        """A new image as the network sees it, (C, *S')."""
        ...

    def class_weights(self, samples: Sequence[Sample], plan: Plan) -> Weights:
        """Weight of each output in the loss, (K,), or of its absence and its presence, (2, K)."""
        ...

    def measure(self, probability: Tensor, batch: Batch, plan: Plan) -> Mapping[str, float]:
        """Scores of a running batch, for the history: {"dice_NAME": 0.93}."""
        ...

    def share_after(self, plan: Plan) -> float:
        """Share of the training time, 0 to 1, that goes to what follows the network of a fold."""
        ...

    def plan_after(self, plan: Plan, fold_s: float | None) -> Plan:
        """The plan with the steps of what follows; `fold_s` seconds (CPU seconds with `cpu_s`), if known."""
        ...

    def train_after(self, run: Run, study: Study, samples: Mapping[str, Sequence[Sample]], fold: int) -> None:
        """Train what follows the network of a fold, unless it is there already."""
        ...

    def evaluate(self, run: Run, study: Study) -> dict[str, Any]:
        """Score the out-of-fold predictions; writes evaluation/ and predictions/, gives the summary."""
        ...

    def deliver(
        self, run: Run, predicted: Iterable[Predicted | PredictedBlocks], delivery: Delivery
    ) -> dict[str, Any]:
        """Write the predictions of new images one by one as they come, each guarded; a summary of all."""
        ...

    def write_tables(self, run: Run, summaries: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Any]:
        """Write the tables of images that were delivered one by one without them; their summary."""
        ...

    def rule(self, run: Run) -> Mapping[str, Any]:
        """How probabilities become decisions on new images, as plain values for other programs."""
        ...

    def decide(self, run: Run, presence: bool = True) -> Decide:
        """How new images are decided; without `presence` no mask is left empty as doubtful, as in huge ones.

        Raises RunError where the run's thresholds are damaged.
        """
        ...

    def headlines(self, run: Run) -> Sequence[Headline]:
        """The few figures on top of the report."""
        ...

    def sections(self, run: Run, study: Study) -> Sequence[Section]:
        """The report's pages that only this task has."""
        ...


class OneNetwork:
    """What a task answers whose network is followed by nothing."""

    unread: Collection[str] = ("detection",)

    def share_after(self, plan: Plan) -> float:
        """No time is kept back."""
        return 0.0

    def plan_after(self, plan: Plan, fold_s: float | None) -> Plan:
        """Nothing to plan."""
        return plan

    def train_after(self, run: Run, study: Study, samples: Mapping[str, Sequence[Sample]], fold: int) -> None:
        """Nothing to train."""
