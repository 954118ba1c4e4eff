import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.studio import layers


@pytest.fixture
def two(disc):
    """Probabilities with a sure disc and a doubtful one."""
    return (230 * disc((40, 60), (20, 15), 8) + 90 * disc((40, 60), (20, 45), 8)).astype(np.uint8)


def test_a_click_takes_the_region_under_it_alone(two, disc):
    assert (layers.region_at(two, (20, 15), 0.5) == disc((40, 60), (20, 15), 8)).all()


def test_a_click_on_a_doubtful_region_takes_it(two, disc):
    assert (layers.region_at(two, (20, 45), 0.5) == disc((40, 60), (20, 45), 8)).all()


def test_a_click_on_nothing_or_beside_the_image_takes_nothing(two):
    assert not layers.region_at(two, (1, 1), 0.5).any()
    assert not layers.region_at(two, (99, 1), 0.5).any()


def test_a_box_takes_what_is_probable_in_it_and_of_doubt_what_stands_out(two, disc):
    assert (layers.region_in(two, (0, 0, 40, 60), 0.5) == disc((40, 60), (20, 15), 8)).all()
    assert (layers.region_in(two, (5, 33, 36, 58), 0.5) == disc((40, 60), (20, 45), 8)).all()
    assert not layers.region_in(two, (0, 28, 5, 30), 0.5).any()


def test_two_corners_are_a_box_and_one_is_a_click(two, disc):
    assert (layers.region(two, (20, 45), None, 0.5) == disc((40, 60), (20, 45), 8)).all()
    assert (layers.region(two, (0, 0), (40, 60), 0.5) == disc((40, 60), (20, 15), 8)).all()


def test_entropy_is_highest_at_one_half():
    found = layers.entropy_plane(np.array([[0, 64, 128, 191, 255]], np.uint8))[0]
    assert found[0] == found[4] == 0
    assert found[2] == 255
    assert found[1] == found[3]


def test_the_wand_takes_what_looks_alike():
    picture = np.zeros((10, 10, 3), np.uint8)
    picture[:, 5:] = 100
    assert layers.flooded(picture, (0, 0), 10).sum() == 50
    with pytest.raises(HilumError, match="beside the image"):
        layers.flooded(picture, (10, 0), 10)


def test_layers_of_a_run_fit_its_cases(phantom_run):
    source = layers.source_of(phantom_run, "3_WT_FLU_1")
    assert source.out_of_fold
    assert layers.full_plane(source, "3_WT_FLU_1", "Parenchyma", (96, 128), 0, 0).shape == (96, 128)
    assert layers.predicted_plane(source, "3_WT_FLU_1", "Parenchyma", (96, 128), 0, 0).shape == (96, 128)
    with pytest.raises(HilumError, match="Parenchyma"):
        layers.probability_plane(source, "3_WT_FLU_1", "Nerve", (96, 128), 0, 0)
    assert layers.answer_on(phantom_run, "3_WT_FLU_1") == source
    assert layers.source_of(phantom_run, "nobody") is None
    with pytest.raises(HilumError, match="nobody: no model has predicted it yet"):
        layers.answer_on(phantom_run, "nobody")
