import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.study import names


@pytest.mark.parametrize(
    ("file", "stem", "suffix"),
    [
        ("a/b.nii.gz", "b", ".nii.gz"),
        ("A.TIF", "A", ".tif"),
        ("s.ome.tiff", "s", ".ome.tiff"),
        ("no_suffix", "no_suffix", ""),
        ("1.3.6.1.4.mhd", "1.3.6.1.4", ".mhd"),
        ("ünï\ncode.png", "ünï\ncode", ".png"),
    ],
)
def test_stem_and_suffix(file, stem, suffix):
    assert names.stem(file) == stem
    assert names.suffix(file) == suffix


@pytest.mark.parametrize(
    ("mask", "image"),
    [
        ("1_1_mask", "1_1"),
        ("x_mask_2", "x"),
        ("x_mask-2", "x"),
        ("003_HC_Annotation", "003"),
        ("a_seg", "a"),
        ("a-label", "a"),
        ("a_Segmentation", "a"),
        ("benign (1)_mask_1", "benign (1)"),
        ("mask_1", None),
        ("damask", None),
        ("plain", None),
    ],
)
def test_mask_suffixes(mask, image):
    assert names.without_mask_suffix(mask) == image


def test_unique_names_take_as_few_parts_as_needed():
    assert names.unique_names([("train", "1_1"), ("train", "1_2")]) == ["1_1", "1_2"]
    assert names.unique_names([("test", "N", "1"), ("val", "N", "1")]) == ["test/N/1", "val/N/1"]
    assert names.unique_names([("a",), ("a",)]) == ["a", "a (2)"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(max_size=4), min_size=1, max_size=3).map(tuple), max_size=8))
def test_names_are_always_unique_and_printable(keys):
    made = names.unique_names(keys)
    assert len(set(made)) == len(keys)
    assert all("\n" not in name and "\0" not in name for name in made)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=6)))
def test_natural_order_accepts_any_text(texts):
    ordered = sorted(texts, key=names.natural)
    assert all(names.natural(a) <= names.natural(b) for a, b in itertools.pairwise(ordered))
