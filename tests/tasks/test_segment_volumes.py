import json

import numpy as np
import pytest

import hilum
from hilum.image.image import Geometry, Image
from hilum.image.readers import read_image
from hilum.image.spacing import Spacing
from hilum.image.volume import write_volume

QUICK = (
    "training.threads=1",
    "scoring.bootstrap=10",
    "training.batch=8",
    "training.warmup=5",
    "training.learning_rate=0.02",
)
FLAT = ("model.settings={width: 8, depth: 2, stem: 2}", "training.patch=[48, 48]")
BLOCKS = (
    "model.settings={width: 4, depth: 1, stem: 2, dims: 3}",
    *("data.dims=3", "data.neighbours=0", "training.patch=[8, 32, 32]", "inference.tile=[8, 32, 32]"),
)
GEOMETRY = Geometry((10.0, 20.0, -30.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
SPACING = Spacing((3.0, 1.0, 1.0), "mm")


def ball(rng, shape=(12, 48, 56)):
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    middle = rng.uniform([5, 18, 18], [7, 30, 38])
    return (3 * (z - middle[0])) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2 <= 10**2


def save(path, array):
    write_volume(path, Image(array[None], SPACING, geometry=GEOMETRY))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Four volumes of a bright ball in noise, with mask volumes, as NIfTI."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for number in range(4):
        mask = ball(rng)
        save(
            folder / "images" / f"p{number}.nii.gz",
            (rng.normal(0, 30, mask.shape) + 150 * mask).astype(np.int16),
        )
        save(folder / "masks" / f"p{number}.nii.gz", mask.astype(np.uint8))
    return folder


def nnunet(pairs, folder):
    """The same study as nnU-Net raw."""
    for path in sorted((pairs / "images").iterdir()):
        name = path.name.removesuffix(".nii.gz")
        (folder / "imagesTr").mkdir(parents=True, exist_ok=True)
        (folder / "labelsTr").mkdir(parents=True, exist_ok=True)
        (folder / "imagesTr" / f"{name}_0000.nii.gz").write_bytes(path.read_bytes())
        (folder / "labelsTr" / path.name).write_bytes((pairs / "masks" / path.name).read_bytes())
    labels = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "ball": 1}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(labels))
    return folder


def test_volume_pairs_walk_the_road(pairs, tmp_path):
    run = hilum.train(pairs, tmp_path / "run", steps=60, folds=2, settings=(*QUICK, *FLAT), device="cpu")
    assert (run.plan.data.dims, run.plan.data.neighbours) == (2, 1)
    (found,) = run.summary()["targets"].values()
    assert found["dice"]["mean"] > 0.7
    new = sorted((pairs / "images").iterdir())[0]
    done = hilum.predict(run.folder, new, tmp_path / "out", device="cpu")
    assert done.cases == 1
    (path,) = (tmp_path / "out" / "masks").glob("*/*.nii.gz")
    mask = read_image(path)
    assert mask.shape == (12, 48, 56)
    assert mask.geometry.origin == pytest.approx(GEOMETRY.origin, abs=1e-4)
    assert mask.spacing.sizes == pytest.approx(SPACING.sizes)


def test_blocks_of_an_nnunet_folder_walk_the_road(pairs, tmp_path):
    study = nnunet(pairs, tmp_path / "raw")
    run = hilum.train(study, tmp_path / "run", steps=40, folds=2, settings=(*QUICK, *BLOCKS), device="cpu")
    assert run.plan.data.dims == 3
    (found,) = run.summary()["targets"].values()
    assert found["dice"]["mean"] > 0.3
    rows = run.history(0)
    assert all(np.isfinite(float(row["loss"])) for row in rows)
