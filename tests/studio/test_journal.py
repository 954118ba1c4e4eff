import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.studio import journal
from hilum.studio.spans import spans_of


def stroke(disc, shape=(20, 30), centre=(8, 8), radius=4, **where):
    return journal.Stroke(spans_of(disc(shape, centre, radius)), **where)


@pytest.fixture
def path(tmp_path):
    return journal.journal_path(tmp_path, "a/b", "nerve")


def test_strokes_are_done_again_after_a_hard_end(path, disc):
    empty = np.zeros((20, 30), bool)
    journal.begin(path, "a/b", "nerve", journal.digest(empty))
    journal.add(path, stroke(disc))
    journal.add(path, stroke(disc, centre=(8, 12)))
    found = journal.recovered(empty, journal.read_journal(path))
    assert (found == disc((20, 30), (8, 8), 4) ^ disc((20, 30), (8, 12), 4)).all()


def test_a_line_half_written_costs_only_its_own_stroke(path, disc):
    empty = np.zeros((20, 30), bool)
    journal.begin(path, "a", "nerve", journal.digest(empty))
    journal.add(path, stroke(disc))
    whole = path.read_bytes()
    journal.add(path, stroke(disc, centre=(8, 12)))
    for length in range(len(whole), len(path.read_bytes())):
        rows = journal.read_journal_bytes(path.read_bytes()[:length])
        assert (journal.recovered(empty, rows) == disc((20, 30), (8, 8), 4)).all()


def test_strokes_that_the_file_holds_already_are_not_done_twice(path, disc):
    empty, one = np.zeros((20, 30), bool), disc((20, 30), (8, 8), 4)
    journal.begin(path, "a", "nerve", journal.digest(empty))
    journal.add(path, stroke(disc))
    journal.note_saving(path, journal.digest(one))
    assert (journal.recovered(one, journal.read_journal(path)) == one).all()
    assert (journal.recovered(empty, journal.read_journal(path)) == one).all()


def test_a_mask_that_was_changed_by_somebody_else_is_left_alone(path, disc):
    journal.begin(path, "a", "nerve", journal.digest(np.zeros((20, 30), bool)))
    journal.add(path, stroke(disc))
    assert journal.recovered(np.ones((20, 30), bool), journal.read_journal(path)) is None


def test_strokes_on_any_plane_of_a_volume(disc):
    mask = np.zeros((4, 20, 30), bool)
    journal.apply(mask, stroke(disc, axis=0, index=2))
    assert (mask[2] == disc((20, 30), (8, 8), 4)).all()
    assert not mask[[0, 1, 3]].any()
    journal.apply(mask, journal.Stroke(spans_of(np.ones((4, 30), bool)), axis=1, index=19))
    assert mask[:, 19].all()


@pytest.mark.parametrize(("axis", "index"), [(0, 4), (3, 0), (1, -1)])
def test_a_plane_that_is_not_there_is_refused(axis, index):
    with pytest.raises(HilumError, match="plane"):
        journal.plane_of(np.zeros((4, 20, 30), bool), axis, index)


def test_masks_are_told_apart_by_shape_too():
    assert journal.digest(np.zeros((2, 8), bool)) != journal.digest(np.zeros((8, 2), bool))
