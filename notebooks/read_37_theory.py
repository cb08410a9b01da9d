# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.7 What Eq. (11) says, and what it should say
#
# **The loss generation network is taught by an inner product of two gradients: at every pixel the weight of a source
# grows where its pull on the fusion network agrees better with the task's gradient than the pull of the other source.
# The paper's Eq. (11) says so with a bracket that is not a valid expression and with the wrong sign. Corrected, it
# equals the gradient that the paper's algorithm computes, which never uses Eq. (11).**
#
# **What this page shows.** Eq. (11) derived from Eq. (10), with computer algebra for the pixels; where the print
# departs from it; the result checked numerically in four ways; and what the inner product predicts over a training run.
#
# **What it needs.** {doc}`read_32_loss` and {doc}`read_34_meta`. Synthetic scenes of 32 to 64 pixels, under a minute on
# two CPU cores. The training run is in single precision, all else in double.
#
# To be fair from the start: **the algorithm of the paper is right, and so is the authors' code.** Both
# differentiate Eq. (4) and never use Eq. (11). What does not hold is one intermediate expression of the
# explanation. It matters to whoever wants to understand the method from it, or to build on it.

# %% tags=["hide-input"]
import copy
from collections.abc import Iterator
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import sympy as sp
import torch
import torch.nn.functional as nnf
from IPython.display import Markdown, display
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from tdfusion.algorithm import fusion_step, meta_step
from tdfusion.config import make_config
from tdfusion.data.pair import Batch, collate
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.figures.panels import image_row
from tdfusion.losses import fusion_loss, intensity_loss
from tdfusion.meta import (
    call,
    directional_derivative,
    inner_update_F,
    inner_update_T,
    meta_gradient,
    task_gradient,
    values,
)
from tdfusion.models import FusionNet, LossNet
from tdfusion.reference.double_backward import directional_derivative_by_vjp, plain_meta_gradient
from tdfusion.tasks.segmentation import SegmentationTask
from tdfusion.train import Trainer

torch.set_num_threads(1)  # images this small gain nothing from a second thread
blue, orange, green = sns.color_palette("colorblind")[:3]


def flat(gradient: dict[str, Tensor]) -> Tensor:
    """All entries of a gradient in one vector."""
    return torch.cat([g.flatten() for g in gradient.values()])


def apart(found: Tensor, expected: Tensor) -> float:
    """Relative difference of two tensors."""
    return ((found - expected).norm() / expected.norm()).item()


def table(head: list[str], rows: list[list[str]]) -> None:
    """Show a table; its first column is text, the others numbers."""
    rule = [":--", *["--:"] * (len(head) - 1)]
    display(Markdown("\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, rule, *rows))))


# %% [markdown]
# ## The starting point, Eq. (10)
#
# The paper rewrites the intensity loss so that $\mathcal{G}$ and $\mathcal{F}$ become visible in it:
#
# $$
# \begin{aligned}
# \mathcal{L}_f^{int} &= \big[ w_a \odot (I_a - I_f) \odot (I_a - I_f)
#     + w_b \odot (I_b - I_f) \odot (I_b - I_f) \big] \times \frac{1}{HW} \\
# &= \big[ \mathcal{G}(I_a, I_b; \theta_\mathcal{G})
#     \odot (I_a - \mathcal{F}_{\theta_\mathcal{F}}(I_a, I_b)) \odot (I_a - \mathcal{F}_{\theta_\mathcal{F}}(I_a, I_b)) \\
# &\quad + (1 - \mathcal{G}(I_a, I_b; \theta_\mathcal{G}))
#     \odot (I_b - \mathcal{F}_{\theta_\mathcal{F}}(I_a, I_b)) \odot (I_b - \mathcal{F}_{\theta_\mathcal{F}}(I_a, I_b)) \big]
#     \times \frac{1}{HW}
# \end{aligned}
# $$ (eq-10)
#
# Two shorthands: the sum over pixels of Eq. (2) is understood (without it the right side would be an image), and
# $\mathcal{G}(I_a, I_b; \theta_\mathcal{G})$ stands for its first output $w_a$ alone, with $w_b = 1 - w_a$ because of
# the softmax. The gradient term of $\mathcal{L}_f$ is left out, rightly: it contains no weight.
#
# ## Eq. (11) as printed
#
# With $\Omega' = \{\theta_{\mathcal{F}'}, \theta_{\mathcal{T}'}\}$, the parameters of the two clones after the inner
# update, the paper continues:
#
# $$
# \begin{aligned}
# \theta_\mathcal{G} &= \theta_\mathcal{G}
#   - \eta_\mathcal{G} \frac{\partial \mathcal{L}_t^{mts}(\Omega'(\theta_\mathcal{G}))}{\partial \theta_\mathcal{G}} \\
# &= \theta_\mathcal{G}
#   - \eta_\mathcal{G} \frac{\partial \mathcal{L}_t^{mts}(\Omega'(\theta_\mathcal{G}))}{\partial \Omega'}
#   \frac{\partial \Omega'(\theta_\mathcal{G})}{\partial \theta_\mathcal{G}} \\
# &= \theta_\mathcal{G} - \eta_\mathcal{G}
#   \underbrace{\eta_{\mathcal{F}'}
#     \frac{\partial \mathcal{L}_t^{mts}(\Omega'(\theta_\mathcal{G}))}{\partial \Omega'}}_{(a)}
#   \times \frac{\partial \mathcal{G}(I_a, I_b; \theta_\mathcal{G})}{\partial \theta_\mathcal{G}} \\
# &\quad \times \underbrace{\Big[
#     \Big(I_a - \frac{\partial \mathcal{F}_{\theta_\mathcal{F}}}{\partial \theta_\mathcal{F}}\Big)
#     \odot \Big(I_a - \frac{\partial \mathcal{F}_{\theta_\mathcal{F}}}{\partial \theta_\mathcal{F}}\Big)
#   - \Big(I_b - \frac{\partial \mathcal{F}_{\theta_\mathcal{F}}}{\partial \theta_\mathcal{F}}\Big)
#     \odot \Big(I_b - \frac{\partial \mathcal{F}_{\theta_\mathcal{F}}}{\partial \theta_\mathcal{F}}\Big)
#   \Big]}_{(b)} \\
# &= \theta_\mathcal{G} - \eta_\mathcal{G}\, \eta_{\mathcal{F}'}\, \mathbf{G} \times
#   \frac{\partial \mathcal{G}(I_a, I_b; \theta_\mathcal{G})}{\partial \theta_\mathcal{G}}
# \end{aligned}
# $$ (eq-11)
#
# "Here, $\mathbf{G}$ denotes the inner product between two gradients": (a) that of the task loss on the meta-test
# pairs, (b) that of the fusion loss on the meta-training pairs. That sentence is the heart of the section, and it
# is true. The first two lines are true as well. The third is where the trouble begins.

# %% [markdown]
# ## The derivation
#
# ### The pixels
#
# Two pixels and two parameters are enough to see every term. $A_i$ and $B_i$ are the pixels of $I_a$ and $I_b$, $w_i$
# those of $w_a$, and $F_i(\theta_1, \theta_2)$ those of the fused image, arbitrary functions of $\theta_\mathcal{F}$.

# %%
theta_1, theta_2, HW = sp.symbols("theta_1 theta_2 HW")
A_1, A_2, B_1, B_2, w_1, w_2 = sp.symbols("A_1 A_2 B_1 B_2 w_1 w_2")
F_1, F_2 = (sp.Function(name)(theta_1, theta_2) for name in ("F_1", "F_2"))

pixel_1 = w_1 * (A_1 - F_1) ** 2 + (1 - w_1) * (B_1 - F_1) ** 2
pixel_2 = w_2 * (A_2 - F_2) ** 2 + (1 - w_2) * (B_2 - F_2) ** 2
L_int = (pixel_1 + pixel_2) / HW

# %% [markdown]
# The weight of a pixel multiplies the difference of two squares:

# %%
by_weight = sp.diff(L_int, w_1)
display(by_weight)

# %% [markdown]
# and the derivative of that in a parameter of $\mathcal{F}$ is

# %%
mixed = sp.factor(sp.diff(by_weight, theta_1))
display(mixed)

# %% [markdown]
# Two things have cancelled. The fused value itself is gone, since $2(F - A) - 2(F - B) = 2(B - A)$, and no other pixel
# appears. In general:
#
# $$
# \frac{\partial^2 \mathcal{L}_f}{\partial \theta_\mathcal{F}\, \partial w_a^{ij}}
# = \frac{2}{HW} \big(I_b^{ij} - I_a^{ij}\big) \frac{\partial I_f^{ij}}{\partial \theta_\mathcal{F}}
# $$ (eq-B2)
#
# **This is what bracket (b) must be**: for every pixel a vector with one entry per parameter of $\mathcal{F}$. It is
# the difference of two gradients, the pull of $I_a$ on this pixel and the pull of $I_b$.

# %% tags=["nbval-check-output"]
expected = 2 * (B_1 - A_1) * sp.diff(F_1, theta_1) / HW
print("the same as (B2):", sp.simplify(mixed - expected) == 0)

# %% [markdown]
# ### Through the inner step
#
# $\theta_\mathcal{G}$ acts through the weights, the weights through the inner step $\theta_{\mathcal{F}'} =
# \theta_\mathcal{F} - \eta_{\mathcal{F}'}\, \partial \mathcal{L}_f / \partial \theta_\mathcal{F}$ of Eq. (4), and that
# step through the task loss. Write $v = \partial \mathcal{L}_t^{mts} / \partial \theta_{\mathcal{F}'}$ for the last
# link and $J = \partial I_f / \partial \theta_\mathcal{F}$ for the Jacobian on the meta-training pairs. The chain rule
# gives, with (B2),
#
# $$
# \frac{\partial \mathcal{L}_t^{mts}}{\partial w_a^{ij}}
# = v^\top \Big( \!-\eta_{\mathcal{F}'}
#     \frac{\partial^2 \mathcal{L}_f}{\partial \theta_\mathcal{F}\, \partial w_a^{ij}} \Big)
# = -\eta_{\mathcal{F}'} \frac{2}{HW} \big(I_b^{ij} - I_a^{ij}\big) (J v)^{ij}
# $$ (eq-B3)
#
# The minus is that of Eq. (4) and (7): a gradient *descent* step. $J v$ is an image: how the fused
# meta-training image changes when $\theta_\mathcal{F}$ moves along $v$. (With a batch of $B$ pairs, $HW$ becomes
# $B H W$, because $\mathcal{L}_f$ is a mean over the batch as well.)
#
# ### The corrected line
#
# One gradient step $\theta_\mathcal{G} \leftarrow \theta_\mathcal{G} - \eta_\mathcal{G}\, \partial \mathcal{L}_t^{mts} /
# \partial \theta_\mathcal{G}$ is therefore
#
# $$
# \begin{aligned}
# \theta_\mathcal{G} &\leftarrow \theta_\mathcal{G} \mathbin{\boldsymbol{+}} \eta_\mathcal{G}\, \eta_{\mathcal{F}'}
#   \sum_{ij} \mathbf{G}^{ij}\, \frac{\partial w_a^{ij}}{\partial \theta_\mathcal{G}}, \\
# \mathbf{G}^{ij} &= \Big\langle
#   \underbrace{\frac{\partial \mathcal{L}_t^{mts}}{\partial \theta_{\mathcal{F}'}}}_{(a)},\;
#   \underbrace{\frac{1}{HW} \frac{\partial}{\partial \theta_\mathcal{F}} \big[ (I_a^{ij} - I_f^{ij})^2
#     - (I_b^{ij} - I_f^{ij})^2 \big]}_{(b)} \Big\rangle \\
# &= \frac{2}{HW} \big(I_b^{ij} - I_a^{ij}\big) (J v)^{ij}
# \end{aligned}
# $$ (eq-B4)
#
# Set beside Eq. (11), the repair is small: the derivative $\partial / \partial \theta_\mathcal{F}$ moves out of the
# squares to the front of the bracket, and the sign in front of $\eta_\mathcal{G}$ becomes a plus.
#
# **What it says about a pixel.** Gradient descent on $\mathcal{L}_t$ moves $w_a^{ij}$ along $(I_a^{ij} - I_b^{ij})
# \cdot (-J v)^{ij}$. The second factor is how $I_f$ would change if $\mathcal{F}$ stepped down the task loss; the
# first points from visible to infrared. **The weight of infrared grows where moving the fused pixel towards infrared
# agrees with lowering the task loss**, and shrinks where it disagrees. Where the two sources are equal nothing
# happens: there is nothing to choose.

# %% [markdown]
# ## Where the printed bracket departs
#
# **Shapes.** $I_a$ is $H \times W$. $\partial \mathcal{F} / \partial \theta_\mathcal{F}$ is $H \times W \times p$, with
# $p$ the number of parameters. The difference of the two is not defined. Here is the case of a fusion network small
# enough to print its whole Jacobian.


# %% tags=["hide-input"]
class SmallF(nn.Module):
    """A smooth fusion network of 59 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2, 2, 3, padding=1)
        self.out = nn.Conv2d(2, 1, 3, padding=1)
        self.skip = nn.Conv2d(2, 1, 1, bias=False)

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        both = torch.cat([I_a, I_b], 1)
        return (self.out(self.mix(both).tanh()) + self.skip(both)).sigmoid()


class SmallG(nn.Module):
    """One convolution and a softmax, 38 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, I_a: Tensor, I_b: Tensor) -> tuple[Tensor, Tensor]:
        w = self.net(torch.cat([I_a, I_b], 1)).softmax(1)
        return w[:, :1], w[:, 1:]


class SmallT(nn.Module):
    """Segmentation into the 9 classes of the scenes by two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.Conv2d(6, 9, 1))

    def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
        return nnf.cross_entropy(self.net(I_f), batch.mask)


def scene(index: int, size: int = 32) -> Batch:
    """One SynthRoad scene as a batch in double precision."""
    pair = collate([SynthRoad(length=16, size=(size, size))[index]])
    return Batch(pair.ir.double(), pair.vi.double(), pair.names, pair.mask)


# %%
def small_networks(seed: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    torch.manual_seed(seed)
    return SmallF().double(), SmallG().double(), SmallT().double()


def jacobian(F: nn.Module, I_a: Tensor, I_b: Tensor) -> Tensor:
    """J, all of it: (B, 1, H, W, p)."""
    blocks = jacrev(lambda theta: call(F, theta, I_a, I_b))(values(F))
    return torch.cat([block.flatten(4) for block in blocks.values()], dim=-1)


mtr, mts = scene(0), scene(7)
J = jacobian(small_networks(0)[0], mtr.ir, mtr.vi)
print("I_a           ", tuple(mtr.ir[0, 0].shape))
print("dF / dtheta_F ", tuple(J[0, 0].shape))

# %% [markdown]
# **Units.** $I_a$ counts grey levels. $\partial \mathcal{F} / \partial \theta_\mathcal{F}$ counts grey levels *per unit
# of parameter*. Count the parameters in other units, $\theta = s\, \varphi$ (with $s = 2$: store them halved, double them
# inside the network), and the second is multiplied by $s$ while the first stays, although the network computes the
# same image.
#
# **What the bracket holds.** Take one entry $X$ of the Jacobian, so that the difference is one of numbers, and multiply
# out. The squares of $X$ cancel:
#
# $$
# (A - X)^2 - (B - X)^2 = \underbrace{2 (B - A)\, X}_{\text{(B2), right}} + \underbrace{A^2 - B^2}_{\text{stray}}
# $$

# %% tags=["nbval-check-output"]
A, B, X = sp.symbols("A B X")
printed_bracket = (A - X) ** 2 - (B - X) ** 2
print("rest:", sp.expand(printed_bracket - 2 * (B - A) * X))

# %% [markdown]
# So **the printed bracket contains the right term**, and beside it $I_a^2 - I_b^2$, which does not depend on
# $\theta_\mathcal{F}$ at all. That is the trace of the slip: the derivative of $(I_a - \mathcal{F})^2$ was written as
# $(I_a - \partial \mathcal{F})^2$.
#
# **Sign.** Eq. (7) has it right: the chain rule of the second line needs $\partial \theta_{\mathcal{F}'} / \partial
# \theta_\mathcal{G} = -\eta_{\mathcal{F}'}\, \partial^2 \mathcal{L}_f / \partial \theta_\mathcal{F} \partial \theta_\mathcal{G}$.
# The third line of Eq. (11) has $+\eta_{\mathcal{F}'}$; the minus is lost. With $\mathbf{G}$ the inner product of the two
# gradients in the paper's words, the last line must read $\theta_\mathcal{G} + \eta_\mathcal{G}\, \eta_{\mathcal{F}'}
# \mathbf{G} \times \partial \mathcal{G} / \partial \theta_\mathcal{G}$, as in (B4). The printed minus would be right only
# if the two squares in (b) changed places.
#
# **Clones.** $\partial \mathcal{L}_t^{mts} / \partial \Omega'$ in (a) has entries for $\theta_{\mathcal{T}'}$ too, and (b)
# has none for them to meet. In the second line this is harmless: $\theta_{\mathcal{T}'}$ comes from $\theta_\mathcal{T}$
# and from $I_f^{mtr}$, the image fused by the old $\mathcal{F}$, so $\partial \theta_{\mathcal{T}'} / \partial
# \theta_\mathcal{G} = 0$. From the third line on, $\Omega'$ must be $\theta_{\mathcal{F}'}$.
#
# **Scale.** The $1/HW$ of Eq. (10) is gone. It is a constant, to be absorbed in $\eta_\mathcal{G}$.
#
# ### Could it be read in a way that works?
#
# We tried. The truth is $\partial \mathcal{L}_t^{mts} / \partial w_a$, computed by automatic differentiation with the
# weights as free variables and Eq. (4) written out. Against it we put (B3), and the printed form made to fit in two
# ways: one bracket per parameter, contracted with $v$; and the Jacobian summed over the parameters, so that it
# becomes an image. Both get the missing $1/HW$.

# %% tags=["hide-input"]
eta_F_prime, eta_T_prime = 0.1, 0.1


def true_slope(F: nn.Module, T: nn.Module, eta: float = eta_F_prime) -> tuple[Tensor, Tensor]:
    """dL_t / dw_a at w = 1/2 by plain automatic differentiation, and v as a vector."""
    theta = {name: value.clone().requires_grad_() for name, value in values(F).items()}
    w_a = torch.full_like(mtr.ir, 0.5).requires_grad_()
    I_f = call(F, theta, mtr.ir, mtr.vi)
    L_f = fusion_loss(I_f, mtr.ir, mtr.vi, w_a, 1 - w_a)
    step = torch.autograd.grad(L_f, list(theta.values()), create_graph=True)
    theta_F_prime = {name: theta[name] - eta * g for name, g in zip(theta, step)}
    theta_T_prime, _ = inner_update_T(T, I_f, mtr, eta_T_prime)
    L_t = call(T, theta_T_prime, call(F, theta_F_prime, mts.ir, mts.vi), mts)
    (slope,) = torch.autograd.grad(L_t, w_a, retain_graph=True)  # (B, 1, H, W)
    v = torch.autograd.grad(L_t, list(theta_F_prime.values()))
    return slope, torch.cat([v_i.flatten() for v_i in v])


# %%
def corrected(J: Tensor, v: Tensor, eta: float) -> Tensor:
    """(B3)."""
    return -eta * 2 * (mtr.vi - mtr.ir) * (J @ v) / mtr.ir.numel()


def printed(J: Tensor, v: Tensor, eta: float, summed: bool = False) -> Tensor:
    """Bracket (b) of Eq. (11), made to fit."""
    if summed:  # over the parameters
        J = J.sum(-1, keepdim=True).expand_as(J)
    I_a, I_b = mtr.ir[..., None], mtr.vi[..., None]
    bracket = (I_a - J) ** 2 - (I_b - J) ** 2  # (B, 1, H, W, p)
    return eta * (bracket @ v) / mtr.ir.numel()


# %% tags=["hide-input"] mystnb={"image": {"alt": "Three scatter plots of a formula's value against the true slope, a point per pixel: corrected form exactly on the diagonal, the two printed readings off it on lines and fans of other slopes"}, "figure": {"caption": "One point per pixel of the meta-training image: a formula for the slope of $L_t$ in $w_a$ against the slope itself, in units of its largest value. Left: (B3). Middle and right: the two readings of the printed bracket. Dashed: equality. One small random network.", "name": "fig-theory-readings"}}
def correlation(x: Tensor, y: Tensor) -> float:
    return torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1].item()


rows = {}
for seed in range(6):
    F, _, T = small_networks(seed)
    J = jacobian(F, mtr.ir, mtr.vi)
    truth, v = true_slope(F, T)
    forms = {
        "corrected (B3)": corrected(J, v, eta_F_prime),
        "printed, per parameter": printed(J, v, eta_F_prime),
        "printed, Jacobian summed": printed(J, v, eta_F_prime, summed=True),
    }
    rows[seed] = {name: (correlation(form, truth), apart(form, truth)) for name, form in forms.items()}
    if seed == 0:
        unit = truth.abs().max()
        figure, axes = plt.subplots(1, 3, figsize=(7.8, 2.9), layout="constrained")
        for axis, (name, form), colour in zip(axes, forms.items(), (green, orange, blue)):
            axis.scatter((truth / unit).flatten(), (form / unit).flatten(), s=4, color=colour, linewidth=0)
            axis.axline((0, 0), slope=1, color="0.4", linestyle="--", linewidth=0.9)
            axis.set(title=name, xlabel="true slope", xlim=(-1.1, 1.1), ylim=(-1.7, 1.1))
        axes[0].set_ylabel("formula")
        sns.despine(figure)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
cells = [
    [seed, *(f"{corr:+.2f}, {100 * off:.0f}\u00a0%" for corr, off in row.values())]
    for seed, row in rows.items()
]
table(["network", *forms], cells)

# %% [markdown]
# The table has the correlation with the true slope over the pixels, and the relative distance from it, for six random
# networks. (B3) lies on the diagonal in all of them. The printed form does not, in either reading. Its points do not
# fill the plane, because both readings share the factor $I_b - I_a$ with the truth, through
# $I_a^2 - I_b^2 = -(I_b - I_a)(I_a + I_b)$. What multiplies that factor is wrong, and with it even the sign of the
# correlation is an accident of the network.
#
# ### What the two errors do to training
#
# The left side of the figure takes one step of $\theta_\mathcal{G}$ of growing length in three directions and shows the
# change of $\mathcal{L}_t^{mts}$ that follows, in units of what steepest descent is expected to gain. The right side is
# the argument about units: the same six networks are written with parameters $\varphi = \theta / s$ and step
# $\eta_{\mathcal{F}'} / s^2$, which is the same step of the same function.


# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: change of the task loss along three directions; the corrected one falls, the one with the printed sign rises, the literal reading rises or falls depending on the network. Right: correlation of the printed form with the truth against the unit of the parameters, wandering between plus one and minus one"}, "figure": {"caption": "Left: $L_t$ on the meta-test pair after the inner step, as $\\theta_G$ moves; six small random networks each. Right: correlation between a form and the true slope when the same networks are written in other units of $\\theta_F$.", "name": "fig-theory-sign-units"}}
def loss_after_step(
    F: nn.Module, G: nn.Module, T: nn.Module, theta_G: dict[str, Tensor], eta: float, loss=fusion_loss
) -> float:
    """L_t of F' and T' with these parameters of G. No derivative in theta_G is taken."""
    w_a, w_b = functional_call(G, theta_G, (mtr.ir, mtr.vi))
    theta = {name: value.clone().requires_grad_() for name, value in values(F).items()}
    I_f = call(F, theta, mtr.ir, mtr.vi)
    step = torch.autograd.grad(loss(I_f, mtr.ir, mtr.vi, w_a, w_b), list(theta.values()))
    theta_T_prime, _ = inner_update_T(T, I_f, mtr, eta_T_prime)
    with torch.no_grad():
        theta_F_prime = inner_update_F(theta, dict(zip(theta, step)), eta)
        return call(T, theta_T_prime, call(F, theta_F_prime, mts.ir, mts.vi), mts).item()


def moved(theta_G: dict[str, Tensor], direction: Tensor, length: float) -> dict[str, Tensor]:
    pieces = direction.split([value.numel() for value in theta_G.values()])
    return {n: value + length * d.view_as(value) for (n, value), d in zip(theta_G.items(), pieces)}


figure, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.3), layout="constrained")
lengths, units = np.linspace(0, 0.3, 7), np.logspace(-1.5, 1.5, 31)
for seed in range(6):
    F, G, T = small_networks(seed)
    J = jacobian(F, mtr.ir, mtr.vi)
    truth, v = true_slope(F, T)
    w_a, _ = G(mtr.ir, mtr.vi)

    def through_G(form: Tensor, G=G, w_a=w_a) -> Tensor:
        gradient = torch.autograd.grad(w_a, list(G.parameters()), form, retain_graph=True)
        return torch.cat([g.flatten() for g in gradient])

    steepest = through_G(corrected(J, v, eta_F_prime))
    gain = steepest.norm()
    start = loss_after_step(F, G, T, values(G), eta_F_prime)
    directions = {
        "corrected, (B4)": (-steepest, green, {"linewidth": 4, "alpha": 0.4}),
        "(B4) with the printed sign": (steepest, orange, {"linewidth": 4, "alpha": 0.4}),
        "printed (b), per parameter": (-through_G(printed(J, v, eta_F_prime)), blue, {"linestyle": ":"}),
    }
    for name, (direction, colour, style) in directions.items():
        unit = direction / direction.norm()
        losses = [loss_after_step(F, G, T, moved(values(G), unit, x), eta_F_prime) for x in lengths]
        change = (np.array(losses) - start) / (gain * lengths[-1]).item()
        left.plot(lengths / lengths[-1], change, color=colour, label=name if seed == 0 else None, **style)
    curve = [correlation(printed(s * J, s * v, eta_F_prime / s**2), truth) for s in units]
    right.plot(units, curve, ":", color=blue, label="printed (b)" if seed == 0 else None)
    curve = [correlation(corrected(s * J, s * v, eta_F_prime / s**2), truth) for s in units]
    right.plot(units, curve, color=green, label="corrected" if seed == 0 else None)
left.set(xlabel="length of the step", ylabel="change of $L_t$ (1 = expected gain)")
right.set(
    xscale="log", xlabel="unit $s$ of the parameters", ylabel="correlation with the truth", ylim=(-1.1, 1.1)
)
for axis, place in ((left, "lower left"), (right, (0.02, 0.3))):
    axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    axis.legend(frameon=False, fontsize=8, loc=place)
sns.despine(figure)

# %% [markdown]
# With the corrected line $\mathcal{L}_t$ falls as steepest descent predicts. With the printed sign in front of the
# right inner product it rises by as much: $\mathcal{G}$ would learn to hurt the task. With the printed bracket taken
# literally it goes up or down as chance has it. On the right, the corrected form does not care how the parameters
# are counted. The literal one does: for small units the stray term $I_a^2 - I_b^2$ rules, for large ones it vanishes
# and what remains is the right term with the wrong sign, correlation $-1$.
#
# None of this reaches the authors' results, because no code evaluates Eq. (11).

# %% [markdown]
# ## Checked four ways
#
# The corrected line is what the library computes. Four ways to the gradient $\partial \mathcal{L}_t^{mts} / \partial
# \theta_\mathcal{G}$:
#
# - **double backward**: keep the graph of the inner step and differentiate through it, as the paper describes and
#   the released code does;
# - **double VJP**: build $J v$ from two reverse passes, then use (B3);
# - **forward mode**: $J v$ as one forward-mode derivative, then (B3); the library's default. Nothing second-order
#   is stored;
# - **finite differences**: change $\theta_\mathcal{G}$, repeat the whole step, compare the losses. This one knows
#   no calculus and would notice a wrong sign.
#
# ```{libcode} tdfusion.meta.pixel_push
# :nodoc:
# ```
#
# ```{libcode} tdfusion.meta.directional_derivative
# :nodoc:
# ```
#
# Two sets of networks, one pair of 32 pixels each for meta-training and meta-test: the small smooth ones from above,
# and the paper's $\mathcal{F}$ and $\mathcal{G}$ (width 8, one block per stage) with a reduced SegFormer as $\mathcal{T}$.
# $\eta_{\mathcal{F}'}$ is 1 and 10 instead of the paper's $10^{-4}$: the gradient is proportional to it, and finite
# differences need one that stands out from rounding.


# %% tags=["hide-input"]
def real_networks() -> tuple[nn.Module, nn.Module, nn.Module]:
    """F and G of the paper, reduced, and a reduced SegFormer."""
    torch.manual_seed(0)
    F, G = FusionNet(width=8, blocks=1).double(), LossNet(width=8, blocks=1).double()
    reduced = {"hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 4]}
    return F, G, SegmentationTask(9, **reduced, decoder_hidden_size=16).double().eval()


def without_kinks(F: nn.Module, G: nn.Module, T: nn.Module) -> tuple[nn.Module, nn.Module, nn.Module]:
    """The same networks with SiLU for LeakyReLU (F), PReLU (G) and ReLU (T)."""
    F, G, T = copy.deepcopy((F, G, T))
    F.head[1] = G.head[1] = T.network.decode_head.activation = nn.SiLU()
    return F, G, T


def along_gradient(networks, gradient: dict[str, Tensor], loss, h: float, eta: float) -> float:
    """Relative error of a central difference of width h along the unit vector of the exact gradient."""
    F, G, T = networks
    exact = flat(gradient).norm().item()
    unit = flat(gradient) / exact
    up, down = (loss_after_step(F, G, T, moved(values(G), unit, x), eta, loss) for x in (h, -h))
    return abs((up - down) / (2 * h) - exact) / exact


def bound(error: float) -> str:
    """The first of a few round bounds that holds, so that the table is the same on every machine."""
    return next(f"$< 10^{{{e}}}$" for e in (-12, -7, -4, -2, 9) if error < 10.0**e)


# %% tags=["hide-input", "nbval-check-output"] mystnb={"markdown_format": "myst"}
def released_loss(I_f: Tensor, I_a: Tensor, I_b: Tensor, w_a: Tensor, w_b: Tensor) -> Tensor:
    return fusion_loss(I_f, I_a, I_b, w_a, w_b, intensity="released", gradient="released")


settings = {"small, smooth": (small_networks(0), 1.0, 1e-5), "F, G, SegFormer": (real_networks(), 10.0, 1e-5)}
exact, rows = {}, []
for name, (networks, eta, h) in settings.items():
    for variant, loss in {"paper": fusion_loss, "released": released_loss}.items():
        steps = {"loss": loss, "eta_F_prime": eta, "eta_T_prime": eta_T_prime}
        reference = plain_meta_gradient(*networks, mtr, mts, **steps)
        with patch("tdfusion.meta.directional_derivative", directional_derivative_by_vjp):
            by_vjp = meta_gradient(*networks, mtr, mts, **steps).theta_G
        forward = meta_gradient(*networks, mtr, mts, **steps).theta_G
        errors = [apart(flat(found), flat(reference)) for found in (by_vjp, forward)]
        errors.append(along_gradient(networks, reference, loss, h, eta))
        exact[name, variant] = reference
        rows.append([name, variant, *map(bound, errors)])
table(["networks", "loss", "double VJP", "forward mode", "differences"], rows)

# %% [markdown]
# The table has relative differences from double backward, in double precision, over all parameters of $\mathcal{G}$
# (finite differences: along the gradient). The three exact ways agree to rounding. How good the fourth is depends on
# the step:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Log-log plot of the relative error of central differences against step size: V shapes for smooth networks, an irregular curve above them for the networks with kinks"}, "figure": {"caption": "Relative error of a central difference along the gradient, against its step. Falling from the right: truncation. Rising to the left: rounding. Dotted: proportional to the square of the step.", "name": "fig-theory-differences"}}
curves = {name: (networks, exact[name, "paper"], eta) for name, (networks, eta, _) in settings.items()}
smooth = without_kinks(*real_networks())
steps = {"loss": fusion_loss, "eta_F_prime": 10.0, "eta_T_prime": eta_T_prime}
curves["the same, kinks smoothed"] = (smooth, meta_gradient(*smooth, mtr, mts, **steps).theta_G, 10.0)
widths = 10.0 ** np.arange(-7, 0.1, 1)
figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
for (name, (networks, gradient, eta)), colour in zip(curves.items(), (blue, orange, green)):
    errors = [along_gradient(networks, gradient, fusion_loss, h, eta) for h in widths]
    axis.loglog(widths, errors, "o-", color=colour, label=name, markersize=4)
axis.loglog(widths[-5:], 3 * widths[-5:] ** 2, ":", color="0.4")
axis.set(xlabel="step $h$ in $\\theta_G$", ylabel="relative error")
axis.legend(frameon=False)
sns.despine(figure)

# %% [markdown]
# The V is the usual one: a wide step sees curvature, a narrow one drowns in the rounding of two nearly equal losses. The
# real networks bend it. LeakyReLU in $\mathcal{F}$, PReLU in $\mathcal{G}$ and ReLU in SegFormer have kinks, and some pixel
# is always close to one; a difference that straddles a kink mixes two slopes. With smooth activations in their place the
# straight line returns. The absolute value in Eq. (3) has kinks too, but they do no harm here: it is differentiated
# at $\theta_\mathcal{F}$, which $\theta_\mathcal{G}$ does not move.

# %% [markdown]
# ## $\mathbf{G}$ is an inner product
#
# Now the sentence that matters. Let $g = \partial \mathcal{L}_f^{mtr} / \partial \theta_\mathcal{F}$ be the fusion gradient
# that the inner step follows. Then
#
# $$
# \begin{aligned}
# \mathcal{L}_t^{mts}(\theta_{\mathcal{F}'}) &= \mathcal{L}_t^{mts}(\theta_\mathcal{F})
#   - \eta_{\mathcal{F}'} \langle v, g \rangle + O(\eta_{\mathcal{F}'}^2), \\
# \mathbf{G}^{ij} &= \frac{\partial \langle v, g \rangle}{\partial w_a^{ij}}
#   = \langle v, g_a^{ij} \rangle - \langle v, g_b^{ij} \rangle
# \quad\text{with}\quad
# g_k^{ij} = \frac{1}{HW} \frac{\partial (I_f^{ij} - I_k^{ij})^2}{\partial \theta_\mathcal{F}}
# \end{aligned}
# $$ (eq-B5)
#
# The first relation is a Taylor expansion. It says that the inner step lowers the task loss if the two gradients
# agree. The second is (B4) again, with $v$ held fixed, and exact: **$\mathcal{G}$ shifts weight to the source whose pull
# agrees better with the task gradient.** Learned weights of training samples obey the same rule
# {cite}`ren2018reweight,shu2019metaweightnet`; here the "samples" are the two sources of every pixel. In code,
# the outer gradient is the gradient of one inner product:

# %% tags=["nbval-check-output"]
F, G, T = real_networks()
theta_F = {name: value.clone().requires_grad_() for name, value in values(F).items()}
I_f = call(F, theta_F, mtr.ir, mtr.vi)
L_f = fusion_loss(I_f, mtr.ir, mtr.vi, *G(mtr.ir, mtr.vi))
g = dict(zip(theta_F, torch.autograd.grad(L_f, list(theta_F.values()), create_graph=True)))

theta_F_prime = inner_update_F(theta_F, g, eta_F_prime=10.0)
theta_T_prime, _ = inner_update_T(T, I_f, mtr, eta_T_prime)
v, _, _ = task_gradient(F, theta_F_prime, T, theta_T_prime, mts)

inner_product = sum((v[name] * g[name]).sum() for name in v)
outer = torch.autograd.grad(-10.0 * inner_product, list(G.parameters()))
outer = torch.cat([part.flatten() for part in outer])
by_double_backward = flat(exact["F, G, SegFormer", "paper"])
print("equal to rounding:", apart(outer, by_double_backward) < 1e-12)

# %% [markdown]
# ### Measured over a training run
#
# Algorithm 1 with the full networks on scenes of 48 pixels: three epochs of 6 meta-steps and 8 fusion steps. At every
# meta-step we record three things: the cosine of $v$ and $g$; the prediction $-\eta_{\mathcal{F}'} \langle v, g
# \rangle$ and what $\mathcal{L}_t$ on the meta-test pair really did; and whether the update of $\theta_\mathcal{G}$ that
# follows raises $\langle v, g \rangle$ on its own pairs, with $\mathcal{F}$ and $v$ held. Here $v$ is taken at
# $\theta_\mathcal{F}$, where a forecast has to be made, and $\mathcal{T}'$ is the same before and after. The learning rates
# are ten times the paper's, so that something happens in so few steps. The recorded inner steps have the sizes $0.01$
# and $1$: at the paper's $10^{-4}$ the change would be lost in single precision.


# %% tags=["hide-input"]
def cosine(x: Tensor, y: Tensor) -> float:
    return nnf.cosine_similarity(x, y, dim=0).item()


class Recorded(Trainer):
    """Algorithm 1 that notes, at every meta-step, how far the two gradients agree."""

    sizes = (0.01, 1.0)  # eta_F_prime of the recorded steps

    def run_epoch(self) -> Iterator[dict[str, float]]:
        self.epoch += 1
        self.pairs.set_epoch(self.epoch)
        self.T.train()
        for batch in self.batches.meta(self.epoch):
            theta = {name: value.clone().requires_grad_() for name, value in values(self.F).items()}
            with torch.random.fork_rng():
                noted, v = self.agreement(theta, batch.mtr, batch.mts)
            row = meta_step(self.state, batch, **self.meta_settings())  # G moves here
            turned = flat(v) @ flat(self.fusion_gradients(theta, batch.mtr)[1])
            yield row | noted | {"epoch": self.epoch, "raised": turned.item() > noted["inner_int"]}
        for batch in self.batches.fusion(self.epoch):
            fusion_step(self.state, batch, *self.weights(batch.ftr), **self.fusion_settings())

    def fusion_gradients(self, theta: dict[str, Tensor], mtr: Batch) -> tuple[dict[str, Tensor], ...]:
        """g, its intensity part, and I_f."""
        parameters = list(theta.values())
        with torch.no_grad():
            w_a, w_b = self.G(mtr.ir, mtr.vi)
        I_f = call(self.F, theta, mtr.ir, mtr.vi)
        losses = self.L_f(I_f, mtr.ir, mtr.vi, w_a, w_b), intensity_loss(I_f, mtr.ir, mtr.vi, w_a, w_b)
        g, g_int = (torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses)
        return dict(zip(theta, g)), dict(zip(theta, g_int)), I_f.detach()

    def agreement(
        self, theta: dict[str, Tensor], mtr: Batch, mts: Batch
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        g, g_int, I_f = self.fusion_gradients(theta, mtr)
        theta_T_prime, _ = inner_update_T(self.T, I_f, mtr, self.config.eta_T_prime)
        torch.manual_seed(0)  # the same dropout in every evaluation of L_t
        v, before, _ = task_gradient(self.F, theta, self.T, theta_T_prime, mts)
        noted = {
            "contrast": I_f.std().item(),
            "cosine": cosine(flat(v), flat(g)),
            "cosine_int": cosine(flat(v), flat(g_int)),
            "inner_int": (flat(v) @ flat(g_int)).item(),
        }
        for eta in self.sizes:
            torch.manual_seed(0)
            with torch.no_grad():
                I_f_prime = call(self.F, inner_update_F(theta, g, eta), mts.ir, mts.vi)
                after = call(self.T, theta_T_prime, I_f_prime, mts)
            noted[f"predicted {eta:g}"] = -eta * (flat(v) @ flat(g)).item()
            noted[f"measured {eta:g}"] = (after - before).item()
        return noted, v


# %%
scale = {"scene_size": (48, 48), "crop": 48, "L": 3, "M": 6, "N": 8}
etas = {"eta_F": 1e-3, "eta_T": 1e-3, "eta_G": 1e-3, "eta_F_prime": 0.01}
config = make_config("smoke", **scale, **etas)
trainer = Recorded(config)
meta_steps = [row for _ in range(config.L) for row in trainer.run_epoch()]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two scatter plots of measured against predicted change of the task loss, close to the diagonal for the small step and far from it for the large one; right: the cosine of the two gradients over the 18 meta-steps"}, "figure": {"caption": "Left and middle: the change of $L_t$ on the meta-test pair through one inner step, measured against $-\\eta_{F'} \\langle v, g \\rangle$, for two step sizes. Right: cosine of the task gradient with the whole fusion gradient, and with its intensity part, the only one that G can turn.", "name": "fig-theory-agreement"}}
figure, axes = plt.subplots(1, 3, figsize=(8.4, 3), layout="constrained")
epochs = sns.color_palette("viridis", 3)
for axis, eta, unit in zip(axes, Recorded.sizes, (1e-5, 1e-3)):
    for epoch, colour in enumerate(epochs, 1):
        rows = [row for row in meta_steps if row["epoch"] == epoch]
        predicted, measured = ([row[f"{kind} {eta:g}"] for row in rows] for kind in ("predicted", "measured"))
        axis.scatter(
            np.divide(predicted, unit),
            np.divide(measured, unit),
            color=colour,
            s=18,
            linewidth=0,
            label=f"epoch {epoch}",
        )
    axis.axline((0, 0), slope=1, color="0.4", linestyle="--", linewidth=0.9)
    axis.set(title=f"inner step of size {eta:g}", xlabel=f"predicted change of $L_t$ ({unit:g})")
axes[0].set_ylabel("measured change (same unit)")
axes[0].legend(frameon=False, fontsize=8)
count = np.arange(1, len(meta_steps) + 1)
for key, name, style, colour in (("cosine", "g", "o-", blue), ("cosine_int", "g^{int}", "s:", orange)):
    axes[2].plot(
        count, [row[key] for row in meta_steps], style, color=colour, markersize=3, label=f"$v$ and ${name}$"
    )
axes[2].axhline(0, color="0.7", linewidth=0.8)
axes[2].set(title="agreement of the gradients", xlabel="meta-step", ylabel="cosine")
axes[2].legend(frameon=False, fontsize=8)
sns.despine(figure)


# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
def as_predicted(rows: list[dict], eta: float) -> str:
    same = sum(row[f"predicted {eta:g}"] * row[f"measured {eta:g}"] > 0 for row in rows)
    return f"{same} of {len(rows)}"


summary = []
for epoch in (1, 2, 3):
    rows = [row for row in meta_steps if row["epoch"] == epoch]
    contrast = f"{np.mean([row['contrast'] for row in rows]):.3f}"
    raised = f"{sum(row['raised'] for row in rows)} of {len(rows)}"
    summary.append([epoch, *(as_predicted(rows, eta) for eta in Recorded.sizes), raised, contrast])
head = ["sign right, step 0.01", "sign right, step 1", r"$\langle v, g \rangle$ raised", "contrast of $I_f$"]
table(["epoch", *head], summary)

# %% [markdown]
# The table says per epoch in how many meta-steps the change of $\mathcal{L}_t$ had the predicted sign; in how many the
# update of $\theta_\mathcal{G}$ raised $\langle v, g \rangle$; and the contrast of the fused image, its mean standard
# deviation over pixels.
#
# **What it predicts.** Whether the task loss of this meta-test pair falls after this one small plain step, and by
# how much. From the second epoch on, the points of the small step lie on the diagonal. In the first epoch they scatter
# more. There the fused image has hardly any contrast yet, and $\mathcal{T}$, which normalises its features, reacts
# strongly to small changes of it; that is a likely reason, not a proven one. The update of $\theta_\mathcal{G}$ does what
# (B5) says: it raises $\langle v, g \rangle$ on its own pairs. It need not do so every time, since Adam also follows earlier
# pairs.
#
# **What it does not predict.** Large steps: at size 1 the forecast is worth little. The fusion update of Eq. (8),
# which uses Adam and other pairs. The loss after many steps, and the score of a task network trained afresh. Nor does a
# growing cosine on the right show that $\mathcal{G}$ has learned something: $\mathcal{F}$ and $\mathcal{T}$ changed as well.
#
# ### One image of it
#
# The factors of (B3) at the end of that run, on a night scene that training never saw, with the task gradient of
# eight other test scenes:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six panels of a night scene: infrared, visible, fused, then the signed maps: infrared minus visible, minus J v with one sign almost everywhere, and their product"}, "figure": {"caption": "Top: the pair and what the briefly trained F makes of it. Bottom, orange positive and purple negative, each scaled by its largest value: which source is brighter; how the fused image would change if F stepped down the task loss; and their product, the direction in which $w_a$ is pushed.", "name": "fig-theory-push"}}
test = SynthRoad("test", length=24, size=(64, 64))
night = next(i for i in range(len(test)) if test.condition(i) == "night")
shown, judges = collate([test[night]]), collate([test[i] for i in range(16, 24)])
F, G, T = trainer.F, trainer.G, trainer.T.eval()

theta_F = {name: value.clone().requires_grad_() for name, value in values(F).items()}
I_f = call(F, theta_F, shown.ir, shown.vi)
with torch.no_grad():
    w_a, w_b = G(shown.ir, shown.vi)
step = torch.autograd.grad(trainer.L_f(I_f, shown.ir, shown.vi, w_a, w_b), list(theta_F.values()))
theta_F_prime = inner_update_F(theta_F, dict(zip(theta_F, step)), config.eta_F_prime)
theta_T_prime, _ = inner_update_T(T, I_f, shown, config.eta_T_prime)
v, _, _ = task_gradient(F, theta_F_prime, T, theta_T_prime, judges)

downhill = -directional_derivative(F, v, shown.ir, shown.vi)
signed = {
    "$I_a - I_b$": shown.ir - shown.vi,
    "$-J v$": downhill,
    "push on $w_a$": (shown.ir - shown.vi) * downhill,
}
panels = {"infrared $I_a$": shown.ir[0], "visible $I_b$": shown.vi[0], "fused $I_f$": I_f[0]}
panels |= {name: 0.5 + 0.5 * image[0] / image.abs().max() for name, image in signed.items()}
figure = image_row(panels, maps=dict.fromkeys(signed, "PuOr_r"), columns=3)

# %% tags=["hide-input"]
share = max((downhill > 0).float().mean().item(), (downhill < 0).float().mean().item())
print(f"-J v has one and the same sign on {100 * share:.0f} % of the pixels")

# %% [markdown]
# $J$ is not the identity. A step of $\theta_\mathcal{F}$ moves all pixels together, and in this run $-J v$ has one sign
# over nearly the whole image: lighter, or darker. The push then says little more than "prefer the lighter source
# everywhere", or the darker one. Exactness of the gradient is one thing, its usefulness another;
# {doc}`read_37_lookahead` and {doc}`read_44_mechanism` are about the second.

# %% [markdown]
# ## Without the second derivative there is nothing
#
# First-order variants of meta-learning drop the second derivative, and lose little where the learned quantity is the
# starting point of the inner step {cite}`finn2017maml,nichol2018reptile`: the starting point is part of the
# result of the step. $\theta_\mathcal{G}$ is not. It acts through the gradient of the inner step and nowhere else. Treat
# $\theta_{\mathcal{F}'}$ as a constant, and the gradient of $\mathcal{G}$ is not small or noisy but absent:

# %% tags=["nbval-check-output"]
F, G, T = real_networks()
theta_F = {name: value.clone().requires_grad_() for name, value in values(F).items()}
I_f = call(F, theta_F, mtr.ir, mtr.vi)
L_f = fusion_loss(I_f, mtr.ir, mtr.vi, *G(mtr.ir, mtr.vi))
# no create_graph: the step becomes a constant
g = torch.autograd.grad(L_f, list(theta_F.values()))
theta_F_prime = inner_update_F(theta_F, dict(zip(theta_F, g)), eta_F_prime=10.0)
L_t = call(T, values(T), call(F, theta_F_prime, mts.ir, mts.vi), mts)
gradients = torch.autograd.grad(L_t, list(G.parameters()), allow_unused=True)
print(f"{sum(g is None for g in gradients)} of {len(gradients)} gradients of G are None")

# %% [markdown]
# A training loop that fills missing gradients with zeros, or an optimiser that skips them, would hide this, and the
# loss curves would look plausible. The library refuses to go on instead.
#
# ## Paper versus released code
#
# Neither evaluates Eq. (11). The released code keeps the graph of the inner step and runs backward through it, which is
# Eq. (7) and gives the value of forward mode to rounding, as the table above shows for its loss too. Its plain step
# $\theta_\mathcal{G} - \eta\, \partial \mathcal{L}_t / \partial \theta_\mathcal{G}$, there divided by the largest entry, has the
# right sign. One thing does change the bracket: the weights enter squared (see [Sec. 3.2](read_32_loss.ipynb)), and the
# mixed derivative becomes
#
# $$
# \frac{\partial^2 \mathcal{L}_f}{\partial \theta_\mathcal{F}\, \partial w_a^{ij}}
# = \frac{4}{HW} \Big[ w_a^{ij} \big(I_f^{ij} - I_a^{ij}\big) - w_b^{ij} \big(I_f^{ij} - I_b^{ij}\big) \Big]
#   \frac{\partial I_f^{ij}}{\partial \theta_\mathcal{F}}
# $$

# %% tags=["nbval-check-output"]
L_released = (w_1 * (A_1 - F_1)) ** 2 / HW + ((1 - w_1) * (B_1 - F_1)) ** 2 / HW
mixed_released = sp.diff(L_released, w_1, theta_1)
pull_a, pull_b = w_1 * (F_1 - A_1), (1 - w_1) * (F_1 - B_1)
by_hand = 4 * (pull_a - pull_b) * sp.diff(F_1, theta_1) / HW
print("same:", sp.simplify(mixed_released - by_hand) == 0)
at_half = by_hand.subs(w_1, sp.Rational(1, 2))
print("at w = 1/2 it is (B2):", sp.simplify(at_half - expected) == 0)

# %% [markdown]
# The fused value no longer cancels. At $w = 1/2$, where training starts, the two forms agree.
#
# ```{admonition} What to remember
# - $\mathcal{G}$ is taught by an inner product: the weight of a source grows at a pixel where its pull on $\mathcal{F}$
#   agrees with the task gradient better than the other source's pull, (B4) and (B5).
# - Bracket (b) of Eq. (11) must be $\frac{2}{HW} (I_b - I_a)\, \partial I_f / \partial \theta_\mathcal{F}$. As printed it
#   subtracts a Jacobian from an image. Multiplied out it holds the right term and a stray $I_a^2 - I_b^2$.
# - The sign before $\eta_\mathcal{G}$ in the last two lines must be a plus, and $\theta_{\mathcal{F}'}$ must stand in
#   (a) for $\Omega'$.
# - The paper's algorithm and the authors' code do not depend on any of this.
# - All that the outer step needs from $\mathcal{F}$ is the image $J v$: one forward-mode derivative, no second-order
#   graph.
# - The inner product forecasts one small step on one meta-test pair. Without the second derivative there is no
#   gradient at all.
# ```

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 3.7-1: How softmax slows a decision
#
# $\mathcal{G}$ does not write $w_a$ but two numbers $z_a, z_b$ whose softmax it is. Write $\partial \mathcal{L}_t /
# \partial z_a$ by means of (B3). How much slower does a pixel learn at $w_a = 0.99$ than at $1/2$?
#
# :::{dropdown} Solution
# For the softmax of two, $\partial w_a / \partial z_a = w_a w_b$, so
#
# $$
# \frac{\partial \mathcal{L}_t}{\partial z_a^{ij}} = w_a^{ij} w_b^{ij}\, \frac{\partial \mathcal{L}_t}{\partial w_a^{ij}} .
# $$
#
# The factor is $0.25$ at one half and $0.0099$ at $0.99$: about 25 times less. A pixel that has decided is
# hard to persuade again, even if the task asks for it as loudly as before. In this light it matters that $\mathcal{G}$
# starts near one half, and what its first steps do.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
for w_a in (0.5, 0.9, 0.99):
    z = torch.tensor([w_a, 1 - w_a], dtype=torch.float64).log().requires_grad_()
    (slope,) = torch.autograd.grad(z.softmax(0)[0], z)
    print(f"w_a = {w_a}: dw_a / dz_a = {slope[0]:.4f}, by hand {w_a * (1 - w_a):.4f}")

# %% [markdown]
# ### Exercise 3.7-2: What squaring the weights does to the push
#
# Take the mixed derivative of the released loss at the end of this page. Suppose $\mathcal{F}$ has converged at a pixel, so that $I_f$
# is the minimum of the released intensity term. By which factor does the push differ from (B2)? What happens to it as $w_a$
# approaches 1?
#
# :::{dropdown} Solution
# At the minimum $I_f = (w_a^2 I_a + w_b^2 I_b) / (w_a^2 + w_b^2)$ the bracket becomes $w_a w_b (I_b - I_a) / (w_a^2 + w_b^2)$, and the
# push is (B2) times
#
# $$
# \frac{2 w_a w_b}{w_a^2 + w_b^2},
# $$
#
# which is 1 at one half and goes to 0 as a weight goes to 1. This comes on top of the $w_a w_b$ of the exercise before. So
# squared weights harden a decision twice: the image follows them more like a switch, and the gradient that could turn them
# back fades. With the paper's loss (B2) holds at every $w_a$.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
I_f = sp.symbols("I_f")
released_pixel = (w_1 * (A_1 - I_f)) ** 2 + ((1 - w_1) * (B_1 - I_f)) ** 2
minimum = sp.solve(sp.diff(released_pixel, I_f), I_f)[0]
factor = sp.diff(released_pixel, w_1, I_f).subs(I_f, minimum) / (2 * (B_1 - A_1))
print("as by hand:", sp.simplify(factor - 2 * w_1 * (1 - w_1) / (w_1**2 + (1 - w_1) ** 2)) == 0)
at = [sp.Rational(1, 2), sp.Rational(9, 10), 1]
print("at 1/2, 9/10, 1:", *(sp.simplify(factor.subs(w_1, w)) for w in at))

# %% [markdown]
# ### Exercise 3.7-3: A network with one knob
#
# Let $\mathcal{F}$ have a single parameter: $I_f = \theta I_a + (1 - \theta) I_b$. Compute $J$, and from (B3) the push on every weight.
# What can $\mathcal{G}$ learn with this $\mathcal{F}$?
#
# :::{dropdown} Solution
# $J = I_a - I_b$, and $v$ is a number. The slope is
#
# $$
# \frac{\partial \mathcal{L}_t}{\partial w_a^{ij}} = \eta_{\mathcal{F}'} \frac{2}{HW} \big(I_a^{ij} - I_b^{ij}\big)^2\, v ,
# $$
#
# of one sign at all pixels, that of $v$. So all weights are pushed the same way, the more the farther the sources are apart. This is right:
# $\mathcal{F}$ can only mix the whole image more or less, so the only question about a weight is whether it turns the knob up or down.
# **$\mathcal{G}$ cannot learn a finer map than $\mathcal{F}$ can follow.** The networks of this page have many knobs, but they are
# tied together too; the last figure shows what comes of it.
# :::


# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
class OneKnob(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        return self.theta * I_a + (1 - self.theta) * I_b


F, (_, _, T) = OneKnob(), small_networks(0)
slope, v = true_slope(F, T)
by_hand = eta_F_prime * 2 * (mtr.ir - mtr.vi) ** 2 * v / mtr.ir.numel()
print("as by hand:", apart(slope, by_hand) < 1e-10)
print("of one sign:", bool((slope * v >= 0).all()))
