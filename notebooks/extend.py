# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Add a data set, a task, a network
#
# **A data set, a task, a fusion network or a loss network of your own takes a dozen lines or two and no change to the
# library: hand it to `Trainer(config, F=..., G=..., T=..., pairs=...)`. A data set that lies in folders takes no
# program at all, only a TOML file that says where its images are.**
#
# **What this page shows.** Algorithm 1 with parts of your own: pairs that no reader of this library knows, a task
# $\mathcal{T}$ with its own loss, another fusion network $\mathcal{F}$, another loss network $\mathcal{G}$.
#
# **What it needs.** A few seconds on a CPU.

# %% tags=["hide-input"]
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from tdfusion.config import make_config
from tdfusion.data.images import write_png
from tdfusion.data.pair import Batch, Pair
from tdfusion.data.readers import PairDataset
from tdfusion.data.verify import verify
from tdfusion.figures.panels import history_curves, image_row
from tdfusion.fusing import fuse
from tdfusion.jacobian import directional_derivative, values
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.train import Trainer

_ = keep_freed_memory()

# %% [markdown]
# ## A data set
#
# A source knows its task, its classes, and the name of every pair, and hands out one
# {py:class}`~tdfusion.data.pair.Pair` at a time: gray images in [0, 1], infrared first, with a mask or boxes. Reading
# your files is yours; {py:func}`tdfusion.data.images.read_gray` and {py:func}`~tdfusion.data.images.read_visible` do
# it for PNG, JPEG, TIFF and 16-bit images. This one draws warm discs, which only infrared shows, and painted squares,
# which only the visible image shows.


# %%
class DiscsAndSquares:
    """Pairs of 64x64 pixels: background 0, disc 1 (infrared alone), square 2 (visible alone)."""

    task, classes = "segmentation", ("background", "disc", "square")

    def __init__(self, length: int, seed: int) -> None:
        self.names = tuple(f"pair-{i:03d}" for i in range(length))
        self.seed = seed

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        chance = torch.Generator().manual_seed(1000 * self.seed + index)
        ir, vi = 0.4 + 0.05 * torch.randn(2, 1, 64, 64, generator=chance)  # (1, H, W) each
        mask = torch.zeros(64, 64, dtype=torch.int64)
        y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
        for label, image in ((1, ir), (2, vi)):
            row, column = torch.randint(12, 52, (2,), generator=chance)
            away = torch.stack([y - row, x - column]).float()
            inside = away.norm(dim=0) < 9 if label == 1 else away.abs().amax(0) < 8  # (H, W)
            image[0, inside] += 0.4
            mask[inside] = label
        return Pair(ir=ir.clamp(0, 1), vi=vi.clamp(0, 1), name=self.names[index], mask=mask)


source = DiscsAndSquares(48, seed=0)
pairs = PairDataset(source, size=None, crop=(48, 48), augment=frozenset({"crop", "flip"}), seed=0)
pair = source[0]

# %% mystnb={"image": {"alt": "A pair of the home-made data set: a disc in infrared, a square in the visible image, and the mask of both"}, "figure": {"caption": "A pair of the home-made data set.", "name": "fig-extend-pair"}}
figure = image_row({"infrared": pair.ir, "visible": pair.vi, "mask": pair.mask / 2}, maps={"mask": "viridis"})

# %% [markdown]
# ## A data set in folders
#
# Where the pairs lie as files, nothing has to be programmed: a row says where they are, and every command knows the
# data set. The row may be a TOML file, whose path then stands wherever a data set is named. It is the same as a
# {py:class}`~tdfusion.data.row.Layout`, whose attributes it names; here the discs and squares become such a data set.

# %%
folder = Path(tempfile.mkdtemp())
for split, length, seed in (("train", 8, 0), ("test", 2, 1)):
    for pair in DiscsAndSquares(length, seed):
        write_png(folder / split / "thermal" / f"{pair.name}.png", pair.ir)
        write_png(folder / split / "colour" / f"{pair.name}.png", pair.vi)
        write_png(folder / split / "masks" / f"{pair.name}.png", pair.mask[None] / 255)  # class ids
row = folder / "discs.toml"
_ = row.write_text("""
name = "Discs"
ir = "{split}/thermal"
vi = "{split}/colour"
size = [64, 64]

[splits]            # name = pairs; a folder of another name: val = {folder = "validation", count = 2}
train = 8
test = 2

[labels.segmentation]       # or labels.detection, of YOLO .txt or Pascal VOC .xml
classes = ["background", "disc", "square"]
folders = "{split}/masks"
background = 0
""")
print(verify(str(row), folder).verdict)
small = make_config("smoke", dataset=str(row), root=str(folder), crop=48, L=1, M=2, N=2)
trainer = Trainer(small)
trainer.run(progress=False)
print(*(f"{step['phase']}: L_t {step['L_t']:.2f}" for step in trainer.history), sep=", ")

# %% [markdown]
# On the command line and in the notebooks it is the same:
#
# ```
# tdfusion data verify discs.toml --root discs
# tdfusion train --dataset discs.toml --root discs --out runs/discs
# tdfusion downstream --dataset discs.toml --root discs --source runs/discs/F.safetensors --out runs/judged
# papermill notebooks/train.ipynb runs/discs.ipynb -p dataset discs.toml -p root discs
# ```
#
# In a program of yours, {py:func}`tdfusion.data.layouts.register` adds a `Layout` to the table under its name. For a
# published data set that many will use, add the row to the table in `tdfusion/data/layouts.py` itself.
#
# ## A task
#
# A task is a module that takes fused images and their batch and gives a scalar loss
# ({py:class}`tdfusion.tasks.Task`). Where its loss is that of another library, wrap that library's model.


# %%
class SmallSegmenter(nn.Module):
    """T: four convolutions, and the cross-entropy weighted against the many background pixels."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers = [m for width in (1, 16, 16) for m in (nn.Conv2d(width, 16, 5, padding=2), nn.GELU())]
        self.net = nn.Sequential(*layers, nn.Conv2d(16, classes, 1))
        self.register_buffer("weight", torch.tensor([0.2, 1.0, 1.0]))

    def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
        return nnf.cross_entropy(self.net(I_f), batch.mask, self.weight)  # scalar


# %% [markdown]
# ## A fusion network
#
# Anything that maps two images to one: `I_a`, infrared, and `I_b`, visible, (B, 1, H, W) in [0, 1] each, to `I_f` of
# the same shape. The meta-step needs its forward-mode derivative: ordinary layers all have one,
# `scaled_dot_product_attention` on a CPU has not (write attention out, as {py:mod}`tdfusion.models` does). Training
# names the operation that has none; the line below the class asks in advance.


# %%
class Blend(nn.Module):
    """F: a mask chooses between the two images."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(2, 16, 5, padding=2),
            nn.GELU(),
            nn.Conv2d(16, 16, 5, padding=2),
            nn.GELU(),
            nn.Conv2d(16, 1, 1),
        )

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        m = self.net(torch.cat([I_a, I_b], 1)).sigmoid()  # (B, 1, H, W)
        return m * I_a + (1 - m) * I_b


F = Blend()
J_v = directional_derivative(F, values(F), pair.ir[None], pair.vi[None])  # (1, 1, H, W)
print(f"J v of {tuple(J_v.shape)}, finite: {bool(J_v.isfinite().all())}")

# %% [markdown]
# ## A loss network
#
# Anything that maps the same two images to the weights $w_a$, $w_b$ of Eq. (1), (B, 1, H, W) each. The paper's two add
# up to 1 in every pixel, here by a softmax. Ordinary gradients are all that is asked of it.


# %%
class PixelWeights(nn.Module):
    """G: what infrared and visible show around a pixel decides its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(2, 16, 7, padding=3), nn.GELU(), nn.Conv2d(16, 2, 7, padding=3))

    def forward(self, I_a: Tensor, I_b: Tensor) -> tuple[Tensor, Tensor]:
        w = self.net(torch.cat([I_a, I_b], 1)).softmax(1)  # (B, 2, H, W)
        return w[:, :1], w[:, 1:]


# %% [markdown]
# ## Together
#
# The same `Trainer`, the same settings. `dataset="custom"` says that the pairs come from you. What is not given, of
# `F`, `G` and `T`, is the paper's.

# %%
config = make_config(
    "smoke", dataset="custom", crop=48, L=5, M=3, N=12, batch=8,
    alpha=0.0, eta_F=3e-3, eta_T=3e-3, eta_G=1e-3, eta_F_prime=3e-3, eta_T_prime=3e-3,
)  # fmt: skip
trainer = Trainer(config, F=Blend(), G=PixelWeights(), T=SmallSegmenter(3), pairs=pairs)
trainer.run(progress=False)
first, last = (
    next(r for r in rows if r["phase"] == "fusion") for rows in (trainer.history, trainer.history[::-1])
)
print(f"L_f {first['L_f']:.4f} -> {last['L_f']:.4f}, L_t {first['L_t']:.2f} -> {last['L_t']:.2f}")

# %% mystnb={"image": {"alt": "Fusion loss, task loss and mean infrared weight over the steps of the run"}, "figure": {"caption": "The run: fusion loss, task loss and mean weight of infrared.", "name": "fig-extend-history"}}
figure = history_curves(trainer.history)

# %% mystnb={"image": {"alt": "A test pair of the home-made data, its fusion by the home-made network, and the weights"}, "figure": {"caption": "A pair that training never saw, fused by the home-made F, and the weight of infrared (0 purple, 1 orange).", "name": "fig-extend-fused"}}
test = DiscsAndSquares(4, seed=1)[0]
with torch.no_grad():
    w_a, _ = trainer.G(test.ir[None], test.vi[None])
figure = image_row(
    {"infrared": test.ir, "visible": test.vi, "fused": fuse(trainer.F, test.ir, test.vi), "$w_a$": w_a[0]},
    maps={"$w_a$": "PuOr_r"},
    ranges={"$w_a$": (0, 1)},
)

# %% [markdown]
# This shows that the parts fit, not that so short a run has learned anything about discs and squares. Scores come from
# `tdfusion.evaluate.networks.evaluate_network` on your test pairs, or, for any method's folder of images, from
# [`tdfusion evaluate`](../book/use/score.md).
