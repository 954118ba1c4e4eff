"""`hilum export --format onnx`: the networks as ONNX, beside them how to use them, checked before done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from hilum.exchange.answer import Answer, Entry, entry_of
from hilum.exchange.exports import Exported, place
from hilum.exchange.graphs import OnnxNetwork, write_onnx
from hilum.exchange.parity import Parity, check_parity
from hilum.exchange.processing import processing
from hilum.files import whole_file, write_json
from hilum.planning.plan import Plan
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
        files = [_placed(written, folder / MODEL)]
        second = _second(run, Path(scratch))
        files += [_placed(second, folder / SECOND)] if second else []
    content = {**processing(run, entry), "parity": parity.to_json(), "model": MODEL}
    if second:
        content["second"] = {
            "model": SECOND,
            "cube": run.plan.detection.cube,
            "mm": run.plan.detection.cube_mm,
        }
    write_json(folder / SETTINGS, content)
    return Exported(folder, (*files, folder / SETTINGS), (str(parity),), {"parity": parity.to_json()})


def written_and_checked(path: Path, run: Run, networks: Sequence[nn.Module], entry: Entry) -> Parity:
    """Write an ONNX file and compare it with the run. Raises HilumError where it differs."""
    write_onnx(path, Answer(networks, run.plan), entry)
    return check_parity(run, networks, OnnxNetwork(path, run.plan.model.activation, entry.divisor), entry)


def _second(run: Run, scratch: Path) -> Path | None:
    """A detector's second classifier as ONNX; None where there is none."""
    networks = load_second(run, run.trained_folds()) if run.plan.detection.second != "never" else ()
    if not networks:
        return None
    plan: Plan = second_plan(run.plan)
    side = plan.training.patch[0]
    write_onnx(scratch / SECOND, Answer(networks, plan), Entry(1, 3, 1, (side, side, side)))
    return scratch / SECOND


def _placed(source: Path, target: Path) -> Path:
    """A finished file brought to its place."""
    with whole_file(target) as beside:
        shutil.copyfile(source, beside)
    return target
