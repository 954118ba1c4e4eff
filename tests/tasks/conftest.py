"""A run folder of a detector on phantom scans, as `evaluation/` and `predictions/` hold it."""

import csv
import json

import numpy as np
import pytest

from hilum.ct.coordinates import inside
from hilum.ct.lungs import lung_mask
from hilum.ct.marks import ball_mask
from hilum.image.image import Image
from hilum.image.volume import write_volume
from hilum.phantoms.make import make_phantom
from hilum.scoring import detection as scoring
from hilum.study.masks import read_case_image
from hilum.study.open import open_study
from hilum.study.study import Mark
from hilum.training.run import Run

RATES = scoring.RATES
PLACE = ("seriesuid", "fold", "coordX", "coordY", "coordZ", "diameter_mm")
SHARES = ("probability", "peak_probability", "mean_probability", "volume_mm3", "first_probability")
CANDIDATE = (*PLACE, *SHARES, "status", "nodule", "distance_mm")
MEASURED = ("volume_mm3", "mean_hu", "side", "wall_mm")
NODULE = (*PLACE, "nodule", "found", "probability", "distance_mm", *MEASURED)
COUNTS = ("nodules", "found", "false_positives", "candidates")
CASE = ("case", "group", "fold", *COUNTS, "lungs_l", "lung_warnings", "dice")


def write(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(rows)


def moved(centre, by):
    return tuple(float(value) for value in np.add(centre, by))


def place(centre):
    return dict(zip(("coordX", "coordY", "coordZ"), centre, strict=True))


def candidate(name, fold, centre, diameter, probability, status, nodule="", distance=""):
    volume = np.pi / 6 * diameter**3
    shares = dict.fromkeys(("peak_probability", "mean_probability", "first_probability"), probability / 2)
    head = {"seriesuid": name, "fold": fold, **place(centre), "diameter_mm": diameter}
    told = {"probability": probability, "volume_mm3": volume, "status": status}
    return {**head, **shares, **told, "nodule": nodule, "distance_mm": distance}


@pytest.fixture(scope="session")
def luna_study(tmp_path_factory):
    """Four coarse phantom scans as a LUNA folder holds them, opened."""
    folder = make_phantom("ct", tmp_path_factory.mktemp("luna") / "study", cases=4, size=(36, 64, 64))
    return open_study(folder)


@pytest.fixture(scope="session")
def detector_run(luna_study, tmp_path_factory):
    """What a detection task would leave: of each scan all nodules but the last found, two false positives."""
    run = Run(tmp_path_factory.mktemp("detector") / "run")
    nodules, candidates, cases = [], [], []
    for number, case in enumerate(luna_study.cases):
        name, fold = case.name, number % 2
        image = read_case_image(case)
        lungs = lung_mask(image)
        for index, mark in enumerate(case.marks):
            missed = index == len(case.marks) - 1
            shift = (1.0, 0.5, 0.2 + index)
            away = round(float(np.linalg.norm(shift)), 3)
            row = {"seriesuid": name, "fold": fold, "nodule": index, **place(mark.centre)}
            row |= {"diameter_mm": mark.diameter_mm, "found": int(not missed), "mean_hu": 22.4}
            row |= {"volume_mm3": 500.0, "side": "left", "wall_mm": 3.5}
            if not missed:
                row |= {"probability": 0.9 - 0.1 * index, "distance_mm": away}
                spot = moved(mark.centre, shift)
                candidates.append(
                    candidate(name, fold, spot, mark.diameter_mm, 0.9 - 0.1 * index, "hit", index, away)
                )
            nodules.append(row)
        middle = np.argwhere(lungs.mask).mean(axis=0)[::-1] * image.spacing.sizes[::-1]
        for extra in range(2):
            spot = moved(image.geometry.origin, middle + 20 * extra)
            candidates.append(candidate(name, fold, spot, 7.0, 0.6 - 0.2 * extra, "false"))
        hits = [Mark(tuple(row[k] for k in place((0, 0, 0))), row["diameter_mm"]) for row in candidates]
        mine = [mark for mark, row in zip(hits, candidates, strict=True) if row["seriesuid"] == name]
        drawn = ball_mask(image, [mark for mark in mine if inside(image, mark.centre)])
        kept = Image(drawn[None].astype(np.uint8), image.spacing, geometry=image.geometry)
        write_volume(run.predictions / "masks" / "nodule" / f"{name}.nii.gz", kept)
        write_volume(run.predictions / "lungs" / f"{name}.nii.gz", image.with_array(lungs.sides[None]))
        warned = "; ".join([*lungs.warnings, *(["looks odd <script>"] if number == 0 else [])])
        cases.append(
            {"case": name, "group": case.group, "fold": fold, "nodules": len(case.marks)}
            | {"found": len(case.marks) - 1, "false_positives": 2, "candidates": len(mine)}
            | {"lungs_l": f"{lungs.volume_l:.2f}", "lung_warnings": warned, "dice": 0.61}
        )
    write(run.evaluation / "candidates.csv", CANDIDATE, candidates)
    write(run.evaluation / "nodules.csv", NODULE, nodules)
    write(run.evaluation / "cases.csv", CASE, cases)
    (run.evaluation / "summary.json").write_text(json.dumps(summarise(luna_study, nodules, candidates)))
    (run.folder / "manifest.json").write_text("{}")
    return run


def summarise(study, nodules, candidates):
    """The summary by the scoring room, so that figures and tables agree."""
    at = list(place((0, 0, 0)))
    true = [
        scoring.Nodule(row["seriesuid"], tuple(row[k] for k in at), row["diameter_mm"]) for row in nodules
    ]
    found = [
        scoring.Candidate(row["seriesuid"], tuple(row[k] for k in at), row["probability"])
        for row in candidates
    ]
    result = scoring.froc(found, true, scans=[case.name for case in study.cases])
    told = scoring.summarise_detection(result, samples=50)
    return {
        "scans": len(study.cases),
        "nodules": len(nodules),
        "froc": {
            "false_positives": list(RATES),
            "sensitivity": list(told["sensitivity_at"].values()),
            "cpm": told["cpm"],
            "curve": {
                "false_positives": result.rates.tolist(),
                "sensitivity": result.sensitivity.tolist(),
            },
        },
        "first_stage": {"cpm": 0.3, "sensitivity": [0.1, 0.2, 0.3, 0.3, 0.4, 0.4, 0.4]},
        "operating_point": {"threshold": 0.45, "false_positives_a_scan": 1.0, "sensitivity": 0.63},
        "distance_mm": {"median": 1.4, "p90": 2.5},
        "dice": {"mean": 0.61, "pooled": 0.64},
        "targets": {},
    }
