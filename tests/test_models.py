"""F and G: sizes, the authors' network, an independent implementation, and refused inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tdfusion.errors import InputError
from tdfusion.models import FusionNet, LossNet, PixelLinear, channel_attention
from tdfusion.reference.networks import PlainFusionNet, PlainLossNet
from tdfusion.weights import read_released, released_name, write_safetensors


def count(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_parameter_counts_are_the_papers() -> None:
    assert count(FusionNet()) == 59_856
    assert count(LossNet()) == 44_529


def perturbed(net: torch.nn.Module) -> torch.nn.Module:
    """Away from the initial ones and zeros, where a misplaced norm or temperature would not show."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net


@pytest.mark.parametrize(("fast", "plain"), [(FusionNet, PlainFusionNet), (LossNet, PlainLossNet)])
def test_networks_equal_the_plain_implementation_with_gradients(fast: type, plain: type) -> None:
    ours = perturbed(fast()).double()
    theirs = plain().double()
    theirs.load_state_dict(ours.state_dict())
    I_a, I_b = torch.rand(2, 2, 1, 19, 23, dtype=torch.float64)
    ours_out, theirs_out = ours(I_a, I_b), theirs(I_a, I_b)
    if fast is LossNet:
        ours_out, theirs_out = ours_out[0], theirs_out[0]
    torch.testing.assert_close(ours_out, theirs_out, rtol=0, atol=1e-13)
    weights = torch.rand_like(ours_out)
    ours_grad = torch.autograd.grad((ours_out * weights).sum(), list(ours.parameters()))
    theirs_grad = torch.autograd.grad((theirs_out * weights).sum(), list(theirs.parameters()))
    for a, b in zip(ours_grad, theirs_grad):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_attention_of_a_black_image_has_finite_values_and_gradients() -> None:
    q = torch.zeros(1, 16, 4, 4, requires_grad=True)
    out = channel_attention(q, q, q, torch.ones(8, 1, 1), PixelLinear(16, 16))
    (gradient,) = torch.autograd.grad(out.sum(), q)
    assert torch.isfinite(out).all() and torch.isfinite(gradient).all()


def test_weights_sum_to_one_and_lie_between_zero_and_one() -> None:
    w_a, w_b = perturbed(LossNet())(*torch.rand(2, 2, 1, 17, 20))
    torch.testing.assert_close(w_a + w_b, torch.ones_like(w_a))
    assert w_a.shape == (2, 1, 17, 20)
    assert w_a.min() > 0 and w_a.max() < 1 and w_a.std() > 0


def test_fused_images_are_in_range_at_any_size() -> None:
    for size in ((1, 1), (7, 30), (64, 48)):
        I_f = FusionNet()(torch.rand(1, 1, *size), torch.rand(1, 1, *size))
        assert I_f.shape == (1, 1, *size)
        assert I_f.min() >= 0 and I_f.max() <= 1


def test_modalities_are_told_apart() -> None:
    net = FusionNet()
    I_a, I_b = torch.rand(2, 1, 1, 16, 16)
    assert not torch.allclose(net(I_a, I_b), net(I_b, I_a), atol=1e-4)


@pytest.mark.parametrize(
    ("I_a", "I_b", "words"),
    [
        (torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8), "I_a has shape (1, 3, 8, 8)"),
        (torch.rand(1, 1, 8, 8), torch.rand(1, 8, 8), "I_b has shape (1, 8, 8)"),
        (torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 9), "differ in shape"),
        (torch.ones(1, 1, 8, 8, dtype=torch.uint8), torch.rand(1, 1, 8, 8), "torch.uint8"),
    ],
)
def test_odd_images_are_refused_by_name(I_a: torch.Tensor, I_b: torch.Tensor, words: str) -> None:
    for net in (FusionNet(), LossNet()):
        with pytest.raises(InputError, match=words.replace("(", r"\(").replace(")", r"\)")):
            net(I_a, I_b)


@pytest.mark.real_data
def test_released_weights_give_the_authors_output(real_data) -> None:
    F = FusionNet.from_released(real_data / "weights" / "ReFusion_IVIF.pth")
    golden = np.load(real_data / "golden" / "released_network_output.npz")
    for name in ("MSRS_00537D", "TNO_01"):
        I_a, I_b = (torch.from_numpy(golden[f"{name}_{m}"])[None, None].float() / 255 for m in ("ir", "vi"))
        with torch.no_grad():
            I_f = F(I_a, I_b)[0, 0]
        assert (I_f - torch.from_numpy(golden[f"{name}_fused"])).abs().max() < 1e-5


def released_state() -> dict[str, torch.Tensor]:
    """A state dict as the authors write it: every convolution twice."""
    state = {}
    for name, value in FusionNet().state_dict().items():
        theirs = released_name(name)
        state[theirs] = value
        if value.ndim == 4:
            state[theirs.replace(".weight", ".conv.weight")] = value
    return state


def test_released_names_round_trip(tmp_path) -> None:
    state = released_state()
    assert len(state) == 140  # as in the published files
    torch.save(state, tmp_path / "F.pth")
    F = FusionNet.from_released(tmp_path / "F.pth")
    assert torch.equal(F.decoder[1].ffn.out.weight, state["decoder.1.ffn.project_out.weight"])
    assert torch.equal(F.encoder_b.blocks[0].norm_attn.bias, state["encoder2.0.norm1.body.bias"])
    assert not F.training


def refused(tmp_path, state: object) -> str:
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(InputError) as caught:
        FusionNet.from_released(tmp_path / "odd.pth")
    assert "odd.pth" in str(caught.value)
    return str(caught.value)


def test_other_checkpoints_are_refused_with_the_entries_named(tmp_path) -> None:
    state = released_state()
    lacking = {k: v for k, v in state.items() if not k.startswith("FM.project_E1")}
    assert "FM.project_E1.weight" in refused(tmp_path, lacking)
    assert "head.bias" in refused(tmp_path, state | {"head.bias": torch.zeros(1)})
    assert "(32, 16, 3, 3) instead of (16, 32, 3, 3)" in refused(
        tmp_path, state | {"project_out_0.weight": torch.zeros(32, 16, 3, 3)}
    )
    twin = {"FM.qkv1.conv.weight": torch.zeros_like(state["FM.qkv1.weight"])}
    assert "copies of one weight" in refused(tmp_path, state | twin)
    assert "holds list" in refused(tmp_path, [1, 2])


def test_files_that_are_no_checkpoint_are_refused(tmp_path) -> None:
    (tmp_path / "text.pth").write_text("not a pickle")
    (tmp_path / "empty.pth").touch()
    template = FusionNet().state_dict()
    for name in ("text.pth", "empty.pth", "absent.pth"):
        with pytest.raises(InputError, match=name):
            read_released(tmp_path / name, template)


def test_a_pickle_with_code_in_it_is_never_run(tmp_path) -> None:
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(InputError, match=r"bomb\.pth"):
        FusionNet.from_released(tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()


def test_safetensors_round_trip_and_refuse_the_other_network(tmp_path) -> None:
    F, G = FusionNet(), LossNet()
    write_safetensors(tmp_path / "F.safetensors", F)
    write_safetensors(tmp_path / "G.safetensors", G)
    again = FusionNet.from_file(tmp_path / "F.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(F.state_dict().values(), again.state_dict().values()))
    with pytest.raises(InputError, match=r"G\.safetensors: not the weights of this network"):
        FusionNet.from_file(tmp_path / "G.safetensors")
    (tmp_path / "F.safetensors").write_bytes(b"cut short")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        FusionNet.from_file(tmp_path / "F.safetensors")
