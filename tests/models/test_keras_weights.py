"""Weights out of Keras' files, against the same networks written down in NumPy with Keras' axes (Y, X, C)."""

from __future__ import annotations

import contextlib
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from hilum.errors import HilumError
from hilum.models import count_parameters, create, keras_file, load_keras_weights

Weights = dict[str, np.ndarray]


class Recorder:
    """Layers with Keras' meaning and axes; each draws its weights when it is called and records them."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.layers: list[tuple[str, Weights]] = []

    def conv(self, x: np.ndarray, filters: int, size: int = 3) -> np.ndarray:
        kernel = self._kernel((size, size, x.shape[-1], filters), size * size * x.shape[-1])
        bias = self._record("conv2d", kernel=kernel, bias=self._small(filters))["bias"]
        before, after = (size - 1) // 2, size // 2
        padded = np.pad(x, ((before, after), (before, after), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(0, 1))
        return np.tensordot(windows, kernel, ((3, 4, 2), (0, 1, 2))) + bias

    def transposed(self, x: np.ndarray, filters: int) -> np.ndarray:
        kernel = self._kernel((2, 2, filters, x.shape[-1]), x.shape[-1])
        bias = self._record("conv2d_transpose", kernel=kernel, bias=self._small(filters))["bias"]
        out = np.zeros((2 * x.shape[0], 2 * x.shape[1], filters))
        for row in (0, 1):
            for column in (0, 1):
                out[row::2, column::2] = x @ kernel[row, column].T
        return out + bias

    def dense(self, x: np.ndarray, units: int) -> np.ndarray:
        kernel = self._kernel((x.size, units), x.size)
        return x @ kernel + self._record("dense", kernel=kernel, bias=self._small(units))["bias"]

    def norm(self, x: np.ndarray) -> np.ndarray:
        count = x.shape[-1]
        w = self._record(
            "batch_normalization",
            gamma=1 + self._small(count),
            beta=self._small(count),
            moving_mean=self._small(count),
            moving_variance=1 + np.abs(self._small(count)),
        )
        return (x - w["moving_mean"]) / np.sqrt(w["moving_variance"] + 1e-3) * w["gamma"] + w["beta"]

    def _kernel(self, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
        return self.random.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)

    def _small(self, count: int) -> np.ndarray:
        return self.random.normal(0, 0.3, count).astype(np.float32)

    def _record(self, kind: str, **weights: np.ndarray) -> Weights:
        count = sum(
            name.startswith(f"{kind}_") and name[len(kind) + 1 :].isdigit() for name, _ in self.layers
        )
        self.layers.append((f"{kind}_{count + 1}", weights))
        return weights


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.3 * x)


def pool(x: np.ndarray) -> np.ndarray:
    rows, columns = x.shape[0] // 2, x.shape[1] // 2
    return x[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, -1).max((1, 3))


def enlarge(x: np.ndarray) -> np.ndarray:
    return x.repeat(2, 0).repeat(2, 1)


def join(*maps: np.ndarray) -> np.ndarray:
    return np.concatenate(maps, -1)


def lung_histology(keras: Recorder, x: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    kept = []
    for level, width in enumerate(widths):
        x = elu(keras.conv(pool(x) if level else x, width))
        if level < len(widths) - 1:
            x = elu(keras.conv(x, width))
            kept.append(x)
    for width in widths[-2::-1]:
        x = elu(keras.conv(join(enlarge(x), kept.pop()), width))
    return keras.conv(elu(keras.conv(x, widths[0])), 1, size=1)


def ultrasound_nerve(keras: Recorder, x: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    kept = []
    for level, width in enumerate(widths):
        x = relu(keras.conv(relu(keras.conv(pool(x) if level else x, width)), width))
        kept.append(x)
    kept.pop()
    for width in widths[-2::-1]:
        x = join(keras.transposed(x, width), kept.pop())
        x = relu(keras.conv(relu(keras.conv(x, width)), width))
    return keras.conv(x, 1, size=1)


def medical_256(keras: Recorder, x: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    kept = []
    for level, width in enumerate(widths):
        x = relu(keras.conv(relu(keras.conv(pool(x) if level else x, width)), width))
        kept.append(x)
    kept.pop()
    for width in widths[-2::-1]:
        x = join(kept.pop(), relu(keras.conv(enlarge(x), width, size=2)))
        x = relu(keras.conv(relu(keras.conv(x, width)), width))
    return keras.conv(relu(keras.conv(x, 2)), 1, size=1)


def xray_cnn(keras: Recorder, x: np.ndarray, widths: Sequence[int], dense: int = 1024) -> np.ndarray:
    for level, width in enumerate(widths):
        x = leaky(keras.conv(x, width))
        x = pool(keras.norm(x) if level >= 2 else x)
    return keras.dense(leaky(keras.dense(x.ravel(), dense)), 1)


def write_keras(path: Path, layers: Sequence[tuple[str, Weights]], whole_model: bool = False) -> Path:
    """Write as `save_weights` does, or as `save` does; layers without weights stand among them."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole_model else file
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.2.4"
        root.attrs["layer_names"] = [b"input_1", *(name.encode() for name, _ in layers), b"activation_1"]
        for idle in ("input_1", "activation_1"):
            root.create_group(idle).attrs["weight_names"] = []
        for name, weights in layers:
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in weights]
            for key, value in weights.items():
                group.create_dataset(f"{name}/{key}:0", data=value)
    return path


def ours(net: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        out = net.eval()(torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32)))[0]
    return out.permute(1, 2, 0).numpy() if out.ndim == 3 else out.numpy()


Reference = Callable[..., np.ndarray]
CASES: list[tuple[str, Reference, dict[str, object], tuple[int, int, int]]] = [
    ("lung-histology-2018", lung_histology, {"widths": (4, 6, 8, 8)}, (16, 24, 3)),
    ("ultrasound-nerve-2016", ultrasound_nerve, {"widths": (32, 64, 128, 256, 512)}, (16, 32, 1)),
    ("nodule-2017", ultrasound_nerve, {"widths": (4, 6, 8)}, (8, 12, 1)),
    ("medical-256-2018", medical_256, {"widths": (4, 6, 8, 10)}, (16, 24, 1)),
    ("xray-cnn-2020", xray_cnn, {"widths": (8, 16, 32, 64, 128, 256, 512, 1024)}, (300, 300, 3)),
]


@pytest.mark.parametrize(("name", "reference", "settings", "shape"), CASES, ids=[case[0] for case in CASES])
def test_outputs_are_those_of_keras(tmp_path, name, reference, settings, shape) -> None:
    keras = Recorder()
    x = keras.random.random(shape)
    expected = reference(keras, x, **settings)
    net = create(name, shape[-1], **settings)
    load_keras_weights(net, write_keras(tmp_path / "weights.h5", keras.layers))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(ours(net, x), expected, rtol=1e-3, atol=2e-4)
    assert sum(w.size for _, layer in keras.layers for w in layer.values()) == count_parameters(net).total


def test_dense_after_flatten_is_turned(tmp_path) -> None:
    keras = Recorder()
    x = keras.random.random((20, 23, 1))[:, :20]
    expected = xray_cnn(keras, x, (4, 5, 6), dense=7)
    net = create("xray-cnn-2020", 1, widths=(4, 5, 6), size=20, dense=7)
    load_keras_weights(net, write_keras(tmp_path / "weights.h5", keras.layers))
    np.testing.assert_allclose(ours(net, x), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def layers() -> list[tuple[str, Weights]]:
    keras = Recorder()
    ultrasound_nerve(keras, np.zeros((4, 4, 1)), (2, 3, 4))
    return keras.layers


def tiny() -> nn.Module:
    return create("ultrasound-nerve-2016", 1, widths=(2, 3, 4))


def states_equal(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(one.state_dict()[key], value) for key, value in two.state_dict().items())


def test_a_whole_model_gives_the_same(tmp_path, layers) -> None:
    one, two = tiny(), tiny()
    load_keras_weights(one, write_keras(tmp_path / "weights.h5", layers))
    load_keras_weights(two, str(write_keras(tmp_path / "model.h5", layers, whole_model=True)))
    assert states_equal(one, two)


def test_long_lists_cut_by_keras_are_joined(tmp_path, layers) -> None:
    one, two = tiny(), tiny()
    path = write_keras(tmp_path / "weights.h5", layers)
    load_keras_weights(one, path)
    with h5py.File(path, "a") as file:
        listed = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = listed[:5], listed[5:]
    load_keras_weights(two, path)
    assert states_equal(one, two)


def test_a_model_in_the_model_gives_its_layers(tmp_path, layers) -> None:
    one, two = tiny(), tiny()
    load_keras_weights(one, write_keras(tmp_path / "weights.h5", layers))
    nested = {f"{name}/{key}": value for name, weights in layers for key, value in weights.items()}
    with h5py.File(tmp_path / "nested.h5", "w") as file:
        file.attrs["layer_names"] = [b"model_1"]
        group = file.create_group("model_1")
        group.attrs["weight_names"] = [f"{key}:0".encode() for key in nested]
        for key, value in nested.items():
            group[f"{key}:0"] = value
    load_keras_weights(two, tmp_path / "nested.h5")
    assert states_equal(one, two)


def test_theano_kernels_are_flipped(tmp_path, layers) -> None:
    one, two = tiny(), tiny()
    load_keras_weights(one, write_keras(tmp_path / "weights.h5", layers))
    turned = [(name, {**w, "kernel": w["kernel"][::-1, ::-1]}) for name, w in layers]
    path = write_keras(tmp_path / "theano.h5", turned)
    with h5py.File(path, "a") as file:
        file.attrs["backend"] = b"theano"
    load_keras_weights(two, path)
    assert states_equal(one, two)


def refused(path: Path, match: str) -> None:
    """The file is refused with its name and `match`, and nothing of it is loaded."""
    torch.manual_seed(0)
    net, before = tiny(), tiny()
    before.load_state_dict(net.state_dict())
    with pytest.raises(HilumError, match=match) as caught:
        load_keras_weights(net, path)
    assert path.name in str(caught.value)
    assert states_equal(net, before)


def test_wrong_shape_names_the_layer(tmp_path, layers) -> None:
    layers[-1][1]["kernel"] = np.zeros((1, 1, 9, 1), np.float32)
    name = layers[-1][0]
    refused(
        write_keras(tmp_path / "weights.h5", layers),
        rf"layer {name}, kernel: has shape \(1, 1, 9, 1\), but head of the network needs \(1, 1, 2, 1\)",
    )


def test_wrong_number_of_layers(tmp_path, layers) -> None:
    refused(write_keras(tmp_path / "weights.h5", layers[:-1]), "holds 12 layers .* the network has 13")


def test_wrong_kind_of_layer(tmp_path, layers) -> None:
    del layers[3][1]["bias"]
    refused(
        write_keras(tmp_path / "weights.h5", layers), "conv2d_4 holds kernel, but down.1.2 .* bias, kernel"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite(tmp_path, layers, value: float) -> None:
    layers[0][1]["bias"] = np.array([0.0, value])
    refused(
        write_keras(tmp_path / "weights.h5", layers),
        "conv2d_1, conv2d_1/bias:0: holds values that are not finite",
    )


def test_values_that_are_no_numbers(tmp_path, layers) -> None:
    layers[0][1]["bias"] = np.array([b"a", b"b"])
    refused(write_keras(tmp_path / "weights.h5", layers), "must be plain floating point numbers")


def test_keras_3_is_explained(tmp_path) -> None:
    with h5py.File(tmp_path / "new.weights.h5", "w") as file:
        file.create_group("layers/conv2d/vars")["0"] = np.zeros((3, 3, 1, 2))
    refused(tmp_path / "new.weights.h5", r"model.save\('model.h5'\)")


@pytest.mark.parametrize("link", [h5py.ExternalLink("secret.h5", "/bias"), h5py.SoftLink("/input_1")])
def test_links_are_not_followed(tmp_path, layers, link) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["bias"] = np.zeros(2, np.float32)
    path = write_keras(tmp_path / "weights.h5", layers)
    with h5py.File(path, "a") as file:
        del file["conv2d_1/conv2d_1/bias:0"]
        file["conv2d_1/conv2d_1/bias:0"] = link
    refused(path, "link to elsewhere")


def test_values_in_other_files_are_not_read(tmp_path, layers) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    path = write_keras(tmp_path / "weights.h5", layers)
    with h5py.File(path, "a") as file:
        del file["conv2d_1/conv2d_1/bias:0"]
        outside = [(str(tmp_path / "secret.bin"), 0, 8)]
        file.create_dataset("conv2d_1/conv2d_1/bias:0", (2,), np.float32, external=outside)
    refused(path, "inside the file")


def test_a_group_where_a_dataset_should_be(tmp_path, layers) -> None:
    path = write_keras(tmp_path / "weights.h5", layers)
    with h5py.File(path, "a") as file:
        del file["conv2d_1/conv2d_1/bias:0"]
        file.create_group("conv2d_1/conv2d_1/bias:0")
    refused(path, "bias:0: is not an array")


def test_a_dataset_where_a_group_should_be(tmp_path, layers) -> None:
    path = write_keras(tmp_path / "weights.h5", layers)
    with h5py.File(path, "a") as file:
        del file["conv2d_1"]
        file["conv2d_1"] = np.zeros(2)
    refused(path, "conv2d_1|layers with weights")


def test_names_without_members(tmp_path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv2d_1", b"..", b""]
    refused(tmp_path / "weights.h5", "'conv2d_1' is missing")


def test_files_that_are_no_hdf5(tmp_path) -> None:
    refused(tmp_path / "absent.h5", "there is no such file")
    (tmp_path / "text.h5").write_text("not HDF5")
    refused(tmp_path / "text.h5", "is not a Keras HDF5 file")
    refused(tmp_path, "is not a Keras HDF5 file")


def test_damaged_files_are_loaded_or_refused(tmp_path, layers) -> None:
    good = write_keras(tmp_path / "weights.h5", layers).read_bytes()
    chance, path = random.Random(0), tmp_path / "damaged.h5"
    for attempt in range(12):
        damaged = bytearray(good[: chance.randrange(len(good))] if attempt % 3 == 0 else good)
        for _ in range(chance.randrange(1, 20) if attempt % 3 else 0):
            damaged[chance.randrange(min(len(damaged), 4000))] = chance.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(HilumError):
            load_keras_weights(tiny(), path)


def test_files_that_hang_the_library_are_given_up(tmp_path, layers, monkeypatch) -> None:
    path = write_keras(tmp_path / "weights.h5", layers)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL") + 16
    content[heap : heap + 16] = bytes(16)
    path.write_bytes(content)
    monkeypatch.setattr(keras_file, "LIMIT_S", 3.0)
    refused(path, "is damaged")


def test_files_that_crash_the_library_are_reported(tmp_path, layers, monkeypatch) -> None:
    path = write_keras(tmp_path / "weights.h5", layers)
    monkeypatch.setattr(keras_file.sys, "executable", shutil.which("false"))
    refused(path, "the HDF5 library broke down on it")


def test_more_than_any_network_holds_is_not_read(tmp_path, layers) -> None:
    path = write_keras(tmp_path / "weights.h5", layers)
    with h5py.File(path, "a") as file:
        del file["conv2d_1/conv2d_1/bias:0"]
        file.create_dataset(
            "conv2d_1/conv2d_1/bias:0", (10**9,), np.float32, chunks=(10**6,), compression="gzip"
        )
    refused(path, "more than any network of ours holds")


def test_missing_h5py_is_explained(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(HilumError, match=r"pip install 'hilum\[keras\]'"):
        load_keras_weights(tiny(), tmp_path / "weights.h5")
