import io

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from hilum.errors import StudyError
from hilum.study.check import check_study
from hilum.study.open import open_study, understand


def cut_short(path, array):
    buffer = io.BytesIO()
    Pillow.fromarray(array).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])


@pytest.fixture
def bad(pairs, picture, save, disc):
    """Six cases: a truncated image, a mask of another size, a text file named .png, three good ones."""
    root = pairs(["a", "b", "c", "d", "e", "f"])
    (root / "images" / "a.png").unlink()
    cut_short(root / "images" / "a.jpg", picture(0, (256, 320)))
    save(root / "masks" / "a.png", disc((256, 320), (100, 100), 30).astype(np.uint8) * 255)
    save(root / "masks" / "b.png", disc((32, 40), (16, 16), 5).astype(np.uint8) * 255)
    (root / "images" / "c.png").write_text("not a picture\n" * 20)
    return root


def test_results_of_hilum_in_the_folder_are_left_out_and_told(pairs, save, picture):
    root = pairs(["a", "b"])
    save(root / "found" / "overlays" / "a.png", picture(3))
    (root / "found" / "measurements.csv").write_text("case,target\n")
    study = open_study(root)
    assert [case.name for case in study.cases] == ["a", "b"]
    assert [finding.message for finding in study.findings if "results of Hilum" in finding.message] == [
        "results of Hilum, left out: found/; give such a folder alone to look at it"
    ]


def test_all_bad_cases_are_listed_at_once(bad):
    with pytest.raises(StudyError) as error:
        open_study(bad)
    text = str(error.value)
    assert "3 problems" in text
    assert "--skip-bad" in text
    assert "a.jpg" in text
    assert "40 x 32 pixels" in text
    assert "80 x 64 pixels" in text
    assert "b.png" in text
    assert "c.png" in text


def test_skip_bad_leaves_them_out_with_a_warning_each(bad):
    study = open_study(bad, skip_bad=True)
    assert [case.name for case in study.cases] == ["d", "e", "f"]
    assert sum(f.severity == "warning" and f.message.startswith("left out") for f in study.findings) == 3


def test_headers_alone_do_not_show_a_cut_image_but_sizes(bad):
    study = understand(bad)
    quick, whole = check_study(study), check_study(study, thorough=True)
    assert {name for finding in quick for name in finding.cases} == {"b", "c"}
    assert {name for finding in whole for name in finding.cases if finding.severity == "error"} == {
        "a",
        "b",
        "c",
    }


def test_target_without_pixels_is_an_error_and_one_empty_case_a_note(pairs, save):
    root = pairs(["a", "b"])
    save(root / "masks" / "a.png", np.zeros((64, 80), np.uint8))
    study = open_study(root)
    assert any(f.severity == "note" and "empty in 1 case: a" in f.message for f in study.findings)
    save(root / "masks" / "b.png", np.zeros((64, 80), np.uint8))
    with pytest.raises(StudyError, match="no pixel in any"):
        open_study(root)


def test_unpaired_files_are_warned_of_by_name(pairs, picture, save, disc):
    root = pairs(["a", "b"])
    save(root / "images" / "lonely.png", picture(5))
    save(root / "masks" / "stray.png", disc((64, 80)).astype(np.uint8) * 255)
    messages = [f.message for f in open_study(root).findings if f.severity == "warning"]
    assert any("lonely.png" in message and "without a mask" in message for message in messages)
    assert any("stray.png" in message and "without an image" in message for message in messages)


def test_a_class_with_two_images_is_an_error(tmp_path, picture, save):
    for label, number in (("cat", 5), ("dog", 2)):
        for seed in range(number):
            save(tmp_path / label / f"{label}{seed}.png", picture(seed + 10 * number))
    with pytest.raises(StudyError, match="class dog: 2 images"):
        open_study(tmp_path)


def images_of(folder, save, picture, **numbers):
    for at, (label, number) in enumerate(numbers.items()):
        for seed in range(number):
            save(folder / label.replace("_", " ") / f"{at}-{seed}.png", picture(seed + 100 * at))
    return folder


def test_classes_of_one_name_in_two_spellings_are_an_error(tmp_path, picture, save):
    folder = images_of(tmp_path, save, picture, NORMAL=5, Normal=3, ill=4)
    with pytest.raises(StudyError, match=r"'NORMAL' and 'Normal' .* write 'NORMAL' in both"):
        open_study(folder)
    assert open_study(folder, skip_bad=True).classes == ("NORMAL", "ill")


def test_a_small_class_is_asked_for_its_likeness(tmp_path, picture, save):
    with pytest.raises(StudyError, match=r"class NORMLA: 1 image.*did you mean NORMAL\?"):
        open_study(images_of(tmp_path, save, picture, NORMAL=5, NORMLA=1, ill=4))


def test_another_number_is_no_slip(tmp_path, picture, save):
    with pytest.raises(StudyError, match="class grade 3: 1 image") as error:
        open_study(images_of(tmp_path, save, picture, grade_1=5, grade_2=4, grade_3=1))
    assert "did you mean" not in str(error.value)


def test_files_beside_the_layout_are_noted(pairs, picture, save):
    root = pairs(["a", "b"])
    save(root / "extra" / "other.png", picture(8))
    assert any("extra/ (1)" in f.message for f in open_study(root).findings if f.severity == "note")


def test_upper_case_suffixes_newlines_and_hidden_files(pairs, picture, save, disc):
    root = pairs(["a"])
    save(root / "images" / "Ü\nb.PNG", picture(4))
    save(root / "masks" / "Ü\nb.Png", disc((64, 80)).astype(np.uint8) * 255)
    (root / "images" / ".DS_Store").write_bytes(b"\0")
    (root / "masks" / "Thumbs.db").write_bytes(b"\0")
    assert [case.name for case in open_study(root).cases] == ["a", "Ü_b"]


def test_shared_groups_across_given_splits_are_warned_of(tmp_path, picture, save):
    for split in ("train", "test"):
        for number in range(4):
            name = f"person{number // 2}_{'virus' if number % 2 else 'bacteria'}_{split}.png"
            save(
                tmp_path / split / ("A" if number % 2 else "B") / name,
                picture(number + 10 * (split == "test")),
            )
    assert any("more than one of the given splits" in f.message for f in understand(tmp_path).findings)


@pytest.fixture
def channels(pairs, tmp_path):
    """Three cases whose images are TIFFs of an array as tifffile writes it."""

    def make(array):
        root = pairs(["a", "b", "c"])
        for name in "abc":
            (root / "images" / f"{name}.png").unlink()
            tifffile.imwrite(root / "images" / f"{name}.tif", array, photometric=None)
        return root

    return make


def test_pages_that_may_be_channels_are_said_to_be_so(channels):
    with pytest.raises(StudyError, match=r"metadata=\{'axes': 'CYX'\}"):
        open_study(channels(np.zeros((5, 64, 80), np.uint16)))


@pytest.mark.parametrize(("kind", "lost"), [(np.uint16, True), (np.uint8, False)])
def test_a_measured_fourth_channel_that_is_left_out_is_told_once(channels, caplog, kind, lost):
    array = np.random.default_rng(0).integers(0, 255, (64, 80, 4)).astype(kind)
    study = open_study(channels(array))
    told = [finding for finding in study.findings if "fourth channel" in finding.message]
    assert [finding.severity for finding in told] == ["warning"] * lost
    assert ("in 3 images" in caplog.text) == lost
