"""`hilum export --format bioimageio`: a model package after the BioImage Model Zoo's format 0.5.

Its input is an image at working resolution; normalising is part of its description, but for slices of a
volume that is normalised as a whole. Test tensors are noise,
so that no image of the study leaves the house. The zoo's own test has passed before the package is written.
"""

from __future__ import annotations

import json
import re
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.errors import HilumError, ImageError, needed
from hilum.exchange.answer import Answer, Entry, entry_of
from hilum.exchange.card import model_card
from hilum.exchange.exports import Exported, place_file
from hilum.exchange.graphs import OPSET, write_torchscript
from hilum.exchange.onnx_folder import written_and_checked
from hilum.exchange.processing import processing
from hilum.files import whole_file
from hilum.image.arrays import load_array
from hilum.image.readers import probe
from hilum.planning.plan import DataPlan
from hilum.study.study import Case
from hilum.training.prepare import OWN_SCALE, normalise
from hilum.training.run import Run, load_network

_NAMED = re.compile(r"[^A-Za-z0-9 _()-]")
_SPACE = {2: "yx", 3: "zyx"}
_LOOKED_AT = 5
# Added to a spread, whatever its unit.
_EPS = 1e-9
_WORKING = "an image at working resolution; README.md and model.json say how it is brought there"
_BY_VOLUME = "slices of a volume that was normalised as a whole, (x - mean) / std; see README.md"
_HOW_BY_VOLUME = """
## Input

This package does not normalise, because it sees some slices of a volume at a time. Bring the whole volume to
its working resolution and normalise it, both as model.json says, (x - mean) / std with mean and std over all
of its voxels, and only then take its slices. The test tensors are normalised.
"""


def export(run: Run, out: Path | None) -> Exported:
    """Write one zip with ONNX and TorchScript weights, test tensors, description and model card.

    Raises HilumError where bioimageio.core is missing or its test of the package fails.
    """
    _check_versions()
    core = needed("bioimageio.core", "bioimageio")
    spec = needed("bioimageio.spec", "bioimageio")
    path = place_file(run, out, "bioimageio.zip")
    networks = [load_network(run, index) for index in run.trained_folds()]
    answer = Answer(networks, run.plan).eval()
    entry = entry_of(run.plan, answer.divisor)
    with tempfile.TemporaryDirectory(prefix="hilum-") as scratch:
        folder = Path(scratch)
        parity = written_and_checked(folder / "model.onnx", run, networks, entry)
        write_torchscript(folder / "model.pt", answer, entry)
        _write_tensors(folder, answer, entry, _given(run))
        about = model_card(run) + (_HOW_BY_VOLUME if _by_volume(run) else "")
        (folder / "README.md").write_text(about, encoding="utf-8")
        settings = {**processing(run, entry), "parity": parity.to_json()}
        (folder / "model.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
        described = _description(run, entry, folder)
        tested = core.test_model(described)
        if tested.status != "passed":
            raise HilumError(f"{run.folder}: the package fails bioimageio.core's test: {_why(tested)}")
        with whole_file(path) as beside:
            spec.save_bioimageio_package(described, output_path=beside)
    return Exported(path, (path,), (str(parity), "bioimageio.core's test has passed"))


def _check_versions() -> None:
    """Raise HilumError for a bioimageio.spec that is known to fail with the pydantic at hand.

    Up to 0.5.12 it hands pydantic's serialiser an argument that pydantic 2.14 refuses.
    """
    needed("bioimageio.spec", "bioimageio")
    found, pydantic = version("bioimageio.spec"), version("pydantic")
    if _numbers(found) < (0, 5, 13) and _numbers(pydantic) >= (2, 14):
        raise HilumError(
            f"bioimageio.spec {found} does not work with pydantic {pydantic}; type: "
            "pip install 'hilum[bioimageio]', which takes pydantic below 2.14"
        )


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: (2, 14, 3) of "2.14.3"."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _by_volume(run: Run) -> bool:
    """Whether slices are normalised by their whole volume, which no step that sees slices alone can do."""
    data = run.plan.data
    if data.normalise not in OWN_SCALE or data.dims == 3:
        return False
    return data.neighbours > 0 or any(_is_volume(case) for case in run.study.cases[:_LOOKED_AT])


def _is_volume(case: Case) -> bool:
    """Whether a case is a volume, by its header; False where its file is not there any more."""
    try:
        return len(probe(case.image.path, case.image.entry, case.image.index).shape) > 2
    except ImageError:
        return False


def _given(run: Run) -> DataPlan:
    """What is left of the plan's normalising for the package to do."""
    done = {"normalise": "study", "mean": [], "std": []}
    return run.plan.data.model_copy(update=done if _by_volume(run) else {})


def _write_tensors(folder: Path, answer: Answer, entry: Entry, data: DataPlan) -> None:
    """Noise as an image at working resolution, and what the networks answer to it."""
    raw = _noise(entry, data)
    with torch.inference_mode():
        prepared = torch.stack([normalise(torch.from_numpy(one), _repeated(data)) for one in raw])
        found = answer(prepared)
    np.save(folder / "input.npy", raw, allow_pickle=False)
    np.save(folder / "output.npy", found.numpy(), allow_pickle=False)


def _repeated(data: DataPlan) -> DataPlan:
    """The plan with mean and spread of each channel, those of neighbouring slices included."""
    update = {"mean": list(data.mean) * data.planes, "std": list(data.std) * data.planes}
    return data.model_copy(update=update if len(data.mean) > 1 else {})


def _noise(entry: Entry, data: DataPlan) -> NDArray[np.float32]:
    """Pixels of the intensities that the networks know, before they are normalised, (1, C, *S)."""
    noise = entry.example()[:1].numpy()
    column = (1, -1, *[1] * entry.dims)
    full = _repeated(data)
    mean, std = (
        np.reshape(values or [other], column) for values, other in ((full.mean, 0.0), (full.std, 1.0))
    )
    if data.normalise in OWN_SCALE:
        return np.asarray(100 + 30 * noise, np.float32)
    values = noise * std + mean
    if data.normalise == "window" and data.window:
        low, high = data.window
        values = values * (high - low) + low
    return np.asarray(values, np.float32)


def _description(run: Run, entry: Entry, folder: Path) -> Any:
    """What the zoo's software must know of the model."""
    v = needed("bioimageio.spec.model.v0_5", "bioimageio")
    names = run.plan.data.outputs
    title = _NAMED.sub(" ", f"Hilum {run.plan.task} {' '.join(names)}")[:120].strip()
    return v.ModelDescr(
        name=title,
        description=f"{run.plan.task} of {', '.join(names)} by Hilum; README.md tells data, scores, limits",
        authors=[v.Author(name="made with Hilum")],
        documentation=v.FileDescr(source=folder / "README.md"),
        attachments=[v.FileDescr(source=folder / "model.json")],
        license=None,
        tags=["hilum", run.plan.task],
        inputs=[_input(v, entry, run, folder)],
        outputs=[_output(v, entry, run, folder)],
        weights=v.WeightsDescr(
            onnx=v.OnnxWeightsDescr(source=folder / "model.onnx", opset_version=OPSET, parent="torchscript"),
            torchscript=v.TorchscriptWeightsDescr(
                source=folder / "model.pt", pytorch_version=torch.__version__.partition("+")[0]
            ),
        ),
    )


def _input(v: Any, entry: Entry, run: Run, folder: Path) -> Any:
    channels = [f"channel{index}" for index in range(entry.channels)]
    sides = entry.size or (None,) * entry.dims
    step = entry.divisor
    space = [
        v.SpaceInputAxis(id=name, size=side if side else v.ParameterizedSize(min=step, step=step))
        for name, side in zip(_SPACE[entry.dims], sides, strict=True)
    ]
    return v.InputTensorDescr(
        id="image",
        description=_BY_VOLUME if _by_volume(run) else _WORKING,
        axes=[v.BatchAxis(), v.ChannelAxis(channel_names=channels), *space],
        data=v.IntervalOrRatioDataDescr(type="float32"),
        test_tensor=v.FileDescr(source=folder / "input.npy"),
        preprocessing=_steps(v, _given(run)),
    )


def _steps(v: Any, data: DataPlan) -> list[Any]:
    """Normalising, in the zoo's words."""
    if data.normalise in OWN_SCALE:
        axes = [*(["channel"] if data.normalise == "image" else []), *_SPACE[data.dims]]
        return [v.ZeroMeanUnitVarianceDescr(kwargs=v.ZeroMeanUnitVarianceKwargs(axes=axes, eps=_EPS))]
    if data.normalise == "study" and not data.mean and not data.std:
        return []
    steps = []
    if data.normalise == "window" and data.window:
        low, high = data.window
        steps.append(v.ClipDescr(kwargs=v.ClipKwargs(min=low, max=high)))
        gain = 1 / (high - low)
        steps.append(v.ScaleLinearDescr(kwargs=v.ScaleLinearKwargs(gain=gain, offset=-low * gain)))
    full = _repeated(data)
    mean, std = full.mean or [0.0], full.std or [1.0]
    if len(mean) == 1:
        kwargs = v.FixedZeroMeanUnitVarianceKwargs(mean=mean[0], std=std[0])
    else:
        kwargs = v.FixedZeroMeanUnitVarianceAlongAxisKwargs(mean=mean, std=std, axis="channel")
    return [*steps, v.FixedZeroMeanUnitVarianceDescr(kwargs=kwargs)]


def _output(v: Any, entry: Entry, run: Run, folder: Path) -> Any:
    found = load_array(folder / "output.npy")
    space = [
        v.SpaceOutputAxis(id=name, size=v.SizeReference(tensor_id="image", axis_id=name))
        for name in (_SPACE[entry.dims] if found.ndim > 2 else "")
    ]
    names = [_NAMED.sub("_", name) or "output" for name in run.plan.data.outputs]
    return v.OutputTensorDescr(
        id="probability",
        description="probability of each output, all folds averaged",
        axes=[v.BatchAxis(), v.ChannelAxis(channel_names=names), *space],
        data=v.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
        test_tensor=v.FileDescr(source=folder / "output.npy"),
    )


def _why(tested: Any) -> str:
    """The first error of the zoo's summary."""
    errors = [error.msg for detail in tested.details for error in detail.errors]
    return " ".join(errors[0].split())[:300] if errors else str(tested.status)
