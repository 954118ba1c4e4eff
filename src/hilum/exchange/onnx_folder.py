"""`hilum export --format onnx`: the networks as ONNX, beside them how to use them, checked before done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from hilum.exchange.answer import Answer, Entry, entry_of
from hilum.exchange.exports import Exported, place
from hilum.exchange.graphs import OnnxNetwork, write_onnx
from hilum.exchange.parity import TOLERANCE, Parity, check_noise, check_parity, exact_plan
from hilum.exchange.processing import processing, second_stage
from hilum.files import whole_file, write_json
from hilum.inference.predictor import make_predictor
from hilum.tasks.second_stage import load_second, second_plan
from hilum.training.run import Run, load_network

MODEL, SECOND, SETTINGS = "model.onnx", "second.onnx", "model.json"


def export(run: Run, out: Path | None) -> Exported:
    """Write model.onnx (all folds averaged) and model.json; of a detector second.onnx too.

    Raises HilumError where a package is missing or the file does not answer as the run does.
    """
    folder = place(run, out, "onnx")
    networks = [load_network(run, index) for index in run.trained_folds()]
    answer = Answer(networks, run.plan)
    entry = entry_of(run.plan, answer.divisor)
    with tempfile.TemporaryDirectory(prefix="hilum-") as scratch:
        written = Path(scratch) / MODEL
        parity = written_and_checked(written, run, networks, entry)
        second = _second(run, Path(scratch) / SECOND)
        files = [_placed(written, folder / MODEL)]
        files += [_placed(Path(scratch) / SECOND, folder / SECOND)] if second else []
    content = {**processing(run, entry), "parity": parity.to_json(), "model": MODEL}
    if second:
        content["second"] = second
    write_json(folder / SETTINGS, content)
    return Exported(folder, (*files, folder / SETTINGS), (str(parity),), {"parity": parity.to_json()})


def written_and_checked(path: Path, run: Run, networks: Sequence[nn.Module], entry: Entry) -> Parity:
    """Write an ONNX file and compare it with the run. Raises HilumError where it differs."""
    write_onnx(path, Answer(networks, run.plan), entry)
    return check_parity(run, networks, OnnxNetwork(path, run.plan.model.activation, entry.divisor), entry)


def _second(run: Run, path: Path) -> dict[str, Any] | None:
    """Write a detector's second classifier as ONNX; how it is used, None where there is none.

    Raises HilumError where the file does not answer as the run does.
    """
    networks = load_second(run, run.trained_folds()) if run.plan.detection.second != "never" else ()
    if not networks:
        return None
    plan = exact_plan(second_plan(run.plan))
    networks = make_predictor(networks, plan).networks  # from a graphics card to where it is written
    side = plan.training.patch[0]
    entry = Entry(1, 3, 1, (side, side, side))
    write_onnx(path, Answer(networks, plan), entry)
    difference = check_noise(networks, OnnxNetwork(path, plan.model.activation, entry.divisor), plan, entry)
    parity = {"largest_difference": difference, "tolerance": TOLERANCE}
    return {"model": SECOND, **second_stage(run.plan), "parity": parity}


def _placed(source: Path, target: Path) -> Path:
    """A finished file brought to its place."""
    with whole_file(target) as beside:
        shutil.copyfile(source, beside)
    return target
