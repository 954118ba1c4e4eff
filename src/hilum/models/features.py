"""Which layers of a network are worth looking at: for feature maps and class activation maps."""

from __future__ import annotations

from torch import nn

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def feature_layers(net: nn.Module) -> list[str]:
    """Names of a network's meaningful layers in the order of its forward pass.

    Each name goes into `net.get_submodule(name)`, whose output is a map (N, C, Y, X) or (N, C, Z, Y, X) to
    hook. Our networks name theirs (a method `feature_layers`: the levels, after the activation); of any
    other network all convolutions are named.

    >>> feature_layers(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 1, 1)))
    ['0', '2']
    """
    named = getattr(net, "feature_layers", None)
    if callable(named):
        return [str(name) for name in named()]
    return [name for name, module in net.named_modules() if isinstance(module, _CONVOLUTIONS)]
