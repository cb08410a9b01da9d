# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.7b How far ahead the loss looks
#
# **However much training of the fusion network $\mathcal{F}$ lies between, the task asks the same of the weights: the
# difference of the two sources, times what it wants of the pixels once that has passed through $\mathcal{F}$. One step
# of $\mathcal{F}$ lets through mainly what moves all pixels together, and 50 to 53 % of its signs are right, where
# chance is 50 %. A step in the image itself hears every pixel, with all that a young task network gets wrong; in
# between up to 68 % are right where $\mathcal{F}$ can only choose, and 58 % in the paper's form.**
#
# **What this page shows.** One formula for every form of look-ahead (how much training of $\mathcal{F}$ lies between a
# change of the weights and the loss that judges it), each form held against a second computation, and the maps that
# each asks for on scenes whose answer is known. The figure has one such scene: *push* is the direction in which the
# task asks a weight to move.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three rows of small maps, one per state of the networks: what carries the scene, then the push on the infrared weight through one Adam step, one plain step, converged networks at three values of lambda, and the image step. From left to right the maps go from a smear to fine detail"}, "figure": {"caption": "How the task asks w_a to move on one scene (orange: up, towards infrared; purple: down), each map divided by its root mean square over its batch. First column: what the scene knows (orange infrared, purple visible, white either, pale orange both). Then the look-ahead grows from left to right. Rows: an F that can only choose between the sources, the same with a T that was trained for longer, and the paper's form of F at width 8.", "name": "fig-lookahead-answer"}}
import copy
import sys
from pathlib import Path

import torch
from IPython.display import Markdown, display
from torch import Tensor, nn
from torch.func import grad, hessian, jacrev, vjp

import tdfusion
from tdfusion import results
from tdfusion.data.pair import Batch, collate
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.downstream.protocols import SEGFORMERS
from tdfusion.explorers import LookAhead
from tdfusion.explorers.lookahead import SHADE
from tdfusion.figures.studies import image_grid
from tdfusion.jacobian import Parameters, call, directional_derivative, solve_damped, values
from tdfusion.losses import fusion_loss, intensity_loss, sobel, target_gradient
from tdfusion.meta import (
    inner_update_F,
    loss_after_image_step,
    loss_and_slope,
    meta_gradient,
)
from tdfusion.models import FusionNet, LossNet
from tdfusion.results.paper import format_table
from tdfusion.tasks.segmentation import SegmentationTask

sys.path.append(str(Path(tdfusion.__file__).parents[1]))
from studies.pushes import STOPS, adam_slope

torch.set_num_threads(1)  # images this small gain nothing from a second thread

measured, maps = results.load("pushes"), results.maps("pushes")
setting = results.about("pushes")["settings"]
NETWORKS = {
    "mask": "only chooses",
    "mask, T older": "only chooses, T older",
    "paper 8": "paper's form",
}
SAID = {"one step, Adam": "one Adam step", "one step": "one step", "image": "image step"}
SAID |= {f"{damping:.0e}": f"λ = {damping:g}" for damping in setting["dampings"]}


def kept(name: str, stop: str) -> Tensor:
    """The pushes of a state of F and T on the scenes that the study kept, in root mean squares: (scenes, H, W)."""
    return (torch.from_numpy(maps[f"{name}, {stop}"]).float() / 127.5 - 1) * setting["level"]


scenes = SynthRoad("train", setting["scenes"], (64, 64), setting["shown_seed"])
pairs = [scenes[i] for i in maps["scenes"].tolist()]
columns = ["one step, Adam", "one step", "1e+00", "1e-02", "1e-04", "image"]
figure = image_grid(
    {
        label.replace("only ", "only\n").replace(", ", ",\n").replace("'s ", "'s\n"): {
            "what carries": SHADE[pairs[0].optimum]
        }
        | {SAID[stop]: kept(name, stop)[0] for stop in columns}
        for name, label in NETWORKS.items()
    },
    maps=dict.fromkeys(("what carries", *SAID.values()), "PuOr_r"),
    ranges=dict.fromkeys(SAID.values(), (-2, 2)),
    panel=1.15,
)

# %% [markdown]
# **What it needs.** {doc}`read_37_theory`, whose (B2) everything here follows from, and half a minute on one core. The
# pictures and their numbers come from `results/pushes.csv`, made by `python -m studies.pushes`.
#
# Readers in a hurry can go straight to the [slider](#see-it).
#
# ## One formula
#
# Write a batch of $B$ fused images as one vector of $n = BHW$ pixels, $J = \partial I_f / \partial \theta_\mathcal{F}$ for
# its Jacobian, and $g = \partial \mathcal{L}_t / \partial I_f^{mts}$ for what the task asks of the pixels of its own
# images. The paper teaches $\mathcal{G}$ through one gradient step of $\mathcal{F}$. One could as well look through
# another step, through many, or through a whole training. Whatever $\theta_\mathcal{F}$ becomes in the end, call it
# $\theta_{\mathcal{F}'}$; it depends on a weight only through the pull of $\mathcal{L}_f$, and a little more pull at
# pixel $ij$ moves it by
#
# $$
# \frac{\partial \theta_{\mathcal{F}'}}{\partial w_a^{ij}}
# = -S\, \frac{\partial^2 \mathcal{L}_f}{\partial \theta_\mathcal{F}\, \partial w_a^{ij}}
# = \frac{2}{n} \big(I_a^{ij} - I_b^{ij}\big)\, S\, \frac{\partial I_f^{ij}}{\partial \theta_\mathcal{F}} ,
# $$ (eq-B12)
#
# where the matrix $S$ says how the rest of the training answers to a small pull on the parameters. The second equality is
# (B2), and it holds for every $\alpha$, because the gradient term has no weight. With the chain rule, every
# form of look-ahead asks the same thing of the weights:
#
# $$
# \frac{\partial \mathcal{L}_t}{\partial w_a} = c\, (I_a - I_b) \odot K g, \qquad c > 0, \qquad
# c\,K = \tfrac{2}{n}\, J_{mtr}\, S^\top J_{mts}^\top .
# $$ (eq-B13)
#
# Gradient descent pushes $w_a$ along $-(I_a - I_b) \odot K g$. **The task enters as $g$, the sources as their
# difference, and all that distinguishes one form from another is the operator $K$**, which carries what the task asks of the
# meta-test pixels over to the meta-training pixels.
#
# | how $\mathcal{F}$ answers | $K$ | $c$ |
# |---|---|---|
# | one plain step of length $\eta$: the paper, Eq. (4) | $J_{mtr} J_{mts}^\top$ | $2\eta/n$ |
# | one step of Adam, by which Eq. (8) moves $\mathcal{F}$ | $J_{mtr} D J_{mts}^\top$, $D$ diagonal | $2\eta/n$ |
# | $k$ plain steps, $H_j$ the Hessian of $\mathcal{L}_f$ before step $j + 1$ | $\sum_{j=0}^{k-1} J_j (1 - \eta H_{j+1}) \cdots (1 - \eta H_{k-1}) J_{mts}^\top$ | $2\eta/n$ |
# | trained to the end, held to its start by $\lambda$ (Gauss-Newton) | $J_{mtr} (J_{mtr}^\top J_{mtr} + \lambda)^{-1} J_{mts}^\top$ | 1 |
# | a step in the image itself, of length $\eta_I n$ | $1$ | $2\eta_I$ |
#
# $J_{mts}$ and $g$ are taken where $\mathcal{F}$ has arrived. $J_{mtr}$ is taken where the pull acts: before the step, before
# each of $k$ steps, or at the end of the training. All of $\mathcal{T}'$'s parameters are held: they do not depend on $w$
# ({doc}`read_37_theory`). The library has the first, the fourth and the last as `method="forward"`,
# `"gauss_newton"` and `"image"` of {py:func}`tdfusion.meta.meta_gradient`.
#
# Now each of them, against a second computation that knows nothing of $K$. All in double precision, on scenes of 32
# pixels, with the paper's form of $\mathcal{F}$ (width 8, one block a stage) and a small SegFormer unless said otherwise.


# %% tags=["hide-input"]
def scene(index: int) -> Batch:
    """One SynthRoad scene as a batch in double precision."""
    pair = collate([SynthRoad(length=16, size=(32, 32), seed=10)[index]])
    return Batch(pair.ir.double(), pair.vi.double(), pair.names, pair.mask)


def flat(parameters: Parameters) -> Tensor:
    return torch.cat([p.flatten() for p in parameters.values()])


def agree(what: str, found: Tensor, expected: Tensor, limit: float) -> None:
    """Say whether the relative difference of two tensors lies below a limit."""
    apart = (found - expected).norm() / expected.norm()
    print(f"{what}: below {limit:.0e}: {bool(apart < limit)}")


def detached(parameters: Parameters) -> Parameters:
    return {name: p.detach() for name, p in parameters.items()}


torch.manual_seed(10)
mtr, mts = scene(0), scene(7)
n, difference = mtr.ir.numel(), mtr.ir - mtr.vi
F, G = FusionNet(8, 1).double(), LossNet(8, 1).double()
T = SegmentationTask(9, **SEGFORMERS["tiny"]).double().eval()
w_a = torch.rand_like(mtr.ir)
eta = 0.1


# %%
def J_T_g(F: nn.Module, theta: Parameters, pairs: Batch) -> Parameters:
    """v = J^T g at theta: g by itself, then one reverse pass through F."""
    I_f, pull_back = vjp(lambda t: call(F, t, pairs.ir, pairs.vi), theta)
    I_f = I_f.detach().requires_grad_()
    (g,) = torch.autograd.grad(T(I_f, pairs), I_f)
    return pull_back(g)[0]


# %% [markdown]
# ### One step: the paper's form
#
# $K = J_{mtr} J_{mts}^\top$: the question travels back through $\mathcal{F}$ to its parameters and forward again to the
# pixels. The second computation keeps the graph of the step and lets autograd differentiate $\mathcal{L}_t$ through it, here
# with the gradient term ($\alpha = 1$).

# %% tags=["nbval-check-output"]
w = w_a.clone().requires_grad_()
theta = {name: p.clone().requires_grad_() for name, p in values(F).items()}
L_f = fusion_loss(call(F, theta, mtr.ir, mtr.vi), mtr.ir, mtr.vi, w, 1 - w)
slope = dict(zip(theta, torch.autograd.grad(L_f, list(theta.values()), create_graph=True)))
prime = inner_update_F(theta, slope, eta)  # Eq. (4)
(through_step,) = torch.autograd.grad(T(call(F, prime, mts.ir, mts.vi), mts), w)

v = J_T_g(F, detached(prime), mts)
form = 2 * eta / n * difference * directional_derivative(F, v, mtr.ir, mtr.vi)
agree("one step, against autograd through it", form, through_step, 1e-12)

# %% [markdown]
# And against the library's `meta_gradient`, which hands the push on to $\mathcal{G}$:

# %% tags=["nbval-check-output"]
w_of_G, w_b_of_G = G(mtr.ir, mtr.vi)
I_f, _, slope = loss_and_slope(F, mtr, w_of_G, w_b_of_G, fusion_loss)
v = J_T_g(F, inner_update_F(values(F), slope, eta), mts)
form = 2 * eta / n * difference * directional_derivative(F, v, mtr.ir, mtr.vi)
to_G = torch.autograd.grad(w_of_G, list(G.parameters()), form)
library = meta_gradient(F, G, T, mtr, mts, loss=fusion_loss, eta_F_prime=eta, eta_T_prime=0.0).theta_G
agree("one step, against meta_gradient", torch.cat([x.flatten() for x in to_G]), flat(library), 1e-12)

# %% [markdown]
# ### One step of Adam
#
# Sec. 4.1 moves $\mathcal{F}$ by Adam, so a plain step is not what $\mathcal{F}$ will do. Adam moves every parameter by
# its own gradient alone, so $S = \eta D$ is diagonal, whatever Adam's running means are:
#
# $$
# D = \frac{1 - \beta_1}{1 - \beta_1^t}\, \frac{1}{s + \epsilon}
#   - \hat{m}\, \frac{1 - \beta_2}{1 - \beta_2^t}\, \frac{g_\theta}{s (s + \epsilon)^2} ,
# \qquad s = \sqrt{\hat{v}} ,
# $$ (eq-B14)
#
# with $\hat{m}$ and $\hat{v}$ the corrected means of the gradient $g_\theta$ and of its square, this step's included, and
# $t$ the number of the step. The first term is the well-known preconditioner; the second is small after some steps. In
# the very first step the two cancel up to $\epsilon$: Adam's first step is $\eta$ times a sign, and a sign has no slope.
# The second computation is autograd through Adam's step written out; that this *is* the step of `torch.optim.Adam` is
# checked as well. The fusion network is a smooth one of 31 parameters, since Adam's slope is not
# defined where a gradient has always been 0.


# %% tags=["hide-input"]
class SmoothF(nn.Module):
    """A smooth fusion network of 31 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2, 1, 3, padding=1)
        self.out = nn.Conv2d(1, 1, 3, padding=1)
        self.skip = nn.Conv2d(2, 1, 1, bias=False)

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        both = torch.cat([I_a, I_b], 1)
        return (self.out(self.mix(both).tanh()) + self.skip(both)).sigmoid()


torch.manual_seed(10)
smooth = SmoothF().double()
adam, half = torch.optim.Adam(smooth.parameters(), lr=0.01), torch.full_like(w_a, 0.5)
for i in range(1, 4):  # steps that leave running means behind
    taken = loss_and_slope(smooth, scene(i), half, half, fusion_loss)[2]
    for name, p in smooth.named_parameters():
        p.grad = taken[name]
    adam.step()


def adam_step(theta: Parameters, g: Parameters, t: int = 4) -> Parameters:
    """The step that Adam would take from here, as an expression that can be differentiated."""
    moved = {}
    for name, p in smooth.named_parameters():
        m = 0.9 * adam.state[p]["exp_avg"] + 0.1 * g[name]
        square = 0.999 * adam.state[p]["exp_avg_sq"] + 0.001 * g[name] ** 2
        length = (m / (1 - 0.9**t)) / ((square / (1 - 0.999**t)).sqrt() + 1e-8)
        moved[name] = theta[name] - 0.01 * length
    return moved


# %% tags=["nbval-check-output"]
w = w_a.clone().requires_grad_()
theta = {name: p.clone().requires_grad_() for name, p in values(smooth).items()}
L_f = fusion_loss(call(smooth, theta, mtr.ir, mtr.vi), mtr.ir, mtr.vi, w, 1 - w)
slope = dict(zip(theta, torch.autograd.grad(L_f, list(theta.values()), create_graph=True)))
prime = adam_step(theta, slope)
(through_adam,) = torch.autograd.grad(T(call(smooth, prime, mts.ir, mts.vi), mts), w)

D, v = adam_slope(adam, smooth, detached(slope)), J_T_g(smooth, detached(prime), mts)
K_g = directional_derivative(smooth, {name: D[name] * v[name] for name in v}, mtr.ir, mtr.vi)
agree("one Adam step, against autograd through it", 2 * 0.01 / n * difference * K_g, through_adam, 1e-9)

for name, p in smooth.named_parameters():
    p.grad = slope[name].detach()
before = flat(values(smooth)).clone()
adam.step()
by_hand = flat(detached(prime)) - before
agree("the step itself, against torch.optim.Adam", by_hand, flat(values(smooth)) - before, 1e-9)

# %% [markdown]
# ### k plain steps
#
# A pull before step $j + 1$ is still changed by the steps that follow it, each of which multiplies it by $1 - \eta H$.
# Backwards through the path, this is a sum with one Hessian product per step:

# %%
k, w, path = 4, w_a.clone().requires_grad_(), [{a: p.clone().requires_grad_() for a, p in values(F).items()}]
for _ in range(k):  # unrolled, for autograd
    L_f = fusion_loss(call(F, path[-1], mtr.ir, mtr.vi), mtr.ir, mtr.vi, w, 1 - w)
    slope = torch.autograd.grad(L_f, list(path[-1].values()), create_graph=True)
    path.append(inner_update_F(path[-1], dict(zip(path[-1], slope)), eta))
(unrolled,) = torch.autograd.grad(T(call(F, path[-1], mts.ir, mts.vi), mts), w)


def hessian_times(theta: Parameters, u: Parameters) -> Parameters:
    """H u, H the Hessian of L_f in theta_F."""
    theta = {name: p.clone().requires_grad_() for name, p in theta.items()}
    L_f = fusion_loss(call(F, theta, mtr.ir, mtr.vi), mtr.ir, mtr.vi, w_a, 1 - w_a)
    slope = torch.autograd.grad(L_f, list(theta.values()), create_graph=True)
    along = sum((s * u[name]).sum() for name, s in zip(theta, slope))
    return dict(zip(theta, torch.autograd.grad(along, list(theta.values()))))


# %% tags=["nbval-check-output"]
before, (*places, end) = copy.deepcopy(F.state_dict()), [detached(theta) for theta in path]
u, K_g = J_T_g(F, end, mts), torch.zeros_like(w_a)
for theta in reversed(places):
    F.load_state_dict(theta, strict=False)
    K_g += directional_derivative(F, u, mtr.ir, mtr.vi)  # J_j u
    u = inner_update_F(u, hessian_times(theta, u), eta)  # (1 - eta H_j) u
F.load_state_dict(before)
agree(f"{k} steps, against autograd through all of them", 2 * eta / n * difference * K_g, unrolled, 1e-12)

# %% [markdown]
# ## The end of the training: implicit differentiation
#
# Let $\mathcal{F}$ be trained to the end of
#
# $$
# \mathcal{L}_f(\theta_\mathcal{F}; w) + \frac{\lambda}{n}\, \lVert \theta_\mathcal{F} - \theta_0 \rVert^2 ,
# $$ (eq-B15)
#
# where $\lambda$ says how far from its start it may go. Nobody needs to know by which path it came there: at the end
# the slope is 0, and it stays 0 when a weight changes. Differentiating $\partial \mathcal{L}_f / \partial
# \theta_\mathcal{F} + (2 \lambda / n)(\theta_\mathcal{F} - \theta_0) = 0$ in $w_a^{ij}$ gives (B12) with
#
# $$
# S = \frac{n}{2} \Big( \frac{n}{2} H + \lambda \Big)^{-1}, \qquad
# \frac{n}{2} H = J^\top J
#   + \sum_{ij} \big(I_f - w_a I_a - w_b I_b\big)^{ij}\, \frac{\partial^2 I_f^{ij}}{\partial \theta_\mathcal{F}^2}
#   + \alpha\, \frac{n}{2}\, \frac{\partial^2 \mathcal{L}_f^{grad}}{\partial \theta_\mathcal{F}^2} .
# $$ (eq-B16)
#
# The weights add up to 1, so they are gone from $J^\top J$. The second term is 0 if $\mathcal{F}$ is linear in its
# parameters, or if it reaches the image $w_a I_a + w_b I_b$ that Eq. (2) asks for; the third if $\alpha = 0$. What remains
# is the Gauss-Newton form:
#
# $$
# \frac{\partial \mathcal{L}_t}{\partial w_a}
# = (I_a - I_b) \odot J_{mtr} \big(J_{mtr}^\top J_{mtr} + \lambda\big)^{-1} J_{mts}^\top\, g .
# $$ (eq-B17)
#
# **One family, one number.** For $\lambda \to \infty$ the inverse tends to $1/\lambda$, and (B17) is the paper's one step
# with $\eta = n / 2\lambda$. For $\lambda \to 0$ it is an $\mathcal{F}$ trained until nothing changes any more; if the
# pairs are the same, $K$ is then the projection on the images that $\mathcal{F}$'s parameters can move to. If
# $\mathcal{F}$ is as free as an image, with a parameter per pixel, $J = 1$ and $K = 1/(1 + \lambda)$: the image step, up to a factor.
#
# First the case where (B17) is exact: an $\mathcal{F}$ linear in its 19 parameters, a convolution. The same
# push four ways: the library's conjugate gradients, a dense solve, finite differences of a converged
# $\mathcal{F}$ (least squares, solved anew for every changed $w$), and autograd through a whole training of 600 steps.


# %% tags=["hide-input"]
class LinearF(nn.Module):
    """One convolution of both sources: linear in its 19 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        return self.net(torch.cat([I_a, I_b], 1))


def named(net: nn.Module, theta: Tensor) -> Parameters:
    """A vector as the parameters of a network."""
    pieces = theta.split([p.numel() for p in net.parameters()])
    return {name: piece.view_as(p) for (name, p), piece in zip(net.named_parameters(), pieces)}


def image(net: nn.Module, theta: Tensor, pairs: Batch) -> Tensor:
    return call(net, named(net, theta), pairs.ir, pairs.vi)


def jacobian(net: nn.Module, theta: Tensor, pairs: Batch) -> Tensor:
    """J, all of it: (n, p)."""
    return jacrev(lambda t: image(net, t, pairs))(theta).flatten(0, 3)


def slope_of_L_t(net: nn.Module, theta: Tensor, pairs: Batch) -> Tensor:
    """v = J_mts^T g by autograd, (p,)."""
    theta = theta.detach().requires_grad_()
    return torch.autograd.grad(T(image(net, theta, pairs), pairs), theta)[0]


torch.manual_seed(10)
linear = LinearF().double()
theta_0, zero = flat(values(linear)), torch.zeros(19, dtype=torch.double)
J, at_zero, one = jacobian(linear, theta_0, mtr), image(linear, zero, mtr).flatten(), torch.eye(19).double()
directions = [torch.randn_like(w_a) for _ in range(8)]


# %%
def converged(w: Tensor, damping: float) -> Tensor:
    """The end of (B15) for the linear F, by least squares: no gradient, no step."""
    wanted = (w * mtr.ir + (1 - w) * mtr.vi).flatten() - at_zero
    rows = torch.cat([J, damping**0.5 * one])
    return torch.linalg.lstsq(rows, torch.cat([wanted, damping**0.5 * theta_0])).solution


# %% tags=["nbval-check-output"]
for damping in (1.0, 1e-3):
    for name, pairs_of_T in (("same pairs", mtr), ("other pairs", mts)):
        v = slope_of_L_t(linear, converged(w_a, damping), pairs_of_T)
        solved = solve_damped(linear, named(linear, v), mtr.ir, mtr.vi, damping, iterations=200)
        push = difference * directional_derivative(linear, solved, mtr.ir, mtr.vi)  # (B17)
        dense = J @ torch.linalg.solve(J.T @ J + damping * one, v)
        agree(f"lambda {damping:g}, {name}, dense solve", push, difference * dense.view_as(push), 1e-9)
        h, numeric = 1e-4, []
        for d in directions:
            with torch.no_grad():
                up, down = (
                    T(image(linear, converged(w_a + s * d, damping), pairs_of_T), pairs_of_T) for s in (h, -h)
                )
            numeric.append((up - down) / (2 * h))
        along = torch.stack([(push * d).sum() for d in directions])
        agree(f"lambda {damping:g}, {name}, converged F, differences", along, torch.stack(numeric), 1e-5)

# %% tags=["nbval-check-output"]
top = torch.linalg.eigvalsh(J.T @ J)[-1]
damping = top / 10  # so that 600 steps arrive
w, theta = w_a.clone().requires_grad_(), theta_0.clone().requires_grad_()
for _ in range(600):
    held = damping / n * (theta - theta_0).square().sum()
    L_f = intensity_loss(image(linear, theta, mtr), mtr.ir, mtr.vi, w, 1 - w) + held
    (slope,) = torch.autograd.grad(L_f, theta, create_graph=True)
    theta = theta - n / (2 * damping + top) * slope
agree("600 steps arrive where least squares does", theta.detach(), converged(w_a, damping), 1e-9)
(through_training,) = torch.autograd.grad(T(image(linear, theta, mts), mts), w)
v = slope_of_L_t(linear, theta, mts)
form = difference * (J @ torch.linalg.solve(J.T @ J + damping * one, v)).view_as(w_a)
agree("(B17), against autograd through the training", form, through_training, 1e-9)
far = 1e14 * J @ torch.linalg.solve(J.T @ J + 1e14 * one, v)
agree("lambda to infinity is one step", far, J @ v, 1e-9)

# %% [markdown]
# ### What k steps are worth
#
# For a linear $\mathcal{F}$ the sum over $k$ steps can be written out. In a direction that moves the image by $s$ per
# unit of parameter (a singular value of $J$), the forms differ in one factor, and each is a filter that lets large $s$ pass:
#
# $$
# \text{one step: } c s^2, \qquad
# k \text{ steps: } 1 - (1 - c s^2)^k, \qquad
# \text{converged: } \frac{s^2}{s^2 + \lambda}, \qquad c = \frac{2 \eta}{n} .
# $$ (eq-B18)
#
# The last two have the same slope at small $s$ and the same limit of 1 if $\lambda = 1 / (c k) = n / (2 \eta k)$. **$k$ steps
# look as far as $\lambda = n / 2 \eta k$**, which answers how many steps one would have to unroll.

# %% tags=["nbval-check-output"]
k, w, theta = 50, w_a.clone().requires_grad_(), theta_0.clone().requires_grad_()
for _ in range(k):
    L_f = intensity_loss(image(linear, theta, mtr), mtr.ir, mtr.vi, w, 1 - w)
    (slope,) = torch.autograd.grad(L_f, theta, create_graph=True)
    theta = theta - eta * slope
(unrolled,) = torch.autograd.grad(T(image(linear, theta, mts), mts), w)
s2, V = torch.linalg.eigh(J.T @ J)
filtered = V @ ((1 - (1 - 2 * eta / n * s2) ** k) / s2 * (V.T @ slope_of_L_t(linear, theta, mts)))
form = difference * (J @ filtered).view_as(w_a)
agree("(B18) for 50 steps, against autograd through them", form, unrolled, 1e-9)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
largest = measured[measured.metric == "largest eigenvalue"].groupby("arm")["value"].mean()
pixels, eta_F = setting["batch"] * 64 * 64, 3e-3
rows = [
    (NETWORKS[name], f"{largest[f'{name}, one step']:,.0f}",
     *(f"{pixels / (2 * eta_F * damping):,.0f}" for damping in (1e3, 1.0, 1e-2)))
    for name in NETWORKS
]  # fmt: skip
header = ("F of the study below", "largest $s^2$", "steps that λ = 1000 is worth", "λ = 1", "λ = 0.01")
display(Markdown(format_table(header, rows)))
paper = 2 * 256**2 / (2 * 1e-4)
print(
    f"One step of the paper's size (two crops of 256 pixels, eta 1e-4) looks as far as lambda = {paper:.1e}."
)

# %% [markdown]
# Wherever $\lambda$ is far above the largest $s^2$, the inverse is a multiple of 1 and the look-ahead is that of one step,
# however many steps it stands for. Four steps at such a rate are one step, four times.
#
# ### The image itself
#
# The other end of the family. $\mathcal{L}_t$ judges $I_f' = I_f - \eta_I n\, \partial \mathcal{L}_f / \partial I_f$ on its own
# pairs; nothing of $\mathcal{F}$ is left in the push. For $\eta_I = 1/2$ and $\alpha = 0$ the step lands on $w_a I_a + w_b I_b$,
# whatever $I_f$ was, and this is the gradient of the paper's Exp. V.

# %% tags=["nbval-check-output"]
d = directions[0]
for eta_I, loss in ((0.5, intensity_loss), (0.2, fusion_loss)):
    w = w_a.clone().requires_grad_()
    L_t, I_f_prime = loss_after_image_step(F, T, values(T), w, 1 - w, mts, loss, eta_I)
    (by_autograd,) = torch.autograd.grad(L_t, w)
    I_f_prime.requires_grad_()
    (g,) = torch.autograd.grad(T(I_f_prime, mts), I_f_prime)
    form = 2 * eta_I * (mts.ir - mts.vi) * g
    agree(f"eta_I {eta_I}, against autograd", form, by_autograd, 1e-12)
    moved = [w_a + h * d, w_a - h * d]
    up, down = (loss_after_image_step(F, T, values(T), x, 1 - x, mts, loss, eta_I)[0] for x in moved)
    agree(f"eta_I {eta_I}, against differences", (form * d).sum(), (up - down).detach() / (2 * h), 1e-5)
    if loss is intensity_loss:
        w = w_a.clone().requires_grad_()
        (exp_V,) = torch.autograd.grad(T(w * mts.ir + (1 - w) * mts.vi, mts), w)
        agree("eta_I 0.5, against Exp. V", form, exp_V, 1e-12)


# %% [markdown]
# And the two ends meet: an "$\mathcal{F}$" whose parameters are the pixels, taken through the paper's one step, is the
# image step.


# %% tags=["nbval-check-output"]
class FreeImage(nn.Module):
    """As free as an image: its parameters are the pixels."""

    def __init__(self, I_f: Tensor) -> None:
        super().__init__()
        self.I_f = nn.Parameter(I_f.clone())

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        return self.I_f * torch.ones_like(I_a)


free, steps = FreeImage((mts.ir + mts.vi) / 2), {"loss": fusion_loss, "eta_T_prime": 0.1}
one_step = meta_gradient(free, G, T, mts, mts, eta_F_prime=0.5 * n, **steps).theta_G
image_step = meta_gradient(free, G, T, mts, mts, eta_F_prime=1.0, method="image", eta_I=0.5, **steps).theta_G
agree("one step of a free image is the image step", flat(one_step), flat(image_step), 1e-12)

# %% [markdown]
# ## What every form forgets
#
# - **One step** forgets all that follows it. By (B18) a direction counts by $s^2$: those few in which the parameters move all
#   pixels together have by far the largest $s$, so what the task asks for at one place is smeared over the image. This
#   is the short-horizon bias of meta-optimisation {cite}`wu2018shorthorizon` in another coat. *It does see the split:*
#   $J_{mtr} J_{mts}^\top$ asks what the meta-training pairs can do for the meta-test pairs.
# - **One Adam step** counts the parameters in Adam's units instead of their own. It is what Eq. (8) does with
#   $\mathcal{F}$, and still one step.
# - **$k$ steps** forget what comes after $k$, and need $k$ Hessian products.
# - **Gauss-Newton** looks to the end, but of a training *on this batch alone*: the more parameters $\mathcal{F}$ has for
#   the batch's pixels, the nearer $K$ comes to 1, while the real $\mathcal{F}$ has to serve all pairs at once. It
#   forgets $\mathcal{F}$'s own curvature and the gradient term, the last two terms of (B16).
# - **The image step** forgets $\mathcal{F}$: it may ask for an image that $\mathcal{F}$ cannot make. And it
#   forgets the split: $w$ is judged on the pairs it was written for. What keeps $\mathcal{G}$ from learning them by heart is
#   only that $\mathcal{G}$ is a network which sees other pairs in the next step.
#
# **The gradient term.** In one step and in the image step, $\alpha$ changes only where $g$ is taken; the checks above had
# $\alpha = 1$. In a converged $\mathcal{F}$ it stands in the way of $w$. $\mathcal{L}_f^{grad}$ is a sum of
# absolute values: its Hessian is 0 almost everywhere and infinite at the kinks, and at the kinks is where a
# training ends. How much that matters can be computed if the kinks are rounded, $|x|$ replaced by $\sqrt{x^2 +
# 0.05^2}$: for the network of 31 parameters, trained by Newton's method to the end of (B15), the push by the whole of (B16),
# checked by finite differences of the converged network, beside what Gauss-Newton makes of it.


# %% tags=["hide-input"]
def rounded(I_f: Tensor) -> Tensor:
    """L_grad in the released form, its directions apart, with rounded kinks."""
    off = sobel(I_f) - target_gradient(mtr.ir, mtr.vi, "released")
    return (off.square() + 0.05**2).sqrt().sum(1).mean()


def trained(w: Tensor, alpha: float, damping: float, theta: Tensor) -> tuple[Tensor, Tensor]:
    """The end of (B15), times n / 2, by damped Newton steps from theta; and the Hessian there."""

    def objective(t: Tensor) -> Tensor:
        I_f = image(smooth, t, mtr)
        L_f = intensity_loss(I_f, mtr.ir, mtr.vi, w, 1 - w) + alpha * rounded(I_f)
        return n / 2 * L_f + damping / 2 * (t - start).square().sum()

    value, trust = objective(theta), 1.0
    for _ in range(100):
        slope, H = grad(objective)(theta), hessian(objective)(theta)
        if slope.norm() < 1e-10 or trust > 1e5:  # arrived, or as near as rounding lets it
            break
        moved = theta - torch.linalg.solve(H + trust * torch.eye(len(theta)).to(H), slope)
        lower = objective(moved) <= value * (1 + 1e-13)
        if lower:
            theta, value = moved, objective(moved)
        trust = (trust / 10 if trust > 1e-3 else 0.0) if lower else max(4 * trust, 1e-6)
    return theta, H


torch.manual_seed(10)
start, rows = flat(values(smooth)), []
eye = torch.eye(len(start)).double()

# %% tags=["nbval-check-output"]
for alpha in (0.0, 0.1, 1.0):
    for damping in (1.0, 1e-2):
        end, H = trained(w_a, alpha, damping, start)
        J, v = jacobian(smooth, end, mtr), slope_of_L_t(smooth, end, mts)
        exact = difference.flatten() * (J @ torch.linalg.solve(H, v))  # (B16); H has lambda in it
        numeric = []
        for d in directions[:2]:
            up, down = (trained(w_a + s * d, alpha, damping, end)[0] for s in (h, -h))
            numeric.append(v @ (up - down) / (2 * h))
        along = torch.stack([exact @ d.flatten() for d in directions[:2]])
        agree(f"alpha {alpha}, lambda {damping}, differences", along, torch.stack(numeric), 1e-4)
        newton = difference.flatten() * (J @ torch.linalg.solve(J.T @ J + damping * eye, v))  # (B17)
        cosine = torch.nn.functional.cosine_similarity(newton, exact, dim=0)
        rows.append((alpha, damping, f"{cosine:.2f}", f"{newton.norm() / exact.norm():.1f}"))

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
header = (r"$\alpha$", "λ", "cosine of Gauss-Newton with the true push", "its length over the true one")
display(Markdown(format_table(header, [tuple(map(str, row)) for row in rows])))

# %% [markdown]
# Without the gradient term Gauss-Newton points the right way, the better the larger $\lambda$: what it leaves out is
# $\mathcal{F}$'s curvature. With the term it asks for several times too much, at the paper's $\alpha = 1$ for about ten times, and
# points elsewhere: a gradient term that holds the fused image in place is a reason why weights matter less there, and
# Gauss-Newton does not know it. The repair would be $J^\top \big(1 + \alpha \tfrac{n}{2}\, \partial^2
# \mathcal{L}_f^{grad} / \partial I_f^2\big) J + \lambda$ in the place of $J^\top J + \lambda$, at the price of rounded kinks.
#
# (see-it)=
# ## See it
#
# One state of $\mathcal{F}$ and $\mathcal{T}$ (150 steps at $w = 1/2$, *T older*: 400), one batch of eight scenes of 64 pixels, judged by
# the task on the same pairs; only $K$ changes with the slider. Eq. (4) is left out of $v$, so that $g$ is the
# same in all forms. The solve is done for all $\lambda$ at once in one Krylov space. *What carries* is what the scene knows:
# orange where infrared carries the class, purple where visible does, and only there signs are counted. A push of one sign
# everywhere is worth 50&nbsp;%, and so is chance.


# %%
def of_seeds(name: str, stop: str) -> list[float]:
    """The share of right signs of each seed."""
    rows = measured[(measured["metric"] == "right signs") & (measured["group"] == "same pairs")]
    return rows[rows["arm"] == f"{name}, {stop}"]["value"].tolist()


LookAhead(
    pairs,
    {label: {SAID[stop]: list(kept(name, stop)) for stop in STOPS} for name, label in NETWORKS.items()},
    {label: {SAID[stop]: of_seeds(name, stop) for stop in STOPS} for name, label in NETWORKS.items()},
    stop=1,
)

# %% [markdown]
# The numbers are means over three seeds, with the smallest and the largest in brackets. A seed has networks and scenes
# of its own. *By mass* counts a sign by the size of its push. *AUC* is how often a pixel that infrared carries is
# pushed further up than one that visible carries; a lean of the whole map to one source leaves it as it is, and chance
# is 50&nbsp;%.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = measured.pivot(index=["arm", "group"], columns=["metric", "seed"], values="value")
said = []
for name, label in NETWORKS.items():
    mean = {stop: table.loc[(f"{name}, {stop}", "same pairs"), "right signs"].mean() for stop in STOPS}
    best = max(mean, key=mean.get)
    said.append(
        f"- **{label}**: {mean['one step']:.0%} right signs through one step, {mean['one step, Adam']:.0%} through one "
        f"Adam step, {mean['image']:.0%} in the image itself; the most, {mean[best]:.0%}, at {SAID[best]}."
    )
display(Markdown("\n".join(said)))

# %% [markdown]
# All of it, for every $\lambda$ (a click shows it):


# %% tags=["hide-cell"] mystnb={"markdown_format": "myst"}
def cell(arm: str, group: str, metric: str) -> str:
    """The mean over seeds, with the smallest and the largest."""
    if (arm, group) not in table.index:
        return ""
    of_seeds = table.loc[(arm, group), metric].to_numpy(float)
    share = 100 if metric != "cosine" else 1
    low, mid, high = (share * x for x in (of_seeds.min(), of_seeds.mean(), of_seeds.max()))
    return (
        f"{mid:.0f} ({low:.0f} to {high:.0f})" if share == 100 else f"{mid:+.2f} ({low:+.2f} to {high:+.2f})"
    )


rows = []
for name, label in NETWORKS.items():
    for stop in STOPS:
        arm = f"{name}, {stop}"
        rows.append(
            (label, SAID[stop], cell(arm, "same pairs", "right signs"), cell(arm, "same pairs", "right mass"),
             cell(arm, "same pairs", "AUC"), cell(arm, "same pairs", "cosine"), cell(arm, "other pairs", "AUC"))
        )  # fmt: skip
header = (
    "F",
    "look-ahead",
    "right signs, %",
    "by mass, %",
    "AUC, %",
    "cosine with the image step",
    "AUC, other pairs, %",
)
display(Markdown(format_table(header, rows)))
left = measured[measured.metric == "residual"].groupby("arm")["value"].max()
print(f"The solve leaves at most {left.max():.0%} of its right-hand side ({left.idxmax()}).")

# %% [markdown]
# These are pushes at a single state, before anything is learned from them, and $\mathcal{T}$ is young: the push of the
# image step is $g$ itself, so its share of right signs says what this task network knows, not what look-ahead can do. A
# likely reason why the middle does better is that there $K$ averages $g$ over the pixels that $\mathcal{F}$ moves
# together: after one step that is the whole image, at $\lambda = 0.01$ a neighbourhood. $\mathcal{G}$ averages too,
# over many batches, and does not need $K$ for it. How weights learned by each form fare is the business of whole
# trainings, in {doc}`read_44_mechanism`.
#
# ## Who has been here
#
# Differentiating through the end of a training instead of its path is implicit differentiation; iMAML holds the inner
# training to its start by the quadratic term of (B15) {cite}`rajeswaran2019imaml`, and {cite:t}`lorraine2020millions` carry it to
# millions of outer parameters. That few unrolled steps mislead was found by {cite:t}`wu2018shorthorizon`. Forward mode inside
# the outer gradient is the subject of MixFlow-MG {cite}`kemaev2025mixflow`; Betty {cite}`choe2023betty` and TorchOpt
# {cite}`ren2023torchopt` offer unrolled and implicit gradients as libraries. What is particular here is that the outer
# parameters are the weights of pixels: the mixed derivative is diagonal, (B2), so that each form comes down to one
# operator on images.
