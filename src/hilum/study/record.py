"""A study as JSON and back, as `study.json` of a run holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from hilum.errors import HilumError, RunError
from hilum.files import as_text, stays_inside
from hilum.image.spacing import Spacing
from hilum.study.study import Case, Encoding, Finding, Mark, MaskSource, Source, Study

VERSION = 1
_LIMIT_CASES = 1_000_000
_KINDS = ("threshold", "index", "colour", "unknown")


def study_to_json(study: Study) -> dict[str, Any]:
    """A study as plain JSON values; paths are relative to its root where they lie below it, else whole."""
    return {
        "version": VERSION,
        "root": str(study.root.absolute()),  # a run is opened from other folders, too
        "layout": study.layout,
        "targets": list(study.targets),
        "classes": list(study.classes),
        "exclusive": study.exclusive,
        "grouping": study.grouping,
        "findings": [
            [finding.severity, as_text(finding.message), [as_text(name) for name in finding.cases]]
            for finding in study.findings
        ],
        "cases": [_case_to_json(study.root, case) for case in study.cases],
    }


def _case_to_json(root: Path, case: Case) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": case.name,
        "image": _source_to_json(root, case.image),
        "group": case.group,
    }
    if case.masks:
        content["masks"] = {target: _mask_to_json(root, mask) for target, mask in case.masks.items()}
    if case.labels:
        content["labels"] = {
            name: None if math.isnan(value) else value for name, value in case.labels.items()
        }
    if case.marks is not None:
        content["marks"] = [[*mark.centre, mark.diameter_mm, mark.kind] for mark in case.marks]
    if case.split is not None:
        content["split"] = case.split
    if case.spacing is not None:
        content["spacing"] = {"sizes": list(case.spacing.sizes), "unit": case.spacing.unit}
    if case.channels:
        content["channels"] = [_source_to_json(root, source) for source in case.channels]
    return content


def _mask_to_json(root: Path, mask: MaskSource) -> dict[str, Any]:
    coded = mask.encoding
    encoding: dict[str, Any] = {"kind": coded.kind, "value": coded.value}
    if coded.colour is not None:
        encoding["colour"] = list(coded.colour)
    if coded.others:
        encoding["others"] = list(coded.others)
    return {
        "sources": [_source_to_json(root, source) for source in mask.sources],
        "encoding": encoding,
        "votes": mask.votes,
    }


def _source_to_json(root: Path, source: Source) -> list[Any]:
    inside = source.path.is_relative_to(root)
    path = source.path.relative_to(root).as_posix() if inside else str(source.path.absolute())
    extra = [source.entry, source.index]
    while extra and extra[-1] is None:
        extra.pop()
    return [path, *extra]


def study_from_json(content: Any, root: Path | None = None) -> Study:
    """The study that `study_to_json` wrote; `root` says where its files lie now.

    Raises RunError where the content is not such a study.
    """
    try:
        if content["version"] != VERSION:
            raise RunError(f"study.json: version {content['version']!r}; this Hilum reads version {VERSION}")
        base = Path(_text(content["root"])) if root is None else root
        cases = tuple(_case(base, item) for item in _limited(content["cases"]))
        return Study(
            base,
            _text(content["layout"]),
            cases,
            tuple(map(_text, content["targets"])),
            tuple(map(_text, content["classes"])),
            bool(content["exclusive"]),
            _text(content["grouping"]),
            tuple(
                Finding(_text(severity), _text(message), tuple(map(_text, names)))
                for severity, message, names in content["findings"]
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, HilumError):
            raise
        raise RunError(
            f"study.json: is not the record of a study ({type(error).__name__}: {error})"
        ) from error


def _limited(cases: Any) -> Sequence[Any]:
    if not isinstance(cases, list) or len(cases) > _LIMIT_CASES:
        raise RunError(f"study.json: cases must be a list of at most {_LIMIT_CASES:,}")
    names = [case["name"] for case in cases]
    if len(set(names)) != len(names):
        raise RunError("study.json: two cases of one name")
    return cases


def _case(root: Path, content: Mapping[str, Any]) -> Case:
    masks = {_text(target): _mask(root, mask) for target, mask in content.get("masks", {}).items()}
    labels = {
        _text(name): math.nan if value is None else float(value)
        for name, value in content.get("labels", {}).items()
    }
    name = _text(content["name"])
    odd = next((part for part in (name, *masks, *labels) if not stays_inside(part)), None)
    if odd is not None:
        raise RunError(f"study.json: {odd[:80]!r} cannot be the name of a case, target or class")
    marks = content.get("marks")
    spacing = content.get("spacing")
    return Case(
        name,
        _source(root, content["image"]),
        masks=masks,
        labels=labels,
        marks=None if marks is None else tuple(_mark(mark) for mark in marks),
        group=_text(content["group"]),
        split=None if content.get("split") is None else _text(content["split"]),
        spacing=None
        if spacing is None
        else Spacing(tuple(map(float, spacing["sizes"])), _text(spacing["unit"])),
        channels=tuple(_source(root, source) for source in content.get("channels", ())),
    )


def _mark(content: Sequence[Any]) -> Mark:
    x, y, z, diameter, kind = content
    return Mark((float(x), float(y), float(z)), float(diameter), _text(kind))


def _mask(root: Path, content: Mapping[str, Any]) -> MaskSource:
    encoding = content["encoding"]
    if encoding["kind"] not in _KINDS:
        raise RunError(f"study.json: encoding {encoding['kind']!r} is not one of {', '.join(_KINDS)}")
    colour = encoding.get("colour")
    red, green, blue = map(int, colour) if colour is not None else (0, 0, 0)
    return MaskSource(
        tuple(_source(root, source) for source in content["sources"]),
        Encoding(
            encoding["kind"],
            float(encoding["value"]),
            None if colour is None else (red, green, blue),
            tuple(map(float, encoding.get("others", ()))),
        ),
        int(content["votes"]),
    )


def _source(root: Path, content: Sequence[Any]) -> Source:
    """A source; a relative path may not leave the root."""
    path, entry, index = (*content, None, None)[:3]
    relative = PurePosixPath(_text(path))
    if not relative.is_absolute() and ".." in relative.parts:
        raise RunError(f"study.json: {path!r} leaves the study's folder")
    return Source(
        Path(path) if Path(path).is_absolute() else root / relative,
        None if entry is None else _text(entry),
        None if index is None else int(index),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:60]!r} is not text")
    return value
