"""`hilum export --format torchscript|torch-export`: the networks for programs that have PyTorch alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from hilum.exchange.answer import Answer, Entry, entry_of
from hilum.exchange.exports import Exported, place
from hilum.exchange.graphs import logits_of, write_program, write_torchscript
from hilum.exchange.parity import check_parity
from hilum.exchange.processing import processing
from hilum.files import write_bytes, write_json
from hilum.training.run import Run, load_network

Write = Callable[[Path, Answer, Entry], None]


class Loaded(nn.Module):
    """A loaded program in the place of a network, for comparing: images to logits of its probabilities."""

    def __init__(self, program: Callable[[Tensor], Tensor], activation: str, divisor: int) -> None:
        super().__init__()
        self.program, self.activation, self.divisor = program, activation, divisor
        self.here = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits whose activation is what the program answers."""
        return logits_of(self.program(x), self.activation)


def export_torchscript(run: Run, out: Path | None) -> Exported:
    """Write model.pt and model.json. Raises HilumError where the file does not answer as the run does."""
    return _export(run, place(run, out, "torchscript"), "model.pt", write_torchscript, _script)


def export_program(run: Run, out: Path | None) -> Exported:
    """Write model.pt2 and model.json. Raises HilumError where the file does not answer as the run does."""
    return _export(run, place(run, out, "torch-export"), "model.pt2", write_program, _program)


def _export(
    run: Run, folder: Path, name: str, write: Write, load: Callable[[Path], Callable[[Tensor], Tensor]]
) -> Exported:
    networks = [load_network(run, index) for index in run.trained_folds()]
    answer = Answer(networks, run.plan)
    entry = entry_of(run.plan, answer.divisor)
    with tempfile.TemporaryDirectory(prefix="hilum-") as scratch:
        written = Path(scratch) / name
        write(written, answer, entry)
        parity = check_parity(
            run, networks, Loaded(load(written), run.plan.model.activation, entry.divisor), entry
        )
        write_bytes(folder / name, written.read_bytes())
    write_json(folder / "model.json", {**processing(run, entry), "parity": parity.to_json(), "model": name})
    files = (folder / name, folder / "model.json")
    return Exported(folder, files, (str(parity),), {"parity": parity.to_json()})


def _script(path: Path) -> Callable[[Tensor], Tensor]:
    loaded: Callable[[Tensor], Tensor] = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    return loaded


def _program(path: Path) -> Callable[[Tensor], Tensor]:
    module = torch.export.load(path).module()
    return lambda image: module(image)  # the module itself may not be put into evaluation form
