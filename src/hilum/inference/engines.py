"""Engines that compute a trained network's answers in PyTorch's place, found by name.

They are chosen where a device is named (`hilum predict --device openvino`), on processors, to predict alone.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hilum.errors import HilumError, needed
from hilum.planning.plan import Plan

Engine = Callable[[nn.Module, Plan], nn.Module]


class OpenVinoNetwork(nn.Module):
    """A network compiled by OpenVINO, in the network's place: images (B, C, *S) to its logits.

    The network itself stays with it, for its device and for what it says of itself.
    """

    def __init__(self, network: nn.Module, compiled: Any) -> None:
        super().__init__()
        self.network, self.compiled = network, compiled
        self.divisor = int(getattr(network, "divisor", 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K[, *S]), in single precision whatever was computed in."""
        return torch.from_numpy(self.compiled(x.contiguous().numpy())[0])


def by_openvino(network: nn.Module, plan: Plan) -> nn.Module:
    """The network compiled for this processor, in the plan's precision.

    Raises HilumError where OpenVINO is not installed or cannot follow the network.
    """
    # OpenVINO tells its makers of each import and conversion; without this package it does not.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    openvino: Any = needed("openvino", "openvino")
    precision = "bf16" if plan.training.precision == "bf16-mixed" else "f32"
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad():
            model = openvino.convert_model(network.eval(), example_input=_example(network, plan))
        compiled = openvino.Core().compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise HilumError(
            f"OpenVINO cannot compute {plan.model.name} ({' '.join(str(error).split())[:300]}); "
            "use --device cpu"
        ) from error
    return OpenVinoNetwork(network, compiled)


def _example(network: nn.Module, plan: Plan) -> Tensor:
    """Two images of zeros as the network takes them in training."""
    divisor = int(getattr(network, "divisor", 1))
    sides = [-(-side // divisor) * divisor for side in plan.training.patch]
    return torch.zeros(2, plan.data.seen_channels, *sides)


ENGINES: Mapping[str, Engine] = {"openvino": by_openvino}
