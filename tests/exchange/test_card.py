import json
import re
import shutil

import hilum
from hilum.exchange.card import folds_in_words, model_card
from hilum.planning.plan import resolution_in_words


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


WHOLE = """# Parenchyma, SevereInflammation: segmentation

Made by Hilum from 6 annotated images. Research use only: this is no medical device, \
and nobody has tested it as one.

## Data

- 6 cases in 3 groups: GROUPING
- Parenchyma: masks of 6 cases
- SevereInflammation: masks of 6 cases
- images of 3 channels, 2D, {}
- to be filled in by its makers: origin of the images, scanner or stain, ethics approval, licence

## Training

- network link-unet, 2 folds whose probabilities are averaged
- 25 steps a fold, batches of {}, seed {}
- 2 folds by group

## Scores

Measured on out of fold: no case was seen in training. Intervals: 95 %, bootstrap over groups.

| what | score | interval | over |
|---|---|---|---|
| Parenchyma: mean Dice | # | # | 6 cases |
| Parenchyma: pooled Dice | # | # | 6 cases |
| SevereInflammation: mean Dice | # | # | 4 cases |
| SevereInflammation: pooled Dice | # | # | 4 cases |

## Operating point

- Parenchyma: threshold 0.400
- SevereInflammation: each image's own threshold, that of the highest expected Dice at a temperature of 2
- SevereInflammation: the mask is left empty where its presence score is below 0.600

## Intended use

Research on images of the kind it learnt from: same modality, preparation and resolution. A person who can \
judge such images looks at every result that matters.

Not for diagnosis, treatment, triage or screening of patients.

## Limits

- Other scanners, stains, hospitals, ages or species were not tested and may score lower.
- The scores rest on 3 groups; the intervals say how far they carry.
- So few groups say little about the next one: treat the scores as a first estimate.
- Annotations are taken as the truth; their own errors are in the model and in its scores.

## Made with

VERSIONS
"""


def test_the_whole_card_of_a_segmenter(phantom_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(phantom_run.folder, folder)
    own = {"temperature": 2.0, "background": 0}
    for name, values in (
        ("thresholds", {"Parenchyma": 0.4, "SevereInflammation": own}),
        ("presence", {"SevereInflammation": 0.6}),
    ):
        (folder / "evaluation" / f"{name}.json").write_text(json.dumps(values))
    card = model_card(hilum.training.run.Run(folder))
    card = re.sub(r"(?m)^(\| \w+: .*?\|)[^|]*\|[^|]*\|", r"\1 # | # |", card)
    card = re.sub(r"(?<=in 3 groups: ).*", "GROUPING", card)
    card = re.sub(r"hilum .* trained on .*", "VERSIONS", card)
    plan = phantom_run.plan
    assert card == WHOLE.format(resolution_in_words(plan), plan.training.batch, plan.training.seed)


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
    shutil.copytree(phantom_run.folder, tmp_path / "run")
    (tmp_path / "run" / "evaluation" / "summary.json").unlink()
    assert "was not evaluated" in model_card(hilum.training.run.Run(tmp_path / "run"))
