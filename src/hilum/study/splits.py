"""Folds of a study: groups are never split, targets and classes are balanced, given splits are kept."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from hilum.errors import StudyError
from hilum.files import read_json, write_json
from hilum.study.balance import spread, units_of
from hilum.study.names import counted, listed, natural
from hilum.study.study import Case, Study

DEFAULT_FOLDS = 5
_ALL_ALIKE = (
    "all images are nearly equal, one to the next, so that alike ones lie on both sides of the folds and the "
    "scores say little about other images"
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fold:
    """Names of the cases to train on, to watch while training, and to score on."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    val: tuple[str, ...] = ()


@dataclass(frozen=True)
class Splits:
    """All folds of a study. `by` is what they are made of: group, case, given or file; `reason` says why so.

    `held_out` are cases that no fold trains on or scores: a given test set while others are cross-validated.
    """

    by: str
    folds: tuple[Fold, ...]
    reason: str
    held_out: tuple[str, ...] = ()


def cases_in(study: Study, splits: Splits) -> list[Case]:
    """The cases that are learnt from, watched or scored in any fold."""
    names = {name for fold in splits.folds for name in (*fold.train, *fold.test, *fold.val)}
    return [case for case in study.cases if case.name in names]


def make_folds(
    study: Study,
    k: int | None = None,
    balance: Mapping[str, Sequence[float]] | None = None,
    seed: int = 0,
    together: Sequence[Sequence[str]] = (),
) -> Splits:
    """Folds of a study: its given splits, or K folds over groups (5, or as many as there are groups).

    `balance` maps case name to what shall be spread evenly (areas of targets, class one-hots; made from
    the labels where it is left out). A `k` given asks for cross-validation also where splits are given;
    a given test set then stays out of all folds. `together` are cases that may not be parted (duplicates).
    Raises StudyError where `k` folds are asked of one group, or k is below 2.
    """
    if k is not None and k < 2:
        raise StudyError(f"--folds {k}: at least 2 folds are needed")
    leaked = split_groups(study)
    given = {case.split for case in study.cases} - {None}
    if k is None and "train" in given and len(given) > 1 and not leaked:
        return _given(study)
    pool = [case for case in study.cases if leaked or "train" not in given or case.split != "test"]
    kept = {case.name for case in pool}
    held_out = tuple(case.name for case in study.cases if case.name not in kept)
    units = units_of(pool, together)
    why = _leak_words(leaked) if leaked else _no_train_words(given) + _left_out_words(held_out)
    if len({case.group for case in pool}) < 2:
        return _one_group(pool, k, balance, seed, together, held_out)
    if len(units) < 2:
        units, why = units_of(pool, ()), f"; {_ALL_ALIKE}{why}"
    folds = min(k or DEFAULT_FOLDS, len(units))
    reason = (
        f"{counted(folds, 'fold')} over {counted(len(units), 'group')}{_fewer(folds, k, len(units))}{why}"
    )
    return Splits("group", _folds(pool, units, folds, balance, seed), reason, held_out)


def _fewer(folds: int, k: int | None, groups: int) -> str:
    wished = k or DEFAULT_FOLDS
    return f" ({wished} would need {wished} groups, there are {groups})" if folds < wished else ""


def _leak_words(leaked: Sequence[str]) -> str:
    return (
        f"; the given splits are not used, because {counted(len(leaked), 'group')} lie on both sides "
        f"of them ({listed(leaked, 3)})"
    )


def _no_train_words(given: set[str | None]) -> str:
    if len(given) > 1 and "train" not in given:
        names = listed(sorted(map(str, given)))
        return f"; the given splits are not used, because none of {names} is to train on"
    return ""


def _left_out_words(held_out: Sequence[str]) -> str:
    if not held_out:
        return ""
    return f"; the given test set ({counted(len(held_out), 'image')}) is in none of them: score it afterwards"


def split_groups(study: Study) -> tuple[str, ...]:
    """Groups that lie in more than one of the given splits."""
    splits: dict[str, set[str]] = {}
    for case in study.cases:
        if case.split:
            splits.setdefault(case.group, set()).add(case.split)
    return tuple(sorted((group for group, inside in splits.items() if len(inside) > 1), key=natural))


def _given(study: Study) -> Splits:
    names = {
        split: tuple(case.name for case in study.cases if (case.split or "train") == split)
        for split in ("train", "val", "test")
    }
    test, val = (names["test"], names["val"]) if names["test"] else (names["val"], ())
    sizes = ", ".join(f"{len(part)} {split}" for split, part in names.items() if part)
    reason = f"the given splits are kept ({sizes})"
    return Splits("given", (Fold(names["train"], test, val),), reason)


def _one_group(
    cases: Sequence[Case],
    k: int | None,
    balance: Mapping[str, Sequence[float]] | None,
    seed: int,
    together: Sequence[Sequence[str]],
    held_out: tuple[str, ...],
) -> Splits:
    """Folds over images where there is one group alone: said clearly, and refused where K was asked for.

    Near-equal images stay together but where all are.
    """
    if k is not None:
        name = cases[0].group if cases else "none"
        raise StudyError(
            f"--folds {k}: all {counted(len(cases), 'image')} belong to one group ({name}), so no fold "
            "could be scored on a group that it has not seen; add images of another, leave --folds out, or "
            "say --group-by REGEX if the group is not meant"
        )
    if len(cases) < 2:
        only = tuple(case.name for case in cases)
        return Splits("case", (Fold(only, ()),), "one image only: nothing is left to score on", held_out)
    alone = [replace(case, group=case.name) for case in cases]
    units = units_of(alone, together)
    alike = len(units) < 2
    units = units_of(alone, ()) if alike else units
    folds = min(DEFAULT_FOLDS, len(units))
    reason = (
        f"{counted(folds, 'fold')} over images, because all are of one group: the scores say nothing "
        f"about another animal or patient{f'; {_ALL_ALIKE}' if alike else ''}"
    )
    return Splits("case", _folds(cases, units, folds, balance, seed), reason, held_out)


def _folds(
    cases: Sequence[Case],
    units: Sequence[Sequence[Case]],
    folds: int,
    balance: Mapping[str, Sequence[float]] | None,
    seed: int,
) -> tuple[Fold, ...]:
    fold_of = spread(units, folds, balance, seed)
    names = [case.name for case in cases]
    return tuple(
        Fold(
            tuple(name for name in names if fold_of[name] != fold),
            tuple(name for name in names if fold_of[name] == fold),
        )
        for fold in range(folds)
    )


def write_splits(path: Path, splits: Splits) -> None:
    """Write `splits.json`; `read_splits` reads it back alike."""
    folds = [
        {"train": list(fold.train), "test": list(fold.test), **({"val": list(fold.val)} if fold.val else {})}
        for fold in splits.folds
    ]
    content = {"by": splits.by, "reason": splits.reason, "folds": folds, "held_out": list(splits.held_out)}
    write_json(path, content)


def read_splits(path: Path, study: Study) -> Splits:
    """Read fixed folds: `{"by": "group", "test": [["12", "40"], ...]}` (or by case), or our own file.

    Raises StudyError for groups or cases that the study does not have, that are tested twice, or that
    lie on both sides of a fold; RunError where the file is not JSON.
    """
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("folds"), list):
        return _own_splits(path, content, study)
    if (
        isinstance(content, dict)
        and content.get("by") in ("group", "case")
        and isinstance(content.get("test"), list)
    ):
        return _listed_splits(path, content["by"], content["test"], study)
    raise StudyError(
        f'{path}: is not a file of splits; write {{"by": "group", "test": [["12", "40"], ["18", "7"]]}}, '
        "one list of groups (or of cases, by case) a fold"
    )


def _listed_splits(path: Path, by: str, test: Sequence[Any], study: Study) -> Splits:
    every = [_strings(path, part) for part in test]
    known = study.groups if by == "group" else tuple(case.name for case in study.cases)
    _check_known(path, by, (name for part in every for name in part), known)
    twice = sorted({name for part in every for name in part if sum(name in other for other in every) > 1})
    if twice or not every or not all(every):
        found = f"{by} {listed(twice)} in several folds" if twice else "a fold without a test"
        raise StudyError(f"{path}: {found}; each {by} is tested once")
    if by == "case":
        log.info("%s: folds by case; groups may lie on both sides", path)
    key = {case.name: case.group if by == "group" else case.name for case in study.cases}
    folds = tuple(
        Fold(
            tuple(name for name in key if key[name] not in part),
            tuple(name for name in key if key[name] in part),
        )
        for part in every
    )
    if not all(fold.train for fold in folds):
        raise StudyError(f"{path}: a fold tests every case and leaves none to train on")
    return Splits(by, folds, f"{counted(len(folds), 'fold')} as {path.name} fixes them, by {by}")


def _own_splits(path: Path, content: Mapping[str, Any], study: Study) -> Splits:
    known = tuple(case.name for case in study.cases)
    folds = []
    for entry in content["folds"]:
        if not isinstance(entry, dict):
            raise StudyError(f"{path}: a fold is {entry!r}; a fold has lists train and test")
        parts = {part: _strings(path, entry.get(part, [])) for part in ("train", "val", "test")}
        _check_known(path, "case", (name for names in parts.values() for name in names), known)
        fold = Fold(parts["train"], parts["test"], parts["val"])
        _check_apart(path, fold, content, study)
        folds.append(fold)
    if not folds:
        raise StudyError(f"{path}: holds no folds")
    held_out = _strings(path, content.get("held_out", []))
    _check_tested_once(path, folds, held_out)
    by, reason = str(content.get("by", "file"))[:40], str(content.get("reason", ""))[:2000]
    return Splits(by, tuple(folds), reason or f"as {path.name} fixes them", held_out)


def _check_apart(path: Path, fold: Fold, content: Mapping[str, Any], study: Study) -> None:
    group = {case.name: case.group for case in study.cases}
    parts = [set(fold.train), set(fold.val), set(fold.test)]
    if content.get("by") != "case":
        parts = [part | {group[name] for name in part} for part in parts]
    both = {name for one, other in combinations(parts, 2) for name in one & other}
    if both:
        raise StudyError(f"{path}: {listed(_ordered(both))} on both sides of a fold; a group lies on one")


def _check_tested_once(path: Path, folds: Sequence[Fold], held_out: Sequence[str]) -> None:
    tests = Counter(name for fold in folds for name in set(fold.test))
    used = {name for fold in folds for name in (*fold.train, *fold.val, *fold.test)}
    if twice := [name for name, count in tests.items() if count > 1]:
        raise StudyError(
            f"{path}: {listed(_ordered(twice))} in the tests of several folds; each is tested once"
        )
    if both := used & set(held_out):
        raise StudyError(f"{path}: {listed(_ordered(both))} held out of all folds, and in one all the same")


def _strings(path: Path, part: Any) -> tuple[str, ...]:
    if not isinstance(part, list) or not all(isinstance(name, str | int) for name in part):
        raise StudyError(f"{path}: {str(part)[:80]} is not a list of names")
    return tuple(map(str, part))


def _check_known(path: Path, by: str, names: Iterable[str], known: Sequence[str]) -> None:
    present = set(known)
    unknown = list(dict.fromkeys(name for name in names if name not in present))
    if unknown:
        raise StudyError(
            f"{path}: the study has no {by} {listed(unknown)}; it has {listed(_ordered(known), 20)}"
        )


def _ordered(names: Iterable[str]) -> list[str]:
    return sorted(names, key=natural)
