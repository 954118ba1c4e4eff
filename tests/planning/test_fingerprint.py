import math

import numpy as np
import pytest
from PIL import Image as Pillow

from hilum.errors import StudyError
from hilum.image.image import Image
from hilum.image.spacing import Spacing
from hilum.image.volume import write_volume
from hilum.planning.fingerprint import ceiling, spread, take_fingerprint
from hilum.study.open import open_study
from hilum.study.study import Case, Source, Study


@pytest.fixture
def study(tmp_path, disc):
    """Makes a study of `count` images (48, 64) with one disc each: study(count, same, coloured)."""

    def make(count=6, same=False, coloured=True, empty=()):
        rng = np.random.default_rng(0)
        for index in range(count):
            centre = (24, 20) if same else tuple(int(at) for at in rng.integers(12, 36, 2))
            mask = disc((48, 64), centre, 0 if index in empty else 10)
            mask = mask & (index not in empty)
            grey = np.where(mask, 200, 60) + rng.integers(-5, 5, mask.shape)
            tint = (1.0, 0.5, 0.8) if coloured else (1, 1, 1)
            image = np.stack([grey * share for share in tint], -1).astype(np.uint8)
            for folder, array in (("images", image), ("masks", (mask * 255).astype(np.uint8))):
                (tmp_path / folder).mkdir(exist_ok=True)
                Pillow.fromarray(array).save(tmp_path / folder / f"{index}_a.png")
        return open_study(tmp_path)

    return make


def test_a_ceiling_is_one_where_nothing_is_lost(disc):
    found = ceiling(np.stack([disc(), np.zeros((64, 64), bool)]), 1)
    assert found[0] == 1
    assert math.isnan(found[1])


def test_a_ceiling_falls_with_the_factor_and_for_thin_things(disc):
    thin = np.zeros((64, 64), bool)
    thin[30:32, 5:60] = True
    masks = np.stack([disc(), thin])
    large, line = np.stack([ceiling(masks, factor) for factor in (1, 2, 4, 8)]).T
    assert list(large) == sorted(large, reverse=True)
    assert large[1] > 0.97
    assert line[3] < large[3]


def test_a_ceiling_by_hand():
    """A square on the grid loses its corners at most, a chessboard its whole pattern."""
    mask = np.zeros((1, 16, 16), bool)
    mask[:, 4:12, 4:12] = True
    assert ceiling(mask, 2)[0] == pytest.approx(1, abs=0.1)
    checkers = (np.indices((16, 16)).sum(0) % 2 == 0)[None]
    assert ceiling(checkers, 2)[0] < 0.7


def test_a_volume_is_shrunk_in_its_planes_only(disc):
    volume = np.zeros((1, 5, 64, 64), bool)
    volume[0, 2] = disc()
    assert ceiling(volume, 2)[0] == pytest.approx(ceiling(disc()[None], 2)[0])


def test_the_numbers_of_a_study(study):
    found = take_fingerprint(study(6, empty=(5,)))
    assert (found.cases, found.groups, found.looked_at, found.channels) == (6, 6, 6, 3)
    assert (found.median_shape, found.largest_shape) == ((48, 64), (48, 64))
    (target,) = found.shares
    assert found.present[target] == 5
    assert found.annotated[target] == 6
    assert found.shares[target] == pytest.approx(math.pi * 100 / (48 * 64), rel=0.03)
    assert found.coloured
    assert found.mean[0] == pytest.approx(2 * found.mean[1], rel=0.03)
    assert found.ceilings[1][target] == 1
    assert found.ceilings[8][target] < found.ceilings[2][target]
    assert not found.spacing.known


def test_grey_in_three_channels_is_no_colour(study):
    assert not take_fingerprint(study(4, coloured=False)).coloured


def test_images_framed_alike_have_a_pose(study):
    found = take_fingerprint(study(6, same=True))
    assert found.pose > 0.9
    assert found.mirror_y > 0.9 > found.mirror_x


def test_images_framed_at_will_have_less(study):
    assert take_fingerprint(study(6)).pose < 0.6


def test_too_few_images_have_no_pose(study):
    assert take_fingerprint(study(3, same=True)).pose == 0


def test_a_large_study_is_looked_at_evenly():
    assert spread(list(range(1000)), 5) == [0, 250, 500, 749, 999]
    assert spread([1, 2], 5) == [1, 2]


def test_flat_images_among_volumes_are_named(tmp_path):
    write_volume(tmp_path / "scan.nii.gz", Image(np.zeros((1, 6, 8, 8), np.int16), Spacing((1, 1, 1), "mm")))
    Pillow.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "photo.png")
    cases = tuple(Case(name, Source(tmp_path / name)) for name in ("photo.png", "scan.nii.gz"))
    with pytest.raises(StudyError, match=r"photo\.png is a flat image and .*scan\.nii\.gz a volume"):
        take_fingerprint(Study(tmp_path, "pairs", cases))
