"""Layout: a MedMNIST `.npz` with `{train,val,test}_{images,labels}` (MedMNIST v2, Yang et al. 2023)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError, StudyError
from hilum.image.arrays import entries, load_array
from hilum.image.readers import probe
from hilum.study.listing import Listing
from hilum.study.names import suffix
from hilum.study.study import Case, Finding, Source, Study

SPLITS = ("train", "val", "test")
_CLASSES = {
    "pneumoniamnist": ("normal", "pneumonia"),
    "breastmnist": ("malignant", "normal or benign"),
}


def recognise(listing: Listing) -> Study | None:
    """The study inside the only `.npz` of the folder, where it has MedMNIST's keys."""
    archives = [listing.path(path) for path in listing.files if suffix(path) == ".npz"]
    if len(archives) != 1 or not {"train_images", "train_labels"} <= _keys(archives[0]):
        return None
    path = archives[0]
    present = [split for split in SPLITS if {f"{split}_images", f"{split}_labels"} <= _keys(path)]
    labels = {split: _labels(path, split) for split in present}
    width = {array.shape[1] for array in labels.values()}
    if len(width) != 1:
        raise StudyError(f"{path}: the labels of its splits have different widths {sorted(width)}")
    exclusive = width == {1}
    classes, known = _class_names(path, labels)
    cases = tuple(
        Case(
            f"{split}/{index}",
            Source(path, f"{split}_images", index),
            labels=_one_hot(row, classes, exclusive),
            split=split,
        )
        for split in present
        for index, row in enumerate(labels[split])
    )
    words = f"{path.name} names no classes: they are called by their numbers" if not known else ""
    findings = (Finding("note", words),) if words else ()
    return Study(path.parent, "MedMNIST npz", cases, (), classes, exclusive, "", findings)


def _keys(path: Path) -> set[str]:
    try:
        return set(entries(path))
    except ImageError:
        return set()


def _labels(path: Path, split: str) -> NDArray[np.int64]:
    """Labels (N, L) of a split, checked against the number of its images."""
    labels = load_array(path, f"{split}_labels")
    images = probe(path, f"{split}_images").frames
    labels = labels.reshape(len(labels), -1) if labels.ndim else labels.reshape(1, 1)
    if len(labels) != images:
        raise StudyError(f"{path}: {images} {split} images but {len(labels)} labels")
    if not np.issubdtype(labels.dtype, np.integer) or (labels < 0).any():
        raise StudyError(f"{path}: {split}_labels are {labels.dtype}; whole numbers from 0 are allowed")
    return labels.astype(np.int64)


def _class_names(path: Path, labels: dict[str, NDArray[np.int64]]) -> tuple[tuple[str, ...], bool]:
    """Class names, and whether they are known rather than numbers."""
    width = next(iter(labels.values())).shape[1]
    number = width if width > 1 else 1 + max(int(array.max(initial=0)) for array in labels.values())
    known = next((names for word, names in _CLASSES.items() if path.stem.lower().startswith(word)), ())
    return (known, True) if len(known) == number else (tuple(map(str, range(number))), False)


def _one_hot(row: NDArray[np.int64], classes: tuple[str, ...], exclusive: bool) -> dict[str, float]:
    if exclusive:
        return {name: float(index == row[0]) for index, name in enumerate(classes)}
    return {name: float(value > 0) for name, value in zip(classes, row, strict=True)}
