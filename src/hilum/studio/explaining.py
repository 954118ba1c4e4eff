"""What a network looks at in a case: Grad-CAM and feature maps, made by the worker, shown as a layer.

The studio's process reads files alone here, so that it never loads a network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError, ImageError, RunError
from hilum.files import read_json, whole_file, write_json
from hilum.image.arrays import load_array
from hilum.studio import jobs
from hilum.studio.desk import Desk
from hilum.studio.journal import plane_of
from hilum.studio.view import case_of, look
from hilum.training.run import Run

if TYPE_CHECKING:
    from torch import Tensor

    from hilum.image.image import Image
    from hilum.inference.predictor import Predictor

JOB = "explain"
FOLDER = "explained"
GRADCAM = "gradcam"
CHANNELS = 24
Map = NDArray[np.uint8]


def explains(run: Run | None) -> list[str]:
    """Targets or classes whose Grad-CAM can be asked for; none of detectors, which see a part of a scan."""
    return list(run.plan.data.outputs) if run is not None and run.plan.task in ("segment", "classify") else []


def known_layers(run: Run | None) -> list[str]:
    """Layers of the networks of a run, once the worker has looked at one of them."""
    path = run.folder / FOLDER / "layers.json" if run is not None else None
    if path is None or not path.is_file():
        return []
    found = read_json(path)
    return [str(name) for name in found] if isinstance(found, list) else []


def by_slice(run: Run, dims: int) -> bool:
    """Whether networks look at slices of what is a volume."""
    return dims == 3 and run.plan.data.dims == 2


def path_of(run: Run, case: str, what: str, index: int) -> Path:
    """The file of all maps of a case: of Grad-CAM or a layer, of one slice where networks look at slices."""
    key = hashlib.sha256(f"{what}|{index}".encode()).hexdigest()[:16]
    return run.folder / FOLDER / case / f"{key}.npz"


def ask(desk: Desk, case: str, what: str, index: int) -> Path | None:
    """The maps of a case where they are made; else None, and the worker makes them.

    Raises HilumError where there is no model that can be asked, or the worker could not make them.
    """
    run = desk.run
    if run is None or not explains(run):
        raise HilumError("no model is in use whose look can be shown; train one")
    case_of(desk.view, case)
    path = path_of(run, case, what, index)
    if path.is_file():
        return path
    found = jobs.status(desk.runs, JOB)
    if found.state == "running":
        return None
    if found.state in ("failed", "stopped") and desk.explaining == str(path):
        desk.explaining = ""
        raise HilumError(found.error or f"{case}: the look at it was stopped; ask for it again")
    desk.explaining = str(path)
    request = {"run": str(run.folder), "case": case, "what": what, "index": index}
    jobs.begin(desk.runs, JOB, JOB, {"folder": str(desk.folder.resolve()), **request})
    return None


def map_plane(path: Path, at: int, shape: tuple[int, ...], axis: int, index: int) -> Map:
    """One map (Y', X') of a file, 0 to 255: of a volume the plane nearest to `index` of `shape` along `axis`.

    Raises RunError for a damaged file, HilumError where there is no such map.
    """
    try:
        maps: Map = load_array(path, "maps")
    except (OSError, ImageError) as error:
        path.unlink(missing_ok=True)
        raise RunError(f"{path}: cannot be read ({error}); it is made anew when asked for again") from error
    if not 0 <= at < len(maps):
        raise HilumError(f"there is no map {at}; there are {len(maps)}, counted from 0")
    values: Map = maps[at]
    if values.ndim == 2:
        return values
    return np.asarray(plane_of(values, axis, _nearest(index, shape[axis], values.shape[axis])))


def _nearest(index: int, planes: int, others: int) -> int:
    """Which of `others` planes lies where plane `index` of `planes` does, at another resolution."""
    return min(int((index + 0.5) * others / planes), others - 1)


def explain_for(folder: Path, run_folder: Path, case: str, what: str, index: int) -> None:
    """Make the maps of one case and write them where `path_of` says; in the worker alone.

    By the network that has not seen the case where there is one. Raises HilumError for an unknown layer, or
    an image too large for gradients.
    """
    from hilum.models.features import feature_layers
    from hilum.study.masks import read_case_image
    from hilum.training.prepare import prepare_image
    from hilum.training.run import open_run
    from hilum.verbs.predict import load_predictor

    run = open_run(run_folder)
    every = load_predictor(run)
    predictor = type(every)((every.networks[_unseen(run, case)],), every.plan)
    image = read_case_image(case_of(look(folder), case))
    x = _slab(prepare_image(image, every.plan.data), index, image.shape[0], predictor)
    write_json(run.folder / FOLDER / "layers.json", feature_layers(predictor.networks[0]))
    if what == GRADCAM:
        maps = _activations(x, predictor, _found(run, case, image, x, index, predictor))
    else:
        maps = _features(x, predictor, what)
    with whole_file(path_of(run, case, what, index)) as beside, beside.open("wb") as handle:
        np.savez_compressed(handle, maps=np.stack(maps))


def _unseen(run: Run, case: str) -> int:
    """Place of the network, among those that are trained, that was tested on the case; else the first."""
    trained, folds = run.trained_folds(), run.splits.folds
    return next((at for at, fold in enumerate(trained) if case in folds[fold].test), 0)


def _slab(x: Tensor, index: int, planes: int, predictor: Predictor) -> Tensor:
    """A prepared image as the network sees it; of a volume of so many planes looked at by slices, one."""
    from hilum.explanation.case import WHOLE_PIXELS
    from hilum.training.slices import slabs

    data = predictor.plan.data
    if x.ndim == 4 and data.dims == 2:
        x = slabs(x, [_nearest(index, planes, x.shape[1])], data.neighbours)[0]
    pixels = int(np.prod(x.shape[1:]))
    if pixels > WHOLE_PIXELS:
        raise HilumError(
            f"this image has {pixels:,} pixels as the network sees it; up to {WHOLE_PIXELS:,} are shown "
            "here: `hilum explain` explains its most telling part"
        )
    return x


def _found(
    run: Run, case: str, image: Image, x: Tensor, index: int, predictor: Predictor
) -> NDArray[np.bool_] | None:
    """What is found (K, *S') where the network looks, by the run's thresholds; None of classifiers.

    Decided on the answer that is kept of the whole case. Where there is none, a slice of a volume is decided
    on alone: asking about all of the volume would take minutes.
    """
    from hilum.explanation.decision import at_working
    from hilum.inference.keeping import kept
    from hilum.studio.layers import source_of
    from hilum.verbs.explain import decide_as

    if run.plan.task != "segment":
        return None
    source, shape, sides = source_of(run, case), image.shape, tuple(x.shape[1:])
    if source is not None:
        masks = decide_as(run)(np.asarray(kept(source.folder, case) / 255, np.float32), shape)
        masks = masks[:, min(index, len(masks[0]) - 1)] if len(shape) > len(sides) else masks
    else:
        masks = decide_as(run)(predictor.prepared(x), shape[len(shape) - len(sides) :])
    return at_working(masks, sides)


def _activations(x: Tensor, predictor: Predictor, found: NDArray[np.bool_] | None) -> list[Map]:
    """Grad-CAM of every output, inside what is found of it."""
    from hilum.explanation.activation import activation_layer, class_activation
    from hilum.inference.predictor import quantised

    network = predictor.networks[0]
    layer = activation_layer(network, x)
    where = [
        found[k] if found is not None and found[k].any() else None
        for k in range(len(predictor.plan.data.outputs))
    ]
    return [quantised(class_activation(network, x, k, layer, inside)) for k, inside in enumerate(where)]


def _features(x: Tensor, predictor: Predictor, layer: str) -> list[Map]:
    """The strength of a layer over its channels, then those of its channels that vary most."""
    from hilum.explanation.features import feature_maps

    maps = feature_maps(predictor.networks[0], x, [layer], limit=CHANNELS)
    if not maps:
        raise HilumError(f"layer {layer!r}: its output is not a map; choose another one")
    values = maps[0].maps
    return [_scaled(one) for one in (np.sqrt(np.mean(values**2, axis=0)), *values)]


def _scaled(values: NDArray[Any]) -> Map:
    """Values as 0 to 255 from the least to the greatest."""
    low, high = float(values.min()), float(values.max())
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.asarray(np.rint(255 * share), np.uint8)


def which_map(run: Run | None, what: str, of: str, channel: int) -> int:
    """Which map of a file: of Grad-CAM that of the target or class `of`, of a layer that of a channel.

    Raises HilumError where the model does not know the target or class.
    """
    if what != GRADCAM:
        return channel
    outputs = explains(run)
    if of not in outputs:
        raise HilumError(f"the model knows {', '.join(outputs)}, not {of[:60]}")
    return outputs.index(of)


def place_in(run: Run | None, shape: Sequence[int], axis: int, index: int) -> int | None:
    """Which maps to ask for: those of a slice where networks look at slices; None where there are none."""
    if run is None or not by_slice(run, len(shape)):
        return 0
    return index if axis == 0 else None
