import shutil

import pytest

from hilum.errors import TrainingError
from hilum.planning.plan import Plan
from hilum.training.space import SLACK_BYTES, check_space, existing, needed_bytes, smaller_images


def test_more_of_anything_needs_more():
    base = needed_bytes(1_000_000, 4, 1000, 1000)
    assert base > 4 * 4_000_000 + SLACK_BYTES
    assert needed_bytes(2_000_000, 4, 1000, 1000) > base
    assert needed_bytes(1_000_000, 5, 1000, 1000) == base + 4_000_000
    assert needed_bytes(1_000_000, 4, 2000, 1000) == base + 1000


def test_a_disk_without_room_is_told_before_anything(tmp_path, monkeypatch):
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 5, 5_000_000)
    )
    with pytest.raises(TrainingError, match=r"needs up to 6 MB and its disk has 5 MB left.*--out"):
        check_space(tmp_path / "run", 6_000_000)
    check_space(tmp_path / "run", 4_000_000)


def test_the_disk_is_that_of_the_nearest_folder_above(tmp_path):
    assert existing(tmp_path / "a" / "b" / "c") == tmp_path


def test_smaller_images_are_shrunk_or_of_half_the_size():
    plan = Plan()
    plan.data.downsample = 2
    assert smaller_images(plan) == "--set data.downsample=4"
    plan.data.size = [300, 20]
    assert smaller_images(plan) == "--set data.size=[128,20] --set training.patch=[128,20]"
