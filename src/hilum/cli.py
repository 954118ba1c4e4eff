"""The command line: one short function a verb, which parses, calls and prints."""

from __future__ import annotations

import functools
import json
import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hilum.errors import HilumError
from hilum.files import plain
from hilum.options import (
    Cluster,
    Device,
    DeviceName,
    Folder,
    Folds,
    GroupBy,
    Json,
    MaskFormat,
    Minutes,
    PredictDevice,
    PredictOn,
    Recipe,
    RunFolder,
    Settings,
    SkipBad,
    Steps,
    Workers,
)
from hilum.reporting.terminal import progress_bar, score_lines, submission_lines
from hilum.training.stopping import sigterm_as_ctrl_c

INTERRUPTED = 130
app = typer.Typer(
    help="From a folder of annotated medical images to a validated model, measurements and a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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

    with progress_bar(as_json) as watch:
        made = run_demo(out, kind=kind, minutes=minutes, seed=seed, watch=watch)
    summary = made.run.summary()
    _say(
        as_json,
        summary,
        [
            *score_lines(summary),
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
    track: Annotated[
        str | None, typer.Option(metavar="NAME", help="Tell the history to tensorboard or mlflow too.")
    ] = None,
    cluster: Cluster = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Train and validate: scores, out-of-fold masks, measurements and a report."""
    from hilum.training.parallel import is_first
    from hilum.verbs.train import train as run_training

    _check_workers(cluster, workers)
    if cluster is not None:
        if track is not None:
            raise typer.BadParameter("--track follows a training on this machine; leave it or --cluster out")
        from hilum.cluster.train import train as train_on

        run_training = functools.partial(train_on, cluster=cluster, workers=workers)
    if min_sensitivity is not None:
        settings = [*(settings or ()), f"scoring.min_sensitivity={min_sensitivity}"]
    with progress_bar(as_json) as watch:
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
            track=track,
        )
    if not is_first():  # of several processes that train together one speaks
        return
    summary = run.summary()
    _say(as_json, summary, [*score_lines(summary), f"report: {run.folder / 'report.html'}"])


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
    if out is not None and folder is None:
        raise typer.BadParameter(
            "--out takes the predictions of another FOLDER; give one, or leave --out out"
        )
    if submission is not None and solution is not None and run is None:
        from hilum.verbs.evaluate import evaluate_submission

        found = evaluate_submission(submission, solution, _size(size))
        _say(as_json, found, submission_lines(found))
        return
    if run is None or submission is not None or solution is not None:
        raise typer.BadParameter("give a RUN, or --submission FILE with --solution FILE")
    from hilum.verbs.evaluate import evaluate as score

    summary = score(run, folder, out)
    _say(as_json, summary, score_lines(summary))


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
    geojson: Annotated[
        bool, typer.Option("--geojson", help="Write outlines that QuPath imports, a file an image.")
    ] = False,
    coco: Annotated[
        bool, typer.Option("--coco", help="Write the regions of all images as COCO JSON.")
    ] = False,
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="Write masks of DICOM series as DICOM segmentations.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with an interrupted prediction, huge images where they stopped."
        ),
    ] = False,
    mask_format: Annotated[
        MaskFormat, typer.Option(help="Masks of huge images: OME-TIFF or OME-Zarr.")
    ] = MaskFormat.tiff,
    device: PredictOn = PredictDevice.auto,
    skip_bad: SkipBad = False,
    cluster: Cluster = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Predict new images: masks, overlays, measurements, scores if labels are there."""
    from hilum.verbs.predict import predict as run_prediction

    _check_workers(cluster, workers)
    shared: dict[str, Any] = {"probabilities": probabilities, "device": device.value, "skip_bad": skip_bad}
    if cluster is not None:
        if submission or geojson or coco or dicom_seg or resume or mask_format is not MaskFormat.tiff:
            raise typer.BadParameter("--cluster writes masks, overlays and tables; leave the others out")
        from hilum.cluster.predict import predict as predict_on

        done = predict_on(run, images, out, cluster=cluster, workers=workers, **shared)
    else:
        done = run_prediction(
            run,
            images,
            out,
            submission=submission,
            resume=resume,
            mask_format=mask_format.value,
            geojson=geojson,
            coco=coco,
            dicom_seg=dicom_seg,
            **shared,
        )
    lines = [f"{done.cases} images predicted into {done.out}", *score_lines(done.summary)]
    lines += [f"submission: {done.summary['submission']}"] if "submission" in done.summary else []
    lines += [f"left out: {reason}" for reason in done.left_out]
    _say(as_json, {"out": done.out, "cases": done.cases, "left_out": done.left_out, **done.summary}, lines)


@app.command()
def measure(
    masks: Annotated[list[Path], typer.Argument(metavar="MASKS...", help="Mask files, or GeoJSON.")],
    spacing: Annotated[str | None, typer.Option(help="Size of a pixel, like 0.65um.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables.")] = None,
    objects: Annotated[
        bool, typer.Option("--objects", help="Each whole number in a mask is an object of its own.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure masks: area with its unit, regions, share of the image."""
    from hilum.tasks.mask_files import area_text
    from hilum.verbs.measure import measure as measure_masks

    rows, regions = measure_masks(masks, spacing=spacing, out=out, objects=objects)
    lines = [
        f"{row['case']}  {row['target']}: {area_text(row)}, {row['regions']} "
        f"region{'' if row['regions'] == 1 else 's'}"
        for row in rows
    ]
    _say(as_json, {"measurements": rows, "regions": regions}, lines)


@app.command()
def explain(
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Image files or folders.")],
    out: Annotated[Path, typer.Option(help="New folder for the pictures and explain.html.")],
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Class or target; else all targets, or the classes named."),
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
def export(
    run: RunFolder,
    format: Annotated[
        str, typer.Option(metavar="NAME", help="onnx, torchscript, torch-export, bioimageio, bundle or card.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="New folder or file; else exports/ of the run (card: MODEL.md).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hand a run on: ONNX, TorchScript, a model package, one zip, a model card."""
    from hilum.verbs.export import export as hand_on

    done = hand_on(run, format, out)
    lines = [*done.notes, *(f"written: {path}" for path in done.files)]
    _say(as_json, {"path": done.path, "files": done.files, **done.facts}, lines)


@app.command()
def report(run: RunFolder, as_json: Json = False) -> None:
    """Make report.html of a run again."""
    from hilum.verbs.report import report as make

    path = make(run)
    _say(as_json, {"report": path}, [f"report: {path}"])


@app.command()
def serve(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or a bundle.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Address; others than this machine's ask for a token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None, typer.Option(envvar="HILUM_TOKEN", help="Token to ask for; made where one is needed.")
    ] = None,
    limit_mb: Annotated[float, typer.Option(min=0.001, help="Largest upload.")] = 100.0,
    limit_s: Annotated[float, typer.Option(min=0.1, help="Longest upload, and longest wait.")] = 60.0,
    waiting: Annotated[int, typer.Option(min=1, help="Requests that may wait.")] = 32,
    batch: Annotated[int, typer.Option(min=1, help="Images predicted together at most.")] = 8,
    device: PredictOn = PredictDevice.auto,
) -> None:
    """Answer over HTTP: images in, scores, measurements and masks out."""
    from hilum.service.limits import Limits
    from hilum.service.serve import serve as run_service

    limits = Limits(round(limit_mb * 1e6), seconds=limit_s, waiting=waiting, batch=batch)
    run_service(run, host=host, port=port, token=token, limits=limits, device=device.value, told=typer.echo)


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


@app.command()
def studio(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images, annotated or not.")],
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port on this machine; else a free one.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    runs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where trainings go; else beside the folder.")
    ] = None,
) -> None:
    """Look, paint, train and correct in the browser, on this machine alone."""
    from hilum.studio.server import serve

    serve(folder, port=port, runs=runs, browser=browser, told=typer.echo)


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
    out = words[words.index("--out") + 1] if "--out" in words[:-1] else ""
    begun = words[:1] == ["predict"] and bool(out) and (Path(out) / ".blocks").is_dir()
    if words[:1] != ["train"] and not begun:
        return "interrupted"
    again = shlex.join(["hilum", *words, *([] if "--resume" in words else ["--resume"])])
    return f"interrupted; what is done is kept. To go on: {again}"


def _say(as_json: bool, content: Any, lines: list[str]) -> None:
    as_text = functools.partial(json.dumps, default=str, ensure_ascii=False, allow_nan=False)
    typer.echo(as_text(plain(content)) if as_json else "\n".join(lines))


def _check_workers(cluster: str | None, workers: int | None) -> None:
    """Raise BadParameter where workers are asked for and there is no cluster."""
    if workers is not None and cluster is None:
        raise typer.BadParameter("--workers counts those of a cluster; give --cluster too, or leave it out")


def _size(text: str) -> tuple[int, int]:
    """Width and height of `580x420`."""
    width, sign, height = text.lower().partition("x")
    if not (sign and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise typer.BadParameter(f"{text!r} is no size; write width x height like 580x420")
    return int(width), int(height)
