import shutil
from dataclasses import replace

import pytest

from hilum.errors import RunError
from hilum.study.open import open_study
from hilum.training import inputs
from hilum.training.inputs import check_same_inputs, input_hashes


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


def test_a_huge_file_is_known_by_its_size(copied, monkeypatch):
    monkeypatch.setattr(inputs, "HASHED_BYTES", 0)
    hashes = input_hashes(open_study(copied))
    assert all(value == f"{(copied / name).stat().st_size} bytes" for name, value in hashes.items())


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
