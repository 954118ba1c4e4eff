"""Keras' HDF5 files, read in a process of their own: the HDF5 library may hang or crash on a damaged file."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.files import NUMPY_HEADER

LIMIT_S = 120.0
_LIMIT_NAMES = 10_000
_LIMIT_BYTES = 512_000_000
_DAMAGED = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    OverflowError,
    MemoryError,
)


class KerasLayer(NamedTuple):
    """A layer of the file: its name and its arrays by their Keras name ("kernel", "gamma", ...)."""

    name: str
    arrays: dict[str, NDArray[np.float32]]


class KerasFile(NamedTuple):
    """Layers with weights in their order, and the backend that wrote them ("tensorflow", "theano", "")."""

    backend: str
    layers: tuple[KerasLayer, ...]


def read_keras_file(path: Path) -> KerasFile:
    """Read the weights that Keras 2 saved as HDF5, alone or inside a whole model.

    A model inside the model gives its own layers. Links to other files are refused. Raises HilumError where
    h5py is missing, the file is missing, is no such file, is damaged or holds more than any network of ours.
    """
    if importlib.util.find_spec("h5py") is None:
        raise HilumError("reading Keras weights needs h5py: pip install 'hilum[keras]'")
    if not path.exists():
        raise HilumError(f"{path}: there is no such file")
    with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
        _read_apart(path, Path(folder))
        listed = json.loads((Path(folder) / "layers.json").read_text(encoding="utf-8"))
        if "error" in listed:
            raise HilumError(f"{path}: {listed['error']}")
        with NUMPY_HEADER, np.load(Path(folder) / "arrays.npz", allow_pickle=False) as arrays:
            layers = tuple(
                KerasLayer(name, {key: arrays[f"{index}.{key}"] for key in keys})
                for index, (name, keys) in enumerate(listed["layers"])
            )
    return KerasFile(listed["backend"], layers)


def _read_apart(path: Path, folder: Path) -> None:
    command = [sys.executable, "-P", "-m", __name__, str(path.absolute()), str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        code = subprocess.run(command, env=environment, timeout=LIMIT_S, capture_output=True).returncode
    except subprocess.TimeoutExpired as error:
        raise HilumError(f"{path}: is damaged: reading it did not end within {LIMIT_S:g} seconds") from error
    if code != 0:
        raise HilumError(f"{path}: is damaged: the HDF5 library broke down on it (exit code {code})")


def _unpack(path: Path, folder: Path) -> None:
    """In the process apart: write the file's layers, or what is wrong with it, into `folder`."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = _member(file, "model_weights", h5py) if "model_weights" in file else file
            backend = _text(_attribute(root, "backend")) if "backend" in root.attrs else ""
            layers = list(_layers(root, h5py))
    except HilumError as error:
        listed: dict[str, Any] = {"error": str(error)}
    except _DAMAGED as error:
        listed = {"error": f"is not a Keras HDF5 file, or is damaged ({error})"}
    else:
        listed = {"backend": backend, "layers": [[layer.name, list(layer.arrays)] for layer in layers]}
        arrays = {
            f"{i}.{key}": array for i, layer in enumerate(layers) for key, array in layer.arrays.items()
        }
        with (folder / "arrays.npz").open("wb") as handle:
            np.savez(handle, **arrays)  # type: ignore[arg-type]
    (folder / "layers.json").write_text(json.dumps(listed), encoding="utf-8")


def _layers(root: Any, h5py: Any) -> Iterator[KerasLayer]:
    if "layer_names" not in root.attrs and "layer_names0" not in root.attrs:
        raise HilumError(
            "has no layer_names, so it is no Keras 2 weights file; load a file of Keras 3 or a checkpoint in "
            "Keras and save it by model.save('model.h5')"
        )
    left = _LIMIT_BYTES
    for layer in _names(root, "layer_names"):
        group = _member(root, layer, h5py)
        owners: dict[str, dict[str, NDArray[np.float32]]] = {}
        for weight in _names(group, "weight_names"):
            owner, _, key = weight.rpartition("/")
            array = _array(_member(group, weight, h5py), left, f"layer {layer}, {weight}")
            left -= array.nbytes
            owners.setdefault(owner, {})[key.partition(":")[0]] = array
        for owner, arrays in owners.items():
            yield KerasLayer(layer if len(owners) == 1 else f"{layer}/{owner}", arrays)


def _names(group: Any, attribute: str) -> list[str]:
    """Names in an attribute; Keras cuts a long list into `attribute0`, `attribute1`, and so on."""
    pieces = [attribute] if attribute in group.attrs else []
    while not pieces or pieces[-1] != attribute:
        piece = f"{attribute}{len(pieces)}"
        if piece not in group.attrs:
            break
        pieces.append(piece)
    return [_text(name) for piece in pieces for name in np.atleast_1d(_attribute(group, piece))]


def _attribute(group: Any, name: str) -> Any:
    """Value of an attribute, read only if it is as short as those that Keras writes."""
    if math.prod(group.attrs.get_id(name).shape) > _LIMIT_NAMES:
        raise HilumError(f"is damaged: attribute {name} of {group.name} is longer than Keras writes any")
    return group.attrs[name]


def _member(group: Any, name: str, h5py: Any) -> Any:
    """A member by its path; links to elsewhere are refused, so that a file cannot have others opened."""
    for part in name.split("/"):
        link = group.get(part, getlink=True) if part else None
        if not isinstance(link, h5py.HardLink):
            raise HilumError(f"{name!r} is missing, or is a link to elsewhere, which is not followed")
        group = group[part]
    return group


def _array(data: Any, left: int, where: str) -> NDArray[np.float32]:
    """The finite values of a dataset that lies inside the file and holds at most `left` bytes."""
    if getattr(data, "shape", None) is None:
        raise HilumError(f"{where}: is not an array")
    if data.dtype.kind != "f" or data.is_virtual or data.external:
        raise HilumError(f"{where}: must be plain floating point numbers inside the file, is {data.dtype}")
    if math.prod(data.shape) * data.dtype.itemsize > left:
        raise HilumError(f"{where}: has shape {data.shape}, more than any network of ours holds")
    with np.errstate(over="ignore"):
        array = np.asarray(data[()], dtype=np.float32)
    if not np.isfinite(array).all():
        raise HilumError(f"{where}: holds values that are not finite")
    return array


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _unpack(Path(sys.argv[1]), Path(sys.argv[2]))
