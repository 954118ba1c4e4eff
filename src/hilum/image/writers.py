"""Writing masks and images without loss: PNG, TIFF, NPY, and volumes; whole or not at all."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.files import whole_file, write_bytes
from hilum.image.image import Image
from hilum.image.limits import shown
from hilum.image.raster import SPACING_KEY
from hilum.image.resolution import METRE_UM
from hilum.image.spacing import Spacing, unknown_spacing

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
_TIFF_SUFFIXES = (".tif", ".tiff", ".btf")
_WRITABLE = ".png, .tif, .tiff, .npy, " + ", ".join(VOLUME_SUFFIXES)
_IN_UM = {"um": 1.0, "mm": 1000.0}
_OME_KINDS = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")
_PNG_HEADER_BYTES = 33
_BIG_TIFF_BYTES = 3 * 1024**3


def write_mask(path: Path | str, mask: NDArray[np.bool_], spacing: Spacing | None = None) -> None:
    """Write a mask (Y, X) or (Z, Y, X) of bool without loss, with its spacing where known.

    PNG and TIFF hold 0 and 255 in one 8-bit channel, NPY and volume files (.nii.gz and others) 0 and 1.
    Raises ImageError for other arrays and file names, HilumError where the disk refuses.
    """
    path = Path(path)
    if mask.dtype != bool or mask.ndim not in (2, 3):
        raise ImageError(
            f"{shown(path)}: a mask is bool (Y, X) or (Z, Y, X), not {mask.dtype} of shape {mask.shape}"
        )
    shown_to_people = path.name.lower().endswith((".png", *_TIFF_SUFFIXES))
    array = mask[None].astype(np.uint8) * np.uint8(255 if shown_to_people else 1)
    write_image(path, Image(array, spacing or unknown_spacing(mask.ndim)))


def write_image(path: Path | str, image: Image) -> None:
    """Write an image without loss in the format of the file name; reading it gives its type and spacing back.

    PNG takes 8 or 16 bits in one or three channels, TIFF (as OME-TIFF) all types up to 32-bit integers
    and 64-bit floats, NPY any type but no spacing. Volumes (C, Z, Y, X) go to .nii.gz, .mha, .nrrd, TIFF
    or NPY. Raises ImageError for what a format cannot hold, HilumError where the disk refuses.
    """
    path, name = Path(path), Path(path).name.lower()
    if name.endswith(".png"):
        write_bytes(path, _png(path, image))
    elif name.endswith(_TIFF_SUFFIXES):
        _write_tiff(path, image)
    elif name.endswith(".npy"):
        _write_npy(path, image)
    elif name.endswith(VOLUME_SUFFIXES):
        from hilum.image.volume import write_volume

        write_volume(path, image)
    else:
        raise ImageError(f"{shown(path)}: images are not written in this format; allowed are {_WRITABLE}")


def _write_npy(path: Path, image: Image) -> None:
    with whole_file(path) as beside, beside.open("wb") as handle:
        np.save(handle, image.array, allow_pickle=False)


def _png(path: Path, image: Image) -> bytes:
    import imagecodecs

    array = image.array
    if image.palette is not None:
        raise ImageError(f"{shown(path)}: palettes are not written; use expand_palette first")
    if array.ndim != 3 or len(array) not in (1, 3) or array.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"{shown(path)}: PNG holds (1 or 3, Y, X) of uint8 or uint16, not {array.dtype} of shape "
            f"{array.shape}; write .tif or .npy"
        )
    stored = array[0] if len(array) == 1 else np.moveaxis(array, 0, -1)
    encoded = bytes(imagecodecs.png_encode(np.ascontiguousarray(stored), level=6))
    extra = _png_spacing(image.spacing)
    return encoded[:_PNG_HEADER_BYTES] + extra + encoded[_PNG_HEADER_BYTES:]


def _png_spacing(spacing: Spacing) -> bytes:
    """A pHYs chunk for everyone, in whole pixels a metre, and the exact sizes as text (PNG, 3rd edition)."""
    if not spacing.known:
        return b""
    exact = f"{'x'.join(repr(float(size)) for size in spacing.sizes)} {spacing.unit}"
    text = _chunk(b"tEXt", SPACING_KEY.encode("latin-1") + b"\0" + exact.encode("latin-1"))
    per_y, per_x = (round(METRE_UM / (size * _IN_UM[spacing.unit])) for size in spacing.sizes)
    if not (0 < per_y < 2**31 and 0 < per_x < 2**31):
        return text
    return _chunk(b"pHYs", struct.pack(">IIB", per_x, per_y, 1)) + text


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _write_tiff(path: Path, image: Image) -> None:
    import tifffile

    array = image.array
    if array.dtype.name not in _OME_KINDS:
        raise ImageError(
            f"{shown(path)}: OME-TIFF does not hold {array.dtype}; write .npy, or float32 or an integer"
        )
    colour = len(array) == 3 and array.dtype in (np.uint8, np.uint16)
    stored = np.moveaxis(array, 0, -1) if colour else array
    with whole_file(path) as beside:
        tifffile.imwrite(
            beside,
            np.ascontiguousarray(stored),
            ome=True,
            photometric="rgb" if colour else "minisblack",
            planarconfig="contig" if colour else None,
            compression="zlib",
            bigtiff=array.nbytes > _BIG_TIFF_BYTES,
            metadata={"axes": (image.axes[1:] + "S") if colour else image.axes, **ome_sizes(image.spacing)},
        )


def ome_sizes(spacing: Spacing) -> dict[str, Any]:
    """PhysicalSizeX and so on of a spacing, as tifffile takes them for OME-TIFF; nothing where unknown."""
    if not spacing.known:
        return {}
    letters = "ZYX"[-len(spacing.sizes) :]
    unit = "µm" if spacing.unit == "um" else "mm"
    sizes = {f"PhysicalSize{letter}": size for letter, size in zip(letters, spacing.sizes, strict=True)}
    return sizes | {f"{key}Unit": unit for key in sizes}
