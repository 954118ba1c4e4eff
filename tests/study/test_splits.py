import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import RunError, StudyError
from hilum.study.open import open_study
from hilum.study.splits import make_folds, read_splits, write_splits
from hilum.study.study import Case, Source, Study


def study_of(groups, splits=None, labels=None):
    cases = tuple(
        Case(
            f"c{index}",
            Source(Path(f"/s/c{index}.png")),
            group=str(group),
            split=splits[index] if splits else None,
            labels=labels[index] if labels else {},
        )
        for index, group in enumerate(groups)
    )
    return Study(Path("/s"), "test", cases)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.integers(2, 7), st.integers(0, 3))
def test_folds_partition_cases_and_never_part_a_group(groups, k, seed):
    if len(set(groups)) < 2:
        return
    study = study_of(groups)
    splits = make_folds(study, k=k, seed=seed)
    group = {case.name: case.group for case in study.cases}
    assert sorted(name for fold in splits.folds for name in fold.test) == sorted(group)
    for fold in splits.folds:
        assert fold.test
        assert not {group[name] for name in fold.train} & {group[name] for name in fold.test}
        assert set(fold.train) | set(fold.test) == set(group)
    assert len(splits.folds) == min(k, len(set(groups)))


def test_fewer_groups_than_folds_give_fewer_folds_with_the_reason():
    splits = make_folds(study_of([1, 1, 2, 3]))
    assert len(splits.folds) == 3
    assert "5 would need 5 groups, there are 3" in splits.reason


def test_one_animal_is_refused_where_folds_are_asked_for():
    with pytest.raises(StudyError, match="one group"):
        make_folds(study_of([6, 6, 6]), k=5)
    splits = make_folds(study_of([6, 6, 6]))
    assert splits.by == "case"
    assert "one group" in splits.reason


@pytest.mark.parametrize("k", [1, 0, -3])
def test_too_few_folds(k):
    with pytest.raises(StudyError, match="at least 2"):
        make_folds(study_of([1, 2]), k=k)


def test_one_image_has_nothing_to_score():
    splits = make_folds(study_of([1]))
    assert splits.folds[0].test == ()
    assert splits.folds[0].train == ("c0",)


def test_areas_are_balanced():
    areas = {f"c{index}": [area] for index, area in enumerate([100, 1, 1, 100, 1, 1, 100, 1, 1])}
    splits = make_folds(study_of(range(9)), k=3, balance=areas)
    assert [sum(areas[name][0] for name in fold.test) for fold in splits.folds] == [102, 102, 102]
    assert [len(fold.test) for fold in splits.folds] == [3, 3, 3]


def test_classes_are_balanced_without_being_asked():
    labels = [{"a": float(index % 4 == 0), "b": float(index % 4 != 0)} for index in range(40)]
    splits = make_folds(study_of(range(40), labels=labels), k=5)
    counts = [sum(labels[int(name[1:])]["a"] for name in fold.test) for fold in splits.folds]
    assert counts == [2, 2, 2, 2, 2]


def test_given_splits_are_one_fold():
    splits = make_folds(study_of(range(6), ["train"] * 3 + ["val"] + ["test"] * 2))
    (fold,) = splits.folds
    assert splits.by == "given"
    assert (fold.train, fold.val, fold.test) == (("c0", "c1", "c2"), ("c3",), ("c4", "c5"))


def test_cross_validation_keeps_a_given_test_set_out():
    splits = make_folds(study_of(range(8), ["train"] * 5 + ["val"] + ["test"] * 2), k=3)
    assert splits.held_out == ("c6", "c7")
    assert "the given test set (2 images) is in none of them" in splits.reason
    assert all(not {"c6", "c7"} & {*fold.train, *fold.test} for fold in splits.folds)


def test_given_splits_that_part_a_group_are_not_used():
    splits = make_folds(study_of([1, 2, 3, 1, 4, 5], ["train"] * 3 + ["test"] * 3))
    assert splits.by == "group"
    assert "1 group" in splits.reason
    assert not splits.held_out


def test_splits_without_one_to_train_on_are_not_used():
    splits = make_folds(study_of(range(6), ["val"] * 3 + ["test"] * 3))
    assert "not used" in splits.reason
    assert len(splits.folds) == 5


def test_duplicates_stay_together():
    splits = make_folds(study_of(range(10)), k=5, together=[("c0", "c9"), ("c9", "c4")])
    fold = next(fold for fold in splits.folds if "c0" in fold.test)
    assert {"c0", "c9", "c4"} <= set(fold.test)


def test_seed_changes_and_repeats_folds():
    study = study_of(range(30))
    assert make_folds(study, seed=1) == make_folds(study, seed=1)
    assert make_folds(study, seed=1) != make_folds(study, seed=2)


@pytest.mark.parametrize("splits", [None, ["train"] * 3 + ["val"] + ["test"] * 2])
def test_written_splits_are_read_alike(tmp_path, splits):
    study = study_of(range(6), splits)
    made = make_folds(study)
    write_splits(tmp_path / "splits.json", made)
    assert read_splits(tmp_path / "splits.json", study) == made


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_fixed_folds_by_group(tmp_path):
    study = study_of([12, 12, 40, 6])
    splits = read_splits(write(tmp_path / "s.json", {"by": "group", "test": [["12"], ["40", "6"]]}), study)
    assert splits.folds[0].test == ("c0", "c1")
    assert splits.folds[1].train == ("c0", "c1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"by": "group", "test": [["12"], ["99"]]}, "no group 99"),
        ({"by": "group", "test": [["12"], ["12"]]}, "several folds"),
        ({"by": "group", "test": [["12", "40", "6"]]}, "none to train"),
        ({"by": "group", "test": [[]]}, "without a test"),
        ({"by": "group", "test": ["12"]}, "not a list"),
        ({"by": "moon", "test": []}, "not a file of splits"),
        ([1, 2], "not a file of splits"),
        ({"folds": [{"train": ["c0"], "test": ["c1"]}]}, "both sides"),
        ({"folds": [{"train": ["c0"], "test": ["c2"], "val": ["c2"]}]}, "both sides"),
        ({"folds": [{"train": ["c2"], "test": ["c0"], "val": ["c1"]}]}, "both sides"),
        ({"folds": [{"train": ["c0"], "test": ["c2"]}, {"train": ["c3"], "test": ["c2"]}]}, "several folds"),
        ({"folds": [{"train": ["c0"], "test": ["c2"]}], "held_out": ["c2"]}, "held out of all folds"),
        ({"folds": [{"train": ["c0"], "test": ["c9"]}]}, "no case c9"),
        ({"folds": ["x"]}, "train and test"),
        ({"folds": []}, "no folds"),
    ],
)
def test_bad_splits_are_named(tmp_path, content, words):
    with pytest.raises(StudyError, match=words):
        read_splits(write(tmp_path / "s.json", content), study_of([12, 12, 40, 6]))


def test_no_json(tmp_path):
    with pytest.raises(RunError, match=r"s\.json"):
        read_splits(write(tmp_path / "s.json", "{"), study_of([1, 2]))


def test_balance_must_name_every_case():
    with pytest.raises(StudyError, match="c1"):
        make_folds(study_of([1, 2]), balance={"c0": [1.0]})


def test_thousands_of_groups_are_quick():
    rng = np.random.default_rng(0)
    study = study_of(rng.integers(0, 4000, 6000).tolist())
    assert len(make_folds(study).folds) == 5


@pytest.mark.real
def test_fixed_folds_of_the_lung_study(data):
    study = open_study(data / "lung_flu")
    splits = read_splits(data / "lung_flu" / "splits.json", study)
    assert [len(fold.test) for fold in splits.folds] == [4, 4, 3, 3]
    assert len(make_folds(study).folds) == 5
    assert len(make_folds(study, k=10).folds) == 7


def test_near_equal_images_of_one_group_stay_together():
    splits = make_folds(study_of([7] * 6), together=[("c0", "c1"), ("c1", "c4")])
    assert splits.by == "case"
    assert len(splits.folds) == 4
    assert "one group" in splits.reason
    assert sum({"c0", "c1", "c4"} <= set(fold.test) for fold in splits.folds) == 1


@pytest.mark.parametrize("k", [None, 3])
def test_groups_that_are_all_alike_are_not_called_one_group(k):
    chain = [(f"c{index}", f"c{index + 1}") for index in range(5)]
    splits = make_folds(study_of(range(6)), k=k, together=chain)
    assert splits.by == "group"
    assert len(splits.folds) == (k or 5)
    assert "all images are nearly equal" in splits.reason
    assert "one group" not in splits.reason


def test_one_group_of_images_that_are_all_alike_says_both():
    splits = make_folds(study_of([7, 7, 7]), together=[("c0", "c1"), ("c1", "c2")])
    assert len(splits.folds) == 3
    assert "all are of one group" in splits.reason
    assert "all images are nearly equal" in splits.reason
