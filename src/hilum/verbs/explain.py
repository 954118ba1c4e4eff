"""`hilum explain`: what a run's networks look at in an image, and how sure they are."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from hilum import tasks
from hilum.errors import HilumError
from hilum.explanation.case import CaseExplanation, Question, explain_case
from hilum.explanation.choice import choose
from hilum.explanation.decision import Decide
from hilum.files import whole_file, write_rows
from hilum.inference.engines import ENGINES
from hilum.inference.predictor import Predictor
from hilum.models.features import feature_layers
from hilum.reporting.blocks import Section
from hilum.reporting.explanations import (
    activation_picture,
    case_rows,
    case_section,
    feature_picture,
    occlusion_picture,
    reading_section,
    uncertainty_picture,
)
from hilum.reporting.overlay import Pixels, target_colours
from hilum.reporting.page import write_report
from hilum.study.masks import read_case_image
from hilum.study.names import counted
from hilum.study.study import Case
from hilum.training.run import Run, check_new, open_run
from hilum.verbs.huge import huge
from hilum.verbs.predict import find_cases, load_predictor

logger = logging.getLogger(__name__)
Told = Callable[[int, int], None]
SHOWN = 40
WITH_FEATURES = 6


@dataclass(frozen=True)
class Explained:
    """What `explain` wrote: the folder, its page, a row for each case and output, what was left out."""

    out: Path
    page: Path
    rows: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...]


def explain(
    run: str | Path,
    images: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    target: str | Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    cam_layer: str | None = None,
    fold: int | None = None,
    occlusion: bool = True,
    device: str = "auto",
    skip_bad: bool = False,
    told: Told | None = None,
) -> Explained:
    """Explain images (files or folders): feature maps, Grad-CAM, occlusion, uncertainty, and explain.html.

    Writes for each case features-LAYER.png, gradcam-TARGET.jpg, occlusion-TARGET.jpg and uncertainty.jpg into
    its folder, and uncertainty.csv over all. `target` names classes or targets (default: all targets, or
    the classes named), `layers` those whose feature maps are shown (default: all), `cam_layer` the one that
    Grad-CAM looks at. Feature maps, Grad-CAM and occlusion are of one network, that of `fold` (default: the
    first trained).
    Raises HilumError for an unknown target, layer or fold, RunError where `run` is not a trained run or `out`
    is not empty, ImageError for an unreadable image unless `skip_bad` leaves it out.
    """
    if device in ENGINES:
        raise HilumError(f"--device {device} predicts alone: to look into layers choose auto, cpu or cuda")
    opened, out = open_run(Path(run)), Path(out)
    check_new(out)
    network = _network(opened, fold)
    targets = _targets(opened, target) if target else None
    cases = find_cases([images] if isinstance(images, str | Path) else images, opened.plan)
    predictor = load_predictor(opened, device)
    known = feature_layers(predictor.networks[network])
    question = Question(
        targets=tuple(targets) if targets else None,
        layers=tuple(choose(layers, known, "layer")) if layers else None,
        layer=choose(cam_layer, known, "layer")[0] if cam_layer else None,
        occlusion=occlusion,
        network=network,
        decide=decide_as(opened),
    )
    colours = target_colours(opened.plan.data.outputs)
    left_out: list[str] = []
    rows: list[dict[str, Any]] = []
    sections: list[Section] = []
    stream = _explained(cases, opened, predictor, question, left_out if skip_bad else None)
    for index, case in enumerate(stream):
        _write_pictures(out / case.name, case)
        rows += case_rows(case)
        if index < SHOWN:
            sections.append(case_section(case, index < WITH_FEATURES, colours))
        if told:
            told(index + 1, len(cases))
    if not rows:
        raise HilumError(f"no image could be explained: {'; '.join(left_out)}")
    write_rows(out / "uncertainty.csv", rows)
    page = _write_page(out, opened, network, rows, sections)
    return Explained(out, page, tuple(rows), tuple(left_out))


def decide_as(run: Run, presence: bool = True) -> Decide:
    """How `hilum predict` decides on new images of a run; of huge ones without asking for `presence`.

    Raises RunError where its thresholds are damaged.
    """
    return tasks.get_task(run.plan.task).decide(run, presence)


def _targets(run: Run, asked: str | Sequence[str]) -> list[str]:
    """The outputs asked for. Raises HilumError for other names, and for a class that is another's absence."""
    outputs = run.plan.data.outputs
    others = [name for name in run.study.classes if name not in outputs]
    for name in [asked] if isinstance(asked, str) else asked:
        if len(outputs) == 1 and others == [name]:
            raise HilumError(
                f"--target {name}: {run.folder} tells {name} as the absence of {outputs[0]}, so what speaks "
                f"against {outputs[0]} speaks for it; say --target {outputs[0]}"
            )
    return choose(asked, outputs, "target")


def _network(run: Run, fold: int | None) -> int:
    """Place of a fold's network among those that are trained."""
    trained = run.trained_folds()
    if fold is None:
        return 0
    if fold not in trained:
        raise HilumError(f"--fold {fold}: is not trained; choose from {', '.join(map(str, trained))}")
    return trained.index(fold)


def _explained(
    cases: Sequence[Case], run: Run, predictor: Predictor, question: Question, left_out: list[str] | None
) -> Iterator[CaseExplanation]:
    for case in cases:
        try:
            asked = replace(question, decide=decide_as(run, presence=False)) if huge(case) else question
            found = explain_case(case.name, read_case_image(case), predictor, asked)
        except HilumError as error:
            if left_out is None:
                raise
            logger.warning("left out: %s", error)
            left_out.append(str(error))
            continue
        yield found


def _write_pictures(folder: Path, case: CaseExplanation) -> None:
    for features in case.features:
        _save(folder / f"features-{_safe(features.layer)}.png", feature_picture(features))
    for output in case.outputs:
        _save(folder / f"gradcam-{_safe(output.name)}.jpg", activation_picture(case, output))
        if output.fall is not None:
            _save(folder / f"occlusion-{_safe(output.name)}.jpg", occlusion_picture(case, output))
    doubt = uncertainty_picture(case, case.outputs)
    if doubt is not None:
        _save(folder / "uncertainty.jpg", doubt)


def _save(path: Path, picture: Pixels) -> None:
    with whole_file(path) as beside:
        Pillow.fromarray(picture).save(beside, quality=90)


def _safe(name: str) -> str:
    """A name as part of a file name: letters, digits, dot, dash and underscore are kept."""
    return re.sub(r"[^\w.-]+", "_", name)


def _write_page(
    out: Path, run: Run, network: int, rows: Sequence[dict[str, Any]], sections: Sequence[Section]
) -> Path:
    plan, trained = run.plan, run.trained_folds()
    cases = len({row["case"] for row in rows})
    note = "All pictures at full size lie beside this page, in a folder for each case."
    if cases > len(sections):
        note += f" The first {len(sections)} of {cases} cases are shown here."
    if len(sections) > WITH_FEATURES:
        note += f" The feature maps of the first {WITH_FEATURES} are."
    subtitle = (
        f"{counted(cases, 'image')}; network {plan.model.name} of fold {trained[network]}, uncertainty of "
        f"{counted(len(trained), 'fold')}, run {run.folder.resolve().name}"
    )
    title = f"Why: {', '.join(plan.data.outputs)}"
    return write_report(out / "explain.html", title, subtitle, [reading_section(rows, note), *sections])
