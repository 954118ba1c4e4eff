from pathlib import Path

import pytest
import torch

from hilum.errors import PlanError
from hilum.planning import device
from hilum.planning.device import check_device, find_device, free_memory_bytes, usable_cpus


@pytest.fixture
def limited(tmp_path, monkeypatch):
    """Makes a fake container: limited(limit, used) in bytes, either as text."""

    def make(limit, used, version=2):
        names = ("memory.max", "memory.current") if version == 2 else ("limit", "memory.usage_in_bytes")
        (tmp_path / names[0]).write_text(f"{limit}\n")
        (tmp_path / names[1]).write_text(f"{used}\n")
        monkeypatch.setattr(device, "_CGROUP", (tmp_path / names[0],))

    return make


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_limit_counts_what_is_used_already(limited, version):
    limited(3_000_000, 1_000_000, version)
    assert free_memory_bytes() == 2_000_000


def test_a_full_container_has_nothing_left(limited):
    limited(1_000_000, 2_000_000)
    assert free_memory_bytes() == 0


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_no_limit_leaves_what_the_machine_has(limited, limit):
    limited(limit, 0)
    assert free_memory_bytes() > 50_000_000


def test_the_file_cache_of_a_container_counts_as_free(limited, tmp_path):
    limited(3_000_000, 2_500_000)
    (tmp_path / "memory.stat").write_text("anon 700000\ninactive_file 1500000\nactive_file 300000\n")
    assert free_memory_bytes() == 2_000_000


@pytest.mark.parametrize(
    ("line", "place"),
    [("0::/job/task\n", "job/memory.max"), ("4:memory:/job/task\n", "memory/job/memory.limit_in_bytes")],
)
def test_limits_of_the_groups_around_count_too(tmp_path, monkeypatch, line, place):
    (tmp_path / "own").write_text(f"2:cpu:/x\n{line}")
    (tmp_path / "mount" / place).parent.mkdir(parents=True)
    (tmp_path / "mount" / place).write_text("5000000\n")
    monkeypatch.setattr(device, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(device, "_MOUNT", tmp_path / "mount")
    assert free_memory_bytes() == 5_000_000


def test_without_any_system_files_a_guess_is_made(monkeypatch):
    def refuse(self, *args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert free_memory_bytes() > 50_000_000


def test_the_processor_is_found():
    found = find_device("cpu")
    assert (found.kind, found.threads) == ("cpu", usable_cpus())
    assert found.memory_bytes > 0
    assert found.threads >= 1


def test_automatic_takes_the_processor_where_there_is_no_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device().kind == "cpu"
    with pytest.raises(PlanError, match="--device auto or cpu"):
        find_device("cuda")


def test_a_plan_for_a_card_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_device("cpu")
    with pytest.raises(PlanError, match="say --device cpu"):
        check_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_device("cuda")


def test_a_card_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (7, 8))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    found = find_device()
    assert (found.kind, found.name, found.memory_bytes, found.bf16) == ("cuda", "a card", 7, True)
    assert find_device("cpu").kind == "cpu"


def test_another_wish_lists_the_choices():
    with pytest.raises(PlanError, match="auto, cpu or cuda"):
        find_device("tpu")
