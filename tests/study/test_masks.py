from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hilum.errors import ImageError, StudyError
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing
from hilum.image.volume import write_volume
from hilum.study.check import check_study
from hilum.study.masks import read_case_image, read_masks, read_reader_masks
from hilum.study.study import Case, Encoding, MaskSource, Source, Study

ABOVE = Encoding("threshold", 127.0)


@pytest.fixture
def case(tmp_path, picture, save, disc):
    image = Source(save(tmp_path / "image.png", picture(0)))
    readers = tuple(
        Source(save(tmp_path / f"r{radius}.png", disc((64, 80), (32, 40), radius).astype(np.uint8) * 255))
        for radius in (5, 10, 15, 20)
    )
    masks = {f"votes{votes}": MaskSource(readers, ABOVE, votes) for votes in (1, 2, 3, 4)}
    return Case("case", image, masks=masks)


@pytest.mark.parametrize(("votes", "radius"), [(1, 20), (2, 15), (3, 10), (4, 5)])
def test_votes(case, disc, votes, radius):
    masks, annotated = read_masks(case, [f"votes{votes}"], (64, 80))
    assert annotated.tolist() == [True]
    assert (masks[0] == disc((64, 80), (32, 40), radius)).all()


def test_readers_alone(case):
    assert read_reader_masks(case, "votes2", (64, 80)).sum(axis=(1, 2)).tolist() == sorted(
        read_reader_masks(case, "votes1", (64, 80)).sum(axis=(1, 2)).tolist()
    )
    with pytest.raises(StudyError, match="not annotated"):
        read_reader_masks(case, "other", (64, 80))


def test_a_target_that_is_not_annotated_is_told_from_an_empty_one(case):
    masks, annotated = read_masks(case, ["votes1", "other"], (64, 80))
    assert annotated.tolist() == [True, False]
    assert not masks[1].any()


def test_a_mask_of_another_size_names_both_files_and_sizes(case):
    with pytest.raises(StudyError) as error:
        read_masks(case, ["votes1"], (128, 160))
    assert all(words in str(error.value) for words in ("image.png", "r5.png", "80 x 64", "160 x 128"))


def test_overlapping_targets_stay_whole(tmp_path, save, disc, picture):
    big, small = disc((64, 80), (32, 40), 20), disc((64, 80), (32, 50), 12)
    masks = {
        name: MaskSource((Source(save(tmp_path / f"{name}.png", mask.astype(np.uint8) * 255)),), ABOVE)
        for name, mask in (("big", big), ("small", small))
    }
    read, _ = read_masks(Case("c", Source(tmp_path / "i.png"), masks=masks), ["big", "small"], (64, 80))
    assert (read[0] == big).all()
    assert (read[1] == small).all()


def test_channels_are_stacked_and_must_fit(tmp_path, picture, save):
    first = Source(save(tmp_path / "a.png", picture(0, grey=True)))
    second = Source(save(tmp_path / "b.png", picture(1, grey=True)))
    other = Source(save(tmp_path / "c.png", picture(2, (20, 20), grey=True)))
    assert read_case_image(Case("c", first, channels=(second,))).array.shape == (2, 64, 80)
    with pytest.raises(StudyError, match=r"c\.png"):
        read_case_image(Case("c", first, channels=(other,)))


def test_spacing_of_the_table_wins(tmp_path, picture, save):
    source = Source(save(tmp_path / "a.png", picture(0)))
    image = read_case_image(Case("c", source, spacing=Spacing((0.5, 0.5), "um")))
    assert image.spacing == Spacing((0.5, 0.5), "um")
    with pytest.raises(StudyError, match="2 axes"):
        read_case_image(Case("c", source, spacing=Spacing((1.0, 2.0, 3.0), "mm")))


def test_missing_entry_of_an_archive(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ImageError, match="other"):
        read_case_image(Case("c", Source(tmp_path / "a.npz", "other", 0)))
    with pytest.raises(ImageError, match="3"):
        read_case_image(Case("c", Source(tmp_path / "a.npz", "images", 3)))


def volume_of(array, origin=(-90.0, -120.0, -300.0), direction=(1, 1, 1), sizes=(2.5, 0.7, 0.6)):
    geometry = Geometry(origin, tuple(np.diag(direction).astype(float).ravel()))
    return Image(array[np.newaxis], Spacing(sizes, "mm"), geometry=geometry)


@pytest.fixture
def scan(tmp_path):
    """A case of one scan, and what writes its mask: the truth (Z, Y, X) and how it is stored."""
    truth = np.zeros((6, 20, 16), np.uint8)
    truth[1:3, 2:7, 3:5] = 255
    write_volume(tmp_path / "scan.nii.gz", volume_of(truth.astype(np.int16)))

    def make(array=truth, **stored):
        write_volume(tmp_path / "mask.nii.gz", volume_of(array, **stored))
        source = Source(tmp_path / "mask.nii.gz")
        return Case("scan", Source(tmp_path / "scan.nii.gz"), {"nodule": MaskSource((source,), ABOVE)})

    return truth > 0, make


def test_a_mask_volume_stored_upside_down_is_turned(scan):
    truth, make = scan
    case = make(
        truth[:, ::-1].astype(np.uint8) * 255, origin=(-90.0, -120 + 19 * 0.7, -300.0), direction=(1, -1, 1)
    )
    assert (read_masks(case, ["nodule"], truth.shape)[0][0] == truth).all()
    assert check_study(Study(Path(), "pairs", (case,), ("nodule",))) == ()


@pytest.mark.parametrize(
    ("stored", "word"),
    [
        ({"direction": (1, -1, 1)}, "direction"),
        ({"sizes": (2.5, 0.7, 0.9)}, "spacing"),
        ({"origin": (-90.0, -120.0, -290.0)}, "origin"),
    ],
)
def test_a_mask_volume_that_lies_elsewhere_is_refused(scan, stored, word):
    truth, make = scan
    case = make(**stored)
    with pytest.raises(StudyError, match=word) as error:
        read_masks(case, ["nodule"], truth.shape)
    assert all(words in str(error.value) for words in ("scan.nii.gz", "mask.nii.gz", "resample it"))
    for thorough in (False, True):
        (finding,) = check_study(Study(Path(), "pairs", (case,), ("nodule",)), thorough)[:1]
        assert (finding.severity, finding.message) == ("error", str(error.value))


def test_a_mask_volume_that_says_no_place_is_taken_voxel_by_voxel(scan):
    truth, make = scan
    case = make(origin=(0.0, 0.0, 0.0), sizes=(1.0, 1.0, 1.0))
    assert (read_masks(case, ["nodule"], truth.shape)[0][0] == truth).all()


def test_channel_volumes_lie_on_one_grid(scan, tmp_path):
    truth, make = scan
    case = make()
    turned = volume_of(truth[::-1].astype(np.int16), (-90.0, -120.0, -300 + 5 * 2.5), (1, 1, -1))
    write_volume(tmp_path / "second.nii", turned)
    both = read_case_image(replace(case, channels=(Source(tmp_path / "second.nii"),)))
    assert (both.array[1] == truth).all()
