import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from PIL import Image as Pillow

import hilum
from hilum.errors import HilumError, ImageError, PlanError, RunError
from hilum.image.pyramid import open_pyramid
from hilum.scoring.thresholds import Own


@pytest.fixture(scope="module")
def slide(phantom_study, tmp_path_factory):
    """Phantom sections beside each other with glass below, as a tiled TIFF of 250 x 384 pixels."""
    pictures = [np.asarray(Pillow.open(path)) for path in sorted((phantom_study).rglob("*Original*/*"))][:3]
    image = np.full((250, 384, 3), 240, np.uint8)
    for at, picture in enumerate(pictures):
        image[10:106, at * 128 : (at + 1) * 128] = picture
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    tifffile.imwrite(path, image, tile=(64, 64), compression="zlib")
    return path


@pytest.fixture
def huge_is_small(monkeypatch):
    monkeypatch.setattr("hilum.image.pyramid.WHOLE_PIXELS", 1000)


@pytest.fixture(scope="module")
def whole(phantom_run, slide, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    return hilum.predict(phantom_run.folder, slide, out, device="cpu", probabilities=True)


def mask_of(path):
    with open_pyramid(path) as pyramid:
        return pyramid.read_window(0, 0, *pyramid.shape)[0]


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_a_huge_image_gives_the_masks_and_tables_of_the_whole(
    phantom_run, slide, whole, huge_is_small, tmp_path, kind
):
    if kind == "zarr":
        pytest.importorskip("zarr")
    out, suffix = tmp_path / "out", {"tiff": "tif", "zarr": "zarr"}[kind]
    done = hilum.predict(
        phantom_run.folder, slide, out, device="cpu", probabilities=True, skip_glass=False, mask_format=kind
    )
    assert done.cases == 1
    for name in ("measurements.csv", "regions.csv"):
        assert (out / name).read_text() == (whole.out / name).read_text()
    for target in phantom_run.plan.data.outputs:
        for what in ("masks", "probabilities"):
            expected = np.asarray(Pillow.open(whole.out / what / target / "slide.png"))
            assert (mask_of(out / what / target / f"slide.ome.{suffix}") == expected).all()
    assert (out / "overlays" / "slide.jpg").is_file()
    assert not [*out.rglob(".volume*"), *out.rglob(".blocks")]


def test_the_dice_of_a_huge_mask_is_foretold_as_that_of_the_whole(phantom_run, slide, tmp_path, monkeypatch):
    from hilum.scoring.quality import QualityFit

    fit = QualityFit((0.0, 1.0), (0.1, 0.9), 0.1, 0.5, 0.5, 0.8, 12)
    fits = dict.fromkeys(phantom_run.plan.data.outputs, fit)
    monkeypatch.setattr("hilum.tasks.segment.final_quality", lambda run: fits)
    small = hilum.predict(phantom_run.folder, slide, tmp_path / "small", device="cpu")
    monkeypatch.setattr("hilum.image.pyramid.WHOLE_PIXELS", 1000)
    huge = hilum.predict(phantom_run.folder, slide, tmp_path / "huge", device="cpu", skip_glass=False)
    table = pd.read_csv(huge.out / "measurements.csv")
    assert table.predicted_dice.between(0.1, 0.9).all()
    assert (small.out / "measurements.csv").read_text() == (huge.out / "measurements.csv").read_text()


def test_a_huge_image_has_the_threshold_of_the_whole(phantom_run, slide, tmp_path, monkeypatch):
    monkeypatch.setattr("hilum.tasks.segment.final_thresholds", lambda run: [Own(), Own(2.0, 1000)])
    small = hilum.predict(phantom_run.folder, slide, tmp_path / "small", device="cpu")
    monkeypatch.setattr("hilum.image.pyramid.WHOLE_PIXELS", 1000)
    huge = hilum.predict(phantom_run.folder, slide, tmp_path / "huge", device="cpu", skip_glass=False)
    assert (small.out / "measurements.csv").read_text() == (huge.out / "measurements.csv").read_text()


def test_an_interrupted_prediction_goes_on(phantom_run, slide, huge_is_small, tmp_path, command, monkeypatch):
    from hilum.inference import blocks

    out, stop = tmp_path / "out", {"after": 3}
    blended = blocks._blended

    def stopping(*words):
        stop["after"] -= 1
        if stop["after"] < 0:
            raise KeyboardInterrupt
        return blended(*words)

    monkeypatch.setattr(blocks, "_blended", stopping)
    stopped = command("predict", phantom_run.folder, slide, "--out", out, "--device", "cpu")
    assert stopped.code == 130
    assert stopped.err.strip().endswith("--resume")
    again = command("predict", phantom_run.folder, slide, "--out", out, "--device", "cpu")
    assert again.code == 1
    assert "--resume" in again.err
    with pytest.raises(RunError, match="another run or image"):
        hilum.predict(phantom_run.folder, slide, out, resume=True, skip_glass=False, device="cpu")
    kept = sorted(out.rglob(".blocks/slide/cells/*"))
    assert len(kept) == 3
    before = [path.stat().st_mtime_ns for path in kept]
    stop["after"] = 10**6
    forgotten = []
    monkeypatch.setattr(
        "hilum.verbs.predict.forget", lambda folder: forgotten.extend(p.stat().st_mtime_ns for p in kept)
    )
    assert (
        command("predict", phantom_run.folder, slide, "--out", out, "--device", "cpu", "--resume").code == 0
    )
    assert forgotten == before
    undisturbed = hilum.predict(phantom_run.folder, slide, tmp_path / "other", device="cpu")
    assert (out / "regions.csv").read_text() == (undisturbed.out / "regions.csv").read_text()


@pytest.mark.parametrize("name", ["run", "run.json"])
def test_a_huge_image_may_have_any_name(phantom_run, slide, huge_is_small, tmp_path, name):
    named = shutil.copy(slide, tmp_path / f"{name}.tif")
    done = hilum.predict(phantom_run.folder, named, tmp_path / "out", device="cpu")
    assert (done.out / "masks").is_dir()
    assert not (done.out / ".blocks").exists()


def test_geojson_and_coco_of_small_and_huge_images(
    phantom_run, phantom_study, slide, huge_is_small, tmp_path, command
):
    small = next((phantom_study / "pred" / "Original_0.2").iterdir())
    out = tmp_path / "out"
    done = command("predict", phantom_run.folder, slide, small, "--out", out, "--geojson", "--coco")
    assert done.code == 0
    regions = pd.read_csv(out / "regions.csv")
    for case in ("slide", small.stem):
        features = json.loads((out / "geojson" / f"{case}.geojson").read_text())["features"]
        own = regions[regions.case == case]
        assert [one["properties"]["measurements"]["Area px^2"] for one in features] == own.pixels.tolist()
        rows, _ = hilum.measure([out / "geojson" / f"{case}.geojson"])
        assert sum(row["area"] for row in rows) == own.pixels.sum()
    coco = json.loads((out / "coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["slide.tif", small.name]
    assert [one["area"] for one in coco["annotations"]] == regions.pixels.tolist()
    assert [one["bbox"][0] for one in coco["annotations"]] == regions.from_x_px.tolist()
    assert [one["id"] for one in coco["annotations"]] == list(range(1, len(regions) + 1))


def test_a_zarr_image_is_predicted(phantom_run, slide, whole, tmp_path):
    zarr = pytest.importorskip("zarr")
    array = np.moveaxis(tifffile.imread(slide), -1, 0)
    group = zarr.open_group(str(tmp_path / "slides" / "slide.zarr"), mode="w", zarr_format=3)
    group.create_array("0", shape=array.shape, chunks=(3, 64, 64), dtype=array.dtype)[...] = array
    steps = [{"type": "scale", "scale": [1, 1, 1]}]
    sets = [{"path": "0", "coordinateTransformations": steps}]
    scales = [{"axes": [{"name": name} for name in "cyx"], "datasets": sets}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": scales}
    done = hilum.predict(
        phantom_run.folder, tmp_path / "slides", tmp_path / "out", device="cpu", skip_glass=False
    )
    assert done.cases == 1
    assert (tmp_path / "out" / "regions.csv").read_text() == (whole.out / "regions.csv").read_text()


def test_a_submission_has_no_room_for_huge_images(phantom_run, slide, huge_is_small, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(phantom_run.folder, run)
    with pytest.raises(PlanError):
        hilum.predict(run, slide, tmp_path / "out", submission="kaggle-rle", device="cpu")


def test_a_submission_refuses_huge_images_before_any_work(phantom_run, slide, huge_is_small, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(phantom_run.folder, run)
    plan = yaml.safe_load((run / "plan.yaml").read_text())
    plan["data"]["outputs"] = ["Parenchyma"]
    (run / "plan.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(ImageError, match=r"1 of the images are huge \(.*slide\.tif\)"):
        hilum.predict(run, slide, tmp_path / "out", submission="kaggle-rle", device="cpu")
    assert not (tmp_path / "out").exists()


def test_an_unreadable_huge_image_is_named(phantom_run, slide, huge_is_small, tmp_path):
    (tmp_path / "cut.tif").write_bytes(slide.read_bytes()[:-3000])
    with pytest.raises(HilumError, match=r"cut\.tif"):
        hilum.predict(phantom_run.folder, tmp_path / "cut.tif", tmp_path / "out", device="cpu")
