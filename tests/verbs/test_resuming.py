from pathlib import Path
from types import SimpleNamespace

import pytest

from hilum.errors import RunError
from hilum.verbs.resuming import Options, begun_from


def run_of(**notes):
    return SimpleNamespace(folder=Path("run"), manifest=notes)


def test_a_run_begins_its_folds_from_what_its_manifest_says(tmp_path):
    begun = run_of(init=str(tmp_path / "other"))
    assert begun_from(begun, Options()) == tmp_path / "other"
    assert begun_from(begun, Options(init=tmp_path / "a" / ".." / "other")) == tmp_path / "other"
    assert begun_from(run_of(init=None), Options()) is None


def test_another_init_is_refused(tmp_path):
    with pytest.raises(RunError, match="was begun with --init"):
        begun_from(run_of(init=str(tmp_path / "other")), Options(init=tmp_path / "third"))
    with pytest.raises(RunError, match="was begun without --init"):
        begun_from(run_of(init=None), Options(init=tmp_path))


def test_runs_that_do_not_say_take_what_is_asked_for(tmp_path):
    """Those made before manifests did."""
    assert begun_from(run_of(), Options(init=tmp_path)) == tmp_path
    assert begun_from(run_of(), Options()) is None
