"""Candidates: possible nodules found in a probability volume, with their place, size and probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.ct.coordinates import spacing_mm, voxel_to_world
from hilum.errors import ImageError
from hilum.image.image import Image

_EIGHTEEN = ndimage.generate_binary_structure(3, 2)


@dataclass(frozen=True)
class Candidate:
    """A possible nodule: centre (x, y, z) in mm, equivalent diameter, and how probable it is.

    `probability` is what lists are ordered by: the region's highest as found, or what a second classifier
    put in its place. `peak` and `mean` stay the region's highest and mean probability.
    """

    centre: tuple[float, float, float]
    diameter_mm: float
    probability: float
    peak: float
    mean: float
    volume_mm3: float


def find_candidates(
    probability: NDArray[np.floating],
    image: Image,
    *,
    threshold: float = 0.5,
    merge_mm: float = 4.0,
    smallest_mm: float = 2.0,
) -> list[Candidate]:
    """Connected regions of a probability volume (Z, Y, X) above `threshold`, most probable first.

    `image` gives the grid. Voxels touching by a face or an edge are joined; the centre is weighted with the
    probability. Regions of an equivalent diameter below `smallest_mm` are left out, then those whose
    centres lie within `merge_mm` (or the larger's radius) are merged. Raises ImageError on another shape.
    """
    if probability.shape != image.shape:
        raise ImageError(
            f"{image.path or 'image'}: probability has shape {probability.shape}, not {image.shape}"
        )
    labels, count = ndimage.label(probability > threshold, structure=_EIGHTEEN)
    voxel = float(np.prod(spacing_mm(image)))
    found = []
    for index, box in enumerate(ndimage.find_objects(labels, count), start=1):
        places = np.argwhere(labels[box] == index)
        weights = probability[box][tuple(places.T)].astype(float)
        volume = len(places) * voxel
        if ball_diameter(volume) < smallest_mm:
            continue
        centre = np.average(places, axis=0, weights=weights) + [part.start for part in box]
        x, y, z = (float(value) for value in voxel_to_world(image, centre))
        peak, mean = float(weights.max()), float(weights.mean())
        found.append(Candidate((x, y, z), ball_diameter(volume), peak, peak, mean, volume))
    return merged(found, merge_mm)


def ball_diameter(volume_mm3: float) -> float:
    """Diameter in mm of the ball of a volume in mm³.

    >>> round(ball_diameter(4188.79), 3)
    20.0
    """
    return float((6.0 * volume_mm3 / np.pi) ** (1 / 3))


def merged(candidates: Sequence[Candidate], merge_mm: float) -> list[Candidate]:
    """Candidates with near ones made one, most probable first.

    Each joins the best one whose centre lies within `merge_mm` or within the larger radius of both. The
    merged centre is weighted by volume, volumes add up, probability and peak are the highest.
    """
    kept: list[Candidate] = []
    for one in sorted(candidates, key=lambda each: (-each.probability, each.centre)):
        for index, other in enumerate(kept):
            reach = max(merge_mm, one.diameter_mm / 2, other.diameter_mm / 2)
            if float(np.linalg.norm(np.subtract(one.centre, other.centre))) <= reach:
                kept[index] = _joined(other, one)
                break
        else:
            kept.append(one)
    return sorted(kept, key=lambda each: -each.probability)


def _joined(first: Candidate, second: Candidate) -> Candidate:
    volume = first.volume_mm3 + second.volume_mm3
    share = second.volume_mm3 / volume
    x, y, z = ((1 - share) * a + share * b for a, b in zip(first.centre, second.centre, strict=True))
    return replace(
        first,
        centre=(x, y, z),
        diameter_mm=ball_diameter(volume),
        volume_mm3=volume,
        peak=max(first.peak, second.peak),
        mean=(1 - share) * first.mean + share * second.mean,
    )


def rows_of(found: Mapping[str, Sequence[Candidate]]) -> list[tuple[str, Candidate]]:
    """Series uid and candidate of each, in the order of series and falling probability."""
    return [
        (uid, one) for uid in sorted(found) for one in sorted(found[uid], key=lambda each: -each.probability)
    ]
