"""Painting as the page does it, labels, nodules, uploads, tables: all ends in files that verbs read."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hilum.errors import HilumError
from hilum.image.image import Image
from hilum.image.spacing import Spacing
from hilum.studio import labels, nodules, tables, uploads
from hilum.studio.charts import box_options, curve_keys, curve_options
from hilum.studio.desk import open_desk
from hilum.studio.easel import StaleError
from hilum.studio.journal import Stroke, add, begin, digest, journal_path
from hilum.studio.rounds import case_scores
from hilum.studio.spans import spans_of
from hilum.studio.view import look
from hilum.study.masks import read_masks

SIZE = (40, 56)


@pytest.fixture
def folder(tmp_path, write, disc):
    mask = disc(SIZE, (20, 20), 10)
    return write(
        tmp_path / "s", {"images/a.png": 0, "images/b.png": 1, "images/c.png": 2, "masks/a.png": mask}
    )


def square(y, x, side=6):
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def on_disk(folder, name):
    return read_masks(look(folder).by_name[name], ["target"], SIZE)[0][0]


def test_a_studio_that_ends_hard_loses_no_stroke(folder, tmp_path, desk_of):
    desk = desk_of(folder)
    before = desk.easel.open("a", "target").mask.copy()
    desk.easel.stroke("a", "target", Stroke(spans_of(square(0, 0)), key="1"), 0)
    desk.easel.stroke("b", "target", Stroke(spans_of(square(9, 9)), key="2"), 0)
    assert (on_disk(folder, "a") == before).all(), "not saved yet"
    again = desk_of(folder)
    assert (on_disk(folder, "a") == before ^ square(0, 0)).all()
    assert (on_disk(folder, "b") == square(9, 9)).all()
    assert not list((folder / ".studio/journal").glob("*.jsonl"))
    assert (again.easel.open("b", "target").mask == square(9, 9)).all()


def test_a_stroke_sent_twice_is_done_once_and_one_on_an_old_state_is_refused(folder, desk_of):
    desk = desk_of(folder)
    assert desk.easel.stroke("b", "target", Stroke(spans_of(square(0, 0)), key="1"), 0) == 1
    assert desk.easel.stroke("b", "target", Stroke(spans_of(square(0, 0)), key="1"), 0) == 1
    with pytest.raises(StaleError):
        desk.easel.stroke("b", "target", Stroke(spans_of(square(0, 0)), key="2"), 0)
    assert (desk.easel.open("b", "target").mask == square(0, 0)).all()


def test_strokes_after_a_save_are_kept_too(folder, desk_of):
    desk = desk_of(folder)
    desk.easel.stroke("b", "target", Stroke(spans_of(square(0, 0)), key="1"), 0)
    desk.easel.save_all()
    desk.easel.stroke("b", "target", Stroke(spans_of(square(9, 9)), key="2"), 1)
    desk_of(folder)
    assert (on_disk(folder, "b") == square(0, 0) | square(9, 9)).all()


def test_a_mask_changed_by_another_program_wins_and_strokes_are_put_aside(folder, desk_of, write):
    desk = desk_of(folder)
    desk.easel.stroke("a", "target", Stroke(spans_of(square(0, 0)), key="1"), 0)
    write(folder, {"masks/a.png": square(30, 30)})
    desk_of(folder)
    assert (on_disk(folder, "a") == square(30, 30)).all()
    assert len(list((folder / ".studio/journal").glob("*.aside"))) == 1


def test_strokes_that_were_not_saved_are_found_by_their_image_and_not_by_its_name(tmp_path, write, desk_of):
    folder = write(tmp_path / "s", {"train/images/a.png": 0, "test/images/b.png": 1})
    desk = desk_of(folder)
    desk.targets.append("Nerve")
    desk.easel.stroke("a", "Nerve", Stroke(spans_of(square(9, 9)), key="1"), 0)
    write(folder, {"test/images/a.png": 2})
    assert set(desk_of(folder).view.by_name) == {"train/a", "test/a", "test/b"}
    assert (folder / "train/masks/Nerve/a.png").is_file()
    assert not list((folder / ".studio/journal").glob("*.jsonl"))


def test_strokes_of_an_earlier_version_are_taken_up(folder, desk_of):
    path = journal_path(folder, "b", "target")
    begin(path, "b", "target", digest(np.zeros(SIZE, bool)))
    add(path, Stroke(spans_of(square(9, 9)), key="1"))
    desk_of(folder)
    assert (on_disk(folder, "b") == square(9, 9)).all()
    assert not path.exists()


def test_strokes_on_an_image_that_is_gone_are_told_of(folder, desk_of, caplog):
    desk_of(folder).easel.stroke("b", "target", Stroke(spans_of(square(9, 9)), key="1"), 0)
    (folder / "images/b.png").unlink()
    desk_of(folder)
    (path,) = (folder / ".studio/journal").glob("*.jsonl")
    assert f"target of b: there is no such image now; its strokes stay in {path}" in caplog.text


def test_an_image_that_came_by_itself_is_seen(folder, desk_of, write):
    desk = desk_of(folder)
    write(folder, {"images/d.png": 3})
    desk.looked = -100.0
    assert desk.refresh(always=False)
    assert "d" in {case.image.path.stem for case in desk.view.cases}


def test_uploads_are_looked_at_before_they_are_taken(folder, desk_of, tmp_path):
    view = desk_of(folder).view
    good = (folder / "images/a.png").read_bytes()
    content = tmp_path / "content"
    content.write_bytes(good)
    assert uploads.add_image(view, "new.png", content) == folder / "images/new.png"
    for name, words in (
        ("new.png", "already"),
        ("../x.png", None),
        (".hid.png", "name"),
        ("a.txt", "image"),
        ("x.zip", "single"),
    ):
        if words:
            with pytest.raises(HilumError, match=words):
                uploads.add_image(view, name, content)
        else:
            assert uploads.add_image(view, name, content).parent == folder / "images"
    content.write_bytes(b"<html>")
    with pytest.raises(HilumError, match="whole image"):
        uploads.add_image(view, "page.png", content)
    assert not (folder / "images/page.png").exists()


def test_labels_of_class_folders_move_into_a_table(tmp_path, write, desk_of):
    folder = write(tmp_path / "s", {f"{kind}/{k}.png": k for kind in ("normal", "ill") for k in range(3)})
    desk = desk_of(folder)
    case = next(case for case in desk.view.cases if labels.label_of(case) == ("ill",))
    labels.give_label(desk.view, case, "normal")
    study = look(folder).study
    assert sum(case.labels["normal"] for case in study.cases) == 4
    labels.give_label(look(folder), look(folder).cases[0], "")
    assert sum(not labels.is_labelled(case) for case in look(folder).cases) == 1


def test_a_detectors_points_come_from_its_tables(tmp_path):
    from hilum.training.run import Run

    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "nodules.csv").write_text("seriesuid,probability\na,0.9\na,\nb,0.4\n")
    (folder / "candidates.csv").write_text(
        "seriesuid,probability,status\na,0.9,hit\na,0.7,false\nb,0.2,double\n"
    )
    (folder / "cases.csv").write_text("case\na\nb\n")
    assert labels.froc_rows(Run(tmp_path)) == ([0.9, 0.4], [0.7], 3, 2)


def test_mistakes_come_surest_first(tmp_path):
    from hilum.training.run import Run

    folder = tmp_path / "evaluation"
    folder.mkdir()
    rows = "a,ill,0.3,0.7,normal,False\nb,ill,0.1,0.9,normal,False\nc,ill,0.0,1.0,ill,True\nd,ill,0.2,0.8,,\n"
    (folder / "cases.csv").write_text("case,class,probability_normal,probability_ill,label,correct\n" + rows)
    assert [one.case for one in labels.mistakes(Run(tmp_path))] == ["b", "a"]
    assert labels.judged(Run(tmp_path), "ill") == [(0.7, 0), (0.9, 0), (1.0, 1)]
    assert case_scores(Run(tmp_path)).keys() == {"a", "b", "c"}, "d has no label that could be wrong"


def test_a_curve_is_drawn_on_what_thresholds_were_chosen_on(tmp_path):
    from hilum.training.run import Run

    folder = tmp_path / "evaluation"
    folder.mkdir()
    names = "case,class,probability_wet,probability_old,calibrated_wet,calibrated_old,called_wet,called_old,"
    rows = "a,wet|old,0.9,0.6,0.7,0.55,1,1,1,,wet|old?,True\nb,none,0.1,0.2,0.3,0.35,0,0,0,0,none,True\n"
    rows += "c,old,0.4,0.7,0.45,0.6,0,1,1,0,wet,False\n"
    (folder / "cases.csv").write_text(names + "label_wet,label_old,label,correct\n" + rows)
    assert labels.judged(Run(tmp_path), "wet") == [(0.7, 1), (0.3, 0), (0.45, 1)]
    assert labels.judged(Run(tmp_path), "old") == [(0.35, 0), (0.6, 0)], "what is not known counts nowhere"
    assert labels.mistakes(Run(tmp_path)) == [labels.Mistake("c", "wet", "old", 0.6)]


@pytest.mark.parametrize(
    ("point", "wet", "old"),
    [
        ({"threshold": [0.2, 0.7]}, 0.2, 0.7),
        ({"threshold": 0.4}, 0.4, 0.4),
        ({"rule": "highest probability"}, 0.5, 0.5),
        ({"threshold": None}, 0.5, 0.5),
    ],
)
def test_each_of_several_labels_has_its_own_threshold(point, wet, old):
    plan = SimpleNamespace(data=SimpleNamespace(outputs=("wet", "old")))
    run = SimpleNamespace(plan=plan, summary=lambda: {"auc": {}, "operating_point": point})
    assert [labels.threshold_of(run, name) for name in ("wet", "old")] == [wet, old]


@pytest.mark.parametrize(
    ("summary", "asked"),
    [
        ({"operating_point": {"threshold": [0.2, 0.7]}}, "old"),
        (
            {"operating_point": {"threshold": 0.4}, "positive": "old", "per_class": {"new": {}, "old": {}}},
            "old",
        ),
    ],
)
def test_the_page_of_results_opens_for_one_label_and_for_several(monkeypatch, summary, asked):
    from nicegui import ui

    from hilum.studio.pages import results

    plan = SimpleNamespace(data=SimpleNamespace(outputs=("wet", "old")))
    run = SimpleNamespace(plan=plan, summary=lambda: {"auc": {}, **summary})
    drawn = []
    monkeypatch.setattr(results, "judged", lambda run, name: [(0.9, 1), (0.1, 0)])
    monkeypatch.setattr(results, "OperatingCurve", lambda *given: drawn.append(given))
    with ui.card():
        results._decisions(SimpleNamespace(run=run))
    wanted = summary["operating_point"]["threshold"]
    assert drawn == [([0.9], [0.1], asked, wanted if isinstance(wanted, float) else wanted[1])]


def test_nodules_are_accepted_and_taken_back(folder, desk_of):
    view = desk_of(folder).view
    nodules.decide(view, "a", (1.5, -2.0, 3.0), 6.0, "accepted")
    nodules.decide(view, "a", (9.0, 9.0, 9.0), 4.0, "rejected")
    nodules.decide(view, "a", (1.5, -2.0, 3.0), 6.0, "rejected")
    assert [row["decision"] for row in nodules.read_decisions(folder)] == ["rejected", "rejected"]
    nodules.decide(view, "a", (9.0, 9.0, 9.0), 4.0, "")
    table = pd.read_csv(folder / nodules.DECISIONS)
    assert table[["coordX", "coordY", "coordZ", "diameter_mm"]].to_numpy().tolist() == [[1.5, -2.0, 3.0, 6.0]]
    with pytest.raises(HilumError, match="accepted"):
        nodules.decide(view, "a", (0, 0, 0), 1, "maybe")
    assert look(folder).study.layout == view.study.layout


def test_painted_masks_are_measured(folder, desk_of, tmp_path):
    rows = tables.measured(desk_of(folder).view, tmp_path / "painted")
    assert rows[0]["area"] == pytest.approx(rows[0]["pixels"] * 0.25)
    assert rows[0]["unit"] == "µm²"
    assert len(pd.read_excel(tmp_path / "painted/measurements.xlsx")) == 1


def test_tables_are_filtered_and_grouped():
    rows = [{"case": f"c{k}", "group": "ab"[k % 2], "area": float(k), "unit": "mm²"} for k in range(6)]
    assert tables.columns_of(rows) == (["case", "group"], ["area"])
    found = tables.grouped(tables.filtered(rows, "b"), "group", "area")
    assert found == {"b": [1.0, 3.0, 5.0]}
    assert tables.summed_up(found)[0]["mean"] == 3
    assert box_options(found, "area")["series"][0]["data"] == [[1.0, 2.0, 3.0, 4.0, 5.0]]


def test_curves_are_drawn_from_what_a_training_tells():
    rows = {
        "fold 0": [
            (1.0, {"loss": 1.0, "dice_Nerve": 0.5, "lr": 0.1}),
            (2.0, {"loss": 0.5, "dice_Nerve": 0.6}),
        ]
    }
    assert curve_keys(rows) == ["dice_Nerve", "loss"]
    assert curve_options(rows, "loss")["series"][0]["data"] == [[1.0, 1.0], [2.0, 0.5]]
    json.dumps(curve_options(rows, "loss"))


def test_a_folder_without_any_image_is_no_study(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s/notes.txt").write_text("x")
    with pytest.raises(HilumError, match="s"):
        open_desk(tmp_path / "s", tmp_path / "runs")


def test_the_page_never_names_a_path(folder, desk_of, tmp_path):
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from hilum.studio.api import make_router

    pytest.importorskip("httpx")
    app = FastAPI()
    app.include_router(make_router(desk_of(folder)))
    client = TestClient(app)
    for path in (
        "/api/case?case=../../etc/passwd",
        "/api/tile?case=/etc/passwd&level=0&row=0&column=0",
        "/api/mask?case=a&target=../x",
        "/api/table?run=../s&name=cases.csv",
        "/api/table?run=round-1&name=../plan.yaml",
        "/api/report?run=..",
        "/api/region?case=a&target=target&y=1&x=1",
    ):
        answer = client.get(path)
        assert answer.status_code == 422, path
        assert "error" in answer.json()
    assert client.get("/api/case?case=a").json()["shape"] == [40, 56]
    assert client.post("/api/stroke?case=a&target=target&version=0&key=k", content=b"123").status_code == 422
    assert (
        client.post("/api/stroke?case=a&target=target&version=7&key=k", content=bytes(8)).status_code == 422
    )


def test_images_of_one_channel_and_16_bits_are_described(tmp_path, desk_of):
    from hilum.image.writers import write_image

    array = np.arange(40 * 56, dtype=np.uint16).reshape(1, 40, 56) * 20
    write_image(tmp_path / "s/images/a.png", Image(array, Spacing((0.2, 0.2), "mm")))
    from hilum.studio.api import describe

    found = describe(desk_of(tmp_path / "s"), "a")
    assert found["spacing"] == [0.2, 0.2]
    assert found["window"][0] < found["window"][1] <= 44_780


def test_outlines_go_out_as_geojson_and_come_back(folder, desk_of, disc):
    from hilum.studio.drawn import exported, imported

    desk = desk_of(folder)
    content = exported(desk, "a")
    assert imported(desk, "b", content) == {"target": int(disc(SIZE, (20, 20), 10).sum())}
    assert (on_disk(folder, "b") == disc(SIZE, (20, 20), 10)).all()
    assert imported(desk, "b", content) == {"target": 0}
    for bad in (
        b"",
        b"{",
        b"[1]",
        b'{"features": [{"geometry": {"type": "Polygon", "coordinates": [[[0]]]}}]}',
    ):
        with pytest.raises(HilumError):
            imported(desk, "b", bad)
    with pytest.raises(HilumError, match="no mask"):
        exported(desk, "c")
