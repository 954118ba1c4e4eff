import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from hilum.errors import RunError
from hilum.study.inputs import files_of
from hilum.study.open import open_study, total_bytes
from hilum.study.splits import Fold, Splits
from hilum.study.study import Case, Source, Study
from hilum.training import inputs
from hilum.training.inputs import check_same_inputs, input_hashes, trained_on


@pytest.fixture
def copied(phantom_study, tmp_path):
    """The phantom study in a folder that may be changed."""
    return shutil.copytree(phantom_study, tmp_path / "study")


def test_images_and_masks_are_hashed_by_names_that_move_with_the_folder(copied, phantom_study):
    study = open_study(copied)
    hashes = input_hashes(study)
    assert hashes == input_hashes(open_study(phantom_study))
    assert len(hashes) > len(study.cases)
    assert all((copied / name).is_file() for name in hashes)


@pytest.mark.parametrize("place", [0, 512, 1023])
def test_a_huge_file_is_known_by_its_size_and_parts(copied, monkeypatch, place):
    """Parts of 16 bytes, the first, the middle and the last: their bytes and the length are seen."""
    monkeypatch.setattr(inputs, "HASHED_BYTES", 1000)
    monkeypatch.setattr(inputs, "PARTS", 3)
    monkeypatch.setattr(inputs, "PART_BYTES", 16)
    path = copied / "huge.raw"
    path.write_bytes(bytes(1024))
    before = inputs._digest(path)
    assert before.startswith("1024 bytes, parts ")
    changed = bytearray(1024)
    changed[place] = 1
    path.write_bytes(changed)
    assert inputs._digest(path) != before
    path.write_bytes(bytes(1025))
    assert inputs._digest(path) != before


def test_a_study_that_stays_the_same_passes(copied, phantom_run):
    check_same_inputs(phantom_run, open_study(copied))


def test_a_changed_file_is_named(copied, phantom_run):
    study = open_study(copied)
    changed = study.cases[0].image.path
    changed.write_bytes(changed.read_bytes() + b"\0")
    with pytest.raises(RunError, match=rf"1 files of .* have changed .*{changed.name}"):
        check_same_inputs(phantom_run, study)


def test_a_case_that_is_gone_is_named(copied, phantom_run):
    study = open_study(copied)
    first = study.cases[0].name
    with pytest.raises(RunError, match=f"1 cases of this run are not in .* such as {first}"):
        check_same_inputs(phantom_run, replace(study, cases=study.cases[1:]))


def test_a_mask_that_came_or_went_is_another_annotation(copied, phantom_run):
    first = open_study(copied).cases[0]
    (mask,) = first.masks["Parenchyma"].sources
    mask.path.unlink()
    with pytest.raises(RunError, match=f"annotation of 1 cases .* such as that of {first.name}"):
        check_same_inputs(phantom_run, open_study(copied))


def test_another_label_is_another_annotation(copied, phantom_run):
    study = open_study(copied)
    other = tuple(replace(case, labels={"sick": 1.0}) for case in study.cases)
    with pytest.raises(RunError, match=f"annotation of {len(other)} cases"):
        check_same_inputs(phantom_run, replace(study, cases=other))


def test_images_that_were_added_since_are_nothing_to_a_run(copied, phantom_run):
    study = open_study(copied)
    more = replace(study.cases[0], name="another")
    check_same_inputs(phantom_run, replace(study, cases=(more, *study.cases)))


def test_the_data_that_a_header_names_and_slices_of_a_folder_are_files_of_a_case(tmp_path):
    (tmp_path / "scan").mkdir()
    for name in ("a.raw", "scan/1.dcm", "scan/2.dcm", "b.png", "other.raw"):
        (tmp_path / name).write_bytes(b"0")
    header = "NDims = 2\nDimSize = 1 1\nElementType = MET_UCHAR\nElementDataFile = other.raw\n"
    (tmp_path / "a.mhd").write_text(header)
    case = Case(
        "a", Source(tmp_path / "a.mhd"), channels=(Source(tmp_path / "scan"), Source(tmp_path / "b.png"))
    )
    assert total_bytes(Study(tmp_path, "", (case,))) == len(header) + 2
    found = {str(path.relative_to(tmp_path)) for path in files_of(case)}
    assert found == {"a.mhd", "other.raw", "scan/1.dcm", "scan/2.dcm", "b.png"}


def test_a_trained_volume_is_known_by_the_data_that_its_header_names(tmp_path):
    header = "NDims = 2\nDimSize = 1 1\nElementType = MET_UCHAR\nElementDataFile = voxels.raw\n"
    (tmp_path / "a.mhd").write_text(header)
    (tmp_path / "voxels.raw").write_bytes(b"7")
    case = Case("a", Source(tmp_path / "a.mhd"))
    study = Study(tmp_path, "", (case,))
    run = SimpleNamespace(
        study=study,
        splits=Splits("case", (Fold(("a",), ()),), ""),
        trained_folds=lambda: (0,),
        manifest={"inputs": input_hashes(study)},
    )
    assert trained_on(run, study.cases) == ("a",)
    (tmp_path / "voxels.raw").write_bytes(b"8")
    assert trained_on(run, study.cases) == ()
