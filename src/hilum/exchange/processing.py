"""What happens before and after the network, as plain JSON that any language can follow."""

from __future__ import annotations

from typing import Any

from hilum import tasks
from hilum.exchange.answer import Entry
from hilum.planning.plan import Plan
from hilum.training.run import Run

VERSION = 1
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
    values = {key: getattr(data, key) for key in _KEPT}
    steps = [
        "channels: grey repeated to colour; colour to grey by 0.299 R + 0.587 G + 0.114 B",
        *(["light: the image is divided by its smooth bright background"] if data.flatten_light else []),
        _resize_words(plan),
        _normalise_words(plan),
    ]
    if data.neighbours:
        steps.append(
            f"slices: each with {data.neighbours} above and below as further channels, ends repeated"
        )
    if data.lungs != "none":
        steps.append(f"lungs: a scan is cut to its lungs first ({data.lungs}), with {data.margin_mm:g} mm")
    return {**values, "channels": data.channels, "neighbours": data.neighbours, "steps": steps}


def _resize_words(plan: Plan) -> str:
    data = plan.data
    how = "by area means where it shrinks, else linearly between pixel centres"
    if data.size is not None:
        return f"size: resized to {data.size[0]} x {data.size[1]} (Y, X) {how}"
    if data.spacing is not None:
        return f"spacing: resampled to {data.spacing} {how}, in the plane {data.downsample} times coarser"
    return f"size: Y and X divided by {data.downsample}, rounded, {how}"


def _normalise_words(plan: Plan) -> str:
    match plan.data.normalise:
        case "image":
            return "intensities: (x - mean) / max(std, 0.001), mean and std of this image over all channels"
        case "window":
            return "intensities: cut to the window, brought to 0 to 1, then (x - mean) / std by channel"
        case _:
            return "intensities: (x - mean) / std by channel, mean and std as given here"
