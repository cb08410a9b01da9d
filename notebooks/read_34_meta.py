# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.4 Learning the loss
#
# **The task's loss reaches the weights through a trial step of the fusion network: other weights would have made
# another step, and that dependence is a derivative, which this page computes and checks in four ways. It is so small,
# $2 \cdot 10^{-10}$ in the median entry, that Eq. (6) as printed moves next to nothing; and one step of the loss
# generation network $\mathcal{G}$ turns what the task asks of each pixel into a nearly common shift of all weights.**
#
# **What this page shows.** The inner update, Eq. (4) and (5), and the outer update, Eq. (6) and (7), each with the code
# that is it and a picture of what one step does to the images; then the checks, and the size of the gradient, which
# decides which optimiser can use it.
#
# **What it needs.** Nothing but the library: two synthetic scenes of 96 by 96 pixels, three networks with a few
# steps of training behind them, under a minute of CPU.
#
# The question that readers of such methods ask first: $\mathcal{G}$ sees no label, and the task loss
# $\mathcal{L}_t$ sees no weight, so how can one train the other? Through a step that was not taken yet.
# $\mathcal{G}$ writes the weights of $\mathcal{L}_f$; *one* gradient step on $\mathcal{L}_f$ turns $\mathcal{F}$
# into $\mathcal{F}'$; $\mathcal{L}_t$ judges what $\mathcal{F}'$ fuses. Other weights would have made another step,
# and another step another $\mathcal{L}_t$. That is a derivative, and it can be computed:
#
# $$
# \theta_\mathcal{G} \to w_a, w_b \to \mathcal{L}_f \to \theta_{\mathcal{F}'} \to I_f^{mts} \to \mathcal{L}_t
# $$
#
# The pairs come from the two disjoint subsets of {doc}`read_33_partition`: *mtr* for the step, *mts* for the judgement.

# %% tags=["hide-input"]
import copy

import matplotlib.pyplot as plt
import seaborn as sns
import torch
from IPython.display import Markdown, display

from tdfusion.algorithm import NormalisedGradient
from tdfusion.data.pair import Batch, collate
from tdfusion.data.synthroad.scenes import CLASSES, SynthRoad
from tdfusion.figures.panels import image_row, visible_rgb
from tdfusion.losses import fusion_loss
from tdfusion.meta import (
    call,
    directional_derivative,
    inner_update_F,
    inner_update_T,
    meta_gradient,
    outer_update,
    pixel_push,
    task_gradient,
    values,
)
from tdfusion.models import FusionNet, LossNet
from tdfusion.reference.double_backward import plain_meta_gradient
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.results.paper import format_table
from tdfusion.tasks.segmentation import SegmentationTask

keep_freed_memory()
scenes = SynthRoad("train", length=64, size=(96, 96), seed=0)


def batch(index: int, dtype: torch.dtype = torch.float32, scenes: SynthRoad = scenes) -> Batch:
    """One scene as a batch."""
    b = collate([scenes[index]])
    return Batch(b.ir.to(dtype), b.vi.to(dtype), b.names, b.mask, b.boxes)


def warm_up(F, G, T, batches, lr: float) -> None:
    """Fusion steps, Eq. (8) and (9), with the weights that G has: F and T move, G does not."""
    optimisers = [torch.optim.Adam(net.parameters(), lr=lr) for net in (F, T)]
    for b in batches:
        with torch.no_grad():
            w_a, w_b = G(b.ir, b.vi)
        I_f = F(b.ir, b.vi)
        for loss, optimiser in zip((fusion_loss(I_f, b.ir, b.vi, w_a, w_b), T(I_f.detach(), b)), optimisers):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()


torch.manual_seed(0)
F, G, T = FusionNet(), LossNet(), SegmentationTask(len(CLASSES))
untrained = copy.deepcopy(F), copy.deepcopy(T).eval()
warm_up(F, G, T, (batch(i) for i in range(36)), lr=1e-3)
T.eval()  # no dropout: two evaluations of L_t agree

mtr, mts = batch(36), batch(38)
eta_F_prime = eta_T_prime = 1e-4

# %% [markdown]
# $\mathcal{F}$, $\mathcal{G}$ and $\mathcal{T}$ have the paper's size. $\mathcal{F}$ and $\mathcal{T}$ took 36 fusion
# steps at a learning rate of $10^{-3}$ so that the pictures below mean something; $\mathcal{G}$ is untrained. The
# step sizes of the meta-step are $10^{-4}$.

# %% mystnb={"image": {"alt": "Six panels: infrared, visible and fused image of the meta-training pair and of the meta-test pair"}, "figure": {"caption": "Top: the meta-training pair, on which the inner update steps. Bottom: the meta-test pair, on which the outer update judges. Right: what F fuses after its 36 steps.", "name": "fig-meta-pairs"}}
with torch.no_grad():
    I_f = {"mtr": F(mtr.ir, mtr.vi), "mts": F(mts.ir, mts.vi)}
panels = {}
for role, index in (("mtr", 36), ("mts", 38)):
    pair = scenes[index]
    panels |= {
        f"$I_a^{{{role}}}$": pair.ir,
        f"{role}: visible": visible_rgb(pair),
        f"$I_f^{{{role}}}$": I_f[role][0],
    }
figure = image_row(panels, columns=3)

# %% [markdown]
# ## The inner update, Eq. (4) and (5)
#
# $$
# \theta_{\mathcal{F}'} = \theta_\mathcal{F} - \eta_{\mathcal{F}'}
# \frac{\partial \mathcal{L}_f(I_a^{mtr}, I_b^{mtr}, I_f^{mtr}; \theta_\mathcal{G})}{\partial \theta_\mathcal{F}}
# $$ (eq-4)
#
# ```{libcode} tdfusion.meta.inner_update_F
# :nodoc:
# ```
#
# This is one plain gradient step. $\mathcal{F}'$ is not a second network here but a set of parameter *values* with
# which $\mathcal{F}$ is called; $\mathcal{F}$ itself stays where it is. (The released code keeps a second set of
# weights in every layer instead, and a flag says which one a call uses.)

# %%
theta_F = {name: value.clone().requires_grad_() for name, value in values(F).items()}
w_a, w_b = G(mtr.ir, mtr.vi)  # (1, 1, H, W) each
L_f = fusion_loss(call(F, theta_F, mtr.ir, mtr.vi), mtr.ir, mtr.vi, w_a.detach(), w_b.detach())
slope = dict(zip(theta_F, torch.autograd.grad(L_f, list(theta_F.values()))))
theta_F_prime = inner_update_F(values(F), slope, eta_F_prime)
with torch.no_grad():
    I_f_prime = call(F, theta_F_prime, mtr.ir, mtr.vi)
    L_f_prime = fusion_loss(I_f_prime, mtr.ir, mtr.vi, w_a, w_b)
moved = (I_f_prime - I_f["mtr"])[0]
common = moved.mean() ** 2 / moved.square().mean()
print(f"L_f changes by {L_f_prime - L_f:.0e}, a pixel of I_f by {255 * moved.abs().mean():.2f} of 255")
print(f"share of the squared change that is one common shift: {common:.0%}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: bars of the relative step size for the five parts of F. Right: fused image before the step, after it, and their difference"}, "figure": {"caption": "What the inner update does. Left: length of the step of each part of F, as a share of the length of its parameters. Right: the image before and after, and the difference, whose colour scale is stretched to the largest change.", "name": "fig-meta-inner"}}
parts = list(dict.fromkeys(name.split(".")[0] for name in theta_F))


def length(theta: dict, part: str) -> float:
    return (
        torch.stack([t.square().sum() for n, t in theta.items() if n.split(".")[0] == part])
        .sum()
        .sqrt()
        .item()
    )


share = [eta_F_prime * length(slope, part) / length(values(F), part) for part in parts]
figure, (bars, before, after, change) = plt.subplots(
    1, 4, figsize=(10.4, 2.7), width_ratios=(1.35, 1, 1, 1.15), layout="constrained"
)
bars.barh(parts, share, color=sns.color_palette("colorblind")[0])
bars.invert_yaxis()
bars.set(xscale="log", xlabel=r"$\|\theta_{F'} - \theta_F\| \;/\; \|\theta_F\|$")
sns.despine(ax=bars)
for axis, image, title in ((before, I_f["mtr"], "$I_f$"), (after, I_f_prime, "after the step")):
    axis.imshow(image[0, 0], cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=10)
top = moved.abs().max().item()
drawn = change.imshow(moved[0], cmap="RdBu_r", vmin=-top, vmax=top)
change.set_title("difference", fontsize=10)
figure.colorbar(drawn, ax=change, fraction=0.046, pad=0.02)
for axis in (before, after, change):
    axis.axis("off")

# %% [markdown]
# The change is far too small to see, and it is mostly a common shift of brightness: one step of a network moves the
# pixels together, not each on its own.
#
# $\mathcal{T}$ takes its step on the same fused images:
#
# $$
# \theta_{\mathcal{T}'} = \theta_\mathcal{T} - \eta_{\mathcal{T}'}
# \frac{\partial \mathcal{L}_t(I_f^{mtr})}{\partial \theta_\mathcal{T}}
# $$ (eq-5)
#
# ```{libcode} tdfusion.meta.inner_update_T
# :nodoc:
# ```
#
# The fused images are detached: this step changes $\mathcal{T}$ alone, and $\theta_{\mathcal{T}'}$ does not depend on
# $\theta_\mathcal{G}$. Why step at all, if $\mathcal{T}$ adds nothing to the derivative? The authors' answer to a
# reader: $\mathcal{T}$ starts untrained and is trained together with $\mathcal{F}$, so a $\mathcal{T}$ that never moved
# in between would judge by what it knew some time ago.

# %%
theta_T_prime, L_t = inner_update_T(T, I_f["mtr"], mtr, eta_T_prime)
with torch.no_grad():
    print(f"L_t on mtr {L_t:.4f} -> {call(T, theta_T_prime, I_f['mtr'], mtr):.4f}")

# %% [markdown]
# ## The outer update, Eq. (6) and (7)
#
# $$
# \theta_\mathcal{G} = \theta_\mathcal{G} - \eta_\mathcal{G}
# \frac{\partial \mathcal{L}_t(I_f^{mts})}{\partial \theta_\mathcal{G}}
# $$ (eq-6)
#
# with $I_f^{mts} = \mathcal{F}'(I_a^{mts}, I_b^{mts})$, judged by $\mathcal{T}'$, and by the chain rule
#
# $$
# \frac{\partial \mathcal{L}_t}{\partial \theta_\mathcal{G}} =
# \frac{\partial \mathcal{L}_t}{\partial \theta_{\mathcal{F}'}} \left( -\eta_{\mathcal{F}'}
# \frac{\partial^2 \mathcal{L}_f(I_a^{mtr}, I_b^{mtr}, I_f^{mtr}; \theta_\mathcal{G})}
# {\partial \theta_\mathcal{F}\, \partial \theta_\mathcal{G}} \right)
# $$ (eq-7)
#
# There are two factors. The first, $v = \partial \mathcal{L}_t / \partial \theta_{\mathcal{F}'}$, is an ordinary
# gradient: how should the parameters of $\mathcal{F}'$ have moved?
#
# ```{libcode} tdfusion.meta.task_gradient
# :nodoc:
# ```

# %%
v, L_t_mts, _ = task_gradient(F, theta_F_prime, T, theta_T_prime, mts)
print(f"L_t on mts, after the inner updates: {L_t_mts:.4f}")

# %% [markdown]
# The second factor has as many rows as $\mathcal{F}$ has parameters and as many columns as $\mathcal{G}$ has. It is
# never formed. $\mathcal{L}_f$ depends on $\theta_\mathcal{F}$ through $I_f$ alone and on $\theta_\mathcal{G}$ through
# $w$ alone, so the product with $v$ happens **in the pixels of the meta-training pair**:
#
# $$
# v^\top \frac{\partial^2 \mathcal{L}_f}{\partial \theta_\mathcal{F}\, \partial \theta_\mathcal{G}} =
# \frac{\partial}{\partial \theta_\mathcal{G}}
# \Big\langle \frac{\partial \mathcal{L}_f}{\partial I_f}(w),\; J v \Big\rangle
# $$
#
# with $J = \partial I_f^{mtr} / \partial \theta_\mathcal{F}$. $J v$ is an image: how $I_f^{mtr}$ changes when
# $\theta_\mathcal{F}$ moves along $v$. It takes one forward-mode derivative.
#
# ```{libcode} tdfusion.meta.directional_derivative
# :nodoc:
# ```
#
# ```{libcode} tdfusion.meta.pixel_push
# :nodoc:
# ```
#
# For Eq. (2) and $w_b = 1 - w_a$ the bracket's derivative in $w_a$ is $2 (I_b - I_a) \odot J v / HW$, pixel by pixel.
# Times $-\eta_{\mathcal{F}'}$ it is $\partial \mathcal{L}_t / \partial w_a$: **what the task, judging another pair,
# has to say about each weight of this one.** The rest is one backward pass through $\mathcal{G}$.

# %%
J_v = directional_derivative(F, v, mtr.ir, mtr.vi)  # (1, 1, H, W)
w = w_a.detach().requires_grad_()  # (1, 1, H, W)
push = -eta_F_prime * pixel_push(I_f["mtr"], mtr.ir, mtr.vi, w, 1 - w, J_v, fusion_loss)
(dL_t_dw_a,) = torch.autograd.grad(push, w)  # (1, 1, H, W)

# %% [markdown]
# `meta_gradient` does all of this in one call and goes on to $\theta_\mathcal{G}$:

# %%
inner = {"loss": fusion_loss, "eta_F_prime": eta_F_prime, "eta_T_prime": eta_T_prime}
step = meta_gradient(F, G, T, mtr, mts, **inner)
g = torch.cat([entry.flatten() for entry in step.theta_G.values()])
print(f"{g.numel():,} entries; median size {g.abs().median():.0e}, largest {g.abs().max():.0e}")

# %% [markdown]
# ```{libcode} tdfusion.meta.meta_gradient
# :nodoc:
# ```
#
# Its last line is Eq. (7), an ordinary backward pass through $\mathcal{G}$ alone:
#
# ```{libcode} tdfusion.meta.gradient_of_G
# :nodoc:
# ```
#
# The step itself is left to an optimiser, because the paper and its code take it differently (below):
#
# ```{libcode} tdfusion.meta.outer_update
# :nodoc:
# ```

# %% tags=["hide-input"]
eta_G = 1e-4


def updated(make, *arguments, **options) -> torch.nn.Module:
    """A copy of G after one outer update."""
    other = copy.deepcopy(G)
    outer_update(other, step.theta_G, make(other.parameters(), *arguments, **options))
    return other


with torch.no_grad():
    after = {
        name: other(mtr.ir, mtr.vi)[0] - w_a
        for name, other in {
            "Adam": updated(torch.optim.Adam, lr=eta_G, eps=1e-16),
            "normalised": updated(NormalisedGradient, lr=eta_G),
        }.items()
    }


# %% tags=["hide-input"] mystnb={"image": {"alt": "Six panels: the directional derivative J v, the change of the weights that the task asks for, the difference of the sources, the weights of the untrained G, and the change of the weights after one outer update by Adam and by the released normalised step. The asked change has both signs in fine detail; both actual changes are almost uniform and orange"}, "figure": {"caption": "One outer update, seen on the meta-training pair. Top: J v; what the task asks of each weight, which is J v times the third panel up to a factor, orange for more infrared; the difference of the sources. Bottom: the weights that G writes, and how they change when G takes one step.", "name": "fig-meta-outer"}}
def symmetric(image: torch.Tensor) -> tuple[float, float]:
    top = image.abs().quantile(0.995).item()
    return -top, top


asked = -dL_t_dw_a
outer = {
    "$J v$": J_v,
    r"asked: $-\partial L_t / \partial w_a \times 10^{10}$": 1e10 * asked,
    "$I_b - I_a$": mtr.vi - mtr.ir,
    "$w_a - 1/2$, before": w_a.detach() - 0.5,
    "change of $w_a$, Adam": after["Adam"],
    "change of $w_a$, normalised": after["normalised"],
}
figure = image_row(
    {title: image[0] for title, image in outer.items()},
    maps=dict.fromkeys(outer, "PuOr_r") | {"$J v$": "RdBu_r", "$I_b - I_a$": "gray"},
    ranges={title: symmetric(image) for title, image in outer.items()},
    columns=3,
)
figure.set_size_inches(8.4, 4.9)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = [("asked", f"{1e10 * asked.mean():+.1f}e-10", f"{1e10 * asked.std():.1f}e-10", "")]
for name, change in after.items():
    r = torch.corrcoef(torch.stack([change.flatten(), asked.flatten()]))[0, 1]
    rows.append((name, f"{change.mean():+.4f}", f"{change.std():.4f}", f"{r:+.2f}"))
header = ("change of $w_a$", "mean", "sd", "correlation")
display(Markdown(format_table(header, rows)))

# %% [markdown]
# The table has mean and standard deviation over the pixels, and the correlation with what is asked. What the task asks
# for is written pixel by pixel, in both signs, and its mean is positive here. What $\mathcal{G}$ does in one step is
# close to a common shift of all weights: the pixels share its 44,529 parameters, and the answer that they can give
# together at once is the average one. Both steps lower $\mathcal{L}_t$ to first order, since they go against its
# gradient; neither reproduces the map. Whether many steps do is an experiment of its own ({doc}`read_44_mechanism`);
# this page does not show it.

# %% [markdown]
# ## Four checks
#
# **Finite differences.** Write the whole meta-step a second time, with copies of the networks and two plain
# `torch.optim.SGD` steps; move $\theta_\mathcal{G}$ by $\pm h$ along a random direction $d$; the change of
# $\mathcal{L}_t$ over $2h$ must be the meta-gradient times $d$. In double precision, with networks of width 8 and one
# block, after 12 fusion steps, and with inner steps of 0.1, so that the difference stands above rounding.

# %%
small = SynthRoad("train", length=64, size=(64, 64), seed=0)
torch.manual_seed(0)
nets = [
    FusionNet(width=8, blocks=1).double(),
    LossNet(width=8, blocks=1).double(),
    SegmentationTask(len(CLASSES), hidden_sizes=[8, 16, 24, 32], decoder_hidden_size=32).double(),
]
warm_up(*nets, (batch(i, torch.float64, small) for i in range(12)), lr=3e-3)
nets[2].eval()
pairs = [batch(i, torch.float64, small) for i in (38, 39)]
d = {name: torch.randn_like(value) for name, value in values(nets[1]).items()}
norm = torch.stack([t.square().sum() for t in d.values()]).sum().sqrt()
d = {name: t / norm for name, t in d.items()}


def judged(h: float) -> torch.Tensor:
    """L_t of F' and T' with theta_G moved by h along d. No code of tdfusion.meta."""
    F_, G_, T_ = (copy.deepcopy(net) for net in nets)
    (a, b), test = (pairs[0].ir, pairs[0].vi), pairs[1]
    with torch.no_grad():
        for name, parameter in G_.named_parameters():
            parameter += h * d[name]
        weights = G_(a, b)
    fused = F_(a, b)
    fusion_loss(fused, a, b, *weights).backward()
    T_(fused.detach(), pairs[0]).backward()
    for net in (F_, T_):
        torch.optim.SGD(net.parameters(), lr=0.1).step()
    with torch.no_grad():
        return T_(F_(test.ir, test.vi), test)


options = {"loss": fusion_loss, "eta_F_prime": 0.1, "eta_T_prime": 0.1}
exact = meta_gradient(*nets, *pairs, **options).theta_G
along_d = sum((exact[name] * d[name]).sum() for name in d)
error = {}
for h in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
    numeric = (judged(h) - judged(-h)) / (2 * h)
    error[h] = abs(numeric / along_d - 1).item()
for h, relative in error.items():
    print(f"h = {h:.0e}: relative error {relative:.0e}")

# %% tags=["nbval-check-output"]
print("finite differences agree to better than 1 in 10,000:", min(error.values()) < 1e-4)

# %% [markdown]
# The difference shrinks with $h$ down to where rounding takes over; larger $h$ straddle the kinks of the absolute
# value in Eq. (3) and of the rectifiers.
#
# **The other way of computing it.** The paper keeps the graph of the inner step and differentiates through it. The
# library has that too, beside its own code (`tdfusion.reference`); the two agree to rounding. What the forward-mode
# form saves in time and memory is measured in {doc}`bench`.

# %% tags=["nbval-check-output"]
kept = plain_meta_gradient(*nets, *pairs, **options)
gap = max((exact[name] - kept[name]).abs().max() / kept[name].abs().max() for name in kept)
print("forward mode and double backward agree to 12 digits:", bool(gap < 1e-12))

# %% [markdown]
# **Nothing but $\mathcal{G}$ moves.** Every number in the three networks before and after a whole meta-step, the
# running means of $\mathcal{T}$'s batch norm included:

# %% tags=["nbval-check-output"]
T.train()  # as in training: batch norm would write its running means
G_after = copy.deepcopy(G)
nets_of_step = {"F": F, "T": T, "G": G_after}
before = {name: copy.deepcopy(net.state_dict()) for name, net in nets_of_step.items()}
found = meta_gradient(F, G_after, T, mtr, mts, **inner)
outer_update(G_after, found.theta_G, torch.optim.Adam(G_after.parameters(), lr=eta_G, eps=1e-16))
for name, net in nets_of_step.items():
    now = net.state_dict()
    same = [torch.equal(old, now[key]) for key, old in before[name].items()]
    print(f"{name}: {sum(same)} of {len(same)} tensors unchanged")

# %% [markdown]
# **First-order MAML gives nothing.** The usual shortcut drops the second derivative: it treats
# $\theta_{\mathcal{F}'}$ as if it did not depend on $\theta_\mathcal{G}$. Here that dependence is the only path there is:

# %% tags=["nbval-check-output"]
constant = {name: value.detach().requires_grad_() for name, value in theta_F_prime.items()}
T.eval()
L_t_first_order = call(T, theta_T_prime, call(F, constant, mts.ir, mts.vi), mts)
reached = torch.autograd.grad(L_t_first_order, list(G.parameters()), allow_unused=True)
print(f"{sum(g_i is not None for g_i in reached)} of {len(reached)} tensors of G receive a gradient")

# %% [markdown]
# ## How small the gradient is
#
# An entry of the meta-gradient is $\eta_{\mathcal{F}'} = 10^{-4}$ times a mean over pixels of
# $2 (I_b - I_a) \odot J v$, a few hundredths or less here ({numref}`fig-meta-outer`), times the derivative of $w_a$ in that
# entry. The figure shows the sizes of all entries, for the networks of this page and for untrained ones, beside the
# number $\epsilon$ that Adam adds where it divides by the gradient's running size.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Histogram of the sizes of the entries of the meta-gradient on a logarithmic axis; nearly all lie below 1e-7, those of untrained networks below 1e-9, with vertical lines at 1e-16, 1e-10 and 1e-8"}, "figure": {"caption": "Sizes of the entries of dL_t/dtheta_G, and three values of Adam's epsilon: the usual one, that of an optimiser which the released code sets up for G, and the one of this library.", "name": "fig-meta-size"}}
first = meta_gradient(untrained[0], G, untrained[1], mtr, mts, **inner)
g_first = torch.cat([entry.flatten() for entry in first.theta_G.values()])
figure, axis = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
bins = torch.linspace(-17, -6, 111).numpy()
colours = sns.color_palette("colorblind")
for entries, name, colour in (
    (g_first, "F and T untrained", colours[0]),
    (g, "after 36 fusion steps", colours[1]),
):
    sizes = entries[entries != 0].abs().log10().numpy()
    axis.hist(sizes, bins=bins, histtype="step", color=colour, label=name, linewidth=1.4)
for eps in (-16, -10, -8):
    axis.axvline(eps, color="0.4", linestyle=":", linewidth=1.2)
    axis.text(
        eps + 0.08, axis.get_ylim()[1], f"$\\epsilon = 10^{{{eps}}}$", color="0.3", fontsize=9, va="bottom"
    )
axis.set(xlabel="size of an entry, power of ten", ylabel="entries of G")
axis.set_xlim(-17, -4)
axis.legend(frameon=False, loc="upper right")
sns.despine(figure)

# %% [markdown]
# Where $\epsilon$ is the larger of the two, Adam stops being Adam: it takes a plain gradient step of size
# $\eta_\mathcal{G} / \epsilon$, and small entries stay where they are. The table is one step with these two gradients by
# each rule, all at $\eta_\mathcal{G} = 10^{-4}$: the median move of an entry for untrained networks and after 36 steps,
# the largest move after 36 steps (these in double precision), and how many entries of $\mathcal{G}$ change their value
# at all in single precision.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rules = {
    "Eq. (6) as printed": (torch.optim.SGD, {}),
    r"Adam, $\epsilon = 10^{-8}$": (torch.optim.Adam, {"eps": 1e-8}),
    r"Adam, $\epsilon = 10^{-10}$": (torch.optim.Adam, {"eps": 1e-10}),
    r"Adam, $\epsilon = 10^{-16}$": (torch.optim.Adam, {"eps": 1e-16}),
    "normalised": (NormalisedGradient, {}),
}
rows = []
for name, (make, extra) in rules.items():
    moves = {}
    for key, source, dtype in (
        ("untrained", first, torch.float64), ("trained", step, torch.float64), ("held", step, torch.float32)
    ):  # fmt: skip
        one = copy.deepcopy(G).to(dtype)
        gradient = {part: entry.to(dtype) for part, entry in source.theta_G.items()}
        outer_update(one, gradient, make(one.parameters(), lr=eta_G, **extra))
        old, new = (torch.cat([t.flatten() for t in values(net).values()]) for net in (G, one))
        moves[key] = (new - old.to(dtype)).abs()
    sizes = (moves["untrained"].median(), moves["trained"].median(), moves["trained"].max())
    rows.append((name, *(f"{size:.0e}" for size in sizes), f"{(moves['held'] > 0).sum():,}"))
header = ("rule", "median: untrained", "36 steps", "largest", "entries changed")
display(Markdown(format_table(header, rows)))
print(f"entries of G: {g.numel():,}; exactly 0 before the step: {(old == 0).sum():,}")

# %% [markdown]
# - **Eq. (6) as printed**, at the learning rate of Sec. 4.1, moves next to nothing that single precision can hold: hardly
#   more entries change than the 256 that are exactly 0 (the biases of the layer norms of an untrained $\mathcal{G}$).
# - **Adam with its usual epsilon** moves the typical entry far less than its learning rate says, and the less the
#   younger the networks.
# - **The released step** divides by the largest entry of the whole network: the largest moves by $\eta_\mathcal{G}$
#   whatever the gradient's size, the others in proportion, the typical entry about a thousand times less. The size of
#   the gradient drops out.
# - **This library's default** is Adam, as Sec. 4.1 says, with $\epsilon = 10^{-16}$: below the gradient of every part
#   of the network, so that the learning rate means what it says.
#
# These are first steps from rest; later ones use running averages of such gradients.

# %% [markdown]
# ## Paper versus released code
#
# | | `paper` | `released` |
# |---|---|---|
# | step of $\mathcal{G}$, Eq. (6) | Adam, $10^{-4}$ (Sec. 4.1) | $\theta_\mathcal{G} \leftarrow \theta_\mathcal{G} - \eta\, g / \max \lvert g \rvert$, the maximum over all of $\mathcal{G}$ |
# | $\mathcal{G}$'s own optimiser | | Adam with $\epsilon = 10^{-10}$ is set up, and never steps |
# | $\eta_{\mathcal{F}'}$ and $\eta_\mathcal{G}$ | not given | both are the current learning rate of $\mathcal{F}$, which decays |
# | step of $\mathcal{T}'$, Eq. (5) | plain gradient step | a step of $\mathcal{T}$'s own Adam; the weights are put back afterwards, Adam's running averages are not |
# | how $\mathcal{T}$ is put back | | written to disk and read again, twice in every meta-step |
# | images that $\mathcal{T}$ sees | not given | whole pairs, resized (MSRS to 240 by 320); $\mathcal{L}_f$ sees crops of 256 by 256 |
#
# The library has the first, third, fourth and last as settings (`G_update`, `eta_F_prime`, `T_prime_update`, `task_size`
# of {py:class}`tdfusion.config.TrainConfig`). It keeps $\theta_{\mathcal{T}'}$ in memory, and it does not carry the side
# effect on $\mathcal{T}$'s running averages: its $\mathcal{T}'$ takes the step that Adam *would* take.
#
# ```{libcode} tdfusion.algorithm.NormalisedGradient
# :nodoc:
# ```
#
# Where $\mathcal{F}$ and $\mathcal{T}$ themselves learn is the next page, {doc}`read_35_fusion_learning`.

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 3.4-1: Twice the inner step
#
# Double $\eta_{\mathcal{F}'}$. What happens to the gradient that $\mathcal{G}$ receives, and what to the step that Adam makes of it?
# Use the small networks of the four checks, at the paper's $10^{-4}$.
#
# :::{dropdown} Solution
# In Eq. (7) the step size stands in front, so the gradient doubles. It does so only nearly: $v$ is taken at
# $\theta_{\mathcal{F}'}$, which moves too. Adam divides by the size of the gradient, so a common factor drops out of its step
# as long as $\epsilon$ is small beside the gradient. **Within a range, $\eta_{\mathcal{F}'}$ is not a setting at all when
# $\mathcal{G}$ is moved by Adam with a small $\epsilon$.** The released step, which divides by the largest entry, has the same
# property. Eq. (6) as printed does not: there the two step sizes act as their product.
# :::


# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
def first_step_of_G(eta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """dL_t / dtheta_G, and Adam's first step along it, each in one row."""
    gradient = meta_gradient(*nets, *pairs, loss=fusion_loss, eta_F_prime=eta, eta_T_prime=1e-4).theta_G
    moved = copy.deepcopy(nets[1])
    outer_update(moved, gradient, torch.optim.Adam(moved.parameters(), lr=1e-4, eps=1e-16))
    change = [new - old for new, old in zip(values(moved).values(), values(nets[1]).values())]
    return torch.cat([x.flatten() for x in gradient.values()]), torch.cat([x.flatten() for x in change])


(g_1, step_1), (g_2, step_2) = first_step_of_G(1e-4), first_step_of_G(2e-4)
print(f"length of the gradient: times {g_2.norm() / g_1.norm():.2f}")
print(f"length of Adam's step:  times {step_2.norm() / step_1.norm():.2f}")

# %% [markdown]
# ### Exercise 3.4-2: Exchange the modalities
#
# Leave $\mathcal{F}$ and $J v$ as they are, and exchange the two sources in $\mathcal{L}_f$, so that $w_a$ weighs the visible
# image. What happens to $\partial \mathcal{L}_t / \partial w_a$? At which pixels does the exchange make no difference?
#
# :::{dropdown} Solution
# The slope is $-\eta_{\mathcal{F}'}\, 2 (I_b - I_a) \odot J v / HW$. The exchange turns $I_b - I_a$ round and leaves the rest,
# so every pixel's slope changes its sign, whatever the weights are. It makes no difference where the slope is 0: where $I_a = I_b$,
# and where $J v = 0$. There $\mathcal{G}$ is told nothing.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
exchanged = -eta_F_prime * pixel_push(I_f["mtr"], mtr.vi, mtr.ir, w, 1 - w, J_v, fusion_loss)
(slope,) = torch.autograd.grad(exchanged, w)
largest = dL_t_dw_a.abs().max()
print("sign turned at every pixel:", torch.allclose(slope / largest, -dL_t_dw_a / largest, atol=1e-5))

# %% [markdown]
# ### Exercise 3.4-3: When Adam is no longer Adam
#
# By how much does Adam's very first step move an entry with gradient $g$? How large must $\lvert g \rvert$ be, beside
# $\epsilon$, for at least half of the learning rate?
#
# :::{dropdown} Solution
# After the correction for the start, the running mean is $g$ and the running square is $g^2$, so the step is
# $\eta\, g / (\lvert g \rvert + \epsilon)$. It is half of $\eta$ at $\lvert g \rvert = \epsilon$. With the usual
# $\epsilon = 10^{-8}$ an entry of size $10^{-11}$ moves a thousandth of the learning rate, and behaves as under plain
# gradient descent with the step $\eta / \epsilon$.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
eta = 1e-4
for g_i in (1e-7, 1e-8, 1e-11):
    entry = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    entry.grad = torch.full_like(entry, g_i)
    torch.optim.Adam([entry], lr=eta, eps=1e-8).step()
    print(f"gradient {g_i:.0e}: moves {-entry.item() / eta:.3f} of the learning rate")

# %% [markdown]
# ### Exercise 3.4-4: A task whose answer is known
#
# Write a $\mathcal{T}$ for which you know what $\mathcal{G}$ should learn: its loss is the squared distance of $I_f$ from the
# infrared image. ($\mathcal{T}$ needs a parameter for Eq. (5) to step on; one gain will do.) Alternate a meta-step with a
# fusion step, twelve times. Does $\mathcal{G}$ find the answer? And if the task wants the visible image?
#
# :::{dropdown} Solution
# It does, and quickly: $w_a$ goes towards 1 for the one task and towards 0 for the other. The gradient says the same at almost all
# pixels, which is the best case for the common shift that one step of $\mathcal{G}$ can make. It is a test of the machinery that a sign
# error would fail, and not yet a hard question.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
from collections.abc import Callable

from tdfusion.algorithm import fusion_step, meta_step, start
from tdfusion.data.pair import FusionBatch, MetaBatch


class Like(torch.nn.Module):
    """T whose task is to look like ``wanted(I_a, I_b)``."""

    def __init__(self, wanted: Callable) -> None:
        super().__init__()
        self.wanted, self.gain = wanted, torch.nn.Parameter(torch.ones(()))

    def forward(self, I_f: torch.Tensor, batch: Batch) -> torch.Tensor:
        return (self.gain * I_f - self.wanted(batch.ir, batch.vi)).square().mean()


def learn(wanted: Callable, steps: int) -> torch.nn.Module:
    """G after so many meta-steps and fusion steps on scenes of 32 pixels."""
    tiny = SynthRoad("train", length=3 * steps, size=(32, 32), seed=0)
    torch.manual_seed(0)
    nets = (FusionNet(width=8, blocks=1), LossNet(width=8, blocks=1), Like(wanted))
    state = start(*nets, eta_F=3e-3, eta_G=3e-3, eta_T=1e-4)
    for k in range(steps):
        mtr, mts, ftr = (collate([tiny[3 * k + i]]) for i in range(3))
        meta_step(state, MetaBatch(mtr, mts), loss=fusion_loss, eta_F_prime=1e-3, eta_T_prime=1e-4)
        with torch.no_grad():
            weights = state.G(ftr.ir, ftr.vi)
        fusion_step(state, FusionBatch(ftr), *weights, loss=fusion_loss)
    return state.G


for name, wanted in (("infrared", lambda a, b: a), ("visible", lambda a, b: b)):
    found, _ = learn(wanted, 12)(mts.ir, mts.vi)
    print(f"the task wants {name}: mean w_a above 1/2: {found.mean().item() > 0.5}")

# %% [markdown]
# ### Exercise 3.4-5: A task that asks pixel by pixel (about two minutes)
#
# Now the task wants the darker of the two pixels, `torch.minimum`. The best map is known: $w_a = 1$ where infrared is darker, 0
# elsewhere. Let `learn` take a hundred steps and compare the mean of $w_a$ in the two kinds of places. Does $\mathcal{G}$ find the map?
#
# :::{dropdown} Solution
# ```python
# G_dark = learn(torch.minimum, 100)
# with torch.no_grad():
#     found, _ = G_dark(mts.ir, mts.vi)
# darker = mts.ir < mts.vi
# print(f"w_a where infrared is darker {found[darker].mean():.2f}, elsewhere {found[~darker].mean():.2f}")
# ```
#
# In our runs it does not: $w_a$ ends near 1 in both places, within a hundredth. Three times as many steps do not change that, nor does
# $\alpha = 0$, nor (at $\alpha = 0$) a ten times smaller $\eta_\mathcal{G}$. The likely reasons: one constant, "infrared, which is darker at most
# pixels of these scenes", lowers the task loss first, because it is what one step of $\mathcal{G}$ can do; and a softmax that has
# gone to 1 hardly has a gradient left to come back by (exercise 3.7-1 of {doc}`read_37_theory`). The task loss falls meanwhile, so a
# falling task loss is no sign that the map is found.
# :::
