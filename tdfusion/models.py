"""The fusion network F and the loss generation network G, Sec. 3.6 and Fig. 1.

Both are built from Restormer blocks (Zamir et al., CVPR 2022). F has the architecture of ReFusion
(reference [5] of the paper). No convolution has a bias. Written from the published description for
speed on any device; five choices make the difference, and none changes the function:

* channels-last memory throughout, so that 1x1 convolutions and layer norm read pixels in order;
* 1x1 convolutions are products of matrices, pixels by channels;
* parts of a result that go different ways (q, k, v; gate and value) are convolved apart, since the gradients of
  chunks of one tensor would be joined again, a copy of all of it;
* attention through the C x C Gram matrix of queries and keys: the l2 norms along the pixels are
  folded into it, so no normalised copy of q or k is ever written;
* the attention and the 1x1 output projection merged into one C x C matrix per image.

Every operation has a forward-mode derivative, which `tdfusion.meta` relies on.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from tdfusion.errors import InputError
from tdfusion.pretrained import Pretrained
from tdfusion.weights import read_released, read_safetensors

HEADS = 8


class PixelLinear(nn.Conv2d):
    """1x1 convolution without bias, (B, C, H, W) -> (B, C', H, W), with the parameters of one."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return pixel_linear(x, self.weight)


def pixel_linear(x: Tensor, weight: Tensor) -> Tensor:
    """(B, C, H, W) by a weight (C', C, 1, 1) -> (B, C', H, W), channels-last if ``x`` is."""
    return nnf.linear(x.permute(0, 2, 3, 1), weight.flatten(1)).permute(0, 3, 1, 2)


def parts(x: Tensor, point: PixelLinear, depth: nn.Conv2d, n: int) -> list[Tensor]:
    """The n chunks of ``depth(point(x))`` along the channels, each computed for itself."""
    return [
        nnf.conv2d(pixel_linear(x, across), along, padding=1, groups=len(along))
        for across, along in zip(point.weight.chunk(n), depth.weight.chunk(n))
    ]


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)


def depthwise3x3(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels, bias=False)


class PixelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of every pixel, (B, C, H, W) -> (B, C, H, W), eps 1e-5."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # a view if channels-last


def channel_attention(
    q: Tensor, k: Tensor, v: Tensor, temperature: Tensor, projection: PixelLinear
) -> Tensor:
    """Transposed (channel-to-channel) attention of Restormer, and its output projection.

    Per head: ``softmax(q k^T * temperature) v`` with q and k l2-normalised along the pixels.

    Args:
        q, k, v: (B, C, H, W).
        temperature: (heads, 1, 1).
        projection: the 1x1 convolution C -> C applied to the result.

    Returns:
        (B, C, H, W).
    """
    batch, channels, height, width = q.shape
    heads = temperature.shape[0]
    q, k, v = (t.flatten(2) for t in (q, k, v))  # (B, C, HW)
    gram = q @ k.transpose(1, 2)  # (B, C, C), every head against every head
    # 1e-12 as in torch.nn.functional.normalize; clamped before the root so that zero has a gradient
    q_norm, k_norm = (t.square().sum(-1).clamp_min(1e-24).sqrt() for t in (q, k))  # (B, C)
    cosine = gram / (q_norm[:, :, None] * k_norm[:, None, :])  # (B, C, C)
    per_head = cosine.view(batch, heads, channels // heads, heads, channels // heads)
    per_head = per_head.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)  # (B, heads, c, c)
    attention = (per_head * temperature).softmax(-1)  # (B, heads, c, c)
    # projection(attention v) = (projection attention) v: one C x C matrix per image
    rows = projection.weight.view(channels, heads, 1, channels // heads)  # (C, heads, 1, c)
    mix = (rows @ attention[:, None]).view(batch, channels, channels)  # (B, C, C)
    out = v.transpose(1, 2) @ mix.transpose(1, 2)  # (B, HW, C): written as channels-last
    return out.view(batch, height, width, channels).permute(0, 3, 1, 2)


class QKV(nn.Module):
    """Queries, keys and values: 1x1 convolution C -> 3C, then 3x3 depthwise."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.point = PixelLinear(width, 3 * width)
        self.depth = depthwise3x3(3 * width)

    def forward(self, x: Tensor) -> list[Tensor]:
        return parts(x, self.point, self.depth, 3)


class MDTA(nn.Module):
    """Multi-Dconv head transposed attention, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(HEADS, 1, 1))
        self.qkv = QKV(width)
        self.out = PixelLinear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x)
        return channel_attention(q, k, v, self.temperature, self.out)


class GDFN(nn.Module):
    """Gated-Dconv feed-forward network with hidden width 2C, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 2 * width
        self.point = PixelLinear(width, 2 * hidden)
        self.depth = depthwise3x3(2 * hidden)
        self.out = PixelLinear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = parts(x, self.point, self.depth, 2)  # (B, 2C, H, W) each
        return self.out(nnf.gelu(gate) * value)


class RestormerBlock(nn.Module):
    """RTB: ``x + MDTA(LN(x))``, then ``x + GDFN(LN(x))``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_attn = PixelLayerNorm(width)
        self.attn = MDTA(width)
        self.norm_ffn = PixelLayerNorm(width)
        self.ffn = GDFN(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm_attn(x))
        return x + self.ffn(self.norm_ffn(x))


class Encoder(nn.Module):
    """One modality: 3x3 convolution 1 -> width, then Restormer blocks. (B, 1, H, W) -> (B, width, H, W)."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.embed = conv3x3(1, width)
        self.blocks = nn.Sequential(*(RestormerBlock(width) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.embed(x).contiguous(memory_format=torch.channels_last))


class AdaptiveFusion(nn.Module):
    """AFM: cross attention between the modalities, then a gate computed from both.

    (B, C, H, W) twice -> (B, 2C, H, W).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        gate = 4 * width
        self.temperature_a = nn.Parameter(torch.ones(HEADS, 1, 1))
        self.temperature_b = nn.Parameter(torch.ones(HEADS, 1, 1))
        self.qkv_a, self.qkv_b = QKV(width), QKV(width)
        self.out_a, self.out_b = PixelLinear(width, width), PixelLinear(width, width)
        self.gate_point, self.gate_depth = PixelLinear(2 * width, 2 * gate), depthwise3x3(2 * gate)
        self.value_point_a, self.value_depth_a = PixelLinear(width, gate), depthwise3x3(gate)
        self.value_point_b, self.value_depth_b = PixelLinear(width, gate), depthwise3x3(gate)
        self.gated_out_a, self.gated_out_b = PixelLinear(gate, 2 * width), PixelLinear(gate, 2 * width)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        q_a, k_a, v_a = self.qkv_a(a)
        q_b, k_b, v_b = self.qkv_b(b)
        a = a + channel_attention(q_b, k_a, v_a, self.temperature_a, self.out_a)  # (B, C, H, W)
        b = b + channel_attention(q_a, k_b, v_b, self.temperature_b, self.out_b)  # (B, C, H, W)
        both = torch.cat([a, b], dim=1)  # (B, 2C, H, W)
        gate_a, gate_b = parts(both, self.gate_point, self.gate_depth, 2)  # (B, 4C, H, W) each
        value_a = self.value_depth_a(self.value_point_a(a))  # (B, 4C, H, W)
        value_b = self.value_depth_b(self.value_point_b(b))  # (B, 4C, H, W)
        return (
            both + self.gated_out_a(nnf.gelu(gate_a) * value_a) + self.gated_out_b(nnf.gelu(gate_b) * value_b)
        )


def check_pair(I_a: Tensor, I_b: Tensor) -> None:
    """Both images (B, 1, H, W), of one shape and floating point.

    Raises:
        InputError: otherwise.
    """
    for name, image in (("I_a", I_a), ("I_b", I_b)):
        if image.ndim != 4 or image.shape[1] != 1:
            raise InputError(f"{name} has shape {tuple(image.shape)}; expected (B, 1, H, W), gray")
        if not image.is_floating_point():
            raise InputError(f"{name} has dtype {image.dtype}; expected floating point in [0, 1]")
    if I_a.shape != I_b.shape:
        raise InputError(f"I_a {tuple(I_a.shape)} and I_b {tuple(I_b.shape)} differ in shape")


class FusionNet(nn.Module, Pretrained):
    """The fusion network F, Sec. 3.6: ``I_f = F(I_a, I_b)``. 59,856 parameters at the paper's size.

    Args:
        width: channels per modality, a multiple of 8 (paper: 16).
        blocks: Restormer blocks per stage (paper: 2).
    """

    letter = "F"

    def __init__(self, width: int = 16, blocks: int = 2) -> None:
        super().__init__()
        self.encoder_a = Encoder(width, blocks)
        self.encoder_b = Encoder(width, blocks)
        self.fusion = AdaptiveFusion(width)
        self.decoder = nn.Sequential(*(RestormerBlock(2 * width) for _ in range(blocks)))
        self.head = nn.Sequential(conv3x3(2 * width, width), nn.LeakyReLU(0.01), conv3x3(width, 1))

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        """Fuse infrared ``I_a`` and visible ``I_b``, (B, 1, H, W) in [0, 1], into ``I_f`` of the same shape.

        Raises:
            InputError: other shapes or integer images.
        """
        check_pair(I_a, I_b)
        fused = self.fusion(self.encoder_a(I_a), self.encoder_b(I_b))  # (B, 2 width, H, W)
        return self.head(self.decoder(fused)).sigmoid()  # (B, 1, H, W)

    @classmethod
    def from_released(cls, path: str | Path) -> FusionNet:
        """F with the authors' published weights (a ``.pth`` state dict), on the CPU, in eval mode.

        Raises:
            InputError: the file is no such checkpoint; names the missing or odd entries.
        """
        net = cls()
        net.load_state_dict(read_released(path, net.state_dict()))
        return net.eval()

    @classmethod
    def from_file(cls, path: str | Path) -> FusionNet:
        """F from any weight file: ``.safetensors`` of this project, or the authors' ``.pth``.

        Raises:
            InputError: missing, unreadable, or not the weights of F.
        """
        path = Path(path)
        if path.suffix == ".safetensors":
            net = cls()
            net.load_state_dict(read_safetensors(path, net.state_dict()))
            return net.eval()
        return cls.from_released(path)


class LossNet(nn.Module, Pretrained):
    """The loss generation network G, Sec. 3.2 and 3.6. 44,529 parameters at the paper's size.

    Args:
        width: channels per modality, a multiple of 8 (paper: 16).
        blocks: Restormer blocks per stage (paper: 2).

    Example:
        >>> G = LossNet()
        >>> sum(p.numel() for p in G.parameters())
        44529
        >>> w_a, w_b = G(torch.rand(2, 1, 32, 48), torch.rand(2, 1, 32, 48))
        >>> w_a.shape, torch.allclose(w_a + w_b, torch.ones_like(w_a))
        (torch.Size([2, 1, 32, 48]), True)
    """

    letter = "G"

    def __init__(self, width: int = 16, blocks: int = 2) -> None:
        super().__init__()
        self.encoder_a = Encoder(width, blocks)
        self.encoder_b = Encoder(width, blocks)
        self.decoder = nn.Sequential(*(RestormerBlock(2 * width) for _ in range(blocks)))
        self.head = nn.Sequential(conv3x3(2 * width, width), nn.PReLU(), conv3x3(width, 2))

    def forward(self, I_a: Tensor, I_b: Tensor) -> tuple[Tensor, Tensor]:
        """The pixel weights ``{w_a, w_b} = G(I_a, I_b)``, each (B, 1, H, W), with w_a + w_b = 1.

        Raises:
            InputError: images not (B, 1, H, W) floating point of one shape.
        """
        check_pair(I_a, I_b)
        features = torch.cat([self.encoder_a(I_a), self.encoder_b(I_b)], dim=1)  # (B, 2 width, H, W)
        weights = self.head(self.decoder(features)).softmax(dim=1)  # (B, 2, H, W)
        return weights[:, :1], weights[:, 1:]

    @classmethod
    def from_file(cls, path: str | Path) -> LossNet:
        """G from a ``.safetensors`` file of this project, in eval mode (no G was ever released).

        Raises:
            InputError: missing, unreadable, or not the weights of G.
        """
        net = cls()
        net.load_state_dict(read_safetensors(Path(path), net.state_dict()))
        return net.eval()


class MixNet(nn.Module):
    """Exp. V of Table 3 in the place of F: ``I_f = w_a I_a + w_b I_b`` with the weights of G, trained by L_t.

    Args:
        G: a loss generation network; its parameters are this network's.
    """

    def __init__(self, G: nn.Module) -> None:
        super().__init__()
        self.G = G

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] twice -> (B, 1, H, W)."""
        w_a, w_b = self.G(I_a, I_b)
        return w_a * I_a + w_b * I_b
