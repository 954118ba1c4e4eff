"""A run on disk: plan, study, splits, the weights of each fold, history and manifest."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import platform
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hilum import models
from hilum.errors import HilumError, PlanError, RunError
from hilum.files import read_json, read_text, write_json, write_rows
from hilum.models.committee import Committee
from hilum.models.per_output import PerOutput
from hilum.planning.document import read_plan, write_plan
from hilum.planning.plan import Plan
from hilum.study.record import study_from_json, study_to_json
from hilum.study.splits import Splits, read_splits, write_splits
from hilum.study.study import Study
from hilum.training.lock import passed_over, sweep
from hilum.training.state import History, load_tensors, save_tensors

PACKAGES = (
    "hilum",
    "torch",
    "numpy",
    "scipy",
    "scikit-image",
    "lightning-fabric",
    "monai",
    "pillow",
    "tifffile",
)

logger = logging.getLogger(__name__)
_FIRST = ("plan.yaml", "study.json", "splits.json", "manifest.json")


@dataclass(frozen=True)
class Run:
    """The folder of a run. Nothing is held but the path; parts are read when asked for."""

    folder: Path

    @cached_property
    def plan(self) -> Plan:
        """The plan the run was made with. Raises PlanError where plan.yaml is damaged."""
        return read_plan(self.folder / "plan.yaml")

    @cached_property
    def study(self) -> Study:
        """The study the run was trained on; its files may have moved since."""
        return study_from_json(read_json(self.folder / "study.json"))

    @cached_property
    def splits(self) -> Splits:
        """The folds."""
        return read_splits(self.folder / "splits.json", self.study)

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, machine, command, times, seeds, input hashes."""
        content = read_json(self.folder / "manifest.json")
        return dict(content) if isinstance(content, dict) else {}

    @property
    def caveat(self) -> str:
        """Why the scores of this run are too good, in a sentence; "" where nothing says that they are."""
        seen = len(self.manifest.get("init_seen") or ())
        if not seen:
            return ""
        return (
            f"The network that training began from (--init) may have learnt from {seen} of the scored cases: "
            "these scores are too good."
        )

    @property
    def evaluation(self) -> Path:
        """Folder of scores."""
        return self.folder / "evaluation"

    @property
    def predictions(self) -> Path:
        """Folder of out-of-fold masks."""
        return self.folder / "predictions"

    @property
    def cache(self) -> Path:
        """Folder of prepared images, for going on; may be removed at any time."""
        return self.folder / "cache"

    def fold(self, index: int) -> Path:
        """Folder of one fold."""
        return self.folder / f"fold-{index}"

    def finished(self, index: int) -> bool:
        """Whether the weights of a fold are final."""
        return (self.fold(index) / "model.safetensors").is_file()

    def trained_folds(self) -> list[int]:
        """Folds whose weights are there."""
        return [index for index in range(len(self.splits.folds)) if self.finished(index)]

    def summary(self) -> dict[str, Any]:
        """The scores. Raises RunError where the run was not evaluated."""
        return dict(read_json(self.evaluation / "summary.json"))

    def history(self, index: int) -> list[dict[str, str]]:
        """Rows of a fold's history.csv."""
        path = self.fold(index) / "history.csv"
        if not path.is_file():
            return []
        text = read_text(path)
        try:
            return [{str(k): str(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))]
        except csv.Error as error:
            raise RunError(f"{path}: is not a table ({error})") from error


def start_run(folder: Path, plan: Plan, study: Study, splits: Splits, notes: Mapping[str, Any]) -> Run:
    """Write the first files of a new run. Raises RunError where the folder holds something already."""
    check_new(folder)
    write_json(folder / "study.json", study_to_json(study))
    write_splits(folder / "splits.json", splits)
    write_plan(plan, folder / "plan.yaml")
    write_manifest(folder, notes)
    return Run(folder)


def check_new(folder: Path) -> None:
    """Raise RunError where an output folder exists and is not empty, or is a file."""
    if folder.is_file():
        raise RunError(f"--out {folder}: is a file; name a new folder")
    if folder.is_dir() and any(not passed_over(path.name) for path in folder.iterdir()):
        is_run = (folder / "study.json").is_file()
        hint = "add --resume to go on with it, or " if is_run else ""
        raise RunError(f"--out {folder}: exists and is not empty; {hint}name a new folder")


def forget_beginning(folder: Path) -> None:
    """Remove what a stopped run left half written, and its first files where not all were written.

    Their first is study.json, which nobody else writes: a folder with a plan of the user's own stays.
    """
    if not (folder / "study.json").is_file():
        return
    found = {path.name for path in folder.iterdir() if not passed_over(path.name)}
    begun = found < set(_FIRST) and "manifest.json" not in found
    if begun or "manifest.json" in found:
        sweep(folder)
    for name in found if begun else ():
        (folder / name).unlink()


def open_run(folder: Path, trained: bool = True) -> Run:
    """A run by its folder. Raises RunError where it is not one, or has no trained fold."""
    folder = Path(folder)
    missing = [name for name in _FIRST if not (folder / name).is_file()]
    if missing:
        found = "no such folder" if not folder.exists() else f"{', '.join(missing)} missing"
        raise RunError(f"{folder}: is not a run ({found}); make one with: hilum train FOLDER --out {folder}")
    run = Run(folder)
    if trained and not run.trained_folds():
        raise RunError(
            f"{folder}: no fold is trained yet; go on with: hilum train ... --out {folder} --resume"
        )
    return run


def check_there(run: Run) -> None:
    """Raise RunError where the folder of a run has vanished, so that no half of it is made again."""
    if not (run.folder / "manifest.json").is_file():
        raise RunError(f"{run.folder}: is gone; nothing is saved. If its disk comes back, add --resume")


def write_manifest(folder: Path, notes: Mapping[str, Any]) -> None:
    """Write manifest.json: what is needed to tell why another machine gives other figures."""
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""
    write_json(
        folder / "manifest.json",
        {"versions": package_versions(), "machine": machine, "written": now, "command": command, **notes},
    )


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide on the figures, those that are installed."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def processor_name() -> str:
    """The processor's name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def make_network(plan: Plan) -> nn.Module:
    """The network of a plan, with fresh weights from its seed. Raises PlanError for too small a batch."""
    torch.manual_seed(plan.training.seed)
    members = plan.model.members
    if members > plan.training.batch:
        raise PlanError(
            f"model.members={members}: each learns from its own part of a batch of {plan.training.batch}; "
            f"set training.batch={4 * members}"
        )
    return _one_network(plan) if members == 1 else Committee([_one_network(plan) for _ in range(members)])


def _one_network(plan: Plan) -> nn.Module:
    channels = plan.data.seen_channels
    outputs, settings = len(plan.data.outputs), plan.model.settings
    if not plan.model.per_target:
        return models.create(plan.model.name, channels, outputs, **settings)
    return PerOutput([models.create(plan.model.name, channels, 1, **settings) for _ in range(outputs)])


def save_fold(run: Run, index: int, network: nn.Module, history: History) -> None:
    """Write the final weights of a fold and its history."""
    write_history(run.fold(index) / "history.csv", history.rows)
    save_tensors(
        run.fold(index) / "model.safetensors",
        network.state_dict(),
        {"network": json.dumps(run.plan.model.model_dump())},
    )


def write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write history rows as CSV."""
    write_rows(path, rows, digits=6)


def load_network(run: Run, index: int) -> nn.Module:
    """The trained network of a fold. Raises RunError where the weights do not fit the plan.

    What the plan asks for is compared with the file before any memory is taken for it.
    """
    path = run.fold(index) / "model.safetensors"
    tensors, _ = load_tensors(path)
    with torch.device("meta"):
        wanted = {name: value.shape for name, value in make_network(run.plan).state_dict().items()}
    if wanted != {name: value.shape for name, value in tensors.items()}:
        raise RunError(f"{path}: the weights do not fit the plan; was plan.yaml edited after training?")
    unfit = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if unfit:
        raise RunError(f"{path}: holds NaN or infinite weights, in {unfit[0]}; train this fold again")
    network = make_network(run.plan)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise RunError(
            f"{path}: the weights do not fit the plan ({' '.join(str(error).split())[:300]})"
        ) from error
    return network.eval()


def fresh_folds(run: Run, unseen: Collection[str]) -> list[int]:
    """Trained folds whose networks have learnt from none of the `unseen` cases."""
    folds = run.splits.folds
    return [
        index
        for index in run.trained_folds()
        if not {*folds[index].train, *folds[index].val}.intersection(unseen)
    ]


def start_weights(run: Run, unseen: Collection[str] = ()) -> dict[str, torch.Tensor]:
    """Weights of another run to start from (`--init`): of a fold that learnt from none of the `unseen` cases.

    Where every fold has learnt from some of them, its first trained fold is taken and a warning is logged,
    because scores on these cases would be too good.
    """
    fresh = fresh_folds(run, unseen)
    if not fresh:
        logger.warning(
            "--init %s: every network there has learnt from cases that this one is scored on, so the scores "
            "will be too good; train with the folds of that run (--splits)",
            run.folder,
        )
    return load_tensors(run.fold((fresh or run.trained_folds())[0]) / "model.safetensors")[0]


def initialise(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Copy the weights that fit by name and shape; the names left as they were.

    Raises HilumError where none fits.
    """
    own = network.state_dict()
    fitting = {
        name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape
    }
    if not fitting:
        raise HilumError("--init: no weight of that run fits this plan's network; use the same model in both")
    network.load_state_dict({**own, **fitting})
    return [name for name in own if name not in fitting]
