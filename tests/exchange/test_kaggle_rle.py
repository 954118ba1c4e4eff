import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hilum.errors import HilumError, PlanError
from hilum.exchange.kaggle_rle import (
    KaggleRle,
    masks_of,
    read_submission,
    score_submission,
    start,
    write_submission,
)
from hilum.image.runlength import encode
from hilum.planning.plan import Plan
from hilum.study.names import natural
from hilum.study.study import Case, Source


def case(tmp_path, name):
    return Case(name, Source(tmp_path / f"{name}.tif"))


def plan(outputs=("nerve",), task="segment"):
    made = Plan(task=task)
    made.data.outputs = list(outputs)
    return made


def test_rows_are_column_major_one_based_and_in_numeric_order(tmp_path):
    mask = np.zeros((3, 4), bool)
    mask[1:, 0] = True
    mask[0, 1] = True  # touches the run above it in column order
    submission = start(plan())
    submission.add(case(tmp_path, "10"), {"nerve": mask})
    submission.add(case(tmp_path, "2"), {"nerve": np.zeros((3, 4), bool)})
    submission.add(case(tmp_path, "1"), {"nerve": ~mask})
    path = submission.write(tmp_path / "out")
    assert path.name == "submission.csv"
    assert path.read_text() == "img,pixels\n1,1 1 5 8\n2,\n10,2 3\n"


def test_names_with_commas_and_dots_come_back(tmp_path):
    paths = [tmp_path / name for name in ("a,b.tif", "s.1.png", "s.2.png", "scan.1", 'q"1".png')]
    cases = [Case(path.name, Source(path)) for path in paths]
    submission = start(plan())
    submission.check(cases)
    for one in cases:
        submission.add(one, {"nerve": np.ones((3, 4), bool)})
    found = read_submission(submission.write(tmp_path / "out"))
    assert found == dict.fromkeys(sorted(submission.rows, key=natural), "1 12")
    assert set(found) == {"a,b", "s.1", "s.2", "scan.1", 'q"1"'}


def test_images_of_one_name_are_refused(tmp_path):
    submission = KaggleRle()
    submission.add(case(tmp_path, "1"), {"nerve": np.zeros((3, 4), bool)})
    with pytest.raises(HilumError, match="twice"):
        submission.add(case(tmp_path / "other", "1"), {"nerve": np.zeros((3, 4), bool)})


def test_images_of_one_name_are_listed_before_any_work(tmp_path):
    cases = [case(tmp_path, "1"), case(tmp_path, "2"), case(tmp_path / "other", "1"), case(tmp_path, "3")]
    with pytest.raises(HilumError, match=r"1 of these names .*1: .*1\.tif, .*other.*1\.tif") as caught:
        start(plan()).check(cases)
    assert "2.tif" not in str(caught.value)
    stack = [Case(f"s_{at}", Source(tmp_path / "s.npz", None, at)) for at in range(7)]
    with pytest.raises(HilumError, match="and 2 more"):
        start(plan()).check(stack)


def test_volumes_are_refused_before_any_work(tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros((6, 8), np.uint8))
    np.save(tmp_path / "deep.npy", np.zeros((12, 6, 8), np.uint8))
    flat, deep = (Case(name, Source(tmp_path / f"{name}.npy")) for name in ("flat", "deep"))
    submission = start(plan())
    submission.check([flat, case(tmp_path, "not there")])
    with pytest.raises(HilumError, match=r"1 of the images are volumes \(.*deep\.npy\)"):
        submission.check([flat, deep])


def test_a_run_of_two_targets_is_refused():
    with pytest.raises(PlanError, match=r"data\.outputs"):
        start(plan(("nerve", "vessel")))
    with pytest.raises(PlanError, match="classify"):
        start(plan(task="classify"))


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.integers(0, 5000), arrays(bool, (7, 5)), min_size=1, max_size=6))
def test_a_submission_gives_its_masks_back(tmp_path_factory, masks):
    path = tmp_path_factory.mktemp("rle") / "submission.csv"
    write_submission(path, {str(number): encode(mask) for number, mask in masks.items()})
    found = dict(masks_of(path, (7, 5)))
    assert list(found) == [str(number) for number in sorted(masks)]
    assert all(np.array_equal(found[str(number)], mask) for number, mask in masks.items())


def test_a_path_may_be_text(tmp_path, disc):
    path = write_submission(tmp_path / "submission.csv", {"1": encode(disc())})
    assert np.array_equal(dict(masks_of(str(path), disc().shape))["1"], disc())


@pytest.mark.parametrize(
    "text",
    [
        "img,pixels\n1,1 2\n2,\n",
        '\ufeff"img","pixels"\r\n"1","1 2"\r\n"2",""\r\n',
        "ImageId , EncodedPixels\n test/1.tif , 1 2 \n\n2.tif,\n",
        "pixels,img\n1 2,1\nnan,2\n",
        "1,1 2\n2,\n",
    ],
)
def test_files_of_other_people_are_read(tmp_path, text):
    path = tmp_path / "other.csv"
    path.write_text(text, encoding="utf-8")
    assert read_submission(path) == {"1": "1 2", "2": ""}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("a,b\n1,1 2\n", "img,pixels"),
        ("img,pixels\n1,\n1,\n", "twice"),
        ("img,pixels\n,1 2\n", "no image"),
    ],
)
def test_damaged_files_are_named(tmp_path, text, words):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(HilumError, match=words) as caught:
        read_submission(path)
    assert "bad.csv" in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(HilumError, match=r"none\.csv"):
        read_submission(tmp_path / "none.csv")
    (tmp_path / "image.csv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(HilumError, match="is not text in UTF-8"):
        read_submission(tmp_path / "image.csv")


def test_run_lengths_outside_the_image_name_it(tmp_path):
    path = write_submission(tmp_path / "s.csv", {"7": "1 13"})
    with pytest.raises(HilumError, match="image 7"):
        dict(masks_of(path, (3, 4)))


def test_long_rows_are_read(tmp_path):
    mask = np.zeros((420, 580), bool)
    mask[::2] = True
    path = write_submission(tmp_path / "s.csv", {"1": encode(mask)})
    assert path.stat().st_size > 200_000
    assert np.array_equal(dict(masks_of(path))["1"], mask)


def test_the_score_counts_rightly_empty_images_fully(tmp_path, disc):
    """Worked by hand: 1 (both empty), 0 (wrongly empty), 0 (wrongly not), 2/3 (half of it found)."""
    truth = np.zeros((4, 4), bool)
    truth[:2] = True
    half = np.zeros((4, 4), bool)
    half[0] = True
    solution = write_submission(
        tmp_path / "a.csv", {"1": "", "2": encode(truth), "3": "", "4": encode(truth)}
    )
    given_ = write_submission(tmp_path / "b.csv", {"1": "", "2": "", "3": encode(half), "4": encode(half)})
    score = score_submission(given_, solution, (4, 4))
    assert score.dice == pytest.approx({"1": 1, "2": 0, "3": 0, "4": 2 / 3})
    assert score.mean == pytest.approx((1 + 2 / 3) / 4)
    assert score.present == pytest.approx(1 / 3)
    assert score.absent == pytest.approx(0.5)


def test_missing_and_unknown_images_are_listed(tmp_path):
    solution = write_submission(tmp_path / "a.csv", {"1": "", "2": ""})
    given_ = write_submission(tmp_path / "b.csv", {"1": "", "3": ""})
    with pytest.raises(HilumError, match=r"1 images missing \(2\) and 1 not in the solution \(3\)"):
        score_submission(given_, solution)
