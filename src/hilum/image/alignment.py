"""Whether two volumes lie on one grid in the world, and axes turned where only their order differs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilum.image.image import STRAIGHT, Image
from hilum.image.readers import Header
from hilum.image.spacing import Spacing

Placed = Image | Header
# Below half a voxel the nearest voxel of the other grid is the same one everywhere: nothing is lost.
_WITHIN_VOXELS = 0.5


@dataclass(frozen=True)
class Turn:
    """How a volume is turned onto another grid: its spatial axes in their new order, then those reversed."""

    axes: tuple[int, ...]
    reversed: tuple[int, ...] = ()

    @property
    def still(self) -> bool:
        """Whether nothing is turned."""
        return self.axes == tuple(sorted(self.axes)) and not self.reversed


def turn_onto(volume: Placed, other: Placed) -> Turn | None:
    """The turn that lays each voxel of a volume onto that of another, None where there is none.

    Without a stated place (pictures, arrays, headers left at 1 mm and 0) voxels of one shape are taken as
    they are.
    """
    still = Turn(tuple(range(len(volume.shape))))
    if not (is_placed(volume) and is_placed(other)) or len(volume.shape) != len(other.shape):
        return still if volume.shape == other.shape else None
    to_other = np.linalg.inv(_affine(other)) @ _affine(volume)
    order = np.abs(to_other[:3, :3]).argmax(axis=0)
    if sorted(order) != [0, 1, 2]:
        return None
    size, forward = _size(volume), np.diag(to_other[order, :3]) > 0
    if (_size(other)[order] != size).any():
        return None
    for corner in itertools.product(*((0, last) for last in size - 1)):
        wanted = np.empty(3)
        wanted[order] = np.where(forward, corner, size - 1 - corner)
        if np.abs((to_other @ (*corner, 1.0))[:3] - wanted).max() >= _WITHIN_VOXELS:
            return None
    return _turn(order, forward, len(volume.shape))


def turned(image: Image, turn: Turn, other: Placed) -> Image:
    """The image turned onto the grid of `other`."""
    if turn.still:
        return image
    array = image.array.transpose(0, *(axis + 1 for axis in turn.axes))
    array = np.flip(array, tuple(axis + 1 for axis in turn.reversed))
    return replace(image, array=np.ascontiguousarray(array), spacing=other.spacing, geometry=other.geometry)


def difference(volume: Placed, other: Placed) -> str:
    """In which words two volumes with a place differ: spacing, origin, direction."""
    here, there = volume.geometry or STRAIGHT, other.geometry or STRAIGHT
    words = []
    if not np.allclose(volume.spacing.sizes, other.spacing.sizes, rtol=1e-4):
        words.append(f"spacing {volume.spacing} instead of {other.spacing}")
    if not np.allclose(here.origin, there.origin, atol=_WITHIN_VOXELS * min(other.spacing.sizes)):
        words.append(f"origin {_numbers(here.origin)} mm instead of {_numbers(there.origin)}")
    if not np.allclose(here.direction, there.direction, atol=1e-3):
        words.append(f"direction {_numbers(here.direction)} instead of {_numbers(there.direction)}")
    return ", ".join(words) or "slightly turned, so that it is half a voxel off at its corners"


def is_placed(volume: Placed) -> bool:
    """Whether a volume says where it lies; headers left at 1 mm from 0 on say nothing."""
    geometry, spacing = volume.geometry, volume.spacing
    if geometry is None or not spacing.known:
        return False
    # NIfTI turns x and y round, so that its plainest header has the direction -1, -1, 1.
    plain = geometry.direction in _PLAIN and not any(geometry.origin)
    return not (plain and spacing == Spacing((1.0,) * len(spacing.sizes), "mm"))


_PLAIN = (STRAIGHT.direction, (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))


def _size(volume: Placed) -> NDArray[np.int64]:
    """Voxels along x, y, z; 1 along the z of a picture."""
    return np.array([*volume.shape[::-1], 1][:3])


def _affine(volume: Placed) -> NDArray[np.float64]:
    """From voxels (x, y, z, 1) to the world in mm."""
    geometry = volume.geometry or STRAIGHT
    affine = np.eye(4)
    steps = [*volume.spacing.sizes[::-1], 1.0][:3]
    affine[:3, :3] = np.asarray(geometry.direction).reshape(3, 3) * steps
    affine[:3, 3] = geometry.origin
    return affine


def _turn(order: NDArray[np.int64], forward: NDArray[np.bool_], ndim: int) -> Turn:
    """From x, y, z to the axes of arrays, which run the other way."""
    last = ndim - 1
    source = np.argsort(order)[:ndim]
    axes = tuple(int(last - axis) for axis in source[::-1])
    backwards = tuple(int(last - axis) for axis in range(ndim) if not forward[source[axis]])
    return Turn(axes, backwards)


def _numbers(values: tuple[float, ...]) -> str:
    """As people write them, -0 as 0."""
    return f"({', '.join(f'{round(value, 6) + 0.0:.4g}' for value in values)})"
