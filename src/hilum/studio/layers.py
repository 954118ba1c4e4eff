"""What a model says of a case, as layers over its image: prediction, probability, uncertainty, regions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.image.mask_files import mask_file
from hilum.image.readers import read_image
from hilum.inference.keeping import kept, level_counts
from hilum.studio.journal import plane_of
from hilum.tasks.mask_decisions import cuts_of, final_thresholds
from hilum.training.run import Run

NEXT = "next"


@dataclass(frozen=True)
class Source:
    """Where a model's answer on a case lies: `out_of_fold` where no network that gave it saw the case."""

    run: Run
    folder: Path
    out_of_fold: bool


def source_of(run: Run | None, case: str) -> Source | None:
    """The answer of a run on a case: out of fold, else predicted when images were ranked; or None."""
    if run is None:
        return None
    folders = ((run.evaluation / "probabilities", True), (run.folder / NEXT / "probabilities", False))
    for folder, unseen in folders:
        if (folder / f"{case}.npz").is_file():
            return Source(run, folder, unseen)
    return None


def answer_on(run: Run | None, case: str) -> Source:
    """The same. Raises HilumError where there is none."""
    source = source_of(run, case)
    if source is None:
        raise HilumError(f"{case}: no model has predicted it yet; train, or rank the images under What next")
    return source


def probability_plane(
    source: Source, case: str, target: str, shape: tuple[int, ...], axis: int, index: int
) -> NDArray[np.uint8]:
    """Probabilities (Y', X') of a plane, 0 to 255, at the resolution the network works in."""
    outputs = source.run.plan.data.outputs
    if target not in outputs:
        raise HilumError(f"{source.run.folder.name}: knows {', '.join(outputs)}, not {target}")
    values: NDArray[np.uint8] = kept(source.folder, case)[outputs.index(target)]
    if values.ndim == 2:
        return np.asarray(values)
    near = min(int((index + 0.5) * values.shape[axis] / shape[axis]), values.shape[axis] - 1)
    return np.asarray(plane_of(values, axis, near))


def full_plane(
    source: Source, case: str, target: str, shape: tuple[int, ...], axis: int, index: int
) -> NDArray[np.uint8]:
    """Probabilities (Y, X) of a plane, 0 to 255, at full size, as masks are decided on."""
    from hilum.inference.predictor import enlarged

    sides = shape if len(shape) == 2 else tuple(side for at, side in enumerate(shape) if at != axis)
    values = probability_plane(source, case, target, shape, axis, index)
    return values if values.shape == sides else enlarged(values[None], sides)[0]


def threshold_of(source: Source, case: str, target: str) -> float:
    """From which probability on a pixel of a case counts, 0 to 1: the run's, or the image's own."""
    cuts = cuts_of(final_thresholds(source.run), lambda: level_counts(kept(source.folder, case)))
    return cuts[source.run.plan.data.outputs.index(target)]


def predicted_plane(
    source: Source, case: str, target: str, shape: tuple[int, ...], axis: int, index: int
) -> NDArray[np.bool_]:
    """The model's mask of a plane: the one it was scored by where there is one, else from probabilities."""
    path = mask_file(source.run.predictions, target, case) if source.out_of_fold else None
    if path is not None:
        return np.asarray(plane_of(read_image(path).array[0], axis, index) > 0)
    values = full_plane(source, case, target, shape, axis, index)
    return np.asarray(values >= 255 * threshold_of(source, case, target))


def entropy_plane(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How unsure a plane of probabilities is: 0 where all is clear, 255 at one half (entropy in bits).

    >>> entropy_plane(np.array([[0, 255]], np.uint8)).tolist()
    [[0, 0]]
    """
    share = np.clip(np.arange(256) / 255, 1e-9, 1 - 1e-9)
    table = -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
    return np.rint(255 * table).astype(np.uint8)[values]


def region(
    values: NDArray[np.uint8], start: tuple[int, int], end: tuple[int, int] | None, level: float
) -> NDArray[np.bool_]:
    """What is probable around a point (y, x), or in the box from there to `end`."""
    return region_at(values, start, level) if end is None else region_in(values, (*start, *end), level)


def region_at(values: NDArray[np.uint8], point: tuple[int, int], level: float) -> NDArray[np.bool_]:
    """The connected region of probabilities, 0 to 255, around a point (y, x), from `level` (0 to 1) on.

    A click beside the region, where the model is unsure, takes what is at least half as probable.
    """
    from scipy import ndimage

    y, x = point
    if not (0 <= y < values.shape[0] and 0 <= x < values.shape[1]):
        return np.zeros(values.shape, bool)
    here = float(values[y, x]) / 255
    cut = level if here >= level else max(0.05, 0.8 * here)
    labels, _ = ndimage.label(values >= 255 * cut)
    return np.asarray((labels == labels[y, x]) & (labels > 0))


def region_in(values: NDArray[np.uint8], box: tuple[int, int, int, int], level: float) -> NDArray[np.bool_]:
    """What is probable inside a box (top, left, bottom, right); of doubtful boxes what stands out most.

    Where nothing in the box reaches `level`, the cut that parts its probabilities best is taken (Otsu 1979).
    """
    from skimage.filters import threshold_otsu

    top, left, bottom, right = box
    chosen = np.zeros(values.shape, bool)
    part = values[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if not part.size:
        return chosen
    cut = 255 * level
    if not (part >= cut).any() and part.max() > part.min():
        cut = float(threshold_otsu(part)) + 1
    chosen[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = (part >= cut) & (part > 0)
    return chosen


def flooded(values: NDArray[np.generic], point: tuple[int, int], tolerance: float) -> NDArray[np.bool_]:
    """The connected region of alike pixels of a picture (Y, X, 3) around (y, x); tolerance 0 to 255.

    Raises HilumError where the point is beside the picture.
    """
    from skimage.segmentation import flood

    if not (0 <= point[0] < values.shape[0] and 0 <= point[1] < values.shape[1]):
        raise HilumError("this is beside the image")
    return np.asarray(flood(np.asarray(values).astype(np.float32).mean(-1), point, tolerance=tolerance), bool)
