"""Lets a torchvision built for graphics cards be imported beside a CPU build of PyTorch."""

from __future__ import annotations

import torch

KEPT: list[torch.library.Library] = []


def without_operators() -> None:
    """Declare the compiled operators that torchvision's import asks for; no peer here calls them."""
    try:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(schema)  # type: ignore[no-untyped-call]
        KEPT.append(library)
    except RuntimeError:  # a torchvision for CPUs is there and has declared them already
        return
