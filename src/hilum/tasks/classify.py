"""Classification: labels of whole images become tensors, probabilities decisions at an operating point."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.errors import HilumError
from hilum.explanation.decision import Decide, Found
from hilum.files import read_json, write_json, write_rows
from hilum.image.image import Image
from hilum.inference.keeping import kept
from hilum.planning import label_rules, rules
from hilum.planning.draft import Draft
from hilum.planning.fingerprint import Fingerprint
from hilum.planning.plan import Plan
from hilum.reporting.blocks import Headline, Section, headline
from hilum.study.looked_for import ordered_classes
from hilum.study.names import common_folder
from hilum.study.study import Case, Study
from hilum.study.survey import Facts
from hilum.tasks import label_files, label_pages
from hilum.tasks.decisions import (
    RULES,
    Decision,
    Outcome,
    calibrated,
    called,
    class_names,
    decision_from_json,
    is_exclusive,
    labels_for,
    labels_of,
    learn_decision,
    planned_outputs,
    rule_of,
)
from hilum.tasks.exploration import explore
from hilum.tasks.task import Delivery, OneNetwork, Predicted, Weights
from hilum.training.batches import Batch
from hilum.training.prepare import prepare_image
from hilum.training.run import Run
from hilum.training.samples import Sample, labelled_sample

logger = logging.getLogger(__name__)
DECISION = "decision.json"


class Classify(OneNetwork):
    """The classification task; see `hilum.tasks.task.Task` for what each method owes."""

    name = "classify"
    in_blocks = False

    def accepts(self, study: Study) -> bool:
        """Whether images are labelled."""
        return bool(study.classes) and any(case.labels for case in study.cases)

    def why(self, study: Study) -> str:
        """Labels of so many classes."""
        kind = "one class an image" if study.exclusive else "each with or without every label"
        return f"images are labelled, {len(study.classes)} class(es), {kind}"

    def plan(
        self, draft: Draft, study: Study, fingerprint: Fingerprint, folds: int, folds_reason: str
    ) -> None:
        """One size for all images, a small network to match, augmentation from the framing."""
        classes = ordered_classes(study.classes)
        outputs = planned_outputs(study.classes, study.exclusive)
        binary = len(outputs) < len(classes)
        rules.plan_data(draft, fingerprint, outputs, folds, folds_reason)
        if binary:
            draft.set("data.outputs", list(outputs), f"what is looked for; {classes[0]} is its absence")
        softmax = study.exclusive and not binary
        why = "classes exclude each other" if softmax else "one yes-or-no question an output"
        draft.set("model.activation", "softmax" if softmax else "sigmoid", why)
        label_rules.plan_size(draft, fingerprint, folds)
        self.plan_sizes(draft, fingerprint)
        label_rules.plan_learning(draft, fingerprint)
        if not softmax:
            label_rules.plan_threshold(draft)
        rules.plan_orientation(draft, fingerprint)
        rules.plan_intensity(draft, fingerprint)
        label_rules.plan_distortion(draft)
        validated = {"val", "test"} <= {case.split for case in study.cases}
        label_rules.plan_holding_back(draft, folds, validated, len(study.cases))

    def plan_sizes(self, draft: Draft, fingerprint: Fingerprint) -> None:
        """The whole image as patch, and a network to match its size."""
        size = rules.in_plane(draft, fingerprint, int(draft.get("data.downsample", 1)))
        label_rules.plan_whole(draft, size)
        label_rules.plan_network(draft, size)

    def balance(self, study: Study, facts: Mapping[str, Facts]) -> Mapping[str, Sequence[float]]:
        """The labels of each case, unknown ones as 0."""
        return {
            case.name: [0.0 if math.isnan(x) else x for x in labels_of(case, study.classes)]
            for case in study.cases
        }

    def samples(self, case: Case, image: Image, plan: Plan) -> Sequence[Sample]:
        """The whole image with its labels; unknown ones are masked."""
        label = torch.tensor(labels_of(case, plan.data.outputs))
        known = torch.isfinite(label).float()
        soft = _softened(torch.nan_to_num(label), plan)
        sample = labelled_sample(case.name, self.prepare(image, plan), soft, known)
        return [replace(sample, neighbours=plan.data.neighbours)]

    def prepare(self, image: Image, plan: Plan) -> Tensor:
        """The image at working resolution, normalised."""
        return prepare_image(image, plan.data)

    def class_weights(self, samples: Sequence[Sample], plan: Plan) -> Weights:
        """Weights by which classes count alike: (K,) of exclusive ones, else (2, K) of absence, presence."""
        label = torch.stack([sample.label for sample in samples if sample.label is not None])
        known = torch.stack([sample.known for sample in samples])
        present = ((label > 0.5) * known).sum(0).tolist()
        total = known.sum(0).tolist()
        if is_exclusive(plan):
            return [sum(present) / (len(present) * max(1.0, count)) for count in present]
        pairs = [balanced_weights(t - p, p) for t, p in zip(total, present, strict=True)]
        return [list(side) for side in zip(*pairs, strict=True)]

    def measure(self, probability: Tensor, batch: Batch, plan: Plan) -> Mapping[str, float]:
        """Accuracy at 0.5 and, of a yes-or-no question with both answers there, the AUC."""
        truth, known = (batch.y > 0.5).cpu(), batch.known.cpu() > 0
        if is_exclusive(plan):
            right = probability.cpu().argmax(1) == batch.y.cpu().argmax(1)
            return {"accuracy": float(right[known.all(1)].double().mean())}
        right = ((probability.cpu() > 0.5) == truth)[known]
        scores = {"accuracy": float(right.double().mean())}
        if probability.shape[1] == 1:
            scores["auc"] = _auc(probability.cpu()[known].double(), truth[known])
        return scores

    def evaluate(self, run: Run, study: Study) -> dict[str, Any]:
        """Learn temperature and threshold on held-out cases, then decide and score every test case."""
        plan, classes = run.plan, class_names(run.plan, study)
        tested = _tested(run, study)
        held_out = {fold: _held_out(run, study, tested, fold) for fold in run.trained_folds()}
        decisions = {fold: learn_decision(found, plan) for fold, found in held_out.items()}
        summary = label_files.summarise(tested, decisions, plan, classes)
        summary |= _beside(tested, held_out, decisions, plan, classes)
        final = learn_decision(_all_held_out(run, study, tested), plan)
        rows = label_files.image_rows(tested, decisions, plan, classes, study.root)
        write_rows(run.evaluation / "cases.csv", rows)
        write_json(run.evaluation / DECISION, final.to_json())
        write_json(run.evaluation / "exploration.json", explore(study))
        write_json(run.evaluation / "summary.json", summary)
        return summary

    def deliver(self, run: Run, predicted: Iterable[Predicted], delivery: Delivery) -> dict[str, Any]:
        """predictions.csv of new images; scores where they are labelled."""
        plan, classes = run.plan, class_names(run.plan, run.study)
        decision = final_decision(run)
        found = list(_answers(predicted, delivery))
        if not found:
            return {"predictions": []}
        outcome = Outcome(
            tuple(case for case, _ in found),
            np.full(len(found), -1, np.intp),
            np.stack([values for _, values in found]),
            np.array([labels_for(case, plan, classes) for case, _ in found]),
        )
        root = delivery.root or common_folder(case.image.path for case in outcome.cases)
        rows = label_files.image_rows(outcome, {-1: decision}, plan, classes, root)
        if not delivery.tables:
            return {"predictions": rows}
        write_rows(delivery.out / "predictions.csv", rows)
        known = outcome.only(np.asarray(~np.isnan(outcome.label).all(1), bool))
        if not len(known):
            return {"predictions": rows}
        try:
            summary = label_files.summarise(known, {-1: decision}, plan, classes)
        except HilumError as error:
            logger.warning("the labels of these images cannot be scored: %s", error)
            return {"predictions": rows}
        write_rows(delivery.out / "evaluation" / "cases.csv", [row for row in rows if "label" in row])
        write_json(delivery.out / "evaluation" / "summary.json", summary)
        return {"predictions": rows, **summary}

    def write_tables(self, run: Run, summaries: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Any]:
        """The table of predictions."""
        rows = [row for one in summaries for row in one["predictions"]]
        write_rows(out / "predictions.csv", rows)
        return {"predictions": rows}

    def rule(self, run: Run) -> Mapping[str, Any]:
        """Temperature, then the thresholds of the outputs, or the most probable class."""
        decision = final_decision(run)
        return {
            "kind": "labels",
            "classes": list(class_names(run.plan, run.study)),
            "exclusive": is_exclusive(run.plan),
            "temperature": decision.temperature,
            "thresholds": decision.thresholds.tolist(),
        }

    def decide(self, run: Run, presence: bool = True) -> Decide:
        """Called classes (K,), calibrated and by the thresholds for new images."""
        return partial(_called, final_decision(run), run.plan)

    def headlines(self, run: Run) -> Sequence[Headline]:
        """AUC and accuracy; sensitivity and specificity where it is a yes-or-no question."""
        summary = run.summary()
        names = {
            "auc": "ROC AUC",
            "accuracy": "Accuracy",
            "recall": "Sensitivity",
            "specificity": "Specificity",
        }
        shown = (
            names if "positive" in summary else {"auc": "ROC AUC", "balanced_accuracy": "Balanced accuracy"}
        )
        return [
            headline(label, summary[key]["value"], summary[key]["interval"], _over(summary, key), digits=3)
            for key, label in shown.items()
            if key in summary
        ]

    def sections(self, run: Run, study: Study) -> Sequence[Section]:
        """Scores, the most confident mistakes, what the images are like."""
        classes = class_names(run.plan, study)
        return [
            label_pages.scores_section(run, classes),
            label_pages.mistakes(run, study, classes),
            label_pages.exploration_section(run, study),
        ]


CLASSIFY = Classify()


def _called(decision: Decision, plan: Plan, probability: NDArray[np.float32], _: tuple[int, ...]) -> Found:
    values = calibrated(np.asarray(probability[None], np.float64), decision, plan)
    return np.asarray(called(values, decision, plan)[0])


def balanced_weights(absent: float, present: float) -> tuple[float, float]:
    """Weights of two classes by their counts, half of all for each.

    >>> [round(weight, 2) for weight in balanced_weights(1684, 4808)]
    [1.93, 0.68]
    """
    half = (absent + present) / 2
    return half / max(1.0, absent), half / max(1.0, present)


def final_decision(run: Run) -> Decision:
    """How new images are decided; at 0.5 where the run was not evaluated."""
    path = run.evaluation / DECISION
    return decision_from_json(read_json(path)) if path.is_file() else learn_decision(None, run.plan)


def _auc(values: Tensor, truth: Tensor) -> float:
    """Share of pairs in order, ties as half; NaN without both classes."""
    from hilum.scoring.ranking import auc

    if not bool(truth.any()) or bool(truth.all()):
        return math.nan
    return float(auc(values.numpy(), truth.numpy(), np.ones((1, len(truth))))[0])


def _answers(
    predicted: Iterable[Predicted], delivery: Delivery
) -> Iterable[tuple[Case, np.ndarray[Any, Any]]]:
    for one in predicted:
        with delivery.guard(one.case):
            values = np.asarray(one.probability, np.float64)
        yield one.case, values


def _tested(run: Run, study: Study) -> Outcome:
    names = [(fold, name) for fold in run.trained_folds() for name in run.splits.folds[fold].test]
    outcome = _read(run, study, [(fold, name, "probabilities") for fold, name in names])
    if outcome is None:
        raise HilumError(f"{run.folder}: no fold has images to score on")
    return outcome


def _read(run: Run, study: Study, wanted: Sequence[tuple[int, str, str]]) -> Outcome | None:
    """Kept probabilities of cases by (fold, name, folder); None where there are none."""
    known = study.by_name
    there = [(fold, known[name], folder) for fold, name, folder in wanted if name in known]
    if not there:
        return None
    values = [np.asarray(kept(run.evaluation / folder, case.name), np.float64) for _, case, folder in there]
    labels = [labels_of(case, run.plan.data.outputs) for _, case, _ in there]
    folds = np.array([fold for fold, _, _ in there], np.intp)
    return Outcome(tuple(case for _, case, _ in there), folds, np.stack(values), np.array(labels))


def _validation(run: Run, study: Study, folds: Sequence[int]) -> Outcome | None:
    """What was held back from training in some folds, and kept."""
    wanted = [
        (fold, name, f"validation/fold-{fold}") for fold in folds for name in run.splits.folds[fold].val
    ]
    kept_ones = [w for w in wanted if (run.evaluation / w[2] / f"{w[1]}.npz").is_file()]
    return _read(run, study, kept_ones)


def _held_out(run: Run, study: Study, tested: Outcome, fold: int) -> Outcome | None:
    """Cases to learn a fold's decision on: its validation images, else the test images of other folds."""
    validation = _validation(run, study, [fold])
    if validation is not None:
        return validation
    others = tested.only(tested.fold != fold)
    return others if len(others) else None


def _all_held_out(run: Run, study: Study, tested: Outcome) -> Outcome | None:
    """Cases to learn the decision for new images on: never the test images of given splits."""
    validation = _validation(run, study, run.trained_folds())
    if validation is not None:
        return validation
    return tested if run.splits.by != "given" else None


def _beside(
    tested: Outcome,
    held_out: Mapping[int, Outcome | None],
    decisions: Mapping[int, Decision],
    plan: Plan,
    classes: Sequence[str],
) -> dict[str, Any]:
    """What the summary holds beside the scores: calibration, validation scores, what the rule costs."""
    plain = {fold: Decision(1.0, decision.points, decision.cases) for fold, decision in decisions.items()}
    quick = plan.model_copy(deep=True)
    quick.scoring.bootstrap = 0
    before = label_files.summarise(tested, plain, quick, classes)
    temperatures = [decision.temperature for decision in decisions.values()]
    found: dict[str, Any] = {
        "calibration": {
            "temperature": float(np.mean(temperatures)),
            "learnt_on": max(decision.cases for decision in decisions.values()),
            "source": _source(held_out),
            "thresholds_learnt": not is_exclusive(plan) and rule_of(plan.scoring).startswith(RULES),
            "brier_before": before["brier"]["value"],
            "ece_before": before["ece"]["value"],
        }
    }
    validated = _validated(held_out)
    if len(validated) == 1:
        ((fold, part),) = validated.items()
        scores = label_files.summarise(part, {fold: decisions[fold]}, quick, classes)
        found["validation"] = {key: scores[key] for key in ("auc", "accuracy", "recall", "specificity")}
    if len(plan.data.outputs) == 1 and rule_of(plan.scoring) != "youden":
        others = {fold: learn_decision(part, plan, "youden") for fold, part in held_out.items()}
        scores = label_files.summarise(tested, others, quick, classes)
        found["youden"] = {key: scores[key]["value"] for key in ("recall", "specificity")}
    return found


def _validated(held_out: Mapping[int, Outcome | None]) -> dict[int, Outcome]:
    """What was held back from training, of the folds that have such a part."""
    return {fold: part for fold, part in held_out.items() if part is not None and (part.fold == fold).all()}


def _source(held_out: Mapping[int, Outcome | None]) -> str:
    """What temperature and thresholds were learnt on, in words."""
    own, learnt = len(_validated(held_out)), sum(part is not None for part in held_out.values())
    if not own:
        return "the images of the other folds"
    return "held-back images" if own == learnt else "held-back images or those of the other folds"


def _softened(label: Tensor, plan: Plan) -> Tensor:
    """Labels (K,) of 0 and 1 as less certain ones; of exclusive classes they still add up to 1."""
    doubt = plan.training.smoothing
    low = doubt / max(1, len(label) - 1) if is_exclusive(plan) else doubt
    return label * (1 - doubt - low) + low


def _over(summary: Mapping[str, Any], key: str) -> str:
    where = (
        f" at threshold {summary['operating_point']['threshold']:.2f}"
        if key in ("recall", "specificity")
        else ""
    )
    return f"{summary[key]['cases']} images, {summary['groups']} groups{where}"
