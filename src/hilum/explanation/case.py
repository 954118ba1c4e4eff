"""Everything that explains one image: feature maps, and for each output its activation, occlusion, doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.explanation.activation import activation_layer, class_activation
from hilum.explanation.decision import Decide, Found, at_half, at_working
from hilum.explanation.features import FeatureMaps, feature_maps
from hilum.explanation.occlusion import Occlusion, occlusion, output_score
from hilum.explanation.uncertainty import Uncertainty, uncertainty
from hilum.explanation.window import telling_window
from hilum.image.image import Image
from hilum.image.spacing import Spacing
from hilum.inference.predictor import Predictor
from hilum.models.features import feature_layers
from hilum.training.prepare import prepare_image
from hilum.training.slices import slabs

Map = NDArray[np.float32]
WHOLE_PIXELS = 4_000_000
LAYERS = 16
SLICES = 8


@dataclass(frozen=True)
class Question:
    """What to explain: outputs by name (None: those the network finds), layers (None: all), whose network.

    `layer` is where Grad-CAM looks (None: chosen by `activation_layer`); `network` counts the folds
    that are there; `decide` says what is found, as the run whose networks these are decides.
    """

    targets: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None
    layer: str | None = None
    occlusion: bool = True
    network: int = 0
    decide: Decide = at_half


@dataclass(frozen=True, eq=False)
class OutputExplanation:
    """Why one class or target: maps (Y, X) of the plane shown, at working resolution.

    `heat` is 0 to 1 (Grad-CAM), `fall` -1 to 1 (occlusion), `entropy` 0 to 1. Of a segmenter `mask` is what
    is found, at the image's own resolution, and `probability` its share of the whole image or volume; of a
    classifier there is no mask and no entropy map.
    """

    name: str
    probability: float
    heat: Map
    fall: Map | None
    entropy: Map | None
    mask: Found | None
    uncertainty: float
    disagreement: float


@dataclass(frozen=True, eq=False)
class CaseExplanation:
    """The explanation of one image: `image` is the plane, or the part of it, that all maps lie over."""

    name: str
    image: Image
    layer: str
    features: tuple[FeatureMaps, ...]
    outputs: tuple[OutputExplanation, ...]
    members: int
    patch: int
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Shown:
    """The plane or part that is looked into: its pixels, what networks see of them, what is found there.

    `masks` (K, *S) are at the image's resolution, `inside` (K, *S') at the network's; None of classifiers.
    """

    image: Image
    x: Tensor
    masks: Found | None
    inside: Found | None


def explain_case(name: str, image: Image, predictor: Predictor, question: Question) -> CaseExplanation:
    """Explain what the networks say of one image.

    Feature maps, Grad-CAM and occlusion are of one network, uncertainty is of all. What is found is decided
    on the whole image. Of an image of more than four million pixels the part with most of the targets is
    explained; of a volume its most active plane is given, or where networks look at slices, the slice with
    most of the targets, or that speaks most for the class. Targets are those that the question is about.
    Raises HilumError for unknown names, ImageError for an image that does not fit the plan.
    """
    network, names = predictor.networks[question.network], predictor.plan.data.outputs
    x = prepare_image(image, predictor.plan.data)
    answer = predictor.prepared(x)
    found = question.decide(answer, image.shape)
    indices = _asked(answer, found, names, question.targets)
    shares = answer if answer.ndim == 1 else found.reshape(len(found), -1).mean(1)
    shown = _telling_slice(image, x, predictor, answer, found, indices)
    # labels of a volume are the mean over its slices: so is the doubt, that of a mask is the slice's own
    sure = uncertainty(predictor.networks, x if answer.ndim == 1 else shown.x, predictor.plan)
    shown, here, notes = _telling_part(shown, sure, indices)
    x, inside = shown.x, shown.inside
    layer = question.layer or activation_layer(network, x)
    heats = {k: class_activation(network, x, k, layer, _inside(inside, k)) for k in indices}
    covered = _occluded(network, x, predictor, indices, inside) if question.occlusion else None
    depth = _depth(list(heats.values()))
    outputs = [
        OutputExplanation(
            name=names[k],
            probability=float(shares[k]),
            heat=_plane(heats[k], depth),
            fall=None if covered is None else _plane(covered.fall[place], depth),
            entropy=None if shown.masks is None else _plane(here.entropy[k], depth),
            mask=None if shown.masks is None else _plane(shown.masks[k], depth),
            uncertainty=float(sure.scores[k]),
            disagreement=float(sure.disagreements[k]),
        )
        for place, k in enumerate(indices)
    ]
    empty = [names[k] for k, heat in heats.items() if not heat.any()]
    notes += [
        f"{target}: nothing in layer {layer} speaks for it, so its Grad-CAM is empty" for target in empty
    ]
    return CaseExplanation(
        name=name,
        image=Image(_planes(shown.image.array, depth), path=image.path, palette=image.palette),
        layer=layer,
        features=_features(network, x, question.layers, depth),
        outputs=tuple(outputs),
        members=sure.members,
        patch=covered.patch if covered else 0,
        notes=tuple(notes),
    )


def _telling_slice(
    image: Image, x: Tensor, predictor: Predictor, answer: Map, found: Found, indices: Sequence[int]
) -> _Shown:
    """The image as a whole; of a volume that networks look at slice by slice, its most telling slice."""
    masks = found if answer.ndim > 1 else None
    if x.ndim == 4 and predictor.plan.data.dims == 2:
        if masks is None:
            plane = _speaking_slice(x, predictor, max(indices, key=lambda k: float(answer[k])))
        else:
            plane = int(answer[list(indices)].sum(axis=(0, 2, 3)).argmax())
        own = min(round((plane + 0.5) * image.shape[0] / x.shape[1] - 0.5), image.shape[0] - 1)
        spacing = Spacing(image.spacing.sizes[1:], image.spacing.unit)
        image = Image(image.array[:, own], spacing, image.path, notes=image.notes)
        x = slabs(x, [plane], predictor.plan.data.neighbours)[0]
        masks = None if masks is None else masks[:, own]
    return _Shown(image, x, masks, None if masks is None else at_working(masks, tuple(x.shape[1:])))


def _speaking_slice(x: Tensor, predictor: Predictor, output: int) -> int:
    """The slice of a volume (C, Z, Y, X) whose own label is surest of an output."""
    depth = x.shape[1]
    groups = [range(at, min(at + SLICES, depth)) for at in range(0, depth, SLICES)]
    said = [predictor.together(slabs(x, group, predictor.plan.data.neighbours)) for group in groups]
    return int(np.concatenate(said)[:, output].argmax())


def _features(
    network: nn.Module, x: Tensor, layers: Sequence[str] | None, depth: float
) -> tuple[FeatureMaps, ...]:
    found = feature_maps(network, x, layers or _spread(feature_layers(network)))
    return tuple(replace(one, maps=_planes(one.maps, depth)) for one in found)


def _asked(answer: Map, found: Found, names: Sequence[str], targets: Sequence[str] | None) -> list[int]:
    """Places of the asked outputs; else all targets, or the classes that are said to be there."""
    if targets is not None:
        return [list(names).index(target) for target in targets]
    if answer.ndim > 1:
        return list(range(len(answer)))
    return [int(k) for k in np.flatnonzero(found)] or [int(answer.argmax())]


def _telling_part(
    shown: _Shown, sure: Uncertainty, indices: Sequence[int]
) -> tuple[_Shown, Uncertainty, list[str]]:
    """The whole image where memory allows gradients through it, else the window with most of the outputs."""
    image, sides = shown.image, tuple(shown.x.shape[1:])
    if np.prod(sides) <= WHOLE_PIXELS or shown.masks is None or shown.inside is None:
        return shown, sure, []
    length = round(WHOLE_PIXELS ** (1 / len(sides)))
    where = telling_window(sure.probability[list(indices)], [min(length, side) for side in sides])
    full = tuple(
        slice(part.start * size // side, -(-part.stop * size // side))
        for part, size, side in zip(where, image.shape, sides, strict=True)
    )
    every, whole = (slice(None), *where), (slice(None), *full)
    cut = Uncertainty(sure.probability[every], sure.entropy[every], sure.disagreement[every], sure.members)
    part = Image(image.array[whole], image.spacing, image.path, image.palette)
    corner = " x ".join(f"{one.start} to {one.stop}" for one in full)
    note = f"the image is large: pixels {corner} of it are shown"
    return _Shown(part, shown.x[every], shown.masks[whole], shown.inside[every]), cut, [note]


def _inside(masks: Found | None, k: int) -> Found | None:
    return masks[k] if masks is not None and masks[k].any() else None


def _occluded(
    network: nn.Module,
    x: Tensor,
    predictor: Predictor,
    indices: Sequence[int],
    masks: Found | None,
) -> Occlusion:
    where = masks[list(indices)] if masks is not None else None
    return occlusion(output_score(network, predictor.plan, indices, where), x)


def _spread(layers: Sequence[str]) -> list[str]:
    """At most `LAYERS` of them, evenly from first to last."""
    places = np.linspace(0, len(layers) - 1, min(LAYERS, len(layers))).round().astype(int)
    return [layers[place] for place in places]


def _depth(heats: Sequence[Map]) -> float:
    """How deep in a volume the plane with most heat lies, 0 to 1."""
    if heats[0].ndim == 2:
        return 0.0
    along = np.sum([heat.sum((1, 2)) for heat in heats], axis=0)
    return float((np.argmax(along) + 0.5) / len(along)) if along.any() else 0.5


def _plane(values: NDArray[Any], depth: float) -> NDArray[Any]:
    """A map (Y, X) as it is, of (Z, Y, X) the plane at that depth."""
    plane: NDArray[Any] = _planes(values[None], depth)[0]
    return plane


def _planes(values: NDArray[Any], depth: float) -> NDArray[Any]:
    """(C, Y, X) as it is, of (C, Z, Y, X) the plane at that depth."""
    if values.ndim == 3:
        return values
    plane: NDArray[Any] = values[:, min(int(depth * values.shape[1]), values.shape[1] - 1)]
    return plane
