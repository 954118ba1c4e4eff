"""nnU-Net v2, 2D: its own plan, or with `--reduced` the same with patches of 256 pixels and seven stages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from job import Job, read_job

DATASET = "Dataset001_Peer"
PLANS = "nnUNetPlans"
PATCH = 256
STEP_PIXELS = 4 * PATCH * PATCH
STAGES = 7
WORKERS = "nnUNet_n_proc_DA"


def main() -> None:
    """Its own trainer, step by step, without its validation; checkpoints of one training.

    Its learning rate falls over 1,000 epochs of 250 steps; within these budgets it is next to constant.
    """
    job = read_job("reduced", "mirrored")
    work = (job.out / "work").absolute()
    for name in ("raw", "preprocessed", "results"):
        (work / name).mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(work / name)
    os.environ[WORKERS] = "1"
    write_raw(job, work / "raw" / DATASET)
    plan(work, job.options.reduced)
    os.environ[WORKERS] = "0"  # augmentation in the process itself; planning refuses 0
    train(job, work)


def write_raw(job: Job, folder: Path) -> None:
    """The training cases as nnU-Net wants them; overlapping targets become regions of a label map."""
    from PIL import Image

    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for key in job.train:
        image = job.image(key)
        bits = (job.masks(key) * 2 ** np.arange(len(job.targets))[:, None, None]).sum(0).astype(np.uint8)
        array = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
        Image.fromarray(array).save(folder / "imagesTr" / f"c{key}_0000.png")
        Image.fromarray(bits).save(folder / "labelsTr" / f"c{key}.png")
    content = {
        "channel_names": {str(i): f"channel {i}" for i in range(len(image))},
        "labels": {"background": 0} | labels(job.targets),
        "numTraining": len(job.train),
        "file_ending": ".png",
    }
    if len(job.targets) > 1:
        content["regions_class_order"] = list(range(1, len(job.targets) + 1))
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


def labels(targets: list[str]) -> dict[str, Any]:
    """Each target is the union of the combinations that hold it."""
    if len(targets) == 1:
        return {targets[0]: 1}
    codes = range(1, 2 ** len(targets))
    return {name: [code for code in codes if code >> bit & 1] for bit, name in enumerate(targets)}


def plan(work: Path, reduced: bool) -> None:
    """Fingerprint, plan and preprocessing by nnU-Net; the plan is then cut where asked for."""
    from vision import without_operators

    without_operators()
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )

    extract_fingerprints([1], num_processes=1, show_progress_bar=False)
    plan_experiments([1])
    path = work / "preprocessed" / DATASET / f"{PLANS}.json"
    if reduced:
        content = json.loads(path.read_text(encoding="utf-8"))
        cut(content["configurations"]["2d"])
        path.write_text(json.dumps(content), encoding="utf-8")
    preprocess([1], configurations=("2d",), num_processes=(1,), show_progress_bar=False)


def cut(plan: dict[str, Any]) -> None:
    """Patches of at most 256 pixels, as many stages as these bear, at most four patches' pixels a step."""
    pixels = plan["batch_size"] * int(np.prod(plan["patch_size"]))
    plan["patch_size"] = [min(PATCH, side) for side in plan["patch_size"]]
    plan["batch_size"] = max(2, min(pixels, STEP_PIXELS) // int(np.prod(plan["patch_size"])))
    network = plan["architecture"]["arch_kwargs"]
    stages = min(STAGES, network["n_stages"])
    network["n_stages"] = stages
    for name in ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage"):
        network[name] = network[name][:stages]
    network["n_conv_per_stage_decoder"] = network["n_conv_per_stage_decoder"][: stages - 1]


def train(job: Job, work: Path) -> None:
    """Its trainer's steps until each budget is spent."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    torch.manual_seed(job.seed)
    np.random.seed(job.seed)
    folder = work / "preprocessed" / DATASET
    keys = [f"c{key}" for key in job.train]
    (folder / "splits_final.json").write_text(json.dumps([{"train": keys, "val": keys}]), encoding="utf-8")
    plans = json.loads((folder / f"{PLANS}.json").read_text(encoding="utf-8"))
    plans["continue_training"] = False
    described = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    trainer = nnUNetTrainer(plans, "2d", 0, described, torch.device("cpu"))
    trainer.on_train_start()
    trainer.on_train_epoch_start()
    patch, batch = trainer.configuration_manager.patch_size, trainer.configuration_manager.batch_size
    count = sum(p.numel() for p in trainer.network.parameters())
    facts = {
        "schedule": "one training, checkpoints",
        "patch": list(patch),
        "batch": batch,
        "parameters": count,
    }
    meter = job.begin(["nnunetv2", "torch"], **facts)

    def step() -> int:
        trainer.network.train()
        trainer.train_step(next(trainer.dataloader_train))
        return int(batch * np.prod(patch))

    steps = job.train_until_spent(meter, step, lambda image: predict(trainer, image, mirrored=False))
    if job.options.mirrored:
        budget = job.budgets[-1]
        pixels = steps * batch * float(np.prod(patch))
        job.checkpoint(meter, budget, steps, pixels, lambda i: predict(trainer, i, mirrored=True), "mirrored")


def predict(trainer: Any, image: Any, mirrored: bool) -> Any:
    """Masks (T, Y, X) by its predictor; regions are decided at 0.5, one target by the larger probability."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(use_mirroring=mirrored, device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        "nnUNetTrainer",
        trainer.inference_allowed_mirroring_axes,
    )
    spacing = {"spacing": [999.0, 1.0, 1.0]}
    given = image[:, None].astype(np.float32)
    _, found = predictor.predict_single_npy_array(given, spacing, save_or_return_probabilities=True)
    trainer.set_deep_supervision_enabled(trainer.enable_deep_supervision)
    found = np.asarray(found)[:, 0]
    return found >= 0.5 if trainer.label_manager.has_regions else found[1:] > found[:1]


if __name__ == "__main__":
    main()
