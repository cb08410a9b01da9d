"""F and G written as one would write them first: the yardstick for speed, and a second opinion on values.

The same functions as `tdfusion.models` with the same parameter names, in the default memory layout: layer
norm by mean and variance over dimension 1, normalised copies of q and k, attention applied to v per
head, then the output convolution. Kept here, out of the library, because nothing but measurements and
tests should use it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from tdfusion.models import FusionNet, LossNet


def layer_norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    mean = x.mean(1, keepdim=True)
    variance = x.var(1, keepdim=True, unbiased=False)
    return (x - mean) / torch.sqrt(variance + 1e-5) * norm.weight.view(1, -1, 1, 1) + norm.bias.view(
        1, -1, 1, 1
    )


def attend(q: Tensor, k: Tensor, v: Tensor, temperature: Tensor, out: nn.Conv2d) -> Tensor:
    batch, channels, height, width = q.shape
    heads = temperature.shape[0]
    q, k, v = (t.reshape(batch, heads, channels // heads, height * width) for t in (q, k, v))
    q, k = nnf.normalize(q, dim=-1), nnf.normalize(k, dim=-1)
    attention = ((q @ k.transpose(-2, -1)) * temperature).softmax(-1)
    return out((attention @ v).reshape(batch, channels, height, width))


def block(x: Tensor, rtb: nn.Module) -> Tensor:
    q, k, v = rtb.attn.qkv.depth(rtb.attn.qkv.point(layer_norm(x, rtb.norm_attn))).chunk(3, dim=1)
    x = x + attend(q, k, v, rtb.attn.temperature, rtb.attn.out)
    gate, value = rtb.ffn.depth(rtb.ffn.point(layer_norm(x, rtb.norm_ffn))).chunk(2, dim=1)
    return x + rtb.ffn.out(nnf.gelu(gate) * value)


def encode(x: Tensor, encoder: nn.Module) -> Tensor:
    x = encoder.embed(x)
    for rtb in encoder.blocks:
        x = block(x, rtb)
    return x


class PlainFusionNet(FusionNet):
    """F, plainly: same parameters, same function."""

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        afm = self.fusion
        a, b = encode(I_a, self.encoder_a), encode(I_b, self.encoder_b)
        q_a, k_a, v_a = afm.qkv_a.depth(afm.qkv_a.point(a)).chunk(3, dim=1)
        q_b, k_b, v_b = afm.qkv_b.depth(afm.qkv_b.point(b)).chunk(3, dim=1)
        a = a + attend(q_b, k_a, v_a, afm.temperature_a, afm.out_a)
        b = b + attend(q_a, k_b, v_b, afm.temperature_b, afm.out_b)
        both = torch.cat([a, b], 1)
        gate_a, gate_b = afm.gate_depth(afm.gate_point(both)).chunk(2, dim=1)
        a = afm.value_depth_a(afm.value_point_a(a)) * nnf.gelu(gate_a)
        b = afm.value_depth_b(afm.value_point_b(b)) * nnf.gelu(gate_b)
        x = both + afm.gated_out_a(a) + afm.gated_out_b(b)
        for rtb in self.decoder:
            x = block(x, rtb)
        return torch.sigmoid(self.head(x))


class PlainLossNet(LossNet):
    """G, plainly: same parameters, same function."""

    def forward(self, I_a: Tensor, I_b: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([encode(I_a, self.encoder_a), encode(I_b, self.encoder_b)], 1)
        for rtb in self.decoder:
            x = block(x, rtb)
        weights = torch.softmax(self.head(x), dim=1)
        return weights[:, :1], weights[:, 1:]
