import hilum
from hilum.exchange.card import folds_in_words, model_card


def test_the_card_holds_data_scores_operating_point_use_and_limits(phantom_run):
    card = model_card(phantom_run)
    headings = [line for line in card.splitlines() if line.startswith("## ")]
    wanted = ("Data", "Training", "Scores", "Operating point", "Intended use", "Limits", "Made with")
    assert headings == [f"## {name}" for name in wanted]
    dice = phantom_run.summary()["targets"]["Parenchyma"]["dice"]
    assert f"| Parenchyma: mean Dice | {dice['mean']:.3f} |" in card
    assert f"{dice['interval'][0]:.3f} to {dice['interval'][1]:.3f}" in card
    assert "6 cases in 3 groups" in card
    assert "no medical device" in card.replace("\n", " ")


def test_the_card_names_no_case_and_no_file(phantom_run):
    card = model_card(phantom_run)
    for case in phantom_run.study.cases:
        assert case.name not in card
        assert case.image.path.name not in card
    assert str(phantom_run.study.root) not in card


def test_the_card_is_written_beside_the_run(phantom_run, tmp_path):
    done = hilum.export(phantom_run.folder, "card", tmp_path / "card.md")
    assert done.path == tmp_path / "card.md"
    assert folds_in_words(phantom_run) in done.path.read_text()


def test_a_run_without_scores_says_so(phantom_run, tmp_path):
    import shutil

    shutil.copytree(phantom_run.folder, tmp_path / "run")
    (tmp_path / "run" / "evaluation" / "summary.json").unlink()
    assert "was not evaluated" in model_card(hilum.training.run.Run(tmp_path / "run"))
