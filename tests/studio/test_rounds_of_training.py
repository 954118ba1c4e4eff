"""Rounds: folds that stay, weights that saw nothing of what is scored, fair comparison, ranking, curves."""

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.studio import jobs
from hilum.studio.comparing import Change, better, changes, pairs
from hilum.studio.desk import open_desk
from hilum.studio.gallery import arranged, entries
from hilum.studio.learning import curve_of, nested_splits
from hilum.studio.ranking import rank_folder, ranked, read_ranking, unannotated
from hilum.studio.rounds import all_rounds, case_scores, current_run, next_name, use_run
from hilum.studio.training import begin_round, extended, predicted_cases, resume_round, startable
from hilum.studio.view import look
from hilum.study.splits import Fold, Splits
from hilum.study.study import Case, Source, Study
from hilum.training.run import open_run, start_weights


def study_of(groups):
    cases = tuple(Case(name, Source(None), group=group) for name, group in groups.items())
    return Study(None, "test", cases)


OLD = Splits("group", (Fold(("c", "d"), ("a", "b")), Fold(("a", "b"), ("c", "d"))), "test")
GROUPS = {"a": "1", "b": "1", "c": "2", "d": "3"}


def test_folds_stay_and_new_groups_go_where_the_fewest_are():
    found = extended(OLD, study_of({**GROUPS, "e": "3", "f": "4", "g": "4"}))
    assert found.folds[0].test == ("a", "b", "f", "g")
    assert found.folds[1].test == ("c", "d", "e")
    for fold in found.folds:
        assert not set(fold.train) & set(fold.test)
        assert set(fold.train) | set(fold.test) == set("abcdefg")


def test_a_case_that_is_gone_leaves_its_fold():
    assert extended(OLD, study_of({"a": "1", "c": "2"})).folds[0].test == ("a",)


@pytest.mark.parametrize("old", [Splits("given", OLD.folds, ""), Splits("group", OLD.folds[:1], "")])
def test_folds_that_cannot_be_kept_are_made_anew(old):
    assert extended(old, study_of(GROUPS)) is None


def test_a_fold_starts_from_a_network_that_has_not_seen_what_it_is_scored_on(phantom_run, caplog):
    def same(one, other):
        return all(bool((one[key] == other[key]).all()) for key in one)

    both = [start_weights(phantom_run, fold.test) for fold in phantom_run.splits.folds]
    assert not same(*both)
    assert same(both[0], start_weights(phantom_run, ()))
    assert not caplog.records
    every = [name for fold in phantom_run.splits.folds for name in fold.test]
    start_weights(phantom_run, every)
    assert "too good" in caplog.text


@pytest.fixture
def runs(tmp_path, phantom_run):
    shutil.copytree(phantom_run.folder, tmp_path / "runs/round-1")
    return tmp_path / "runs"


def test_the_model_in_use_stays_until_another_is_chosen(runs):
    shutil.copytree(runs / "round-1", runs / "round-2")
    assert [one.name for one in all_rounds(runs)] == ["round-1", "round-2"]
    assert current_run(runs).folder.name == "round-1"
    assert next_name(runs) == "round-3"
    use_run(runs, "round-2")
    assert current_run(runs).folder.name == "round-2"
    (runs / "round-2/report.html").unlink()
    assert current_run(runs).folder.name == "round-1"
    with pytest.raises(HilumError, match="round-2"):
        use_run(runs, "round-2")


def test_a_round_compared_with_itself_changes_nothing(runs, phantom_study):
    run = open_run(runs / "round-1")
    found = changes(pairs(look(phantom_study), run, run))
    assert [change.target for change in found] == ["Parenchyma", "SevereInflammation"]
    assert all(change.difference == 0 for change in found)
    assert better(found)


def test_both_rounds_are_scored_against_the_masks_of_today(runs, phantom_study, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(phantom_study, folder)
    run = open_run(runs / "round-1")
    case = look(folder).study.cases[0]
    predicted = run.predictions / f"masks/Parenchyma/{case.name}.png"
    shutil.copy(predicted, case.masks["Parenchyma"].sources[0].path)
    found = {(pair.case, pair.target): pair for pair in pairs(look(folder), run, run)}
    assert found[case.name, "Parenchyma"].before == found[case.name, "Parenchyma"].after == 1


def test_a_worse_round_is_called_so():
    assert Change("a", 9, 0.9, 0.8, (-0.2, -0.05)).verdict == "worse"
    assert Change("a", 9, 0.9, 0.91, (-0.02, 0.05)).verdict == "no clear difference"
    assert not better([Change("a", 9, 0.9, 0.8, (-0.2, -0.05))])


def test_the_gallery_knows_what_the_model_fails_on(runs, phantom_study):
    view, run = look(phantom_study), open_run(runs / "round-1")
    found = entries(view, view.study.targets, run)
    scores = case_scores(run)
    assert len(found) == 8
    worst = arranged(found, "dice")[0]
    assert worst.dice == min(min(of.values()) for of in scores.values())
    assert [one.name for one in arranged(found, keep="open")] == [case.name for case in unannotated(view)]
    assert predicted_cases(run)


def test_the_unsure_and_the_unlike_come_first():
    features = {name: np.array([value], float) for name, value in zip("abcd", (0, 0.1, 5, 5.1), strict=True)}
    known = {"k": np.array([0.0])}
    order = ranked("abcd", {"a": 0.1, "b": 0.5, "c": 0.6, "d": 0.9}, features, known, {"d": "Nerve"})
    assert order[0].case == "d"
    assert "Nerve" in order[0].reason
    assert "nearest is k" in order[0].reason
    assert order[1].case != "c", "c looks as d, which was just chosen"


def test_ranking_predicts_what_is_not_annotated(runs, phantom_study):
    told = []
    order = rank_folder(phantom_study, runs / "round-1", lambda done, of: told.append((done, of)))
    assert {one.case for one in order} == {case.name for case in unannotated(look(phantom_study))}
    assert [one.case for one in read_ranking(runs / "round-1")] == [one.case for one in order]
    assert told[-1] == (8, 8)
    for one in order:
        assert (runs / "round-1/next/probabilities" / f"{one.case}.npz").is_file()


def test_smaller_shares_lie_within_larger_ones_and_tests_stay():
    study = study_of({str(k): str(k // 2) for k in range(16)})
    names = tuple(map(str, range(8)))
    splits = Splits("group", (Fold(tuple(map(str, range(8, 16))), names),), "")
    small, half, whole = (nested_splits(splits, study, share).folds[0] for share in (0.25, 0.5, 1.0))
    assert set(small.train) < set(half.train) < set(whole.train)
    assert (len(small.train), len(half.train), len(whole.train)) == (2, 4, 8)
    assert small.test == whole.test == names


@pytest.mark.parametrize(("gain", "words"), [(0.1, "would help"), (0.0, "hardly"), (None, "Not clear")])
def test_a_curve_says_whether_more_images_would_help(gain, words):
    rng = np.random.default_rng(0)
    names = [str(k) for k in range(12)]
    half = dict.fromkeys(names, 0.8)
    whole = {name: 0.8 + (gain if gain is not None else rng.normal(0.02, 0.15)) for name in names}
    curve = curve_of(
        [(4, dict.fromkeys(names, 0.5)), (8, half), (16, whole)], dict(zip(names, names, strict=True))
    )
    assert words in curve.verdict
    assert [point.images for point in curve.points] == [4, 8, 16]


def test_jobs_tell_how_far_they_are_and_why_they_failed(tmp_path, phantom_study):
    missing = {"folder": str(phantom_study), "run": str(tmp_path / "no")}
    jobs.begin(tmp_path, "rank", "rank", missing)
    while (found := jobs.status(tmp_path, "rank")).state == "running":
        time.sleep(0.1)
    assert found.state == "failed"
    assert "not a run" in found.error
    assert jobs.status(tmp_path, "nothing").state == "none"


def test_a_job_whose_process_is_gone_counts_as_stopped(tmp_path):
    (tmp_path / ".jobs").mkdir()
    note = {"pid": 2**22 - 3, "began": 0, "verb": "train", "start": "1"}
    (tmp_path / ".jobs/train.json").write_text(json.dumps(note))
    (tmp_path / ".jobs/train.jsonl").write_text(
        '{"fold": 0, "step": 3, "steps": 9, "values": {}}\n{"fold": 0, "st'
    )
    found = jobs.status(tmp_path, "train")
    assert (found.state, found.last["step"]) == ("stopped", 3)


def test_nothing_is_trained_where_nothing_is_annotated(tmp_path, write):
    write(tmp_path / "s", {"images/a.png": 0, "images/b.png": 1})
    desk = open_desk(tmp_path / "s", tmp_path / "runs")
    with pytest.raises(HilumError, match="annotated"):
        begin_round(desk)


def test_the_next_round_goes_on_from_the_model_with_its_folds(tmp_path, runs, phantom_study, monkeypatch):
    began = {}
    monkeypatch.setattr(jobs, "begin", lambda *words: (began.clear(), began.update(words[3])))
    desk = open_desk(phantom_study, runs)
    assert begin_round(desk, steps=3) == "round-2"
    old = open_run(runs / "round-1")
    assert began["init"] == str(old.folder)
    kept = json.loads(Path(began["splits"]).read_text())
    assert [tuple(fold["test"]) for fold in kept["folds"]] == [fold.test for fold in old.splits.folds]
    begin_round(desk, steps=3, fresh=True)
    assert "init" not in began


def test_a_stopped_round_is_resumed_as_it_was_begun(tmp_path, runs, phantom_study, monkeypatch):
    began = {}
    monkeypatch.setattr(jobs, "begin", lambda *words: began.update(words[3]))
    desk = open_desk(phantom_study, runs)
    name = begin_round(desk, steps=3)
    shutil.copytree(runs / "round-1", runs / name)
    (runs / name / "report.html").unlink()
    first = dict(began)
    resume_round(desk, name)
    assert began == {**first, "resume": True}
    with pytest.raises(HilumError, match="round-1"):
        resume_round(desk, "round-1")


@pytest.mark.parametrize(
    ("classes", "exclusive", "outputs"),
    [
        (("normal", "sick"), True, ("sick",)),
        (("sick", "normal"), True, ("sick",)),
        (("a", "b", "c"), True, ("a", "b", "c")),
        (("sick", "normal"), False, ("normal", "sick")),
        ((), True, ("Nerve",)),
    ],
)
def test_a_round_goes_on_from_a_model_of_the_same_outputs(classes, exclusive, outputs):
    study = SimpleNamespace(classes=classes, exclusive=exclusive, targets=("Nerve",))
    run = SimpleNamespace(plan=SimpleNamespace(data=SimpleNamespace(outputs=list(outputs))))
    desk = SimpleNamespace(run=run, view=SimpleNamespace(study=study))
    assert startable(desk) is run
    run.plan.data.outputs = ["other"]
    assert startable(desk) is None
