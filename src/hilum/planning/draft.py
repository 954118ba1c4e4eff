"""A plan in the making: values by dotted key, each with its reason."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from hilum.errors import PlanError
from hilum.planning.plan import Plan


@dataclass
class Draft:
    """Values and reasons, collected by the planner's rules and by overrides; later ones win.

    >>> draft = Draft()
    >>> draft.set("training.batch", 8, "fits in memory")
    >>> draft.plan().training.batch
    8
    """

    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def set(self, key: str, value: Any, reason: str = "") -> None:
        """Set one value. Raises PlanError for an unknown key, naming the nearest valid one."""
        check_key(key)
        if key in groups() and not isinstance(value, Mapping):
            inside = next(known for known in keys() if known.startswith(f"{key}.") and known not in groups())
            raise PlanError(f"{key} = {value!r}: is a group of settings; set one of them, like {inside}=...")
        for other in [known for known in self.values if known.startswith(f"{key}.")]:
            del self.values[other]
            self.reasons.pop(other, None)
        self.values[key] = value
        self.reasons[key] = reason

    def get(self, key: str, default: Any = None) -> Any:
        """The value set so far."""
        return self.values.get(key, default)

    def plan(self) -> Plan:
        """The finished plan. Raises PlanError that names the key, the value and what is allowed."""
        tree: dict[str, Any] = {}
        for key, value in self.values.items():
            node = tree
            *parents, last = key.split(".")
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = dict(value) if isinstance(value, Mapping) else value  # single settings go into it
        plan = validated(tree)
        plan.reasons = {key: reason for key, reason in self.reasons.items() if reason}
        return plan


def validated(tree: Mapping[str, Any], origin: str = "plan") -> Plan:
    """A Plan from nested values. Raises PlanError listing every wrong key at once."""
    for key, _ in flat(tree):
        check_key(key, origin)
    try:
        plan = Plan.model_validate(tree)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(str(part) for part in item['loc'])} = {item['input']!r}: {item['msg']}"
            for item in error.errors()
        ]
        raise PlanError(f"{origin}: " + "; ".join(wrong)) from None
    if plan.inference.moves and plan.task != "classify":
        raise PlanError(
            f"{origin}: inference.moves = true is for labels of whole images (task: classify), "
            f"not for {plan.task}; set it to false"
        )
    if plan.scoring.threshold == "image" and plan.task != "segment":
        raise PlanError(
            f"{origin}: scoring.threshold = image is for masks (task: segment), not for {plan.task}; "
            "say fit or a number"
        )
    return plan


def apply_settings(draft: Draft, settings: tuple[str, ...]) -> None:
    """Apply `KEY=VALUE` overrides of the command line; a value is read as YAML.

    Raises PlanError for a malformed one or an unknown key.
    """
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign:
            raise PlanError(f"--set {setting}: write KEY=VALUE, like --set training.batch=8")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise PlanError(f"--set {setting}: {text!r} is not a value ({error})") from None
        draft.set(key.strip(), value, "set by --set")


def check_key(key: str, origin: str = "plan") -> None:
    """Raise PlanError where `key` is not a plan key, naming the nearest that is."""
    known = set(keys())
    parents = [key.rsplit(".", depth)[0] for depth in range(1, key.count(".") + 1)]
    if key in known or any(parent == "model.settings" for parent in parents):
        return
    leaf = {name.rsplit(".", 1)[-1]: name for name in reversed([*keys()])}
    near = difflib.get_close_matches(key, sorted(known), 1, 0.6) or [
        leaf[name] for name in difflib.get_close_matches(key.rsplit(".", 1)[-1], sorted(leaf), 1, 0.6)
    ]
    hint = f"did you mean {near[0]}?" if near else "hilum plan FOLDER prints every key"
    raise PlanError(f"{origin}: unknown key {key!r}; {hint}")


def keys(model: type[BaseModel] = Plan, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a plan, groups included."""
    for name, info in model.model_fields.items():
        if name == "reasons":
            continue
        yield prefix + name
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from keys(info.annotation, f"{prefix}{name}.")


@cache
def groups() -> frozenset[str]:
    """The keys that hold other keys."""
    return frozenset(key.rpartition(".")[0] for key in keys() if "." in key)


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values as (dotted key, value); `model.settings` stays whole.

    An empty group stays whole too: it sets all its values back to their defaults. One with nothing behind
    its colon says nothing.

    >>> list(flat({"data": {"folds": 3}, "training": {"augmentation": {}}}))
    [('data.folds', 3), ('training.augmentation', {})]
    """
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value and key != "model.settings":
            yield from flat(value, f"{key}.")
        elif value is not None or key not in groups():
            yield key, value
