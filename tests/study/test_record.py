import dataclasses
import json
import math
from pathlib import Path

import pytest

from hilum.errors import RunError
from hilum.image.spacing import Spacing
from hilum.study.record import study_from_json, study_to_json
from hilum.study.study import Case, Encoding, Finding, Mark, MaskSource, Source, Study

ROOT = Path("/data/study")


@pytest.fixture
def study():
    colour = MaskSource((Source(ROOT / "m.png"),), Encoding("colour", colour=(255, 0, 0)))
    votes = MaskSource(
        (Source(ROOT / "r0.png"), Source(ROOT / "r1.png")), Encoding("index", 1, others=(2.0,)), 2
    )
    first = Case(
        "a",
        Source(ROOT / "train" / "a.png"),
        masks={"red": colour, "votes": votes},
        group="1",
        split="train",
        spacing=Spacing((0.5, 0.5), "um"),
        channels=(Source(ROOT / "train" / "a2.png"),),
    )
    second = Case("b", Source(Path("/else/b.npz"), "images", 3), labels={"x": 1.0, "y": 0.0}, group="2")
    third = Case("c", Source(ROOT / "c.mhd"), marks=(Mark((1.0, -2.0, 3.5), 4.0),), group="3")
    finding = Finding("note", "hello", ("a",))
    return Study(
        ROOT, "test", (first, second, third), ("red", "votes"), ("x", "y"), True, "by hand", (finding,)
    )


def test_round_trip(study):
    content = json.loads(json.dumps(study_to_json(study)))
    assert content["cases"][0]["image"] == ["train/a.png"]
    assert study_from_json(content) == study


def test_a_moved_study_is_found_at_its_new_root(study):
    moved = study_from_json(study_to_json(study), root=Path("/new"))
    assert moved.cases[0].image.path == Path("/new/train/a.png")
    assert moved.cases[1].image.path == Path("/else/b.npz")


def test_unknown_labels_survive(study):
    case = Case("n", Source(ROOT / "n.png"), labels={"x": math.nan})
    content = json.loads(json.dumps(study_to_json(Study(ROOT, "t", (case,)))))
    assert math.isnan(study_from_json(content).cases[0].labels["x"])


def broken(study):
    content = study_to_json(study)
    first = content["cases"][0]
    yield None
    yield []
    yield {**content, "version": 99}
    yield {**content, "cases": "many"}
    yield {**content, "cases": [{"name": "x"}]}
    yield {**content, "cases": [first, first]}
    yield {**content, "cases": [{**first, "image": ["../../etc/passwd"]}]}
    yield {**content, "cases": [{**first, "image": [3]}]}
    yield {**content, "cases": [{**first, "spacing": {"sizes": [-1, 1], "unit": "um"}}]}
    yield {
        **content,
        "cases": [{**first, "masks": {"t": {"sources": [], "encoding": {"kind": "evil"}, "votes": 1}}}],
    }
    yield {key: value for key, value in content.items() if key != "root"}


def test_anything_else_is_refused(study):
    for content in broken(study):
        with pytest.raises((RunError, ValueError)) as error:
            study_from_json(content)
        assert "HilumError" in {kind.__name__ for kind in type(error.value).__mro__}


def test_the_root_is_whole_so_that_a_run_is_found_from_any_folder(study):
    near = dataclasses.replace(study, root=Path("near"), cases=())
    assert study_to_json(near)["root"] == str(Path.cwd() / "near")
