"""What happens before and after the network, as plain JSON that any language can follow."""

from __future__ import annotations

from typing import Any

from hilum import tasks
from hilum.ct.hounsfield import AIR_HU, HIGHEST_HU, LOWEST_HU
from hilum.exchange.answer import Entry
from hilum.planning.plan import DataPlan, Plan
from hilum.planning.rules import FLAT
from hilum.tasks.second_stage import second_plan
from hilum.training.prepare import SAME_SPACING
from hilum.training.run import Run

VERSION = 1
_FLAT_WORDS = f"a std <= {FLAT:g} |mean| becomes 1"
_KEPT = ("flatten_light", "downsample", "size", "spacing", "normalise", "window", "mean", "std")


def processing(run: Run, entry: Entry) -> dict[str, Any]:
    """Pre- and post-processing of a run: what stands beside an exported network as model.json."""
    plan = run.plan
    return {
        "format": "hilum-model",
        "version": VERSION,
        "task": plan.task,
        "outputs": list(plan.data.outputs),
        "input": {
            "name": "image",
            "axes": "BCYX" if entry.dims == 2 else "BCZYX",
            "channels": entry.channels,
            "divisor": entry.divisor,
            "size": list(entry.size) if entry.size else None,
            "type": "float32",
        },
        "output": {"name": "probability", "range": [0, 1], "activation": "applied"},
        "before": before(plan),
        "inference": {
            "flips": list(plan.inference.flips),
            "tile": plan.inference.tile,
            "tiles": plan.inference.tiles,
            "overlap": plan.inference.overlap,
            "folds": "averaged in the graph",
        },
        "after": dict(tasks.get_task(plan.task).rule(run)),
    }


def before(plan: Plan) -> dict[str, Any]:
    """From stored pixels to the network's input, in order, with what each step does in words."""
    data = plan.data
    steps = _scan_steps(data) if plan.task == "detect" else _image_steps(data)
    steps.append(_normalise_words(data))
    if data.neighbours:
        steps.append(
            f"slices: each with {data.neighbours} above and below as further channels, ends repeated"
        )
    return {**_values(data), "channels": data.channels, "neighbours": data.neighbours, "steps": steps}


def second_stage(plan: Plan) -> dict[str, Any]:
    """How a detector's second classifier is used: its cubes, its flips, and how two answers become one."""
    wanted, second = plan.detection, second_plan(plan)
    return {
        "cube": wanted.cube,
        "mm": wanted.cube_mm,
        "before": {**_values(second.data), "channels": 1, "steps": _cube_steps(plan)},
        "inference": {"flips": list(second.inference.flips), "folds": "averaged in the graph"},
        "combined": (
            "first: the candidate's own probability, (peak + mean) / 2 of its region, or that of a round "
            "dense spot; second: what this file answers on its cube; "
            "log odds(p) = ln((p + 1e-6) / (1 - p + 1e-6)); "
            "probability = 1 / (1 + exp(-(log odds(first) + log odds(second)) / 2)), which "
            "after.threshold is for; where after.second is false it is the first alone"
        ),
    }


def _values(data: DataPlan) -> dict[str, Any]:
    return {key: getattr(data, key) for key in _KEPT}


def _image_steps(data: DataPlan) -> list[str]:
    how = "by area means where no axis grows, else linearly between pixel centres"
    return [
        "channels: grey repeated to colour; colour to grey by 0.299 R + 0.587 G + 0.114 B",
        *(["light: the image is divided by its smooth bright background"] if data.flatten_light else []),
        _resize_words(data, how),
    ]


def _scan_steps(data: DataPlan) -> list[str]:
    """What `hilum.tasks.scans.read_scan` does."""
    how = (
        "linearly between voxel centres, first Y and X, then Z; an axis that shrinks with a triangle as much "
        'wider (PyTorch: mode="bilinear", antialias=True, align_corners=False)'
    )
    return [
        "channels: a volume of one channel in Hounsfield units",
        *([f"lungs: cut to the box around them, with {data.margin_mm:g} mm"] if data.lungs != "none" else []),
        _air_words(),
        *([f"blank: all outside the lungs becomes {AIR_HU}"] if data.lungs in ("blank", "classic") else []),
        _resize_words(data, how),
    ]


def _cube_steps(plan: Plan) -> list[str]:
    """What `hilum.ct.grids.cut_cube` does."""
    side, size = plan.detection.cube, plan.detection.cube_mm
    return [
        "channels: the scan as it is stored, not its working grid, in Hounsfield units",
        _air_words(),
        f"cube: {side} voxels of {size:g} mm a side along the scan's axes (Z, Y, X), the candidate's "
        f"centre in the middle of them, interpolated linearly; beyond the scan is {AIR_HU}",
        _normalise_words(second_plan(plan).data),
    ]


def _air_words() -> str:
    return f"air: values below -1200 become {AIR_HU}, the others are cut to {LOWEST_HU} .. {HIGHEST_HU}"


def _resize_words(data: DataPlan, how: str) -> str:
    if data.size is not None:
        return f"size: resized to {data.size[0]} x {data.size[1]} (Y, X) {how}"
    if data.spacing is None:
        return f"size: Y and X divided by {data.downsample}, rounded, {how}"
    wanted = [*data.spacing[:-2], *(size * data.downsample for size in data.spacing[-2:])]
    return (
        f"spacing: resampled to {wanted}; an axis gets max(1, round(side * own / wanted)) pixels, one whose "
        f"own / wanted is less than 1/{round(1 / SAME_SPACING)} away from 1 stays as it is; {how}"
    )


def _normalise_words(data: DataPlan) -> str:
    match data.normalise:
        case "image":
            return (
                f"intensities: (x - mean) / std, mean and std of this image over all channels; {_FLAT_WORDS}"
            )
        case "channel":
            return f"intensities: (x - mean) / std, mean and std of each channel of this image; {_FLAT_WORDS}"
        case "window":
            return "intensities: cut to the window, brought to 0 to 1, then (x - mean) / std by channel"
        case _:
            return "intensities: (x - mean) / std by channel, mean and std as given here"
