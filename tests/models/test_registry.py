"""Every registered network keeps the same promises."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from hilum import models
from hilum.errors import PlanError
from hilum.models.registry import NETWORKS, settings_of

# Small settings and the smallest sensible image of each; a network without a row fails the first test.
# link-unet has both its normalisations: by groups in its deepest level, by batch elsewhere.
SMALL: dict[str, tuple[dict[str, object], tuple[int, int]]] = {
    "unet": ({"width": 4, "depth": 2}, (16, 24)),
    "link-unet": ({"width": 4, "depth": 2, "group_from": 16}, (16, 24)),
    "resnet": ({"width": 4}, (13, 16)),
    "lung-histology-2018": ({"widths": (4, 6, 8)}, (8, 12)),
    "ultrasound-nerve-2016": ({"widths": (4, 6, 8)}, (8, 12)),
    "nodule-2017": ({"widths": (4, 6, 8)}, (12, 8)),
    "medical-256-2018": ({"widths": (4, 6, 8)}, (8, 12)),
    "xray-cnn-2020": ({"widths": (4, 6, 8, 8), "size": 20, "dense": 8}, (20, 20)),
}
CLASSIFIERS = ("resnet", "xray-cnn-2020")


def small(name: str, in_channels: int = 1, out_channels: int = 1, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return models.create(name, in_channels, out_channels, **SMALL[name][0])


def batch(name: str, channels: int = 1, count: int = 2) -> Tensor:
    return torch.rand(count, channels, *SMALL[name][1], generator=torch.Generator().manual_seed(1))


def test_every_network_has_a_row() -> None:
    assert set(SMALL) == set(models.names()) == set(NETWORKS)


@pytest.mark.parametrize("name", models.names())
class TestContract:
    @pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 1), (3, 2)])
    def test_forward_and_backward(self, name: str, in_channels: int, out_channels: int) -> None:
        net = small(name, in_channels, out_channels).train()
        logits = net(batch(name, in_channels))
        sides = () if name in CLASSIFIERS else SMALL[name][1]
        assert logits.shape == (2, out_channels, *sides)
        F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits)).backward()
        missing = [key for key, parameter in net.named_parameters() if parameter.grad is None]
        assert missing == []
        assert all(bool(parameter.grad.isfinite().all()) for parameter in net.parameters())

    def test_output_is_logits(self, name: str) -> None:
        net = small(name).eval()
        with torch.no_grad():
            head = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)][-1]
            head.weight.zero_()
            head.bias.fill_(-7.0)
            assert torch.equal(net(batch(name)).unique(), torch.tensor([-7.0]))

    def test_a_few_steps_lower_the_loss(self, name: str) -> None:
        net, x = small(name).train(), batch(name)
        target = torch.zeros(2, 1) if name in CLASSIFIERS else (x > 0.5).float()
        target[0] = 1 - target[0]
        optimiser = torch.optim.Adam(net.parameters(), 3e-3)
        losses = []
        for _ in range(40):
            loss = F.binary_cross_entropy_with_logits(net(x), target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert sum(losses[-5:]) < 0.97 * sum(losses[:5])

    def test_seed_fixes_the_weights(self, name: str) -> None:
        one, same, other = small(name), small(name), small(name, seed=1)
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
        assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
        assert torch.equal(one.eval()(batch(name)), same.eval()(batch(name)))

    def test_weights_survive_safetensors(self, name: str, tmp_path) -> None:
        net, fresh = small(name).eval(), small(name, seed=1).eval()
        save_file(net.state_dict(), tmp_path / "model.safetensors")
        fresh.load_state_dict(load_file(tmp_path / "model.safetensors"))
        assert torch.equal(net(batch(name)), fresh(batch(name)))

    def test_export_gives_the_same(self, name: str) -> None:
        net, x = small(name).eval(), batch(name)
        shapes = ({0: torch.export.Dim("batch", min=1, max=8)},)
        exported = torch.export.export(net, (x,), dynamic_shapes=shapes).module()
        wider = batch(name, count=3)
        assert torch.allclose(exported(wider), net(wider), atol=1e-5)

    @pytest.mark.filterwarnings("ignore")
    def test_trace_gives_the_same(self, name: str) -> None:
        net, x = small(name).eval(), batch(name)
        with torch.no_grad():
            traced = torch.jit.trace(net, (x,))
            assert torch.allclose(traced(x.flip(0)), net(x.flip(0)), atol=1e-5)

    def test_bfloat16_is_close(self, name: str) -> None:
        net, x = small(name).eval(), batch(name)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            low = net(x).float()
        assert bool(low.isfinite().all())
        assert torch.allclose(low, net(x), atol=0.1)

    def test_bfloat16_trains(self, name: str) -> None:
        net = small(name).train()
        with torch.autocast("cpu", torch.bfloat16):
            net(batch(name)).float().square().mean().backward()
        assert all(bool(parameter.grad.isfinite().all()) for parameter in net.parameters())

    def test_channels_last_gives_the_same(self, name: str) -> None:
        net, x = small(name, 3).eval(), batch(name, 3)
        plain = net(x)
        net.to(memory_format=torch.channels_last)
        assert torch.allclose(net(x.contiguous(memory_format=torch.channels_last)), plain, atol=1e-5)

    def test_cases_of_a_batch_do_not_mix(self, name: str) -> None:
        net, x = small(name).eval(), batch(name)
        assert torch.allclose(net(x)[1:], net(x[1:]), atol=1e-5)

    def test_feature_layers_are_maps_in_order(self, name: str) -> None:
        net, seen, shapes = small(name).eval(), [], []

        def note(layer: str):
            def hook(_module, _inputs, output):
                seen.append(layer)
                shapes.append(output.shape)

            return hook

        named = models.feature_layers(net)
        for layer in named:
            net.get_submodule(layer).register_forward_hook(note(layer))
        net(batch(name))
        assert seen == named
        assert len(named) >= 3
        assert all(len(shape) == 4 and shape[0] == 2 for shape in shapes)

    def test_every_feature_layer_has_a_gradient(self, name: str) -> None:
        net, kept = small(name).train(), {}
        for layer in models.feature_layers(net):
            net.get_submodule(layer).register_forward_hook(
                lambda _module, _inputs, output, layer=layer: kept.update({layer: output})
            )
        outputs = net(batch(name)).sum()
        gradients = torch.autograd.grad(outputs, list(kept.values()))
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)

    def test_unknown_setting_is_named(self, name: str) -> None:
        with pytest.raises(PlanError, match=f"network {name} has no setting 'wdth'.*choose one of"):
            models.create(name, 1, wdth=3)

    @pytest.mark.parametrize("channels", [0, -1, 1.5, True, "3", None])
    def test_channels_must_be_counts(self, name: str, channels: object) -> None:
        with pytest.raises(PlanError, match="in_channels"):
            models.create(name, channels)  # type: ignore[arg-type]
        with pytest.raises(PlanError, match="out_channels"):
            models.create(name, 1, channels)  # type: ignore[arg-type]


def test_unknown_name_lists_nearest_and_all() -> None:
    with pytest.raises(PlanError) as caught:
        models.create("lung-histology", 3)
    assert "did you mean 'lung-histology-2018'?" in str(caught.value)
    assert all(name in str(caught.value) for name in models.names())


def test_unknown_name_without_neighbour_lists_all() -> None:
    with pytest.raises(PlanError, match=r"there is no network 'zzz': choose one of unet, link-unet"):
        models.create("zzz", 3)


def test_settings_of_gives_defaults() -> None:
    assert settings_of("xray-cnn-2020")["size"] == 300
    assert settings_of("medical-256-2018")["dropout"] == 0.5


def test_the_room_is_imported_without_torch() -> None:
    code = "import sys, hilum.models as m; m.names(); assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_room_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="craete"):
        _ = models.craete
