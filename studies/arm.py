"""One way to train on scenes in memory, and every number of it. No torch here: the Snakefile reads it."""

from __future__ import annotations

from dataclasses import dataclass

from tdfusion.config import Method


@dataclass(frozen=True)
class Arm:
    """One way to train; every number of it."""

    F: str = "mask centred"  # "mask", "mask centred", "paper 8" (width 8, 1 block), "paper" (full width)
    # "half", "oracle", "learned", "direct" (G trained as the mix), "random" or another rule of
    # `studies.plain_weights`, or "ARM" / "ARM shuffled" of a done arm
    w: str = "learned"
    G: str = "local"  # "local" or "paper" (full width)
    method: Method = "forward"
    alpha: float = 0.0
    variant: str = "paper"  # of L_f and of the partition
    G_update: str = "adam"
    batch: int = 16
    L: int = 10  # epochs
    M: int = 12  # meta-steps per epoch
    N: int = 24  # fusion steps per epoch
    warm: int = 48  # fusion steps before the first epoch
    eta_F: float = 3e-3
    eta_T: float = 3e-3
    eta_G: float = 3e-3
    standardised: bool = True  # T's input in the loop
    falling: bool = False  # eta_G falls to a tenth, linearly over the epochs
    task_weight: float = 0.0  # of L_t in the loss that moves F (Exp. III of Table 3)
