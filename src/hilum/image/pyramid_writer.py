"""Huge images written band by band: tiled, compressed, pyramidal OME-TIFF or OME-Zarr, whole or absent."""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError, ImageError
from hilum.files import whole_file
from hilum.image.limits import shown
from hilum.image.spacing import Spacing
from hilum.image.writers import ome_sizes

TILE = 512
FORMATS = ("tiff", "zarr")
SUFFIXES = {"tiff": ".ome.tif", "zarr": ".ome.zarr"}
_BIG_BYTES = 2 * 1024**3
_JPEG_QUALITY = 90
_ZARR_UNITS = {"um": "micrometer", "mm": "millimeter"}

Band = NDArray[Any]


class Sink(Protocol):
    """Where bands of a level go, and what makes a file of them."""

    def take(self, level: int, y: int, band: Band) -> None:
        """Rows (h, X[, S]) of a level from row `y` on; h is TILE but at the end."""
        ...

    def finish(self) -> None:
        """Write the file, whole or not at all."""
        ...

    def drop(self) -> None:
        """Forget what is not finished."""
        ...


def level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Shapes (Y, X) of a pyramid's levels, each half the one before, until one fits a tile.

    >>> level_shapes((1300, 600))
    [(1300, 600), (650, 300), (325, 150)]
    """
    shapes = [shape]
    while max(shapes[-1]) > TILE:
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    return shapes


@dataclass
class PyramidWriter:
    """A pyramid in the making: `push` bands from top to bottom, then leave its context.

    Bands are (h, X) or (h, X, 3) of uint8. Smaller levels are means of 2 x 2 pixels; of masks (`binary`,
    0 and 255) what most of them say.
    """

    path: Path
    shape: tuple[int, int]
    sink: Sink
    binary: bool = False
    _rows: list[list[Band]] = field(init=False)
    _done: list[int] = field(init=False)

    def __post_init__(self) -> None:
        shapes = level_shapes(self.shape)
        self._rows, self._done = [[] for _ in shapes], [0] * len(shapes)

    def push(self, band: Band) -> None:
        """Add rows (h, X[, S]) below those that are there. Raises HilumError where they do not fit."""
        if band.shape[1] != self.shape[1] or self._height(0) + len(band) > self.shape[0]:
            raise HilumError(f"{shown(self.path)}: band {band.shape} does not fit an image {self.shape}")
        self._push(0, band)

    def _height(self, level: int) -> int:
        return self._done[level] + sum(map(len, self._rows[level]))

    def _push(self, level: int, band: Band) -> None:
        self._rows[level].append(band)
        height = level_shapes(self.shape)[level][0]
        waiting = sum(map(len, self._rows[level]))
        if waiting < TILE and self._done[level] + waiting < height:
            return
        rows = np.concatenate(self._rows[level]) if len(self._rows[level]) > 1 else self._rows[level][0]
        last = self._done[level] + len(rows) == height
        ready = len(rows) if last else len(rows) // TILE * TILE
        self._rows[level] = [rows[ready:]] if ready < len(rows) else []
        for at in range(0, ready, TILE):
            part = rows[at : min(at + TILE, ready)]
            self.sink.take(level, self._done[level], part)
            self._done[level] += len(part)
            if level + 1 < len(self._done):
                self._push(level + 1, halved(part, self.binary))

    def __enter__(self) -> PyramidWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._height(0) != self.shape[0]:
                    raise HilumError(
                        f"{shown(self.path)}: {self._height(0)} of {self.shape[0]} rows were given"
                    )
                self.sink.finish()
        finally:
            self.sink.drop()


def halved(band: Band, binary: bool = False) -> Band:
    """A band (h, X[, S]) of uint8 in half its size; odd ends are repeated.

    >>> halved(np.array([[0, 255, 255], [0, 0, 255]], np.uint8), binary=True).tolist()
    [[0, 255]]
    """
    ends = [(0, band.shape[0] % 2), (0, band.shape[1] % 2), *[(0, 0)] * (band.ndim - 2)]
    even = np.pad(band, ends, mode="edge") if any(map(max, ends)) else band
    total = even[::2, ::2].astype(np.uint16)
    for part in (even[1::2, ::2], even[::2, 1::2], even[1::2, 1::2]):
        total += part
    if binary:
        # where two of four are inside one of them decides, always the same: else masks would grow
        inside = (total > 510) | ((total == 510) & (even[::2, ::2] > 0))
        return np.where(inside, np.uint8(255), np.uint8(0))
    return np.asarray((total + 2) // 4, np.uint8)


def start_writer(
    path: Path,
    shape: tuple[int, int],
    spacing: Spacing,
    kind: str = "tiff",
    binary: bool = False,
    codec: str = "zlib",
) -> PyramidWriter:
    """A writer of `path`, a "tiff" (one channel, or RGB by `codec` "jpeg") or a "zarr" of one channel.

    Raises ImageError for another kind, or where zarr is not installed.
    """
    if kind not in FORMATS:
        raise ImageError(f"{shown(path)}: huge masks are written as {' or '.join(FORMATS)}, not {kind!r}")
    sink: Sink = (
        _ZarrSink(path, level_shapes(shape), spacing)
        if kind == "zarr"
        else _TiffSink(path, level_shapes(shape), spacing, codec)
    )
    return PyramidWriter(path, shape, sink, binary)


@dataclass
class _TiffSink:
    """Encoded tiles of every level, kept in a temporary file each until the TIFF is put together."""

    path: Path
    shapes: list[tuple[int, int]]
    spacing: Spacing
    codec: str
    folder: Path = field(init=False)
    files: list[IO[bytes]] = field(init=False)
    sizes: list[list[int]] = field(init=False)
    _constant: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=".volume-", dir=self.path.parent))
            self.files = [(self.folder / str(level)).open("w+b") for level in range(len(self.shapes))]
        except OSError as error:
            raise HilumError(f"{self.path}: cannot be written ({error.strerror})") from error
        self.sizes = [[] for _ in self.shapes]

    def take(self, level: int, y: int, band: Band) -> None:
        for x in range(0, band.shape[1], TILE):
            part = band[:, x : x + TILE]
            ends = [(0, TILE - part.shape[0]), (0, TILE - part.shape[1]), *[(0, 0)] * (part.ndim - 2)]
            encoded = self._encoded(np.pad(part, ends, mode="edge") if any(map(max, ends)) else part)
            try:
                self.files[level].write(encoded)
            except OSError as error:
                raise HilumError(f"{self.path}: cannot be written ({error.strerror}); free room") from error
            self.sizes[level].append(len(encoded))

    def _encoded(self, tile: Band) -> bytes:
        import imagecodecs

        tile = np.ascontiguousarray(tile)
        if self.codec == "jpeg":
            return bytes(imagecodecs.jpeg_encode(tile, level=_JPEG_QUALITY, subsampling="420"))
        value = int(tile.flat[0])
        if tile.ndim == 2 and bool((tile == value).all()):
            if value not in self._constant:
                self._constant[value] = bytes(imagecodecs.zlib_encode(tile.tobytes(), level=6))
            return self._constant[value]
        return bytes(imagecodecs.zlib_encode(tile.tobytes(), level=6))

    def _tiles(self, level: int) -> Iterator[bytes]:
        self.files[level].seek(0)
        for size in self.sizes[level]:
            yield self.files[level].read(size)

    def finish(self) -> None:
        import tifffile

        jpeg = self.codec == "jpeg"
        more = (3,) if jpeg else ()
        options: dict[str, Any] = {
            "dtype": np.uint8,
            "tile": (TILE, TILE),
            "compression": "jpeg" if jpeg else "zlib",
            "photometric": "ycbcr" if jpeg else "minisblack",
            **({"subsampling": (2, 2)} if jpeg else {}),
        }
        big = sum(map(sum, self.sizes)) > _BIG_BYTES
        with whole_file(self.path) as beside, tifffile.TiffWriter(beside, bigtiff=big, ome=True) as tif:
            for level, shape in enumerate(self.shapes):
                first = {
                    "subifds": len(self.shapes) - 1,
                    "metadata": {"axes": "YXS" if jpeg else "YX", **ome_sizes(self.spacing)},
                }
                later = {"subfiletype": 1, "metadata": None}
                tif.write(self._tiles(level), shape=(*shape, *more), **options, **(later if level else first))

    def drop(self) -> None:
        for file in self.files:
            file.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class _ZarrSink:
    """An OME-Zarr folder (NGFF 0.4 on Zarr 2, which napari and QuPath read), written beside, then renamed."""

    path: Path
    shapes: list[tuple[int, int]]
    spacing: Spacing
    beside: Path = field(init=False)
    arrays: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        from hilum.image.zarr_windows import need_zarr

        zarr = need_zarr()
        if self.path.exists():
            raise HilumError(f"{shown(self.path)}: exists already; name a new folder")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.beside = Path(tempfile.mkdtemp(prefix=".volume-", dir=self.path.parent))
        except OSError as error:
            raise HilumError(f"{self.path}: cannot be written ({error.strerror})") from error
        group = zarr.open_group(str(self.beside), mode="w", zarr_format=2)
        self.arrays = [
            group.create_array(
                str(level),
                shape=(1, 1, 1, *shape),
                chunks=(1, 1, 1, min(TILE, shape[0]), min(TILE, shape[1])),
                dtype="uint8",
                fill_value=0,
                chunk_key_encoding={"name": "v2", "separator": "/"},
            )
            for level, shape in enumerate(self.shapes)
        ]
        group.attrs["multiscales"] = [self._multiscale()]

    def _multiscale(self) -> dict[str, Any]:
        unit = {"unit": _ZARR_UNITS[self.spacing.unit]} if self.spacing.known else {}
        axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
        axes += [{"name": name, "type": "space", **unit} for name in "zyx"]
        datasets = []
        for level, shape in enumerate(self.shapes):
            scale = [
                size * full / own
                for size, full, own in zip(self.spacing.sizes, self.shapes[0], shape, strict=True)
            ]
            steps = [{"type": "scale", "scale": [1.0, 1.0, 1.0, *scale]}]
            datasets.append({"path": str(level), "coordinateTransformations": steps})
        return {"version": "0.4", "name": self.path.name, "axes": axes, "datasets": datasets}

    def take(self, level: int, y: int, band: Band) -> None:
        try:
            self.arrays[level][0, 0, 0, y : y + len(band)] = band
        except OSError as error:
            raise HilumError(f"{self.path}: cannot be written ({error.strerror or error})") from error

    def finish(self) -> None:
        self.beside.chmod(0o755)
        self.beside.rename(self.path)

    def drop(self) -> None:
        shutil.rmtree(self.beside, ignore_errors=True)


def bands(height: int, rows: int = TILE) -> Iterator[tuple[int, int]]:
    """From row, to row of bands over `height` rows.

    >>> list(bands(1000, 512))
    [(0, 512), (512, 1000)]
    """
    return ((at, min(at + rows, height)) for at in range(0, height, rows))


def blocks(width: int, columns: int) -> list[tuple[int, int]]:
    """From column, to column of about equal blocks of at most so many columns."""
    count = math.ceil(width / columns)
    ends = [width * at // count for at in range(count + 1)]
    return list(itertools.pairwise(ends))
