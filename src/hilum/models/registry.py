"""The one list of networks: a name leads to a class, which is imported when it is asked for."""

from __future__ import annotations

import difflib
import importlib
import inspect
from typing import TYPE_CHECKING, Any

from hilum.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

NETWORKS = {
    "unet": "hilum.models.unet:UNet",
    "link-unet": "hilum.models.link_unet:LinkUNet",
    "resnet": "hilum.models.resnet:ResNet",
    "lung-histology-2018": "hilum.models.lung_histology:LungHistology",
    "ultrasound-nerve-2016": "hilum.models.ultrasound_nerve:UltrasoundNerve",
    "nodule-2017": "hilum.models.ultrasound_nerve:UltrasoundNerve",
    "medical-256-2018": "hilum.models.medical_256:Medical256",
    "xray-cnn-2020": "hilum.models.xray_cnn:XrayCnn",
}
# They answer once for a whole image; all others for each pixel.
OF_WHOLE_IMAGES = frozenset({"resnet", "xray-cnn-2020"})
LARGEST_SETTING = 100_000
LONGEST_SETTING = 64
_CHANNELS = ("in_channels", "out_channels")


def names() -> tuple[str, ...]:
    """Names of all networks, ours first, then the classic ones under their recipes' names.

    >>> names()[:2]
    ('unet', 'link-unet')
    """
    return tuple(NETWORKS)


def create(name: str, in_channels: int, out_channels: int = 1, **settings: Any) -> nn.Module:
    """Make a network by its name; its output is logits, the sigmoid or softmax is applied outside.

    `settings` are the keyword arguments of the network's class (`settings_of(name)` lists them).
    Weights are drawn from torch's global generator, so `torch.manual_seed` fixes them.
    Raises PlanError for an unknown name or setting, naming the nearest, and for a value out of range.

    >>> net = create("resnet", in_channels=1, width=8)
    >>> type(net).__name__
    'ResNet'
    """
    allowed = settings_of(name)
    for key in settings:
        if key not in allowed:
            raise PlanError(
                f"network {name} has no setting {key!r}{_nearest(key, allowed)}: {_listed(allowed)}"
            )
    for key, value in zip(_CHANNELS, (in_channels, out_channels), strict=True):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise PlanError(f"network {name}: {key} = {value!r} must be a whole number of at least 1")
    for key, value in settings.items():
        _check_size(name, key, value)
    try:
        net: nn.Module = _load(name)(in_channels, out_channels, **settings)
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        if isinstance(error, PlanError):
            raise
        raise PlanError(f"network {name} cannot be made with {settings}: {error}") from error
    return net


def _check_size(name: str, key: str, value: Any) -> None:
    """Raise PlanError for a setting beyond anything that a network is made with."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    wrong = [one for one in values if isinstance(one, int | float) and not abs(one) <= LARGEST_SETTING]
    if wrong or len(values) > LONGEST_SETTING:
        raise PlanError(f"network {name}: {key} = {str(value)[:80]} is beyond all measure")


def settings_of(name: str) -> dict[str, Any]:
    """Settings of a network with their defaults. Raises PlanError for an unknown name.

    >>> settings_of("ultrasound-nerve-2016")
    {'widths': (32, 64, 128, 256, 512)}
    """
    parameters = inspect.signature(_load(name)).parameters
    return {key: value.default for key, value in parameters.items() if key not in _CHANNELS}


def _load(name: str) -> Callable[..., nn.Module]:
    if name not in NETWORKS:
        raise PlanError(f"there is no network {name!r}{_nearest(name, NETWORKS)}: {_listed(NETWORKS)}")
    module, _, attribute = NETWORKS[name].partition(":")
    network: Callable[..., nn.Module] = getattr(importlib.import_module(module), attribute)
    return network


def _nearest(name: object, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _listed(known: Iterable[str]) -> str:
    return f"choose one of {', '.join(known)}" if known else "it has none"
