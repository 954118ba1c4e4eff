"""What a run was trained on: its annotation and hashes of its files, and whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from hilum.errors import RunError
from hilum.study.inputs import files_of, with_data
from hilum.study.names import DETACHED
from hilum.study.record import study_to_json
from hilum.study.study import Case, Study
from hilum.training.run import Run

HASHED_BYTES = 64_000_000
PARTS, PART_BYTES = 64, 1_000_000  # of larger files so many parts are read, the first and the last among them

_Place = tuple[str | None, int | None]
_Known = tuple[str, str | None, int | None]


def check_same_inputs(run: Run, study: Study) -> None:
    """Raise RunError where cases that a run began with are gone, or their annotation or files have changed.

    Cases that were added since are nothing to the run.
    """
    known = study.by_name
    gone = [case.name for case in run.study.cases if case.name not in known]
    if gone:
        raise RunError(
            f"{run.folder}: {len(gone)} cases of this run are not in {study.root} any more, such as {gone[0]}"
        )
    same = replace(study, cases=tuple(known[case.name] for case in run.study.cases))
    _check_annotation(run, same)
    before, now = run.manifest.get("inputs"), input_hashes(same)
    if not isinstance(before, dict):
        return
    changed = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    if changed:
        raise RunError(
            f"{run.folder}: {len(changed)} files of {study.root} have changed since this run began, such as "
            f"{changed[0]}; put them back, or train into a new folder"
        )


def _check_annotation(run: Run, study: Study) -> None:
    """Raise RunError where masks, labels, marks or groups of the same cases are others now."""
    pairs = zip(_recorded(run.study), _recorded(study), strict=True)
    other = [before["name"] for before, now in pairs if before != now]
    if other:
        raise RunError(
            f"{run.folder}: the annotation of {len(other)} cases of {study.root} has changed since this run "
            f"began, such as that of {other[0]}; put it back, or train into a new folder"
        )


def _recorded(study: Study) -> Sequence[dict[str, Any]]:
    """Cases as study.json records them, by paths below the study's folder."""
    return [{**case, "split": None} for case in study_to_json(study)["cases"]]


def input_hashes(study: Study) -> dict[str, str]:
    """Hashes of the input files, so that a change can be told; of huge ones by size and even parts."""
    paths = sorted({path for case in study.cases for path in files_of(case)})
    return {_name(path, study): _digest(path) for path in paths if path.is_file()}


def trained_on(run: Run, cases: Sequence[Case]) -> tuple[str, ...]:
    """Names of the cases whose images a fold of a run was trained on, told by the bytes of their files."""
    trained = {name for index in run.trained_folds() for name in run.splits.folds[index].train}
    known = known_as(run, cases)
    return tuple(case.name for case in cases if known[case.name] & trained)


def known_as(run: Run, cases: Sequence[Case]) -> dict[str, frozenset[str]]:
    """Of each case the names that a run has for the same image, told by the bytes of its files."""
    places: dict[str, set[tuple[str, _Place]]] = {}
    for case in run.study.cases:
        for path in with_data(case.image.path):
            place = case.image.entry, case.image.index
            places.setdefault(_name(path, run.study), set()).add((case.name, place))
    known: dict[_Known, set[str]] = {}
    for name, digest in run.manifest.get("inputs", {}).items():
        for owned in _owners(name):
            for owner, place in places.get(owned, ()):
                known.setdefault((digest, *place), set()).add(owner)
    return {case.name: _names_in(known, case) if known else frozenset() for case in cases}


def _owners(name: str) -> Iterator[str]:
    """What a file may belong to: itself, the folder of a series, the header that it lies beside."""
    path = PurePath(name)
    yield from (name, *map(str, path.parents))
    yield from (str(path.with_suffix(suffix)) for suffix in DETACHED if path.suffix not in ("", suffix))


def _names_in(known: Mapping[_Known, Set[str]], case: Case) -> frozenset[str]:
    """Names under which all files of a case's image are known."""
    files = [path for path in files_of(replace(case, masks={}, channels=())) if path.is_file()]
    place = (case.image.entry, case.image.index)
    found = [frozenset(known.get((_digest(path), *place), ())) for path in files]
    return frozenset.intersection(*found) if found else frozenset()


def _name(path: Path, study: Study) -> str:
    return str(path.relative_to(study.root) if path.is_relative_to(study.root) else path)


def _digest(path: Path) -> str:
    state = path.stat()
    return _digest_of(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _digest_of(path: Path, size: int, changed_ns: int) -> str:
    """The digest of a file; every fold of a training that begins from another run asks for it again."""
    if size <= HASHED_BYTES:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    found = hashlib.blake2b(size.to_bytes(8), digest_size=16)
    with path.open("rb") as file:
        for part in range(PARTS):
            file.seek((size - PART_BYTES) * part // (PARTS - 1))
            found.update(file.read(PART_BYTES))
    return f"{size} bytes, parts {found.hexdigest()}"
