"""Pixels of a case: its image with all channels, and its masks as one boolean array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilum.errors import StudyError
from hilum.image.image import Image
from hilum.image.readers import read_image
from hilum.image.spacing import Spacing
from hilum.study.encodings import inside, open_mask
from hilum.study.study import Case, Encoding, MaskSource, Source


def read_masks(
    case: Case, targets: Sequence[str], shape: Sequence[int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks (T, Y, X) or (T, Z, Y, X) of a case, and which of the targets are annotated (T,).

    `shape` is the spatial shape of the image. Targets that are not annotated are False throughout.
    Raises StudyError where a mask has another size, ImageError where a file cannot be read.
    """
    masks = np.zeros((len(targets), *shape), bool)
    annotated = np.array([target in case.masks for target in targets], bool)
    opened: dict[tuple[Source, bool], Image] = {}
    for index, target in enumerate(targets):
        if target in case.masks:
            masks[index] = _voted(case, case.masks[target], tuple(shape), opened)
    return masks, annotated


def read_reader_masks(case: Case, target: str, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Masks (R, Y, X) or (R, Z, Y, X) of each reader (or part) of one target.

    Raises StudyError where the target is not annotated in this case or a mask has another size.
    """
    if target not in case.masks:
        raise StudyError(
            f"{case.name}: {target} is not annotated; annotated are {', '.join(case.masks) or 'none'}"
        )
    mask = case.masks[target]
    opened: dict[tuple[Source, bool], Image] = {}
    return np.stack([_one(case, source, mask.encoding, tuple(shape), opened) for source in mask.sources])


def _voted(
    case: Case, mask: MaskSource, shape: tuple[int, ...], opened: dict[tuple[Source, bool], Image]
) -> NDArray[np.bool_]:
    votes = np.zeros(shape, np.uint8)
    for source in mask.sources:
        votes += _one(case, source, mask.encoding, shape, opened)
    return votes >= mask.votes


def _one(
    case: Case,
    source: Source,
    encoding: Encoding,
    shape: tuple[int, ...],
    opened: dict[tuple[Source, bool], Image],
) -> NDArray[np.bool_]:
    key = (source, encoding.kind == "index")
    if key not in opened:
        opened[key] = open_mask(source, encoding)
    image = opened[key]
    if image.shape != shape:
        raise StudyError(size_mismatch(case, source, shape, image.shape))
    return inside(image, encoding)


def size_mismatch(case: Case, source: Source, image: Sequence[int], mask: Sequence[int]) -> str:
    """The message for a mask of another size than its image, both files and sizes named."""
    return (
        f"{source} is {_size(mask)} but its image {case.image} is {_size(image)}; "
        "a mask needs the size of its image, so export it again"
    )


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, reversed(shape))) + (" voxels" if len(shape) > 2 else " pixels")


def read_case_image(case: Case) -> Image:
    """The image of a case, channel files stacked, with the table's spacing where one was given.

    Raises ImageError where a file cannot be read, StudyError where channels or spacing do not fit.
    """
    image = _read(case.image)
    if case.channels:
        others = [_read(source) for source in case.channels]
        for source, other in zip(case.channels, others, strict=True):
            if other.shape != image.shape:
                raise StudyError(
                    f"{source} is {_size(other.shape)} but the first channel {case.image} is "
                    f"{_size(image.shape)}; "
                    "channels of one case need one size"
                )
        image = image.with_array(np.concatenate([image.array, *(other.array for other in others)]))
    spacing = fitted_spacing(case, len(image.shape))
    return image if spacing is None else replace(image, spacing=spacing)


def _read(source: Source) -> Image:
    return read_image(source.path, source.entry, source.index)


def fitted_spacing(case: Case, ndim: int) -> Spacing | None:
    """The case's own spacing for `ndim` axes, or None. Raises StudyError where it does not fit."""
    spacing = case.spacing
    if spacing is None or len(spacing.sizes) == ndim:
        return spacing
    if len(set(spacing.sizes)) == 1:
        return Spacing((spacing.sizes[0],) * ndim, spacing.unit)
    raise StudyError(
        f"{case.name}: spacing {spacing} is given for an image of {ndim} axes; give {ndim} sizes"
    )
