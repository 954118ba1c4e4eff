"""From probabilities to decisions: temperature and thresholds, learnt on data that no score is taken from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.planning.plan import Plan, ScoringPlan
from hilum.scoring.calibration import apply_temperature, fit_temperature, logits_of
from hilum.scoring.operating_point import OperatingPoint, at_threshold, operating_point
from hilum.study.looked_for import ordered_classes
from hilum.study.study import Case, Study

Floats = NDArray[np.float64]
RULES = ("youden", "min-sensitivity", "cost")
_HALF = OperatingPoint("0.5: nothing was held out to choose on", 0.5, math.nan, math.nan, 0)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Cases with what a network said (N, K) and their labels (N, K) of 0, 1 and NaN; `fold` (N,)."""

    cases: tuple[Case, ...]
    fold: NDArray[np.intp]
    probability: Floats
    label: Floats

    def __len__(self) -> int:
        return len(self.cases)

    def only(self, rows: NDArray[np.bool_]) -> Outcome:
        """Some of the cases."""
        kept = tuple(case for case, wanted in zip(self.cases, rows, strict=True) if wanted)
        return Outcome(kept, self.fold[rows], self.probability[rows], self.label[rows])


@dataclass(frozen=True)
class Decision:
    """How a run decides: `temperature` calibrates, then an output at or above its threshold is called.

    `points` holds one operating point an output; none where the most probable class is called.
    """

    temperature: float = 1.0
    points: tuple[OperatingPoint, ...] = ()
    cases: int = 0

    @property
    def thresholds(self) -> Floats:
        """The threshold of each output."""
        return np.array([point.threshold for point in self.points])

    def to_json(self) -> dict[str, Any]:
        """As plain values; what is not known is null."""
        points = [{key: _plain(value) for key, value in asdict(point).items()} for point in self.points]
        return {"temperature": self.temperature, "points": points, "cases": self.cases}


def decision_from_json(content: Mapping[str, Any]) -> Decision:
    """The decision that `Decision.to_json` wrote."""
    points = tuple(_point_from_json(point) for point in content["points"])
    return Decision(float(content["temperature"]), points, int(content["cases"]))


def _point_from_json(content: Mapping[str, Any]) -> OperatingPoint:
    sensitivity, specificity = (
        math.nan if content[key] is None else float(content[key]) for key in ("sensitivity", "specificity")
    )
    return OperatingPoint(
        str(content["rule"]), float(content["threshold"]), sensitivity, specificity, int(content["cases"])
    )


def planned_outputs(classes: Sequence[str], exclusive: bool) -> tuple[str, ...]:
    """What a network answers: of two classes that exclude each other the one looked for, else every class.

    >>> planned_outputs(["normal", "sick"], exclusive=True), planned_outputs(["a", "b"], exclusive=False)
    (('sick',), ('a', 'b'))
    """
    ordered = ordered_classes(classes)
    return ordered[-1:] if exclusive and len(ordered) == 2 else ordered


def class_names(plan: Plan, study: Study) -> tuple[str, ...]:
    """All classes; with a single output the class it is told from comes first."""
    outputs = tuple(plan.data.outputs)
    if len(outputs) > 1:
        return outputs
    others = [name for name in study.classes if name not in outputs]
    return (others[0] if len(others) == 1 else _absence(outputs[0]), outputs[0])


def labels_of(case: Case, outputs: Sequence[str]) -> list[float]:
    """The labels (K,) of a case: 1, 0, or NaN where unknown."""
    return [float(case.labels.get(name, math.nan)) for name in outputs]


def labels_for(case: Case, plan: Plan, classes: Sequence[str]) -> list[float]:
    """The labels (K,) of a case of any study for a run's outputs; `classes` are those of `class_names`.

    Where classes exclude each other one that is present rules out those that the study does not know;
    images of other classes alone are unknown.
    """
    values = labels_of(case, plan.data.outputs)
    if not is_exclusive(plan) and len(classes) == len(values):
        return values
    if not is_exclusive(plan):
        return [_second_of(classes, case)]
    present = [value == 1 for value in values]
    return [float(one) for one in present] if sum(present) == 1 else [math.nan] * len(values)


def _second_of(classes: Sequence[str], case: Case) -> float:
    """1 for the second of two classes, 0 for the first, NaN for both or for other classes alone.

    A first class that no study names is the absence of the second.
    """
    first, second = (case.labels.get(name) == 1 for name in classes)
    if first != second:
        return float(second)
    named = classes[0] != _absence(classes[1]) or classes[0] in case.labels
    others = first or any(value == 1 for value in case.labels.values())
    return math.nan if named and others else labels_of(case, classes[1:])[0]


def _absence(name: str) -> str:
    return f"no {name}"


def is_exclusive(plan: Plan) -> bool:
    """Whether the most probable of several classes is called."""
    return plan.model.activation == "softmax"


def rule_of(scoring: ScoringPlan) -> str:
    """How thresholds are chosen: by a wished sensitivity, the cost of a miss, Youden, or a number given."""
    if scoring.min_sensitivity is not None:
        return f"min-sensitivity={scoring.min_sensitivity:.6f}".rstrip("0").rstrip(".")
    if scoring.cost is not None:
        return f"cost=1:{scoring.cost:.6f}".rstrip("0").rstrip(".")
    return "youden" if scoring.threshold == "fit" else str(scoring.threshold)


def learn_decision(outcome: Outcome | None, plan: Plan, rule: str | None = None) -> Decision:
    """Fit the temperature, then choose a threshold for each output; 1 and 0.5 where nothing was held out."""
    if outcome is None or not len(outcome):
        return _fixed(Decision(), plan)
    temperature = _temperature(outcome, plan)
    decision = Decision(temperature, (), len(outcome))
    if is_exclusive(plan):
        return _fixed(decision, plan)
    values = calibrated(outcome.probability, decision, plan)
    wanted = rule or rule_of(plan.scoring)
    points = [_point(values[:, k], outcome.label[:, k], wanted) for k in range(values.shape[1])]
    return replace(decision, points=tuple(points))


def _fixed(decision: Decision, plan: Plan) -> Decision:
    """The decision with thresholds that were not learnt."""
    if is_exclusive(plan):
        return decision
    rule = rule_of(plan.scoring)
    point = _HALF if rule.startswith(RULES) else _given(float(rule))
    return replace(decision, points=(point,) * len(plan.data.outputs))


def _point(values: Floats, label: Floats, rule: str) -> OperatingPoint:
    known = label[~np.isnan(label)]
    if len(np.unique(known)) < 2:
        return _HALF if rule.startswith(RULES) else _given(float(rule))
    if rule.startswith(RULES):
        return operating_point(values, label, rule)
    return at_threshold(values, label, float(rule))


def _given(cut: float) -> OperatingPoint:
    return OperatingPoint("fixed", cut, math.nan, math.nan, 0)


def calibrated(probability: Floats, decision: Decision, plan: Plan) -> Floats:
    """Probabilities (N, K) after temperature scaling."""
    exclusive = is_exclusive(plan)
    logits = logits_of(probability, exclusive)
    return apply_temperature(logits, decision.temperature, exclusive)


def called(values: Floats, decision: Decision, plan: Plan) -> NDArray[np.bool_]:
    """Which outputs (N, K) of calibrated probabilities are called."""
    if is_exclusive(plan):
        return np.asarray(np.arange(values.shape[1]) == values.argmax(1)[:, None])
    return np.asarray(values >= decision.thresholds)


def by_class(values: Floats, plan: Plan) -> Floats:
    """Probabilities of all classes: a single output p becomes (1 - p, p)."""
    return np.concatenate([1 - values, values], axis=1) if len(plan.data.outputs) == 1 else values


def _temperature(outcome: Outcome, plan: Plan) -> float:
    """The temperature; targets of single outputs are drawn in a little (Platt 1999): it stays finite."""
    logits = logits_of(outcome.probability, is_exclusive(plan))
    try:
        if is_exclusive(plan):
            known = ~np.isnan(outcome.label).any(1)
            return fit_temperature(logits[known], outcome.label[known].argmax(1))
        positive, negative = np.nansum(outcome.label), np.nansum(1 - outcome.label)
        targets = np.where(outcome.label > 0.5, (positive + 1) / (positive + 2), 1 / (negative + 2))
        return fit_temperature(logits, np.where(np.isnan(outcome.label), np.nan, targets))
    except HilumError:
        return 1.0


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
