"""The planner's rules for labels of whole images: size, network, augmentation, what is held back."""

from __future__ import annotations

from hilum.planning.draft import Draft
from hilum.planning.fingerprint import Fingerprint

SMALL = 64
SIDES = (96, 128, 160, 192, 224)
PASSES = 30
STEP_S_A_PIXEL = 1.4e-6
HELD_BACK = (0.1, 0.25)
WANTED_HELD_BACK = 50
LEARNING_RATE = 6e-3


def plan_size(draft: Draft, print_: Fingerprint, folds: int) -> tuple[int, int]:
    """One size (Y, X) for all: their own where small, else what the time allows at their usual shape."""
    height, width = print_.median_shape[-2:]
    same = len(set(print_.shapes)) == 1
    if max(print_.largest_shape[-2:]) <= SMALL:
        size, why = (height, width), f"images are {height} x {width}: kept as they are"
        if not same:
            why = f"small images, all brought to {height} x {width}, the median"
    else:
        side = _affordable(draft, print_, folds, max(height, width))
        size = _shaped(side, height, width)
        why = (
            f"images of {height} x {width}{'' if same else ' (median)'}, shrunk to what {PASSES} passes "
            "in the time allow; all to one size and shape, whatever their class, so that size is no shortcut"
        )
    draft.set("data.size", list(size), why)
    return size


def plan_whole(draft: Draft, size: tuple[int, int]) -> None:
    """A sample is the whole image at this working size (Y, X)."""
    draft.set("training.whole", True, "a label is of the whole image")
    draft.set("training.patch", list(size), "the whole image")


def _affordable(draft: Draft, print_: Fingerprint, folds: int, longest: int) -> int:
    """The longest side whose passes over all images fit into the planned time."""
    seconds = 60 * float(draft.get("training.minutes") or 10.0) * 0.8 / max(1, folds)
    faster = 40 if draft.get("training.device") == "cuda" else 1
    fitting = [
        side
        for side in SIDES
        if side <= longest and PASSES * print_.cases * _step_s(side) <= seconds * faster
    ]
    return max(fitting, default=min(SIDES[0], longest))


def _step_s(side: int) -> float:
    """Seconds that training on one image takes, as measured on two processors: by pixels after the stem."""
    return (side / _stem(side)) ** 2 * STEP_S_A_PIXEL


def _stem(side: int) -> int:
    """How many pixels along each axis the stem folds into channels."""
    return 1 if side <= 48 else 2 if side <= 80 else 4


def _shaped(side: int, height: int, width: int) -> tuple[int, int]:
    """The median shape at this longest side, at most twice as long as wide, in steps of 16 pixels."""
    shorter = side * min(1.0, max(0.5, min(height, width) / max(height, width)))
    short = max(16, 16 * round(shorter / 16))
    return (short, side) if height <= width else (side, short)


def plan_network(draft: Draft, size: tuple[int, int]) -> None:
    """A small residual network: a stem that folds pixels into channels, and a stage for each halving."""
    side = max(size)
    stem = _stem(side)
    stages = 3 if side // stem <= 32 else 4
    draft.set("model.name", "resnet", "small, trained from scratch")
    width = 16 if stem == 1 else 32
    settings = {"width": width, "blocks": [1] * stages, "stem": stem, "dropout": 0.3}
    draft.set("model.settings", settings, f"{side} pixels, {side // stem} after the stem, {stages} stages")
    draft.set("inference.moves", True, "small turns, zooms and shifts keep the label: nine answers averaged")


def plan_learning(draft: Draft, print_: Fingerprint) -> None:
    """Batch, loss and optimiser; classes keep their frequency and are weighed."""
    batch = 16 if print_.cases < 200 else 32 if print_.cases < 1000 else 64
    draft.set("training.batch", batch, f"{print_.cases} images")
    draft.set("training.loss", "entropy", "one label an image, or several")
    draft.set("training.rare_share", 0.0, "images are drawn as they come, classes weighed by their frequency")
    draft.set("training.learning_rate", LEARNING_RATE, "few steps go far")
    draft.set("training.weight_decay", 0.05, "few images")
    draft.set("training.warmup", 50, "")
    draft.set("training.ema", 0.995, "averaged weights vary less")
    draft.set("training.smoothing", 0.02, "labels of single readers are not certain")


def plan_threshold(draft: Draft) -> None:
    """One half, which needs no fitting where both answers were weighed alike."""
    why = "classes are weighed alike, so both errors are; one fitted to few errors varies more (fit: Youden)"
    draft.set("scoring.threshold", 0.5, why)


def plan_distortion(draft: Draft) -> None:
    """Shear and shifts beside rotation, zoom and flips."""
    posed = "training.augmentation.rotate_deg"
    if float(draft.get(posed, 0.0)) < 90:
        draft.set(posed, 15.0, "patients lie a little askew")
        draft.set("training.augmentation.shear_deg", 5.0, "and at an angle to the beam")
    draft.set("training.augmentation.scale", 0.2, "sizes and framing vary")
    draft.set("training.augmentation.shift", 0.1, "in both directions")


def plan_holding_back(draft: Draft, folds: int, validated: bool, cases: int) -> None:
    """Where the operating point comes from: other folds, given validation images, or a part held back."""
    draft.set(
        "training.watch", folds == 1, "held-back images are scored while training" if folds == 1 else ""
    )
    if folds == 1 and not validated:
        why = "no validation images are given: groups held back for calibration and the operating point"
        least, most = HELD_BACK
        draft.set("training.validation", round(min(most, max(least, WANTED_HELD_BACK / cases)), 2), why)
