"""Sections any report may hold, from plain data: study, plan, training, cases, tables, environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from hilum.reporting import numbers, plots
from hilum.reporting.blocks import (
    Block,
    Callout,
    Card,
    Facts,
    Figure,
    Gallery,
    Legend,
    Section,
    Table,
    Text,
)
from hilum.reporting.overlay import ERROR_COLOURS, target_colours

Row = Mapping[str, Any]
T = TypeVar("T")

MEASURED, LISTED = 200, 60
_HISTORY_AXES = ("step", "seconds", "cpu_s", "epoch", "fold")
_LABELS = {
    "lr": "Learning rate",
    "loss": "Training loss",
    "dice": "Dice",
    "auc": "AUC",
    "accuracy": "Accuracy",
    "val_loss": "Validation loss",
    "val_auc": "Validation AUC",
    "val_accuracy": "Validation accuracy",
}
_UNITS = {
    **{
        f"{unit}{power}": f"{unit}{sign}"
        for unit in ("px", "mm")
        for power, sign in (("", ""), ("2", "²"), ("3", "³"))
    },
    "um": "µm",
    "um2": "µm²",
    "um3": "µm³",
    "hu": "HU",
    "s": "s",
    "ml": "ml",
}


def study_section(summary: Row) -> Section:
    """What the study is and what looks wrong in it.

    `summary` may hold name, layout, cases, groups, grouping, sizes, spacing; `targets` and `classes`
    as rows; `findings` as objects or rows with severity, message and cases; anything else is shown as a fact.
    """
    tables = [("targets", "Targets"), ("classes", "Classes"), ("splits", "Splits")]
    special = {"findings", *(key for key, _ in tables)}
    facts = [(_title(key), numbers.cell(value)) for key, value in summary.items() if key not in special]
    blocks: list[Block] = [Facts(tuple(facts))] if facts else []
    blocks += [table_of(summary[key], caption=caption) for key, caption in tables if summary.get(key)]
    return Section("Study", (*blocks, *findings(summary.get("findings") or ())), "study")


def findings(found: Iterable[Any]) -> list[Callout]:
    """Findings as callouts, errors first; each an object or row with severity, message, cases, or a text."""
    callouts = [_callout(finding) for finding in found]
    order = {"error": 0, "warning": 1}
    return sorted(callouts, key=lambda callout: order.get(callout.severity, 2))


def plan_section(rows: Sequence[tuple[str, Any, str]]) -> Section:
    """Every setting with its value and the reason for it; keys as `group.name` make one table a group."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for key, value, reason in rows:
        group, _, name = key.rpartition(".")
        groups.setdefault(group, []).append((name, setting(value), reason))
    tables = [
        Table(
            ("Setting", "Value", "Reason"),
            tuple(found),
            _title(group),
            code=("Setting",),
            widths=(20, 28, 52),
            sortable=False,
        )
        for group, found in groups.items()
    ]
    return Section("Plan", tuple(tables), "plan")


def setting(value: Any) -> str:
    """A value as the plan file would write it: no thousands apart, no rounding.

    >>> setting([512, 512]), setting(True), setting(0.0003)
    ('512, 512', 'yes', '0.0003')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {setting(item)}" for key, item in value.items()) or numbers.NONE
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value) or numbers.NONE
    if value is None or value == "":
        return numbers.NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def curves_section(folds: Mapping[str, Sequence[Row]]) -> Section:
    """Every column of the history over steps, one line a fold; seconds where there are no steps.

    `folds` maps a fold's name to its history rows; texts as read from a CSV are fine. At most eight
    columns are drawn: loss and learning rate, then the scores in their order.
    """
    rows = [row for history in folds.values() for row in history]
    against = next(
        (axis for axis in ("step", "epoch", "seconds") if any(axis in row for row in rows)), "step"
    )
    keys = [key for key in dict.fromkeys(key for row in rows for key in row) if _is_drawn(key, rows)]
    keys.sort(key=lambda key: {"loss": 0, "lr": 2}.get(key, 1))
    figures = [
        Figure(
            plots.training_curve(
                folds, key, against=against, label=_LABELS.get(key, _title(key)), logarithmic=key == "lr"
            ),
            "",
            _LABELS.get(key, _title(key)),
        )
        for key in keys[:8]
    ]
    missing = [] if figures else [Callout("note", "This run has no training history.")]
    return Section("Training", (*missing, *figures, *_cost(folds)), "training")


def gallery_section(
    cards: Sequence[Card], targets: Sequence[str] = (), *, limit: int = 24, of: int | None = None
) -> Section:
    """Cards ordered from the lowest score up, with what the colours mean.

    Where there are more than `limit`, they are `thinned`; cards that were before are those `of` so many.
    """
    ordered = sorted(
        cards, key=lambda card: (card.score is None or card.score != card.score, card.score or 0.0)
    )
    chosen, every = thinned(ordered, limit), of or len(ordered)
    blocks: list[Block] = []
    if len(chosen) < every:
        worst = limit // 2
        blocks.append(
            Text(
                f"{len(chosen)} of {every:,} cases are shown: the {worst} worst, "
                f"then every so many of the others up to the best."
            )
        )
    if targets:
        blocks.append(Legend(tuple(target_colours(targets).items())))
        blocks.append(Legend(tuple((f"{name} pixels", colour) for name, colour in ERROR_COLOURS.items())))
    return Section("Cases, worst to best", (*blocks, Gallery(tuple(chosen))), "cases")


def measurements_section(rows: Sequence[Row], *, file: str = "measurements.csv") -> Section:
    """The measurement table, its first `MEASURED` rows; the rest is in `file`."""
    if not rows:
        return Section("Measurements", (Text("Nothing was measured."),), "measurements")
    text = (
        f"The first {MEASURED:,} of {len(rows):,} rows; all of them are in {file}."
        if len(rows) > MEASURED
        else f"The same table is in {file}."
    )
    return Section("Measurements", (Text(text), table_of(rows[:MEASURED])), "measurements")


def environment_section(manifest: Row) -> Section:
    """How the run was made: command, machine, versions, times, seeds, and the hashes of its input."""
    facts: list[tuple[str, str]] = []
    blocks: list[Block] = []
    for key, value in manifest.items():
        if isinstance(value, Mapping) and len(value) > 8:
            rows = tuple((str(name), setting(item)) for name, item in value.items())
            more = (
                f"The first {LISTED} of {len(rows)}; all are in manifest.json." if len(rows) > LISTED else ""
            )
            table = Table(
                ("Name", "Value"), rows[:LISTED], _title(key), more, code=("Value",), sortable=False
            )
            blocks += [table]
        elif isinstance(value, Mapping):
            facts += [(f"{_title(key)}: {name}", setting(item)) for name, item in value.items()]
        else:
            facts.append((_title(key), _manifest_value(key, value)))
    return Section(
        "How it was made", (Facts(tuple(facts)), *blocks) if facts else tuple(blocks), "environment"
    )


def table_of(rows: Sequence[Any], *, caption: str = "", digits: Mapping[str, int] | None = None) -> Table:
    """A table from rows as mappings; columns in the order in which they appear, gaps as an en dash."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = tuple(tuple(row.get(column) for column in columns) for row in rows)
    titles = tuple(_title(column) for column in columns)
    fixed = tuple((_title(column), places) for column, places in (digits or {}).items())
    return Table(titles, cells, caption, digits=fixed)


def _callout(finding: Any) -> Callout:
    if isinstance(finding, str):
        head, _, tail = finding.partition(": ")
        return Callout(head, tail) if head in ("note", "warning", "error") else Callout("note", finding)
    row = finding if isinstance(finding, Mapping) else vars(finding)
    items = [str(item) for item in row.get("cases") or ()]
    shown = items[:20] + ([f"and {len(items) - 20} more"] if len(items) > 20 else [])
    return Callout(str(row.get("severity", "note")), str(row.get("message", "")), tuple(shown))


def _is_drawn(key: str, rows: Sequence[Row]) -> bool:
    values = [numbers.number(row.get(key)) for row in rows]
    return key not in _HISTORY_AXES and any(value == value for value in values)


def _cost(folds: Mapping[str, Sequence[Row]]) -> list[Block]:
    """Steps and time of each fold, from the last row of its history."""
    ends = [(fold, rows[-1]) for fold, rows in folds.items() if rows]
    known = [axis for axis in ("step", "epoch", "seconds") if any(axis in row for _, row in ends)]
    if not known:
        return []
    shown = {"step": "Steps", "epoch": "Epochs", "seconds": "Time"}
    rows = tuple(
        (
            fold,
            *(numbers.duration(row.get(a)) if a == "seconds" else numbers.count(row.get(a)) for a in known),
        )
        for fold, row in ends
    )
    return [Table(("Fold", *(shown[axis] for axis in known)), rows, "Cost", sortable=False)]


def thinned(ordered: Sequence[T], limit: int) -> list[T]:
    """At most `limit` of what is ordered from the worst: half of it the worst, others evenly, the best too.

    >>> thinned(range(9), 4)
    [0, 1, 2, 8]
    """
    if len(ordered) <= limit:
        return list(ordered)
    worst, rest = list(ordered[: limit // 2]), ordered[limit // 2 :]
    wanted = limit - len(worst)
    places = [round(place * (len(rest) - 1) / max(1, wanted - 1)) for place in range(wanted)]
    return worst + [rest[place] for place in places]


def _manifest_value(key: str, value: Any) -> str:
    if isinstance(value, list | tuple) and key in ("command", "argv"):
        return " ".join(str(part) for part in value)
    is_time = key == "seconds" or key.endswith(("_s", "_seconds"))
    return numbers.duration(value) if is_time else setting(value)


def _title(key: str) -> str:
    """A key as a heading, its unit in brackets; text with capitals or blanks was written for people.

    >>> _title("area_um2"), _title("dice_Liver"), _title("Liver"), _title("touches_border")
    ('Area (µm²)', 'Dice, Liver', 'Liver', 'Touches border')
    """
    text = str(key)
    head, _, tail = text.partition("_")
    if head in _LABELS and tail:
        return f"{_LABELS[head]}, {tail}"
    if text != text.lower() or " " in text:
        return text
    name, _, unit = text.rpartition("_")
    words = (name if name and unit in _UNITS else text).replace("_", " ")
    return words[:1].upper() + words[1:] + (f" ({_UNITS[unit]})" if name and unit in _UNITS else "")
