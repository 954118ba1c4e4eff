"""The model card: MODEL.md, what a run learnt from, what it scores, what it is for and what it is not.

Headings after Mitchell et al. 2019 ("Model cards for model reporting"). Neither cases nor files are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hilum.errors import RunError
from hilum.exchange.exports import Exported, place_file
from hilum.files import write_text
from hilum.planning.plan import Plan, resolution_in_words
from hilum.planning.planner import recipe_names
from hilum.study.marked import nodule_marks
from hilum.study.names import counted
from hilum.training.run import Run

NAME = "MODEL.md"
_KINDS = {"segment": "segmentation", "classify": "classification", "detect": "detection of nodules in CT"}
_SCORES = {
    "auc": "ROC AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "recall": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier score",
    "ece": "expected calibration error",
}


def export(run: Run, out: Path | None) -> Exported:
    """Write MODEL.md into the run, or to `out`."""
    path = run.folder / NAME if out is None else place_file(run, out, NAME)
    write_text(path, model_card(run))
    return Exported(path, (path,))


def model_card(run: Run) -> str:
    """The card of a run as Markdown. Raises RunError where its plan or study cannot be read."""
    parts = (_title, _data, _training, _scores, _operating_point, _use, _limits, _versions)
    return "\n\n".join("\n".join(part(run)) for part in parts) + "\n"


def _title(run: Run) -> Iterator[str]:
    plan = run.plan
    yield f"# {', '.join(plan.data.outputs)}: {_KINDS.get(plan.task, plan.task)}"
    yield ""
    yield (
        f"Made by Hilum from {counted(len(run.study.cases), 'annotated image')}. Research use only: this is "
        "no medical device, and nobody has tested it as one."
    )


def _data(run: Run) -> Iterator[str]:
    study, data = run.study, run.plan.data
    yield "## Data"
    yield ""
    cases, groups = counted(len(study.cases), "case"), counted(len(study.groups), "group")
    yield f"- {cases} in {groups}: {_grouping(study.grouping)}"
    for target in data.outputs:
        marked = sum(target in case.masks for case in study.cases)
        labelled = sum(case.labels.get(target, 0) == 1 for case in study.cases)
        known = sum(case.labels.get(target) in (0, 1) for case in study.cases)
        if marked:
            yield f"- {target}: masks of {counted(marked, 'case')}"
        elif known:
            yield f"- {target}: {labelled} of {known} labelled cases"
    marks = sum(len(nodule_marks(case)) for case in study.cases)
    if marks:
        yield f"- {counted(marks, 'mark')} in {counted(len(study.cases), 'volume')}"
    yield f"- images of {counted(data.channels, 'channel')}, {data.dims}D, {resolution_in_words(run.plan)}"
    yield "- to be filled in by its makers: origin of the images, scanner or stain, ethics approval, licence"


def _grouping(words: str) -> str:
    """How groups were told, without the file names that are its example."""
    return re.sub(r"\s*\([^()]*->[^()]*\)", "", words).partition("; say --group-by")[0]


def folds_in_words(run: Run) -> str:
    """How the folds were made, without names of groups."""
    if run.splits.by == "given":
        return "one given split into training and test images"
    by = "image" if run.splits.by == "case" else "group"
    return f"{counted(len(run.splits.folds), 'fold')} by {by}"


def recipe_in_words(plan: Plan) -> str:
    """The recipe that a plan began from by its name; a file of somebody's own is not named."""
    return plan.recipe if plan.recipe in ("planned", *recipe_names()) else "own"


def _training(run: Run) -> Iterator[str]:
    plan, folds = run.plan, run.trained_folds()
    yield "## Training"
    yield ""
    yield (
        f"- network {plan.model.name}, {counted(len(folds), 'fold')} whose probabilities are averaged"
        f"{', plan ' + recipe_in_words(plan) if plan.recipe != 'planned' else ''}"
    )
    yield f"- {plan.training.steps} steps a fold, batches of {plan.training.batch}, seed {plan.training.seed}"
    yield f"- {folds_in_words(run)}"


def _scores(run: Run) -> Iterator[str]:
    yield "## Scores"
    yield ""
    summary = _summary(run)
    if summary is None:
        yield "This run was not evaluated: nothing is known of how good it is."
        return
    how = "the given test images" if run.splits.by == "given" else "out of fold: no case was seen in training"
    yield f"{run.caveat or f'Measured on {how}.'} Intervals: 95 %, bootstrap over groups."
    yield ""
    rows = list(_score_rows(summary))
    yield "| what | score | interval | over |"
    yield "|---|---|---|---|"
    yield from rows


def _score_rows(summary: Mapping[str, Any]) -> Iterator[str]:
    for name, found in summary.get("targets", {}).items():
        if dice := found.get("dice"):
            yield _row(
                f"{name}: mean Dice", dice.get("mean"), dice.get("interval"), f"{dice.get('cases')} cases"
            )
            yield _row(f"{name}: pooled Dice", dice.get("pooled"), None, f"{dice.get('cases')} cases")
    for key, label in _SCORES.items():
        found = summary.get(key)
        if isinstance(found, Mapping) and "value" in found:
            yield _row(label, found["value"], found.get("interval"), f"{found.get('cases', '?')} images")
    if cpm := summary.get("cpm"):
        over = f"{cpm.get('nodules')} nodules in {cpm.get('scans')} scans"
        yield _row("CPM", cpm.get("value"), cpm.get("interval"), over)
        for rate, value in summary.get("sensitivity_at", {}).items():
            yield _row(f"sensitivity at {rate} false positives a scan", value, None, over)


def _row(what: str, value: Any, interval: Any, over: str) -> str:
    low, high = interval if interval else (None, None)
    between = f"{_number(low)} to {_number(high)}" if interval else ""
    return f"| {what} | {_number(value)} | {between} | {over} |"


def _operating_point(run: Run) -> Iterator[str]:
    from hilum import tasks

    yield "## Operating point"
    yield ""
    rule = tasks.get_task(run.plan.task).rule(run)
    if thresholds := rule.get("thresholds"):
        named = (
            thresholds
            if isinstance(thresholds, Mapping)
            else dict(zip(run.plan.data.outputs, thresholds, strict=False))
        )
        yield from (f"- {name}: {_cut(cut)}" for name, cut in named.items())
    for name, gate in rule.get("presence", {}).items():
        if gate:
            yield f"- {name}: the mask is left empty where its presence score is below {_number(gate)}"
    if "threshold" in rule:
        yield f"- threshold {_number(rule['threshold'])}"
    if rule.get("exclusive"):
        yield "- the most probable class is called"
    if "temperature" in rule:
        yield f"- probabilities are calibrated by a temperature of {_number(rule['temperature'])}"
    point = (_summary(run) or {}).get("operating_point") or {}
    for key, label in (
        ("rule", "rule"),
        ("sensitivity", "sensitivity there"),
        ("specificity", "specificity there"),
        ("false_positives_a_scan", "false positives a scan there"),
    ):
        if point.get(key) is not None:
            yield f"- {label}: {_number(point[key])}"


def _use(run: Run) -> Iterator[str]:
    yield "## Intended use"
    yield ""
    yield (
        "Research on images of the kind it learnt from: same modality, preparation and resolution. A person "
        "who can judge such images looks at every result that matters."
    )
    yield ""
    yield "Not for diagnosis, treatment, triage or screening of patients."


def _limits(run: Run) -> Iterator[str]:
    groups = _scored_groups(run)
    yield "## Limits"
    yield ""
    yield "- Other scanners, stains, hospitals, ages or species were not tested and may score lower."
    yield f"- The scores rest on {counted(groups, 'group')}; the intervals say how far they carry."
    if groups < 10:
        yield "- So few groups say little about the next one: treat the scores as a first estimate."
    if run.splits.by == "case" and len(run.study.groups) < len(run.study.cases):
        yield "- Images of one group lie on both sides of the folds: nothing is known about another group."
    yield "- Annotations are taken as the truth; their own errors are in the model and in its scores."


def _scored_groups(run: Run) -> int:
    tested = {name for index in run.trained_folds() for name in run.splits.folds[index].test}
    return len({case.group for case in run.study.cases if case.name in tested})


def _versions(run: Run) -> Iterator[str]:
    yield "## Made with"
    yield ""
    versions = run.manifest.get("versions") or {}
    found = ", ".join(f"{name} {versions[name]}" for name in ("hilum", "torch") if name in versions)
    finished = str(run.manifest.get("finished", "an unknown day"))[:10]
    yield f"{found or 'versions unknown'}; trained on {finished}."


def _summary(run: Run) -> dict[str, Any] | None:
    try:
        return run.summary()
    except RunError:
        return None


def _cut(value: Any) -> str:
    """A threshold, or how each image's own is found (`hilum.scoring.thresholds.Own`)."""
    if not isinstance(value, Mapping):
        return f"threshold {_number(value)}"
    softened = "" if value["temperature"] == 1 else f" at a temperature of {value['temperature']:g}"
    return f"each image's own threshold, that of the highest expected Dice{softened}"


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
