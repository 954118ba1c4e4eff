import math

import pytest

from hilum.reporting.blocks import Callout, Card, Facts, Figure, Gallery, Legend, Table, Text
from hilum.reporting.page import render
from hilum.reporting.sections import (
    curves_section,
    environment_section,
    gallery_section,
    measurements_section,
    plan_section,
    study_section,
    thinned,
)
from hilum.study.study import Finding


def of(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_study_shows_facts_targets_and_findings_worst_first():
    section = study_section(
        {
            "name": "lung",
            "cases": 14,
            "targets": [{"target": "Parenchyma", "pixels": 812345}],
            "findings": [
                "note: all RGB",
                Finding("error", "sizes differ", ("a", "b")),
                {"severity": "warning", "message": "x"},
            ],
        }
    )
    assert ("Cases", "14") in of(section, Facts)[0].rows
    assert of(section, Table)[0].rows == (("Parenchyma", 812345),)
    assert [callout.severity for callout in of(section, Callout)] == ["error", "warning", "note"]
    assert of(section, Callout)[0].items == ("a", "b")


def test_long_lists_of_cases_are_cut():
    finding = Finding("warning", "duplicates", tuple(map(str, range(50))))
    (callout,) = of(study_section({"findings": [finding]}), Callout)
    assert len(callout.items) == 21
    assert callout.items[-1] == "and 30 more"


def test_plan_has_one_table_a_group_and_exact_values():
    section = plan_section(
        [("data.factor", 2, "why"), ("training.lr", 0.0003, ""), ("training.steps", 12000, "time")]
    )
    tables = of(section, Table)
    assert [table.caption for table in tables] == ["Data", "Training"]
    assert tables[1].rows == (("lr", "0.0003", ""), ("steps", "12000", "time"))


def test_curves_draw_each_column_once_and_say_what_it_cost():
    rows = [{"step": "10", "seconds": "61.0", "loss": "0.5", "lr": "0.1", "dice_Liver": "", "empty": ""}]
    rows += [
        {"step": "20", "seconds": "125.0", "loss": "0.4", "lr": "0.05", "dice_Liver": "0.9", "empty": ""}
    ]
    section = curves_section({"fold 0": rows, "fold 1": []})
    assert [figure.title for figure in of(section, Figure)] == [
        "Training loss",
        "Dice, Liver",
        "Learning rate",
    ]
    assert of(section, Table)[0].rows == (("fold 0", "20", "2 min 5 s"),)


@pytest.mark.parametrize("folds", [{}, {"fold 0": []}])
def test_no_history_is_said(folds):
    assert "no training history" in of(curves_section(folds), Callout)[0].text


def test_gallery_goes_from_worst_to_best_with_unknown_last():
    cards = [
        Card("good", (), score=0.9),
        Card("none", ()),
        Card("nan", (), score=math.nan),
        Card("bad", (), score=0.1),
    ]
    section = gallery_section(cards, ["Liver"])
    assert [card.title for card in of(section, Gallery)[0].cards][:2] == ["bad", "good"]
    assert len(of(section, Legend)) == 2


def test_large_galleries_keep_the_worst_and_the_best():
    cards = [Card(str(place), (), score=place / 100) for place in range(100)]
    section = gallery_section(cards, limit=20)
    shown = [int(card.title) for card in of(section, Gallery)[0].cards]
    assert len(shown) == len(set(shown)) == 20
    assert shown == sorted(shown)
    assert shown[:10] == list(range(10))
    assert shown[-1] == 99
    assert "20 of 100" in of(section, Text)[0].text
    again = gallery_section(thinned(cards, 20), limit=20, of=len(cards))
    assert of(again, Gallery) == of(section, Gallery)
    assert "20 of 100" in of(again, Text)[0].text


def test_measurements_are_cut_and_say_where_the_rest_is():
    section = measurements_section([{"image": str(place), "area_um2": 1.5} for place in range(250)])
    assert len(of(section, Table)[0].rows) == 200
    assert of(section, Table)[0].columns == ("Image", "Area (µm²)")
    assert "250" in of(section, Text)[0].text
    assert "measurements.csv" in of(section, Text)[0].text
    assert "Nothing was measured" in of(measurements_section([]), Text)[0].text


def test_rows_with_different_columns_have_gaps():
    table = of(measurements_section([{"a": 1}, {"b": 2}]), Table)[0]
    assert table.rows == ((1, None), (None, 2))


def test_environment_flattens_what_is_small_and_tabulates_what_is_long():
    manifest = {
        "command": ["hilum", "train", "x"],
        "seconds": 61.0,
        "seed": 0,
        "machine": {"cores": 2},
        "inputs": {f"{place}.png": "0" * 64 for place in range(100)},
    }
    section = environment_section(manifest)
    facts = dict(of(section, Facts)[0].rows)
    assert facts == {"Command": "hilum train x", "Seconds": "1 min 1 s", "Seed": "0", "Machine: cores": "2"}
    assert len(of(section, Table)[0].rows) == 60
    assert "100" in of(section, Table)[0].note


def test_sections_of_nothing_render():
    sections = [study_section({}), plan_section([]), gallery_section([]), environment_section({})]
    assert "Nothing to show." in render("run", "", sections)
