"""Feature maps: what each layer of a network makes of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.explanation.choice import choose
from hilum.explanation.hooks import Hook, hooked, shrunken
from hilum.models.features import feature_layers
from hilum.models.forward import cropped, padded_batch

CHANNELS = 64


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """Maps (C', *S') of one layer in its own resolution, of the channels named in `channels`, of `total`."""

    layer: str
    maps: NDArray[np.float32]
    channels: tuple[int, ...]
    total: int

    @property
    def note(self) -> str:
        """Shape and what was left out, in words.

        >>> FeatureMaps("conv", np.zeros((2, 8, 9), np.float32), (0, 3), 4).note
        '4 channels of 8 x 9; the 2 that vary most'
        """
        sides = " x ".join(map(str, self.maps.shape[1:]))
        left_out = f"; the {len(self.channels)} that vary most" if len(self.channels) < self.total else ""
        return f"{self.total} {'channel' if self.total == 1 else 'channels'} of {sides}{left_out}"


def feature_maps(
    network: nn.Module, x: Tensor, layers: Sequence[str] | None = None, limit: int = CHANNELS
) -> list[FeatureMaps]:
    """What the layers make of a prepared image (C, *S), in the order of the forward pass.

    `layers` are names from `hilum.models.feature_layers(network)`, all of them by default. Of a layer with
    more than `limit` channels those that vary most over the image are kept. Padding is cut off again.
    Raises HilumError for an unknown layer.
    """
    known = feature_layers(network)
    names = choose(layers, known, "layer") if layers else known
    batch = padded_batch(network, x[None])
    found: dict[str, FeatureMaps] = {}

    def keep(name: str) -> Hook:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == batch.ndim:
                sides = shrunken(x.shape[1:], batch.shape[2:], output.shape[2:])
                found[name] = _kept(name, cropped(output.detach()[0], sides), limit)

        return hook

    with hooked(network, {name: keep(name) for name in names}), torch.no_grad():
        network(batch)
    return list(found.values())


def _kept(layer: str, maps: Tensor, limit: int) -> FeatureMaps:
    """At most `limit` channels on the CPU, copied, since a later layer may work in place."""
    total = maps.shape[0]
    maps = maps.float()
    chosen = list(range(total))
    if total > limit:
        spread = maps.flatten(1).std(1, correction=0)
        chosen = sorted(spread.topk(limit).indices.tolist())
    array = np.array(maps[chosen].cpu().numpy(), np.float32)
    return FeatureMaps(layer, array, tuple(chosen), total)
