"""Resizing a window of an image exactly as if the whole of it had been resized.

Images shrink by area means and grow linearly, as `torch.nn.functional.interpolate` does in its modes
"area" and "bilinear" (without aligned corners); here one window of the result is made from the part of
the image that it needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Shape = Sequence[int]
Window = tuple[int, int, int, int]


def shrinks(shape_in: Shape, shape_out: Shape) -> bool:
    """Whether means are taken: no side grows."""
    return all(new <= old for new, old in zip(shape_out, shape_in, strict=True))


def needed_part(shape_in: Shape, shape_out: Shape, window: Window) -> Window:
    """Rows and columns (from y, to y, from x, to x) of the image that a window of the result needs.

    >>> needed_part((100, 100), (50, 50), (10, 20, 0, 5)), needed_part((50, 50), (100, 100), (10, 20, 0, 5))
    ((20, 40, 0, 10), (4, 11, 0, 3))
    """
    y0, y1, x0, x1 = window
    area = shrinks(shape_in, shape_out)
    top, bottom = _span(shape_in[0], shape_out[0], y0, y1, area)
    left, right = _span(shape_in[1], shape_out[1], x0, x1, area)
    return top, bottom, left, right


def _span(size_in: int, size_out: int, low: int, high: int, area: bool) -> tuple[int, int]:
    if size_in == size_out:
        return low, high
    if area:
        return low * size_in // size_out, -(-high * size_in // size_out)
    step = size_in / size_out
    return max(0, int((low + 0.5) * step - 0.5)), min(size_in, int(max(0.0, (high - 0.5) * step - 0.5)) + 2)


def resized_window(
    part: Tensor, origin: tuple[int, int], shape_in: Shape, shape_out: Shape, window: Window
) -> Tensor:
    """A window (C, y1 - y0, x1 - x0), float32, of an image of `shape_in` resized to `shape_out`.

    `part` (C, h, w) is at least the `needed_part` of the image, `origin` (y, x) where it begins.
    """
    top, bottom, left, right = needed_part(shape_in, shape_out, window)
    y, x = origin
    cut = part[:, top - y : bottom - y, left - x : right - x].float()
    y0, y1, x0, x1 = window
    if tuple(shape_in) == tuple(shape_out):
        return cut
    if shrinks(shape_in, shape_out):
        if not any(old % new for old, new in zip(shape_in, shape_out, strict=True)):
            return F.interpolate(cut[None], (y1 - y0, x1 - x0), mode="area")[0]
        rows, tall = _sums(cut, 1, shape_in[0], shape_out[0], y0, y1)
        both, wide = _sums(rows, 2, shape_in[1], shape_out[1], x0, x1)
        return both / (tall[:, None] * wide[None])
    return _linear(cut, shape_in, shape_out, window)


def linear_window(x: Tensor, shape_out: Shape, window: Window) -> Tensor:
    """A window of a whole image (C, Y, X) interpolated linearly to `shape_out`, whether larger or smaller.

    >>> linear_window(torch.tensor([[[0.0, 4.0]]]), (1, 4), (0, 1, 1, 3))
    tensor([[[1., 3.]]])
    """
    size = int(x.shape[1]), int(x.shape[2])
    left, right = _span(size[1], shape_out[1], window[2], window[3], False)
    top, bottom = _span(size[0], shape_out[0], window[0], window[1], False)
    return _linear(x[:, top:bottom, left:right].float(), size, shape_out, window)


def _linear(cut: Tensor, shape_in: Shape, shape_out: Shape, window: Window) -> Tensor:
    y0, y1, x0, x1 = window
    columns = _between(cut, 2, shape_in[1], shape_out[1], x0, x1)  # the slow gather while rows are few
    return _between(columns, 1, shape_in[0], shape_out[0], y0, y1)


def _sums(x: Tensor, axis: int, size_in: int, size_out: int, low: int, high: int) -> tuple[Tensor, Tensor]:
    """Sums over the pixels that fall into each result pixel along an axis, and their number."""
    places = torch.arange(low, high)
    first = places * size_in // size_out
    last = -((-(places + 1) * size_in) // size_out)
    number = last - first
    offset = low * size_in // size_out
    total = torch.zeros(())
    for step in range(int(number.max())):
        taken = x.index_select(axis, (first - offset + step).clamp(max=x.shape[axis] - 1))
        weight = (step < number).float()
        total = total + taken * (weight[:, None] if axis == 1 else weight)
    return total, number.float()


def _between(x: Tensor, axis: int, size_in: int, size_out: int, low: int, high: int) -> Tensor:
    """Linear interpolation along an axis; beyond the first and last pixel centre stays as it is there."""
    if size_in == size_out:
        return x
    places = ((torch.arange(low, high, dtype=torch.float64) + 0.5) * (size_in / size_out) - 0.5).clamp(min=0)
    first = places.long().clamp(max=size_in - 1)
    share = (places - first).float()
    offset = _span(size_in, size_out, low, high, False)[0]
    here = x.index_select(axis, first - offset)
    there = x.index_select(axis, (first + 1).clamp(max=size_in - 1) - offset)
    weight = share[:, None] if axis == 1 else share
    return here.mul_(1 - weight).add_(there.mul_(weight))
