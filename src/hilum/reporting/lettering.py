"""Letters drawn into images."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=32)
def font(size: int, bold: bool = False) -> Font:
    """A scalable font of `size` pixels that comes with a dependency, never from the system.

    Pillow's own has no µ, ², – or accents, so the one of Matplotlib is taken where it lies in its place.
    """
    path = _matplotlib_fonts() / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), size) if path.is_file() else ImageFont.load_default(size)


def text_size(text: str, size: int, bold: bool = False) -> tuple[int, int]:
    """Width and line height of one line of text, in pixels."""
    width = font(size, bold).getlength(text)
    return round(width + 0.5), round(1.35 * size)


def shortened(text: str, size: int, width: int) -> str:
    """`text` cut in the middle with an ellipsis so that it is at most `width` pixels wide.

    Both ends are kept because file names often differ only at their ends.
    """
    if text_size(text, size)[0] <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if text_size(short, size)[0] <= width:
            return short
    return "…"


@lru_cache(maxsize=1)
def _matplotlib_fonts() -> Path:
    spec = importlib.util.find_spec("matplotlib")
    return Path(spec.origin if spec and spec.origin else "").parent / "mpl-data" / "fonts" / "ttf"
