"""The unknown encodings of a study's masks found out, and its targets named by them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hilum.errors import StudyError
from hilum.image.limits import shown
from hilum.study.coding import SAMPLE, Coding, coding_with_warnings
from hilum.study.layouts.nnunet import names_by_value
from hilum.study.names import DEFAULT_TARGET
from hilum.study.study import Encoding, Finding, MaskSource, Source, Study


def resolve_encodings(study: Study, sample: int = SAMPLE) -> Study:
    """The study with every unknown encoding found out; index and colour masks become one target a value.

    Looks at `sample` files a target, and at all of them where values must be collected.
    Raises StudyError for a `labels.json` that is no JSON, where values need names.
    """
    files = {target: _files(study, target) for target in study.targets if _unknown(study, target)}
    if not files:
        return study
    codings = {target: coding_with_warnings(sources, sample) for target, sources in files.items()}
    named = {target: _named(study, target, coding) for target, coding in codings.items()}
    cases = tuple(replace(case, masks=_expanded(case.masks, named)) for case in study.cases)
    targets = tuple(name for target in study.targets for name in named.get(target, (target,)))
    doubts = tuple(
        Finding("warning", f"{target}: {words}")
        for target, coding in codings.items()
        for words in (coding.doubt, *coding.warnings)
        if words
    )
    doubts += _nameless(encoding for own in named.values() for encoding in own.items())
    exclusive = len(study.targets) == 1 and len(targets) > 1
    return replace(study, cases=cases, targets=targets, exclusive=exclusive, findings=study.findings + doubts)


def _nameless(named: Iterable[tuple[str, Encoding]]) -> tuple[Finding, ...]:
    """A note where index values have no names, and how to give them some."""
    bare = [
        f"{encoding.value:g}"
        for name, encoding in named
        if encoding.kind == "index" and name.endswith(f"index-{encoding.value:g}")
    ]
    if not bare:
        return ()
    words = f"the masks hold the values {', '.join(bare)} without names; to name them write labels.json"
    return (Finding("note", words + f' into the folder, as {{"nerve": {bare[0]}}}'),)


def _files(study: Study, target: str) -> list[Source]:
    return [source for case in study.cases if target in case.masks for source in case.masks[target].sources]


def _unknown(study: Study, target: str) -> bool:
    masks = (case.masks[target] for case in study.cases if target in case.masks)
    return any(mask.encoding.kind == "unknown" for mask in masks)


def _expanded(
    masks: Mapping[str, MaskSource], named: Mapping[str, Mapping[str, Encoding]]
) -> dict[str, MaskSource]:
    return {
        name: mask if encoding is None else replace(mask, encoding=encoding)
        for target, mask in masks.items()
        for name, encoding in named.get(target, {target: None}).items()
    }


def _named(study: Study, target: str, coding: Coding) -> dict[str, Encoding]:
    """The targets that a target's masks hold, by name; values of one name are one target."""
    if len(coding.parts) == 1:
        return {target: coding.parts[0][1]}
    given = _given_names(study.root)
    prefix = "" if target == DEFAULT_TARGET and len(study.targets) == 1 else f"{target}-"
    result: dict[str, Encoding] = {}
    for part, encoding in coding.parts:
        name = prefix + given.get(encoding.value, part)
        first = result.get(name)
        result[name] = encoding if first is None else replace(first, others=(*first.others, encoding.value))
    return result


def _given_names(root: Path) -> dict[float, str]:
    """Names of index values from `dataset.json`, `labels.json` or `classes.txt` in the study's folder."""
    for name in ("labels.json", "dataset.json"):
        content = _json(root / name)
        labels = content.get("labels", content) if isinstance(content, dict) else None
        if isinstance(labels, dict) and (names := names_by_value(labels)):
            return names
    try:
        lines = [line.strip() for line in (root / "classes.txt").read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError):
        return {}
    lines = [line for line in lines if line]
    start = 0 if lines and lines[0].lower() in ("background", "bg") else 1
    return {float(index): line for index, line in enumerate(lines, start=start) if index > 0}


def _json(path: Path) -> Any:
    """What a JSON file holds; None for one that is large, not there, or not ours and damaged."""
    try:
        return json.loads(path.read_text("utf-8-sig")) if path.stat().st_size < 1_000_000 else None
    except (ValueError, RecursionError) as error:
        if path.name != "labels.json":
            return None
        raise StudyError(
            f'{shown(path)}: is not JSON ({shown(str(error))}); write {{"nerve": 1, "vessel": 2}}, in UTF-8'
        ) from error
    except OSError:
        return None
