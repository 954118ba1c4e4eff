import dataclasses
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from hilum.planning.plan import Plan
from hilum.study.open import open_study
from hilum.training import gather
from hilum.training.cache import digest_of, read_cache, size_of, worth_keeping, write_cache
from hilum.training.gather import gather_kept, gather_samples
from hilum.training.samples import labelled_sample


@pytest.fixture
def study(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(5):
        mask = np.zeros((24, 20), np.uint8)
        mask[4 : 10 + index, 6:12] = 255
        for folder, pixels in (("images", rng.integers(0, 255, (24, 20), np.uint8)), ("masks", mask)):
            path = tmp_path / "study" / folder / f"{index}_1.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(pixels).save(path)
    return open_study(tmp_path / "study")


@pytest.fixture
def plan(study):
    made = Plan()
    made.data.channels, made.data.outputs, made.data.downsample = 1, list(study.targets), 2
    made.data.normalise = "image"
    return made


def same(first, second):
    assert list(first) == list(second)
    for name in first:
        assert len(first[name]) == len(second[name])
        for a, b in zip(first[name], second[name], strict=True):
            assert torch.equal(a.stack, b.stack)
            assert torch.equal(a.known, b.known)
            assert (a.name, a.channels, a.weight) == (b.name, b.channels, b.weight)
            assert a.neighbours == b.neighbours
            assert (a.label is None) == (b.label is None)
            assert a.label is None or torch.equal(a.label, b.label)
            assert all(np.array_equal(x, y) for x, y in zip(a.centres, b.centres, strict=True))


def test_what_is_kept_comes_back_bit_by_bit(study, plan, tmp_path):
    samples = gather_samples(study.cases, plan)
    digest = digest_of(study.cases, plan)
    write_cache(tmp_path / "cache", samples, digest)
    found = read_cache(tmp_path / "cache", digest)
    same(samples, found)
    assert size_of(samples) == 5 * 2 * 12 * 10 * 4
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["samples.json", "samples.npy"]


def test_labels_and_weights_come_back(tmp_path):
    sample = labelled_sample("a", torch.rand(1, 3, 4), torch.tensor([1.0, 0.0]), torch.ones(2), 0.5)
    sample = dataclasses.replace(sample, neighbours=2)
    write_cache(tmp_path, {"a": (sample,), "b": ()}, "x")
    same({"a": (sample,), "b": ()}, read_cache(tmp_path, "x"))


def test_the_digest_follows_files_and_data_plan(study, plan):
    before = digest_of(study.cases, plan)
    assert digest_of(study.cases, plan) == before
    other = plan.model_copy(deep=True)
    other.training.batch = 17
    assert digest_of(study.cases, other) == before
    other.data.downsample = 1
    assert digest_of(study.cases, other) != before
    assert digest_of(study.cases[1:], plan) != before
    moved = dataclasses.replace(study.cases[0], masks={})
    assert digest_of((moved, *study.cases[1:]), plan) != before
    path = study.cases[0].image.path
    os.utime(path, ns=(1, 1))
    assert digest_of(study.cases, plan) != before


def test_a_changed_mask_is_read_again(study, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(gather, "worth_keeping", lambda *_: "always")
    first = gather_kept(study.cases, plan, tmp_path / "cache")
    mask = next(iter(study.cases[0].masks.values())).sources[0].path
    Pillow.fromarray(np.full((24, 20), 255, np.uint8)).save(mask)
    second = gather_kept(study.cases, plan, tmp_path / "cache")
    name = study.cases[0].name
    assert float(second[name][0].stack[1].mean()) == 1
    assert not torch.equal(first[name][0].stack, second[name][0].stack)
    same(second, read_cache(tmp_path / "cache", digest_of(study.cases, plan)))


def test_a_cache_that_fits_is_used_without_decoding(study, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(gather, "worth_keeping", lambda *_: "always")
    first = gather_kept(study.cases, plan, tmp_path / "cache")
    monkeypatch.setattr(gather, "gather_samples", lambda *_: pytest.fail("images were read again"))
    same(first, gather_kept(study.cases, plan, tmp_path / "cache"))


def test_writing_to_a_sample_does_not_reach_the_file(study, plan, tmp_path):
    write_cache(tmp_path, gather_samples(study.cases, plan), "x")
    read_cache(tmp_path, "x")[study.cases[0].name][0].stack.zero_()
    assert float(read_cache(tmp_path, "x")[study.cases[0].name][0].stack.abs().sum()) > 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("samples.json", b"{"),
        ("samples.json", b'{"version": 3, "fingerprint": "x"}'),
        ("samples.npy", b""),
        ("samples.npy", b"\x93NUMPY\x01\x00rubbish"),
    ],
)
def test_a_damaged_cache_is_not_used(study, plan, tmp_path, caplog, name, content):
    write_cache(tmp_path, gather_samples(study.cases, plan), "x")
    (tmp_path / name).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_cache(tmp_path, "x") is None
    assert "read again" in caplog.text


def test_arrays_of_another_length_or_type_are_not_used(study, plan, tmp_path):
    write_cache(tmp_path, gather_samples(study.cases, plan), "x")
    np.save(tmp_path / "samples.npy", np.zeros(7, np.float32))
    assert read_cache(tmp_path, "x") is None
    np.save(tmp_path / "samples.npy", np.array([{}], object), allow_pickle=True)
    assert read_cache(tmp_path, "x") is None
    shutil.rmtree(tmp_path)
    assert read_cache(tmp_path, "x") is None


def test_it_pays_for_many_cases_or_slow_ones(tmp_path):
    assert "more than 200" in worth_keeping(201, 0.1, 1000, tmp_path / "run" / "cache")
    assert "12 s" in worth_keeping(20, 12.0, 1000, tmp_path)
    assert worth_keeping(14, 1.0, 1000, tmp_path) == ""
    assert worth_keeping(1000, 100.0, 10**18, Path(tmp_path)) == ""
