"""Measure mask files, whatever made them: the verb `hilum measure`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hilum.errors import HilumError, ImageError
from hilum.image.image import Image
from hilum.image.pyramid import is_huge, is_zarr
from hilum.image.readers import read_mask, readable
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.measurement.huge_files import find_huge_coding, measure_huge, problem_with, target_of
from hilum.measurement.objects import Objects
from hilum.measurement.spool import Row
from hilum.measurement.table import measure_masks, rows_of
from hilum.study.coding import Coding, find_coding
from hilum.study.inside import inside, open_mask
from hilum.study.listing import list_with_zarrs
from hilum.study.names import unique_names
from hilum.study.study import Source


def measure_files(
    paths: Iterable[Path | str], spacing: Spacing | None = None, objects: bool = False
) -> tuple[list[Row], list[Row]]:
    """Measure mask images and folders of them: rows of targets and rows of regions.

    How masks say "inside" is found out for the files of one folder together, as in a study: 0 and 255
    with JPEG ringing is one target, indices and colours are one target each, named "index-2" or "red".
    Folders are searched with their sub-folders. The case is the file's name without extension, in a folder
    its path from there on ("a/1"); where two files differ in their extension alone, both keep it. The target
    of a plain mask is "mask"; where several folders are measured it is the name of its folder, or what
    differs in their paths, which goes before index and colour too. One folder that holds nothing but folders
    of equally named files is taken as these. `spacing` overrides what the files say. With `objects`
    each whole number in a file is an object of its own. Huge files are read window by window, and their
    coding is found out among themselves.
    Raises HilumError, with all bad files listed at once.
    """
    folders = _expand(_targets_of([Path(path) for path in paths]))
    names = _names_of(list(folders))
    rows: list[Row] = []
    region_rows: list[Row] = []
    problems: list[str] = []
    for folder, files in folders.items():
        huge = [file for file in files if is_huge(file)]
        small = [file for file in files if file not in huge]
        coding = find_coding([Source(file) for file in small]) if small and not objects else Coding(())
        problems += [problem] if (problem := problem_with(folder, coding)) else []
        together = find_huge_coding(huge) if huge and not objects else Coding(())
        if problem := problem_with(folder, together):
            # they are read once more to name those that cannot be, without the time that measuring takes
            problems, together = [*problems, problem], Coding(())
        name = names[folder]
        for file, case in _cases_of(folder, files).items():
            try:
                found = (
                    _measure(file, case, name, coding, spacing, objects)
                    if file in small
                    else measure_huge(file, case, name, together, fitted(spacing, 2, file), objects)
                )
            except HilumError as error:
                problems.append(str(error))
                continue
            rows += found[0]
            region_rows += found[1]
    if problems:
        raise HilumError("\n".join(dict.fromkeys(problems)))
    return rows, region_rows


def _targets_of(paths: Sequence[Path]) -> Sequence[Path]:
    """The folders in a single one that holds nothing else, all with files of the same names: one a target."""
    if len(paths) != 1 or not paths[0].is_dir() or is_zarr(paths[0]):
        return paths
    inside: dict[str, set[str]] = {}
    for file in _below(paths[0]):
        top, *rest = file.relative_to(paths[0]).parts
        if not rest:
            return paths
        inside.setdefault(top, set()).add(_case_name(Path(*rest)))
    same = len(inside) > 1 and all(names == next(iter(inside.values())) for names in inside.values())
    return [paths[0] / top for top in inside] if same else paths


def _expand(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    """Files by folder: files as given, and for each folder all files below."""
    folders: dict[Path, list[Path]] = {}
    seen: set[Path] = set()
    for path in paths:
        given = path.is_dir() and not is_zarr(path)
        folder, files = (path, _below(path)) if given else (path.parent, [path])
        if not files:
            raise HilumError(f"{path}: the folder holds no image file; give mask images or a folder of them")
        if fresh := [file for file in files if file.absolute() not in seen]:
            folders.setdefault(folder, []).extend(fresh)
            seen.update(file.absolute() for file in fresh)
    if not folders:
        raise HilumError("nothing to measure: give mask images or a folder of them")
    return folders


def _names_of(folders: Sequence[Path]) -> dict[Path, str]:
    """What tells folders apart: their last names, or else the shortest part of their paths that differs.

    A single folder needs no name.
    """
    if len(folders) == 1:
        return {folders[0]: ""}
    parts = [folder.resolve().parts for folder in folders]
    while len({own[-1] for own in parts}) == 1 and min(map(len, parts)) > 1:
        parts = [own[:-1] for own in parts]
    return dict(zip(folders, unique_names(parts), strict=True))


def _cases_of(folder: Path, files: Sequence[Path]) -> dict[Path, str]:
    """Cases of the files of a folder; those that would be one keep their extensions."""
    names = {file: _case_name(file.relative_to(folder)) for file in files}
    numbers = Counter(names.values())
    return {
        file: name if numbers[name] == 1 else file.relative_to(folder).as_posix()
        for file, name in names.items()
    }


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
    masks = {
        target_of(name, part): inside(images[encoding.kind], encoding) for part, encoding in coding.parts
    }
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
    row, own = rows_of(case, target_of(name), regions, spacing, image.array[0].size, numbers)
    return [row], own


def _case_name(file: Path) -> str:
    """The path of a file in its folder, without extension."""
    double = file.name.lower().endswith((".nii.gz", ".ome.tif", ".ome.tiff", ".ome.zarr"))
    name = Path(file.stem).stem if double else file.stem
    return file.with_name(name).as_posix()


def _spacing(image: Image, wished: Spacing | None) -> Spacing:
    """The wished spacing where it fits the image's axes, else the image's own."""
    return fitted(wished, len(image.shape), image.path) or image.spacing


def fitted(wished: Spacing | None, ndim: int, path: Path | None) -> Spacing | None:
    """The wished spacing for so many axes, if there is one. Raises ImageError where it does not fit."""
    if wished is None:
        return None
    if not wished.known:
        return unknown_spacing(ndim)
    found = wished.along(ndim)
    if not found:
        raise ImageError(f"{path}: spacing {wished} has {len(wished.sizes)} sizes; the image has {ndim} axes")
    return found
