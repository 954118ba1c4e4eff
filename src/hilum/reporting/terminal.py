"""What the command line says of scores, and its progress bar."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hilum.reporting import numbers

if TYPE_CHECKING:
    from hilum.training.loop import Progress, Watch


def submission_lines(found: dict[str, Any]) -> list[str]:
    """Mean Dice of a challenge's submission."""
    return [
        f"mean Dice {found['mean']:.4f} over {len(found['dice'])} images, 1 where both are empty",
        f"with the target {found['present']:.4f}; left rightly empty {100 * found['absent']:.0f} %",
    ]


def score_lines(summary: dict[str, Any]) -> list[str]:
    """The scores of a summary, a line each."""
    lines = []
    for name, found in summary.get("targets", {}).items():
        dice = found.get("dice")
        if dice:
            mean, pooled = numbers.score(dice["mean"]), numbers.score(dice["pooled"])
            between = _between(dice["interval"])
            lines.append(f"{name}: mean Dice {mean} {between} over {dice['cases']} cases, pooled {pooled}")
        lines += _presence_lines(name, found.get("presence"))
    return [*lines, *_decision_lines(summary), *_detection_lines(summary)]


def _between(interval: Sequence[Any]) -> str:
    """An interval in brackets, an en dash for each end that is not known."""
    low, high = map(numbers.score, interval)
    return f"[{low}, {high}]"


def _decision_lines(summary: dict[str, Any]) -> list[str]:
    """Scores of a classifier, and its operating point with what it costs."""
    names = {"auc": "AUC", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
    lines = []
    for key, name in names.items():
        if isinstance(score := summary.get(key), dict) and numbers.known(score["value"]):
            between = _between(score["interval"])
            lines.append(f"{name} {score['value']:.3f} {between} over {score['cases']} images")
    point = summary.get("operating_point", {})
    if numbers.known(point.get("sensitivity"), point.get("specificity")):
        lines.append(
            f"sensitivity {point['sensitivity']:.3f}, specificity {point['specificity']:.3f} for "
            f"{summary.get('positive')} at threshold {point['threshold']:.3f} ({point['rule']})"
        )
    return lines


def _detection_lines(summary: dict[str, Any]) -> list[str]:
    """CPM of a detector, its operating point and how far off its centres are."""
    if "froc" not in summary:
        return []
    cpm, point, away = summary["froc"]["cpm"], summary["operating_point"], summary["distance_mm"]
    value, between = numbers.score(cpm["value"]), _between(cpm["interval"])
    lines = [f"CPM {value} {between} over {summary['nodules']} nodules in {summary['scans']} scans"]
    if numbers.known(point["sensitivity"], point["false_positives_a_scan"]):
        lines.append(
            f"sensitivity {point['sensitivity']:.3f} at {point['false_positives_a_scan']:.2f} "
            f"false positives a scan, at threshold {point['threshold']:.3f}"
        )
    if numbers.known(away["median"], away["p90"]):
        lines.append(
            f"centres off by {away['median']:.1f} mm (median), 90 % by less than {away['p90']:.1f} mm"
        )
    return lines


def _presence_lines(name: str, found: dict[str, Any] | None) -> list[str]:
    if not found:
        return []
    used = "used" if found["used"] else "not used"
    return [
        f"{name}: there or not, AUC {numbers.score(found['auc'])}; Dice with empty masks counted "
        f"{found['challenge_dice']:.3f}, {found['gain']:+.3f} by leaving doubtful ones empty ({used})"
    ]


@contextlib.contextmanager
def progress_bar(quiet: bool) -> Iterator[Watch | None]:
    """A progress bar over all folds with loss, Dice and time left; nothing where output is for machines."""
    if quiet:
        yield None
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("fold {task.fields[fold]}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[values]}"),
    )
    from rich.console import Console

    bar = Bar(*columns, console=Console(stderr=True))
    shown: dict[int, Any] = {}

    def watch(progress: Progress) -> None:
        if progress.fold not in shown:
            bar.start()
            shown[progress.fold] = bar.add_task("", total=progress.steps, fold=progress.fold, values="")
        values = "  ".join(
            f"{name.removeprefix('dice_')} {value:.2f}"
            for name, value in progress.values.items()
            if name == "loss" or name.startswith(("dice_", "accuracy"))
        )
        bar.update(shown[progress.fold], completed=progress.step, values=values)

    try:
        yield watch
    finally:
        if shown:
            bar.stop()
