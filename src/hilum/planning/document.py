"""A plan as YAML that a person can read, edit and rerun: each planned value beside its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from hilum.errors import PlanError
from hilum.files import read_text, write_text
from hilum.planning.draft import Draft, flat, validated
from hilum.planning.plan import DetectionPlan, Plan

LIMIT_BYTES = 200_000
_REASON_COLUMN = 44


def to_yaml(plan: Plan) -> str:
    """The plan as YAML, reasons as comments."""
    head = "# A Hilum plan. Edit any value, then: hilum train FOLDER --recipe plan.yaml --out RUN\n"
    values = plan.model_dump(mode="json")  # nulls too: what is left out of a recipe is planned
    if plan.task != "detect" and plan.detection == DetectionPlan():
        values.pop("detection")
    return head + "\n".join(_lines(values, plan.reasons)) + "\n"


def _lines(tree: Mapping[str, Any], reasons: Mapping[str, str], prefix: str = "") -> Iterator[str]:
    indent = "  " * prefix.count(".")
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key != "model.settings":
            yield f"{indent}{name}:"
            yield from _lines(value, reasons, f"{key}.")
            continue
        line = f"{indent}{name}: {_scalar(value)}"
        reason = " ".join(reasons.get(key, "").split())
        yield f"{line:<{_REASON_COLUMN}} # {reason}" if reason else line


def _scalar(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n...\n").strip(" \n")  # other spaces may be the value itself


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan as YAML, whole or not at all."""
    write_text(path, to_yaml(plan))


def read_values(path: Path) -> dict[str, Any]:
    """The nested values of a plan or recipe file. Raises PlanError where it is not one."""
    return _read(path)[0]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The nested values of a file, and the reasons in its comments by dotted key."""
    text = read_text(path, LIMIT_BYTES, PlanError, "plan")
    try:
        if "&" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise PlanError(f"{path}: YAML aliases are not allowed in a plan")
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, PlanError):
            raise
        raise PlanError(f"{path}: is not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise PlanError(f"{path}: is not a plan: it should hold `task:`, `data:`, `model:` and so on")
    return tree, dict(_reasons(text))


def read_plan(path: Path) -> Plan:
    """Read a finished plan; reasons come back from the comments.

    Raises PlanError where the file is missing, too large, not YAML, or holds wrong keys or values.
    """
    values, reasons = _read(path)
    plan = validated(values, str(path))
    plan.reasons = reasons
    return plan


def _reasons(text: str) -> Iterator[tuple[str, str]]:
    parents: list[str] = []
    for line in text.splitlines():
        body, sign, reason = line.partition("  # ") if "  # " in line else line.partition(" # ")
        name = body.strip().partition(":")[0]
        if not name or line.lstrip().startswith("#"):
            continue
        depth = (len(body) - len(body.lstrip())) // 2
        parents = [*parents[:depth], name]
        if sign:
            yield ".".join(parents), reason.strip()


def apply_file(draft: Draft, path: Path, why: str) -> None:
    """Put the values of a plan or recipe file over a draft, `why` as their reason."""
    tree, reasons = _read(path)
    for key, value in flat(tree):
        draft.set(key, value, reasons.get(key, why))
