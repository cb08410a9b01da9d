"""What studies judge without any F: either source, both side by side, and the two plain rules."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

PLAIN_IMAGES: dict[
    str, Callable[[Tensor, Tensor], Tensor]
] = {  # (I_a, I_b), each (N, 1, H, W) -> (N, C, H, W)
    "infrared": lambda I_a, I_b: I_a,
    "visible": lambda I_a, I_b: I_b,
    "mean": lambda I_a, I_b: (I_a + I_b) / 2,
    "max": torch.maximum,
    "two channels": lambda I_a, I_b: torch.cat([I_a, I_b], 1),
}
