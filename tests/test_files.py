import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import HilumError, RunError
from hilum.files import (
    read_json,
    read_rows,
    whole_file,
    with_values,
    write_bytes,
    write_json,
    write_rows,
    write_text,
)

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def names(folder):
    return [path.name for path in folder.iterdir()]


def write_half(path, error):
    with whole_file(path) as beside:
        beside.write_text("half")
        raise error


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "µ")
    assert path.read_text(encoding="utf-8") == "µ"
    write_bytes(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert names(path.parent) == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_beside(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError):
        write_half(path, ZeroDivisionError)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_interruption_leaves_nothing_half(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(KeyboardInterrupt):
        write_half(path, KeyboardInterrupt)
    assert names(tmp_path) == []


def test_the_name_beside_keeps_its_suffix_for_writers_that_look_at_it(tmp_path):
    with whole_file(tmp_path / "a.png") as beside:
        assert beside.suffix == ".png"
        beside.touch()


def test_a_folder_that_cannot_be_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(HilumError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HilumError, match="No space left"):
        write_text(tmp_path / "a.txt", "x")
    assert names(tmp_path) == []


@given(PLAIN)
def test_json_comes_back(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, {"content": content})
    assert read_json(path) == {"content": content}


def test_json_of_numbers_that_json_has_not(tmp_path):
    path = tmp_path / "a.json"
    content = {
        "a": np.float32(0.5),
        "b": float("nan"),
        "c": np.int64(3),
        "d": Path("x"),
        4: (1, np.bool_(True)),
    }
    write_json(path, content)
    assert read_json(path) == {"a": 0.5, "b": None, "c": 3, "d": "x", "4": [1, True]}
    assert "NaN" not in path.read_text()


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b"[" * 100_000])
def test_damaged_json_names_the_file(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"a\.json"):
        read_json(path)


def test_missing_or_huge_json_names_the_file(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        read_json(tmp_path / "none.json")
    (tmp_path / "a.json").write_text(json.dumps(list(range(1000))))
    with pytest.raises(RunError, match="larger than 100 bytes"):
        read_json(tmp_path / "a.json", limit_bytes=100)


def test_names_that_are_no_text_are_refused_before_anything_is_written(tmp_path):
    write_text(tmp_path / "a.json", "before")
    with pytest.raises(HilumError, match=r"a\.json: would hold .*caf.+udce9\.png.*rename"):
        write_json(tmp_path / "a.json", {"image": "caf\udce9.png"})
    assert (tmp_path / "a.json").read_text() == "before"
    write_text(tmp_path / "a.json", "\U0001fac1 µ")


def test_a_table_is_read_as_it_was_written(tmp_path):
    """Names that look like numbers stay names; a column of whole numbers stays one."""
    rows = [
        {"case": "001", "note": "a, b", "dice": 0.5, "pixels": 7, "correct": True, "word": "x"},
        {"case": "NA", "note": "", "dice": math.nan, "pixels": 0, "correct": False, "word": "1"},
    ]
    write_rows(tmp_path / "t.csv", rows)
    first, second = with_values(read_rows(tmp_path / "t.csv", ("case", "dice")), ("case", "note"))
    assert first == rows[0]
    assert math.isnan(second.pop("dice"))
    assert second == {key: value for key, value in rows[1].items() if key != "dice"}
    assert isinstance(first["pixels"], int)


def test_a_table_without_rows_has_none(tmp_path):
    write_rows(tmp_path / "t.csv", [])
    assert with_values(read_rows(tmp_path / "t.csv"), ()) == []


def test_a_table_that_is_no_table_of_a_run_says_how_to_make_it(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunError, match=r"t.csv: has no column case; make it again with: hilum evaluate RUN"):
        read_rows(tmp_path / "t.csv", ("a", "case"))
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("t.csv", "none.csv"):
        with pytest.raises(RunError, match=rf"{name}: cannot be read .*hilum evaluate RUN"):
            read_rows(tmp_path / name)
