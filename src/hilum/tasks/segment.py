"""Segmentation: masks become tensors, probabilities become masks, areas and Dice."""

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

from hilum.explanation.decision import Decide, Found
from hilum.files import write_json, write_rows
from hilum.image.image import Image
from hilum.inference.keeping import kept, level_counts
from hilum.inference.predictor import enlarged, placed_tiles, quantised
from hilum.measurement.shares import share_lines
from hilum.measurement.table import write_tables
from hilum.planning import rules
from hilum.planning.draft import Draft
from hilum.planning.fingerprint import Fingerprint
from hilum.planning.plan import Plan
from hilum.reporting.blocks import Headline, Section, headline
from hilum.scoring.overlap import dice_curve
from hilum.scoring.quality import Foretold, QualityFit
from hilum.scoring.segmentation import CaseScore, case_scores, summarise, to_record
from hilum.scoring.thresholds import Cut, cut_to_json
from hilum.study.masks import read_case_image, read_masks
from hilum.study.study import Case, Study
from hilum.study.survey import Facts
from hilum.tasks.huge_masks import deliver_blocks
from hilum.tasks.mask_decisions import (
    decided_whole,
    final_presence,
    final_thresholds,
    fit_decisions,
    write_decisions,
)
from hilum.tasks.mask_files import (
    Tables,
    measure_case,
    write_masks,
    write_overlay,
    write_probabilities,
)
from hilum.tasks.mask_pages import mask_sections
from hilum.tasks.mask_quality import (
    add_quality,
    expected_dices,
    final_quality,
    fit_masks,
    foretold,
    write_quality,
)
from hilum.tasks.presence import Seen, presence_score
from hilum.tasks.task import Delivery, OneNetwork, Predicted, PredictedBlocks, Weights
from hilum.training.batches import Batch
from hilum.training.prepare import prepare_image, prepare_mask
from hilum.training.run import Run
from hilum.training.samples import Sample, masked_sample

logger = logging.getLogger(__name__)
HOW_CUT = (
    "of each image the threshold whose mask has the highest expected Dice, that is twice the sum of its "
    "probabilities over its size and the sum of all probabilities, before enlarging; for this, logits are "
    "divided by the temperature, only pixels of at least 0.1 then are marked, and of the pixels kept as 0 so "
    "many (background) count as a quarter of a level, the others as nothing"
)


class Segment(OneNetwork):
    """The segmentation task; see `hilum.tasks.task.Task` for what each method owes."""

    name = "segment"
    in_blocks = True

    def accepts(self, study: Study) -> bool:
        """Whether there are masks."""
        return bool(study.targets) and any(case.masks for case in study.cases)

    def why(self, study: Study) -> str:
        """Masks of so many targets."""
        return f"there are masks of {len(study.targets)} target(s)"

    def plan(
        self, draft: Draft, study: Study, fingerprint: Fingerprint, folds: int, folds_reason: str
    ) -> None:
        """Resolution from the masks, patches and network from the sizes, augmentation from the framing."""
        rules.plan_data(draft, fingerprint, study.targets, folds, folds_reason)
        activation = "softmax+background" if study.exclusive else "sigmoid"
        draft.set(
            "model.activation",
            activation,
            "targets exclude each other" if study.exclusive else "targets may overlap",
        )
        flat = len(fingerprint.median_shape) == 2
        detail = rules.plan_resolution(draft, fingerprint, rules.time_a_fold(draft, folds) if flat else 0.0)
        self.plan_sizes(draft, fingerprint, detail)
        if flat:
            draft.set("model.name", "link-unet", "two thirds of the time of a U-Net's step: more steps")
        draft.set("training.loss", "bce+dice-both", "images with little target count, and those with much")
        draft.set("training.weight_decay", 0.1, "few images are soon learned by heart")
        rules.plan_rate(draft)
        rare = min((share for share in fingerprint.shares.values() if share > 0), default=1.0)
        draft.set(
            "training.rare_share", 0.7, f"the rarest target covers {100 * rare:.1f} % where it is present"
        )
        rules.plan_orientation(draft, fingerprint)
        rules.plan_intensity(draft, fingerprint)
        if not flat:
            draft.set("model.name", "unet", "volumes slice by slice")
            rules.plan_volumes(draft, fingerprint)
        rules.plan_presence(draft, fingerprint)

    def plan_sizes(
        self, draft: Draft, fingerprint: Fingerprint, detail: rules.Detail = rules.AS_NEEDED
    ) -> None:
        """Patch, network depth, batch and tile; `detail` is how fine the pixels are and how often seen."""
        factor = int(draft.get("data.downsample", 1))
        patch = rules.plan_patch(draft, fingerprint, factor, detail)
        rules.plan_batch(draft, patch)
        divisor = 2 * 2 ** int(draft.get("model.settings")["depth"])
        rules.plan_tile(draft, fingerprint, factor, divisor)

    def balance(self, study: Study, facts: Mapping[str, Facts]) -> Mapping[str, Sequence[float]]:
        """Pixels of each target in each case."""
        seen = {case.name: facts[case.name].pixels for case in study.cases}
        return {name: [float(pixels.get(t, 0)) for t in study.targets] for name, pixels in seen.items()}

    def samples(self, case: Case, image: Image, plan: Plan) -> Sequence[Sample]:
        """One sample a case: the prepared image with the share of each target."""
        masks, known = read_masks(case, plan.data.outputs, image.shape)
        prepared = self.prepare(image, plan)
        annotated = torch.from_numpy(known.astype(np.float32))
        share = prepare_mask(masks, plan.data, image.spacing)
        sample = masked_sample(case.name, prepared, share, annotated)
        return [replace(sample, neighbours=plan.data.neighbours)]

    def prepare(self, image: Image, plan: Plan) -> Tensor:
        """The image at working resolution, normalised."""
        return prepare_image(image, plan.data)

    def class_weights(self, samples: Sequence[Sample], plan: Plan) -> Weights:
        """All targets count alike."""
        return [1.0] * len(plan.data.outputs)

    def measure(self, probability: Tensor, batch: Batch, plan: Plan) -> Mapping[str, float]:
        """Dice of each target over the images of the running batch that are annotated for it, at 0.5."""
        known = (batch.known > 0)[(..., *[None] * (probability.ndim - 2))]
        found, truth = (probability > 0.5) & known, (batch.y > 0.5) & known
        over = (0, *range(2, found.ndim))
        both = 2 * (found & truth).sum(over).double()
        either = (found.sum(over) + truth.sum(over)).double()
        return {
            f"dice_{name}": float(both[k] / either[k]) if either[k] else math.nan
            for k, name in enumerate(plan.data.outputs)
        }

    def evaluate(self, run: Run, study: Study) -> dict[str, Any]:
        """Fit thresholds out of fold, then decide, score, measure and draw every case."""
        targets = run.plan.data.outputs
        tested = [
            (index, case)
            for index in run.trained_folds()
            for case in _cases(study, run.splits.folds[index].test)
        ]
        fitted = fit_decisions(run.plan, [_seen(run, case, index, targets) for index, case in tested])
        scores: list[CaseScore] = []
        tables = Tables()
        for index, case in tested:
            cuts, gates = fitted.cuts(index), fitted.gates(index)
            scores += self._decide(run, case, index, cuts, gates, tables)
        summary = summarise(scores, run.plan.scoring.bootstrap, run.plan.training.seed)
        for target, record in fitted.records().items():
            summary["targets"].setdefault(target, {}).update(record)
        fits, told = fit_masks(scores, tables.expected)
        for target, fit in fits.items():
            summary["targets"][target]["quality"] = fit.worth()
        add_quality(tables.rows, told)
        write_quality(run, fits)
        _write_scores(run.evaluation, scores, summary, told)
        write_tables(tables.rows, tables.regions, run.evaluation)
        write_decisions(run, fitted)
        return summary

    def _decide(
        self,
        run: Run,
        case: Case,
        fold: int,
        cuts: Sequence[Cut],
        gates: Sequence[float],
        tables: Tables,
    ) -> list[CaseScore]:
        targets = run.plan.data.outputs
        image, working = read_case_image(case), kept(run.evaluation / "probabilities", case.name)
        masks, probability, own = decided_whole(targets, working, image.shape, cuts, gates)
        truth, known = read_masks(case, targets, image.shape)
        rows = measure_case(tables, case.name, case.group, image, masks, probability)
        tables.expected.update(expected_dices(case.name, masks, probability))
        write_masks(run.predictions, case.name, image, masks)
        write_overlay(run.predictions, case.name, image, masks, rows)
        return _scored(case, image, probability, masks, (truth, known), own, fold)

    def deliver(
        self, run: Run, predicted: Iterable[Predicted | PredictedBlocks], delivery: Delivery
    ) -> dict[str, Any]:
        """Masks, overlays and measurements of new images; scores for those that carry masks."""
        targets = run.plan.data.outputs
        decisions, quality = (final_thresholds(run), final_presence(run)), final_quality(run)
        tables = Tables()
        scores: list[CaseScore] = []
        for one in predicted:
            with delivery.guard(one.case):
                own, found = Tables(), list[CaseScore]()
                if isinstance(one, PredictedBlocks):
                    deliver_blocks(one, targets, decisions, quality, delivery, own)
                else:
                    found = _delivered(run.plan, one, decisions, quality, delivery, own)
                tables.take(own)
                scores += found
        if not delivery.tables:
            return {"measurements": tables.rows, "regions": list(tables.regions)}
        write_tables(tables.rows, tables.regions, delivery.out)
        summary = summarise(scores, run.plan.scoring.bootstrap) if scores else {}
        if scores:
            _write_scores(delivery.out / "evaluation", scores, summary)
        return {"measurements": tables.rows, **summary}

    def write_tables(self, run: Run, summaries: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Any]:
        """The tables of measurements and regions."""
        rows = [row for one in summaries for row in one["measurements"]]
        write_tables(rows, [row for one in summaries for row in one["regions"]], out)
        return {"measurements": rows}

    def rule(self, run: Run) -> Mapping[str, Any]:
        """A threshold for each target, after quantising and enlarging; and its presence threshold.

        `{"temperature": T, "background": N}` is each image's own (`scoring.thresholds.image_threshold`).
        """
        targets = run.plan.data.outputs
        cuts = [cut_to_json(cut) for cut in final_thresholds(run)]
        return {
            "kind": "masks",
            "levels": 255,
            "enlarge": "linearly between pixel centres to the size of the image; shrunk by area means",
            "thresholds": dict(zip(targets, cuts, strict=True)),
            "how_cut": HOW_CUT,
            "presence": dict(zip(targets, final_presence(run), strict=True)),
        }

    def decide(self, run: Run, presence: bool = True) -> Decide:
        """Masks (K, *shape) by the thresholds for new images."""
        targets = run.plan.data.outputs
        gates = final_presence(run) if presence else [0.0] * len(targets)
        return partial(_masks, targets, final_thresholds(run), gates)

    def headlines(self, run: Run) -> Sequence[Headline]:
        """Mean Dice of each target with its interval."""
        return [
            headline(f"{name}: mean Dice", found["dice"]["mean"], found["dice"]["interval"], _over(found))
            for name, found in run.summary()["targets"].items()
            if "dice" in found
        ]

    def sections(self, run: Run, study: Study) -> Sequence[Section]:
        """Scores, cases from worst to best, measurements."""
        return mask_sections(run, study)


SEGMENT = Segment()


def _masks(
    targets: Sequence[str],
    cuts: Sequence[Cut],
    gates: Sequence[float],
    probability: NDArray[np.float32],
    shape: tuple[int, ...],
) -> Found:
    masks, _, _ = decided_whole(targets, quantised(probability), shape, cuts, gates)
    return np.stack(list(masks.values()))


def _delivered(
    plan: Plan,
    one: Predicted,
    decisions: tuple[Sequence[Cut], Sequence[float]],
    quality: Mapping[str, QualityFit],
    delivery: Delivery,
    tables: Tables,
) -> list[CaseScore]:
    """Write the masks of one image and its rows; its scores where it carries masks.

    These are read first, so that nothing is written of an image whose masks are damaged.
    """
    case, image, targets = one.case, one.image, plan.data.outputs
    scored = any(target in case.masks for target in targets)
    truth = read_masks(case, targets, image.shape) if scored else None
    masks, probability, own = decided_whole(targets, quantised(one.probability), image.shape, *decisions)
    rows = measure_case(tables, case.name, case.group, image, masks, probability)
    add_quality(rows, foretold(quality, expected_dices(case.name, masks, probability)))
    write_masks(delivery.out, case.name, image, masks)
    if delivery.overlays:
        write_overlay(delivery.out, case.name, image, masks, rows)
    if delivery.probabilities:
        write_probabilities(delivery.out, case.name, image, targets, probability)
    if delivery.collect:
        delivery.collect(case, masks)
    _tell_shares(plan, one, masks)
    return _scored(case, image, probability, masks, truth, own, None) if truth else []


def _tell_shares(plan: Plan, one: Predicted, masks: Mapping[str, NDArray[np.bool_]]) -> None:
    """Say how much of each tile and of the image is covered, where the plan fixes the tiles."""
    if plan.inference.tiles is None:
        return
    working, shape = one.probability.shape[1:], one.image.shape
    scale = [full / size for full, size in zip(shape, working, strict=True)]
    tiles = [
        tuple(slice(round(p.start * s), round(p.stop * s)) for p, s in zip(tile, scale, strict=True))
        for tile in placed_tiles(working, plan.inference)
    ]
    for target, mask in masks.items():
        for line in share_lines(f"{target} {one.case.name}", mask, tiles):
            logger.info(line)


def _cases(study: Study, names: Sequence[str]) -> list[Case]:
    return [study.by_name[name] for name in names if name in study.by_name]


def _seen(run: Run, case: Case, fold: int, targets: Sequence[str]) -> dict[str, Seen]:
    """What the out-of-fold prediction of one case says of each annotated target."""
    image, working = read_case_image(case), kept(run.evaluation / "probabilities", case.name)
    probability, counts = enlarged(working, image.shape), level_counts(working)
    truth, known = read_masks(case, targets, image.shape)
    gated = run.plan.scoring.metric == "challenge"
    return {
        target: Seen(
            fold,
            presence_score(probability[k]) if gated else math.nan,
            dice_curve(probability[k], truth[k]),
            counts[k],
        )
        for k, target in enumerate(targets)
        if known[k]
    }


def _scored(
    case: Case,
    image: Image,
    probability: NDArray[np.uint8],
    decided: Mapping[str, NDArray[np.bool_]],
    truth: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    cuts: Sequence[float],
    fold: int | None,
) -> list[CaseScore]:
    masks, known = truth
    return case_scores(
        probability,
        masks,
        list(decided),
        annotated=known,
        sizes=image.spacing.sizes,
        unit=image.spacing.symbol,
        thresholds=cuts,
        decision=np.stack(list(decided.values())),
        case=case.name,
        group=case.group,
        fold=fold,
    )


def _write_scores(
    folder: Path,
    scores: Sequence[CaseScore],
    summary: Mapping[str, Any],
    told: Mapping[tuple[str, str], Foretold] | None = None,
) -> None:
    records = [to_record(score) for score in scores]
    if told:
        add_quality(records, told)
    write_rows(folder / "cases.csv", records)
    write_json(folder / "summary.json", summary)


def _over(found: Mapping[str, Any]) -> str:
    pooled = found["dice"].get("pooled")
    return (
        f"{found['dice']['cases']} cases in {found.get('groups', '?')} groups; pooled {pooled:.2f}"
        if pooled is not None
        else ""
    )
