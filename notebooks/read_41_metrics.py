# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4.1 Six metrics, and how not to misread them
#
# **None of the six metrics knows what a good fused image is: noise raises EN and SF, and in VIF, Q^AB/F and SSIM a
# source alone or a plain rule is first. On 361 real pairs the maximum of the sources has a higher VIF and Q^AB/F than a
# trained network, and on the synthetic scenes the choice that knows the scene is last in SSIM. The same image has a VIF
# of 0.443, 0.886 or 0.927 by three evaluators, so a number without its convention says little.**
#
# **What this page shows.** What each of the six computes, what raises it besides good fusion, what [ten
# more](#ten-more) metrics of other tables add, and which inputs the library refuses.
#
# **What it needs.** Nothing but the library: twelve synthetic scenes, some seconds of CPU. Numbers of real pairs
# are read from a stored result.
#
# None of the six knows what a good fused image is. Two look at the fused image alone, four compare it with the
# sources. Each can be raised by something that nobody wants. All are computed on 8-bit gray images, one at a time,
# and a table shows their means over images.

# %% tags=["hide-input"]
import warnings

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from IPython.display import Markdown, display
from scipy.ndimage import gaussian_filter

from tdfusion import results
from tdfusion.data.images import to_uint8
from tdfusion.data.synthroad.scenes import SynthRoad, oracle_weights
from tdfusion.errors import InputError
from tdfusion.evaluate import BASELINES, fuse_baseline
from tdfusion.figures.panels import image_row
from tdfusion.fusing import stretch
from tdfusion.metrics import METRICS, TABLE, all_metrics, measure, ssim, vif
from tdfusion.results.paper import format_table, paper_table

scenes = SynthRoad(split="test", length=12, size=(192, 256), seed=0)


def oracle_mix(pair) -> np.ndarray:
    """The source that carries each object, pixel by pixel: uint8 (H, W)."""
    w_a = oracle_weights(pair.optimum)  # (1, H, W)
    return to_uint8(w_a * pair.ir + (1 - w_a) * pair.vi)


night = next(i for i in range(len(scenes)) if scenes.condition(i) == "night")
pair = scenes[night]
I_a, I_b, I_f = to_uint8(pair.ir), to_uint8(pair.vi), oracle_mix(pair)  # uint8 (H, W) each


def shown(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image / 255.0)


# %% mystnb={"image": {"alt": "Three panels of a synthetic night scene: infrared, luma of visible, and a fused image that takes each object from the source that shows it"}, "figure": {"caption": "The images of this page. The fused one takes every object from the source that shows it, which a synthetic scene knows; it stands for a fusion that serves a task, not for any network.", "name": "fig-metrics-pair"}}
figure = image_row({"infrared $I_a$": shown(I_a), "visible $I_b$": shown(I_b), "fused $I_f$": shown(I_f)})

# %% [markdown]
# ## Of the fused image alone
#
# **EN**, entropy, is the information in the histogram of the 256 gray levels, in bits:
#
# $$
# \mathrm{EN}(I_f) = -\sum_{v=0}^{255} p(v) \log_2 p(v)
# $$ (eq-B6)
#
# where $p(v)$ is the share of pixels with level $v$. It is 0 for a constant and 8 if all levels are equally
# frequent; where the pixels are does not matter, so noise is worth as much as structure.
#
# ```{libcode} tdfusion.metrics.entropy.entropy_of
# :nodoc:
# ```
#
# **SF**, spatial frequency, is the root mean square difference of neighbouring pixels, in gray levels:
#
# $$
# \mathrm{SF}(I_f) = \sqrt{\overline{(\Delta_x I_f)^2} + \overline{(\Delta_y I_f)^2}}
# $$ (eq-B7)
#
# A sharp image has a high one; so has a noisy one, and one with stretched contrast.
#
# ```{libcode} tdfusion.metrics.spatial_frequency.spatial_frequency_of
# :nodoc:
# ```
#
# ## Against the sources
#
# **SCD**, sum of the correlations of differences, asks whether what the fused image adds to one source looks like
# the other one, with Pearson's correlation over all pixels:
#
# $$
# \mathrm{SCD} = \mathrm{corr}(I_a,\, I_f - I_b) + \mathrm{corr}(I_b,\, I_f - I_a)
# $$ (eq-B8)
#
# It reaches 2 for $I_f = I_a + I_b$, whether or not that fits into 8 bits, and is 0/0 if the fused image is one of
# the sources.
#
# ```{libcode} tdfusion.metrics.scd.scd_of
# :nodoc:
# ```
#
# **VIF**, visual information fidelity, models each source $S$ locally as a signal that reaches the fused image
# with a gain $g$ and an unexplained rest, both seen through noise of variance 2, and divides the information that
# arrives by the information that was there:
#
# $$
# \mathrm{VIF}(S, I_f) = \frac{\sum \log\big(1 + g^2 \sigma_S^2 \,/\, (\sigma_f^2 - g\,\sigma_{Sf} + 2)\big)}{\sum \log\big(1 + \sigma_S^2 / 2\big)},
# \qquad g = \max\Big(0,\, \frac{\sigma_{Sf}}{\sigma_S^2}\Big)
# $$ (eq-B9)
#
# Sums run over all windows of four scales; the paper takes the mean over both sources. It is 1 for $I_f = S$, and
# above 1 where $I_f$ has more contrast than $S$.
#
# ```{libcode} tdfusion.metrics.vif._add_information
# :nodoc:
# ```
#
# **Q^AB/F** is the share of the sources' edges that is kept. For every pixel and source it multiplies a sigmoid of
# the ratio of edge strengths with a sigmoid of the agreement in orientation, and averages with the strength $g_S$
# of the source's edge as the weight:
#
# $$
# Q^{AB/F} = \frac{\sum_{S \in \{a,b\}} \sum_{ij} g_S\, \phi\big(\min(g_S, g_f) / \max(g_S, g_f)\big)\, \psi\big(1 - |\alpha_S - \alpha_f| / \tfrac{\pi}{2}\big)}{\sum_{S \in \{a,b\}} \sum_{ij} g_S}
# $$ (eq-B10)
#
# with $\phi(x) = 0.9994 / (1 + e^{-15 (x - 0.5)})$ and $\psi(x) = 0.9879 / (1 + e^{-22 (x - 0.8)})$. An edge that
# is too strong counts as lost just like one that is too weak.
#
# ```{libcode} tdfusion.metrics.qabf.qabf_of
# :nodoc:
# ```
#
# **SSIM**, structural similarity, compares local means $\mu$ and (co)variances $\sigma$ of the fused image and each
# source:
#
# $$
# \mathrm{SSIM}(S, I_f) = \overline{\frac{(2 \mu_S \mu_f + C_1)(2 \sigma_{Sf} + C_2)}{(\mu_S^2 + \mu_f^2 + C_1)(\sigma_S^2 + \sigma_f^2 + C_2)}}
# $$ (eq-B11)
#
# with $C_1 = (0.01 \cdot 255)^2$, $C_2 = (0.03 \cdot 255)^2$ and windows of 7x7 pixels; the paper takes the mean
# over both sources. It rewards agreement with both at once, and with it compromise.
#
# ```{libcode} tdfusion.metrics.ssim.ssim_per_source
# :nodoc:
# ```
#
# ## Six ways to spoil an image
#
# Now take the fused image and spoil it, step by step, and watch the six. A metric that measures quality should fall
# everywhere.

# %% tags=["hide-input"] mystnb={"image": {"alt": "The fused image after the last step of each change: noise, blur, more contrast, less contrast, brighter, darker"}, "figure": {"caption": "The last of five steps of each change.", "name": "fig-metrics-spoilt"}}
STEPS = 5
noise = np.random.default_rng(0).normal(size=I_f.shape)


def levels(values: np.ndarray) -> np.ndarray:
    """Rounded and clipped, as a saved image is."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


image, middle = I_f.astype(float), I_f.mean()
CHANGES = {
    "noise": lambda step: levels(image + 5 * step * noise),
    "blur": lambda step: levels(gaussian_filter(image, 0.4 * step)),
    "more contrast": lambda step: levels(middle + (1 + 0.15 * step) * (image - middle)),
    "less contrast": lambda step: levels(middle + (1 - 0.12 * step) * (image - middle)),
    "brighter": lambda step: levels(image + 12 * step),
    "darker": lambda step: levels(image - 12 * step),
}
figure = image_row({name: shown(change(STEPS)) for name, change in CHANGES.items()}, columns=3)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six small plots, one per metric, against the step of the change; noise raises entropy and spatial frequency, more contrast raises several, all other curves mostly fall"}, "figure": {"caption": "The six metrics of the fused image as it is spoilt; step 0 is the image itself.", "name": "fig-metrics-steps"}}
curves = {
    name: [measure(change(step), I_a, I_b).values for step in range(STEPS + 1)]
    for name, change in CHANGES.items()
}
figure, axes = plt.subplots(2, 3, figsize=(8.4, 5), sharex=True, layout="constrained")
markers = "osD^vP"
for axis, metric in zip(axes.flat, METRICS):
    for (name, rows), colour, marker in zip(curves.items(), sns.color_palette("colorblind"), markers):
        axis.plot([row[metric] for row in rows], color=colour, marker=marker, markersize=4, label=name)
    axis.set_title(metric)
    axis.axhline(curves["noise"][0][metric], color="0.7", linewidth=0.8, zorder=0)
    sns.despine(ax=axis)
for axis in axes[1]:
    axis.set_xlabel("step")
handles, labels = axes[0, 0].get_legend_handles_labels()
legend = figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=9)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
change_of = [
    (name, *(f"{rows[-1][metric] - rows[0][metric]:+.2f}" for metric in METRICS))
    for name, rows in curves.items()
]
display(Markdown(format_table(("change at the last step", *METRICS), change_of)))

# %% [markdown]
# Whatever has a plus sign was raised by spoiling the image. **Noise raises the two metrics that look at the fused
# image alone**. Blur, too, gives this image more gray levels and with them a higher
# EN, and more contrast raises SF and SCD. VIF, Q^AB/F and SSIM fall in all six cases here, which is why they deserve more
# trust on this point. Brightness would not touch SF and SCD at all if pixels did not clip at 0 and 255.
#
# ## One image, three evaluators
#
# The paper's evaluator takes the mean over the two sources in VIF and SSIM. The evaluator that much of the field
# uses, released with CDDFuse, takes the sum, and its SSIM assumes that pixels span a range of 2. The torch metrics
# of the IVIF_ZOO survey have an off-centre VIF kernel and another SSIM. The library has all three by name:
#
# ```{libcode} tdfusion.metrics.conventions.CONVENTIONS
# ```
#
# The same fused image, three rows:

# %% tags=["nbval-check-output"] mystnb={"markdown_format": "myst"}
rows = [
    (name, *(f"{value:.3f}" for value in all_metrics(I_f, I_a, I_b, convention=name).values()))
    for name in ("paper", "cddfuse", "ivif_zoo")
]
display(Markdown(format_table(("convention", *METRICS), rows)))

# %% [markdown]
# A table that takes its competitors' VIF from one paper and its own from another evaluator compares nothing. Here
# is the same on real pairs: the 361 MSRS test pairs of the paper's table, fused with the weights that the authors
# released for the same architecture (reference [5] of the paper, not TDFusion's) and stretched.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
real = results.wide(results.load("real_pairs").query("data == 'MSRS' and group == ''"), "task", "arm")


def cells(mean) -> list[str]:
    return ["0/0" if np.isnan(mean[metric]) else f"{mean[metric]:.3f}" for metric in METRICS]


rows = [(name, *cells(row)) for name, row in real.xs("ReFusion weights, stretched", level="arm").iterrows()]
display(Markdown(format_table(("convention", *METRICS), rows)))

# %% [markdown]
# ## The stretch
#
# **Paper versus released code.** The paper does not mention it; the released test code stretches every fused image
# to the full range, from its own minimum to its own maximum, before it is saved and scored.
#
# ```{libcode} tdfusion.fusing.stretch
# :nodoc:
# ```
#
# It is a change of contrast made image by image, so it moves whatever depends on contrast. Below, the plain
# average of the sources over the twelve scenes, as it is and stretched; then real pairs.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
pairs = [scenes[i] for i in range(len(scenes))]
sources = [(to_uint8(p.ir), to_uint8(p.vi)) for p in pairs]


def mean_of(fused: list[np.ndarray]) -> dict[str, float]:
    """Means over the scenes; NaN where a metric is 0/0 on every scene."""
    values = [measure(f, a, b).values for f, (a, b) in zip(fused, sources)]
    return {metric: float(np.mean([v[metric] for v in values])) for metric in METRICS}


def stretched(image: np.ndarray) -> np.ndarray:
    return to_uint8(stretch(shown(image)[None, None])[0])


def table_row(name: str, mean: dict[str, float]) -> tuple[str, ...]:
    return (name, *("0/0" if np.isnan(mean[metric]) else f"{mean[metric]:.3f}" for metric in METRICS))


average = [fuse_baseline("mean", *source) for source in sources]
rows = [
    table_row("mean, SynthRoad", mean_of(average)),
    table_row("mean, stretched", mean_of([stretched(f) for f in average])),
]
display(Markdown(format_table(("12 synthetic scenes", *METRICS), rows)))

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = [
    (name, *cells(real.loc["paper", name]))
    for name in ("ReFusion weights, unstretched", "ReFusion weights, stretched")
]
display(Markdown(format_table((f"{real.loc['paper', 'max'].images:.0f} MSRS pairs", *METRICS), rows)))

# %% [markdown]
# EN hardly moves, because a stretch only spreads the levels apart. SF grows in proportion to the contrast, and SCD and
# Q^AB/F of an average with it, although no pixel was fused any better. The means
# of the network's results on real pairs move little. That depends on the method and on the image, so a table should say
# whether its images were stretched.
#
# ## Why a plain rule wins
#
# Every table should hold four rows that need no network: the infrared image itself, the visible image itself, their
# mean and their per-pixel maximum. First on the twelve scenes, with the oracle's choice below.

# %% mystnb={"markdown_format": "myst"}
fused = {name: [fuse_baseline(name, *source) for source in sources] for name in BASELINES}
fused["oracle's choice"] = [oracle_mix(p) for p in pairs]
display(
    Markdown(
        format_table(
            ("12 synthetic scenes", *METRICS), [table_row(name, mean_of(f)) for name, f in fused.items()]
        )
    )
)

# %% [markdown]
# Here either source alone beats every fusion in VIF and Q^AB/F, the maximum included. The oracle's choice, which shows
# whatever either camera shows, is last of the five in SSIM, last of the three that have an SCD, and below both sources
# in VIF and Q^AB/F. It has seams where it changes source, which no network would leave; still, none of the six sees
# what it is good for.
#
# Then on the real pairs, beside the paper's own row for TDFusion, which is over the same 361 pairs and by other
# weights than those of the last line but one.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
theirs = next(row for row in paper_table(1).of("MSRS") if row["method"] == "TDFusion")
rows = [(name, *cells(real.loc["paper", name])) for name in (*BASELINES, "ReFusion weights, stretched")]
rows.append(("paper: TDFusion, 361 pairs", *(f"{theirs[metric]:.2f}" for metric in METRICS)))
display(Markdown(format_table((f"{real.loc['paper', 'max'].images:.0f} MSRS pairs", *METRICS), rows)))

# %% [markdown]
# **The maximum, one line of code, has a higher VIF and Q^AB/F than the network on the same pairs**, and is above the
# paper's row in both, on the same pairs. The reason is in the averages over sources. **An image that
# copies one source has VIF 1 with it, so its mean is at least one half, whatever it does to the other.** The maximum
# copies one source at every pixel, the brighter one. On these pairs that brings it level with the visible image in VIF
# (0.520 and 0.522) and above it in Q^AB/F. On the synthetic scenes it stays below both sources; the next table says
# why, by handing the same source to VIF and SSIM twice.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = []
for name, images in fused.items():
    apart = [
        [metric(f, s, s) for s in (a, b) for metric in (vif, ssim)] for f, (a, b) in zip(images, sources)
    ]
    vif_a, ssim_a, vif_b, ssim_b = np.mean(apart, axis=0)
    rows.append(
        (
            name,
            *(f"{v:.3f}" for v in (vif_a, vif_b, (vif_a + vif_b) / 2, ssim_a, ssim_b, (ssim_a + ssim_b) / 2)),
        )
    )
display(Markdown(format_table(("", "VIF ir", "VIF vi", "mean", "SSIM ir", "SSIM vi", "mean"), rows)))

# %% [markdown]
# There the maximum gives up more of the visible image (a VIF of 0.727 with it in place of 1) than it wins of infrared
# (0.087 in place of 0.022). Q^AB/F behaves alike: the weight of a pixel is the strength of the source's edge, and an
# edge that is copied whole scores near the top while the one that was dropped was weak to begin with. Where one source
# has an edge and the other none, an average halves it, and a ratio of one half lies on the steepest part of the sigmoid
# in Eq. {eq}`eq-B10`. Neither metric asks whether the dropped edge was the pedestrian.
#
# SSIM is the other way round: the mean of the sources agrees with both to some degree, and leads.
#
# (ten-more)=
# ## Ten more
#
# Other papers' tables hold other metrics. The library has the ten that are met most, by name
# ([how to ask](../book/use/score.md)); the paper gives none of them, so nothing of its own can stand beside.
# **Of the ten, only MI and MS-SSIM fall whenever the image is spoiled, below**, and neither proves good fusion: MI is
# highest for a copy of one source, MS-SSIM for the plain mean. All sixteen, in the paper's convention for the first six; $S$ is a source, a bar the mean over pixels
# or windows, ↓ says that lower is better:
#
# | | formula | what raises it | range | where evaluators differ |
# |---|---|---|---|---|
# | EN | {eq}`eq-B6` | many gray levels, noise | 0 to 8 bits | IVIF_ZOO: $10^{-7}$ inside the logarithm |
# | SF | {eq}`eq-B7` | sharpness, contrast, noise | 0 to $255\sqrt{2}$ | |
# | SCD | {eq}`eq-B8` | the sum of the sources | -2 to 2 | |
# | VIF | {eq}`eq-B9` | a copy of one source, contrast | from 0 | CDDFuse, IVIF_ZOO: sum over $S$; IVIF_ZOO: kernel and border |
# | Q^AB/F | {eq}`eq-B10` | edges copied whole | 0 to 0.987 | |
# | SSIM | {eq}`eq-B11` | agreement with both, compromise | -1 to 1 | CDDFuse, IVIF_ZOO: sum over $S$, data range; IVIF_ZOO: window |
# | SD | $\sqrt{\overline{(I_f - \overline{I_f})^2}}$ | contrast, noise, a stretch | 0 to 127.5 levels | |
# | AG | $\overline{\sqrt{(g_x^2 + g_y^2) / 2}}$, central differences | sharpness, contrast, noise | 0 to 255 levels | VIFB, MATLAB scripts: divided by $(H-1)(W-1)$ |
# | EI | $\overline{\sqrt{s_x^2 + s_y^2}}$, Sobel | as AG | 0 to 1442 levels | IVIF_ZOO: zeros beyond the border |
# | MI | $\sum_S \big(H(S) + H(I_f) - H(S, I_f)\big)$ | a copy of one source, or its negative | 0 to 2 EN bits | CDDFuse: nats; VIFB: nats, after a stretch |
# | CC | $\frac{1}{2} \sum_S \mathrm{corr}(S, I_f)$ | the mean of the sources | -1 to 1 | |
# | MSE ↓ | $\frac{1}{2} \sum_S \overline{(I_f - S)^2}$ | distance from the mean of the sources | 0 to $255^2$ | IVIF_ZOO, MATLAB scripts: scale 0 to 1 |
# | PSNR | $10 \log_{10} (255^2 / \mathrm{MSE})$ | the mean of the sources | from 0 dB | IVIF_ZOO, MATLAB scripts: 48.13 dB more; CDDFuse: brightest pixel for 255; VIFB: another MSE |
# | Nabf ↓ | share of the sources' edges that $I_f$ tops, and does not preserve | edges of its own, noise | 0 to 1 | IVIF_ZOO: faint edges weigh 0; MATLAB script: on the scale 0 to 1 |
# | MS-SSIM | $\prod_{j=1}^{5} c_j^{w_j}$, SSIM's factors on five scales | as SSIM | 0 to 1 | IVIF_ZOO: sum over $S$, data range; MATLAB script: another metric of that name |
# | FMI | $\overline{2\, I(p_S, p_f) / (H(p_S) + H(p_f))}$ of edge maps, 3x3 windows | edges where the sources have them | 0 to 1 | MEFB, MATLAB script: depends on the order of the sources |
#
# CDDFuse and IVIF_ZOO are the library's conventions of these names. Exact definitions and their sources are in
# [the reference](../book/use/api.md), each in the docstring of its function. MS-SSIM needs 176 pixels a side.
#
# How the six ways to spoil the image change the ten, at the last step; **bold: the metric takes the spoilt image for the better one**.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
TEN = [metric for metric in TABLE if metric not in METRICS]


def shown_value(metric: str, value: float, sign: str = "") -> str:
    digits = {"MSE": 0, "CC": 3, "Nabf": 3, "MS-SSIM": 3, "FMI": 3}.get(metric, 2)
    return f"{value:{sign}.{digits}f}"


def change_cell(metric: str, before: float, after: float) -> str:
    cell = shown_value(metric, after - before, "+")
    better = after > before if TABLE[metric].higher_is_better else after < before
    return f"**{cell}**" if better and float(cell) else cell


before = measure(I_f, I_a, I_b, metrics=TEN).values
after = [measure(change(STEPS), I_a, I_b, metrics=TEN).values for change in CHANGES.values()]
rows = [
    (metric, shown_value(metric, value), *(change_cell(metric, value, spoilt[metric]) for spoilt in after))
    for metric, value in before.items()
]
display(Markdown(format_table(("", "image", *CHANGES), rows)))

# %% [markdown]
# SD, AG and EI are SF over again: they reward noise and contrast, and no source is looked at. Blur and less contrast
# raise PSNR and lower MSE, because they bring the image nearer to the mean of the sources.
#
# The same twelve scenes as above show it from the other side.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
scored = [
    [measure(f, a, b, metrics=TEN).values for f, (a, b) in zip(images, sources)] for images in fused.values()
]
rows = [
    (metric, *(shown_value(metric, np.mean([v[metric] for v in values])) for values in scored))
    for metric in TEN
]
display(Markdown(format_table(("12 synthetic scenes", *fused), rows)))

# %% [markdown]
# **MSE and PSNR cannot tell an image that takes every pixel from one of the sources from any other such image**: the two
# squared differences are 0 and $(I_a - I_b)^2$, whichever source was taken. Either source alone, their maximum and the
# oracle's choice have one value; the plain mean has half their MSE, 3.01 dB more. CC, MS-SSIM, PSNR and MSE all put it
# first.
#
# And one image by three evaluators, where they differ:

# %% tags=["nbval-check-output"] mystnb={"markdown_format": "myst"}
differing = ("EI", "MI", "PSNR", "MSE", "Nabf", "MS-SSIM")
rows = [
    (name, *(f"{value:.3f}" for value in measure(I_f, I_a, I_b, name, metrics=differing).values.values()))
    for name in ("paper", "cddfuse", "ivif_zoo")
]
display(Markdown(format_table(("convention", *differing), rows)))

# %% [markdown]
# A PSNR above 60 dB in a fusion table is no better image: it is 255 set against errors on the scale 0 to 1.
#
# ## What the library refuses
#
# A metric will gladly compute something plausible from a wrong input: one published VIF answers a NaN pixel with a
# perfect 2, and VIF of images in 0..1 is about twice what it should be. Here each such input raises an error, or gives NaN
# with a warning that says why.


# %% tags=["nbval-check-output"]
def attempt(what: str, f, a=I_a, b=I_b) -> None:
    """What the metrics say to these images."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            all_metrics(f, a, b, name="scene 7")
            print(what, *(str(warning.message) for warning in caught), sep="\n    ")
        except InputError as error:
            print(f"{what}\n    {error}")


broken = I_f.astype(float)
broken[3, 5] = np.nan
attempt("a NaN pixel", broken)
attempt("floats in 0..1", I_f / 255.0)
attempt("three channels", np.stack([I_f] * 3, axis=-1))
attempt("values beyond 255", I_f.astype(float) + 40)
attempt("sources of another size", I_f[:-1], I_a, I_b)
attempt("too small for VIF", I_f[:40], I_a[:40], I_b[:40])
attempt("a constant infrared image", I_f, np.full_like(I_a, 20))
attempt("the fused image is a source", I_b)

# %% [markdown]
# A NaN is never dropped from a mean in silence: tables say how many images each metric left out. Values of EN, SF,
# SCD, VIF, Q^AB/F, SSIM and the ten others that any implementation must give on small images made by formulas are in the package;
# [Score any method](../book/use/score.md#check-another-implementation) shows how to test another one with them.
