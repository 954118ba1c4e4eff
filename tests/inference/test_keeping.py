import numpy as np
import pytest

from hilum.errors import RunError
from hilum.inference.keeping import keep, kept


def test_maps_are_kept_as_bytes_and_labels_in_full(tmp_path):
    keep(tmp_path, "a", np.full((2, 3, 4), 0.5, np.float32))
    keep(tmp_path, "b", np.array([0.123456, 0.9], np.float32))
    assert kept(tmp_path, "a").dtype == np.uint8
    assert (kept(tmp_path, "a") == 128).all()
    assert kept(tmp_path, "b").tolist() == np.array([0.123456, 0.9], np.float32).tolist()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04nonsense", b"hello"])
def test_damaged_maps_say_how_to_go_on(tmp_path, damage):
    with pytest.raises(RunError, match="--resume"):
        kept(tmp_path, "a")
    (tmp_path / "a.npz").write_bytes(damage)
    with pytest.raises(RunError, match="--resume"):
        kept(tmp_path, "a")


def test_a_pickle_in_its_place_is_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", probability=np.array([{"a": 1}], dtype=object))
    with pytest.raises(RunError):
        kept(tmp_path, "a")
