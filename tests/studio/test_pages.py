"""What the pages say, without a browser."""

import pytest

pytest.importorskip("nicegui")

from hilum.studio import jobs
from hilum.studio.pages.results import _summary
from hilum.studio.pages.train import _progress


def test_names_from_files_are_shown_as_text():
    found = _summary({"<img src=x onerror=alert(1)>": [1.0, 2.0]})
    assert "<img" not in found
    assert "&lt;img src=x" in found


def test_why_a_training_died_is_told():
    _, words = _progress(jobs.Status("train", "stopped", error="MemoryError: 3 GB"))
    assert "MemoryError: 3 GB" in words
    assert "resumed below" in words
    assert "by itself" not in _progress(jobs.Status("train", "stopped"))[1]
