"""What resuming needs, in one safetensors file: weights, averages, optimiser, step and history."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hilum.errors import RunError
from hilum.files import whole_file

NOTES, CHECKSUM = "hilum", "crc32"
_PLAIN = ("step", "seconds", "cpu_s", "losses", "skipped", "in_a_row", "batch")


@dataclass(frozen=True)
class History:
    """Rows of a training history: step, seconds, loss, learning rate, scores of the running batch."""

    rows: tuple[Mapping[str, float], ...] = ()

    def with_row(self, row: Mapping[str, float]) -> History:
        """The history with one more row."""
        return History((*self.rows, dict(row)))


@dataclass(frozen=True)
class TrainingState:
    """Steps done, wall and CPU seconds, the history and the losses not yet in a row of it.

    `skipped` steps had no finite loss, the last `in_a_row` of them one after the other; `batch` is what
    was left of the planned one where memory ran out. `watched` is what watching saw, `best` the best
    weights it met.
    """

    step: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    history: History = field(default_factory=History)
    losses: tuple[float, ...] = ()
    skipped: int = 0
    in_a_row: int = 0
    batch: int | None = None
    watched: Mapping[str, Any] = field(default_factory=dict)
    best: Mapping[str, Tensor] = field(default_factory=dict)


def save_state(
    path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, state: TrainingState
) -> None:
    """Write everything that resuming needs, whole or not at all."""
    tensors: dict[str, Tensor] = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best.items()}
    for index, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{slot}": torch.as_tensor(value) for slot, value in slots.items()}
    notes = {name: getattr(state, name) for name in _PLAIN}
    notes |= {"history": list(state.history.rows), "watched": dict(state.watched)}
    save_tensors(path, tensors, {"state": json.dumps(notes)})


def load_state(
    path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> TrainingState:
    """Put a saved state into network, average and optimiser; a fresh TrainingState where none was saved.

    Raises RunError where the file is damaged or belongs to another network.
    """
    if not path.exists():
        return TrainingState()
    tensors, notes = load_tensors(path)
    try:
        network.load_state_dict(_part(tensors, "network."))
        average.load_state_dict(_part(tensors, "average."))
        optimiser.load_state_dict(_optimiser_dict(optimiser, _part(tensors, "optimiser.")))
        _check_moments(optimiser)
        saved = json.loads(notes["state"])
        return TrainingState(
            step=int(saved["step"]),
            seconds=float(saved["seconds"]),
            cpu_s=float(saved["cpu_s"]),
            history=History(tuple(dict(row) for row in saved["history"])),
            losses=tuple(float(loss) for loss in saved["losses"]),
            skipped=int(saved["skipped"]),
            in_a_row=int(saved["in_a_row"]),
            batch=None if saved["batch"] is None else int(saved["batch"]),
            watched=dict(saved["watched"]),
            best=_part(tensors, "best."),
        )
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path}: is not a state of this run ({error}); remove it to start the fold again"
        ) from error


def save_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors with a checksum of all that is in them, whole or not at all."""
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    notes = dict(notes or {})
    try:
        with whole_file(path) as beside:
            # One entry alone: several are written in an order that differs from time to time.
            save_file(plain, beside, {NOTES: json.dumps({**notes, CHECKSUM: _checksum(plain, notes)})})
    except SafetensorError as error:
        raise RunError(f"{path}: cannot be written ({' '.join(str(error).split())[:200]})") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file and its notes.

    Raises RunError where it is missing or damaged, if only by one bit; files of other programs, which have
    no checksum of ours, are taken as they are.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as handle:
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
            notes = _notes(handle.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read as weights ({error})") from error
    wanted = notes.pop(CHECKSUM, None)
    if wanted is not None and wanted != _checksum(tensors, notes):
        raise RunError(f"{path}: is damaged: its checksum does not fit what is in it; copy it again")
    return tensors, notes


def _notes(metadata: Mapping[str, str]) -> dict[str, str]:
    """The notes of a file; those of other programs, or of before there were checksums, stand alone."""
    if NOTES not in metadata:
        return dict(metadata)
    return {str(key): str(value) for key, value in dict(json.loads(metadata[NOTES])).items()}


def _checksum(tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> str:
    """CRC-32 of names, types, shapes, values and notes: guards against accidents, not against malice."""
    total = zlib.crc32(json.dumps(sorted(notes.items())).encode())
    for name, value in sorted(tensors.items()):
        total = zlib.crc32(f"{name} {value.dtype} {tuple(value.shape)}".encode(), total)
        total = zlib.crc32(value.reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _optimiser_dict(optimiser: torch.optim.Optimizer, flat: Mapping[str, Tensor]) -> dict[str, Any]:
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in flat.items():
        index, _, slot = name.partition(".")
        slots.setdefault(int(index), {})[slot] = value
    groups = optimiser.state_dict()["param_groups"]
    if unknown := slots.keys() - {index for group in groups for index in group["params"]}:
        raise ValueError(f"moments of parameter {min(unknown)}, which the network does not have")
    return {"state": slots, "param_groups": groups}


def _check_moments(optimiser: torch.optim.Optimizer) -> None:
    """Raise ValueError where moments have another shape than their weights: a state of an older Hilum."""
    for weight, slots in optimiser.state.items():
        for slot, value in slots.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != weight.shape:
                raise ValueError(f"{slot} of shape {tuple(value.shape)} for weights {tuple(weight.shape)}")
