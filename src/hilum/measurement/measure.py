"""Measure mask files, whatever made them: the verb `hilum measure`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hilum.errors import HilumError, ImageError
from hilum.image.image import Image
from hilum.image.readers import readable
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.measurement.table import Row, measure_masks
from hilum.study.encodings import Coding, find_coding, inside, open_mask
from hilum.study.study import Source

MASK = "mask"

log = logging.getLogger(__name__)


def measure_files(paths: Iterable[Path | str], spacing: Spacing | None = None) -> tuple[list[Row], list[Row]]:
    """Measure mask images and folders of them: rows of targets and rows of regions.

    How masks say "inside" is found out for the files of one folder together, as in a study: 0 and 255
    with JPEG ringing is one target, indices and colours are one target each, named "index-2" or "red".
    The case is the file's name without extension; the target of a plain mask is "mask", or the name of
    its folder where several folders are measured. `spacing` overrides what the files say.
    Raises HilumError, with all bad files listed at once.
    """
    folders: dict[Path, list[Path]] = {}
    for file in _expand(Path(path) for path in paths):
        folders.setdefault(file.parent, []).append(file)
    rows: list[Row] = []
    region_rows: list[Row] = []
    problems: list[str] = []
    for folder, files in folders.items():
        coding = find_coding([Source(file) for file in files])
        name = folder.resolve().name if len(folders) > 1 else MASK
        problems += _doubt(folder, coding)
        for file in files:
            try:
                found = _measure(file, name, coding, spacing)
            except HilumError as error:
                problems.append(str(error))
                continue
            rows += found[0]
            region_rows += found[1]
    if problems:
        raise HilumError("\n".join(dict.fromkeys(problems)))
    return rows, region_rows


def _expand(paths: Iterable[Path]) -> Sequence[Path]:
    """Files as given, and for each folder the image files in it, sorted."""
    files: list[Path] = []
    for path in paths:
        found = sorted(file for file in path.iterdir() if readable(file)) if path.is_dir() else [path]
        if not found:
            raise HilumError(f"{path}: the folder holds no image file; give mask images or a folder of them")
        files += found
    if not files:
        raise HilumError("nothing to measure: give mask images or a folder of them")
    return list(dict.fromkeys(files))


def _doubt(folder: Path, coding: Coding) -> list[str]:
    """A problem where files of a folder are hardly masks; numbered objects are only warned of."""
    numbered = coding.parts[0][1].kind == "threshold" and coding.parts[0][1].value == 0.5
    if coding.doubt and numbered:
        log.warning("%s: %s", folder, coding.doubt)
    return [f"{folder}: {coding.doubt}"] if coding.doubt and not numbered else []


def _measure(file: Path, name: str, coding: Coding, wished: Spacing | None) -> tuple[list[Row], list[Row]]:
    images = {encoding.kind: open_mask(Source(file), encoding) for _, encoding in coding.parts}
    masks = {part or name: inside(images[encoding.kind], encoding) for part, encoding in coding.parts}
    image = next(iter(images.values()))
    return measure_masks(_case_name(file), masks, _spacing(replace(image, path=file), wished))


def _case_name(file: Path) -> str:
    return Path(file.stem).stem if file.name.lower().endswith(".nii.gz") else file.stem


def _spacing(image: Image, wished: Spacing | None) -> Spacing:
    """The wished spacing where it fits the image's axes, else the image's own."""
    ndim = len(image.shape)
    if wished is None:
        return image.spacing
    if not wished.known:
        return unknown_spacing(ndim)
    if len(wished.sizes) == ndim:
        return wished
    if len(set(wished.sizes)) == 1:
        return Spacing((wished.sizes[0],) * ndim, wished.unit)
    raise ImageError(
        f"{image.path}: spacing {wished} has {len(wished.sizes)} sizes; the image has {ndim} axes"
    )
