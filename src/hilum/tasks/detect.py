"""Detection: marks in volumes become masks to learn, probabilities candidates, candidates nodules."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.ct.candidates import Candidate
from hilum.ct.tables import write_submission
from hilum.explanation.decision import Decide, at_half
from hilum.files import read_json, write_json, write_rows
from hilum.image.image import Image
from hilum.image.readers import probe
from hilum.inference.keeping import kept
from hilum.planning import mark_rules
from hilum.planning.draft import Draft
from hilum.planning.fingerprint import Fingerprint, spread
from hilum.planning.plan import Plan
from hilum.reporting.blocks import Headline, Section, headline
from hilum.study.marked import nodule_marks
from hilum.study.masks import read_case_image
from hilum.study.study import Case, Study
from hilum.study.survey import Facts
from hilum.tasks import nodule_files as files
from hilum.tasks.findings import (
    Findings,
    findings_in,
    operating_threshold,
    scored,
    second_by_fold,
    second_pays,
    threshold_by_fold,
)
from hilum.tasks.nodule_centres import on_lookalikes, on_nodules
from hilum.tasks.nodule_masks import Part, ball_part, joined, part_of
from hilum.tasks.nodule_pages import detection_sections
from hilum.tasks.scans import (
    Scan,
    marks_inside,
    marks_mask,
    network_input,
    read_scan,
)
from hilum.tasks.second_stage import blank_trainer, load_second, second_plan, train_second
from hilum.tasks.segment import SEGMENT
from hilum.tasks.task import Delivery, Predicted, Weights
from hilum.training.batches import Batch
from hilum.training.budget import TimeTooShortError, count_steps
from hilum.training.run import Run
from hilum.training.samples import Sample, masked_sample

logger = logging.getLogger(__name__)
DECISION = "detector.json"
LOOKED_AT = 64
_UNTIMED_SHARE = 0.5


class Detect:
    """The detection task; see `hilum.tasks.task.Task` for what each method owes."""

    name = "detect"
    in_blocks = False
    unread: Collection[str] = ()

    def accepts(self, study: Study) -> bool:
        """Whether volumes carry marks."""
        return any(nodule_marks(case) for case in study.cases)

    def why(self, study: Study) -> str:
        """Marks in so many volumes."""
        count = sum(len(nodule_marks(case)) for case in study.cases)
        return f"{count} marks in {len(study.cases)} volumes"

    def plan(
        self, draft: Draft, study: Study, fingerprint: Fingerprint, folds: int, folds_reason: str
    ) -> None:
        """Window, lungs, grid, slices or blocks, sampling, candidates."""
        diameters = [mark.diameter_mm for case in study.cases for mark in nodule_marks(case)]
        spacings = [_spacing(case) for case in spread(study.cases, LOOKED_AT)]
        mark_rules.plan_volumes(draft, fingerprint, study.targets, folds, folds_reason)
        spacing = mark_rules.plan_grid(draft, spacings, diameters)
        if draft.get("training.device") == "cuda":
            mark_rules.plan_blocks(draft, spacing)
        else:
            mark_rules.plan_slices(draft, spacing)
        mark_rules.plan_detection(draft, diameters)

    def plan_sizes(self, draft: Draft, fingerprint: Fingerprint) -> None:
        """Nothing: the patch is of so many voxels whatever their size."""

    def balance(self, study: Study, facts: Mapping[str, Facts]) -> Mapping[str, Sequence[float]]:
        """Nodules of each scan."""
        return {case.name: [float(len(nodule_marks(case)))] for case in study.cases}

    def samples(self, case: Case, image: Image, plan: Plan) -> Sequence[Sample]:
        """One sample a scan: what the network sees, the mask of its marks, and where patches are centred."""
        scan = read_scan(image, plan.data)
        marks = marks_inside(scan.grid, case)
        mask = marks_mask(scan, marks, plan.data.marks_as, case.name)
        sample = masked_sample(
            case.name, network_input(scan, plan.data), torch.from_numpy(mask[None]).float(), torch.ones(1)
        )
        centres = (on_nodules(scan, marks, mask), on_lookalikes(scan, mask, marks))
        return [replace(sample, centres=centres, neighbours=plan.data.neighbours)]

    def prepare(self, image: Image, plan: Plan) -> Tensor:
        """The scan cut to its lungs, on the working grid, in the window."""
        return network_input(read_scan(image, plan.data), plan.data)

    def class_weights(self, samples: Sequence[Sample], plan: Plan) -> Weights:
        """One output, one weight."""
        return [1.0] * len(plan.data.outputs)

    def measure(self, probability: Tensor, batch: Batch, plan: Plan) -> Mapping[str, float]:
        """Dice of the running batch, as for masks."""
        return SEGMENT.measure(probability, batch, plan)

    def share_after(self, plan: Plan) -> float:
        """The second classifier's share."""
        return 0.0 if plan.detection.second == "never" else plan.detection.share

    def plan_after(self, plan: Plan, fold_s: float | None) -> Plan:
        """The plan with the second classifier's steps: what fits its time, or in proportion to given ones."""
        if plan.detection.second == "never" or plan.detection.steps is not None:
            return plan
        filled = plan.model_copy(deep=True)
        if fold_s is None:
            filled.detection.steps = max(1, round(_UNTIMED_SHARE * (plan.training.steps or 1)))
            return filled
        timed = second_plan(plan)
        timed.training.cpu_s = fold_s if plan.training.cpu_s is not None else None
        timed.training.minutes = None if plan.training.cpu_s is not None else fold_s / 60
        try:
            steps = count_steps(timed, lambda: blank_trainer(timed), fold_s, 1)
        except TimeTooShortError as error:
            logger.warning("no second classifier: %s", error)
            filled.detection.second = "never"
            filled.reasons = {**plan.reasons, "detection.second": "the time is too short for one"}
            return filled
        filled.detection.steps = steps.count
        filled.reasons = {**plan.reasons, "detection.steps": steps.reason}
        logger.info("%d steps a fold of the second classifier: %s", steps.count, steps.reason)
        return filled

    def train_after(self, run: Run, study: Study, samples: Mapping[str, Sequence[Sample]], fold: int) -> None:
        """Train the second classifier of a fold."""
        if run.plan.detection.second != "never":
            train_second(run, study, samples, fold)

    def evaluate(self, run: Run, study: Study) -> dict[str, Any]:
        """Find candidates out of fold, decide on the second classifier, score, measure and write."""
        plan, by_name = run.plan, study.by_name
        tested = [
            (fold, by_name[name])
            for fold in run.trained_folds()
            for name in run.splits.folds[fold].test
            if name in by_name
        ]
        found = [_look(run, case, fold) for fold, case in tested]
        second = second_by_fold(found, plan.detection)
        thresholds = threshold_by_fold(found, second, plan.detection)
        tables = _Tables()
        for one in found:
            image = read_case_image(one.case)
            probability = kept(run.evaluation / "probabilities", one.case.name)[0] / 255.0
            seen = _Seen(image, read_scan(image, plan.data), probability)
            tables.add(one, second[one.fold], thresholds[one.fold], seen, plan, run.predictions)
        summary = _summary(found, second, thresholds, tables, plan)
        used = {str(fold): paid for fold, paid in second.items()}
        summary["second_stage"] = {"used": used, **_second_words(summary)}
        use_second = second_pays(found, plan.detection)
        result = scored(found, dict.fromkeys(second, use_second))
        threshold = operating_threshold(result, plan.detection.false_positives)
        decision = {"threshold": threshold, "second": use_second}
        tables.write(run.evaluation, run.predictions)
        write_json(run.evaluation / DECISION, decision)
        write_json(run.evaluation / "summary.json", summary)
        return summary

    def deliver(self, run: Run, predicted: Iterable[Predicted], delivery: Delivery) -> dict[str, Any]:
        """Candidates, a submission, masks and measured nodules of new scans; scores where they are marked."""
        plan, networks = run.plan, load_second(run, run.trained_folds())
        threshold, use_second = _decision(run)
        tables, found = _Tables(), []
        for one in predicted:
            with delivery.guard(one.case):
                probability = one.probability[0]
                seen = _Seen(one.image, read_scan(one.image, plan.data), probability)
                used = networks if use_second else ()
                findings = findings_in(one.case, None, one.image, seen.scan, probability, used, plan)
                shown = delivery.overlays
                masks = tables.add(findings, use_second, threshold, seen, plan, delivery.out, shown)
                found.append(findings)
                if delivery.collect:
                    delivery.collect(one.case, masks)
        if not delivery.tables:
            return {"nodules": tables.found, "candidates": tables.candidates, "lists": tables.lists}
        marked = [one for one in found if one.case.marks is not None]
        summary = _summary(marked, {None: use_second}, {None: threshold}, tables, plan) if marked else {}
        tables.write(delivery.out / "evaluation" if marked else None, delivery.out)
        if summary:
            write_json(delivery.out / "evaluation" / "summary.json", summary)
        return {"nodules": tables.found, **summary}

    def write_tables(self, run: Run, summaries: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Any]:
        """The tables of candidates and nodules, and the submission."""
        tables = _Tables()
        for one in summaries:
            tables.found += one["nodules"]
            tables.candidates += one["candidates"]
            tables.lists |= one["lists"]
        tables.write(None, out)
        return {"nodules": tables.found}

    def rule(self, run: Run) -> Mapping[str, Any]:
        """How candidates are cut out of the probabilities, and the threshold of the chosen ones."""
        threshold, second = _decision(run)
        return {
            "kind": "candidates",
            "threshold": threshold,
            "second": second,
            "candidates": run.plan.detection.model_dump(mode="json"),
        }

    def decide(self, run: Run, presence: bool = True) -> Decide:
        """At 0.5: what counts in a scan are candidates, of which a picture of voxels knows nothing."""
        return at_half

    def headlines(self, run: Run) -> Sequence[Headline]:
        """CPM, sensitivity at one and four false positives a scan, distance."""
        summary = run.summary()
        over = f"{summary['nodules']} nodules in {summary['scans']} scans"
        rates = summary["froc"]["false_positives"]
        intervals = summary["froc"].get("sensitivity_interval") or [None] * len(rates)
        lines = [headline("CPM", summary["froc"]["cpm"]["value"], summary["froc"]["cpm"]["interval"], over)]
        for wanted in (1.0, 4.0):
            at = rates.index(wanted)
            label = f"Sensitivity at {wanted:g} false positive{'s' if wanted > 1 else ''} a scan"
            lines.append(headline(label, summary["froc"]["sensitivity"][at], intervals[at], over))
        distance = summary["distance_mm"]
        if distance["median"] is not None:
            off = f"of {distance['cases']} found; nine of ten within {distance['p90']:.1f} mm"
            lines.append(headline("Median distance of centres, mm", distance["median"], None, off))
        return lines

    def sections(self, run: Run, study: Study) -> Sequence[Section]:
        """FROC, found and missed nodules, lungs."""
        return detection_sections(run, study)


DETECT = Detect()


@dataclass(frozen=True, eq=False)
class _Seen:
    """One scan with its probabilities (Z', Y', X') on the working grid."""

    image: Image
    scan: Scan
    probability: NDArray[np.floating]


@dataclass
class _Tables:
    """Rows of all scans, collected one by one, and how masks overlap."""

    candidates: list[files.Row] = field(default_factory=list)
    nodules: list[files.Row] = field(default_factory=list)
    cases: list[files.Row] = field(default_factory=list)
    found: list[files.Row] = field(default_factory=list)
    overlap: list[tuple[int, int]] = field(default_factory=list)
    lists: dict[str, list[Candidate]] = field(default_factory=dict)

    def add(
        self,
        one: Findings,
        second: bool,
        threshold: float,
        seen: _Seen,
        plan: Plan,
        out: Path,
        pictures: bool = True,
    ) -> dict[str, NDArray[np.bool_]]:
        """Measure one scan, write its masks, and only then keep its rows; the masks by target."""
        case, lungs, image = one.case, seen.scan.lungs, seen.image
        judged = files.statuses(one, second)
        chosen = [(c, _part(c, seen, plan)) for c, _, _ in judged if c.probability >= threshold]
        mask = joined(image.shape, (part for _, part in chosen))
        rows, measured = files.found_rows(case.name, chosen, image, lungs)
        target = plan.data.outputs[0]
        files.write_nodule_mask(out, target, case.name, image, mask)
        files.write_lungs(out, case.name, image, lungs)
        if pictures:
            files.write_picture(out, case.name, image, mask, measured)
        self.found += rows
        self.lists[case.name] = [c for c, _, _ in judged]
        dice = self._dice(case, image, mask)
        self.candidates += files.candidate_rows(one, judged)
        if case.marks is not None:
            self.nodules += files.nodule_rows(one, judged, threshold, image, lungs)
            self.cases.append(files.case_row(one, judged, threshold, lungs, dice))
        return {target: mask}

    def _dice(self, case: Case, image: Image, mask: NDArray[np.bool_]) -> float:
        """Volume Dice against the balls; NaN where there is neither nodule nor mask."""
        if case.marks is None:
            return math.nan
        truth = joined(image.shape, (ball_part(image, mark) for mark in nodule_marks(case)))
        both, either = int((truth & mask).sum()), int(truth.sum() + mask.sum())
        self.overlap.append((both, either))
        return 2 * both / either if truth.any() else math.nan

    def write(self, evaluation: Path | None, predictions: Path) -> None:
        """Write all tables; those that need marks to `evaluation`."""
        if evaluation is not None:
            marked = {row["case"] for row in self.cases}
            judged = [row for row in self.candidates if row["seriesuid"] in marked]
            write_rows(evaluation / "candidates.csv", judged, files.CANDIDATE_COLUMNS, files.DIGITS)
            write_rows(evaluation / "nodules.csv", self.nodules, files.NODULE_COLUMNS, files.DIGITS)
            write_rows(evaluation / "cases.csv", self.cases, files.CASE_COLUMNS, files.DIGITS)
        columns = [
            name for name in files.CANDIDATE_COLUMNS if name not in ("status", "nodule", "distance_mm")
        ]
        write_rows(predictions / "candidates.csv", self.candidates, columns, files.DIGITS)
        write_rows(predictions / "nodules.csv", self.found, files.FOUND_COLUMNS, files.DIGITS)
        write_submission(predictions / "submission.csv", self.lists)


def _part(one: Candidate, seen: _Seen, plan: Plan) -> Part:
    share = 0.5 if isinstance(plan.scoring.threshold, str) else plan.scoring.threshold
    weakest = plan.detection.threshold
    return part_of(one, seen.probability, seen.scan, seen.image, share, weakest)


def _spacing(case: Case) -> tuple[float, ...]:
    own = case.spacing or probe(case.image.path, case.image.entry, case.image.index).spacing
    return own.sizes if own.known and len(own.sizes) == 3 else (1.0, 1.0, 1.0)


def _look(run: Run, case: Case, fold: int) -> Findings:
    """The out-of-fold candidates of one scan."""
    image = read_case_image(case)
    scan = read_scan(image, run.plan.data)
    probability = kept(run.evaluation / "probabilities", case.name)[0] / 255.0
    return findings_in(case, fold, image, scan, probability, _second_of(run, fold), run.plan)


def _second_of(run: Run, fold: int) -> tuple[nn.Module, ...]:
    return load_second(run, [fold]) if run.plan.detection.second != "never" else ()


def _decision(run: Run) -> tuple[float, bool]:
    """Threshold and use of the second classifier for new scans, as they were decided out of fold."""
    path = run.evaluation / DECISION
    found = read_json(path) if path.is_file() else {}
    return float(found.get("threshold", 0.5)), bool(found.get("second", run.plan.detection.second != "never"))


def _summary(
    found: Sequence[Findings],
    second: Mapping[int | None, bool],
    thresholds: Mapping[int | None, float],
    tables: _Tables,
    plan: Plan,
) -> dict[str, Any]:
    final, first = scored(found, second), scored(found, {})
    defined = [float(row["dice"]) for row in tables.cases if not math.isnan(row["dice"])]
    both, either = (sum(part) for part in zip(*tables.overlap, strict=True))
    dice = {
        "mean": float(np.mean(defined)) if defined else math.nan,
        "pooled": 2 * both / either if either else math.nan,
        "cases": len(defined),
    }
    own = {one.case.name: thresholds[one.fold] for one in found}
    groups = {one.case.name: one.case.group or one.case.name for one in found}
    return files.detection_summary(
        final, first, own, dice, plan.scoring.bootstrap, plan.training.seed, groups
    )


def _second_words(summary: Mapping[str, Any]) -> dict[str, Any]:
    """How much the second classifier changes the CPM, said also where it makes it worse."""
    gain = summary["froc"]["cpm"]["value"] - summary["first_stage"]["cpm"]
    words = "raises" if gain > 0 else "lowers" if gain < 0 else "does not change"
    return {"gain": gain, "words": f"the second classifier {words} the CPM out of fold ({gain:+.3f})"}
