"""Fusing in tiles: what is cut and pasted is exact; only attention makes it differ from the whole image."""

from __future__ import annotations

import torch

from studies.tiling import fuse_in_tiles
from tdfusion.models import FusionNet

REACH = 13  # px that F's convolutions see


def fused(tiles: int, margin: int, attention: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The image fused whole, and in tiles; without attention every temperature is zero."""
    F = FusionNet().double()  # rounding far below what a missing pixel of margin does
    with torch.no_grad():
        for name, parameter in F.named_parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))  # an untrained F hardly looks beyond 8 px
            if "temperature" in name and not attention:
                parameter.zero_()
        I_a, I_b = torch.rand(2, 1, 1, 45, 63, dtype=torch.float64)
        return F(I_a, I_b), fuse_in_tiles(F, I_a, I_b, tiles, margin)


def test_one_tile_is_the_whole_image() -> None:
    assert torch.equal(*fused(1, 0, attention=True))


def test_without_attention_a_margin_of_the_convolutions_reach_is_enough_and_no_less() -> None:
    torch.testing.assert_close(*fused(2, REACH, attention=False), rtol=0, atol=1e-12)
    whole, tiled = fused(2, REACH - 1, attention=False)
    assert (whole - tiled).abs().max() > 1e-8


def test_with_attention_the_same_margin_is_not_enough() -> None:
    whole, tiled = fused(2, REACH, attention=True)
    assert (whole - tiled).abs().max() > 1e-3
