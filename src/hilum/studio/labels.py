"""Labels given by a person: kept in study.csv, which every verb reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hilum.errors import HilumError
from hilum.files import write_rows
from hilum.studio.places import enter_in_table, keep_table, plain_target
from hilum.studio.rounds import table
from hilum.studio.view import View
from hilum.study.layouts.tables import NAME as TABLE
from hilum.study.study import Case
from hilum.tasks.label_files import called_classes, true_classes
from hilum.training.run import Run


@dataclass(frozen=True)
class Mistake:
    """A case that the model calls otherwise than its label says: how sure it is, 0 to 1."""

    case: str
    label: str
    said: str
    probability: float


def label_of(case: Case) -> tuple[str, ...]:
    """The classes a case is labelled with; none where it is not labelled."""
    return tuple(name for name, value in case.labels.items() if value == 1)


def is_labelled(case: Case) -> bool:
    """Whether anything is known of a case's classes."""
    return any(not math.isnan(value) for value in case.labels.values())


def give_label(view: View, case: Case, label: str) -> None:
    """Label an image ("" takes its label back). The first time, study.csv is made of all labels there are.

    Of several labels an image the one is turned on or off. Raises HilumError where labels lie in an archive,
    or the name cannot be a class.
    """
    if case.image.entry is not None or case.image.index is not None:
        raise HilumError(
            f"{view.root}: its labels lie in an archive and are not changed; unpack it into files"
        )
    path = view.root / TABLE
    if not path.is_file() and view.study.cases:
        _write_all(view)
    keep_table(view.root)
    several = bool(view.study.classes) and not view.study.exclusive
    if several and "label" not in (table(path) or [{}])[0]:
        if label:
            enter_in_table(view, case, label, "0" if label in label_of(case) else "1")
        return
    plain = plain_target(label) if label and label not in view.study.classes else label
    enter_in_table(view, case, "label", plain)


def _write_all(view: View) -> None:
    """study.csv with every label, group and split as the layout has them."""
    rows = []
    for case in view.study.cases:
        row = {"image": case.image.path.relative_to(view.root).as_posix(), "label": "|".join(label_of(case))}
        row |= {"group": case.group} if case.group and case.group != case.name else {}
        row |= {"split": case.split} if case.split in ("train", "val", "test") else {}
        rows.append(row)
    columns = list(dict.fromkeys(["image", "label", *(key for row in rows for key in row)]))
    write_rows(view.root / TABLE, rows, columns)


def mistakes(run: Run | None, most: int = 60) -> list[Mistake]:
    """Cases that a classifier gets wrong out of fold, the ones it is most sure of first."""
    rows = table(run.evaluation / "cases.csv") if run is not None else []
    found = [_mistake(row) for row in rows if row.get("correct") == "False" and row.get("class")]
    return sorted(found, key=lambda one: -one.probability)[:most]


def _mistake(row: Mapping[str, str]) -> Mistake:
    """What was called wrongly; of several labels an image the one that was called with most certainty."""
    classes = _classes_in(row)
    true, called = true_classes(row, classes), called_classes(row, classes)
    sure = {name: _probability(row, name) for name in classes}
    if row["class"] in classes and f"called_{row['class']}" not in row:
        return Mistake(row["case"], row["label"], row["class"], sure[row["class"]])
    wrong = {
        name: sure[name] if called[name] else 1 - sure[name] for name in true if called[name] != true[name]
    }
    name = max(wrong, key=lambda one: wrong[one])
    return Mistake(row["case"], row["label"], name if called[name] else f"no {name}", wrong[name])


def judged(run: Run, positive: str) -> list[tuple[float, int]]:
    """Probability of a class and whether it is so, where that is known: what a ROC curve is made of.

    Calibrated ones, on which thresholds are chosen; as the network gave them where a run has no others.
    """
    rows = table(run.evaluation / "cases.csv")
    truths = [true_classes(row, _classes_in(row)) for row in rows]
    return [
        (_probability(row, positive), int(true[positive]))
        for row, true in zip(rows, truths, strict=True)
        if positive in true
    ]


def _classes_in(row: Mapping[str, str]) -> list[str]:
    return [key.removeprefix("probability_") for key in row if key.startswith("probability_")]


def _probability(row: Mapping[str, str], name: str) -> float:
    return float(row.get(f"calibrated_{name}") or row[f"probability_{name}"])


def threshold_of(run: Run, name: str) -> float:
    """The threshold at which a class is called: its own of several labels, 0.5 where none was chosen."""
    found = (run.summary().get("operating_point") or {}).get("threshold")
    if isinstance(found, list):
        found = dict(zip(run.plan.data.outputs, found, strict=False)).get(name)
    return 0.5 if found is None else float(found)


def froc_rows(run: Run) -> tuple[list[float], list[float], int, int]:
    """Of a detector: probabilities of nodules found and of false alarms, numbers of nodules and scans."""
    nodules = table(run.evaluation / "nodules.csv")
    false = [row for row in table(run.evaluation / "candidates.csv") if row.get("status") == "false"]
    hits = [float(row["probability"]) for row in nodules if row.get("probability")]
    scans = len(table(run.evaluation / "cases.csv"))
    return hits, [float(row["probability"]) for row in false], len(nodules), scans


def free_classes(view: View, named: Sequence[str]) -> list[str]:
    """Classes to choose from: those of the study, then those named in the studio."""
    return list(dict.fromkeys([*view.study.classes, *named]))
