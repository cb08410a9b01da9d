# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.2 The loss that can be learned
#
# **The loss pulls every pixel of the fused image to a weighted mean of its two sources, and the loss generation network
# $\mathcal{G}$ writes the weights. The gradient term has no learned part, and with the weight $\alpha = 1$ that the
# paper gives it, it is many times the larger: on the scene of this page the weights then move the image by 0.38 of the
# distance between the sources, where without that term they move it by all of it.**
#
# **What this page shows.** The fusion loss $\mathcal{L}_f$, Eq. (1) to (3), term by term, and where the authors'
# released code computes something else than the paper prints.
#
# **What it needs.** Nothing but the library: one synthetic scene, a few seconds of CPU.
#
# The fused image $I_f$ should look like the infrared image $I_a$ here and like the visible image $I_b$ there.
# Who decides where? Usually a rule that somebody wrote down, such as "keep the brighter pixel". TDFusion leaves
# the decision open: $L_f$ contains a weight for every pixel and source, and a network $\mathcal{G}$ writes
# them. This page is about the loss with the weights given; how $\mathcal{G}$ learns them is Sec. 3.4.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import seaborn as sns
import torch

from tdfusion.data.synthroad.scenes import SynthRoad, oracle_weights
from tdfusion.figures.panels import image_row, visible_rgb
from tdfusion.losses import fusion_loss, gradient_loss, intensity_loss, sobel, target_gradient

scenes = SynthRoad(split="test", length=40, size=(120, 160), seed=0)
night = next(i for i in range(len(scenes)) if scenes.condition(i) == "night")
pair = scenes[night]
I_a, I_b = pair.ir[None], pair.vi[None]  # (1, 1, H, W) each

# %% mystnb={"image": {"alt": "Three panels of one synthetic night scene: infrared, visible in colour, and the luma of the visible image"}, "figure": {"caption": "The pair of this page, a synthetic night scene. All equations see the infrared image and the luma of the visible one; colour is put back after fusion.", "name": "fig-loss-pair"}}
figure = image_row(
    {"infrared $I_a$": pair.ir, "visible": visible_rgb(pair), "luma of visible $I_b$": pair.vi}
)
# %% [markdown]
# ## The sum, Eq. (1)
#
# $$
# \mathcal{L}_f = \mathcal{L}_f^{int} + \alpha\, \mathcal{L}_f^{grad}
# $$ (eq-1)
#
# One term is about brightness, one about edges; the paper sets $\alpha = 1$. Only the first contains the weights. In
# the library:
#
# ```{libcode} tdfusion.losses.fusion_loss
# :nodoc:
# ```

# %% [markdown]
# ## Brightness, Eq. (2)
#
# $$
# \mathcal{L}_f^{int} = \frac{1}{HW} \sum_{ij} \Big[ \sum_{k \in \{a,b\}} w_k^{ij} \big(I_f^{ij} - I_k^{ij}\big)^2 \Big]
# $$ (eq-2)
#
# ```{libcode} tdfusion.losses.intensity_loss
# :nodoc:
# ```
#
# Since $w_a + w_b = 1$ at every pixel, this is a parabola in $I_f$ with its lowest point at $w_a I_a + w_b I_b$. **If
# $\mathcal{L}_f^{int}$ were all, the weights would be the recipe of the fused image.** The next figure minimises
# $\mathcal{L}_f^{int}$ over the pixels themselves, without any network, for three weights: 1/2 everywhere, "the
# brighter pixel wins", and the oracle, which knows for each object of this synthetic scene which source *carries* it,
# that is, shows it where the other does not.

# %% mystnb={"image": {"alt": "Three weight maps above the three fused images that minimise the intensity loss under them"}, "figure": {"caption": "Weights (top; orange asks for infrared, purple for visible) and the image that minimises Eq. (2) under them (bottom).", "name": "fig-loss-minima"}}
choices = {
    "w = 1/2": torch.full_like(I_a, 0.5),
    "brighter pixel": (I_a > I_b).float(),
    "oracle": oracle_weights(pair.optimum)[None],
}
panels = {f"$w_a$: {name}": w_a for name, w_a in choices.items()}
panels |= {f"$I_f$: {name}": w_a * I_a + (1 - w_a) * I_b for name, w_a in choices.items()}
figure = image_row(
    {title: image[0] for title, image in panels.items()},
    maps={title: "PuOr_r" for title in panels if "w_a" in title},
    columns=3,
)
# %% [markdown]
# **Paper versus released code.** The released training script squares the weights together with the difference:
# $(w_k (I_f - I_k))^2$. The minimum moves to $(w_a^2 I_a + w_b^2 I_b) / (w_a^2 + w_b^2)$, so the weights act
# more like a switch, and at $w = 1/2$ the whole term is half as large against the gradient term. Both forms
# are in the library, as `variant="paper"` and `variant="released"`; the curves are computed with them.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: best fused value against the weight, a straight line for the paper and an S-shaped curve for the released code. Right: intensity loss against the fused value for both variants"}, "figure": {"caption": "One pixel with infrared value 0.8 and visible value 0.2. Left: the fused value at the minimum as the weight goes from 0 to 1. Right: the loss itself at $w_a = 0.7$.", "name": "fig-loss-variants"}}
a, b = 0.8, 0.2
w = torch.linspace(0, 1, 101)
values = torch.linspace(0, 1, 201)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for variant, colour in zip(("paper", "released"), sns.color_palette("colorblind")):

    def loss_at(value, w_a, variant=variant):
        return intensity_loss(value, torch.tensor(a), torch.tensor(b), w_a, 1 - w_a, variant)

    curves = torch.stack([torch.stack([loss_at(v, w_i) for v in values]) for w_i in w])  # (101, 201)
    left.plot(w, values[curves.argmin(1)], color=colour, label=variant)
    right.plot(values, curves[70], color=colour, label=variant)
left.set(
    xlabel="weight $w_a$ of the infrared pixel", ylabel="best fused value", title="where the minimum lies"
)
right.set(xlabel="fused value", ylabel="$L_f^{int}$", title="the loss at $w_a = 0.7$")
left.legend(frameon=False)
sns.despine(figure)

# %% [markdown]
# (sec-loss-gradient)=
# ## Edges, Eq. (3)
#
# $$
# \mathcal{L}_f^{grad} = \frac{1}{HW} \sum_{ij} \Big| \nabla I_f^{ij} - \max_{k \in \{a,b\}} \big(\nabla I_k^{ij}\big) \Big|
# $$ (eq-3)
#
# ```{libcode} tdfusion.losses.gradient_loss
# :nodoc:
# ```
#
# ```{libcode} tdfusion.losses.target_gradient
# :nodoc:
# ```
#
# The fused image is to have, at every pixel, the stronger of the two edges. No weight appears: **this term asks for the
# texture of both sources whatever $\mathcal{G}$ says.** With $\alpha = 1$ it is also the larger term, as the numbers
# below show, so it limits what the weights can achieve. How much that costs on scenes with a known answer is in
# {doc}`read_45_ablations` (Exp. II).
#
# The paper calls $\nabla$ the Sobel operator and stops there. A Sobel operator has two directions, and a maximum
# needs one number, so something must be decided:
#
# | | per pixel | sign | what is compared |
# |---|---|---|---|
# | `paper` (our reading) | strength: absolute x plus absolute y | none | strength of $I_f$ with the larger strength |
# | `released` | x and y apart | kept | each derivative of $I_f$ with the source derivative of larger magnitude |
#
# Our reading follows the fusion methods that the paper cites for this term. The released form is the stricter
# one: an edge that is strong enough but runs the wrong way costs nothing in the first and a lot in the second.

# %% mystnb={"image": {"alt": "Four panels: edge strength of infrared, of visible, their maximum, and the difference between the two variants' targets"}, "figure": {"caption": "Edge strength of both sources, the target of Eq. (3), and the pixels where infrared (orange) or visible (purple) supplies it.", "name": "fig-loss-edges"}}
strength = {name: sobel(image).abs().sum(1, keepdim=True) for name, image in (("a", I_a), ("b", I_b))}
target = target_gradient(I_a, I_b)
winner = 0.5 + 0.5 * (strength["a"] - strength["b"]) / (strength["a"] + strength["b"] + 0.05)
top = target.quantile(0.995).item()
edges = {
    "strength of $I_a$": strength["a"][0] / top,
    "strength of $I_b$": strength["b"][0] / top,
    "target: the larger": target[0] / top,
    "who supplies it": winner[0],
}
figure = image_row(edges, maps={"who supplies it": "PuOr_r"})

# %% [markdown]
# ## What the weights can move
#
# Now minimise the whole $\mathcal{L}_f$ over the pixels, by gradient descent on the image itself, once with
# $w_a = 1$ and once with $w_a = 0$ everywhere, and watch how far apart the two results are as $\alpha$ grows. If
# the gradient term left the weights free, the distance would be that of the two sources.


# %% tags=["hide-input"]
def best_image(w_a: torch.Tensor, alpha: float, variant: str, steps: int = 300) -> torch.Tensor:
    """Minimise L_f over the pixels of I_f, from the average of the sources."""
    I_f = (0.5 * (I_a + I_b)).requires_grad_()
    optimiser = torch.optim.Adam([I_f], lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        fusion_loss(I_f, I_a, I_b, w_a, 1 - w_a, alpha, variant, variant).backward()
        optimiser.step()
        schedule.step()
    return I_f.detach().clamp(0, 1)


alphas = (0.0, 0.02, 0.1, 1.0)
one, zero = torch.ones_like(I_a), torch.zeros_like(I_a)
found = {
    (variant, alpha): (best_image(one, alpha, variant), best_image(zero, alpha, variant))
    for variant in ("paper", "released")
    for alpha in alphas
}
apart = (I_a - I_b).abs().mean().item()
distance = {key: (f1 - f0).abs().mean().item() / apart for key, (f1, f0) in found.items()}
for variant in ("paper", "released"):
    print(
        variant.ljust(9), "  ".join(f"alpha {alpha:<4g} {distance[variant, alpha]:.2f}" for alpha in alphas)
    )

# %% mystnb={"image": {"alt": "Fused images for weight 1 and weight 0 at four values of alpha; they differ strongly at alpha 0 and little at alpha 1"}, "figure": {"caption": "The image that minimises L_f (variant paper) when all weight is on infrared (top) or on visible (bottom), for growing alpha.", "name": "fig-loss-alpha"}}
rows = {f"$w_a = 1$, $\\alpha = {alpha:g}$": found["paper", alpha][0][0] for alpha in alphas}
rows |= {f"$w_a = 0$, $\\alpha = {alpha:g}$": found["paper", alpha][1][0] for alpha in alphas}
figure = image_row(rows, columns=len(alphas))
# %% [markdown]
# The numbers above are the mean distance between the two results, as a share of the mean distance between the
# two sources: 1 means that the weights decide everything, 0 that they decide nothing. This is one scene and no
# network; it shows the room that the loss itself leaves.

# %% tags=["hide-input"]
half = torch.full_like(I_a, 0.5)
average = 0.5 * (I_a + I_b)
sizes = {
    variant: (
        intensity_loss(average, I_a, I_b, half, half, variant).item(),
        gradient_loss(average, I_a, I_b, variant).item(),
    )
    for variant in ("paper", "released")
}
for variant, (intensity, gradient) in sizes.items():
    print(f"{variant:<9} L_int {intensity:.4f}   L_grad {gradient:.4f}   ratio {gradient / intensity:.0f}")

# %% [markdown]
# Those are the two terms for the plain average of the sources with $w = 1/2$: at $\alpha = 1$ the gradient term
# is many times the intensity term, in both variants.
#
# ## The task loss
#
# $\mathcal{L}_t$ is whatever the task brings: cross-entropy over all classes for segmentation with SegFormer,
# the YOLOv8 loss (box, class and distribution terms) for detection. It is the only loss that sees a label, and it
# never sees the weights. How it reaches them all the same is the subject of Sec. 3.4.
#
# ```{libcode} tdfusion.tasks.dense.DenseTask.forward
# ```

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 3.2-1: What is left at the minimum
#
# Complete the square in Eq. (2) at one pixel, with $w_a + w_b = 1$. Where is the minimum, and how large is the loss there? For
# which weights is that rest zero? Check the place of the minimum for both variants by automatic differentiation.
#
# :::{dropdown} Solution
# $$
# w_a (I_f - I_a)^2 + w_b (I_f - I_b)^2 = \big(I_f - (w_a I_a + w_b I_b)\big)^2 + w_a w_b (I_a - I_b)^2
# $$
#
# The first term is zero at $I_f = w_a I_a + w_b I_b$. The second does not depend on $I_f$: it is the price of asking for
# two things at once. It is zero where one weight is 1, and where the sources agree. So even a perfect fusion network does not
# bring $\mathcal{L}_f^{int}$ to zero, and the value it reaches says more about the weights than about the network.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
torch.manual_seed(0)
A, B = I_a.double(), I_b.double()
w_a = torch.rand_like(A)
w_b = 1 - w_a
I_f = torch.rand_like(A)
square, rest = (I_f - (w_a * A + w_b * B)).square(), w_a * w_b * (A - B).square()
print("the same:", torch.allclose(intensity_loss(I_f, A, B, w_a, w_b), (square + rest).mean()))
for variant, power in (("paper", 1), ("released", 2)):
    minimum = (w_a**power * A + w_b**power * B) / (w_a**power + w_b**power)
    minimum.requires_grad_()
    (slope,) = torch.autograd.grad(intensity_loss(minimum, A, B, w_a, w_b, variant), minimum)
    print(f"slope at the minimum, {variant}: below 1e-15: {slope.abs().max().item() < 1e-15}")

# %% [markdown]
# ### Exercise 3.2-2: If G followed its own loss
#
# Differentiate the whole $\mathcal{L}_f$ in $w_a$ at one pixel, with $w_b = 1 - w_a$. Where is $\alpha$? What would
# $\mathcal{G}$ learn if it were trained to make $\mathcal{L}_f$ small?
#
# :::{dropdown} Solution
# $$
# \frac{\partial \mathcal{L}_f}{\partial w_a^{ij}} = \frac{1}{HW} \big[ (I_f - I_a)^2 - (I_f - I_b)^2 \big]
# = \frac{1}{HW} (I_b - I_a) (2 I_f - I_a - I_b)
# $$
#
# $\alpha$ is gone: the gradient term holds no weight, so it drops out of this derivative. It acts on the weights only through
# the image that it has shaped.
#
# The derivative does not depend on $w_a$. So $\mathcal{L}_f$ is lowest at $w_a = 0$ or 1: all weight goes to the
# source that the fused image is already closer to, whichever that is. The loss would agree with whatever the network does, and
# this is why $\mathcal{G}$ needs another teacher, $\mathcal{L}_t$.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
by_hand = ((I_f - A).square() - (I_f - B).square()) / A.numel()
for alpha in (0.0, 1.0):
    w = w_a.clone().requires_grad_()
    (slope,) = torch.autograd.grad(fusion_loss(I_f, A, B, w, 1 - w, alpha), w)
    print(f"alpha = {alpha:g}: as by hand: {torch.allclose(slope, by_hand)}")

# %% [markdown]
# ### Exercise 3.2-3: All weight on infrared
#
# Set $w_a = 1$ at every pixel and $\alpha = 1$. Which of four images has the smallest $\mathcal{L}_f$: the infrared image, the
# visible image, their average, or their maximum? Guess before you compute.
#
# :::{dropdown} Solution
# Not the infrared image, in either variant. On this scene the **visible** image wins by the paper's loss, and the maximum by the
# released one, although no weight asks for them. The infrared image fulfils Eq. (2) perfectly and Eq. (3) badly; the others do the
# reverse, and at $\alpha = 1$ the second term is the larger one and decides. "All weight on infrared" is a statement about one of
# two terms.
#
# With $\alpha = 0$ the infrared image wins, of course: its loss is zero.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
images = {"infrared": I_a, "visible": I_b, "average": average, "maximum": torch.maximum(I_a, I_b)}
for variant in ("paper", "released"):
    losses = {n: fusion_loss(x, I_a, I_b, one, zero, 1.0, variant, variant).item() for n, x in images.items()}
    said = "  ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
    print(f"{variant:<9} {said}   smallest: {min(losses, key=losses.get)}")

# %% [markdown]
# ### Exercise 3.2-4: The unit of alpha
#
# Multiply all three images by a number $c$. How do the two terms change? Somebody trains with pixels from 0 to 255 and
# $\alpha = 1$. Which $\alpha$ is that for pixels from 0 to 1? And what does a scene of low contrast do to the balance?
#
# :::{dropdown} Solution
# The intensity term is quadratic and grows as $c^2$; the gradient term grows as $c$. With $c = 255$
#
# $$
# c^2 \mathcal{L}_f^{int} + \alpha\, c\, \mathcal{L}_f^{grad}
# = c^2 \big( \mathcal{L}_f^{int} + \tfrac{\alpha}{c} \mathcal{L}_f^{grad} \big),
# $$
#
# so $\alpha = 1$ on 0 to 255 is $\alpha = 1/255 \approx 0.004$ on 0 to 1. $\alpha$ has a unit, and the value 1 means nothing without
# the range of the pixels. In the figure above that is the difference between weights that decide little and
# weights that decide nearly everything.
#
# A scene with half the contrast has a quarter of the intensity term and half of the gradient term: the darker and flatter
# the scene, the less the weights count.
# :::


# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
def terms(c: float) -> tuple[float, float]:
    scaled = (c * average, c * I_a, c * I_b)
    return intensity_loss(*scaled, half, half).item(), gradient_loss(*scaled).item()


for c in (0.5, 255):
    (L_int, L_grad), (base_int, base_grad) = terms(c), terms(1)
    print(f"c = {c:g}: L_int times {L_int / base_int:.2f}, L_grad times {L_grad / base_grad:.2f}")
