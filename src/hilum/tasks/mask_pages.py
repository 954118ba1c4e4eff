"""The report's pages of a segmenter: scores, cases from worst to best beside their truth, measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.files import read_rows, with_values
from hilum.image.readers import probe
from hilum.inference.keeping import kept
from hilum.inference.predictor import enlarged
from hilum.measurement.table import size_unit
from hilum.reporting.blocks import Card, Section
from hilum.reporting.score_sections import segmentation_scores_section
from hilum.reporting.sections import gallery_section, measurements_section, thinned
from hilum.reporting.thumbnails import segmentation_card
from hilum.study.masks import fitted_spacing, read_case_image, read_masks
from hilum.study.study import Case, Study
from hilum.tasks.mask_decisions import WORTH_FITTING, decided
from hilum.tasks.mask_files import display_plane
from hilum.training.run import Run

Row = Mapping[str, Any]
GALLERY = 24


def mask_sections(run: Run, study: Study) -> list[Section]:
    """Scores, cases from worst to best, measurements of an evaluated run."""
    rows = _read_rows(run.evaluation / "cases.csv")
    measured = _read_rows(run.evaluation / "measurements.csv")
    return [
        segmentation_scores_section(run.summary(), _sized(rows, measured, study), note=_threshold_note(run)),
        gallery_section(
            _cards(run, study, rows),
            run.plan.data.outputs,
            limit=GALLERY,
            of=len({row["case"] for row in rows}),
        ),
        measurements_section(measured, file="evaluation/measurements.csv"),
    ]


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table that this run wrote; numbers as numbers, names as text, empty cells as NaN."""
    return with_values(read_rows(path), ("case", "group", "target", "unit"))


def _sized(rows: Sequence[Row], measured: Sequence[Row], study: Study) -> list[dict[str, Any]]:
    """Rows of cases.csv with the true and predicted area, or volume, in the unit of their image."""
    pixels, cases = _pixels_of(measured), {_plain(case.name): case for case in study.cases}
    sized = []
    for row in rows:
        name = _plain(str(row["case"]))
        if name not in pixels and name in cases:  # nothing was marked in it: its image says
            pixels[name] = _pixel(cases[name])
        unit, size = pixels.get(name, ("", math.nan))
        sized.append(
            {
                **row,
                "dice": row["dice"] if row["truth_pixels"] else math.nan,
                "true_size": size * row["truth_pixels"],
                "predicted_size": size * row["predicted_pixels"],
                "size_unit": unit,
            }
        )
    return sized


def _pixels_of(measured: Sequence[Row]) -> dict[str, tuple[str, float]]:
    """Of each measured case the unit of areas or volumes, and how much of it a pixel is."""
    pixels = {}
    for row in measured:
        size = row.get("volume", math.nan)
        size = row.get("area", math.nan) if size != size else size
        if row["pixels"]:
            pixels[_plain(str(row["case"]))] = str(row["unit"]), size / row["pixels"]
    return pixels


def _pixel(case: Case) -> tuple[str, float]:
    header = probe(case.image.path, case.image.entry, case.image.index)
    spacing = fitted_spacing(case, len(header.shape)) or header.spacing
    return size_unit(spacing), spacing.pixel_size


def _plain(name: str) -> str:
    """A name without the apostrophe that keeps spreadsheets from running it."""
    return name.removeprefix("'")


def _threshold_note(run: Run) -> str:
    """Where scores come from, and which threshold each target has."""
    fits = {
        target: fit
        for target, found in run.summary()["targets"].items()
        if (fit := found.get("fitted", {})).get("gain") is not None
    }
    parts = [f"{target} {_choice(fit)}" for target, fit in fits.items()]
    chosen = f" Thresholds: {'; '.join(parts)}." if parts else ""
    if parts and run.plan.scoring.threshold == "fit" and len(run.trained_folds()) > 1:
        chosen += " These scores also decided which kind is used, which flatters them a little."
    how = (
        run.caveat or "Out-of-fold: every case was predicted by a network that saw neither it nor its group."
    )
    return how + chosen


def _choice(fit: Mapping[str, Any]) -> str:
    """In words; runs made before images had thresholds of their own say `used` of the fitted one."""
    choice = fit.get("choice") or ("fitted" if fit.get("used") else "half")
    gain = {"image": "image_gain", "tempered": "tempered_gain", "fitted": "gain"}.get(choice)
    words = {
        "image": "each image's own, of the highest expected Dice",
        "tempered": "each image's own, of the highest expected Dice, softened as fits the other folds best",
        "fitted": "fitted on the other folds",
        "given": "as given",
    }
    told = words.get(choice, f"0.5, as others gain less than {WORTH_FITTING} Dice")
    return f"{told} ({fit[gain]:+.3f} Dice over 0.5)" if gain else told


def _cards(run: Run, study: Study, rows: Sequence[Mapping[str, Any]]) -> list[Card]:
    by_case: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_case.setdefault(str(row["case"]), []).append(row)
    chosen = thinned(sorted(by_case, key=lambda name: _order(by_case[name])), GALLERY)
    cases = study.by_name
    return [_card(run, cases[name], by_case[name]) for name in chosen if name in cases]


def _order(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The worst first; of those that are equally wrong the ones with the most wrong pixels."""
    return _worth(rows), -sum(row["truth_pixels"] + row["predicted_pixels"] for row in rows)


def _worth(rows: Sequence[Mapping[str, Any]]) -> float:
    """The mean Dice of a case's targets; of one that is not there 1 for no mask, 0 for a false one."""
    found = [row["dice"] if row["truth_pixels"] else float(not row["predicted_pixels"]) for row in rows]
    defined = [float(value) for value in found if value == value]
    return sum(defined) / len(defined) if defined else 1.0


def _card(run: Run, case: Case, rows: Sequence[Mapping[str, Any]]) -> Card:
    targets = run.plan.data.outputs
    image = read_case_image(case)
    probability = enlarged(kept(run.evaluation / "probabilities", case.name), image.shape)
    cuts = {str(row["target"]): float(row["threshold"]) for row in rows}
    suppressed = {str(row["target"]) for row in rows if not row["predicted_pixels"]}
    gates = [2.0 if target in suppressed else 0.0 for target in targets]
    masks = decided(targets, probability, [cuts.get(target, 0.5) for target in targets], gates)
    truth, known = read_masks(case, targets, image.shape)
    picture, shown = display_plane(
        image, {**{f"truth {t}": truth[k] for k, t in enumerate(targets) if known[k]}, **masks}
    )
    facts = tuple((f"Dice, {row['target']}", _dice_in_words(row)) for row in rows)
    return segmentation_card(
        case.name,
        picture,
        {target: shown[target] for target in targets},
        {target: shown[f"truth {target}"] for target in targets if f"truth {target}" in shown},
        facts=facts,
        group=case.group,
        score=_worth(rows),
    )


def _dice_in_words(row: Mapping[str, Any]) -> str:
    if row["truth_pixels"]:
        return f"{row['dice']:.3f}"
    marked = int(row["predicted_pixels"])
    return f"none there, {marked:,} pixels marked" if marked else "none there"
