"""Networks by name: `create("unet", in_channels=3)` makes one, `names()` lists them all."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilum.models.features import feature_layers as feature_layers
    from hilum.models.keras_weights import load_keras_weights as load_keras_weights
    from hilum.models.parameters import count_parameters as count_parameters
    from hilum.models.registry import create as create
    from hilum.models.registry import names as names

_HOMES = {
    "count_parameters": "parameters",
    "create": "registry",
    "feature_layers": "features",
    "load_keras_weights": "keras_weights",
    "names": "registry",
}

__all__ = ["count_parameters", "create", "feature_layers", "load_keras_weights", "names"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
