"""The command line: one short function a verb, which parses, calls and prints."""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.errors import HilumError
from hilum.training.stopping import sigterm_as_ctrl_c

if TYPE_CHECKING:
    from hilum.training.loop import Progress, Watch

INTERRUPTED = 130
app = typer.Typer(
    help="From a folder of annotated medical images to a validated model, measurements and a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class DeviceName(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of annotated images, or a study.csv.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run made by hilum train.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Minutes = Annotated[
    float | None, typer.Option(min=0.05, help="Wall time of the whole command, scoring included.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Training steps a fold, instead of minutes.")]
Folds = Annotated[int | None, typer.Option(min=2, help="Folds of the cross-validation.")]
Recipe = Annotated[str | None, typer.Option(metavar="NAME|PLAN", help="A recipe by name, or a plan file.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a planned value.")
]
Device = Annotated[DeviceName, typer.Option(help="Where to compute.")]
GroupBy = Annotated[
    str | None, typer.Option(metavar="REGEX", help="What in a file's path names the patient or animal.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave bad cases out instead of stopping.")]


@app.command()
def demo(
    kind: Annotated[str, typer.Option(help="histology, xray, ct or ultrasound.")] = "histology",
    out: Annotated[Path, typer.Option(help="New folder for everything.")] = Path("demo"),
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Training time; 1, of ct 4, where not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed gives another study.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a phantom study and walk the whole road over it."""
    from hilum.verbs.demo import demo as run_demo

    with _progress(as_json) as watch:
        made = run_demo(out, kind=kind, minutes=minutes, seed=seed, watch=watch)
    summary = made.run.summary()
    _say(
        as_json,
        summary,
        [
            *_score_lines(summary),
            f"study       {made.study}",
            f"run         {made.run.folder}",
            f"results     {made.predictions.out}",
            f"open this:  {made.run.folder / 'report.html'}",
        ],
    )


@app.command()
def inspect(folder: Folder, group_by: GroupBy = None, as_json: Json = False) -> None:
    """Say what a folder holds: layout, cases, groups, targets, encodings, what looks wrong."""
    from hilum.verbs.inspect import inspect as look

    found = look(folder, group_by=group_by)
    _say(as_json, found.to_json(), found.lines())


@app.command()
def plan(
    folder: Folder,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the plan to this file.")] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    folds: Folds = None,
    recipe: Recipe = None,
    settings: Settings = None,
    device: Device = DeviceName.auto,
    group_by: GroupBy = None,
    skip_bad: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Plan a training: every setting, each choice with its reason."""
    from hilum.planning.document import to_yaml
    from hilum.verbs.plan import plan as make

    made = make(
        folder,
        out,
        minutes=minutes,
        steps=steps,
        folds=folds,
        recipe=recipe,
        settings=settings or (),
        device=device.value,
        group_by=group_by,
        skip_bad=skip_bad,
    )
    _say(as_json, {**made.model_dump(mode="json"), "reasons": made.reasons}, to_yaml(made).splitlines())


@app.command()
def train(
    folder: Folder,
    out: Annotated[Path, typer.Option(metavar="RUN", help="New folder for the run.")],
    minutes: Minutes = None,
    steps: Steps = None,
    folds: Folds = None,
    fold: Annotated[int | None, typer.Option(min=0, help="Train this fold alone.")] = None,
    splits: Annotated[Path | None, typer.Option(help="Fixed folds: splits.json.")] = None,
    recipe: Recipe = None,
    settings: Settings = None,
    device: Device = DeviceName.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    init: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Start from the weights of another run.")
    ] = None,
    min_sensitivity: Annotated[
        float | None, typer.Option(min=0.01, max=1, help="Choose a classifier's operating point by this.")
    ] = None,
    group_by: GroupBy = None,
    skip_bad: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Train and validate: scores, out-of-fold masks, measurements and a report."""
    from hilum.verbs.train import train as run_training

    if min_sensitivity is not None:
        settings = [*(settings or ()), f"scoring.min_sensitivity={min_sensitivity}"]
    with _progress(as_json) as watch:
        run = run_training(
            folder,
            out,
            minutes=minutes,
            steps=steps,
            folds=folds,
            fold=fold,
            splits=splits,
            recipe=recipe,
            settings=settings or (),
            device=device.value,
            resume=resume,
            init=init,
            group_by=group_by,
            skip_bad=skip_bad,
            watch=watch,
        )
    summary = run.summary()
    _say(as_json, summary, [*_score_lines(summary), f"report: {run.folder / 'report.html'}"])


@app.command()
def evaluate(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Folder of a run made by hilum train.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Another labelled folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for its predictions.")] = None,
    submission: Annotated[
        Path | None, typer.Option(help="Score this submission.csv instead of a run.")
    ] = None,
    solution: Annotated[Path | None, typer.Option(help="The truth in the same form.")] = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Width and height of its images.")] = "580x420",
    as_json: Json = False,
) -> None:
    """Score a run out of fold, or on another labelled folder; or a challenge's submission."""
    if submission is not None and solution is not None and run is None:
        from hilum.verbs.evaluate import evaluate_submission

        found = evaluate_submission(submission, solution, _size(size))
        _say(as_json, found, _submission_lines(found))
        return
    if run is None or submission is not None or solution is not None:
        raise typer.BadParameter("give a RUN, or --submission FILE with --solution FILE")
    from hilum.verbs.evaluate import evaluate as score

    summary = score(run, folder, out)
    _say(as_json, summary, _score_lines(summary))


@app.command()
def predict(
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Image files or folders.")],
    out: Annotated[Path, typer.Option(help="New folder for the results.")],
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write probability maps too.")
    ] = False,
    submission: Annotated[
        str | None, typer.Option(metavar="NAME", help="Write a challenge's file too: kaggle-rle.")
    ] = None,
    device: Device = DeviceName.auto,
    skip_bad: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Predict new images: masks, overlays, measurements, scores if labels are there."""
    from hilum.verbs.predict import predict as run_prediction

    done = run_prediction(
        run,
        images,
        out,
        probabilities=probabilities,
        submission=submission,
        device=device.value,
        skip_bad=skip_bad,
    )
    lines = [f"{done.cases} images predicted into {done.out}", *_score_lines(done.summary)]
    lines += [f"submission: {done.summary['submission']}"] if "submission" in done.summary else []
    lines += [f"left out: {reason}" for reason in done.left_out]
    _say(as_json, {"out": done.out, "cases": done.cases, "left_out": done.left_out, **done.summary}, lines)


@app.command()
def measure(
    masks: Annotated[list[Path], typer.Argument(metavar="MASKS...", help="Mask files.")],
    spacing: Annotated[str | None, typer.Option(help="Size of a pixel, like 0.65um.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables.")] = None,
    as_json: Json = False,
) -> None:
    """Measure masks: area with its unit, regions, share of the image."""
    from hilum.verbs.measure import measure as measure_masks

    rows, regions = measure_masks(masks, spacing=spacing, out=out)
    lines = [
        f"{row['case']}  {row['target']}: {row['area']:,.6g} {row['unit']} ({row['share_percent']:.2f} %), "
        f"{row['regions']} region{'' if row['regions'] == 1 else 's'}"
        for row in rows
    ]
    _say(as_json, {"measurements": rows, "regions": regions}, lines)


@app.command()
def explain(
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Image files or folders.")],
    out: Annotated[Path, typer.Option(help="New folder for the pictures and explain.html.")],
    target: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Class or target; else those found.")
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Layer of the feature maps; else all.")
    ] = None,
    cam_layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Layer that Grad-CAM looks at.")
    ] = None,
    fold: Annotated[int | None, typer.Option(min=0, help="Explain the network of this fold.")] = None,
    occlusion: Annotated[
        bool, typer.Option("--occlusion/--no-occlusion", help="Cover the image part by part: slow.")
    ] = True,
    device: Device = DeviceName.auto,
    skip_bad: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Show what a run's networks look at: feature maps, Grad-CAM, occlusion, uncertainty."""
    from hilum.verbs.explain import explain as run_explanation

    done = run_explanation(
        run,
        images,
        out,
        target=target,
        layers=layer,
        cam_layer=cam_layer,
        fold=fold,
        occlusion=occlusion,
        device=device.value,
        skip_bad=skip_bad,
    )
    lines = [f"{row['case']}  {row['output']}: uncertainty {row['uncertainty']:.3f}" for row in done.rows]
    lines += [f"left out: {reason}" for reason in done.left_out] + [f"open this:  {done.page}"]
    _say(as_json, {"out": done.out, "page": done.page, "rows": done.rows, "left_out": done.left_out}, lines)


@app.command()
def report(run: RunFolder, as_json: Json = False) -> None:
    """Make report.html of a run again."""
    from hilum.verbs.report import report as make

    path = make(run)
    _say(as_json, {"report": path}, [f"report: {path}"])


@app.command()
def doctor(
    folder: Annotated[Path, typer.Option(help="Where runs will be written.")] = Path(),
    as_json: Json = False,
) -> None:
    """Say what this machine can do, and test every part against known answers."""
    from hilum.verbs.doctor import doctor as examine

    found = examine(folder)
    _say(as_json, found.to_json(), found.lines())
    if not found.passed:
        raise HilumError("a known answer did not come out; please report the lines above")


def main() -> None:
    """Run the command line; a HilumError becomes one message and exit code 1, Ctrl-C 130."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("hilum").setLevel(logging.INFO)
    # set on the one that speaks: the library sets its own level when it is imported
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    try:
        with sigterm_as_ctrl_c():
            code = app(standalone_mode=False)
        if code == INTERRUPTED:  # the library turns Ctrl-C into a returned code here
            raise KeyboardInterrupt
    except HilumError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None
    except (KeyboardInterrupt, typer.Abort):
        typer.echo(_how_to_go_on(sys.argv[1:]), err=True)
        raise SystemExit(INTERRUPTED) from None
    except typer.TyperException as error:
        typer.echo(f"usage: {error.format_message()}\ntry: hilum {' '.join(sys.argv[1:2])} --help", err=True)
        raise SystemExit(2) from None


def _how_to_go_on(words: list[str]) -> str:
    """What to type after an interruption."""
    if words[:1] != ["train"]:
        return "interrupted"
    again = shlex.join(["hilum", *words, *([] if "--resume" in words else ["--resume"])])
    return f"interrupted; what is done is kept. To go on: {again}"


def _say(as_json: bool, content: Any, lines: list[str]) -> None:
    typer.echo(json.dumps(content, default=str, ensure_ascii=False) if as_json else "\n".join(lines))


def _size(text: str) -> tuple[int, int]:
    """Width and height of `580x420`."""
    width, sign, height = text.lower().partition("x")
    if not (sign and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise typer.BadParameter(f"{text!r} is no size; write width x height like 580x420")
    return int(width), int(height)


def _submission_lines(found: dict[str, Any]) -> list[str]:
    return [
        f"mean Dice {found['mean']:.4f} over {len(found['dice'])} images, 1 where both are empty",
        f"with the target {found['present']:.4f}; left rightly empty {100 * found['absent']:.0f} %",
    ]


def _score_lines(summary: dict[str, Any]) -> list[str]:
    lines = []
    for name, found in summary.get("targets", {}).items():
        dice = found.get("dice")
        if dice:
            low, high = (f"{end:.3f}" if end is not None else "–" for end in dice["interval"])
            mean, pooled = (
                f"{dice[key]:.3f}" if dice[key] is not None else "–" for key in ("mean", "pooled")
            )
            lines.append(
                f"{name}: mean Dice {mean} [{low}, {high}] over {dice['cases']} cases, pooled {pooled}"
            )
        lines += _presence_lines(name, found.get("presence"))
    return [*lines, *_decision_lines(summary), *_detection_lines(summary)]


def _decision_lines(summary: dict[str, Any]) -> list[str]:
    """Scores of a classifier, and its operating point with what it costs."""
    names = {"auc": "AUC", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
    lines = []
    for key, name in names.items():
        if isinstance(score := summary.get(key), dict) and score["value"] is not None:
            low, high = (f"{end:.3f}" if end is not None else "–" for end in score["interval"])
            lines.append(f"{name} {score['value']:.3f} [{low}, {high}] over {score['cases']} images")
    point = summary.get("operating_point", {})
    if point.get("sensitivity") is not None and point.get("specificity") is not None:
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
    value, low, high = (f"{x:.3f}" if x is not None else "–" for x in (cpm["value"], *cpm["interval"]))
    lines = [f"CPM {value} [{low}, {high}] over {summary['nodules']} nodules in {summary['scans']} scans"]
    if point["sensitivity"] is not None:
        lines.append(
            f"sensitivity {point['sensitivity']:.3f} at {point['false_positives_a_scan']:.2f} "
            f"false positives a scan, at threshold {point['threshold']:.3f}"
        )
    if away["median"] is not None:
        lines.append(
            f"centres off by {away['median']:.1f} mm (median), 90 % by less than {away['p90']:.1f} mm"
        )
    return lines


def _presence_lines(name: str, found: dict[str, Any] | None) -> list[str]:
    if not found:
        return []
    used = "used" if found["used"] else "not used"
    return [
        f"{name}: there or not, AUC {found['auc']:.3f}; Dice with empty masks counted "
        f"{found['challenge_dice']:.3f}, {found['gain']:+.3f} by leaving doubtful ones empty ({used})"
    ]


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Watch | None]:
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
