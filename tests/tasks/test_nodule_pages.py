import csv
import json
import math
import re
import shutil
from dataclasses import replace

import pytest

from hilum.errors import RunError
from hilum.reporting.blocks import Callout, Facts, Figure, Gallery, Table, Text
from hilum.reporting.page import render
from hilum.study.study import Source
from hilum.tasks.nodule_pages import PICTURES, detection_sections
from hilum.tasks.nodule_scores import SIZES
from hilum.tasks.nodule_tables import read_detection
from hilum.training.run import Run


@pytest.fixture(scope="module")
def sections(detector_run, luna_study):
    return {section.title: section for section in detection_sections(detector_run, luna_study)}


@pytest.fixture
def copied(detector_run, tmp_path):
    """A copy of the run to be damaged."""
    shutil.copytree(detector_run.folder, tmp_path / "run")
    return Run(tmp_path / "run")


def of_kind(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def edit(path, change):
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    columns = list(rows[0])
    rows = change(rows)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(rows)


def test_the_pages_are_in_the_order_in_which_one_asks(sections):
    assert list(sections) == [
        "Scores",
        "Nodules missed",
        "Nodules found",
        "False positives",
        "Scans and lungs",
        "Nodules",
    ]


def test_scores_state_figures_with_operating_point_and_interval(sections, detector_run):
    summary = detector_run.summary()
    facts = dict(of_kind(sections["Scores"], Facts)[0].rows)
    low, high = summary["froc"]["cpm"]["interval"]
    value = summary["froc"]["cpm"]["value"]
    assert facts["CPM, 95 % interval over scans"] == f"{value:.3f} [{low:.3f}, {high:.3f}]"
    assert facts["Operating threshold"] == "0.450"
    assert facts["Centre error, median (mm)"] == "1.4"
    titles = [figure.title for figure in of_kind(sections["Scores"], Figure)]
    assert titles == [
        "Free-response ROC",
        "Found by diameter",
        "Error of the centre",
        "Probability of candidates",
    ]
    caption = of_kind(sections["Scores"], Figure)[0].caption
    assert f"CPM {value:.3f}" in caption
    assert "without the second stage, CPM 0.300" in caption
    assert "The ring is the operating point: sensitivity 0.630 at 1 false positives a scan." in caption
    few = [block for block in of_kind(sections["Scores"], Callout) if "few" in block.text]
    assert len(few) == 1


def test_sensitivity_by_rate_and_by_diameter_count_every_nodule(sections, detector_run, luna_study):
    tables = {table.caption: table for table in of_kind(sections["Scores"], Table)}
    rates = tables["Sensitivity by rate of false positives"]
    assert [row[0] for row in rates.rows] == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]
    assert [row[1] for row in rates.rows] == detector_run.summary()["froc"]["sensitivity"]
    sizes = tables["Sensitivity by diameter"]
    assert tuple(row[0] for row in sizes.rows) == SIZES
    assert sum(row[1] for row in sizes.rows) == sum(len(case.marks) for case in luna_study.cases)
    for _, number, found, share in sizes.rows:
        assert share == (found / number if number else None)


def test_found_and_missed_nodules_are_seen_in_three_planes(sections, luna_study):
    marks = sum(len(case.marks) for case in luna_study.cases)
    missed = of_kind(sections["Nodules missed"], Gallery)[0].cards
    found = of_kind(sections["Nodules found"], Gallery)[0].cards
    assert len(missed) == len(luna_study.cases)
    assert len(found) == min(PICTURES, marks - len(missed))
    for card in (*missed, *found):
        assert [panel.label.split(",")[0] for panel in card.panels] == ["axial", "coronal", "sagittal"]
        assert all(panel.uri.startswith("data:image/jpeg") for panel in card.panels)
        assert all(len(panel.uri) < 60_000 for panel in card.panels)
    assert dict(missed[0].facts)["Best candidate on it"] == "none"
    sizes = [float(dict(card.facts)["Diameter"].split()[0]) for card in missed]
    assert sizes == sorted(sizes, reverse=True)
    sure = [float(dict(card.facts)["Probability"]) for card in found]
    assert sure == sorted(sure)


def test_false_positives_come_with_the_most_probable_first(sections):
    cards = of_kind(sections["False positives"], Gallery)[0].cards
    assert [dict(card.facts)["Probability"] for card in cards] == ["0.600"] * 4 + [
        "0.400 (below the threshold)"
    ] * 4
    assert all(dict(card.facts)["before the second stage"] in ("0.300", "0.200") for card in cards)
    assert all(len(card.panels) == 3 for card in cards)


def test_lungs_are_shown_with_litres_and_doubts(sections, luna_study):
    figures = of_kind(sections["Scans and lungs"], Figure)
    assert len(figures) == 4
    assert all(figure.media == "image/jpeg" and figure.wide for figure in figures)
    assert all(" l of lung" in figure.caption for figure in figures)
    warned = [block.text for block in of_kind(sections["Scans and lungs"], Callout)]
    assert any(luna_study.cases[0].name in text for text in warned)
    table = of_kind(sections["Scans and lungs"], Table)[0]
    assert len(table.rows) == 4


def test_every_nodule_has_a_row_with_units(sections, luna_study):
    table = of_kind(sections["Nodules"], Table)[0]
    assert len(table.rows) == sum(len(case.marks) for case in luna_study.cases)
    for title in ("Diameter (mm)", "Volume (mm³)", "Mean (HU)", "To the wall (mm)", "x (mm)"):
        assert title in table.columns
    numeric = dict(zip(table.columns, table.numeric, strict=True))
    assert not numeric["Scan"]
    assert numeric["Volume (mm³)"]


def test_the_page_escapes_and_stays_small(sections):
    page = render("run", "", list(sections.values()))
    assert "<script>" in page.split("<main>")[1].split("</main>")[1]
    assert "looks odd <script>" not in page
    assert "looks odd &lt;script&gt;" in page
    assert len(page) < 4_000_000
    for line in page.splitlines():
        if "<img" in line and "dialog" not in line:
            assert 'alt=""' not in line, line[:200]


def test_names_from_files_are_text_never_markup(copied, luna_study):
    evil = "<img src=x onerror=alert(1)>"

    def rename(rows):
        return [{**row, "seriesuid": evil} for row in rows]

    edit(copied.evaluation / "nodules.csv", rename)
    edit(copied.evaluation / "candidates.csv", rename)
    edit(copied.evaluation / "cases.csv", lambda rows: [{**row, "case": evil} for row in rows])
    made = detection_sections(copied, luna_study)
    page = render("run", "", made)
    assert evil not in page
    assert "&lt;img src=x onerror" in page
    problems = [block for section in made for block in of_kind(section, Callout) if block.items]
    assert any("is no case of this study" in item for block in problems for item in block.items)


def test_scans_that_moved_leave_cards_without_pictures(detector_run, luna_study, tmp_path):
    lost = [replace(case, image=Source(tmp_path / "gone.mhd")) for case in luna_study.cases]
    made = detection_sections(detector_run, replace(luna_study, cases=tuple(lost)))
    cards = [card for section in made for block in of_kind(section, Gallery) for card in block.cards]
    assert cards
    assert not any(card.panels for card in cards)
    warned = [block for section in made for block in of_kind(section, Callout) if "No pictures" in block.text]
    assert any("gone.mhd" in item for block in warned for item in block.items)


def test_a_run_that_finds_nothing_says_so(copied, luna_study):
    edit(copied.evaluation / "nodules.csv", lambda rows: [{**row, "found": 0} for row in rows])
    edit(copied.evaluation / "candidates.csv", lambda rows: [])
    made = {section.title: section for section in detection_sections(copied, luna_study)}
    assert "No nodule was found" in of_kind(made["Nodules found"], Text)[0].text
    assert "no false positives" in of_kind(made["False positives"], Text)[0].text
    assert len(render("run", "", list(made.values()))) > 10_000


def test_an_operating_point_off_the_axis_is_told_at_its_true_rate(copied, luna_study):
    summary = copied.summary()
    summary["operating_point"] |= {"false_positives_a_scan": 0.0, "sensitivity": 0.25}
    (copied.evaluation / "summary.json").write_text(json.dumps(summary))
    scores = next(one for one in detection_sections(copied, luna_study) if one.title == "Scores")
    caption = of_kind(scores, Figure)[0].caption
    assert (
        "The operating point, sensitivity 0.250 at 0 false positives a scan, lies beyond the axis." in caption
    )
    assert "ring" not in caption


def test_a_study_without_nodules_is_still_reported(copied, luna_study):
    for name in ("nodules", "candidates"):
        edit(copied.evaluation / f"{name}.csv", lambda rows: [])
    summary = copied.summary()
    none = [None] * 7
    summary |= {"nodules": 0, "distance_mm": {"median": None, "p90": None}, "dice": None}
    summary["froc"] = {**summary["froc"], "sensitivity": none, "cpm": {"value": None, "interval": [None] * 2}}
    summary["froc"]["curve"] = {"false_positives": [0, 1], "sensitivity": [None, None]}
    summary["operating_point"] = {"threshold": 0.5, "false_positives_a_scan": 0.0, "sensitivity": None}
    (copied.evaluation / "summary.json").write_text(json.dumps(summary))
    page = render("run", "", detection_sections(copied, luna_study))
    shown = re.sub(r"<[^>]*>", " ", page.split("<main>")[1].split("</main>")[0])
    assert "No nodule is marked" in shown
    assert not re.search(r"\b(nan|None)\b", shown)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.unlink(), "nodules.csv"),
        (lambda path: path.write_text("a,b\n1,2\n"), "no column"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "nodules.csv"),
    ],
)
def test_damaged_tables_are_named(copied, luna_study, change, says):
    change(copied.evaluation / "nodules.csv")
    with pytest.raises(RunError, match=says):
        detection_sections(copied, luna_study)


def test_scans_that_the_initial_network_has_seen_are_told(copied, luna_study):
    (copied.folder / "manifest.json").write_text('{"init_seen": ["a"]}')
    (words,) = [
        block.text
        for section in detection_sections(copied, luna_study)
        for block in section.blocks
        if "LUNA16 counts" in getattr(block, "text", "")
    ]
    assert words.startswith(
        "The network that training began from (--init) may have learnt from 1 of the scored"
    )


def test_empty_cells_are_gaps(detector_run):
    detection = read_detection(detector_run)
    assert all(math.isnan(row["probability"]) for row in detection.missed)
    assert detection.threshold == 0.45
