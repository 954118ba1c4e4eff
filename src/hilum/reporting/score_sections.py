"""The section of segmentation scores, from the plain data of summary.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.reporting import numbers, plots
from hilum.reporting.blocks import Block, Callout, Figure, Section, Table, Text
from hilum.reporting.decision_sections import INTERVAL, part

Row = Mapping[str, Any]


def segmentation_scores_section(summary: Row, cases: Sequence[Row] = (), *, note: str = "") -> Section:
    """Scores of every target with intervals, numbers of cases and units, and the plots of the cases.

    `summary` as summary.json; `cases` rows with target, dice, group and, where known, true_size and
    predicted_size in size_unit (mm² or mm³, for instance).
    """
    targets: Mapping[str, Row] = summary.get("targets") or {}
    if not targets:
        return Section("Scores", (Callout("note", "This run has no scores."),), "scores")
    blocks: list[Block] = [Text(note)] if note else []
    blocks += [_overlap_table(targets), *_distance_table(targets)]
    blocks += _segmentation_figures(targets, cases)
    blocks += [*_threshold_table(targets), *_empty_table(targets), *_quality_table(targets)]
    return Section("Scores", tuple(blocks), "scores")


def _threshold_text(threshold: Any) -> str:
    """One threshold, or from the lowest to the highest where each fold or image has its own.

    >>> _threshold_text({"0": 0.25, "1": 0.5})
    '0.25 to 0.50'
    """
    if isinstance(threshold, Mapping):
        values = [numbers.number(value) for value in threshold.values()]
        low, high = min(values, default=float("nan")), max(values, default=float("nan"))
        return f"{low:.2f} to {high:.2f}" if high > low else numbers.score(low)
    return numbers.score(threshold)


def _overlap_table(targets: Mapping[str, Row]) -> Table:
    rows = []
    for name, scores in targets.items():
        dice = scores.get("dice")
        row = (
            name,
            part(dice, "cases"),
            part(dice, "mean"),
            numbers.interval(part(dice, "interval")),
            part(dice, "pooled"),
            *(part(scores.get(key), "mean") for key in ("jaccard", "precision", "recall")),
            _threshold_text(scores.get("threshold")),
        )
        rows.append(row)
    columns = (
        "Target",
        "Cases",
        "Dice",
        INTERVAL,
        "Pooled",
        "Jaccard",
        "Precision",
        "Recall",
        "Threshold",
    )
    fixed = tuple((name, 3) for name in columns[2:] if name != INTERVAL)
    note = (
        "Mean over the cases that hold the target, out of fold unless said otherwise; pooled: over all "
        "pixels together. The interval belongs to the mean Dice: bootstrap over groups. "
        "The threshold is the probability from which a pixel counts as inside; folds or images may differ."
    )
    keep = [
        place
        for place in range(len(columns))
        if place < 3 or any(row[place] not in (None, "") for row in rows)
    ]
    return Table(
        tuple(columns[place] for place in keep),
        tuple(tuple(row[place] for place in keep) for row in rows),
        "Overlap",
        note,
        fixed,
    )


def _distance_table(targets: Mapping[str, Row]) -> list[Table]:
    names = {"hd95": "95 % Hausdorff distance", "msd": "Mean surface distance"}
    present = [key for key in names if any(scores.get(key) for scores in targets.values())]
    if not present:
        return []
    rows = tuple(
        (name, *(numbers.quantity(part(scores.get(key), "mean"), _unit(scores.get(key))) for key in present))
        for name, scores in targets.items()
    )
    note = "Mean over cases in which truth and prediction both hold the target; – where there is none."
    return [Table(("Target", *(names[key] for key in present)), rows, "Distance between outlines", note)]


def _threshold_table(targets: Mapping[str, Row]) -> list[Table]:
    levels = list(
        dict.fromkeys(level for scores in targets.values() for level in scores.get("dice_at") or {})
    )
    if not levels:
        return []
    rows = tuple(
        (name, *(part((scores.get("dice_at") or {}).get(level), "mean") for level in levels))
        for name, scores in targets.items()
    )
    columns = ("Target", *(f"at {level}" for level in levels))
    return [Table(columns, rows, "Dice at fixed thresholds", digits=tuple((name, 3) for name in columns[1:]))]


def _empty_table(targets: Mapping[str, Row]) -> list[Table]:
    rows = tuple(
        (
            name,
            part(scores.get("empty"), "cases"),
            numbers.share(part(scores["empty"], "false_positive_share"), 2),
        )
        for name, scores in targets.items()
        if scores.get("empty") and numbers.number(part(scores["empty"], "cases")) > 0
    )
    note = "Dice says nothing where the target is absent; the share of the image wrongly marked does."
    columns = ("Target", "Cases without it", "Share wrongly marked")
    return [Table(columns, rows, "Cases without the target", note)] if rows else []


def _segmentation_figures(targets: Mapping[str, Row], cases: Sequence[Row]) -> list[Figure]:
    figures = []
    if cases:
        text = "Each point is a case; box and line are the quartiles and the median."
        figures.append(Figure(plots.case_scores(cases), text, "Dice case by case"))
    for name in targets:
        mine = [row for row in cases if row.get("target") == name and _has_sizes(row)]
        figures += _size_figures(name, mine)
        told = [row for row in mine if numbers.number(row.get("predicted_dice")) >= 0]
        if told:
            figures.append(_quality_figure(name, told))
    return figures


def _quality_figure(target: str, rows: Sequence[Row]) -> Figure:
    """What was foretold of each mask against what was found."""
    real = [numbers.number(row["dice"]) if _has_target(row) else 0.0 for row in rows]
    told = [numbers.number(row["predicted_dice"]) for row in rows]
    groups = [str(row.get("group", "")) for row in rows]
    content = plots.agreement(real, told, groups=groups, quantity="Dice", unit="0 to 1")
    text = f"{len(rows)} masks, each foretold from its probabilities, by what the others have taught."
    if false := sum(not _has_target(row) for row in rows):
        text += f" {false} of them lie where the target is not: their Dice is 0."
    return Figure(content, text, f"Dice foretold, {target}")


def _has_target(row: Row) -> bool:
    return numbers.number(row.get("true_size")) > 0


def _quality_table(targets: Mapping[str, Row]) -> list[Table]:
    rows = [
        (
            name,
            found.get("cases"),
            found.get("correlation"),
            found.get("rank_correlation"),
            found.get("error"),
        )
        for name, scores in targets.items()
        if (found := scores.get("quality"))
    ]
    if not rows:
        return []
    columns = ("Target", "Cases", "Correlation", "Rank correlation", "Usual error")
    note = (
        "How well the Dice of a mask is foretold from its probabilities alone: predicted_dice in the "
        "tables. Masks foretold below a half, or worse than usual by more than the usual error, have the "
        'quality "check".'
    )
    blind = [str(row[0]) for row in rows if not numbers.number(row[3]) > 0]
    if blind:
        note += (
            f" Of {', '.join(blind)} nothing is foretold: the rank correlation is not above 0, so no mask is "
            'called "good".'
        )
    digits = tuple((name, 3) for name in columns[2:])
    return [Table(columns, tuple(rows), "Foretold Dice", note, digits)]


def _size_figures(target: str, rows: Sequence[Row]) -> list[Figure]:
    """Predicted against true areas or volumes; those in different units are never on one axis."""
    by_unit: dict[str, list[Row]] = {}
    for row in rows:
        by_unit.setdefault(str(row.get("size_unit") or "px²"), []).append(row)
    return [
        figure
        for unit, mine in by_unit.items()
        for figure in _agreement_figures(target, mine, unit, f" ({unit})" if len(by_unit) > 1 else "")
    ]


def _agreement_figures(target: str, rows: Sequence[Row], unit: str, which: str) -> list[Figure]:
    true = [numbers.number(row["true_size"]) for row in rows]
    found = [numbers.number(row["predicted_size"]) for row in rows]
    groups = [str(row.get("group", "")) for row in rows]
    quantity = "volume" if unit.endswith("³") else "area"
    identity = plots.agreement(true, found, groups=groups, quantity=quantity, unit=unit)
    bias = plots.bland_altman(true, found, groups=groups, quantity=quantity, unit=unit)
    text = f"{len(rows)} {'case' if len(rows) == 1 else 'cases'}; on the dashed line both are equal."
    limits = "Solid: mean difference; dashed: limits within which 95 % of differences are expected."
    title = f"{quantity.capitalize()} of {target}"
    return [Figure(identity, text, title + which), Figure(bias, limits, f"{title}, agreement{which}")]


def _has_sizes(row: Row) -> bool:
    sizes = [numbers.number(row.get(key)) for key in ("true_size", "predicted_size")]
    return all(size == size for size in sizes)


def _unit(entry: Any) -> str:
    return str(entry.get("unit") or "") if isinstance(entry, Mapping) else ""
