"""Layout: nnU-Net raw, `imagesTr/ labelsTr/ dataset.json` (nnU-Net 1 and 2)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import compress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from hilum.errors import ImageError, StudyError
from hilum.files import read_text
from hilum.image.readers import read_mask
from hilum.study.layouts.pairs import Key, paired_study
from hilum.study.listing import Listing
from hilum.study.names import counted, listed, natural, stem
from hilum.study.study import Case, Encoding, Finding, MaskSource, Source, Study

_LIMIT_BYTES = 50_000_000
_WORKERS = 4
Labels = dict[str, tuple[float, ...]]


def recognise(listing: Listing) -> Study | None:
    """The study that `dataset.json` describes; labels become exclusive targets, regions overlapping ones."""
    description = PurePosixPath("dataset.json")
    tops = {path.parts[0] for path in listing.images}
    if description not in listing.files or not {"imagesTr", "labelsTr"} <= tops:
        return None
    labels, ignored = _labels(listing.path(description))
    channels = _channels([path for path in listing.images if path.parts[0] in ("imagesTr", "imagesTs")])
    masks: dict[Key, tuple[PurePosixPath, ...]] = {
        (_part(path), stem(path)): (path,)
        for path in listing.images
        if path.parts[0] in ("labelsTr", "labelsTs")
    }
    images = {key: paths[:1] for key, paths in channels.items()}
    study = paired_study(listing, "nnU-Net raw", images, {"labels": masks})
    extra = {listing.path(paths[0]): paths[1:] for paths in channels.values()}
    cases = tuple(_case(listing, case, labels, extra[case.image.path]) for case in study.cases)
    exclusive = all(len(values) == 1 for values in labels.values())
    bare = tuple(
        replace(case, channels=tuple(Source(listing.path(path)) for path in extra[case.image.path]))
        for case in study.unannotated
    )
    study = replace(study, cases=cases, targets=tuple(labels), exclusive=exclusive, unannotated=bare)
    return replace(study, findings=study.findings + _ignored(cases, ignored))


def _ignored(cases: Sequence[Case], ignored: Labels) -> tuple[Finding, ...]:
    """An error of the cases whose masks hold a label that says "leave these pixels out"."""
    if not ignored:
        return ()
    name, values = next(iter(ignored.items()))
    masks = [next(iter(case.masks.values())).sources[0] for case in cases]
    with ThreadPoolExecutor(_WORKERS) as pool:
        held = list(pool.map(lambda source: _holds(source, values), masks))
    if not any(held):
        return ()
    words = (
        f"{counted(sum(held), 'mask')} with the label {name!r} ({listed(f'{value:g}' for value in values)}) "
        f"of dataset.json: {listed(compress(masks, held))}; Hilum does not leave such pixels out yet and "
        "would train them as background: give these pixels a label of their own or leave out the cases"
    )
    return (Finding("error", words, tuple(case.name for case in compress(cases, held))),)


def _holds(source: Source, values: Sequence[float]) -> bool:
    """Whether a mask holds one of the values; the study's check names masks that cannot be read."""
    try:
        return bool(np.isin(read_mask(source.path, source.entry, source.index).array, values).any())
    except ImageError:
        return False


def _part(path: PurePosixPath) -> str:
    return "test" if path.parts[0].endswith("Ts") else "train"


def _channels(paths: Sequence[PurePosixPath]) -> dict[tuple[str, ...], tuple[PurePosixPath, ...]]:
    """Files of each case in the order of their channel number."""
    result: dict[tuple[str, ...], tuple[PurePosixPath, ...]] = {}
    for path in sorted(paths, key=lambda path: natural(path.name)):
        name = re.sub(r"_\d{4}$", "", stem(path))
        result[(_part(path), name)] = (*result.get((_part(path), name), ()), path)
    return result


def _case(listing: Listing, case: Case, labels: Labels, extra: Sequence[PurePosixPath]) -> Case:
    sources = case.masks["labels"].sources
    masks = {
        name: MaskSource(sources, Encoding("index", values[0], others=values[1:]))
        for name, values in labels.items()
    }
    split = "test" if case.image.path.parent.name == "imagesTs" else "train"
    channels = tuple(Source(listing.path(path)) for path in extra)
    return Case(case.name, case.image, masks=masks, split=split, channels=channels)


def _labels(path: Path) -> tuple[Labels, Labels]:
    """Target names with their values, background left out; and apart from them the label to be ignored."""
    text = read_text(path, _LIMIT_BYTES, StudyError, "dataset.json")
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise StudyError(f"{path}: is not valid JSON ({error})") from error
    entries = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise StudyError(f'{path}: has no "labels"; write "labels": {{"background": 0, "liver": 1}}')
    labels = dict(_label(path, key, value) for key, value in entries.items())
    ignored = {name: values for name, values in labels.items() if name.lower() == "ignore"}
    kept = {name: values for name, values in labels.items() if values != (0.0,) and name not in ignored}
    if not kept:
        raise StudyError(f'{path}: "labels" names no target beside the background')
    return kept, ignored


def _label(path: Path, key: str, value: Any) -> tuple[str, tuple[float, ...]]:
    """One entry: name and value (nnU-Net 2), value and name (nnU-Net 1), or name and a list (a region)."""
    if isinstance(value, str) and key.isdigit():
        key, value = value, int(key)
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(item, int) and not isinstance(item, bool) for item in values):
        raise StudyError(f"{path}: label {key!r} has the value {value!r}; whole numbers are allowed")
    return key, tuple(float(item) for item in values)


def names_by_value(content: Mapping[str, Any]) -> dict[float, str]:
    """Names of label values from a mapping in either direction, background left out.

    >>> names_by_value({"1": "nerve", "vessel": 2, "background": 0})
    {1.0: 'nerve', 2.0: 'vessel'}
    """
    pairs = [(value, key) if isinstance(value, int) else (key, value) for key, value in content.items()]
    return {float(number): str(name) for number, name in pairs if str(number).isdigit() and int(number) > 0}
