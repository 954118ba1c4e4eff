"""Masks painted over images, with a legend that says what each colour is and how large its area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from hilum.errors import ImageError
from hilum.image.colours import LUMINANCE, outline, target_colour
from hilum.reporting.lettering import font, shortened, text_size

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]

CORRECT: Colour = (0, 158, 115)
MISSED: Colour = (118, 42, 168)
FALSE: Colour = (230, 84, 0)
ERROR_COLOURS: Mapping[str, Colour] = {"correct": CORRECT, "missed": MISSED, "false": FALSE}


def target_colours(targets: Sequence[str]) -> dict[str, Colour]:
    """One colour-blind-safe colour a target, by its place among `targets`.

    >>> target_colours(["Parenchyma"])
    {'Parenchyma': (0, 114, 178)}
    """
    return {target: target_colour(place).rgb for place, target in enumerate(targets)}


def overlay(
    image_rgb: Pixels,
    masks: Mapping[str, Mask],
    areas: Mapping[str, str] | None = None,
    alpha: float = 0.32,
    colours: Mapping[str, Colour] | None = None,
) -> Pixels:
    """The image with its masks painted in and a legend outside the picture.

    `image_rgb` uint8 (Y, X, 3), `masks` bool (Y, X) by target, `areas` a text by target as
    "812,345 px² (56.1 %)". The result is larger than the image: the painted image lies at its
    top left, the legend below, or to the right where the image is too narrow for it.
    Raises ImageError where shapes do not agree.
    """
    colours = colours or target_colours(list(masks))
    painted = paint(image_rgb, masks, alpha, colours)
    texts = areas or {}
    return with_legend(painted, [(target, texts.get(target, ""), colours[target]) for target in masks])


def paint(
    image_rgb: Pixels,
    masks: Mapping[str, Mask],
    alpha: float = 0.32,
    colours: Mapping[str, Colour] | None = None,
) -> Pixels:
    """Masks as translucent fill and crisp outline, without legend; uint8 (Y, X, 3) of the same size.

    Where targets overlap their colours take turns in diagonal stripes, and where outlines coincide,
    in dashes, so that every colour seen is one of the legend.
    """
    _check(image_rgb, masks)
    colours = colours or target_colours(list(masks))
    layers = [(np.asarray(mask, bool), colours[target]) for target, mask in masks.items()]
    longest = max(image_rgb.shape[:2])
    painted = image_rgb.copy()
    _share(painted, layers, max(3, round(longest / 110)), alpha)
    width = max(1, round(longest / 350))
    _share(painted, [(outline(mask, width), colour) for mask, colour in layers], 4 * width, 1.0)
    return painted


def errors_overlay(image_rgb: Pixels, truth: Mask, prediction: Mask, alpha: float = 0.55) -> Pixels:
    """Correct, missed and false pixels in `ERROR_COLOURS`, over the greyed image (Y, X, 3) uint8.

    Errors are opaquer than what is correct, for they are what one looks for.
    """
    _check(image_rgb, {"truth": truth, "prediction": prediction})
    truth, prediction = np.asarray(truth, bool), np.asarray(prediction, bool)
    grey = image_rgb.astype(np.float32) @ np.array(LUMINANCE, np.float32)
    painted = np.repeat((0.8 * grey + 45.5).astype(np.uint8)[..., None], 3, axis=2)
    _blend(painted, truth & prediction, CORRECT, 0.7 * alpha)
    _blend(painted, truth & ~prediction, MISSED, min(1.0, 1.5 * alpha))
    _blend(painted, prediction & ~truth, FALSE, min(1.0, 1.5 * alpha))
    return painted


def _check(image_rgb: Pixels, masks: Mapping[str, Mask]) -> None:
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8:
        raise ImageError(
            f"an overlay needs an image (Y, X, 3) of uint8, not {image_rgb.shape} of {image_rgb.dtype}"
        )
    for target, mask in masks.items():
        if mask.shape != image_rgb.shape[:2]:
            raise ImageError(
                f"mask {target!r} has shape {mask.shape}, the image {image_rgb.shape[:2]}: they must agree"
            )


def _share(painted: Pixels, layers: Sequence[tuple[Mask, Colour]], stripe: int, alpha: float) -> None:
    """Paint the layers in place; where several lie on one pixel they take turns in diagonal stripes."""
    height, width = painted.shape[:2]
    together = np.zeros((height, width), np.uint8)
    for mask, _ in layers:
        together += mask
    diagonal = np.arange(height, dtype=np.int32)[:, None] + np.arange(width, dtype=np.int32)
    turns = diagonal // stripe % np.maximum(together, 1)
    turn = np.zeros_like(together)
    for mask, colour in layers:
        _blend(painted, mask & (turns == turn), colour, alpha)
        turn += mask


def _blend(painted: Pixels, where: Mask, colour: Colour, alpha: float) -> None:
    """Mix a colour into the pixels of `where`, in place and without leaving 8 bits."""
    levels = np.arange(256)
    for channel, value in enumerate(colour):
        table = ((1 - alpha) * levels + alpha * value + 0.5).astype(np.uint8)
        plane = painted[..., channel]
        plane[where] = table[plane[where]]


@dataclass(frozen=True)
class _Entry:
    name: str
    area: str
    colour: Colour


def with_legend(image_rgb: Pixels, entries: Sequence[tuple[str, str, Colour]]) -> Pixels:
    """The image (Y, X, 3) with a white strip of swatches, names and areas beside or below it."""
    if not entries:
        return image_rgb
    height, width = image_rgb.shape[:2]
    size = max(13, round(max(height, width) / 60))
    legend = [_Entry(shortened(name, size, 22 * size), area, colour) for name, area, colour in entries]
    widest = max(_entry_size(entry, size, stacked=False)[0] for entry in legend)
    if widest + 2 * size <= width:
        return _below(image_rgb, legend, size)
    return _beside(image_rgb, legend, size)


def _entry_size(entry: _Entry, size: int, stacked: bool) -> tuple[int, int]:
    name, line = text_size(entry.name, size, bold=True)
    area = text_size(entry.area, size)[0] if entry.area else 0
    if stacked:
        return 2 * size + max(name, area), line * (2 if entry.area else 1)
    return 2 * size + name + (round(0.6 * size) + area if area else 0), line


def _draw_entry(
    draw: ImageDraw.ImageDraw, entry: _Entry, at: tuple[int, int], size: int, stacked: bool
) -> None:
    x, y = at
    draw.rectangle((x, y + size // 6, x + round(1.3 * size), y + size + size // 6), fill=entry.colour)
    text_x = x + 2 * size
    draw.text((text_x, y), entry.name, fill=(20, 24, 28), font=font(size, bold=True))
    if entry.area and stacked:
        draw.text((text_x, y + round(1.35 * size)), entry.area, fill=(60, 66, 72), font=font(size))
    elif entry.area:
        name = text_size(entry.name, size, bold=True)[0]
        draw.text((text_x + name + round(0.6 * size), y), entry.area, fill=(60, 66, 72), font=font(size))


def _below(image_rgb: Pixels, legend: Sequence[_Entry], size: int) -> Pixels:
    height, width = image_rgb.shape[:2]
    places, x, y, line = [], size, height + size // 2, round(1.7 * size)
    for entry in legend:
        needed = _entry_size(entry, size, stacked=False)[0]
        if x > size and x + needed + size > width:
            x, y = size, y + line
        places.append((x, y))
        x += needed + 2 * size
    return _drawn(image_rgb, legend, places, (width, y + line + size // 4), size, stacked=False)


def _beside(image_rgb: Pixels, legend: Sequence[_Entry], size: int) -> Pixels:
    height, width = image_rgb.shape[:2]
    places, y, widest = [], size // 2, 0
    for entry in legend:
        places.append((width + size, y))
        wide, high = _entry_size(entry, size, stacked=True)
        widest, y = max(widest, wide), y + high + size // 2
    return _drawn(image_rgb, legend, places, (width + widest + 2 * size, max(height, y)), size, stacked=True)


def _drawn(
    image_rgb: Pixels,
    legend: Sequence[_Entry],
    places: Sequence[tuple[int, int]],
    canvas_size: tuple[int, int],
    size: int,
    stacked: bool,
) -> Pixels:
    canvas = Pillow.new("RGB", canvas_size, "white")
    canvas.paste(Pillow.fromarray(image_rgb), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for entry, place in zip(legend, places, strict=True):
        _draw_entry(draw, entry, place, size, stacked)
    return np.asarray(canvas)
