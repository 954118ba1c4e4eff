"""A bundle: one zip with all that predicting needs, and what a reader must know. No case is named in it."""

from __future__ import annotations

import atexit
import io
import json
import re
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from hilum.errors import RunError
from hilum.exchange import card
from hilum.exchange.exports import Exported, place_file
from hilum.files import read_json, stays_inside, whole_file
from hilum.planning.document import to_yaml
from hilum.planning.plan import Plan
from hilum.training.run import Run, open_run

LARGEST_BYTES = 8 << 30
LARGEST_TEXT_BYTES = 64_000_000
MOST_FILES = 2_000
MARK = "bundle.json"
VERSION = 1
_SCORES = (
    *("summary.json", "thresholds.json", "presence.json"),
    *("quality.json", "decision.json", "detector.json"),
)
_ALLOWED = re.compile(
    r"(bundle|study|splits|manifest)\.json|plan\.yaml|MODEL\.md|evaluation/[a-z]+\.json"
    r"|fold-\d{1,3}/(model|second)\.safetensors"
)
_READ_BYTES = 1 << 20
_WHEN = (1980, 1, 1, 0, 0, 0)


def export(run: Run, out: Path | None) -> Exported:
    """Write plan, weights, scores and model card of a run as one zip."""
    path = place_file(run, out, f"{run.folder.resolve().name}.zip")
    with whole_file(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _texts(run).items():
            archive.writestr(zipfile.ZipInfo(name, _WHEN), content, zipfile.ZIP_DEFLATED)
        for name, source in _weights(run).items():
            with source.open("rb") as handle, _entry(archive, name) as target:
                while part := handle.read(_READ_BYTES):
                    target.write(part)
    size = path.stat().st_size / 1e6
    return Exported(
        path, (path,), (f"{size:.1f} MB; predict with: hilum predict {path} IMAGES --out RESULTS",)
    )


def _entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A stored file of any size: weights hardly shrink."""
    return archive.open(zipfile.ZipInfo(name, _WHEN), "w", force_zip64=True)


def _texts(run: Run) -> dict[str, str]:
    """All but the weights, without names of cases, files or folders."""
    study = read_json(run.folder / "study.json")
    kept = {key: study[key] for key in ("version", "targets", "classes", "exclusive")}
    nobody = {
        "root": ".",
        "layout": "bundle",
        "grouping": "left out of the bundle",
        "findings": [],
        "cases": [],
    }
    manifest = {key: run.manifest[key] for key in ("versions", "machine", "finished") if key in run.manifest}
    folds: list[dict[str, list[str]]] = [{"train": [], "test": []} for _ in run.splits.folds]
    mark = {"format": "hilum-bundle", "version": VERSION, "folds": run.trained_folds()}
    contents: dict[str, Any] = {
        MARK: mark,
        "study.json": {**kept, **nobody},
        "splits.json": {
            "by": run.splits.by,
            "reason": card.folds_in_words(run),
            "folds": folds,
            "held_out": [],
        },
        "manifest.json": manifest,
    }
    contents |= {
        f"evaluation/{name}": read_json(run.evaluation / name)
        for name in _SCORES
        if (run.evaluation / name).is_file()
    }
    texts = {name: json.dumps(content, indent=2, ensure_ascii=False) for name, content in contents.items()}
    return {**texts, "plan.yaml": to_yaml(_plan(run)), card.NAME: card.model_card(run)}


def _plan(run: Run) -> Plan:
    """The plan without what names groups (the reason of its folds) or files (of a plan it began from)."""
    plan = run.plan.model_copy(deep=True)
    recipe = card.recipe_in_words(plan)
    if recipe != plan.recipe:
        source = f"from {plan.recipe}"
        plan.reasons = {key: text.replace(source, "from a file") for key, text in plan.reasons.items()}
    plan.reasons["data.folds"] = card.folds_in_words(run)
    plan.recipe, plan.data.group_by = recipe, None
    return plan


def _weights(run: Run) -> dict[str, Path]:
    files = [
        run.fold(i) / name
        for i in run.trained_folds()
        for name in ("model.safetensors", "second.safetensors")
    ]
    return {f"{file.parent.name}/{file.name}": file for file in files if file.is_file()}


def opened(path: Path) -> Run:
    """A run by its folder, or by its bundle, unpacked into a folder that goes when this process ends.

    Raises RunError where it is neither: a damaged zip, one with other files, one that is too large.
    """
    if not path.is_file():
        return open_run(path)
    folder = Path(tempfile.mkdtemp(prefix="hilum-bundle-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    unpack(path, folder)
    return open_run(folder)


def unpack(path: Path, folder: Path) -> None:
    """Unpack a bundle into a folder. Only files that a bundle has are written, none beyond its size.

    Raises RunError, before anything is written, for names that no bundle has.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked(path, archive)
            left = LARGEST_BYTES
            for member in members:
                left -= _extracted(path, archive, member, folder, left)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, UnicodeDecodeError) as error:
        raise RunError(
            f"{path}: is not a run, and not a whole bundle of one ({error}); export or copy it again"
        ) from error


def _checked(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members, all of them files that a bundle has, each once."""
    members = archive.infolist()
    names = [member.filename for member in members]
    if MARK not in names or len(names) > MOST_FILES or len(set(names)) != len(names):
        raise RunError(f"{path}: is not a bundle; make one with: hilum export RUN --format bundle")
    odd = [name for name in names if not stays_inside(name) or not _ALLOWED.fullmatch(name)]
    if odd:
        raise RunError(f"{path}: holds {odd[0][:80]!r}, which no bundle has; nothing was unpacked")
    if sum(member.file_size for member in members) > LARGEST_BYTES:
        raise RunError(f"{path}: unpacks to more than {LARGEST_BYTES:,} bytes, which no bundle does")
    content = json.loads(_text(path, archive, MARK))
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise RunError(f"{path}: is a bundle of another version; this Hilum reads version {VERSION}")
    return members


def _text(path: Path, archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as handle:
        content = handle.read(_READ_BYTES)
    try:
        json.loads(content)
    except ValueError as error:
        raise RunError(f"{path}: {name} in it is damaged ({error})") from error
    return content.decode()


def _extracted(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, left: int) -> int:
    """Write one member, counting real bytes: what a zip says of its sizes need not be true."""
    limit = left if member.filename.endswith(".safetensors") else min(left, LARGEST_TEXT_BYTES)
    target = folder / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(member) as source, io.FileIO(target, "w") as handle:
        while part := source.read(_READ_BYTES):
            written += len(part)
            if written > limit:
                raise RunError(f"{path}: {member.filename} in it is larger than {limit:,} bytes")
            handle.write(part)
    return written
