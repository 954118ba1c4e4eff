"""What `bench/parts.py` compares with: other libraries' augmentation, other engines of prediction."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hilum.inference.engines import by_openvino
from hilum.planning.plan import Plan


def monai_moves(image: Tensor, masks: Tensor, patch: list[int]) -> Callable[[], object]:
    """One crop by MONAI's transforms: the affine move cuts the crop, so that no pixel is moved twice."""
    from monai import transforms as t

    every = ["image", "masks"]
    moves = t.Compose(
        [
            t.RandSpatialCropd(every, patch, random_size=False),
            t.RandAffined(
                every, patch, prob=1.0, rotate_range=3.1, scale_range=(0.25, 0.25), padding_mode="reflection"
            ),
            t.RandFlipd(every, 0.5, 0),
            t.RandFlipd(every, 0.5, 1),
            t.RandScaleIntensityd("image", 0.2, prob=1.0, channel_wise=True),
            t.RandShiftIntensityd("image", 0.2, prob=1.0, channel_wise=True),
        ]
    )
    return lambda: moves({"image": image, "masks": masks})


def torchio_moves(image: Tensor, masks: Tensor, patch: list[int]) -> Callable[[], object]:
    """One crop by TorchIO, whose images are volumes."""
    import torchio as tio

    moves = tio.Compose(
        [tio.RandomAffine(scales=0.25, degrees=(0, 0, 180)), tio.RandomFlip((0, 1)), tio.RandomGamma(0.2)]
    )

    def one() -> object:
        y, x = (
            int(torch.randint(size - side + 1, ())) for size, side in zip(image.shape[1:], patch, strict=True)
        )
        cut = (slice(None), slice(y, y + patch[0]), slice(x, x + patch[1]))
        found = tio.Subject(
            image=tio.ScalarImage(tensor=image[cut][..., None]),
            masks=tio.LabelMap(tensor=masks[cut][..., None]),
        )
        return moves(found)

    return one


def kornia_moves(image: Tensor, masks: Tensor, patch: list[int]) -> Callable[[], object]:
    """One crop by kornia."""
    import kornia.augmentation as k

    moves = k.AugmentationSequential(
        k.RandomCrop((patch[0], patch[1])),
        k.RandomAffine(180.0, scale=(0.8, 1.25), padding_mode="reflection"),
        k.RandomHorizontalFlip(),
        k.RandomVerticalFlip(),
        data_keys=["input", "mask"],
    )
    return lambda: moves(image[None], masks[None])


def eager(network: Callable[[Tensor], Tensor], kind: torch.dtype, x: Tensor) -> np.ndarray[Any, Any]:
    """Probabilities by PyTorch as it is."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, kind == torch.bfloat16):
        return network(x).float().sigmoid().numpy()


def engines(
    network: nn.Module, plan: Plan, x: Tensor, compiled: bool
) -> Iterator[tuple[str, Callable[[Tensor], np.ndarray[Any, Any]]]]:
    """Every engine that is installed, by name."""
    for kind in (torch.float32, torch.bfloat16):
        name = str(kind).removeprefix("torch.")
        yield f"PyTorch {name}", partial(eager, network, kind)
        if compiled:
            begun, faster = time.process_time(), torch.compile(network)
            eager(faster, kind, x)
            took = time.process_time() - begun
            yield f"torch.compile {name} ({took:.0f} CPU s to compile)", partial(eager, faster, kind)
    for precision in ("32-true", "bf16-mixed") if importlib.util.find_spec("openvino") else ():
        asked = plan.model_copy(deep=True)
        asked.training.precision = precision
        yield f"OpenVINO {precision}", partial(eager, by_openvino(network, asked), torch.float32)
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnxscript"):
        yield from exported_engines(network, plan)


def exported_engines(
    network: nn.Module, plan: Plan
) -> Iterator[tuple[str, Callable[[Tensor], np.ndarray[Any, Any]]]]:
    """The network as ONNX, by ONNX Runtime."""
    import onnxruntime

    from hilum.exchange.answer import Answer, entry_of
    from hilum.exchange.graphs import write_onnx

    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        answer = Answer([network], plan)
        write_onnx(path, answer, entry_of(plan, answer.divisor))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        yield (
            "ONNX Runtime float32",
            lambda given: session.run(None, {"image": given.contiguous().numpy()})[0],
        )
