"""BiaPy 3.7: its semantic segmentation workflow with a residual U-Net on patches of 256 pixels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from job import Job, read_job

PATCH = 256
BATCH = 4


def main() -> None:
    """Its data, augmentation, network and loss, step by step; checkpoints of one training."""
    from vision import without_operators

    without_operators()
    from biapy import BiaPy
    from biapy.models import build_model  # noqa: F401, imports what the workflow needs before the clock runs

    job = read_job()
    write_images(job)
    settings = config(job)
    biapy = BiaPy(settings, result_dir=str(job.out / "work"), name="peer", run_id=1, gpu="")
    work = biapy.workflow
    work.load_train_data()
    work.prepare_model()
    work.prepare_train_generators()
    optimiser = make_optimiser(work)
    batches = itertools.chain.from_iterable(itertools.repeat(work.train_generator))
    count = sum(p.numel() for p in work.model.parameters())

    def step() -> int:
        work.model.train(True)
        batch, targets = next(batches)
        optimiser.zero_grad()
        outputs = work.model_call_func(batch, is_train=True)
        found = work.loss(outputs, work.prepare_targets(targets, batch))
        loss = found["losses"][0] if isinstance(found, dict) else found
        loss.backward()
        optimiser.step()
        return int(batch[..., 0].numel() if hasattr(batch, "numel") else batch[..., 0].size)

    facts = {"schedule": "one training, checkpoints", "patch": settings["DATA"]["PATCH_SIZE"][:2]}
    meter = job.begin(["biapy", "torch"], **facts, batch=BATCH, parameters=count)
    job.train_until_spent(meter, step, lambda image: predict(biapy, image, len(job.targets)))


def make_optimiser(work: Any) -> Any:
    """The workflow's own optimiser."""
    from biapy.engine import prepare_optimizer

    optimisers, _ = prepare_optimizer(work.cfg, work.model_without_ddp, len(work.train_generator))
    return optimisers[0]


def write_images(job: Job) -> None:
    """Images and class maps as files; combinations of overlapping targets become classes of their own."""
    from PIL import Image

    for part in ("x", "y"):
        (job.out / "train" / part).mkdir(parents=True, exist_ok=True)
    for key in job.train:
        image = job.image(key)
        bits = (job.masks(key) * 2 ** np.arange(len(job.targets))[:, None, None]).sum(0).astype(np.uint8)
        array = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
        Image.fromarray(array).save(job.out / "train" / "x" / f"{key}.png")
        Image.fromarray(bits).save(job.out / "train" / "y" / f"{key}.png")


def config(job: Job) -> dict[str, Any]:
    """Its template of 2D semantic segmentation, with the loss of Dice and cross-entropy."""
    y, x = (min(PATCH, side // 16 * 16) for side in job.smallest)
    train = job.out / "train"
    return {
        "SYSTEM": {"NUM_CPUS": 1, "NUM_WORKERS": 0, "SEED": job.seed},
        "PROBLEM": {"TYPE": "SEMANTIC_SEG", "NDIM": "2D"},
        "DATA": {
            "PATCH_SIZE": (y, x, len(job.image(job.train[0]))),
            "N_CLASSES": 2 ** len(job.targets),
            "TRAIN": {"PATH": str(train / "x"), "GT_PATH": str(train / "y"), "IN_MEMORY": True},
            "VAL": {"FROM_TRAIN": True, "SPLIT_TRAIN": 0.1},
            "TEST": {"PADDING": (32, 32) if min(y, x) > 128 else (0, 0)},
        },
        "AUGMENTOR": {
            "ENABLE": True,
            "RANDOM_ROT": True,
            "VFLIP": True,
            "HFLIP": True,
            "BRIGHTNESS": True,
            "CONTRAST": True,
        },
        "MODEL": {"ARCHITECTURE": "resunet"},
        "LOSS": {"TYPE": ["DICE", "CE"], "WEIGHTS": [0.5, 0.5]},
        "TRAIN": {
            "ENABLE": True,
            "OPTIMIZER": ["ADAMW"],
            "LR": [1e-3],
            "BATCH_SIZE": BATCH,
            "EPOCHS": 1000,
        },
        "TEST": {"ENABLE": False, "VERBOSE": False},
    }


def predict(biapy: Any, image: Any, targets: int) -> Any:
    """Masks (T, Y, X) by its prediction in memory."""
    biapy.cfg.defrost()
    biapy.cfg.TRAIN.ENABLE = False
    biapy.cfg.freeze()
    found = np.asarray(biapy.predict(np.moveaxis(image, 0, -1)))
    if found.shape[-1] == 1:
        return np.moveaxis(found, -1, 0) > 0.5
    classes = found.argmax(-1)
    return np.stack([classes >> bit & 1 for bit in range(targets)]) > 0


if __name__ == "__main__":
    main()
