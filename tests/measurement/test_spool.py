import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import HilumError
from hilum.measurement import spool as module
from hilum.measurement.spool import Spool, chunked, columns_of
from hilum.measurement.table import write_tables

VALUES = st.one_of(
    st.integers(-(10**12), 10**12), st.floats(allow_nan=False), st.text(max_size=8), st.booleans(), st.none()
)
ROWS = st.lists(st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4), max_size=12)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(1, 5), st.integers(0, 200))
def test_rows_come_back_as_they_were_in_memory_and_on_disk(rows, size, room):
    before = module.IN_MEMORY_BYTES
    module.IN_MEMORY_BYTES = room
    try:
        spool = Spool(rows[:3])
        spool.extend(rows[3:])
    finally:
        module.IN_MEMORY_BYTES = before
    assert list(spool) == rows
    assert len(spool) == len(rows)
    assert spool.columns == columns_of(rows)
    assert [row for part in chunked(spool, size) for row in part] == rows
    assert all(row in spool for row in rows)


def test_numbers_of_numpy_and_nan_are_kept():
    (row,) = Spool([{"n": np.int64(3), "x": np.float32(0.5), "b": np.bool_(True), "missing": math.nan}])
    assert (row["n"], row["x"], row["b"]) == (3, 0.5, True)
    assert math.isnan(row["missing"])
    with pytest.raises(TypeError, match="table"):
        Spool([{"x": object()}])


def test_tables_of_many_rows_are_the_same_in_parts(tmp_path, monkeypatch):
    rows = [{"case": f"c{n}", "pixels": n, **({"extra": n / 3} if n > 6 else {})} for n in range(9)]
    write_tables(rows, Spool(rows), tmp_path / "whole")
    monkeypatch.setattr("hilum.measurement.table.ROWS_AT_ONCE", 2)
    write_tables(rows, Spool(rows), tmp_path / "parts")
    for name in ("measurements.csv", "regions.csv"):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "parts" / name).read_text()
    sheets = [
        pd.read_excel(tmp_path / place / "measurements.xlsx", "Regions") for place in ("whole", "parts")
    ]
    pd.testing.assert_frame_equal(*sheets)
    assert len(sheets[0]) == 9


def test_memory_stays_when_rows_come():
    spool, row = Spool(), {"case": "a" * 500, "pixels": 1}
    spool.extend(row for _ in range(3000))
    tracemalloc.start()
    spool.extend(row for _ in range(20_000))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 200_000


def test_a_full_disk_is_told():
    class Full:
        def seek(self, *_):
            return 0

        def write(self, _):
            raise OSError(28, "No space left on device")

    spool = Spool()
    spool._file = Full()
    with pytest.raises(HilumError, match=r"no room for the rows.*TMPDIR"):
        spool.extend([{"a": 1}])
