"""MONAI as its tutorials train a U-Net: BasicUNet, crops on the rarest target, Dice and cross-entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from job import read_job
from monai.inferers import sliding_window_inference
from monai.losses import DiceLoss
from monai.networks.nets import BasicUNet
from monai.transforms import (
    Compose,
    NormalizeIntensity,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from monai.utils import set_determinism

PATCH = 256
IMAGES = 2
CROPS = 2  # of each image: half of them, on average, centred on the rarest target


def main() -> None:
    """Adam at a constant rate, so that all budgets are checkpoints of one training."""
    job = read_job()
    set_determinism(job.seed)
    y, x = job.smallest
    patch = (min(PATCH, y // 16 * 16), min(PATCH, x // 16 * 16))
    normalise = NormalizeIntensity(channel_wise=True)
    data = [
        sample(normalise(job.image(key).astype(np.float32)), job.masks(key), job.rarest) for key in job.train
    ]
    moves = transforms(patch)
    network = BasicUNet(2, len(data[0]["image"]), len(job.targets))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    dice, cross_entropy = DiceLoss(sigmoid=True), torch.nn.BCEWithLogitsLoss()
    rng = np.random.default_rng(job.seed)

    def step() -> int:
        chosen = [data[int(i)] for i in rng.choice(len(data), IMAGES, replace=len(data) < IMAGES)]
        crops = [crop for one in chosen for crop in moves(one)]
        x = torch.stack([crop["image"].as_tensor() for crop in crops])
        y = torch.stack([crop["masks"].as_tensor() for crop in crops]).float()
        network.train()
        optimiser.zero_grad()
        logits = network(x)
        (dice(logits, y) + cross_entropy(logits, y)).backward()
        optimiser.step()
        return x[:, 0].numel()

    def predict(image: Any) -> Any:
        network.eval()
        given = torch.as_tensor(np.asarray(normalise(image.astype(np.float32))))[None]
        with torch.inference_mode():
            logits = sliding_window_inference(given, patch, 4, network, overlap=0.25)
        return (logits[0] >= 0).numpy()

    meter = job.begin(
        ["monai", "torch"], schedule="one training, checkpoints", patch=patch, batch=IMAGES * CROPS
    )
    job.train_until_spent(meter, step, predict)


def sample(image: Any, masks: Any, rarest: int) -> dict[str, Any]:
    """What the transforms take: the image, all masks, and the rarest target alone to centre crops on."""
    return {"image": image, "masks": masks.astype(np.uint8), "rare": masks[rarest][None].astype(np.uint8)}


def transforms(patch: tuple[int, int]) -> Compose:
    """Crops, flips, quarter turns and small changes of intensity."""
    every = ["image", "masks"]
    return Compose(
        [
            RandCropByPosNegLabeld(every, label_key="rare", spatial_size=patch, num_samples=CROPS),
            RandFlipd(every, prob=0.5, spatial_axis=0),
            RandFlipd(every, prob=0.5, spatial_axis=1),
            RandRotate90d(every, prob=0.5) if patch[0] == patch[1] else RandFlipd(every, prob=0.0),
            RandScaleIntensityd("image", 0.1, prob=0.5),
            RandShiftIntensityd("image", 0.1, prob=0.5),
        ]
    )


if __name__ == "__main__":
    main()
