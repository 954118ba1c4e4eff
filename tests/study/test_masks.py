import numpy as np
import pytest

from hilum.errors import ImageError, StudyError
from hilum.image.spacing import Spacing
from hilum.study.masks import read_case_image, read_masks, read_reader_masks
from hilum.study.study import Case, Encoding, MaskSource, Source

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
