"""Images as the page shows them: planes of a volume, window and level, tiles at every zoom, thumbnails."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.ct.hounsfield import WINDOWS
from hilum.errors import HilumError
from hilum.image.colours import target_colour, to_display
from hilum.image.image import Image
from hilum.studio.journal import plane_of

TILE = 512
LIMIT_BYTES = 600_000_000
THUMBNAIL = 320
Pixels = NDArray[np.uint8]
Stamp = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """Which values become black and white."""

    low: float
    high: float


@dataclass
class Images:
    """The images looked at last, decoded, up to so many bytes; `read` decodes one by its case's name.

    An image is held with the state of its file, and read anew where another program has changed that.
    """

    read: Callable[[str], Image]
    limit_bytes: int = LIMIT_BYTES
    held: OrderedDict[str, tuple[Image, Stamp]] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, name: str) -> Image:
        """The image of a case. Raises HilumError where it cannot be read."""
        with self.lock:
            image, seen = self.held.get(name, (None, ()))
            if image is None or seen != _stamp(image.path):
                image = self.read(name)
                self.held[name] = image, _stamp(image.path)
            self.held.move_to_end(name)
            while len(self.held) > 1 and self._held_bytes() > self.limit_bytes:
                self.held.popitem(last=False)
            return image

    def _held_bytes(self) -> int:
        return sum(image.array.nbytes for image, _ in self.held.values())


def _stamp(path: Path | None) -> Stamp:
    """When a file was written and how large it is; () for none, or one that is gone."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size) if found is not None else ()


def plane(image: Image, axis: int = 0, index: int = 0) -> NDArray[Any]:
    """A plane (C, Y, X) of an image, across `axis` (0 to 2) of a volume.

    >>> plane(Image(np.zeros((1, 4, 5, 6))), 1, 2).shape
    (1, 4, 6)
    """
    if image.array.ndim == 3:
        return image.array
    return np.stack([plane_of(channel, axis, index) for channel in image.array])


def aspect(image: Image, axis: int = 0) -> float:
    """Height of a pixel of a plane by its width, 1 where the spacing is not known."""
    sizes = image.spacing.sizes
    if not image.spacing.known:
        return 1.0
    rest = sizes if len(sizes) == 2 else [size for at, size in enumerate(sizes) if at != axis]
    return float(rest[0] / rest[1])


def natural_window(image: Image) -> Window | None:
    """The window an image opens with; None for 8-bit colours, which are shown as they are."""
    array = image.array
    if array.dtype == np.uint8 and len(array) == 3:
        return None
    if array.dtype == np.uint8:
        return Window(0.0, 255.0)
    if looks_like_ct(image):
        return Window(*WINDOWS["lung"])
    values = array.reshape(-1)[:: max(1, array.size // 500_000)]
    values = values[np.isfinite(values)]
    if not values.size:
        return Window(0.0, 1.0)
    low, high = np.percentile(values, (0.5, 99.5))
    return Window(float(low), float(high) if high > low else float(low) + 1)


def looks_like_ct(image: Image) -> bool:
    """Whether values can be Hounsfield units: of one channel and signed, with air far below zero."""
    array = image.array
    if len(array) != 1 or array.dtype.kind not in "if":
        return False
    return value_range(array[:, :: max(1, array.shape[1] // 8)])[0] <= -500


def value_range(values: NDArray[Any]) -> tuple[float, float]:
    """The least and the greatest of the finite values; 0 and 0 where there are none.

    >>> value_range(np.array([3.0, np.nan, -np.inf, 5.0]))
    (3.0, 5.0)
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def levels(shape: Sequence[int]) -> int:
    """How many zoom levels a plane has: the last fits one tile.

    >>> levels((400, 500)), levels((2000, 1000))
    (1, 3)
    """
    count, side = 1, max(shape)
    while side > TILE:
        count, side = count + 1, -(-side // 2)
    return count


def tile(values: NDArray[Any], level: int, row: int, column: int, window: Window | None) -> Pixels:
    """A tile (Y, X, 3) of a plane (C, Y, X) at 1/2^level, as the screen shows it.

    Raises HilumError where there is no such tile.
    """
    step = 2**level
    size = TILE * step
    height, width = values.shape[1:]
    if not (0 <= level < levels((height, width)) and 0 <= row * size < height and 0 <= column * size < width):
        raise HilumError(f"there is no tile {row}, {column} at level {level}")
    part = values[:, row * size : (row + 1) * size, column * size : (column + 1) * size]
    return shown(shrunk(part, step), window)


def shown(values: NDArray[Any], window: Window | None) -> Pixels:
    """Values (C, Y, X) as RGB (Y, X, 3)."""
    limits = (window.low, window.high) if window else None
    if limits is None and not (values.dtype == np.uint8 and len(values) == 3):
        limits = value_range(values)
    return to_display(Image(values), limits)


def shrunk(values: NDArray[Any], step: int) -> NDArray[Any]:
    """Values (C, Y, X) at 1/step, each the mean of a square; the far ends are repeated to fill theirs."""
    if step == 1:
        return values
    height, width = values.shape[1:]
    padded = np.pad(values, ((0, 0), (0, -height % step), (0, -width % step)), mode="edge")
    blocks = padded.reshape(len(values), padded.shape[1] // step, step, padded.shape[2] // step, step)
    mean = blocks.mean(axis=(2, 4), dtype=np.float32)
    return np.asarray(mean if values.dtype.kind == "f" else np.rint(mean).astype(values.dtype))


def png(picture: Pixels) -> bytes:
    """A picture (Y, X) or (Y, X, 3) as PNG, packed quickly; grey where all channels are alike."""
    import imagecodecs

    if picture.ndim == 3 and np.array_equal(picture[..., 0], picture[..., 1]):
        same = np.array_equal(picture[..., 0], picture[..., 2])
        picture = picture[..., 0] if same else picture
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(picture), level=1))


def jpeg(picture: Pixels, quality: int = 85) -> bytes:
    """A picture (Y, X, 3) as JPEG, for thumbnails."""
    from PIL import Image as Pillow

    content = io.BytesIO()
    Pillow.fromarray(picture).save(content, "JPEG", quality=quality)
    return content.getvalue()


def thumbnail(
    image: Image, masks: dict[int, NDArray[np.bool_]] | None = None, side: int = THUMBNAIL
) -> Pixels:
    """A small picture (Y, X, 3), of a volume its middle plane, with masks of targets (by colour) drawn in."""
    from PIL import Image as Pillow

    index = _telling(image, masks)
    values = plane(image, 0, index)
    step = max(1, max(values.shape[1:]) // (2 * side))
    picture = shown(values[:, ::step, ::step] if step > 1 else values, natural_window(image))
    ratio = aspect(image)
    height, width = picture.shape[0] * ratio, float(picture.shape[1])
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.array(Pillow.fromarray(picture).resize(size, Pillow.Resampling.BILINEAR))
    for colour, mask in (masks or {}).items():
        _drawn(small, mask if mask.ndim == 2 else mask[index], size, target_colour(colour).rgb)
    return small


def _telling(image: Image, masks: dict[int, NDArray[np.bool_]] | None) -> int:
    """The plane of a volume that holds most of its masks, else the middle one."""
    if image.array.ndim == 3:
        return 0
    counts = sum((mask.sum(axis=(1, 2)) for mask in (masks or {}).values()), np.zeros(image.shape[0]))
    return int(counts.argmax()) if np.any(counts) else image.shape[0] // 2


def _drawn(
    small: Pixels, mask: NDArray[np.bool_], size: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    """Tint the inside of a mask lightly and draw its rim, in place."""
    width, height = size
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
    inside = mask[np.ix_(rows, columns)]
    around = np.pad(inside, 1, mode="edge")
    rim = inside & ~(around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:])
    tinted = (3 * small.astype(np.uint16) + np.array(colour, np.uint16)) // 4
    np.copyto(small, tinted.astype(np.uint8), where=inside[..., None])  # far sooner done than by indices
    np.copyto(small, np.array(colour, np.uint8), where=rim[..., None])
