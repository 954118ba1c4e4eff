"""What a run was trained on: hashes of its files, and whether they are still the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hilum.errors import RunError
from hilum.study.study import Study
from hilum.training.run import Run

HASHED_BYTES = 64_000_000


def check_same_inputs(run: Run, study: Study) -> None:
    """Raise RunError where cases that a run began with are gone or their files have changed."""
    known = {case.name for case in study.cases}
    gone = [case.name for case in run.study.cases if case.name not in known]
    if gone:
        raise RunError(
            f"{run.folder}: {len(gone)} cases of this run are not in {study.root} any more, such as {gone[0]}"
        )
    before, now = run.manifest.get("inputs"), input_hashes(study)
    changed = [path for path in now if isinstance(before, dict) and before.get(path, now[path]) != now[path]]
    if changed:
        raise RunError(
            f"{run.folder}: {len(changed)} files of {study.root} have changed since this run began, such as "
            f"{changed[0]}; put them back, or train into a new folder"
        )


def input_hashes(study: Study) -> dict[str, str]:
    """Hashes of the input files, so that a changed input can be told; of huge ones the size."""
    paths = sorted(
        {case.image.path for case in study.cases}
        | {s.path for c in study.cases for m in c.masks.values() for s in m.sources}
    )
    return {_name(path, study): _digest(path) for path in paths if path.is_file()}


def _name(path: Path, study: Study) -> str:
    return str(path.relative_to(study.root) if path.is_relative_to(study.root) else path)


def _digest(path: Path) -> str:
    size = path.stat().st_size
    if size > HASHED_BYTES:
        return f"{size} bytes"
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
