"""The planner's rules: each looks at the fingerprint or the device and sets values with their reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.errors import PlanError
from hilum.image.colours import LUMINANCE
from hilum.planning.device import Device
from hilum.planning.draft import Draft
from hilum.planning.fingerprint import Fingerprint

CEILING = 0.99
PATCH = 128
WHOLE_LIMIT = 192
# Passes over all pixels from which on finer pixels pay; those from which on they are taken for half of the
# steps and each image's own normalisation costs more than it brings; the share of the time that is training.
LONG, VERY_LONG = 50.0, 150.0
FOR_TRAINING = 0.8
ALIKE = 0.5
UNEVEN = 0.1
# Below this an emptied mask costs those that have the target more than it saves the others (bench/NOTES.md).
OFTEN_EMPTY = 0.4
QUIET = "a quiet default"
SCALE = ("data.mean", "data.std")
# The spread that a fingerprint says of constant pixels; of the mean, that of rounding.
FLAT = 1e-6
WINDOW_HU = (-1000.0, 400.0)
# Channels of the levels that normalise each image alone: rare targets gain, common ones keep what colour
# tells, as the finer levels still see it (bench/NOTES.md).
GROUP_FROM = 128
# Side of the tiles that predictions are made in: what bounds their memory.
TILE = 768


@dataclass(frozen=True)
class Detail:
    """By how much `finer` than masks need it images are shown, and how many `passes` the time allows."""

    finer: int = 1
    passes: float = 0.0


AS_NEEDED = Detail()


def plan_data(draft: Draft, print_: Fingerprint, outputs: tuple[str, ...], folds: int, reason: str) -> None:
    """Channels, outputs, folds and normalisation."""
    if print_.channels == 3 and not print_.coloured:
        draft.set("data.channels", 1, f"{print_.dtype} images of 3 channels that are all the same grey")
    else:
        draft.set("data.channels", print_.channels, f"{print_.dtype} images of {print_.channels} channel(s)")
    draft.set("data.dtype", print_.dtype, "images of another bit depth are refused where one scale is shared")
    if print_.pixel_um:
        sizes = [float(f"{size:.6g}") for size in print_.pixel_um]
        draft.set("data.pixel_um", sizes, "images of another magnification are told of in predicting")
    draft.set("data.outputs", list(outputs), "in the study's order")
    draft.set("data.folds", folds, reason)
    plan_normalisation(draft, print_)


def plan_normalisation(draft: Draft, print_: Fingerprint) -> None:
    """Colour images share one scale over the study; grey ones are brought to their own mean and spread."""
    if print_.coloured:
        if print_.uneven_light >= UNEVEN:
            why = f"background light falls off by {print_.uneven_light:.0%}: it is divided out of each image"
            draft.set("data.flatten_light", True, why)
        draft.set("data.normalise", "study", "colour means the same in every image")
        fill_normalisation(draft, print_, {})
    elif draft.get("data.channels", 1) > 1:
        why = f"{print_.channels} channels, each on a scale of its own: by its mean and spread in each image"
        draft.set("data.normalise", "channel", why)
    else:
        draft.set(
            "data.normalise",
            "image",
            "grey levels have no fixed unit, so each image by its own mean and spread",
        )


def plan_resolution(draft: Draft, print_: Fingerprint, seconds: float = 0.0) -> Detail:
    """Work at the coarsest factor whose ceiling stays above 0.99 for every target, or twice as finely.

    Twice as finely where `seconds` of training a fold show every image often enough at that size too: few
    images and much time. Returns by how much finer than the coarsest it is, 1 or 2.
    """
    fits = [
        f
        for f in sorted(print_.ceilings)
        if _lowest(print_, f) >= CEILING and min(print_.median_shape[-2:]) / f >= 64
    ]
    factor = max(fits, default=1)
    lowest = _lowest(print_, factor)
    beyond = f", at {factor * 2} {_lowest(print_, factor * 2):.3f}" if factor * 2 in print_.ceilings else ""
    reason = f"masks shrunk {factor}x keep Dice {lowest:.3f}{beyond}; wanted {CEILING}"
    passes = seconds * _megapixels_a_second(draft) / _megapixels(print_, factor // 2 or 1)
    fine = factor > 1 and passes >= LONG
    if fine:
        reason += f"; time for {passes:.0f} passes over all pixels at {factor // 2}x, so finer"
    draft.set("data.downsample", factor // 2 if fine else factor, reason)
    return Detail(2 if fine else 1, passes)


def time_a_fold(draft: Draft, folds: int) -> float:
    """Processor seconds that the draft leaves a fold for training, about; 0 where steps are given."""
    if draft.get("training.steps") is not None:
        return 0.0
    if draft.get("training.cpu_s") is not None:
        return float(draft.get("training.cpu_s"))
    minutes, threads = draft.get("training.minutes") or 0.0, draft.get("training.threads") or 1
    on_cpu = threads if draft.get("training.device") == "cpu" else 1
    return float(minutes) * 60 * FOR_TRAINING * on_cpu / max(1, folds)


def _megapixels_a_second(draft: Draft) -> float:
    """What training gets through, a rough figure (`bench/NOTES.md`): it only decides on the resolution."""
    if draft.get("training.device") == "cuda":
        return 100.0
    return 2.0 if draft.get("training.precision") == "bf16-mixed" else 1.0


def _megapixels(print_: Fingerprint, factor: int) -> float:
    """Megapixels of all cases, each shrunk by a factor in plane."""
    return max(1e-6, print_.cases * math.prod(print_.median_shape) / factor**2 / 1e6)


def _lowest(print_: Fingerprint, factor: int) -> float:
    values = [value for value in print_.ceilings[factor].values() if not math.isnan(value)]
    return min(values, default=1.0)


def in_plane(draft: Draft, print_: Fingerprint, factor: int) -> tuple[int, int]:
    """The largest (Y, X) at working resolution: `data.size`, or that of the images shrunk by a factor."""
    size = draft.get("data.size") or [round(side / factor) for side in print_.largest_shape[-2:]]
    return max(1, int(size[0])), max(1, int(size[1]))


def plan_patch(draft: Draft, print_: Fingerprint, factor: int, detail: Detail = AS_NEEDED) -> tuple[int, int]:
    """Whole images where they are small at working resolution, crops else; network depth to match.

    Crops show as much of the image where the resolution is finer than needed, and the first steps are then
    taken as if it were not, on patches that have to fit the network too.
    """
    finer = detail.finer
    height, width = in_plane(draft, print_, factor)
    whole, flat = max(height, width) <= WHOLE_LIMIT, len(print_.median_shape) == 2
    side = PATCH * finer
    wanted = (height, width) if whole else (min(side, height), min(side, width))
    depth = max(2, min(5, int(math.log2(max(8, min(wanted)) / 8))))
    divisor = 2 * 2**depth * finer
    patch = tuple(-(-side // divisor) * divisor for side in wanted)
    why = f"images are {height} x {width} at working resolution"
    why += ", small enough to be taken whole" if whole else ", so crops are drawn"
    draft.set("training.whole", whole and flat, why if flat else "slices are drawn from volumes")
    draft.set("training.patch", list(patch), f"a multiple of {divisor}, which the network needs")
    plan_levels(draft, depth, flat and detail.passes < VERY_LONG)
    plan_stages(draft, factor, detail)
    return int(patch[0]), int(patch[1])


def plan_stages(draft: Draft, factor: int, detail: Detail) -> None:
    """All steps at the working resolution, or the first of them coarser where that is finer than needed."""
    stages, why = [1], "all steps at the working resolution"
    if detail.finer > 1:
        long = detail.passes >= VERY_LONG
        stages = [detail.finer, 1] if long else [detail.finer, detail.finer, 1]
        share = "half" if long else "two thirds"
        why = f"{share} of the steps at {factor * detail.finer}x, where they cost less, then at {factor}x"
    draft.set("training.stages", stages, why)


def plan_levels(draft: Draft, depth: int, alone: bool) -> None:
    """Levels of a U-Net; the deepest may take images `alone` where the first sees all on one scale."""
    settings, why = {"width": 16, "depth": depth, "stem": 2}, "four pixels are left at the bottom"
    if alone and draft.get("data.normalise") == "study":
        settings["group_from"] = GROUP_FROM
        why += f"; levels of {GROUP_FROM} channels and more normalise each image alone, as stains differ"
    draft.set("model.settings", settings, why)


def plan_batch(draft: Draft, patch: tuple[int, int]) -> None:
    """About 130,000 pixels a step: enough for steady batch statistics, small enough for many steps."""
    batch = max(4, min(32, round(131072 / (patch[0] * patch[1]))))
    draft.set("training.batch", batch, f"{batch * patch[0] * patch[1]:,} pixels a step")


def plan_rate(draft: Draft) -> None:
    """A rate that stays while weights are averaged (Polyak and Juditsky 1992).

    Networks fitted to the last pixel, as where the rate falls to 0, are too sure of what they answer.
    """
    draft.set("training.schedule", "constant", "weights that keep moving are averaged instead")
    draft.set("training.learning_rate", 1.5e-3, "half of what a rate that falls to 0 begins with")
    draft.set("training.ema", 0.999, "the last ninth of the steps, at most 1,000")
    draft.set("training.norm_batches", 60, "averaged weights have means and variances of their own")


def plan_volumes(draft: Draft, print_: Fingerprint) -> None:
    """Volumes slice by slice with neighbours as channels; CT in a window of Hounsfield units."""
    depth = print_.median_shape[0]
    beside = 2 if depth >= 16 else 1
    draft.set("data.dims", 2, "slices with neighbours as channels: blocks cost ten times as much")
    draft.set("data.neighbours", beside, f"volumes of {depth} slices; above and below tell what one cannot")
    if print_.low <= -900 and print_.channels == 1:
        draft.set("data.normalise", "window", f"values from {print_.low:g}: Hounsfield units")
        draft.set("data.window", list(WINDOW_HU), "HU, from air to soft tissue")
        draft.set("data.mean", [0.4], "")
        draft.set("data.std", [0.3], "")


def plan_orientation(draft: Draft, print_: Fingerprint) -> None:
    """Free rotation where images have no common orientation, small turns and fitting flips else."""
    posed = print_.pose > ALIKE / 2
    seen = f"image thumbnails correlate {print_.pose:.2f} with their mean"
    if not posed:
        draft.set("training.augmentation.rotate_deg", 180.0, f"{seen}: no common orientation")
        draft.set("training.augmentation.flip", ["x"], "with free rotation this gives every mirror image")
        draft.set("inference.flips", ["x", "y"], "no common orientation: mirrored images are as good")
    else:
        flips = ["x"] if print_.mirror_x > ALIKE else []
        draft.set("training.augmentation.rotate_deg", 20.0, f"{seen}: a common orientation")
        draft.set(
            "training.augmentation.flip",
            flips,
            f"their mean correlates {print_.mirror_x:.2f} with its mirror image",
        )
        draft.set("inference.flips", flips, "as in training")
    draft.set("training.augmentation.scale", 0.3 if not posed else 0.25, "sizes vary by a third")
    draft.set("training.augmentation.shift", 0.15, "of the patch, for whole images")


def plan_intensity(draft: Draft, print_: Fingerprint) -> None:
    """Contrast and brightness are varied, less where colour carries the answer."""
    if print_.coloured:
        draft.set("training.augmentation.colour", False, "all channels alike: colour carries the answer")
        draft.set("training.augmentation.contrast", 0.15, "stain varies a little from slide to slide")
        draft.set("training.augmentation.brightness", 0.15, "in standard deviations")
    else:
        draft.set("training.augmentation.contrast", 0.25, "gain varies")
        draft.set("training.augmentation.brightness", 0.3, "in standard deviations")


def drop_stages(draft: Draft, given: Sequence[str]) -> None:
    """Coarse stages go where a file or `--set` gives another patch, resolution or network."""
    if given and draft.get("training.stages", [1]) != [1]:
        draft.set("training.stages", [1], f"coarse ones were planned for another {', '.join(given)}")


def fill_normalisation(draft: Draft, print_: Fingerprint, planned: Mapping[str, Any]) -> None:
    """The study's mean and spread as the images are prepared, where one scale is wanted and none is given.

    What was `planned` before files and settings were heard is no wish: it is found anew, as the light or the
    channels may now be others. Raises PlanError where given ones do not fit the channels, and where a window
    is wanted and none is given.
    """
    if draft.get("data.normalise") != "study":
        _leave_study(draft, planned)
        return
    channels = int(draft.get("data.channels", print_.channels))
    given = [draft.get(key) or [] for key in SCALE]
    if given[0] and given != [planned.get(key) for key in SCALE]:
        if any(len(values) not in (1, channels) for values in given if values):
            raise PlanError(
                f"data.mean {given[0]}, data.std {given[1]}: one value a channel is wanted, "
                f"and data.channels is {channels}"
            )
        return
    if draft.get("data.flatten_light") and not print_.flat_mean:
        why = "no image has a bright background, which light is measured on: each by its own mean and spread"
        draft.set("data.normalise", "image", why)
        return
    flat = bool(draft.get("data.flatten_light"))
    mean, std = (print_.flat_mean, print_.flat_std) if flat else (print_.mean, print_.std)
    if channels == 1 and len(mean) == len(LUMINANCE):
        mean, std = ((float(np.dot(values, LUMINANCE)),) for values in (mean, std))
    std = tuple(of if of > FLAT * max(1.0, abs(at)) else 1.0 for at, of in zip(mean, std, strict=True))
    # Four decimals, and three digits of the smallest spread, whatever the unit.
    digits = max(4, 2 - math.floor(math.log10(min(1.0, *std))))
    draft.set("data.mean", [round(value, digits) for value in mean], f"over {print_.looked_at} images")
    draft.set("data.std", [round(value, digits) for value in std], "")


def _leave_study(draft: Draft, planned: Mapping[str, Any]) -> None:
    """Another scale than the study's: its planned mean and spread go, and a window has to be given."""
    if draft.get("data.normalise") == "window" and not draft.get("data.window"):
        raise PlanError(
            "data.normalise = window: which window is not said; give the values that become 0 and 1, "
            "like --set 'data.window=[0, 255]'"
        )
    if planned.get("data.normalise") == "study" and all(draft.get(k) == planned.get(k) for k in SCALE):
        for key in SCALE:
            draft.set(key, [])


def plan_presence(draft: Draft, print_: Fingerprint) -> None:
    """Where a target is missing from two fifths of the cases, if it is there is a question of its own.

    Of a sample of the cases it has to be more: by the two standard errors that a share is off at most.
    """
    missing = {
        name: 1 - print_.present.get(name, 0) / annotated
        for name, annotated in print_.annotated.items()
        if annotated
    }
    doubt = 0.0 if print_.looked_at >= print_.cases else 1 / math.sqrt(max(1, print_.looked_at))
    often = {name: share for name, share in missing.items() if share - doubt >= OFTEN_EMPTY}
    if often:
        names = ", ".join(f"{name} from {100 * share:.0f} %" for name, share in often.items())
        why = f"missing: {names} of the cases; an empty prediction that is right counts 1"
        draft.set("scoring.metric", "challenge", why)


def plan_device(draft: Draft, device: Device) -> None:
    """Processor or card, threads, and bfloat16 where the hardware multiplies it."""
    draft.set("training.device", device.kind, device.name)
    draft.set("training.threads", device.threads, "all processors this process may use")
    precision = "bf16-mixed" if device.bf16 else "16-mixed" if device.kind == "cuda" else "32-true"
    why = "bfloat16 in hardware: two to three times the speed" if device.bf16 else "no bfloat16 in hardware"
    draft.set("training.precision", precision, why)


def plan_tile(draft: Draft, print_: Fingerprint, factor: int, divisor: int) -> None:
    """Predict in tiles of about 768 pixels, or the whole image where it is not larger."""
    sides = [-(-side // divisor) * divisor for side in in_plane(draft, print_, factor)]
    tile = [min(side, -(-TILE // divisor) * divisor) for side in sides]
    draft.set("inference.tile", tile, "bounds the memory of prediction, whatever the image size")


def plan_time(draft: Draft, minutes: float | None, steps: int | None, cases: int) -> None:
    """Wall time of the whole command, all folds and scoring included, or a fixed number of steps."""
    if steps is not None:
        draft.set("training.steps", steps, "asked for")
        draft.set("training.minutes", None)
        return
    if minutes is not None:
        draft.set("training.steps", None)
        draft.set("training.cpu_s", None)
        draft.set("detection.steps", None)  # they follow the time too
    quiet = 5.0 if cases <= 50 else 10.0 if cases <= 500 else 20.0
    draft.set("training.minutes", minutes or quiet, "asked for" if minutes else f"{QUIET} for {cases} cases")


def drop_quiet_time(draft: Draft) -> None:
    """The quiet default goes where a file or `--set` fixes the steps."""
    quiet = draft.reasons.get("training.minutes", "").startswith(QUIET)
    if quiet and draft.get("training.steps") is not None:
        draft.set("training.minutes", None)
