"""Small pictures for pages: scaled, encoded as data URIs, composed into gallery cards."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from hilum.errors import ImageError
from hilum.reporting.blocks import Card, Panel
from hilum.reporting.lettering import font, shortened
from hilum.reporting.overlay import Mask, Pixels, errors_overlay, paint, target_colours

SMALLEST = 160


def as_rgb(array: NDArray[Any]) -> Pixels:
    """Grey (Y, X), (1, Y, X), (3, Y, X), (Y, X, 1) or (Y, X, 3) of uint8 or bool as uint8 (Y, X, 3).

    Raises ImageError for other shapes and types: grey levels of 16 bits need a window first.
    """
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if array.dtype != np.uint8:
        raise ImageError(
            f"a picture for a page must be uint8 or bool, not {array.dtype}: choose a window first"
        )
    if array.ndim == 3 and array.shape[2] not in (1, 3) and array.shape[0] in (1, 3):
        array = np.moveaxis(array, 0, 2)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3):
        raise ImageError(f"a picture for a page must be (Y, X) or (Y, X, 3), not {array.shape}")
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def thumbnail(array: NDArray[Any], max_side: int = 480) -> Pixels:
    """The picture with at most `max_side` pixels a side; tiny ones are enlarged in whole steps.

    >>> thumbnail(np.zeros((1000, 500), np.uint8), 100).shape
    (100, 50, 3)
    >>> thumbnail(np.zeros((28, 28), np.uint8)).shape
    (168, 168, 3)
    """
    picture = as_rgb(array)
    height, width = _fitted(picture.shape[:2], max_side)
    if (height, width) == picture.shape[:2]:
        return picture
    method = Pillow.Resampling.NEAREST if height > picture.shape[0] else Pillow.Resampling.BOX
    return np.asarray(Pillow.fromarray(picture).resize((width, height), method))


def mask_thumbnail(mask: Mask, max_side: int = 480) -> Mask:
    """A mask (Y, X) scaled as `thumbnail` scales its image, by majority."""
    height, width = _fitted(mask.shape, max_side)
    grey = Pillow.fromarray(np.asarray(mask, np.uint8) * 255)
    method = Pillow.Resampling.NEAREST if height > mask.shape[0] else Pillow.Resampling.BOX
    return np.asarray(grey.resize((width, height), method)) > 127


def data_uri(array: NDArray[Any], max_side: int = 480, kind: str = "jpeg", quality: int = 86) -> str:
    """The picture, scaled, as a `data:` URI of kind "jpeg" or "png"."""
    if kind not in ("jpeg", "png"):
        raise ImageError(f"picture kind {kind!r} is not one of jpeg, png")
    content = io.BytesIO()
    picture = Pillow.fromarray(thumbnail(array, max_side))
    options = {"quality": quality, "optimize": True} if kind == "jpeg" else {"optimize": True}
    picture.save(content, kind.upper(), **options)
    return bytes_uri(content.getvalue(), f"image/{kind}")


def bytes_uri(content: bytes, media: str) -> str:
    """Bytes as a `data:` URI."""
    return f"data:{media};base64,{base64.b64encode(content).decode('ascii')}"


def png_bytes(array: NDArray[Any]) -> bytes:
    """A picture (Y, X) or (Y, X, 3) as PNG."""
    content = io.BytesIO()
    Pillow.fromarray(as_rgb(array)).save(content, "PNG", optimize=True)
    return content.getvalue()


def segmentation_card(
    name: str,
    image_rgb: Pixels,
    prediction: Mapping[str, Mask],
    truth: Mapping[str, Mask] | None = None,
    *,
    facts: Sequence[tuple[str, str]] = (),
    group: str = "",
    caption: str = "",
    score: float | None = None,
    max_side: int = 480,
) -> Card:
    """A gallery card of one case: image, truth, prediction, then the errors of each target.

    `image_rgb` uint8 (Y, X, 3), masks bool (Y, X) by target. Targets without truth get no error panel.
    """
    panels = case_panels(image_rgb, prediction, truth, max_side)
    shown = tuple(Panel(data_uri(picture, max_side), label) for label, picture in panels)
    return Card(name, shown, facts=tuple(facts), group=group, caption=caption, score=score)


def case_panels(
    image_rgb: Pixels,
    prediction: Mapping[str, Mask],
    truth: Mapping[str, Mask] | None = None,
    max_side: int = 480,
) -> list[tuple[str, Pixels]]:
    """Named pictures of one case, scaled first so that outlines stay crisp."""
    colours = target_colours(list(prediction))
    small = thumbnail(image_rgb, max_side)
    found = {target: mask_thumbnail(mask, max_side) for target, mask in prediction.items()}
    true = {
        target: mask_thumbnail(mask, max_side) for target, mask in (truth or {}).items() if target in found
    }
    panels = [("Image", small)]
    if true:
        panels.append(("Truth", paint(small, true, colours=colours)))
    panels.append(("Prediction", paint(small, found, colours=colours)))
    for target, mask in true.items():
        label = f"Errors: {target}" if len(found) > 1 else "Errors"
        panels.append((label, errors_overlay(small, mask, found[target])))
    return panels


def picture_card(
    name: str,
    *pictures: tuple[str, Pixels],
    facts: Sequence[tuple[str, str]] = (),
    group: str = "",
    caption: str = "",
    score: float | None = None,
    max_side: int = 480,
) -> Card:
    """A gallery card of any labelled pictures (Y, X, 3): an X-ray and its heat map, planes of a nodule."""
    panels = tuple(Panel(data_uri(picture, max_side), label) for label, picture in pictures)
    return Card(name, panels, facts=tuple(facts), group=group, caption=caption, score=score)


def side_by_side(panels: Sequence[tuple[str, Pixels]], height: int = 360) -> Pixels:
    """Labelled pictures in one row of equal height, as one picture uint8 (Y, X, 3); labels may be empty."""
    size, gap = max(12, height // 24), max(4, height // 60)
    scaled = [(label, _at_height(as_rgb(picture), height)) for label, picture in panels]
    width = sum(picture.shape[1] for _, picture in scaled) + gap * (len(scaled) - 1)
    strip = round(1.8 * size) if any(label for label, _ in panels) else 0
    canvas = Pillow.new("RGB", (max(width, 1), height + strip), "white")
    draw, x = ImageDraw.Draw(canvas), 0
    for label, picture in scaled:
        canvas.paste(Pillow.fromarray(picture), (x, 0))
        text = shortened(label, size, picture.shape[1])
        draw.text((x, height + size // 4), text, fill=(20, 24, 28), font=font(size))
        x += picture.shape[1] + gap
    return np.asarray(canvas)


def _fitted(shape: tuple[int, ...], max_side: int) -> tuple[int, int]:
    height, width = shape
    longest = max(height, width)
    if longest > max_side:
        return max(1, round(height * max_side / longest)), max(1, round(width * max_side / longest))
    step = -(-min(SMALLEST, max_side) // longest)
    if step * longest > max_side:
        step = 1
    return height * step, width * step


def _at_height(picture: Pixels, height: int) -> Pixels:
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return np.asarray(Pillow.fromarray(picture).resize((width, height), Pillow.Resampling.BICUBIC))
