"""The report's pages of a classifier: scores, confident mistakes, what the images are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hilum.errors import HilumError
from hilum.explanation.activation import class_activation
from hilum.files import read_json, read_rows, with_values
from hilum.image.colours import to_display
from hilum.image.image import Image
from hilum.planning.plan import Plan
from hilum.reporting import numbers
from hilum.reporting.blocks import Block, Callout, Card, Figure, Heading, Section, Text
from hilum.reporting.contact_sheet import contact_sheet
from hilum.reporting.decision_sections import classification_scores_section, mistakes_section
from hilum.reporting.heat import heat_overlay
from hilum.reporting.overlay import Pixels
from hilum.reporting.sections import table_of
from hilum.reporting.thumbnails import picture_card, side_by_side, thumbnail
from hilum.study.masks import read_case_image
from hilum.study.study import Case, Study
from hilum.tasks.label_files import called_classes, true_classes
from hilum.training.prepare import OWN_SCALE, prepare_image
from hilum.training.run import Run, load_network

MISTAKES = 24
SHOWN = 18
SIDE = 200
GAP = 0.01


def _read_rows(run: Run) -> list[dict[str, Any]]:
    """The rows of cases.csv; class names stay text."""
    return with_values(read_rows(run.evaluation / "cases.csv"), ("file", "case", "group", "class", "label"))


def scores_section(run: Run, classes: Sequence[str]) -> Section:
    """Scores with intervals, operating point, curves, the report per class, and how to read them."""
    summary, rows = run.summary(), _read_rows(run)
    shown = list(classes[-1:]) if "positive" in summary else list(classes)
    truths = [true_classes(row, classes) for row in rows]
    decisions = {name: _decided(name, rows, truths) for name in shown}
    confusion = summary.get("confusion")
    report = [{"class": name, **scores} for name, scores in summary.get("per_class", {}).items()]
    point = {key: value for key, value in summary["operating_point"].items() if key != "chosen_on"}
    section = classification_scores_section(
        {**summary, "operating_point": point},
        decisions=decisions,
        report=report or _by_label(summary),
        confusion=(confusion["matrix"], confusion["classes"]) if confusion else None,
        note=how_decided(run, summary),
    )
    notes = [Callout("note", text) for text in (shift_note(run, summary), unscored_note(summary)) if text]
    return Section(section.title, (*notes, *section.blocks), section.anchor)


def _decided(
    name: str, rows: Sequence[Mapping[str, Any]], truths: Sequence[Mapping[str, bool]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels and calibrated probabilities of one class, of the images of which it is known."""
    known = [
        (true[name], row[f"calibrated_{name}"])
        for row, true in zip(rows, truths, strict=True)
        if name in true
    ]
    return np.array([label for label, _ in known], float), np.array([value for _, value in known], float)


def how_decided(run: Run, summary: Mapping[str, Any]) -> str:
    """Where scores, calibration and threshold come from."""
    given = run.splits.by == "given"
    origin = (
        "Scores on the given test images, which were used for nothing else."
        if given
        else "Out-of-fold: every image was predicted by a network that saw neither it nor its group."
    )
    parts = [run.caveat or origin]
    calibration = summary["calibration"]
    youden, point = summary.get("youden"), summary["operating_point"]
    where = calibration.get("source", "other images")
    learnt = "and threshold were" if calibration.get("thresholds_learnt") else "was"
    parts.append(
        f"Temperature ({calibration['temperature']:.2f}) {learnt} learnt on "
        f"{where} ({calibration['learnt_on']:,}); calibration error before "
        f"{calibration['ece_before']:.3f}, Brier score {calibration['brier_before']:.3f}."
        if calibration["learnt_on"]
        else "No other image was there to learn a temperature on, so probabilities are not calibrated."
    )
    chosen = point.get("chosen_on")
    if chosen and numbers.known(chosen["sensitivity"], chosen["specificity"]):
        parts.append(
            f"On those {chosen['cases']} images the operating point ({point['rule']}) had sensitivity "
            f"{chosen['sensitivity']:.3f} and specificity {chosen['specificity']:.3f}."
        )
    compared = (*(youden or {}).values(), point.get("sensitivity"), point.get("specificity"))
    if youden and calibration["learnt_on"] and numbers.known(*compared):
        gained, paid = point["sensitivity"] - youden["recall"], point["specificity"] - youden["specificity"]
        parts.append(
            f"Against Youden's point (sensitivity {youden['recall']:.3f}, specificity "
            f"{youden['specificity']:.3f}) this one has {_more(gained)} sensitivity and {_more(paid)} "
            "specificity."
        )
    return " ".join(parts)


def _more(change: float) -> str:
    return f"{abs(change):.3f} {'less' if change < 0 else 'more'}"


def shift_note(run: Run, summary: Mapping[str, Any]) -> str:
    """Says where test images are harder than validation images, and what the plan does against it."""
    validation = summary.get("validation")
    if not validation or run.splits.by != "given" or run.plan.training.validation:
        return ""
    if not numbers.known(validation["auc"]["value"], summary["auc"]["value"]):
        return ""
    if not validation["auc"]["value"] - summary["auc"]["value"] > GAP:
        return ""
    accuracy, before = summary["accuracy"]["value"], validation["accuracy"]["value"]
    also = f", accuracy {accuracy:.3f} against {before:.3f}" if accuracy < before else ""
    return (
        f"The test images are harder than the validation images: AUC {summary['auc']['value']:.3f} against "
        f"{validation['auc']['value']:.3f}{also}. So the given validation images are more like the "
        "training images than the test images are (the table of splits below shows how they differ; where "
        "no patient is named, images of one patient may lie in both). "
        f"Against such a shift {'; '.join(_against_shift(run.plan))}. The threshold was not moved after "
        "seeing the test images."
    )


def _against_shift(plan: Plan) -> list[str]:
    """What this plan does that helps where new images look otherwise."""
    norm = "by its own mean and spread" if plan.data.normalise in OWN_SCALE else "on one scale"
    done = [
        f"each image is normalised {norm}",
        f"position, size, angle (up to {plan.training.augmentation.rotate_deg:g}°), contrast and brightness "
        "are varied in training",
    ]
    copies = "mirrored" if plan.inference.flips else ""
    if plan.inference.moves:
        copies += f"{', ' if copies else ''}turned, zoomed and shifted"
    if plan.training.ema:
        done.append("weights are averaged")
    if copies:
        done.append(f"{copies} copies are averaged in prediction")
    return done


def unscored_note(summary: Mapping[str, Any]) -> str:
    """Says which classes are in no score, for no image has a known label of them."""
    names = summary.get("classes_left_out")
    if not names:
        return ""
    return f"No image has a known label of {', '.join(names)}: left out of the scores and of their means."


def mistakes(run: Run, study: Study, classes: Sequence[str]) -> Section:
    """Wrong decisions, the most certain first, each with its picture."""
    rows = [row for row in _read_rows(run) if row.get("correct") in (False, "False")]
    rows.sort(key=lambda row: -_certainty(row, classes))
    by_name = study.by_name
    shown = [row for row in rows[:MISTAKES] if row["case"] in by_name]
    networks = {fold: load_network(run, fold) for fold in {int(row["fold"]) for row in shown}}
    cards = [_card(by_name[row["case"]], row, networks[int(row["fold"])], run.plan, classes) for row in shown]
    more = (
        f" The {len(cards)} most certain of {len(rows):,} wrong decisions." if len(rows) > len(cards) else ""
    )
    note = (
        f"Images decided wrongly, those first whose probability lies farthest from the truth.{more} Beside "
        "each image is what spoke for the named class (Grad-CAM)."
    )
    if any(len(true_classes(row, classes)) < len(classes) for row in shown):
        note += " Of a label with a question mark it is not known whether it is true."
    return mistakes_section(cards, note=note, limit=MISTAKES)


def _certainty(row: Mapping[str, Any], classes: Sequence[str]) -> float:
    """How little probability the true labels were given, 0 to 1."""
    true = true_classes(row, classes)
    return max(abs(label - float(row[f"calibrated_{name}"])) for name, label in true.items())


def _card(case: Case, row: Mapping[str, Any], network: nn.Module, plan: Plan, classes: Sequence[str]) -> Card:
    image = read_case_image(case)
    picture = thumbnail(to_display(_plane(image)), SIDE)
    group = case.group if case.group != case.name else ""
    chosen = [name for name, found in called_classes(row, classes).items() if found]
    outputs = plan.data.outputs
    output = outputs.index(chosen[0]) if chosen and chosen[0] in outputs else len(outputs) - 1
    heat = _heat(network, image, plan, output, picture)
    caption = f"Right: what spoke for {outputs[output]}." if heat is not None else ""
    picture = side_by_side([("", picture), ("", heat)], SIDE) if heat is not None else picture
    facts = [("True", str(row["label"])), ("Decided", str(row["class"]))]
    facts += [(name, f"{float(row[f'calibrated_{name}']):.3f}") for name in chosen]
    side = 2 * SIDE + 20
    return picture_card(case.name, ("", picture), facts=facts, group=group, caption=caption, max_side=side)


def _heat(network: nn.Module, image: Image, plan: Plan, output: int, picture: Pixels) -> Pixels | None:
    """What in a picture spoke for an output; None for volumes and networks without maps."""
    if len(image.shape) != 2:
        return None
    try:
        values = class_activation(network, prepare_image(image, plan.data), output)
    except HilumError:
        return None
    return heat_overlay(picture, values)[: picture.shape[0]]


def _plane(image: Image) -> Image:
    return image if len(image.shape) == 2 else Image(image.array[:, image.shape[0] // 2], path=image.path)


def exploration_section(run: Run, study: Study) -> Section:
    """Classes with their shapes, what differs between splits, shortcuts, and some images of each class."""
    path = run.evaluation / "exploration.json"
    found = read_json(path) if path.is_file() else {}
    blocks: list[Block] = [Callout("note", text) for text in found.get("notes", ())]
    blocks += [Callout("warning", text) for text in found.get("warnings", ())]
    if found:
        seen = f" {found['looked_at']:,} of {found['cases']:,} images were looked at, evenly spread."
        size = " x ".join(map(str, reversed(run.plan.data.size or [])))
        text = f"All images are brought to {size} pixels (width x height) before training."
        blocks.insert(0, Text(text + (seen if found["looked_at"] < found["cases"] else "")))
        shapes = _shares_as_text(found["classes"])
        blocks.append(table_of(shapes, caption="Classes and their shapes (width x height)"))
    if found.get("splits"):
        splits = _shares_as_text(found["splits"])
        blocks.append(table_of(splits, caption="Given splits", digits={"contrast": 1, "mean_intensity": 1}))
    if found.get("shortcuts"):
        rows = [
            {
                "told_from": s["measure"],
                "class": s["label"],
                "AUC": s["auc"],
                "beware": "yes" if s["strong"] else "",
            }
            for s in found["shortcuts"]
        ]
        blocks += [
            Heading("Shortcuts"),
            Text(
                "How well the label is told without looking at the picture; 0.5 is chance, 0 and 1 are "
                "certain."
            ),
            table_of(rows, digits={"AUC": 2}),
        ]
    return Section("Images", (*blocks, *_sheets(study)), "images")


def _shares_as_text(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            key: numbers.share(value) if key.lower().startswith("share") else value
            for key, value in row.items()
        }
        for row in rows
    ]


def _sheets(study: Study) -> list[Figure]:
    """A contact sheet of each class, evenly spread over its images."""
    figures = []
    for name in study.classes:
        cases = [case for case in study.cases if case.labels.get(name) == 1.0]
        places = np.linspace(0, len(cases) - 1, min(SHOWN, len(cases))).round().astype(int)
        pictures = [(cases[i].name, to_display(_plane(read_case_image(cases[i])))) for i in places]
        if pictures:
            sheet = contact_sheet(pictures, columns=6, side=150)
            caption = f"{len(pictures)} of {len(cases):,} images, evenly spread."
            figures.append(Figure(sheet, caption, name, media="image/png", wide=True))
    return figures


def _by_label(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the per-class report where each class is a question of its own."""
    keys = ("auc", "average_precision", "precision", "recall", "specificity", "f1")
    return [
        {
            "class": name,
            **{key: scores[key]["value"] for key in keys if key in scores},
            "support": scores["support"],
        }
        for name, scores in summary.get("classes", {}).items()
    ]
