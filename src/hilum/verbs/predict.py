"""`hilum predict`: new images through a run's networks, with masks or labels, measurements and scores."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hilum import tasks
from hilum.errors import HilumError, ImageError, StudyError
from hilum.exchange.annotations import check_annotations, file_names, write_annotations
from hilum.exchange.bundle import opened as open_run_or_bundle
from hilum.exchange.dicom_seg import check_dicom_seg, write_dicom_segs
from hilum.exchange.submissions import start_submission
from hilum.files import read_json, write_json
from hilum.image.pyramid import is_field, is_zarr
from hilum.inference.engines import ENGINES
from hilum.inference.predictor import Predictor, make_predictor
from hilum.planning.device import find_device
from hilum.planning.plan import Plan
from hilum.study.check import check_cases, error_text
from hilum.study.known_classes import with_known_classes
from hilum.study.magnification import told_unlike
from hilum.study.masks import read_case_image
from hilum.study.names import common_folder, counted, image_name, listed, unique_names
from hilum.study.open import understand
from hilum.study.study import Case, Source, Study
from hilum.tasks.task import Delivery, Predicted, PredictedBlocks, Task
from hilum.training.inputs import trained_on
from hilum.training.run import Run, load_network
from hilum.verbs.huge import Blocks, begun, check_out, forget, huge, predict_huge, small_enough
from hilum.verbs.image_files import image_sources

logger = logging.getLogger(__name__)
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Delivered:
    """What `predict` wrote: the folder, how many images, what was left out and why, the task's summary."""

    out: Path
    cases: int
    left_out: tuple[str, ...]
    summary: dict[str, Any]


@dataclass
class Progress:
    """Names of the images delivered so far, why others were left out, and what ended it all, if anything.

    An error leaves its image out with `skip_bad`. Without, and by Ctrl-C, it ends the prediction, so that
    what is there gets its tables; where nothing is there, it is raised.
    """

    skip_bad: bool
    left_out: list[str]
    delivered: list[str] = field(default_factory=list)
    ended: HilumError | KeyboardInterrupt | None = None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Keep an error of one image."""
        try:
            yield
        except (HilumError, KeyboardInterrupt) as error:
            if self.skip_bad and isinstance(error, HilumError):
                logger.warning("left out: %s", error)
                self.left_out.append(str(error))
            elif self.delivered:
                self.ended = error
            else:
                raise

    @contextmanager
    def delivering(self, case: Case) -> Iterator[None]:
        """Keep an error of one image that is being written, else count it."""
        with self.guarded():
            yield
            self.delivered.append(case.name)


def predict(
    run: str | Path,
    images: Sequence[str | Path | Case] | str | Path,
    out: str | Path,
    *,
    probabilities: bool = False,
    overlays: bool = True,
    submission: str | None = None,
    device: str = "auto",
    skip_bad: bool = False,
    told: Told | None = None,
    resume: bool = False,
    mask_format: str = "tiff",
    skip_glass: bool = True,
    geojson: bool = False,
    coco: bool = False,
    dicom_seg: bool = False,
) -> Delivered:
    """Predict images (files, folders, cases) with all folds of a run together; scores where labels are there.

    `run` is the folder of a run or a bundle of one.
    `submission` names a challenge's file to write besides ("kaggle-rle"). Huge images go block by block;
    `resume` goes on with those of an interrupted prediction, `mask_format` ("tiff" or "zarr") is that of
    their masks, and empty glass is left out unless `skip_glass` is False. `geojson` writes outlines that
    QuPath imports, `coco` a COCO file of all images, `dicom_seg` DICOM segmentations of
    DICOM series. `device` is auto, cpu, cuda or openvino (processors, up to twice as fast). Raises RunError
    where `run` is not a trained run or `out` is not empty, ImageError for an unreadable image unless
    `skip_bad`.
    """
    opened = open_run_or_bundle(Path(run))
    blocks = Blocks(opened, Path(out), skip_glass)
    check_out(blocks, resume)
    collected = start_submission(submission, opened.plan) if submission else None
    if geojson or coco:
        check_annotations(opened.plan)
    if dicom_seg:
        check_dicom_seg()
    given = [images] if isinstance(images, str | Path) else images
    found = find_cases(given, opened.plan, opened.study.classes)
    cases, left_out = _sound(found, skip_bad)
    tell_magnification(cases, opened.plan)
    if geojson or coco:
        _check_whole(cases)
    if collected:
        _check_small(cases)
        collected.check(cases)
    predictor = load_predictor(opened, device)
    progress = Progress(skip_bad, left_out)
    collect = collected.add if collected else None
    delivery = Delivery(Path(out), probabilities, overlays, collect, mask_format, guard=progress.delivering)
    with begun(blocks):
        stream = _predicted(cases, predictor, told, blocks, progress)
        summary = tasks.get_task(opened.plan.task).deliver(opened, stream, delivery)
        if progress.ended:
            raise _cut_short(progress.ended, Path(out), len(progress.delivered)) from progress.ended
        names = set(progress.delivered)
        done = {case.name: case.image for case in cases if case.name in names}
        summary = {**summary, **_trained_on(opened, cases, Path(out))}
        if collected:
            summary = {**summary, "submission": str(collected.write(Path(out)))}
        if geojson or coco:
            paths = {name: image.path for name, image in done.items()}
            write_annotations(Path(out), file_names(paths), opened.plan.data.outputs, geojson, coco)
        if dicom_seg:
            write_dicom_segs(Path(out), done, opened.plan.data.outputs)
        forget(Path(out))
    return Delivered(Path(out), len(progress.delivered), tuple(left_out), summary)


def _sound(cases: Sequence[Case], skip_bad: bool) -> tuple[list[Case], list[str]]:
    """The cases whose headers can be read, and what is wrong with the others, before any work.

    Raises ImageError that lists all bad ones, unless they are to be left out.
    """
    errors = check_cases(cases)
    if errors and not skip_bad:
        raise ImageError(error_text(common_folder(case.image.path for case in cases), errors))
    bad = {name for finding in errors for name in finding.cases}
    for finding in errors:
        logger.warning("left out: %s", finding.message)
    return [case for case in cases if case.name not in bad], [finding.message for finding in errors]


def tell_magnification(cases: Sequence[Case], plan: Plan) -> None:
    """Warn of images whose pixels have another size than those trained on, where that is not evened out."""
    data = plan.data
    evened = data.spacing is not None or data.size is not None
    if data.pixel_um and not evened and (words := told_unlike(cases, data.pixel_um)):
        logger.warning("%s", words)


def _check_whole(cases: Sequence[Case]) -> None:
    """Raise StudyError for fields of slides: outlines of them would lie in the corner of their slide."""
    slides = dict.fromkeys(case.image.path for case in cases if is_field(case.image.entry))
    if slides:
        paths = " ".join(str(path) for path in [*slides][:3])
        raise StudyError(
            f"{counted(len(slides), 'annotated slide')} would be predicted field by field, and outlines "
            f"would not lie where they belong; name the slides themselves: hilum predict RUN {paths} ..."
        )


def _check_small(cases: Sequence[Case]) -> None:
    """Raise ImageError for huge images, whose masks are never in memory as a whole."""
    large = [str(case.image) for case in cases if huge(case)]
    if large:
        raise ImageError(
            f"--submission: {len(large)} of the images are huge ({listed(large)}), which have no place in a "
            "submission; leave them out, or predict without --submission"
        )


def _cut_short(error: HilumError | KeyboardInterrupt, out: Path, done: int) -> BaseException:
    """What ended a prediction, with what is there all the same; --resume may go on in its folder."""
    kept = f"{counted(done, 'image')} before it and {'its' if done == 1 else 'their'} tables are in {out}"
    if isinstance(error, KeyboardInterrupt):
        logger.warning("stopped: %s; begin again with --resume", kept)
        return KeyboardInterrupt()
    return type(error)(f"{error}; {kept}. Say --skip-bad to leave such images out, --resume to begin again")


def _trained_on(run: Run, cases: Sequence[Case], out: Path) -> dict[str, Any]:
    """Names of scored cases that the run learnt from, whose scores are too good; told to the file, too."""
    seen = trained_on(run, [case for case in cases if case.masks or case.labels or case.marks is not None])
    if not seen:
        return {}
    logger.warning(
        "%s of these were trained on, such as %s: such scores are too good. Out of fold they are scored by: "
        "hilum evaluate %s",
        counted(len(seen), "image"),
        seen[0],
        run.folder,
    )
    path = out / "evaluation" / "summary.json"
    if path.is_file():
        write_json(path, {**read_json(path), "trained_on": list(seen)})
    return {"trained_on": list(seen)}


def load_predictor(run: Run, device: str = "auto") -> Predictor:
    """All trained folds of a run, on this machine's device and with its precision, or by an engine."""
    engine = ENGINES.get(device)
    here = find_device("cpu" if engine else device)
    plan = run.plan.model_copy(deep=True)
    plan.training.device = "cuda" if here.kind == "cuda" else "cpu"
    if plan.training.precision != "32-true" and not here.bf16:
        plan.training.precision = "32-true"
    networks = [load_network(run, index) for index in run.trained_folds()]
    return make_predictor([engine(one, plan) for one in networks] if engine else networks, plan)


def find_cases(images: Sequence[str | Path | Case], plan: Plan, classes: Sequence[str] = ()) -> list[Case]:
    """The cases behind files and folders; a folder that is a study of the plan's outputs keeps its labels.

    Images of such a study that nobody has annotated are predicted, too; `classes` are all that the run
    knows, which those of the folder are matched with. Raises StudyError where nothing is found, ImageError
    where a file does not exist.
    """
    cases: list[Case] = []
    plain: list[Case] = []
    for given in images:
        if isinstance(given, Case):
            cases.append(given)
            continue
        path = Path(given)
        if not path.exists():
            raise ImageError(f"{path}: no such file or folder")
        study = _understood(path, plan)
        if study and study.classes and classes:
            study = with_known_classes(study, classes)
        if study and _carries(study, plan):
            cases += study.cases
            plain += study.unannotated
        elif study and study.targets:
            told = "%s: its masks are of %s, not of %s: its images are predicted, the masks are passed over"
            logger.warning(told, path, ", ".join(study.targets), ", ".join(plan.data.outputs))
            plain += [bare(case) for case in (*study.cases, *study.unannotated)]
        else:
            folder = path.is_dir() and not is_zarr(path)
            plain += [Case("", one) for one in (image_sources(path) if folder else [Source(path)])]
    if len({case.name for case in cases}) < len(cases):  # of two folders
        cases, plain = [], [*cases, *plain]
    names = unique_names([_key(case) for case in plain], {case.name for case in cases})
    cases += [replace(case, name=name) for name, case in zip(names, plain, strict=True)]
    if not cases:
        raise StudyError(f"{', '.join(map(str, images))}: no image found")
    return cases


def _understood(path: Path, plan: Plan) -> Study | None:
    """The study that a path is, if it is one, by the run's groups where they can be told."""
    if is_zarr(path) or not (path.is_dir() or path.suffix in (".csv", ".npz")):
        return None
    for group_by in dict.fromkeys((plan.data.group_by, None)):
        try:
            return understand(path, group_by)
        except HilumError as error:
            if group_by:
                logger.info("%s: groups are guessed, as the run's do not fit (%s)", path, error)
    return None


def _carries(study: Study, plan: Plan) -> bool:
    """Whether a study knows any of the plan's outputs."""
    return bool(set(plan.data.outputs) & {*study.targets, *study.classes})


def bare(case: Case) -> Case:
    """A case without its annotation."""
    return replace(case, masks={}, labels={}, marks=None)


def _key(case: Case) -> tuple[str, ...]:
    """What a case may be named by: its folders, then the name that a study gave it, or that of its file."""
    path = case.image.path
    own = case.name.split("/") if case.name else [image_name(path)]
    return (*path.parts[-3:-1], *own)


def _predicted(
    cases: Sequence[Case],
    predictor: Predictor,
    told: Told | None,
    blocks: Blocks,
    progress: Progress,
) -> Iterator[Predicted | PredictedBlocks]:
    """One image after the other, so that memory does not grow with their number."""
    task = tasks.get_task(predictor.plan.task)
    for index, case in enumerate(cases):
        predicted = None
        with progress.guarded():
            predicted = predict_one(case, predictor, task, blocks)
        if predicted is not None:
            yield predicted
        if progress.ended:
            return
        if told:
            told(index + 1, len(cases))


def predict_one(case: Case, predictor: Predictor, task: Task, blocks: Blocks) -> Predicted | PredictedBlocks:
    """What the networks say of one image, be it huge or not."""
    large = huge(case)
    if large and task.in_blocks:
        return predict_huge(case, predictor, blocks)
    image = small_enough(case, predictor) if large else read_case_image(case)
    return Predicted(case, image, predictor.prepared(task.prepare(image, predictor.plan)))
