"""The whole road of the ultrasound challenge on a phantom set in its layout, half of it without a nerve."""

import json

import pytest
from typer.testing import CliRunner

import hilum
from hilum.cli import app
from hilum.exchange.kaggle_rle import masks_of, read_submission, score_submission
from hilum.phantoms.make import make_phantom

SIZE = (105, 145)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_phantom("ultrasound", tmp_path_factory.mktemp("challenge") / "raw", cases=24, size=SIZE)


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("challenge-run") / "run"
    return hilum.train(folder, out, steps=50, folds=2, settings=("training.batch=8", "training.threads=1"))


@pytest.fixture(scope="module")
def results(folder, run, tmp_path_factory):
    out = tmp_path_factory.mktemp("challenge-results") / "out"
    return hilum.predict(run.folder, folder / "test", out, submission="kaggle-rle")


def test_inspect_tells_subjects_and_empty_frames(folder):
    found = hilum.inspect(folder)
    assert len(found.study.cases) == 24
    assert len(found.study.groups) == 4
    assert (found.targets[0].annotated, found.targets[0].empty) == (24, 12)
    assert found.sizes == {"145 x 105": 24}


def test_presence_is_planned_scored_and_kept(run):
    assert run.plan.scoring.metric == "challenge"
    assert "50 %" in run.plan.reasons["scoring.metric"]
    found = run.summary()["targets"]["target"]
    presence = found["presence"]
    assert (presence["empty"], presence["cases"]) == (12, 24)
    if presence["used"]:
        won = presence["challenge_dice"] - presence["challenge_dice_plain"]
        assert presence["gain"] == pytest.approx(won)
    kept = json.loads((run.evaluation / "presence.json").read_text())
    assert kept == ({"target": presence["best_threshold"]} if presence["used"] else {})


def test_the_scores_count_what_was_decided(run):
    """Mean challenge Dice from the table of cases is what the summary says of presence."""
    import pandas as pd

    rows = pd.read_csv(run.evaluation / "cases.csv")
    empty = (rows.truth_pixels == 0) & (rows.predicted_pixels == 0)
    dice = (2 * rows.tp / (2 * rows.tp + rows.fp + rows.fn)).where(~empty, 1.0)
    expected = run.summary()["targets"]["target"]["presence"]["challenge_dice"]
    assert dice.mean() == pytest.approx(expected, abs=1e-9)


def test_the_submission_has_every_image_in_order_at_its_own_size(folder, results):
    path = results.out / "submission.csv"
    lines = path.read_text().splitlines()
    assert lines[0] == "img,pixels"
    assert [line.split(",")[0] for line in lines[1:]] == [str(number) for number in range(1, 9)]
    assert list(read_submission(path)) == list(read_submission(folder / "solution.csv"))
    assert results.summary["submission"] == str(path)


def test_the_submission_holds_the_masks_that_were_written(results):
    from hilum.image.readers import read_image

    for name, mask in masks_of(results.out / "submission.csv", SIZE):
        written = read_image(results.out / "masks" / "target" / f"{name}.png").array[0] > 0
        assert (written == mask).all()


def test_the_scorer_on_the_command_line_gives_the_same(folder, results):
    path, solution = results.out / "submission.csv", folder / "solution.csv"
    wanted = score_submission(path, solution, SIZE)
    options = ["--submission", str(path), "--solution", str(solution), "--size", "145x105"]
    answer = CliRunner().invoke(app, ["evaluate", *options, "--json"])
    assert answer.exit_code == 0
    assert json.loads(answer.output)["mean"] == wanted.mean
    assert 0 <= wanted.mean <= 1
    assert score_submission(solution, solution, SIZE).mean == 1
    spoken = CliRunner().invoke(app, ["evaluate", *options])
    assert f"mean Dice {wanted.mean:.4f} over 8 images" in spoken.output


def test_evaluate_needs_a_run_or_both_files(folder):
    assert CliRunner().invoke(app, ["evaluate"]).exit_code == 2
    assert CliRunner().invoke(app, ["evaluate", "--submission", "a.csv"]).exit_code == 2


def test_going_on_from_the_cache_gives_the_same_weights(folder, tmp_path, monkeypatch):
    """Trained in one go, and trained fold by fold from the cache: bit for bit the same."""
    from hilum.training import gather
    from hilum.training.state import load_tensors

    settings = ("training.batch=4", "training.threads=1")
    whole = hilum.train(folder, tmp_path / "whole", steps=6, folds=2, settings=settings)
    monkeypatch.setattr(gather, "worth_keeping", lambda *_: "always")
    parts = hilum.train(folder, tmp_path / "parts", steps=6, folds=2, fold=0, settings=settings)
    assert (parts.cache / "samples.npy").is_file()
    monkeypatch.setattr(gather, "gather_samples", lambda *_: pytest.fail("images were read again"))
    parts = hilum.train(folder, tmp_path / "parts", fold=1, resume=True)
    for fold in (0, 1):
        first, _ = load_tensors(whole.fold(fold) / "model.safetensors")
        second, _ = load_tensors(parts.fold(fold) / "model.safetensors")
        assert all((first[name] == second[name]).all() for name in first)
