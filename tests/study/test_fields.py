import numpy as np
import pytest
import tifffile

import hilum
from hilum.errors import StudyError
from hilum.image.fields import field_entry
from hilum.image.readers import probe, read_image
from hilum.study.fields import with_fields
from hilum.study.masks import read_case_image, read_masks
from hilum.study.open import open_study, understand


def slide(seed, shape=(260, 390)):
    """Discs of tissue on glass, and the mask of the darker half of them."""
    rng = np.random.default_rng(seed)
    image = rng.normal(238, 1.5, (*shape, 3))
    mask = np.zeros(shape, bool)
    y, x = np.ogrid[: shape[0], : shape[1]]
    for at in range(6):
        centre = rng.integers(20, shape[0] - 20), rng.integers(20, shape[1] // 2)
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 18**2
        image[inside] = np.array((150, 90, 140) if at % 2 else (200, 150, 190)) + rng.normal(
            0, 9, (inside.sum(), 3)
        )
        mask = (mask | inside) if at % 2 else (mask & ~inside)
    return image.clip(0, 255).astype(np.uint8), mask


@pytest.fixture
def slides(tmp_path, monkeypatch):
    """A study of four annotated slides that count as huge, in fields of 130 pixels."""
    monkeypatch.setattr("hilum.image.pyramid.WHOLE_PIXELS", 1000)
    monkeypatch.setattr("hilum.study.fields.SIDE", 130)
    folder = tmp_path / "study"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for at in range(4):
        image, mask = slide(at)
        tifffile.imwrite(folder / "images" / f"s{at}_x.tif", image, tile=(64, 64), compression="zlib")
        tifffile.imwrite(
            folder / "masks" / f"s{at}_x.tif", mask * np.uint8(255), tile=(64, 64), compression="zlib"
        )
    return folder


def test_fields_are_windows_of_their_slide_in_its_group(slides):
    study = open_study(slides)
    assert len(study.groups) == 4
    assert 4 * 2 <= len(study.cases) < 4 * 6
    for case in study.cases:
        image, mask = slide(int(case.name[1]))
        y, x = (int(part[1:]) for part in case.name.split("-")[1:])
        found = read_case_image(case)
        assert found.shape == (130, 130)
        assert (found.array == np.moveaxis(image, -1, 0)[:, y : y + 130, x : x + 130]).all()
        masks, known = read_masks(case, study.targets, found.shape)
        assert known.all()
        assert (masks[0] == mask[y : y + 130, x : x + 130]).all()
    marked = sum(bool(read_masks(case, study.targets, (130, 130))[0].any()) for case in study.cases)
    of_all = sum(
        slide(at)[1][y : y + 130, x : x + 130].any()
        for at in range(4)
        for y in (0, 130)
        for x in (0, 130, 260)
    )
    assert marked == of_all
    assert sum("learnt in" in finding.message for finding in study.findings) == 4


def test_more_fields_than_wanted_are_chosen_evenly(slides, monkeypatch):
    monkeypatch.setattr("hilum.study.fields.MOST", 2)
    assert len(open_study(slides).cases) == 8


def test_small_images_stay_whole(slides, monkeypatch):
    monkeypatch.setattr("hilum.image.pyramid.WHOLE_PIXELS", 10**9)
    study = understand(slides)
    assert with_fields(study) is study
    assert len(study.cases) == 4


def test_a_mask_of_another_kind_or_size_is_told(slides):
    mask = tifffile.imread(slides / "masks" / "s0_x.tif")
    tifffile.imwrite(slides / "masks" / "s0_x.tif", mask[:-5], tile=(64, 64))
    with pytest.raises(StudyError, match="390 x 255 pixels but its image"):
        open_study(slides)
    from PIL import Image as Pillow

    (slides / "masks" / "s0_x.tif").unlink()
    Pillow.fromarray(mask).save(slides / "masks" / "s0_x.png")
    with pytest.raises(StudyError, match="save it as a tiled TIFF"):
        open_study(slides)


def test_a_field_is_read_and_looked_at_alone(slides):
    path = slides / "images" / "s1_x.tif"
    whole, entry = tifffile.imread(path), field_entry(10, 20, 30, 40)
    assert (read_image(path, entry).array == np.moveaxis(whole, -1, 0)[:, 10:40, 20:60]).all()
    assert probe(path, entry).shape == (30, 40)


@pytest.mark.slow
def test_huge_images_are_trained_on(slides, quick, tmp_path):
    run = hilum.train(slides, tmp_path / "run", steps=10, folds=2, settings=quick, device="cpu")
    assert run.summary()["targets"]
    for fold in run.splits.folds:
        assert not {name[:2] for name in fold.train} & {name[:2] for name in fold.test}


def test_fields_of_a_mask_of_imagej_are_not_inverted(slides):
    for at in range(4):
        mask = slide(at)[1] * np.uint8(255)
        tifffile.imwrite(slides / "masks" / f"s{at}_x.tif", mask, imagej=True, photometric="miniswhite")
    for case in understand(slides).cases:
        y, x = (int(part[1:]) for part in case.name.split("-")[1:])
        masks, _ = read_masks(case, ("target",), (130, 130))
        assert (masks[0] == slide(int(case.name[1]))[1][y : y + 130, x : x + 130]).all()


def test_fields_of_a_mask_with_white_as_0_are_inverted_with_a_warning(slides):
    for at in range(4):
        tifffile.imwrite(
            slides / "masks" / f"s{at}_x.tif",
            255 - slide(at)[1] * np.uint8(255),
            photometric="miniswhite",
            metadata=None,
            software="scanner",
        )
    study = understand(slides)
    assert any("WhiteIsZero" in finding.message for finding in study.findings)
    case = study.cases[0]
    y, x = (int(part[1:]) for part in case.name.split("-")[1:])
    masks, _ = read_masks(case, ("target",), (130, 130))
    assert (masks[0] == slide(int(case.name[1]))[1][y : y + 130, x : x + 130]).all()
