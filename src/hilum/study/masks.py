"""Pixels of a case: its image with all channels, and its masks as one boolean array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError, StudyError
from hilum.image.alignment import Placed, difference, is_placed, turn_onto, turned
from hilum.image.channels import TURNED_ASIDE
from hilum.image.image import Image
from hilum.image.readers import Header, probe, read_image
from hilum.image.spacing import Spacing
from hilum.study.inside import inside, open_mask
from hilum.study.study import Case, Encoding, MaskSource, Source


def read_masks(
    case: Case, targets: Sequence[str], shape: Sequence[int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks (T, Y, X) or (T, Z, Y, X) of a case, and which of the targets are annotated (T,).

    `shape` is the spatial shape of the image. Targets that are not annotated are False throughout. Mask
    volumes whose axes run another way than their image's are turned. Raises StudyError where a mask has
    another size or lies elsewhere, ImageError where a file cannot be read.
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
        opened[key] = _laid(case, source, open_mask(source, encoding), shape)
    return inside(opened[key], encoding)


def _laid(case: Case, source: Source, mask: Image, shape: tuple[int, ...]) -> Image:
    """The mask on the grid of its image, of which only the header is read, and that for volumes alone."""
    image = _header(case.image, _stamp(case.image)) if is_placed(mask) and case.image.index is None else None
    if image is not None and image.shape == shape:
        return _onto(case, source, mask, image)
    if mask.shape != shape:
        raise StudyError(size_mismatch(case, source, shape, mask.shape))
    return mask


def _onto(case: Case, source: Source, other: Image, image: Placed) -> Image:
    turn = turn_onto(other, image)
    if turn is None:
        raise StudyError(misfit(case, source, image, other))
    return turned(other, turn, image)


@lru_cache(maxsize=1024)
def _header(source: Source, stamp: tuple[int, int]) -> Header:
    """The header of an image, kept until its file changes: those of deflated files take a while."""
    return probe(source.path, source.entry)


def _stamp(source: Source) -> tuple[int, int]:
    try:
        found = source.path.stat()
    except OSError as error:
        raise StudyError(f"{source}: cannot be read ({error.strerror})") from error
    return found.st_mtime_ns, found.st_size


def misfit(case: Case, source: Source, image: Placed, other: Placed) -> str:
    """The message for a mask or channel on another grid than its image, both files named; "" if it fits."""
    if turn_onto(other, image) is not None:
        return ""
    if other.shape != image.shape:
        return size_mismatch(case, source, image.shape, other.shape)
    return (
        f"{source} does not lie where its image {case.image} does: {difference(other, image)}; resample it "
        "onto the image (in SimpleITK: Resample(mask, image, Transform(), sitkNearestNeighbor))"
    )


def size_mismatch(case: Case, source: Source, image: Sequence[int], mask: Sequence[int]) -> str:
    """The message for a mask or channel of another size than its image, both files and sizes named."""
    sizes = f"{source} is {_size(mask)} but its image {case.image} is {_size(image)}; "
    if len(mask) == 2 and len(image) == 3 and tuple(image[1:]) == tuple(mask) and _is_tiff(case.image):
        return (
            f"{sizes}its pages were read as planes of a volume; if they are channels, write the image with "
            "axes CYX (tifffile: photometric='minisblack', metadata={'axes': 'CYX'})"
        )
    if len(image) == 2 and tuple(mask) == tuple(reversed(image)) and _turned_aside(case.image):
        return (
            f"{sizes}the image was turned as its orientation tag says, the mask has no such tag; save the "
            "image as it is stored without the tag, or turn the mask"
        )
    return f"{sizes}a mask or channel needs the size of its image, so export it again"


def _turned_aside(source: Source) -> bool:
    try:
        return TURNED_ASIDE in _read(source).notes
    except ImageError:  # told of where the image itself is read
        return False


def _is_tiff(source: Source) -> bool:
    return source.path.suffix.lower() in (".tif", ".tiff")


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, reversed(shape))) + (" voxels" if len(shape) > 2 else " pixels")


def read_case_image(case: Case) -> Image:
    """The image of a case, channel files stacked, with the table's spacing where one was given.

    Raises ImageError where a file cannot be read, StudyError where channels or spacing do not fit.
    """
    image = _read(case.image)
    if case.channels:
        others = [_onto(case, source, _read(source), image) for source in case.channels]
        image = image.with_array(np.concatenate([image.array, *(other.array for other in others)]))
    spacing = fitted_spacing(case, len(image.shape))
    return image if spacing is None else replace(image, spacing=spacing)


def _read(source: Source) -> Image:
    return read_image(source.path, source.entry, source.index)


def fitted_spacing(case: Case, ndim: int) -> Spacing | None:
    """The case's own spacing for `ndim` axes, or None. Raises StudyError where it does not fit."""
    spacing = case.spacing
    fitted = spacing.along(ndim) if spacing else None
    if spacing and not fitted:
        raise StudyError(
            f"{case.name}: spacing {spacing} is given for an image of {ndim} axes; give {ndim} sizes"
        )
    return fitted
