"""Folds as every peer gets them: images and masks as arrays, read by Hilum, with one split for all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hilum.files import write_json
from hilum.planning.planner import Wishes
from hilum.study.masks import read_case_image, read_masks
from hilum.study.open import open_study
from hilum.study.splits import Fold, read_splits
from hilum.study.study import Study
from hilum.verbs.folding import plan_folds

FOLDERS = {
    "lung_flu": "lung_flu",
    "us_nerve": "us_nerve/train",
    "ct_nodule_slices": "ct_nodule_slices",
}
HERE = Path(__file__).parent


def study_folder(name: str, data: Path) -> Path:
    """Where a study lies below the data."""
    return data / FOLDERS[name]


def splits_file(name: str, data: Path) -> Path:
    """The fixed folds of a study: its own, or those Hilum planned once and this folder keeps."""
    own = study_folder(name, data) / "splits.json"
    return own if own.is_file() else HERE / "splits" / f"{name}.json"


def plan_splits(name: str, data: Path) -> None:
    """Write the groups of five folds as Hilum plans them, seed 0: done once, then fixed."""
    study = open_study(study_folder(name, data))
    group = {case.name: case.group for case in study.cases}
    folds = plan_folds(study, Wishes(folds=5)).folds
    test = [sorted({group[case] for case in fold.test}) for fold in folds]
    write_json(HERE / "splits" / f"{name}.json", {"by": "group", "test": test})


def export(name: str, data: Path, fold: int, out: Path) -> Path:
    """`OUT/NAME/fold-I.json` with `images/` and `masks/` beside it; the arrays are written once."""
    folder = out / name
    description = folder / f"fold-{fold}.json"
    if description.is_file():
        return description
    study = open_study(study_folder(name, data))
    splits = read_splits(splits_file(name, data), study)
    keys = _write_arrays(study, folder)
    where = {"study": str(study.root.absolute()), "splits": str(splits_file(name, data).absolute())}
    _write_fold(description, study, splits.folds[fold], keys, where | {"fold": fold})
    return description


def _write_arrays(study: Study, folder: Path) -> dict[str, str]:
    """Every case as two arrays; the key of each case by its name."""
    keys = {case.name: f"{number:04d}" for number, case in enumerate(study.cases)}
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for case in study.cases:
        path = folder / "masks" / f"{keys[case.name]}.npy"
        if not path.is_file():
            image = read_case_image(case)
            np.save(folder / "images" / path.name, image.array)
            np.save(path, read_masks(case, study.targets, image.shape)[0])
    return keys


def _write_fold(path: Path, study: Study, fold: Fold, keys: dict[str, str], where: dict[str, object]) -> None:
    cases = {keys[case.name]: {"name": case.name, "group": case.group} for case in study.cases}
    content = {**where, "targets": list(study.targets), "cases": cases}
    content |= {"train": [keys[name] for name in fold.train], "test": [keys[name] for name in fold.test]}
    path.write_text(json.dumps(content), encoding="utf-8")
