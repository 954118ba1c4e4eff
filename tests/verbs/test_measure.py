import json

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from PIL import Image as Pillow

import hilum
from hilum.errors import HilumError


@pytest.fixture
def mask_file(tmp_path, disc):
    path = tmp_path / "disc.png"
    Pillow.fromarray((disc() * 255).astype(np.uint8)).save(path)
    return path


def test_a_mask_is_measured_in_the_unit_given(mask_file, disc, tmp_path):
    rows, regions = hilum.measure([mask_file], spacing="0.5um", out=tmp_path / "out")
    assert rows[0]["area"] == pytest.approx(disc().sum() * 0.25)
    assert rows[0]["unit"] == "µm²"
    assert len(regions) == rows[0]["regions"] == 1
    assert len(pd.read_csv(tmp_path / "out" / "measurements.csv")) == 1
    assert hilum.measure(str(mask_file), spacing="0.5um")[0][0]["area"] == rows[0]["area"]


def test_without_a_spacing_pixels_are_counted(mask_file, disc):
    rows, _ = hilum.measure([mask_file])
    assert (rows[0]["area"], rows[0]["unit"]) == (disc().sum(), "px²")


@pytest.mark.parametrize("spacing", ["wide", "-1um", "0mm", "1 parsec"])
def test_a_wrong_spacing_says_how_to_write_one(mask_file, spacing):
    with pytest.raises(HilumError):
        hilum.measure([mask_file], spacing=spacing)


@pytest.mark.parametrize(
    ("spacing", "advice"),
    [
        ("1,5um", "write 1.5um, or 1x5um for several sizes"),
        ("0,65um", "write 0.65um$"),
        ("0,5x0,7 mm", "write 0.5x0.7 mm$"),
    ],
)
def test_a_decimal_comma_is_never_taken_for_two_sizes(mask_file, spacing, advice):
    with pytest.raises(HilumError, match=advice):
        hilum.measure([mask_file], spacing=spacing)


def test_volumes_are_measured_on_the_command_line_too(command, tmp_path):
    ball = np.zeros((6, 8, 10), np.uint8)
    ball[1:4, 2:6, 3:8] = 1
    volume = SimpleITK.GetImageFromArray(ball)
    volume.SetSpacing((0.5, 0.5, 2.0))
    SimpleITK.WriteImage(volume, str(tmp_path / "ball.nii.gz"))
    done = command("measure", tmp_path / "ball.nii.gz")
    assert done.code == 0
    assert done.out.strip() == "ball  mask: 30 mm³ (12.5 %), 1 region"


def test_json_for_machines_holds_no_nan(command, mask_file):
    """Without a probability map the mean probability of a region is not known."""
    done = command("measure", mask_file, "--json")
    content = json.loads(done.out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert content["regions"][0]["mean_probability"] is None


@pytest.fixture
def block(tmp_path):
    """A volume of 40 voxels that says nothing of its own of their size."""
    mask = np.zeros((4, 6, 8), np.uint8)
    mask[1:3, 1:5, 2:7] = 1
    volume = SimpleITK.GetImageFromArray(mask)
    SimpleITK.WriteImage(volume, str(tmp_path / "block.nii.gz"))
    return tmp_path / "block.nii.gz"


@pytest.mark.parametrize(
    ("spacing", "volume"),
    [
        ("2.5x0.7x0.7mm", 40 * 2.5 * 0.7 * 0.7),
        ("2.5 x 0.7 x 0.7 mm", 40 * 2.5 * 0.7 * 0.7),
        ("0.5mm", 40 * 0.5**3),
    ],
)
def test_voxels_have_three_sizes(block, spacing, volume):
    rows, regions = hilum.measure([block], spacing=spacing)
    assert (rows[0]["volume"], rows[0]["unit"]) == (pytest.approx(volume), "mm³")
    assert regions[0]["volume"] == pytest.approx(volume)


def test_two_sizes_are_of_a_plane(mask_file, disc):
    rows, _ = hilum.measure([mask_file], spacing="0.5x0.7mm")
    assert rows[0]["area"] == pytest.approx(disc().sum() * 0.35)
    with pytest.raises(HilumError, match=r"disc.png: .* has 3 sizes; the image has 2 axes"):
        hilum.measure([mask_file], spacing="2.5x0.7x0.7mm")


@pytest.mark.parametrize("spacing", ["2x2x2x2mm", "2.5x0.7x0.7", "2.5xwidex0.7mm"])
def test_a_wrong_spacing_of_several_sizes_states_their_order(block, spacing):
    with pytest.raises(HilumError, match="z, y, x"):
        hilum.measure([block], spacing=spacing)


@pytest.fixture
def drawn(tmp_path):
    """Two files of annotations of one name, in two folders."""
    ring = [[0, 0], [0, 10], [10, 10], [10, 0], [0, 0]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}
    paths = [tmp_path / folder / "x.geojson" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return paths


def test_annotations_of_one_name_are_told_apart(drawn):
    rows, regions = hilum.measure(drawn)
    assert [row["case"] for row in rows] == [row["case"] for row in regions] == ["a/x", "b/x"]
    assert hilum.measure(drawn[0])[0][0]["case"] == "x"


def test_a_folder_of_annotations_is_measured(drawn):
    assert [row["case"] for row in hilum.measure(drawn[0].parent)[0]] == ["x"]


def test_polygons_are_objects_already(drawn):
    with pytest.raises(HilumError, match=r"x\.geojson holds polygons.*without --objects"):
        hilum.measure(drawn, objects=True)


def test_an_unknown_share_is_not_printed(command, drawn):
    assert command("measure", drawn[0]).out.strip().endswith(": 100 px², 1 region")


def test_the_tables_of_a_prediction_are_not_overwritten(mask_file, tmp_path):
    (tmp_path / "out" / "masks").mkdir(parents=True)
    (tmp_path / "out" / "measurements.csv").write_text("case\n")
    with pytest.raises(HilumError, match="holds the tables of a prediction"):
        hilum.measure(mask_file, out=tmp_path / "out")
    assert (tmp_path / "out" / "measurements.csv").read_text() == "case\n"
