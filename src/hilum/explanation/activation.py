"""Gradient-weighted class activation maps (Grad-CAM), for classes and for targets of a segmentation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.errors import HilumError
from hilum.explanation.choice import choose
from hilum.explanation.features import feature_maps
from hilum.explanation.hooks import hooked
from hilum.models.features import feature_layers
from hilum.models.forward import cropped, padded_batch
from hilum.training.prepare import resize

LEAST_SIDE = 7


def class_activation(
    network: nn.Module,
    x: Tensor,
    output: int,
    layer: str | None = None,
    where: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Grad-CAM of one output of a network for a prepared image (C, *S): heat (*S), 0 to 1.

    Of a classifier the logit is explained; of a segmenter the sum of the logits inside `where` (*S), or over
    the whole image. `layer` is one of `hilum.models.feature_layers`, by default `activation_layer`'s.
    The heat is 0 throughout where nothing in the layer speaks for the output.
    Raises HilumError for an unknown layer or output.

    After Selvaraju et al. 2017 (Grad-CAM) and Vinogradova et al. 2020 (Seg-Grad-CAM). Own code rather than
    MONAI's, which leaves its hooks on the network, sums gradients in all weights and knows no mask; a test
    compares both.
    """
    name = choose(layer, feature_layers(network), "layer")[0] if layer else activation_layer(network, x)
    batch = padded_batch(network, x[None])
    maps, gradient = _map_and_gradient(network, batch, output, name, where)
    weight = gradient.flatten(1).mean(1).reshape(-1, *[1] * (maps.ndim - 1))
    heat = (weight * maps).sum(0).clamp(min=0).detach().float().cpu()
    full = cropped(resize(heat[None], tuple(batch.shape[2:]))[0], x.shape[1:])
    return np.asarray(full / full.max().clamp(min=1e-12), np.float32)


def activation_layer(network: nn.Module, x: Tensor) -> str:
    """The last feature layer that still has seven pixels a side, else the last of the largest ones.

    Of a U-Net deeper layers were tried on tissue: their heat lies on the background, whose channels are
    strong everywhere. Raises HilumError where no layer gives a map.
    """
    sides = {one.layer: min(one.maps.shape[1:]) for one in feature_maps(network, x, limit=1)}
    if not sides:
        raise HilumError(f"{type(network).__name__}: has no layer whose output is a map; Grad-CAM needs one")
    least = min(LEAST_SIDE, max(sides.values()))
    return [layer for layer, side in sides.items() if side >= least][-1]


def _map_and_gradient(
    network: nn.Module, batch: Tensor, output: int, layer: str, where: NDArray[np.bool_] | None
) -> tuple[Tensor, Tensor]:
    """A layer's maps (C, *S') and how the score changes with them. The graph begins at the layer."""
    caught: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: object, found: object) -> object:
        if not isinstance(found, Tensor) or found.ndim != batch.ndim:
            raise HilumError(f"layer {layer!r}: its output is not a map, so it has no Grad-CAM")
        caught.append(found.detach().requires_grad_())
        return caught[-1].clone()  # a layer behind it may work in place

    with hooked(network, {layer: hook}), torch.enable_grad():
        score = _score(network(batch), output, where)
        (gradient,) = torch.autograd.grad(score, caught[-1:], allow_unused=True)
    found = caught[-1]
    return found[0], torch.zeros_like(found[0]) if gradient is None else gradient[0]


def _score(logits: Tensor, output: int, where: NDArray[np.bool_] | None) -> Tensor:
    if not 0 <= output < logits.shape[1]:
        raise HilumError(f"output {output}: the network has outputs 0 to {logits.shape[1] - 1}")
    chosen = logits[0, output]
    if where is None or chosen.ndim == 0:
        return chosen.sum()
    inside = torch.from_numpy(np.ascontiguousarray(where)).to(chosen.device)
    return cropped(chosen, where.shape)[inside].sum()
