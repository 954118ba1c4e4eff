"""Voxel (z, y, x) to world (x, y, z) in mm and back, with origin, spacing and direction as ITK has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.errors import ImageError
from hilum.image.image import STRAIGHT, Image

Box = tuple[slice, slice, slice]


def spacing_mm(image: Image) -> NDArray[np.float64]:
    """Voxel size (z, y, x) in mm. Raises ImageError where the image is no volume or has no known spacing."""
    if len(image.shape) != 3:
        raise ImageError(f"{image.path or 'image'}: has shape {image.shape}; a volume (Z, Y, X) is needed")
    if not image.spacing.known:
        raise ImageError(
            f"{image.path or 'image'}: its spacing is not known, so millimetres mean nothing; "
            "convert it with its spacing, or give one"
        )
    return np.asarray(image.spacing.sizes, float) * (1e-3 if image.spacing.unit == "um" else 1.0)


def voxel_to_world(image: Image, voxels: ArrayLike) -> NDArray[np.float64]:
    """World (..., 3) as x, y, z in mm of continuous voxel indices (..., 3) as z, y, x.

    >>> from hilum.image.image import Geometry
    >>> from hilum.image.spacing import Spacing
    >>> scan = Image(np.zeros((1, 9, 9, 9)), Spacing((2.5, 0.7, 0.7), "mm"),
    ...     geometry=Geometry((-100.0, -90.0, -300.0), (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    >>> voxel_to_world(scan, (2, 0, 1)).tolist()
    [-99.3, -90.0, -295.0]
    """
    origin, matrix = _affine(image)
    return origin + np.asarray(voxels, float)[..., ::-1] @ matrix.T


def world_to_voxel(image: Image, points: ArrayLike) -> NDArray[np.float64]:
    """Continuous voxel indices (..., 3) as z, y, x of world points (..., 3) as x, y, z in mm."""
    origin, matrix = _affine(image)
    return ((np.asarray(points, float) - origin) @ np.linalg.inv(matrix).T)[..., ::-1]


def inside(image: Image, points: ArrayLike) -> NDArray[np.bool_]:
    """Whether world points (..., 3) lie in the volume, its outer half voxels included."""
    voxels = world_to_voxel(image, points)
    return np.asarray(np.all((voxels >= -0.5) & (voxels <= np.asarray(image.shape) - 0.5), axis=-1))


def ball_box(image: Image, centre: ArrayLike, radius_mm: float, margin: float = 0.0) -> Box:
    """The voxels (slices along z, y, x) within `radius_mm` of a world point, and `margin` voxels around them.

    It is cut at the image's border and never empty.

    >>> from hilum.image.spacing import Spacing
    >>> ball_box(Image(np.zeros((1, 9, 9, 9)), Spacing((2.5, 1.0, 1.0), "mm")), (4.0, 4.0, 10.0), 2.5)
    (slice(3, 6, None), slice(1, 8, None), slice(1, 8, None))
    """
    middle, reach = world_to_voxel(image, centre), radius_mm / spacing_mm(image) + margin
    size = np.asarray(image.shape)
    low = np.clip(np.floor(middle - reach), 0, size - 1).astype(int)
    high = np.clip(np.ceil(middle + reach) + 1, low + 1, size).astype(int)
    z, y, x = (slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))
    return z, y, x


def direction_of(image: Image) -> NDArray[np.float64]:
    """Direction matrix (3, 3): column k is the world direction of array axis x, y, z for k = 0, 1, 2."""
    return np.asarray((image.geometry or STRAIGHT).direction, float).reshape(3, 3)


def head_end(image: Image) -> int:
    """+1 where slices go towards the head with their index, -1 where they go towards the feet."""
    return 1 if direction_of(image)[2, 2] >= 0 else -1


def left_end(image: Image) -> int:
    """+1 where columns go towards the patient's left with their index (the usual), -1 otherwise."""
    return 1 if direction_of(image)[0, 0] >= 0 else -1


def _affine(image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    origin = np.asarray((image.geometry or STRAIGHT).origin, float)
    return origin, direction_of(image) * spacing_mm(image)[::-1]
