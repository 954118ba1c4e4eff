"""Nodules in CT: a phantom LUNA study, six scans held out, five folds by patient on real slices, a real scan.

    python bench/ct.py scan OUT
    python bench/ct.py phantom RUN [--cpu 400] [--seed 5] [--scans 12] [--size 160 300 300] [--set KEY=VALUE]
    python bench/ct.py slices RUN [--cpu 600] [--folds 0 1 2 3 4] [--recipe NAME] [--set KEY=VALUE]

`scan` reads a whole LIDC scan from its zip, writes it as .mhd and back, and finds lungs and nodule; OUT gets
pictures to look at. `phantom` makes the study itself, beside RUN. `scan` and `slices` read `HILUM_DATA`
(default ../shared/data); the RUN of `slices` is kept, so that folds can be trained one at a time. All print a
row for bench/RESULTS.md and append their figures to bench/results/ct.jsonl. `--cpu` is CPU seconds of
training a fold. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hilum
from hilum.ct.lungs import Lungs
from hilum.files import write_json
from hilum.image.image import Image
from hilum.phantoms.make import make_phantom
from hilum.study.masks import read_case_image, read_reader_masks
from hilum.study.open import understand
from hilum.training.run import Run, processor_name

FOLDS = 5
# Voxels of 1.6 x 1.08 x 1.08 mm; the phantom's own default, which tests use, has nodules of two voxels.
FINE = (160, 300, 300)


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("what", choices=("phantom", "slices", "scan"))
    arguments.add_argument("run", type=Path, help="folder of the run, kept")
    arguments.add_argument("--cpu", type=float, help="CPU seconds of training a fold")
    arguments.add_argument("--recipe")
    arguments.add_argument("--seed", type=int, default=5, help="of the phantom study")
    arguments.add_argument("--scans", type=int, default=12, help="of the phantom study, half held out")
    arguments.add_argument(
        "--size", type=int, nargs=3, metavar=("Z", "Y", "X"), help="voxels of a phantom scan"
    )
    arguments.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    arguments.add_argument("--set", nargs="*", default=[], dest="settings", metavar="KEY=VALUE")
    given = arguments.parse_args()
    found = {"phantom": phantom, "slices": slices, "scan": scan}[given.what](given)
    if found is None:
        return
    target = Path(__file__).parent / "results" / "ct.jsonl"
    target.parent.mkdir(exist_ok=True)
    with target.open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")


def phantom(given: argparse.Namespace) -> dict[str, Any]:
    """Train on one half of a phantom LUNA study, score on the other."""
    name = "-".join(map(str, ["phantom", given.seed, given.scans, *given.size]))
    study = given.run.parent / name
    if not (study / "annotations.csv").is_file():
        shutil.rmtree(study, ignore_errors=True)
        make_phantom("ct", study, cases=given.scans, seed=given.seed, size=given.size)
    names = [case.name for case in understand(study).cases]
    splits = given.run.parent / f"{given.run.name}-splits.json"
    half = len(names) // 2
    fold = {"train": names[:half], "test": names[half:]}
    write_json(splits, {"by": "file", "reason": f"{half} scans held out", "folds": [fold]})
    started, cpu = time.perf_counter(), time.process_time()
    run = hilum.train(
        study,
        given.run,
        splits=splits,
        recipe=given.recipe,
        settings=[f"training.cpu_s={given.cpu or 400}", *given.settings],
    )
    summary = run.summary()
    found = {
        "study": f"phantom LUNA, {half} scans to train, {len(names) - half} held out, seed {given.seed}",
        "recipe": given.recipe or "planned",
        "settings": given.settings,
        "size": list(given.size),
        "scans": summary["scans"],
        "nodules": summary["nodules"],
        "cpm": summary["cpm"]["value"],
        "interval": summary["cpm"]["interval"],
        "sensitivity_at": summary["sensitivity_at"],
        "first_stage_cpm": summary["first_stage"]["cpm"],
        "distance_mm": summary["distance_mm"],
        "dice": summary["dice"],
        **_costs(run, started, cpu),
    }
    at = " ".join(f"{value:.2f}" for value in summary["sensitivity_at"].values())
    low, high = found["interval"]
    print(
        f"| phantom LUNA, {half} + {len(names) - half} scans | {found['recipe']} | CPM {found['cpm']:.3f} "
        f"[{low:.2f}, {high:.2f}] (first stage alone {found['first_stage_cpm']:.3f}) | {at} | "
        f"{found['total_cpu_s']:.0f} CPU s | {found['peak_mb']:.0f} MB |"
    )
    return found


def slices(given: argparse.Namespace) -> dict[str, Any] | None:
    """Five folds by patient on 2D crops with four readers; the readers' own agreement beside it."""
    data = Path(os.environ.get("HILUM_DATA", "../shared/data")) / "ct_nodule_slices"
    settings = [f"training.cpu_s={given.cpu or 600}", *given.settings]
    started, cpu = time.perf_counter(), time.process_time()
    for fold in given.folds:
        there = (given.run / "manifest.json").is_file()
        run = hilum.train(
            data, given.run, folds=FOLDS, fold=fold, recipe=given.recipe, settings=settings, resume=there
        )
    found = {
        "study": "ct_nodule_slices, truth of two readers, 5 folds by patient",
        "recipe": given.recipe or "planned",
        "settings": given.settings,
        **slice_scores(run),
        **_costs(run, started, cpu),
    }
    low, high = found["interval"]
    readers = found["readers"]
    print(
        f"| ct_nodule_slices | {found['recipe']} | {found['mean']:.4f} [{low:.3f}, {high:.3f}] "
        f"({found['positive']}) | {found['pooled']:.4f} (slices with a nodule alone "
        f"{found['pooled_positive']:.4f}) | {found['empty_area_px']:.1f} px on "
        f"{found['empty']} empty | readers: mean {readers['mean']:.3f}, pooled {readers['pooled']:.3f}, "
        f"one against the vote of the others {readers['one_against_others']['mean']:.3f} |"
    )
    return found if len(run.trained_folds()) == FOLDS else None


def scan(given: argparse.Namespace) -> dict[str, Any]:
    """A whole real scan from its zip: geometry, round trip, outlines, lungs."""
    from hilum.ct.lidc import outlines_mask, parse_reading
    from hilum.ct.lungs import lung_mask
    from hilum.image.dicom import read_series
    from hilum.image.volume import read_volume, write_volume

    data = Path(os.environ.get("HILUM_DATA", "../shared/data")) / "ct_lidc_0001"
    started, cpu = time.perf_counter(), time.process_time()
    image = read_series(data / "LIDC-IDRI-0001.zip")
    write_volume(given.run / "scan.mhd", image)
    back = read_volume(given.run / "scan.mhd")
    truth = read_volume(data / "nodule_mask" / "LIDC-IDRI-0001_R_1.nii.gz")
    nodule = truth.array[0] > 0
    reading = parse_reading(data / "LIDC-IDRI-0001_69.xml")
    lungs = lung_mask(image)
    found = {
        "study": "ct_lidc_0001",
        "shape": list(image.shape),
        "spacing_mm": list(image.spacing.sizes),
        "hu": [int(image.array.min()), int(image.array.max())],
        "bit_for_bit": bool(np.array_equal(back.array, image.array)) and back.geometry == image.geometry,
        "same_grid_as_mask": truth.shape == image.shape
        and truth.geometry is not None
        and image.geometry is not None
        and bool(np.allclose(truth.geometry.origin, image.geometry.origin, atol=1e-4)),
        "outlines_dice": {
            str(least): _dice([_overlap(outlines_mask(reading, image, least), nodule)])["pooled"]
            for least in (1, 2, 3)
        },
        "lungs_l": lungs.volume_l,
        "nodule_in_lungs": float(lungs.mask[nodule].mean()),
        "warnings": list(lungs.warnings),
        "wall_s": time.perf_counter() - started,
        "total_cpu_s": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "processor": processor_name(),
    }
    print("| " + " | ".join(f"{key}: {value}" for key, value in found.items()) + " |")
    _write_pictures(given.run, image, lungs, nodule)
    return found


def _write_pictures(out: Path, image: Image, lungs: Lungs, nodule: NDArray[np.bool_]) -> None:
    """Lungs in even cuts, and the given mask in three planes through its middle."""
    from PIL import Image as Pillow

    from hilum.ct.coordinates import voxel_to_world
    from hilum.ct.pictures import lung_montage, montage, three_planes

    Pillow.fromarray(lung_montage(image, lungs)).save(out / "lungs.png")
    x, y, z = (float(value) for value in voxel_to_world(image, np.argwhere(nodule).mean(0)))
    planes = three_planes(image, (x, y, z), [(nodule, (255, 80, 60))], size_mm=120.0)
    Pillow.fromarray(montage(planes, columns=3)).save(out / "nodule.png")


def slice_scores(run: Run) -> dict[str, Any]:
    """Dice where there is a nodule, false-positive area where there is none, and the human level."""
    with (run.evaluation / "cases.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    (dice,) = (found["dice"] for found in run.summary()["targets"].values())
    positive = [row for row in rows if int(row["truth_pixels"])]
    empty = [row for row in rows if not int(row["truth_pixels"])]
    areas = [int(row["predicted_pixels"]) for row in empty]
    return {
        "mean": float(np.mean([float(row["dice"]) for row in positive])),
        "interval": dice["interval"],
        "pooled": dice["pooled"],
        "pooled_positive": _pooled(positive),
        "positive": len(positive),
        "empty": len(empty),
        "empty_area_px": float(np.mean(areas)) if areas else None,
        "empty_untouched": float(np.mean([area == 0 for area in areas])) if areas else None,
        "by_fold": {
            str(fold): float(np.mean([float(row["dice"]) for row in positive if row["fold"] == str(fold)]))
            for fold in run.trained_folds()
        },
        "readers": reader_agreement(run),
    }


def _pooled(rows: list[dict[str, str]]) -> float:
    """Dice of all pixels of these slices together."""
    hit, false, missed = (sum(int(row[name]) for row in rows) for name in ("tp", "fp", "fn"))
    return 2 * hit / (2 * hit + false + missed)


def reader_agreement(run: Run) -> dict[str, Any]:
    """How well readers agree: each with each other, and each with what two of the others marked.

    Means are over slices where at least one of the two sides marked something.
    """
    (target,) = run.study.targets
    pairs: list[tuple[int, int]] = []
    others: list[tuple[int, int]] = []
    for case in run.study.cases:
        masks = read_reader_masks(case, target, read_case_image(case).shape)
        pairs += [_overlap(a, b) for a, b in combinations(masks, 2)]
        votes = masks.sum(0, dtype=int)
        others += [_overlap(mask, votes - mask >= 2) for mask in masks]
    return {**_dice(pairs), "one_against_others": _dice(others)}


def _overlap(a: NDArray[Any], b: NDArray[Any]) -> tuple[int, int]:
    return 2 * int((a & b).sum()), int(a.sum() + b.sum())


def _dice(overlaps: list[tuple[int, int]]) -> dict[str, Any]:
    marked = [both / either for both, either in overlaps if either]
    both, either = (sum(part) for part in zip(*overlaps, strict=True))
    return {"mean": float(np.mean(marked)), "pooled": both / either, "pairs": len(marked)}


def _costs(run: Run, started: float, cpu: float) -> dict[str, Any]:
    return {
        "fold_cpu_s": [float(run.history(index)[-1]["cpu_s"]) for index in run.trained_folds()],
        "steps": run.plan.training.steps,
        "total_cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - started,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "threads": run.plan.training.threads,
        "processor": processor_name(),
    }


if __name__ == "__main__":
    main()
