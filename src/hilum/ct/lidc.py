"""LIDC-IDRI reading files (XML): outlines of nodules of 3 mm and more by several readers, and masks of them.

Source: LIDC/IDRI annotation and image marking process, 2007. An outline runs through the first pixels
outside the nodule, so they do not belong to it.
"""

from __future__ import annotations

import xml.parsers.expat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from hilum.ct.coordinates import direction_of, spacing_mm, voxel_to_world
from hilum.errors import StudyError
from hilum.image.image import Image

_LIMIT_BYTES = 64_000_000
_DEEPEST = 32
_ONE_NODULE_MM = 3.0
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Outline:
    """One closed outline: place of its slice in mm, pixels as (x, y), and whether it adds or cuts out."""

    z_mm: float
    points: tuple[tuple[int, int], ...]
    inclusion: bool = True


@dataclass(frozen=True)
class ReadNodule:
    """A nodule as one reader drew it; readers count from 0 in the order of the file."""

    reader: int
    name: str
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class Reading:
    """All of one LIDC file: the series it belongs to, how many readers, the nodules of 3 mm and more."""

    seriesuid: str
    readers: int
    nodules: tuple[ReadNodule, ...]


def parse_reading(source: str | Path | bytes, name: str = "LIDC XML") -> Reading:
    """Read a LIDC file, by its path or its content.

    Marks of smaller nodules (a single point) and of non-nodules are left out. Raises StudyError where it is
    too large, no XML, declares entities, or is no LIDC file.
    """
    source = Path(source) if isinstance(source, str) else source
    where = str(source) if isinstance(source, Path) else name
    try:
        if isinstance(source, Path) and source.stat().st_size > _LIMIT_BYTES:
            raise StudyError(f"{source}: larger than {_LIMIT_BYTES} bytes, which no LIDC file is")
        content = source.read_bytes() if isinstance(source, Path) else source
    except OSError as error:
        raise StudyError(f"{where}: cannot be read ({error.strerror})") from error
    builder = _Builder(where)
    try:
        builder.parse(content)
        return builder.reading()
    except xml.parsers.expat.ExpatError as error:
        raise StudyError(f"{where}: is not whole XML ({error}); fetch it again") from error
    except (ValueError, OverflowError) as error:
        if isinstance(error, StudyError):
            raise
        raise StudyError(f"{where}: is not a LIDC reading file ({error})") from error


class _Builder:
    """Collects outlines while expat walks the file; nothing else of the tree is kept."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.path: list[str] = []
        self.text = ""
        self.seriesuid = ""
        self.reader = -1
        self.nodules: list[ReadNodule] = []
        self.name = ""
        self.outlines: list[Outline] = []
        self.z_mm: float | None = None
        self.inclusion = True
        self.points: list[tuple[int, int]] = []
        self.x = 0

    def parse(self, content: bytes) -> None:
        parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = self._refuse
        parser.StartDoctypeDeclHandler = self._refuse
        parser.Parse(content, True)

    def reading(self) -> Reading:
        if not self.seriesuid and self.reader < 0:
            raise StudyError(f"{self.where}: has no SeriesInstanceUid and no readingSession: not a LIDC file")
        return Reading(self.seriesuid, self.reader + 1, tuple(self.nodules))

    def _refuse(self, *_: object) -> None:
        raise StudyError(f"{self.where}: declares a document type or entities, which LIDC files never do")

    def _start(self, tag: str, _: dict[str, str]) -> None:
        name = tag.rpartition(" ")[2]
        self.path.append(name)
        if len(self.path) > _DEEPEST:
            raise StudyError(f"{self.where}: is nested deeper than any LIDC file")
        self.text = ""
        match name:
            case "readingSession":
                self.reader += 1
            case "unblindedReadNodule":
                self.name, self.outlines = "", []
            case "roi":
                self.z_mm, self.inclusion, self.points = None, True, []

    def _characters(self, text: str) -> None:
        if len(self.text) < 1000:
            self.text += text

    def _end(self, _: str) -> None:
        name, text = self.path.pop(), self.text.strip()
        self.text = ""
        match name:
            case "SeriesInstanceUid" | "SeriesInstanceUID":
                self.seriesuid = self.seriesuid or text
            case "noduleID":
                self.name = text
            case "imageZposition":
                self.z_mm = float(text)
            case "inclusion":
                self.inclusion = text.upper() == "TRUE"
            case "xCoord":
                self.x = int(text)
            case "yCoord" if "edgeMap" in self.path:
                self.points.append((self.x, int(text)))
            case "roi" if "unblindedReadNodule" in self.path:
                self._outline()
            case "unblindedReadNodule" if any(len(outline.points) > 1 for outline in self.outlines):
                self.nodules.append(ReadNodule(self.reader, self.name, tuple(self.outlines)))

    def _outline(self) -> None:
        if self.z_mm is None or not np.isfinite(self.z_mm) or not self.points:
            raise StudyError(f"{self.where}: nodule {self.name!r} has an outline without place or points")
        self.outlines.append(Outline(self.z_mm, tuple(self.points), self.inclusion))


def nodule_mask(nodule: ReadNodule, image: Image, *, edge_inside: bool = False) -> Mask:
    """Mask (Z, Y, X) of one nodule of one reader, on the grid of an axial CT.

    `edge_inside` counts the outline's own pixels in, which the LIDC rules do not. Raises StudyError
    where an outline lies in no slice or leaves the image, or the image is not laid as its DICOM series is.
    """
    mask = np.zeros(image.shape, bool)
    for adds in (True, False):
        for outline in nodule.outlines:
            if outline.inclusion is adds:
                z = _slice_of(outline, nodule, image)
                drawn = _filled(outline, image, nodule, edge_inside == adds)
                mask[z] = mask[z] | drawn if adds else mask[z] & ~drawn
    return mask


def reader_masks(reading: Reading, image: Image) -> list[Mask]:
    """One mask (Z, Y, X) a reader: all nodules that he or she drew."""
    masks = [np.zeros(image.shape, bool) for _ in range(reading.readers)]
    for nodule in reading.nodules:
        masks[nodule.reader] |= nodule_mask(nodule, image)
    return masks


def outlines_mask(reading: Reading, image: Image, min_readers: int = 2) -> Mask:
    """Voxels (Z, Y, X) that at least `min_readers` readers drew inside a nodule.

    Raises StudyError where the file has fewer readers, or belongs to another image.
    """
    if not 1 <= min_readers <= max(reading.readers, 1):
        raise StudyError(f"{min_readers} readers are asked for, the file has {reading.readers}")
    votes = np.zeros(image.shape, np.uint8)
    for mask in reader_masks(reading, image):
        votes += mask
    return votes >= min_readers


def matched(reading: Reading, image: Image) -> list[tuple[ReadNodule, ...]]:
    """Nodules that readers share: drawings whose centres lie closer than the radius of the larger one.

    Distances are in mm, at least 3. Groups come in order of their first drawing.
    """
    centres, radii = [], []
    for nodule in reading.nodules:
        mask = nodule_mask(nodule, image, edge_inside=True)
        places = voxel_to_world(image, np.argwhere(mask))
        volume = len(places) * float(np.prod(spacing_mm(image)))
        centres.append(places.mean(axis=0))
        radii.append((volume * 3 / (4 * np.pi)) ** (1 / 3))
    groups: list[list[int]] = []
    for index, centre in enumerate(centres):
        for group in groups:
            reach = max(_ONE_NODULE_MM, radii[index], *(radii[other] for other in group))
            if min(float(np.linalg.norm(centre - centres[other])) for other in group) <= reach:
                group.append(index)
                break
        else:
            groups.append([index])
    return [tuple(reading.nodules[index] for index in group) for group in groups]


def _slice_of(outline: Outline, nodule: ReadNodule, image: Image) -> int:
    if abs(direction_of(image)[2, 2]) < 0.999:
        raise StudyError(f"{image.path}: is not an axial volume, LIDC outlines cannot be placed in it")
    if direction_of(image)[0, 0] * direction_of(image)[1, 1] <= 0:
        raise StudyError(
            f"{image.path or 'the image'}: its rows or columns run another way than in the DICOM series, "
            "LIDC outlines would be mirrored in it; read the DICOM series itself"
        )
    step = spacing_mm(image)[0] * direction_of(image)[2, 2]
    origin = image.geometry.origin[2] if image.geometry else 0.0
    place = (outline.z_mm - origin) / step
    z = int(np.rint(place))
    if abs(place - z) > 0.4 or not 0 <= z < image.shape[0]:
        last = origin + step * (image.shape[0] - 1)
        raise StudyError(
            f"nodule {nodule.name!r} of reader {nodule.reader + 1} lies in the slice at {outline.z_mm:g} mm, "
            f"but {image.path or 'the image'} has slices from {origin:g} to {last:g} mm, {abs(step):g} apart"
        )
    return z


def _filled(outline: Outline, image: Image, nodule: ReadNodule, with_edge: bool) -> Mask:
    """Inside of an outline (Y, X), its own pixels counted in or out; a single point is itself."""
    points = np.asarray(outline.points)
    plane = np.zeros(image.shape[1:], bool)
    if points.min() < 0 or points[:, 0].max() >= plane.shape[1] or points[:, 1].max() >= plane.shape[0]:
        raise StudyError(
            f"nodule {nodule.name!r} of reader {nodule.reader + 1} leaves the image: outline up to "
            f"x {points[:, 0].max()}, y {points[:, 1].max()} in {plane.shape[1]} x {plane.shape[0]} pixels"
        )
    plane[polygon(points[:, 1], points[:, 0], plane.shape)] = True
    plane[points[:, 1], points[:, 0]] = with_edge or len(points) == 1
    return plane
