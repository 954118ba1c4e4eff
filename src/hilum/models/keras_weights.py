"""Weights of the classic networks out of Keras' HDF5 files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.errors import HilumError
from hilum.models import parts
from hilum.models.keras_file import KerasLayer, read_keras_file

_NORM_PARTS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_OTHER_PARTS = {"kernel": "weight", "bias": "bias"}


def load_keras_weights(net: nn.Module, path: Path | str) -> None:
    """Load weights that Keras saved as HDF5 into one of the classic networks, in place.

    Reads `model.save_weights("weights.h5")` of Keras 2 and the whole models of `model.save("model.h5")`.
    Layers are matched by their order; kernels are turned from (Y, X, C, F) to (F, C, Y, X), and a dense layer
    after a flatten from (Y, X, C) to (C, Y, X). Files of the Theano backend are flipped. Nothing is loaded
    unless everything fits. Needs h5py (`pip install 'hilum[keras]'`).

    Raises HilumError where h5py is missing, the file is no such file or damaged, or a layer does not fit,
    naming the layer, its shape and the shape needed.
    """
    path = Path(path)
    content = read_keras_file(path)
    wanted = [(name, module) for name, module in net.named_modules() if _is_weighted(module)]
    if len(content.layers) != len(wanted):
        raise HilumError(
            f"{path}: holds {len(content.layers)} layers with weights "
            f"({_some(layer.name for layer in content.layers)}), but the network has {len(wanted)}: "
            "make the network that the file was saved from"
        )
    flattened = getattr(net, "flattened", None)
    state = net.state_dict()
    for layer, (name, module) in zip(content.layers, wanted, strict=True):
        for key, ours in _fitting(layer, name, module, path).items():
            array = layer.arrays[key]
            if content.backend == "theano" and isinstance(module, parts.CONVOLUTIONS) and array.ndim == 4:
                array = array[::-1, ::-1]
            state[f"{name}.{ours}"] = _turned(array, module, flattened)
    net.load_state_dict(state)


def _fitting(layer: KerasLayer, name: str, module: nn.Module, path: Path) -> dict[str, str]:
    """Names of the layer's arrays in Keras and in the module, once they and their shapes fit."""
    named = _NORM_PARTS if isinstance(module, parts.NORMS) else _OTHER_PARTS
    if set(layer.arrays) != set(named):
        raise HilumError(
            f"{path}: layer {layer.name} holds {', '.join(sorted(layer.arrays))}, "
            f"but {name} of the network needs {', '.join(sorted(named))}"
        )
    for key, ours in named.items():
        shape = tuple(module.state_dict()[ours].shape)
        needed = (*shape[2:], shape[1], shape[0]) if len(shape) > 1 else shape
        if layer.arrays[key].shape != needed:
            raise HilumError(
                f"{path}: layer {layer.name}, {key}: has shape {layer.arrays[key].shape}, "
                f"but {name} of the network needs {needed}"
            )
    return named


def _turned(array: NDArray[np.float32], module: nn.Module, flattened: tuple[int, int, int] | None) -> Tensor:
    """From Keras' axes to ours; `flattened` is the map (C, Y, X) that the network flattens, if it does."""
    if array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    elif array.ndim == 2:
        if flattened is not None and isinstance(module, nn.Linear) and len(array) == np.prod(flattened):
            channels, height, width = flattened
            array = array.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(array.shape)
        array = array.T
    return torch.from_numpy(array.copy())


def _is_weighted(module: nn.Module) -> bool:
    return isinstance(module, (*parts.CONVOLUTIONS, *parts.NORMS, nn.Linear))


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "") if listed else "none"
