# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.6 The networks
#
# **The fusion network $\mathcal{F}$ has 59,856 parameters and the loss generation network $\mathcal{G}$ 44,529, far
# fewer than either task network, and all of them work at full resolution. Their attention sums over the whole image, so
# an image fused in tiles is not the image fused whole. And an untrained $\mathcal{G}$ already writes weights near 1/2
# with a trace of the scene in them, so that a map of weights proves nothing by looking like the scene.**
#
# **What this page shows.** The three networks, drawn and counted; the block that the first two are built from; and what
# makes the library's form of it faster without changing a value.
#
# **What it needs.** Nothing but the library: one synthetic scene, networks that were not trained, well under a
# minute of CPU.
#
# Only $\mathcal{F}$ is used when images are fused. $\mathcal{G}$ and $\mathcal{T}$ exist to train it. $\mathcal{F}$ has
# the architecture of ReFusion, reference [5] of the paper {cite}`bai2024refusion`. $\mathcal{G}$ is made of the same
# parts. $\mathcal{T}$ is whatever the task brings: the smallest SegFormer {cite}`xie2021segformer` or the smallest
# YOLOv8 {cite}`jocher2023yolov8`.
#
# ```{figure} ../book/images/networks.svg
# :name: fig-networks-two
# :alt: Two columns. Left F: a convolution and two Restormer blocks per modality, adaptive fusion module, two Restormer blocks, two convolutions, sigmoid. Right G: the same, with concatenation in place of the fusion module and softmax at the end
# :class: no-card dark-light
# :width: 560px
#
# $\mathcal{F}$ and $\mathcal{G}$ with the channels between their parts. Orange sees infrared, blue sees visible, the
# rest sees both. RTB is the Restormer block. Every part keeps the height and width of the image.
# ```
#
# The two differ in three places: where the modalities meet (a module of its own, or plain concatenation), in the
# activation before the last convolution, and at the end. A sigmoid makes one image in $[0, 1]$. A softmax makes two
# weights whose sum is 1 at every pixel, the constraint $w_a + w_b = 1$ of Sec. 3.2.
#
# ```{libcode} tdfusion.models.FusionNet.forward
# :nodoc:
# ```
#
# ```{libcode} tdfusion.models.LossNet.forward
# :nodoc:
# ```
#
# The order of the arguments matters: infrared first. Each modality has an encoder of its own, with weights of its
# own.
#
# ## The Restormer block
#
# ```{figure} ../book/images/restormer_block.svg
# :name: fig-networks-block
# :alt: The block as a line with two residual steps, and its two halves. MDTA: convolutions give q, k and v; a small matrix from q and k multiplies v. GDFN: convolutions, one half through GELU multiplies the other
# :class: no-card dark-light
# :width: 560px
#
# The Restormer block at width C. LN is layer norm over the channels of each pixel. No convolution has a bias.
# ```
#
# The block of {cite:t}`zamir2022restormer` has two halves, each added to its input. The first, MDTA, lets *channels*
# attend to channels. The channels are divided among 8 heads, $c = C/8$ each, and the pixels stand in one long row, so
# that $q_h, k_h, v_h \in \mathbb{R}^{c \times HW}$:
#
# $$
# \mathrm{MDTA}(x) = W \big[\, \mathrm{softmax}\big(\tau_h\, \hat q_h \hat k_h^{\top}\big)\, v_h \,\big]_h
# $$
#
# The hat divides each row by its length, and the heads' results are stacked before $W$. The attention matrix is
# $c \times c$, so the cost grows with the number of pixels, not with its square. The second half, GDFN, is a small
# network per pixel in which one half of the hidden channels gates the other.
#
# ```{libcode} tdfusion.models.RestormerBlock
# :nodoc:
# ```
#
# ```{libcode} tdfusion.models.MDTA
# :nodoc:
# ```
#
# ## Where the modalities meet
#
# ```{figure} ../book/images/adaptive_fusion.svg
# :name: fig-networks-afm
# :alt: Two columns for infrared and visible. Queries cross over to the other column, keys and values stay. Below, both results are concatenated, and a gate computed from both multiplies each modality before all is added
# :class: no-card dark-light
# :width: 560px
#
# The adaptive fusion module of $\mathcal{F}$, with channels. The numbers beside the gate are its two halves.
# ```
#
# In $\mathcal{F}$, attention is crossed: infrared's channels are mixed by how well visible's queries match infrared's
# keys, and the other way round. Then a gate computed from both decides, per pixel and channel, how much of each
# passes.
#
# ```{libcode} tdfusion.models.AdaptiveFusion.forward
# :nodoc:
# ```
#
# ## How large
#
# Counted by code, part by part. $\mathcal{T}$ is given for the class counts of MSRS (9 with background) and M3FD (6).

# %% tags=["hide-input"]
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from torch.utils.flop_counter import FlopCounterMode

import tdfusion
from tdfusion import results
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.models import FusionNet, LossNet
from tdfusion.tasks import build_task
from tdfusion.weights import released_name

ROOT = Path(tdfusion.__file__).parents[1]
from tdfusion.reference.networks import PlainFusionNet, PlainLossNet

sys.path.append(str(ROOT))
from studies.tiling import fuse_in_tiles

torch.manual_seed(0)
F, G = FusionNet(), LossNet()
T = {"SegFormer-B0": build_task("segmentation", 9), "YOLOv8n": build_task("detection", 6)}

# %% tags=["nbval-check-output"]


def count(net) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


for name, net in (("F", F), ("G", G)):
    print(f"{name:<20}{count(net):>10,}")
    for part, module in net.named_children():
        print(f"    {part:<16}{count(module):>10,}")
for name, net in T.items():
    print(f"T, {name:<17}{count(net):>10,}")

# %% [markdown]
# $\mathcal{F}$ and $\mathcal{G}$ together are far smaller than either task network: the loss that is learned costs
# little beside the task that teaches it. In both, the two blocks of width 32 in the decoder are the largest part.
#
# Operations are counted with `torch.utils.flop_counter.FlopCounterMode`. It counts what convolutions and matrix
# products do, a multiplication and an addition as two. It leaves out everything else: layer norm, softmax, GELU, the
# lengths of q and k, sigmoid, resizing; and it knows nothing of memory traffic, so it does not tell how long a pass
# takes. One forward pass of one pair or image, no gradients.

# %% tags=["nbval-check-output", "hide-input"]


def flops(run, size: tuple[int, int], device: str) -> int:
    """Of ``run(image)`` for one gray image of that size; on "meta" nothing is computed."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(torch.zeros(1, 1, *size, device=device))
    return counter.get_total_flops()


on_meta = {
    "F": FusionNet().to("meta"),
    "F, plain": PlainFusionNet().to("meta"),
    "G": LossNet().to("meta"),
    "T, SegFormer-B0": build_task("segmentation", 9).to("meta"),
}
runs = {name: (lambda x, net=net: net(x, x), "meta") for name, net in on_meta.items()}
runs["T, SegFormer-B0"] = (on_meta["T, SegFormer-B0"].logits, "meta")
runs["T, YOLOv8n"] = (T["YOLOv8n"].eval().network, "cpu")
print(f"{'':<15} kFLOP per pixel   GFLOP\n{'':<15}{'128x128':>8}{'640x480':>8}{'640x480':>8}")
for name, (run, device) in runs.items():
    small, large = flops(run, (128, 128), device), flops(run, (480, 640), device)
    print(f"{name:<15}{small / 128**2 / 1e3:>8.1f}{large / 480 / 640 / 1e3:>8.1f}{large / 1e9:>8.1f}")

# %% [markdown]
# $\mathcal{F}$ costs the same per pixel at any size, because nothing in it is downsampled and its attention is between
# channels. SegFormer's attention is between pixels, so it grows. Per pixel $\mathcal{F}$ is the most expensive of the
# four, although it is the second smallest: all of its 59,856 parameters work at full resolution.
#
# ## What G writes before it has learned
#
# A network that ends in a softmax starts near the middle. The next figure takes twenty untrained $\mathcal{G}$, each
# with another seed, and asks each for $w_a$ of the same scene.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: histograms of the weights of twenty untrained networks, all narrow and near one half. Right: the infrared image and the weight map of one network, in which the image can be recognised"}, "figure": {"caption": "Left: histograms of $w_a$ over the pixels of one scene, one line per seed. Middle: the infrared image. Right: $w_a$ of seed 0 on a scale of its own (mean ± 3 standard deviations).", "name": "fig-networks-untrained"}}
scene = SynthRoad(split="test", length=40, size=(96, 128), seed=0)
night = next(i for i in range(len(scene)) if scene.condition(i) == "night")
pair = scene[night]
I_a, I_b = pair.ir[None], pair.vi[None]  # (1, 1, H, W) each
written = []
for seed in range(20):
    torch.manual_seed(seed)
    with torch.no_grad():
        w_a, w_b = LossNet()(I_a, I_b)
    assert torch.allclose(w_a + w_b, torch.ones_like(w_a))
    written.append(w_a[0, 0])
written = torch.stack(written)  # (20, H, W)

figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(8, 2.5), layout="constrained", width_ratios=(1.3, 1, 1)
)
edges = np.linspace(written.min().item(), written.max().item(), 120)
for w_a in written:
    left.stairs(np.histogram(w_a, edges)[0], edges, color="#8e68d2", alpha=0.7)
left.axvline(0.5, color="0.5", linewidth=0.8, linestyle=":")
left.set(xlabel="$w_a$", ylabel="pixels", title="20 untrained G")
sns.despine(ax=left)
middle.imshow(pair.ir[0], cmap="gray", vmin=0, vmax=1)
middle.set_title("infrared $I_a$")
mean, spread = written[0].mean().item(), 3 * written[0].std().item()
shown = right.imshow(written[0], cmap="PuOr_r", vmin=mean - spread, vmax=mean + spread)
right.set_title("$w_a$ of seed 0")
figure.colorbar(shown, ax=right, fraction=0.05, format="%.3f")
for axis in (middle, right):
    axis.axis("off")

# %%
means, spreads = written.mean((1, 2)), written.std((1, 2))
print("w_a over pixels, 20 seeds")
print(f"mean                {means.min():.3f} to {means.max():.3f}")
print(f"standard deviation  {spreads.min():.3f} to {spreads.max():.3f}")

# %% [markdown]
# So training starts from "both sources equally", whatever the seed, plus a trace of the image: every pixel passes
# through the same layers, which react to what they see. That the trace looks like a preference is a coincidence of
# the initial weights. The paper says that the softmax "removes the reliance on initialization"; what the figure
# supports is the weaker statement that it starts every seed at nearly the same place.
#
# It also means that a map of $w_a$ proves nothing by looking like the scene. A trained $\mathcal{G}$ has to be compared
# with this one.
#
# ## Attention sees the whole image
#
# The convolutions of $\mathcal{F}$ look 13 pixels far: one in the encoder's first convolution, two in each of its two
# blocks, two in the fusion module, two in each block of the decoder, two in the head. The attention matrices, on the
# other hand, are sums over *all* pixels. Change one corner of the infrared image, and the whole fused image changes.
#
# As a control, set every temperature $\tau_h$ to zero. The softmax of zeros is uniform, so attention becomes a fixed
# average that looks at nothing, and only convolutions are left.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels: the infrared image with an inverted corner; the change of the fused image, everywhere above zero; the change without attention, zero beyond 13 pixels from the corner"}, "figure": {"caption": "One corner of $I_a$ inverted (left), and the logarithm of the change of $I_f$, as a share of the standard deviation of $I_f$. Black is exactly zero. The line marks how far convolutions reach.", "name": "fig-networks-global"}}
PATCH, REACH = 16, 13  # px
torch.manual_seed(0)
F, blind = FusionNet(), FusionNet()
blind.load_state_dict(F.state_dict())
with torch.no_grad():
    for name, parameter in blind.named_parameters():
        if "temperature" in name:
            parameter.zero_()
changed = I_a.clone()
changed[..., :PATCH, :PATCH] = 1 - changed[..., :PATCH, :PATCH]
shift, tiled, contrast = {}, {}, {}
with torch.no_grad():
    for name, net in (("attention", F), ("no attention", blind)):
        I_f = net(I_a, I_b)
        contrast[name] = I_f.std().item()
        shift[name] = (net(changed, I_b) - I_f).abs()[0, 0]  # (H, W)
        tiled[name] = (fuse_in_tiles(net, I_a, I_b, 2, REACH) - I_f).abs()[0, 0]  # (H, W)

figure, axes = plt.subplots(1, 3, figsize=(8, 2.5), layout="constrained")
axes[0].imshow(changed[0, 0], cmap="gray", vmin=0, vmax=1)
axes[0].set_title("$I_a$, one corner inverted")
colours = plt.get_cmap("viridis").with_extremes(bad="black")
for axis, name in zip(axes[1:], shift):
    share = shift[name] / contrast[name]
    drawn = axis.imshow(share.log10().where(share > 0, torch.nan), cmap=colours, vmin=-4, vmax=1)
    axis.set_title({"attention": "change of $I_f$", "no attention": "the same without attention"}[name])
figure.colorbar(drawn, ax=axes[1:], fraction=0.05, label="log$_{10}$ of the share")
for axis in axes:
    axis.axis("off")
    edge = PATCH + REACH - 0.5
    axis.plot([-0.5, edge, edge], [edge, edge, -0.5], color="white", linewidth=1, linestyle="--")

# %% tags=["nbval-check-output"]
beyond = torch.ones_like(I_a[0, 0], dtype=torch.bool)
beyond[: PATCH + REACH, : PATCH + REACH] = False
print("pixels changed beyond the line")
for name in shift:
    share = (shift[name][beyond] > 0).float().mean().item()
    print(f"{name:<14}{share:>5.0%}")

# %% [markdown]
# **Therefore an image fused in tiles is not the image fused whole**, even with a margin around each tile that is cut
# off again. The convolutions are satisfied by 13 pixels of margin; the attention of a tile never learns about the
# other tiles.

# %% tags=["hide-input"]
print(f"untrained, margin {REACH} px, in std of I_f")
for name in tiled:
    print(f"{name:<14}largest {tiled[name].max() / contrast[name]:.3f}")
print("\nweights of [5], in gray levels of 255")
for (image, margin), row in results.wide(results.load("tiling"), "image", "arm").iterrows():
    print(
        f"{image} {margin.removeprefix('margin '):>6} {row['largest change']:>7.1f} {row['mean change']:>6.2f}"
    )

# %% [markdown]
# All changes are for 2x2 tiles. The first lines are this page's untrained network. The others are the authors' weights
# of reference [5] on two MSRS pairs of 640x480 pixels, by margin: the largest and the mean change of the fused image.
# They come from `studies/tiling.py`, which needs the real pairs. With a margin, about ten gray levels remain at the
# worst pixel, and they do not vanish as the margin grows.
#
# Training has the same trait. $\mathcal{L}_f$ is computed on crops, of 256 pixels in the released code and in ours,
# while whole images are fused at test time, so the attention matrices of test time are not those of training.
#
# ## Same function, faster
#
# {py:mod}`tdfusion.models` computes what the drawings say, in another order. Three rewrites, none of which changes the
# function:
#
# - **Channels last.** The channels of a pixel lie next to each other in memory. 1x1 convolutions and layer norm then
#   read memory in order, and layer norm needs no reshaped copy.
# - **The Gram matrix.** Written plainly, q and k are divided by their lengths, which writes two more copies of the
#   size of the image times C. But $\hat q \hat k^{\top} = q k^{\top} / (\lVert q \rVert \lVert k \rVert^{\top})$: the
#   lengths can divide the small matrix instead. The product is taken for all heads at once and the blocks on the
#   diagonal are kept. That wastes arithmetic, the reason why the table above shows a few more FLOP than for the plain
#   form, and saves memory traffic.
# - **One matrix for two.** Attention and the 1x1 convolution after it are both matrices that act on channels:
#   $W (A v) = (W A) v$. The small product is taken first, and $v$ is read once.
#
# ```{libcode} tdfusion.models.channel_attention
# :nodoc:
# ```
#
# `tdfusion/reference/networks.py` holds the same networks without any of this, written as one would first write them.
# The largest difference of the outputs, with parameters moved away from their initial ones and zeros:

# %% tags=["hide-input"]
torch.manual_seed(1)
for name, fast, plain in (("F", FusionNet(), PlainFusionNet()), ("G", LossNet(), PlainLossNet())):
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    plain.load_state_dict(fast.state_dict())
    for dtype in (torch.float32, torch.float64):
        a, b = (image[..., :48, :64].to(dtype) for image in (I_a, I_b))
        with torch.no_grad():
            one, other = fast.to(dtype)(a, b), plain.to(dtype)(a, b)
        if name == "G":
            one, other = one[0], other[0]
        print(f"{name}, {str(dtype)[6:]}: {(one - other).abs().max():.0e}")

# %% [markdown]
# The differences are rounding, in both precisions. How much faster it is, and on which machine, is measured in
# {doc}`bench`.
#
# ## Paper versus released code
#
# The paper says of $\mathcal{F}$ that it "shares the same architecture as [5]", is built on the Restormer block and
# contains an adaptive fusion module; of $\mathcal{G}$ it says that it uses the same block and ends in a softmax.
# Widths, heads and numbers of blocks are not given. The authors published four trained $\mathcal{F}$, and the shapes in
# those files settle most of it: 16 channels per modality, 8 temperatures per attention and so 8 heads, 2 blocks per
# stage, no biases. What has no parameters cannot be read from a file: the slope 0.01 of LeakyReLU, the sigmoid, the
# constant of layer norm come from the released code. With the published weights of [5], which have the same names
# and shapes, a test compares the output of our $\mathcal{F}$ with that of the authors' code on two real pairs.
#
# The files have one oddity. They hold 140 entries where the network has fewer, because every convolution is
# registered under two names (ours, and theirs below it):

# %% tags=["nbval-check-output"]
state = F.state_dict()
convolutions = [name for name, value in state.items() if value.ndim == 4]
print(f"{len(state)} + {len(convolutions)} convolutions again = {len(state) + len(convolutions)}")
for name in ("encoder_a.blocks.0.attn.out.weight", "fusion.temperature_a", "head.2.weight"):
    theirs = released_name(name)
    print(f"{name}\n    {theirs}")
    if name in convolutions:
        print(f"    {theirs.removesuffix('.weight')}.conv.weight")

# %% [markdown]
# The reason is the meta-step. The released networks keep, beside each weight, a second one that holds the value after
# the inner update, and a convolution class of their own registers its weight once itself and once through the layer
# inside it. The second values are not in the files. In this library a network is a function of its parameters and
# the updated values are passed to it, so nothing stands twice (see the questions in {doc}`read_31_overview`).
# {py:meth}`tdfusion.models.FusionNet.from_released` checks that both names hold the same values and refuses a file in
# which they do not.
#
# $\mathcal{G}$ and $\mathcal{T}$ are in none of the files: the released training script saves $\mathcal{F}$ only. A
# trained $\mathcal{G}$, and with it the weight maps of the paper's Fig. 5, has to be trained again.

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 3.6-1: Count by hand
#
# From the drawing of the Restormer block, write its number of parameters as a function of its width $C$: 8 heads, layer norms with
# weight and bias, no other biases, depthwise convolutions of 3 by 3. Do the same for the adaptive fusion module, and add up
# $\mathcal{F}$ for $C = 16$.
#
# :::{dropdown} Solution
# | part | Restormer block | adaptive fusion |
# |---|---:|---:|
# | layer norms | $4C$ | |
# | temperatures | $8$ | $16$ |
# | q, k, v: point and depth | $3C^2 + 27C$ | $2(3C^2 + 27C)$ |
# | projection | $C^2$ | $2C^2$ |
# | gate: point and depth | | $16C^2 + 72C$ |
# | values, or both halves of GDFN: point and depth | $4C^2 + 36C$ | $8C^2 + 72C$ |
# | output | $2C^2$ | $16C^2$ |
# | sum | $10C^2 + 67C + 8$ | $48C^2 + 198C + 16$ |
#
# $\mathcal{F}$ has two encoders, each with a convolution of $9C$ and two blocks; the fusion module; two blocks of width $2C$;
# and a head of $18C^2 + 9C$. The block of width $2C$ has four times the squares, so two of them outweigh four narrow ones.
# :::


# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
def block(C: int) -> int:
    return 10 * C**2 + 67 * C + 8


C = 16
by_hand = {
    "encoder_a": 9 * C + 2 * block(C),
    "encoder_b": 9 * C + 2 * block(C),
    "fusion": 48 * C**2 + 198 * C + 16,
    "decoder": 2 * block(2 * C),
    "head": 18 * C**2 + 9 * C,
}
print({name: number == count(getattr(F, name)) for name, number in by_hand.items()})
print(f"F by hand: {sum(by_hand.values()):,}")

# %% [markdown]
# ### Exercise 3.6-2: How far a convolution looks
#
# This page says 13 pixels for $\mathcal{F}$. How many for $\mathcal{G}$? And for $\mathcal{F}$ with one block per stage? Find a
# way to measure it with one backward pass.
#
# :::{dropdown} Solution
# Every 3 by 3 convolution adds one pixel in each direction. $\mathcal{F}$: $1 + 2 \cdot 2 + 2 + 2 \cdot 2 + 2 = 13$.
# $\mathcal{G}$ has no fusion module: 11. With one block per stage $\mathcal{F}$ loses two blocks of two pixels: 9.
#
# To measure it, switch attention off (all temperatures 0), and differentiate one pixel of the output in the whole input. The
# gradient is zero where the pixel does not look.
# :::


# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
def reach(net: torch.nn.Module, side: int = 41) -> int:
    """How far the middle pixel of the output looks without attention, in pixels."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "temperature" in name:
                parameter.zero_()
    a, b = torch.rand(2, 1, 1, side, side, dtype=torch.float64)
    out = net.double()(a.requires_grad_(), b)
    out = out[0] if isinstance(out, tuple) else out
    (gradient,) = torch.autograd.grad(out[0, 0, side // 2, side // 2], a)
    return int(gradient[0, 0].abs().sum(0).nonzero().max()) - side // 2


torch.manual_seed(0)
print("F", reach(FusionNet()), " G", reach(LossNet()), " F, one block", reach(FusionNet(blocks=1)))

# %% [markdown]
# ### Exercise 3.6-3: What attention does not know
#
# Shuffle the pixels of q, k and v in the same way. What does channel attention give? What can it therefore say about an image,
# and what not?
#
# :::{dropdown} Solution
# The same result, shuffled. The attention matrix holds sums over all pixels, and a sum does not care for order. Attention between
# channels knows *how much* of one pattern goes with another in the whole image, and nothing of *where*. All that $\mathcal{F}$
# and $\mathcal{G}$ know of places comes from convolutions, and reaches no farther than the exercise before this one says. What comes from
# afar is a few statistics of the whole image.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
from tdfusion.models import channel_attention, PixelLinear

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 16, 12, 20)
order = torch.randperm(12 * 20)


def shuffled(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2)[..., order].view_as(x)


temperature, projection = torch.ones(8, 1, 1), PixelLinear(16, 16)
straight = channel_attention(q, k, v, temperature, projection)
other = channel_attention(shuffled(q), shuffled(k), shuffled(v), temperature, projection)
print("the same, shuffled:", torch.allclose(shuffled(straight), other, atol=1e-5))

# %% [markdown]
# ### Exercise 3.6-4: One output would do
#
# $\mathcal{G}$ ends in two channels and a softmax. Show that one channel and a sigmoid can write the same weights. How many
# parameters are one too many, and how can you tell from their gradient?
#
# :::{dropdown} Solution
# $e^{x} / (e^{x} + e^{y}) = 1 / (1 + e^{-(x - y)})$: only the difference of the two channels counts. The last convolution has
# two filters of $9 \cdot 16 = 144$ numbers, and one filter, their difference, writes the same $w_a$: 144 parameters could be saved.
# Whatever the loss, the gradients of the two filters are opposite, so plain gradient steps and Adam from rest never change their sum.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
torch.manual_seed(0)
net = LossNet()
w_a, _ = net(I_a, I_b)
(gradient,) = torch.autograd.grad((w_a * torch.rand_like(w_a)).sum(), net.head[2].weight)
largest = gradient.abs().max()
print("filters:", tuple(gradient.shape))
print("opposite gradients:", torch.allclose(gradient[0] / largest, -gradient[1] / largest, atol=1e-4))
