"""Exported graphs of a run's networks: ONNX, TorchScript and torch.export programs."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hilum.errors import HilumError, needed
from hilum.exchange.answer import Answer, Entry
from hilum.files import whole_file

OPSET = 18
_AXES = {2: "yx", 3: "zyx"}


def write_onnx(path: Path, answer: Answer, entry: Entry) -> None:
    """Write the networks as one ONNX file: "image" (B, C, *S) to "probability".

    Sides are free multiples of the entry's divisor unless it fixes them. Raises HilumError where the
    exporter is not installed or cannot follow the network.
    """
    for package in ("onnx", "onnxscript"):
        needed(package, "export")
    with whole_file(path) as beside, _quietly():
        torch.onnx.export(
            _program(answer, entry),
            (entry.example(),),
            beside,
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["probability"],
            dynamic_shapes=(_free(entry),),
            external_data=False,
            verbose=False,
        )


def write_program(path: Path, answer: Answer, entry: Entry) -> None:
    """Write the networks as a torch.export program (.pt2): `torch.export.load(path).module()(image)`."""
    with whole_file(path) as beside, _quietly():
        torch.export.save(_program(answer, entry), beside)


def write_torchscript(path: Path, answer: Answer, entry: Entry) -> None:
    """Write the networks as TorchScript: `torch.jit.load(path)(image)`."""
    with whole_file(path) as beside, _quietly(), torch.no_grad():
        traced: Any = torch.jit.trace(answer.eval(), entry.example(), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.freeze(traced).save(str(beside))


def _program(answer: Answer, entry: Entry) -> Any:
    """The networks as torch.export sees them, batch and sides free."""
    try:
        return torch.export.export(answer.eval(), (entry.example(),), dynamic_shapes=(_free(entry),))
    except (RuntimeError, ValueError, TypeError) as error:
        raise HilumError(
            f"this network cannot be exported ({' '.join(str(error).split())[:300]}); "
            "try --format torchscript"
        ) from error


def _free(entry: Entry) -> dict[int, Any]:
    """The axes that may change: the batch, and the sides where they are not fixed."""
    free: dict[int, Any] = {0: torch.export.Dim("batch")}
    if entry.size is None:
        free |= {
            axis + 2: entry.divisor * torch.export.Dim(name) if entry.divisor > 1 else torch.export.Dim(name)
            for axis, name in enumerate(_AXES[entry.dims])
        }
    return free


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporters' notes on optional packages to themselves."""
    spoken = logging.getLogger("torch.onnx")
    level = spoken.level
    spoken.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        spoken.setLevel(level)


class OnnxNetwork(torch.nn.Module):
    """An ONNX file in the place of a network, for comparing both: images (B, C, *S) to logits.

    Its answer is probabilities; `logits` of them are given, so that the activation gives them back.
    """

    def __init__(self, path: Path, activation: str, divisor: int) -> None:
        super().__init__()
        runtime = needed("onnxruntime", "export")
        self.session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.activation, self.divisor = activation, divisor
        self.here = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits whose activation is what the file answers."""
        (answer,) = self.session.run(None, {"image": x.contiguous().numpy()})
        return logits_of(torch.from_numpy(answer), self.activation)


def logits_of(probability: Tensor, activation: str) -> Tensor:
    """Logits that an activation turns into these probabilities.

    >>> logits_of(torch.tensor([[0.5]]), "sigmoid")
    tensor([[0.]])
    """
    p = probability.double().clamp(1e-12, 1 - 1e-12)
    match activation:
        case "sigmoid":
            return torch.logit(p).float()
        case "softmax":
            return p.log().float()
        case _:
            rest = (1 - p.sum(1, keepdim=True)).clamp(min=1e-12)
            return (p.log() - rest.log()).float()
