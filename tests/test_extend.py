"""Parts of one's own, one at a time beside the paper's others, through Algorithm 1 to a fused image."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from tdfusion.config import make_config
from tdfusion.data.pair import Batch
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.errors import InputError
from tdfusion.fusing import fuse
from tdfusion.models import FusionNet, LossNet
from tdfusion.train import Trainer


class Attention(nn.Module):
    """Fused attention over pixels, which has no forward-mode derivative on a CPU."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.embed, self.head = nn.Conv2d(2, width, 8, 8), nn.ConvTranspose2d(width, 2, 8, 8)

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        x = self.embed(torch.cat([I_a, I_b], 1))  # (B, width, h, w)
        q = x.flatten(2).mT[:, None].contiguous()  # (B, 1, hw, width)
        return self.head(nnf.scaled_dot_product_attention(q, q, q)[:, 0].mT.reshape(x.shape))  # (B, 2, H, W)


class OwnF(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        return self.net(torch.cat([I_a, I_b], 1)).sigmoid()


class AttentionF(Attention):
    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        return super().forward(I_a, I_b)[:, :1].sigmoid()


class OwnG(Attention):
    """Ordinary gradients suffice for G, so fused attention will do."""

    def forward(self, I_a: Tensor, I_b: Tensor) -> tuple[Tensor, Tensor]:
        w = super().forward(I_a, I_b).softmax(1)
        return w[:, :1], w[:, 1:]


class OwnT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(1, 9, 3, padding=1)

    def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
        return nnf.cross_entropy(self.net(I_f), batch.mask)


SMALL = {"scene_size": (64, 64), "crop": 64, "L": 1, "M": 2, "N": 2, "width": 8, "blocks": 1}


@pytest.mark.parametrize("given", [("F",), ("G",), ("T",), ("F", "G", "T")], ids="".join)
def test_a_part_of_ones_own_is_trained_and_used(given: tuple[str, ...]) -> None:
    parts = {name: {"F": OwnF, "G": OwnG, "T": OwnT}[name]() for name in given}
    before = {name: [p.clone() for p in net.parameters()] for name, net in parts.items()}
    trainer = Trainer(make_config("smoke", **SMALL), **{"T": OwnT()} | parts)
    trainer.run(progress=False)
    assert isinstance(trainer.F, OwnF if "F" in given else FusionNet)
    assert isinstance(trainer.G, OwnG if "G" in given else LossNet)
    for name, net in parts.items():
        assert any(not torch.equal(*pair) for pair in zip(before[name], net.parameters())), (
            f"{name} stood still"
        )
    pair = SynthRoad(length=1, size=(64, 64))[0]
    assert fuse(trainer.F, pair.ir, pair.vi).shape == (1, 64, 64)


def test_an_F_without_a_forward_mode_derivative_is_named_with_the_operation() -> None:
    trainer = Trainer(make_config("smoke", **SMALL), F=AttentionF(), T=OwnT())
    with pytest.raises(InputError, match=r"F \(AttentionF\) holds an operation without .*scaled_dot_product"):
        trainer.run(progress=False)
