import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as Pillow

import hilum
from hilum.errors import HilumError, ImageError, RunError, StudyError
from hilum.study.names import natural
from hilum.study.open import understand
from hilum.study.study import Case, Source
from hilum.verbs import predict as verb
from hilum.verbs.predict import find_cases


@pytest.fixture(scope="module")
def delivered(phantom_run, phantom_study, tmp_path_factory):
    out = tmp_path_factory.mktemp("predict") / "results"
    return hilum.predict(phantom_run.folder, phantom_study / "pred", out, probabilities=True, device="cpu")


def test_new_images_get_masks_overlays_maps_and_tables(delivered, phantom_run):
    assert delivered.cases == 2
    for target in phantom_run.plan.data.outputs:
        for kind in ("masks", "probabilities"):
            found = list((delivered.out / kind / target).iterdir())
            assert len(found) == 2
            assert all(np.asarray(Pillow.open(path)).shape == (96, 128) for path in found)
    assert len(list((delivered.out / "overlays").iterdir())) == 2
    rows = pd.read_csv(delivered.out / "measurements.csv")
    assert len(rows) == 4
    assert (delivered.out / "measurements.xlsx").is_file()
    assert not (delivered.out / "evaluation").exists()


def test_the_table_measures_the_masks_beside_it(delivered):
    for row in pd.read_csv(delivered.out / "measurements.csv").itertuples():
        mask = np.asarray(Pillow.open(delivered.out / "masks" / row.target / f"{row.case}.png")) > 0
        assert row.pixels == mask.sum() == row.area
        assert row.unit == "px²"
        assert row.share_percent == pytest.approx(100 * mask.mean(), abs=1e-3)


def test_images_with_labels_are_scored(phantom_run, phantom_study, tmp_path):
    done = hilum.predict(phantom_run.folder, phantom_study, tmp_path / "out", device="cpu")
    assert done.cases == 8, "two images of the study have no masks: they are predicted, and not scored"
    assert done.summary["targets"]["Parenchyma"]["dice"]["cases"] == 6
    written = json.loads((tmp_path / "out" / "evaluation" / "summary.json").read_text())
    assert written["targets"]["Parenchyma"]["dice"]["mean"] > 0


def test_a_single_file_of_another_size_and_kind(phantom_run, phantom_study, tmp_path):
    image = Pillow.open(next((phantom_study / "pred" / "Original_0.2").iterdir()))
    image.resize((301, 57)).save(tmp_path / "odd.png")
    image.convert("L").save(tmp_path / "grey.bmp")
    done = hilum.predict(phantom_run.folder, [tmp_path / "odd.png", tmp_path / "grey.bmp"], tmp_path / "out")
    assert done.cases == 2
    assert np.asarray(Pillow.open(tmp_path / "out" / "masks" / "Parenchyma" / "odd.png")).shape == (57, 301)


def test_images_of_one_name_in_two_folders_do_not_overwrite_each_other(phantom_run, phantom_study, tmp_path):
    source = next((phantom_study / "pred" / "Original_0.2").iterdir())
    for folder in "ab":
        (tmp_path / folder).mkdir()
        shutil.copy(source, tmp_path / folder / "one.jpg")
    paths = [tmp_path / folder / "one.jpg" for folder in "ab"]
    done = hilum.predict(phantom_run.folder, paths, tmp_path / "out")
    assert done.cases == 2
    assert len(list((tmp_path / "out" / "masks" / "Parenchyma").iterdir())) == 2


def test_a_bad_image_stops_or_is_left_out_by_name(phantom_run, phantom_study, tmp_path):
    for path in (phantom_study / "pred" / "Original_0.2").iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "broken.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"broken\.png"):
        hilum.predict(phantom_run.folder, tmp_path, tmp_path / "out")
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    done = hilum.predict(phantom_run.folder, tmp_path, tmp_path / "skipped", skip_bad=True)
    assert done.cases == 2
    assert "broken.png" in done.left_out[0]


def test_all_bad_images_are_listed_before_any_work(phantom_run, phantom_study, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(phantom_study / "pred" / "Original_0.2", folder)
    for name in ("a.png", "b.png"):
        (folder / name).write_text("no picture")
    with pytest.raises(ImageError, match=r"2 problems found(.|\n)*a\.png(.|\n)*b\.png"):
        hilum.predict(phantom_run.folder, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def cut_in_two(path):
    """An image whose header is whole and whose pixels are not."""
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    Pillow.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_what_was_predicted_before_an_error_has_its_tables(phantom_run, phantom_study, tmp_path):
    folder, out = tmp_path / "images", tmp_path / "out"
    shutil.copytree(phantom_study / "pred" / "Original_0.2", folder)
    cut_in_two(folder / "zz.png")
    with pytest.raises(HilumError, match=r"zz\.png.*2 images before it and their tables.*--resume"):
        hilum.predict(phantom_run.folder, folder, out)
    assert len(pd.read_csv(out / "measurements.csv")) == 4
    with pytest.raises(RunError, match="--resume"):
        hilum.predict(phantom_run.folder, folder, out)
    (folder / "zz.png").unlink()
    assert hilum.predict(phantom_run.folder, folder, out, resume=True).cases == 2
    assert not (out / ".blocks").exists()


def stopped_the_second_time(real):
    """A function as it is, but that Ctrl-C comes in its second call."""
    calls = []

    def stopped(*given):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given)

    return stopped


def test_ctrl_c_leaves_the_tables_of_what_was_predicted(phantom_run, phantom_study, tmp_path, monkeypatch):
    monkeypatch.setattr(verb, "predict_one", stopped_the_second_time(verb.predict_one))
    with pytest.raises(KeyboardInterrupt):
        hilum.predict(phantom_run.folder, phantom_study / "pred", tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "measurements.csv")) == 2


@pytest.fixture
def damaged(phantom_study, tmp_path):
    """A copy of the phantom study, the second image's mask of which cannot be decoded."""
    folder = tmp_path / "study"
    shutil.copytree(phantom_study, folder)
    mask = sorted((folder / "train" / "Parenchyma_0.2").iterdir(), key=lambda path: natural(path.name))[1]
    noise = np.random.default_rng(0).integers(0, 2, (96, 128), np.uint8) * 255
    Pillow.fromarray(noise).save(mask)
    mask.write_bytes(mask.read_bytes()[: mask.stat().st_size // 2])
    return folder, mask


def test_an_image_whose_mask_is_damaged_is_left_out_whole(phantom_run, damaged, tmp_path):
    (folder, mask), out = damaged, tmp_path / "out"
    done = hilum.predict(phantom_run.folder, folder, out, skip_bad=True, device="cpu")
    assert done.cases == 7
    assert [mask.name in text for text in done.left_out] == [True]
    assert mask.stem not in set(pd.read_csv(out / "measurements.csv").case)
    assert not list(out.rglob(f"{mask.stem}.*"))
    assert done.summary["targets"]["Parenchyma"]["dice"]["cases"] == 5


def test_what_was_predicted_before_a_damaged_mask_has_its_tables(phantom_run, damaged, tmp_path):
    (folder, mask), out = damaged, tmp_path / "out"
    with pytest.raises(HilumError, match=rf"{mask.name}.*1 image before it and its tables"):
        hilum.predict(phantom_run.folder, folder, out, device="cpu")
    assert len(pd.read_csv(out / "measurements.csv")) == 2
    assert hilum.predict(phantom_run.folder, folder, out, resume=True, skip_bad=True).cases == 7


def test_ctrl_c_while_measuring_leaves_tables(phantom_run, phantom_study, tmp_path, monkeypatch):
    from hilum.tasks import segment

    monkeypatch.setattr(segment, "write_overlay", stopped_the_second_time(segment.write_overlay))
    with pytest.raises(KeyboardInterrupt):
        hilum.predict(phantom_run.folder, phantom_study / "pred", tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "measurements.csv")) == 2


def test_a_killed_prediction_goes_on_with_resume(phantom_run, phantom_study, tmp_path, monkeypatch):
    """Killed as the system does it: nothing is run any more, so the mark has to be there before."""
    out, marked = tmp_path / "out", []
    real = verb.predict_one

    def looking(*given):
        marked.append((out / ".blocks").is_dir())
        return real(*given)

    monkeypatch.setattr(verb, "predict_one", looking)
    hilum.predict(phantom_run.folder, phantom_study / "pred", out)
    assert marked == [True, True]
    (out / ".blocks").mkdir()
    with pytest.raises(RunError, match="--resume"):
        hilum.predict(phantom_run.folder, phantom_study / "pred", out)
    assert hilum.predict(phantom_run.folder, phantom_study / "pred", out, resume=True).cases == 2


def test_another_run_does_not_go_on_with_a_prediction(phantom_run, phantom_study, tmp_path):
    out, other = tmp_path / "out", shutil.copytree(phantom_run.folder, tmp_path / "other")
    weights = other / "fold-0" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    folder = tmp_path / "images"
    shutil.copytree(phantom_study / "pred" / "Original_0.2", folder)
    cut_in_two(folder / "zz.png")
    with pytest.raises(HilumError, match="--resume"):
        hilum.predict(phantom_run.folder, folder, out)
    (folder / "zz.png").unlink()
    with pytest.raises(RunError, match=f"another run, {phantom_run.folder.resolve()};"):
        hilum.predict(other, folder, out, resume=True)
    assert hilum.predict(phantom_run.folder, folder, out, resume=True).cases == 2


def test_an_error_before_anything_is_written_leaves_nothing(phantom_run, tmp_path):
    cut_in_two(tmp_path / "a.png")
    with pytest.raises(HilumError, match=r"a\.png"):
        hilum.predict(phantom_run.folder, tmp_path / "a.png", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_annotated_folders_with_the_same_names_keep_apart(phantom_run, phantom_study, tmp_path):
    shutil.copytree(phantom_study, tmp_path / "other")
    cases = find_cases([phantom_study, tmp_path / "other"], phantom_run.plan)
    assert len({case.name for case in cases}) == len(cases) == 16
    assert sum(bool(case.masks) for case in cases) == 12


def test_masks_of_other_targets_are_no_images(phantom_run, phantom_study, tmp_path, caplog):
    originals = sorted((phantom_study / "train" / "Original_0.2").iterdir())[:2]
    for folder, kind in (("images", "Original_0.2"), ("masks/lung", "Parenchyma_0.2")):
        (tmp_path / folder).mkdir(parents=True)
        for path in originals:
            source = next((phantom_study / "train" / kind).glob(f"{path.stem}.*"))
            shutil.copy(source, tmp_path / folder / f"{path.stem}{source.suffix}")
    cases = find_cases([tmp_path], phantom_run.plan)
    assert [case.name for case in cases] == [path.stem for path in originals]
    assert not any(case.masks for case in cases)
    assert "passed over" in caplog.text


def test_groups_of_a_folder_are_those_of_the_run(phantom_run, phantom_study):
    plan = phantom_run.plan.model_copy(deep=True)
    plan.data.group_by = r"_(WT|KO)_"
    groups = {case.group for case in find_cases([phantom_study], plan) if case.masks}
    assert groups <= {"WT", "KO"}
    plan.data.group_by = r"(nothing like it)"
    assert len({case.group for case in find_cases([phantom_study], plan) if case.masks}) == 3


def test_outlines_of_fields_of_a_slide_are_refused(phantom_run, tmp_path):
    """They would all lie in the upper left corner of the slide."""
    tifffile.imwrite(tmp_path / "slide.tif", np.zeros((64, 96, 3), np.uint8), tile=(32, 32))
    field = Case("field", Source(tmp_path / "slide.tif", "field 0,32 32x32"))
    with pytest.raises(StudyError, match=r"name the slides themselves: hilum predict RUN .*slide\.tif"):
        hilum.predict(phantom_run.folder, [field], tmp_path / "out", geojson=True)
    assert not (tmp_path / "out").exists()


def test_nowhere_and_nothing_are_told_apart(phantom_run, tmp_path):
    with pytest.raises(ImageError, match="no such file or folder"):
        hilum.predict(phantom_run.folder, tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match="is empty"):
        hilum.predict(phantom_run.folder, tmp_path / "empty", tmp_path / "out")


def test_an_untrained_run_cannot_predict(phantom_run, phantom_study, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("plan.yaml", "study.json", "splits.json", "manifest.json"):
        shutil.copy(phantom_run.folder / name, run)
    with pytest.raises(RunError, match="--resume"):
        hilum.predict(run, phantom_study / "pred", tmp_path / "out")


def test_weights_of_another_network_are_refused(phantom_run, phantom_study, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(phantom_run.folder, run)
    plan = (run / "plan.yaml").read_text()
    (run / "plan.yaml").write_text(plan.replace("width: 4", "width: 8"))
    with pytest.raises(RunError, match="do not fit the plan"):
        hilum.predict(run, phantom_study / "pred", tmp_path / "out")


def test_openvino_marks_the_same_pixels(delivered, phantom_run, phantom_study, tmp_path, command):
    images, out = phantom_study / "pred", tmp_path / "out"
    done = command("predict", phantom_run.folder, images, "--out", out, "--device", "openvino")
    assert done.code == 0, done.err
    for target in phantom_run.plan.data.outputs:
        for path in (delivered.out / "masks" / target).iterdir():
            wanted, found = (
                np.asarray(Pillow.open(each)) for each in (path, out / "masks" / target / path.name)
            )
            assert np.mean((found > 0) == (wanted > 0)) > 0.999


def test_openvino_does_not_train_or_explain(phantom_run, phantom_study, tmp_path, command):
    done = command("train", phantom_study, "--out", tmp_path / "run", "--device", "openvino")
    assert done.code == 2
    assert "openvino" in done.err
    with pytest.raises(HilumError, match="predicts alone"):
        hilum.explain(phantom_run.folder, phantom_study, tmp_path / "out", device="openvino")


def test_images_that_nobody_annotated_are_predicted_beside_those_that_are(
    phantom_run, phantom_study, tmp_path
):
    """The usual way: a few of many images annotated, all of them in one folder."""
    originals = sorted((phantom_study / "train" / "Original_0.2").iterdir())
    for number, path in enumerate(originals[:4]):
        for folder in ("Original_0.2", "Parenchyma_0.2", "SevereInflammation_0.2")[: 3 if number < 2 else 1]:
            (tmp_path / "mine" / folder).mkdir(parents=True, exist_ok=True)
            source = next((phantom_study / "train" / folder).glob(f"{path.stem}.*"))
            shutil.copy(source, tmp_path / "mine" / folder)
    cases = find_cases([tmp_path / "mine"], phantom_run.plan)
    assert [case.name for case in cases] == [path.stem for path in originals[:4]]
    assert [bool(case.masks) for case in cases] == [True, True, False, False]


def test_an_image_to_predict_keeps_apart_from_an_annotated_one_of_its_name(
    phantom_run, phantom_study, tmp_path
):
    shutil.copytree(phantom_study, tmp_path / "study")
    annotated = sorted((tmp_path / "study" / "train" / "Original_0.2").iterdir())[0]
    shutil.copy(annotated, tmp_path / "study" / "pred" / "Original_0.2")
    names = [case.name for case in find_cases([tmp_path / "study"], phantom_run.plan)]
    assert len(names) == len(set(names)) == 9
    assert annotated.stem in names


def test_images_to_predict_are_named_as_their_study_names_them(phantom_run, tmp_path):
    """Of one folder a case the folder is the name, of those with a mask and of those without."""
    square = np.zeros((32, 40), np.uint8)
    square[8:20, 8:20] = 255
    for number in (1, 2):
        (tmp_path / f"CASE_{number}").mkdir()
        Pillow.fromarray(square).save(tmp_path / f"CASE_{number}" / "image.png")
    Pillow.fromarray(square).save(tmp_path / "CASE_1" / "mask.png")
    plan = phantom_run.plan.model_copy(deep=True)
    plan.data.outputs = list(understand(tmp_path).targets)
    assert [case.name for case in find_cases([tmp_path], plan)] == ["CASE_1", "CASE_2"]
