"""What the header of a volume file declares, to be checked before pixels are allocated.

Formats: MetaImage (ITK), NRRD (Teem), NIfTI-1 and -2 (NIMH).
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import ImageError
from hilum.image.limits import LIMIT_BYTES
from hilum.image.spacing import unit_in_mm

_LONGEST_HEADER = 1 << 20
_GZIP = b"\x1f\x8b"
# No deflate stream holds more than 1032 bytes a byte; bzip2 is not read.
_BEST_RATIO = 1040

_META_BYTES = {
    1: "MET_CHAR|MET_UCHAR",
    2: "MET_SHORT|MET_USHORT",
    4: "MET_INT|MET_UINT|MET_LONG|MET_ULONG|MET_FLOAT",
    8: "MET_LONG_LONG|MET_ULONG_LONG|MET_DOUBLE",
}
_NRRD_BYTES = {
    1: "signed char|int8|int8_t|uchar|unsigned char|uint8|uint8_t",
    2: "short|short int|signed short|signed short int|int16|int16_t|ushort|unsigned short|unsigned short int"
    "|uint16|uint16_t",
    4: "int|signed int|int32|int32_t|uint|unsigned int|uint32|uint32_t|float",
    8: "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t|ulonglong"
    "|unsigned long long|unsigned long long int|uint64|uint64_t|double",
}
# What Hilum adds to MetaImage and NRRD headers, which ITK always gives a spacing, where none is known.
UNKNOWN_KEY, UNKNOWN = "HilumSpacing", "unknown"
NIFTI_MARK = b"HilumSpacing: unknown"
# Where NIfTI-1 and NIfTI-2 keep which places are stated, the quaternion with its offset, and the affine.
_PLACES_NIFTI1 = (("2h", 252), ("6f", 256), ("12f", 280))
_PLACES_NIFTI2 = (("2i", 344), ("6d", 352), ("12d", 400))
_NIFTI_BYTES = {2: 1, 4: 2, 8: 4, 16: 4, 64: 8, 128: 3, 256: 1, 512: 2, 768: 4, 1024: 8, 1280: 8}


@dataclass(frozen=True)
class Declared:
    """What a header promises: `sizes` along its own axes, bytes of pixels, and where these lie.

    `data` is the file with the pixels, `offset` where they start in it, `compressed` whether they
    are deflated, `spaced` whether the header states a spacing, `to_mm` what one unit of its spacing and
    origin is in mm, where ITK does not see to that itself.
    """

    sizes: tuple[int, ...]
    bytes: int
    data: Path
    offset: int
    compressed: bool
    spaced: bool
    to_mm: float = 1.0


def declared(path: Path) -> Declared:
    """Read what the header of `path` declares. Raises ImageError where it is damaged or not allowed."""
    name = path.name.lower()
    try:
        if name.endswith((".mhd", ".mha")):
            return _meta(path)
        if name.endswith((".nrrd", ".nhdr")):
            return _nrrd(path)
        return _nifti(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (KeyError, ValueError, IndexError, struct.error, OverflowError, EOFError, zlib.error) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(
            f"{path}: the header is damaged ({type(error).__name__}: {error}); export the volume again"
        ) from error


def check_declared(path: Path, limit_bytes: int = LIMIT_BYTES) -> Declared:
    """Compare what a header declares with the bytes on disk and with `limit_bytes`, before pixels are read.

    Raises ImageError naming the file, the bytes expected and found.
    """
    found = declared(path)
    shape = " x ".join(map(str, found.sizes))
    if found.bytes > limit_bytes:
        raise ImageError(
            f"{path}: declares {shape} voxels, {found.bytes:,} bytes, above the limit of {limit_bytes:,}; "
            "crop or shrink the volume first"
        )
    if not found.data.is_file():
        raise ImageError(
            f"{path}: its pixels should lie in {found.data.name}, which is missing; "
            f"put that file beside it ({found.bytes:,} bytes are expected, 0 found)"
        )
    held = found.data.stat().st_size - found.offset
    if found.compressed:
        ratio_allows = held * _BEST_RATIO >= found.bytes
        held = _inflated(found) if ratio_allows else held * _BEST_RATIO
    more = held > found.bytes and not name_is_nifti(path)
    if held < found.bytes or more:
        raise ImageError(
            f"{found.data}: {path.name} declares {shape} voxels, so {found.bytes:,} bytes are expected, "
            f"but {'more' if more and found.compressed else f'{max(held, 0):,}'} were found"
            f"{' after inflating' if found.compressed else ''}; copy or export it again"
        )
    return found


def name_is_nifti(path: Path) -> bool:
    """Whether a file name says NIfTI."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def _inflated(found: Declared) -> int:
    """Bytes that a deflated file really holds; counting stops one block past what was declared, bomb or not.

    Raises ImageError where the deflated stream is damaged or ends early.
    """
    total = 0
    engine = zlib.decompressobj(47)
    with found.data.open("rb") as handle:
        handle.seek(found.offset)
        block = handle.read(1 << 20)
        try:
            while block and total <= found.bytes:
                total += len(engine.decompress(block, 1 << 24))
                block = engine.unconsumed_tail
                if engine.eof:
                    block = engine.unused_data or handle.read(1 << 20)
                    if not block.startswith(_GZIP):
                        break
                    engine = zlib.decompressobj(47)
                block = block or handle.read(1 << 20)
            total += 0 if engine.eof or block else len(engine.flush())
        except zlib.error as error:
            raise ImageError(
                f"{found.data}: its compressed voxels are damaged after {total:,} of {found.bytes:,} "
                f"expected bytes ({error}); copy or export it again"
            ) from error
    if not engine.eof and total <= found.bytes:
        raise ImageError(
            f"{found.data}: its compressed voxels end early: {found.bytes:,} bytes are expected, {total:,} "
            "were found; copy or export it again"
        )
    return total


def _bytes_of(kind: str, table: dict[int, str]) -> int | None:
    return next((count for count, names in table.items() if kind in names.split("|")), None)


def _sizes(path: Path, values: list[int]) -> tuple[int, ...]:
    if not values or any(value < 1 for value in values):
        raise ImageError(f"{path}: declares sizes {values}; every size must be 1 or more")
    return tuple(values)


def _sibling(path: Path, name: str) -> Path:
    """The pixel file that a header names, which may only lie beside it."""
    clean = name.strip().replace("\\", "/").removeprefix("./")
    if clean.split()[:1] in (["LIST"], ["list"]) or "%" in clean:
        raise ImageError(
            f"{path}: keeps its pixels in a list of files ({name!r}); save it as one .mha or .nrrd"
        )
    if not clean or "/" in clean or "\0" in clean or ":" in clean or clean == "..":
        raise ImageError(f"{path}: names {name!r} for its pixels; only a file in the same folder is read")
    return path.with_name(clean)


def _fields(path: Path, end: str, separator: str) -> tuple[dict[str, str], int]:
    """Key and value of each header line up to the line that starts with `end`, and the bytes read."""
    fields: dict[str, str] = {}
    read = 0
    with path.open("rb") as handle:
        while read < _LONGEST_HEADER:
            raw = handle.readline(1 << 16)
            read += len(raw)
            line = raw.decode("utf-8", "replace").strip()
            if not raw or (end == "" and not line):
                break
            key, found, value = line.partition(separator)
            if found and not line.startswith("#"):
                fields[key.strip()] = value.strip()
            if end and key.strip() == end:
                break
    return fields, read


def _meta(path: Path) -> Declared:
    fields, read = _fields(path, "ElementDataFile", "=")
    if "ElementDataFile" not in fields or "DimSize" not in fields:
        raise ImageError(f"{path}: is not a MetaImage header (no DimSize or ElementDataFile line)")
    sizes = _sizes(path, [int(part) for part in fields["DimSize"].split()])
    if int(fields.get("NDims", len(sizes))) != len(sizes):
        raise ImageError(f"{path}: NDims = {fields['NDims']} but DimSize = {fields['DimSize']}")
    kind = fields.get("ElementType", "")
    size = _bytes_of(kind, _META_BYTES)
    if size is None:
        raise ImageError(
            f"{path}: ElementType {kind!r} is not read; save it as 8 to 64 bit integers or floats"
        )
    if fields.get("BinaryData", "True").lower() not in ("true", "1"):
        raise ImageError(f"{path}: keeps its voxels as text (BinaryData = False); save it as binary")
    channels = int(fields.get("ElementNumberOfChannels", 1))
    total = math.prod(_sizes(path, [*sizes, channels])) * size
    local = fields["ElementDataFile"].upper() == "LOCAL"
    data = path if local else _sibling(path, fields["ElementDataFile"])
    offset = read if local else max(int(fields.get("HeaderSize", 0)), 0)
    if not local and fields.get("HeaderSize") == "-1" and data.is_file():
        offset = max(data.stat().st_size - total, 0)
    packed = fields.get("CompressedData", "False").lower() in ("true", "1")
    stated = fields.get("ElementSpacing", fields.get("ElementSize"))
    steps = _check_spacing(path, stated or "1")
    spaced = stated is not None and not (fields.get(UNKNOWN_KEY) == UNKNOWN and _all_one(steps))
    to_mm = _in_mm(path, [fields.get("DistanceUnits", "")])
    return Declared(sizes, total, data, offset, packed, spaced, to_mm)


def _nrrd(path: Path) -> Declared:
    fields, read = _fields(path, "", ":")
    fields = {key.lower().replace(" ", ""): value for key, value in fields.items()}
    if "sizes" not in fields or "type" not in fields:
        raise ImageError(f"{path}: is not a NRRD header (no sizes or type line)")
    sizes = _sizes(path, [int(part) for part in fields["sizes"].split()])
    kind = fields["type"].lower()
    size = _bytes_of(kind, _NRRD_BYTES)
    if size is None:
        raise ImageError(f"{path}: NRRD type {kind!r} is not read; save it as 8 to 64 bit integers or floats")
    encoding = fields.get("encoding", "raw").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise ImageError(f"{path}: NRRD encoding {encoding!r} is not read; allowed are raw and gzip")
    if int(fields.get("lineskip", 0)) or int(fields.get("byteskip", 0)) > 0:
        raise ImageError(f"{path}: NRRD with line skip or byte skip is not read; save it without")
    name = fields.get("datafile")
    data = path if name is None else _sibling(path, name)
    total = math.prod(sizes) * size
    offset = 0 if name else read
    if fields.get("byteskip") == "-1" and data.is_file():
        offset = max(data.stat().st_size - total, 0)
    stated = fields.get("spacings", fields.get("spacedirections"))
    marked = fields.get(UNKNOWN_KEY.lower()) == f"={UNKNOWN}"
    spaced = stated is not None and not (marked and _all_one(_nrrd_steps(stated)))
    to_mm = _in_mm(path, _nrrd_units(fields))
    return Declared(sizes, total, data, offset, encoding != "raw", spaced, to_mm)


def _nrrd_steps(stated: str) -> list[float]:
    """Sizes of the voxels from the spacings or the space directions of a NRRD header."""
    vectors = re.findall(r"\(([^)]*)\)", stated) or re.findall(r"[\d.eE+-]+", stated)
    return [math.hypot(*map(float, vector.split(","))) for vector in vectors]


def _nrrd_units(fields: Mapping[str, str]) -> list[str]:
    """Units of the axes of space: of the world they lie in, else those of the first axes that have a size."""
    units = re.findall(r'"([^"]*)"', fields.get("spaceunits", ""))
    if units or "spacings" not in fields:
        return units
    own = zip(re.findall(r'"([^"]*)"', fields.get("units", "")), fields["spacings"].split(), strict=False)
    return [unit for unit, size in own if size.lower() != "nan"][:3]


def _in_mm(path: Path, units: Iterable[str]) -> float:
    """One unit of a header in mm, which by custom is mm where none is stated ("", "?")."""
    words = list(dict.fromkeys(unit.strip() or "?" for unit in units)) or ["?"]
    factors = {1.0 if word == "?" else unit_in_mm(word) for word in words}
    factor = factors.pop()
    if factor is None or factors:
        raise ImageError(
            f"{path}: its unit of length is {' and '.join(map(repr, words))}; one of mm, um, nm, cm and m "
            "for all axes is read: write the spacing in mm and save it again"
        )
    return factor


def _all_one(steps: Sequence[float]) -> bool:
    """Whether a header marked as of unknown spacing still has the sizes of 1 that it was written with."""
    return all(math.isclose(step, 1.0, rel_tol=1e-6) for step in steps)


def _nifti(path: Path) -> Declared:
    packed, head = _nifti_head(path)
    for order in "<>":
        length = struct.unpack(order + "i", head[:4])[0]
        if length in (348, 540):
            break
    else:
        raise ImageError(f"{path}: is not a NIfTI file (its first four bytes are not a header length)")
    if length == 348:
        dims = struct.unpack(order + "8h", head[40:56])
        kind, bits = struct.unpack(order + "2h", head[70:74])
        steps = struct.unpack(order + "8f", head[76:108])
        offset, magic = struct.unpack(order + "f", head[108:112])[0], head[344:348]
    else:
        magic = head[4:12]
        kind, bits = struct.unpack(order + "2h", head[12:16])
        dims = struct.unpack(order + "8q", head[16:80])
        steps = struct.unpack(order + "8d", head[104:168])
        offset = struct.unpack(order + "q", head[168:176])[0]
    if not magic.startswith((b"n+1", b"n+2")):
        raise ImageError(
            f"{path}: NIfTI with its pixels in a second file (.hdr, .img) is not read; save as .nii"
        )
    if not 1 <= dims[0] <= 7 or kind not in _NIFTI_BYTES:
        raise ImageError(
            f"{path}: declares {dims[0]} dimensions of data type {kind} ({bits} bit), not read here"
        )
    sizes = _sizes(path, list(dims[1 : dims[0] + 1]))
    if not math.isfinite(offset) or offset < 0:
        raise ImageError(f"{path}: declares that its voxels start at byte {offset}")
    steps = steps[1 : min(dims[0], 3) + 1]
    _check_spacing(path, " ".join(str(abs(step)) for step in steps))
    spaced = any(abs(step) != 1 for step in steps) or _nifti_measured(head, order, length == 348)
    total = math.prod(sizes) * _NIFTI_BYTES[kind]
    # In a .nii.gz the header is part of the deflated stream, so it counts among the bytes to be found.
    return Declared(sizes, total + int(offset) * packed, path, 0 if packed else int(offset), packed, spaced)


def _nifti_measured(head: bytes, order: str, first: bool) -> bool:
    """Whether sizes of 1 in a header of NIfTI-1 (`first`) or NIfTI-2 mean 1 mm.

    Without a unit they do by custom, where the volume states a place in the world too: more than axes along
    those of the world, from 0. Hilum marks its own volumes of unknown spacing, which may state a place.
    """
    if first:
        unit, described = head[123], head[148:228]
        codes, turn, rows = (struct.unpack_from(order + kind, head, at) for kind, at in _PLACES_NIFTI1)
    else:
        unit, described = struct.unpack_from(order + "i", head, 500)[0], head[240:320]
        codes, turn, rows = (struct.unpack_from(order + kind, head, at) for kind, at in _PLACES_NIFTI2)
    if unit & 7 or described.startswith(NIFTI_MARK):
        return bool(unit & 7)
    if codes[1] > 0:
        return [abs(value) for value in rows] != [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    return codes[0] > 0 and [abs(value) for value in turn] not in ([0] * 6, [0, 0, 1, 0, 0, 0])


def _nifti_head(path: Path) -> tuple[bool, bytes]:
    with path.open("rb") as handle:
        head = handle.read(1 << 16)
    packed = head.startswith(_GZIP)
    if packed:
        head = zlib.decompressobj(47).decompress(head, 4096)
    if len(head) < 352:
        raise ImageError(f"{path}: holds {len(head)} bytes, less than a NIfTI header (352 expected)")
    return packed, head


def _check_spacing(path: Path, text: str) -> list[float]:
    steps = [float(part) for part in re.split(r"\s+", text.strip())]
    if not all(math.isfinite(step) and step > 0 for step in steps):
        raise ImageError(f"{path}: spacing {text} must be finite and above zero")
    return steps


def looks_like_volume(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a MetaImage, NRRD or NIfTI file (deflated or not)."""
    if head.startswith(_GZIP):
        try:
            head = zlib.decompressobj(47).decompress(head, 400)
        except zlib.error:
            return False
    nifti = head[344:347] in (b"n+1", b"n+2") or head[4:7] == b"n+2" or head[344:347] == b"ni1"
    return (
        nifti
        or head.startswith(b"NRRD")
        or any(key in head for key in (b"NDims", b"DimSize", b"ElementType"))
    )
