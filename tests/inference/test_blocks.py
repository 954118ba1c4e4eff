import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from hilum.errors import RunError
from hilum.image.pyramid import open_pyramid
from hilum.inference.blocks import grid_of, predict_blocks
from hilum.inference.cells import forget_cells, make_grid, open_cells
from hilum.inference.predictor import make_predictor, quantised
from hilum.planning.plan import DataPlan, InferencePlan, Plan, TrainingPlan
from hilum.training.windows import working_image


class Counted(nn.Conv2d):
    """A network that knows of how many pictures it was asked, and may stop at a given one."""

    asked = 0
    stop_at = None

    def forward(self, x):
        before, self.asked = self.asked, self.asked + len(x)
        if self.stop_at is not None and before < self.stop_at <= self.asked:
            raise KeyboardInterrupt
        return super().forward(x)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Counted(3, 2, 5, padding=2)


def plan(**data):
    return Plan(
        data=DataPlan(channels=3, outputs=["a", "b"], mean=[128.0] * 3, std=[60.0] * 3, **data),
        inference=InferencePlan(tile=[48, 64], overlap=0.25, flips=["x"]),
        training=TrainingPlan(threads=1),
    )


@pytest.fixture
def slide(tmp_path):
    """A slide of 210 x 270 pixels: smooth colours above, empty glass below."""
    y, x = np.mgrid[:210, :270]
    image = np.stack([np.sin(y / 17) + np.cos(x / (13 + k)) for k in range(3)], axis=-1) * 50 + 120
    image[90:] = 240
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, image.clip(0, 255).astype(np.uint8), tile=(64, 64))
    return path


def blocks(slide, predictor, folder, skip_glass=False):
    with open_pyramid(slide) as pyramid:
        image = working_image(pyramid, predictor.plan.data, skip_glass=skip_glass)
        cells = open_cells(folder, grid_of(image.shape, predictor.plan), 2, {"of": "this"})
        found = predict_blocks(predictor, image, cells)
        return cells, found, image


def whole(slide, predictor):
    from hilum.image.readers import read_image
    from hilum.training.prepare import prepare_image

    return quantised(predictor.prepared(prepare_image(read_image(slide), predictor.plan.data)))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"downsample": 2},
        {"downsample": 3},
        {"flatten_light": True},
        {"normalise": "image"},
        {"size": [99, 70]},
    ],
    ids=str,
)
def test_blocks_equal_the_whole_image(network, slide, tmp_path, data):
    predictor = make_predictor([network, Counted(3, 2, 3, padding=1)], plan(**data))
    cells, _, image = blocks(slide, predictor, tmp_path / "kept")
    expected = whole(slide, predictor)
    found = cells.window(0, image.shape[0], 0, image.shape[1])
    if data.get("normalise") == "image":
        assert np.abs(found.astype(int) - expected).max() <= 1
    else:
        assert (found == expected).all()
    part = cells.window(30, 62, 40, 70)
    assert (part == found[:, 30:62, 40:70]).all()


def test_glass_is_left_out_and_tissue_is_as_before(network, slide, tmp_path):
    predictor = make_predictor([network], plan())
    cells, found, _ = blocks(slide, predictor, tmp_path / "kept", skip_glass=True)
    assert found.with_tissue < found.cells
    assert 0 < network.asked < 2 * found.cells
    assert (cells.window(0, 87, 0, 270) == whole(slide, predictor)[:, :87]).all()
    assert cells.window(200, 210, 0, 270) is None
    assert not any((tmp_path / "kept" / "tiles").iterdir())


@pytest.mark.parametrize(("stop_at", "some_kept"), [(1, False), (3, True), (40, True)])
def test_interrupted_work_goes_on_where_it_was(network, slide, tmp_path, stop_at, some_kept):
    predictor = make_predictor([network], plan())
    whole_cells, _, image = blocks(slide, predictor, tmp_path / "alone")
    at_once, network.asked, network.stop_at = network.asked, 0, stop_at
    with pytest.raises(KeyboardInterrupt):
        blocks(slide, predictor, tmp_path / "kept")
    assert any((tmp_path / "kept" / "cells").glob("*.npz")) is some_kept
    network.stop_at = None
    cells, _, _ = blocks(slide, predictor, tmp_path / "kept")
    shape = (0, image.shape[0], 0, image.shape[1])
    assert (cells.window(*shape) == whole_cells.window(*shape)).all()
    assert at_once <= network.asked <= at_once + 2  # the tile that was stopped is seen again, in two copies


def test_blocks_of_something_else_are_refused(tmp_path):
    grid = make_grid((100, 100), (64, 64), 0.25)
    kept = tmp_path / "kept" / "a" / "1"
    open_cells(kept, grid, 1, {"of": "this"})
    with pytest.raises(RunError, match=rf"{kept}: .*another run or image"):
        open_cells(kept, grid, 1, {"of": "that"})
    forget_cells(kept)
    open_cells(kept, grid, 1, {"of": "that"})


def test_a_damaged_block_is_named(tmp_path):
    grid = make_grid((100, 100), (64, 64), 0.25)
    cells = open_cells(tmp_path, grid, 1, {})
    cells.write(0, 0, np.ones((1, 36, 36), np.uint8))
    assert (open_cells(tmp_path, grid, 1, {}).window(30, 40, 30, 40)[0, :6, :6] == 1).all()
    cells.path(0, 0).write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"0-0\.npz"):
        open_cells(tmp_path, grid, 1, {}).read(0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (48, 64), (49, 200), (333, 65)])
def test_cells_tile_the_image_and_know_what_covers_them(shape):
    grid = make_grid(shape, (48, 64), 0.25)
    count = np.zeros(shape, int)
    for place in grid.places():
        y0, y1, x0, x1 = grid.cell_box(*place)
        count[y0:y1, x0:x1] += 1
        covered = {
            other
            for other in grid.places()
            if (box := grid.tile_box(*other))[0] < y1 and box[1] > y0 and box[2] < x1 and box[3] > x0
        }
        assert covered == set(grid.covering(*place))
        assert all(place[0] <= grid.last_needed(row) for row, _ in covered)
    assert (count == 1).all()
