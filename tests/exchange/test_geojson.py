import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hilum
from hilum.errors import HilumError, ImageError
from hilum.exchange.coco import run_lengths, segmentation
from hilum.exchange.geojson import masks_of, read_geojson, regions_of, write_geojson
from hilum.exchange.mask_outlines import outlined
from hilum.image.spacing import Spacing
from hilum.image.writers import write_mask
from hilum.measurement.regions import measure_regions

masks = hnp.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14)))


def written(folder, mask, spacing=None, name="a"):
    write_mask(folder / f"{name}.png", mask, spacing or Spacing((0.5, 0.5), "um"))
    found = outlined(folder / f"{name}.png")
    write_geojson(folder / f"{name}.geojson", {"Lung": found, "Lesion": found})
    return folder / f"{name}.geojson", found


@given(masks)
@settings(max_examples=30, deadline=None)
def test_a_round_trip_gives_the_same_mask_and_areas(tmp_path_factory, mask):
    path, _ = written(tmp_path_factory.mktemp("round"), mask)
    found = read_geojson(str(path))
    assert (found.shape, found.spacing) == (mask.shape, Spacing((0.5, 0.5), "um"))
    expected = {"Lung": mask, "Lesion": mask} if mask.any() else {}
    assert {name: one.tolist() for name, one in masks_of(found, mask.shape).items()} == {
        name: one.tolist() for name, one in expected.items()
    }
    regions = measure_regions(mask, found.spacing)
    drawn = regions_of([one for one in found.shapes if one.target == "Lung"], found.spacing)
    assert [(one.pixels, one.size, one.low, one.high) for one in drawn] == [
        (one.pixels, one.size, one.low, one.high) for one in regions
    ]
    for one, other in zip(drawn, regions, strict=True):
        assert one.centroid == pytest.approx(other.centroid)


def test_what_qupath_needs_is_there(tmp_path, disc):
    content = json.loads(written(tmp_path, disc())[0].read_text())
    assert content["type"] == "FeatureCollection"
    first, second = content["features"]
    assert first["type"] == "Feature"
    assert first["properties"]["objectType"] == "annotation"
    assert first["properties"]["classification"] == {"name": "Lung", "color": [0, 114, 178]}
    assert second["properties"]["classification"]["name"] == "Lesion"
    assert first["properties"]["measurements"]["Area px^2"] == disc().sum()
    assert first["properties"]["measurements"]["Area µm^2"] == disc().sum() / 4
    ring = first["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    assert len({feature["id"] for feature in content["features"]}) == 2


def feature(kind, coordinates, **properties):
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }


SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
HOLE = [[2, 2], [2, 4], [4, 4], [4, 2], [2, 2]]


def test_files_of_other_programs(tmp_path, command):
    tumour = {"name": "Tumor", "colorRGB": -3670016}
    features = [
        feature("Polygon", [SQUARE, HOLE], classification=tumour),
        feature("MultiPolygon", [[[[x + 20, y] for x, y in SQUARE]]], classification=tumour),
        feature("Polygon", [[[0.5, 20], [4.5, 20], [0.5, 24]]], classification={"names": ["Tumor", "Edge"]}),
        feature("Polygon", [SQUARE]),
        feature("Point", [1, 1]),
    ]
    path = tmp_path / "q.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    rows, regions = hilum.measure([path], spacing="0.5um")
    assert {row["target"]: row["area"] for row in rows} == {
        "Tumor": (100 - 4 + 100) / 4,
        "Tumor: Edge": 8 / 4,
        "unclassified": 25,
    }
    assert [region["area"] for region in regions] == [24, 25, 2, 25]
    assert rows[0]["unit"] == "µm²"
    done = command("measure", path)
    assert done.code == 0
    assert "Tumor: 196 px²" in done.out
    mask = masks_of(read_geojson(path), (30, 40))["Tumor"]
    assert mask.sum() == 196
    assert not mask[2:4, 2:4].any()
    window = masks_of(read_geojson(path), (5, 30), origin=(3, 1))["Tumor"]
    assert (window == mask[3:8, 1:31]).all()


def test_a_bare_list_and_a_single_geometry(tmp_path):
    (tmp_path / "list.json").write_text(json.dumps([feature("Polygon", [SQUARE])]))
    (tmp_path / "one.json").write_text(json.dumps({"type": "Polygon", "coordinates": [SQUARE]}))
    assert [read_geojson(tmp_path / name).shapes[0].area for name in ("list.json", "one.json")] == [100, 100]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "no GeoJSON features"),
        ([feature("Polygon", [[[0, 0], [1, 1]]])], "fewer than three places"),
        ([feature("Polygon", [[["a", 0], [1, 1], [2, 2]]])], "damaged"),
        ([feature("Polygon", 7)], "damaged"),
        (["x"], "no GeoJSON file"),
        ([{"type": "Feature", "geometry": [[0, 0], [1, 1]]}], "a geometry is .* not an object"),
        ([{"type": "Feature", "geometry": "POLYGON ((0 0, 1 1, 0 1))"}], "a geometry is .* not an object"),
        ([{"geometry": {"type": "GeometryCollection", "geometries": [7]}}], "a geometry is '7'"),
    ],
)
def test_damaged_files_are_named(tmp_path, content, message):
    (tmp_path / "bad.geojson").write_text(json.dumps(content))
    with pytest.raises(ImageError, match=message) as caught:
        read_geojson(tmp_path / "bad.geojson")
    assert "bad.geojson" in str(caught.value)


def test_nothing_to_measure_is_told(tmp_path):
    (tmp_path / "none.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "broken.geojson").write_text("{")
    with pytest.raises(HilumError, match="no polygons") as caught:
        hilum.measure([tmp_path / "none.geojson", tmp_path / "broken.geojson"])
    assert "not valid JSON" in str(caught.value)


def decoded(counts, shape):
    """Run lengths down the columns as COCO counts them."""
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.pad(values, (0, shape[0] * shape[1] - len(values))).reshape(shape[::-1]).T


@given(masks)
@settings(max_examples=60, deadline=None)
def test_run_lengths_decode_to_each_region(tmp_path_factory, mask):
    from scipy import ndimage

    _, found = written(tmp_path_factory.mktemp("runs"), mask)
    labels = ndimage.label(mask, np.ones((3, 3)))[0]
    for outline in found.outlines:
        runs = run_lengths(outline, mask.shape)
        assert sum(runs) <= mask.size
        assert (decoded(runs, mask.shape) == (labels == outline.number)).all()


def test_a_region_with_a_hole_is_runs_and_one_without_is_a_polygon(tmp_path):
    mask = np.ones((3, 3), bool)
    _, found = written(tmp_path, mask)
    assert segmentation(found.outlines[0], (3, 3)) == [[0, 0, 3, 0, 3, 3, 0, 3]]
    mask[1, 1] = False
    _, found = written(tmp_path, mask)
    assert segmentation(found.outlines[0], (3, 3)) == {"counts": [0, 4, 1, 4], "size": [3, 3]}
