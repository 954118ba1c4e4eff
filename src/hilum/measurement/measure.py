"""Measure mask files, whatever made them: the verb `hilum measure`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hilum.errors import HilumError, ImageError
from hilum.image.image import Image
from hilum.image.pyramid import is_huge, is_zarr
from hilum.image.readers import read_mask, readable
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.measurement.huge_files import measure_huge, problem_with
from hilum.measurement.objects import Objects
from hilum.measurement.spool import Row
from hilum.measurement.table import measure_masks, rows_of
from hilum.study.coding import Coding, find_coding
from hilum.study.inside import inside, open_mask
from hilum.study.listing import list_with_zarrs
from hilum.study.study import Source

MASK = "mask"


def measure_files(
    paths: Iterable[Path | str], spacing: Spacing | None = None, objects: bool = False
) -> tuple[list[Row], list[Row]]:
    """Measure mask images and folders of them: rows of targets and rows of regions.

    How masks say "inside" is found out for the files of one folder together, as in a study: 0 and 255
    with JPEG ringing is one target, indices and colours are one target each, named "index-2" or "red".
    Folders are searched with their sub-folders. The case is the file's name without extension, in a folder
    its path from there on ("a/1"); the target of a plain mask is "mask", or the name of its folder where
    several folders are measured. `spacing` overrides what the files say. With `objects`
    each whole number in a file is an object of its own. Huge files are read window by window.
    Raises HilumError, with all bad files listed at once.
    """
    folders = _expand(Path(path) for path in paths)
    rows: list[Row] = []
    region_rows: list[Row] = []
    problems: list[str] = []
    for folder, files in folders.items():
        small = [file for file in files if not is_huge(file)]
        coding = find_coding([Source(file) for file in small]) if small and not objects else Coding(())
        name = folder.resolve().name if len(folders) > 1 else MASK
        problems += [problem] if (problem := problem_with(folder, coding)) else []
        for file, case in files.items():
            try:
                found = (
                    _measure(file, case, name, coding, spacing, objects)
                    if file in small
                    else measure_huge(file, case, name, fitted(spacing, 2, file), objects)
                )
            except HilumError as error:
                problems.append(str(error))
                continue
            rows += found[0]
            region_rows += found[1]
    if problems:
        raise HilumError("\n".join(dict.fromkeys(problems)))
    return rows, region_rows


def _expand(paths: Iterable[Path]) -> dict[Path, dict[Path, str]]:
    """Files with the names of their cases, by folder: files as given, and for each folder all files below."""
    folders: dict[Path, dict[Path, str]] = {}
    seen: set[Path] = set()
    for path in paths:
        given = path.is_dir() and not is_zarr(path)
        folder, files = (path, _below(path)) if given else (path.parent, [path])
        if not files:
            raise HilumError(f"{path}: the folder holds no image file; give mask images or a folder of them")
        if fresh := {file: _case_name(file, folder) for file in files if file not in seen}:
            folders.setdefault(folder, {}).update(fresh)
            seen.update(fresh)
    if not folders:
        raise HilumError("nothing to measure: give mask images or a folder of them")
    return folders


def _below(folder: Path) -> list[Path]:
    """Image files below a folder, sorted; hidden ones left out."""
    if not any(folder.iterdir()):
        return []
    listing, zarrs = list_with_zarrs(folder)
    return sorted([*(listing.path(path) for path in listing.files if readable(path.name)), *zarrs])


def _measure(
    file: Path, case: str, name: str, coding: Coding, wished: Spacing | None, objects: bool
) -> tuple[list[Row], list[Row]]:
    if objects:
        return _measure_objects(file, case, name, wished)
    images = {encoding.kind: open_mask(Source(file), encoding) for _, encoding in coding.parts}
    masks = {part or name: inside(images[encoding.kind], encoding) for part, encoding in coding.parts}
    image = next(iter(images.values()))
    return measure_masks(case, masks, _spacing(replace(image, path=file), wished))


def _measure_objects(file: Path, case: str, name: str, wished: Spacing | None) -> tuple[list[Row], list[Row]]:
    image = read_mask(file)
    if image.channels != 1:
        raise ImageError(f"{file}: has {image.channels} channels; an image of numbered objects has one")
    spacing = _spacing(replace(image, path=file), wished)
    found = Objects(image.shape)
    found.add((0,) * len(image.shape), image.array[0])
    numbers, regions = found.regions(spacing)
    row, own = rows_of(case, name, regions, spacing, image.array[0].size, numbers)
    return [row], own


def _case_name(file: Path, folder: Path) -> str:
    """The path of a file in its folder, without extension."""
    double = file.name.lower().endswith((".nii.gz", ".ome.tif", ".ome.tiff", ".ome.zarr"))
    name = Path(file.stem).stem if double else file.stem
    return file.relative_to(folder).with_name(name).as_posix()


def _spacing(image: Image, wished: Spacing | None) -> Spacing:
    """The wished spacing where it fits the image's axes, else the image's own."""
    return fitted(wished, len(image.shape), image.path) or image.spacing


def fitted(wished: Spacing | None, ndim: int, path: Path | None) -> Spacing | None:
    """The wished spacing for so many axes, if there is one. Raises ImageError where it does not fit."""
    if wished is None:
        return None
    if not wished.known:
        return unknown_spacing(ndim)
    if len(wished.sizes) == ndim:
        return wished
    if len(set(wished.sizes)) == 1:
        return Spacing((wished.sizes[0],) * ndim, wished.unit)
    raise ImageError(f"{path}: spacing {wished} has {len(wished.sizes)} sizes; the image has {ndim} axes")
