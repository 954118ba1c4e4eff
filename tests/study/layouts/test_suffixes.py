import numpy as np
import pytest

from hilum.study.open import understand


@pytest.fixture
def beside(tmp_path, picture, save, disc):
    def make(*names):
        for seed, name in enumerate(names):
            mask = disc((64, 80)).astype(np.uint8) * 255
            save(tmp_path / f"{name}.png", mask if "mask" in name or "seg" in name else picture(seed))
        return understand(tmp_path)

    return make


@pytest.mark.parametrize("word", ["_image", "_img", "_raw", "-Image"])
def test_images_with_a_word_of_their_own(beside, word):
    study = beside(f"X{word}", "X_mask", f"Y{word}", "Y_mask")
    assert study.layout == "masks beside their images"
    assert [case.name for case in study.cases] == ["X", "Y"]
    assert study.findings == ()


def test_a_plain_image_comes_before_one_with_a_word(beside):
    study = beside("X", "X_raw", "X_mask")
    assert [(case.name, case.image.path.name) for case in study.cases] == [("X", "X.png")]
    assert any("X_raw.png" in finding.message for finding in study.findings)


def test_masks_under_two_words_are_two_targets(beside):
    study = beside("X", "X_mask", "X_seg", "Y", "Y_mask", "Y_seg")
    assert study.targets == ("mask", "seg")
    assert study.findings == ()


def test_numbered_masks_are_united_with_a_note(beside):
    study = beside("X", "X_mask_1", "X_mask_2", "Y", "Y_mask_1")
    assert study.targets == ("target",)
    (finding,) = study.findings
    assert (finding.severity, finding.cases) == ("note", ("X",))
    assert "united (X_mask_1.png, X_mask_2.png)" in finding.message
