# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Explorers: look for yourself
#
# **Move a pixel, a weight, a divider or a level and see what follows: the weights that the stored runs wrote are almost
# flat on the scale from 0 to 1, at a single pixel the gradient term may hold the fused value where its weight does not
# want it, and noise raises two of the six metrics. One line makes such a picture of your own runs,
# `WeightsExplorer.from_runs(["runs/segmentation", "runs/detection"], [pair])`.**
#
# **What this page shows.** Four pictures that answer: the weights that the loss generation network $\mathcal{G}$ wrote,
# the loss landscape that given weights make, fused images under a divider, and the six metrics while an image is
# spoiled; a fifth, on what the task asks of the weights, stands where it is needed, in
# [3.7b](read_37_lookahead.ipynb#see-it).
#
# **What it needs.** Nothing to read it: the explorers work on this page as it is, from disk, with no kernel and no
# network. To make them for your own pairs: the library with its extra `book`, and a few seconds of CPU.
#
# Everything is by mouse, finger or keyboard. In the pictures, the arrow keys move the pixel that is read out (with
# Shift by eight pixels); the line of values below is also spoken by screen readers.

# %% tags=["hide-input"]
import torch

from tdfusion import results
from tdfusion.data.synthroad.scenes import CONDITIONS, SynthRoad
from tdfusion.explorers import FusionLens, LossLandscape, MetricPlayground, WeightsExplorer
from tdfusion.figures.panels import visible_rgb
from tdfusion.fusing import fuse
from tdfusion.models import FusionNet

F = FusionNet.from_file(results.run("tour").folder / "F.safetensors")


def one_of_each(size: tuple[int, int]) -> list:
    """The first test scene by day, at night and in fog that has at least two objects."""
    scenes = SynthRoad(split="test", length=60, size=size, seed=0)
    found = {}
    for i in range(len(scenes)):
        if scenes.condition(i) not in found and len(scenes[i].boxes) >= 2:
            found[scenes.condition(i)] = scenes[i]
    return [found[condition] for condition in CONDITIONS]


# %% [markdown]
# ## What the loss generation network wrote
#
# The scenes are synthetic, and no network was trained on them. The weights are those of two short stored runs that
# differ in the task alone (128 px, four epochs of 16 meta-steps, one seed; [Section 4.4](read_44_weights.ipynb) has their
# numbers). Choose the task, play over the epochs, and tick *weights on their own range*: on the scale from 0 to 1 the maps
# are almost flat, and what moves is the image as a whole.

# %%
runs = [results.run(name).folder for name in ("synthroad_seg", "synthroad_det")]
WeightsExplorer.from_runs(runs, one_of_each((72, 96)), progress=False)

# %% [markdown]
# *Known optimum* lays over the images which source *carries* the class of each pixel, that is, lets it be told, which
# only synthetic scenes can know: orange where infrared does, purple where visible does. A loss that had learned this
# would have a high $w_a$ in the orange parts and a low one in the purple parts. The two means below the pictures say
# whether this one has.
#
# The sixth picture is $|w_{SS} - w_{OD}|$, the difference between the two tasks' runs.
#
# ## The loss landscape
#
# What does a weight do? Choose a pixel and move $w_a$. The blue curve is the intensity term of
# [Eq. (2)](read_32_loss.ipynb) at this pixel, whose lowest point is $w_a I_a + w_b I_b$; the dashed one is the
# gradient term of Eq. (3), which the pixel's neighbours feel; the third is their sum.

# %%
LossLandscape(one_of_each((96, 128)), w_a=0.8)

# %% [markdown]
# Two things to try. Set $\alpha$ to 0: the lowest point now follows $w_a$. Set it back to 1: at a single pixel the
# gradient term is much the larger, has corners, and may hold the pixel where $w$ does not want it. Then take the whole
# scene as the region. There the axis is the share of infrared in a mix of the sources, and both terms have the size
# that they have in Eq. (1).
#
# The picture is honest about one thing only: what the loss says when this region moves and all else stays. In training
# $\mathcal{F}$ moves all pixels at once.
#
# ## The fusion lens
#
# A day and a night scene, each as any two of the sources and three fusions: mean, maximum, and $\mathcal{F}$ of the same stored run. Colour is that of
# the visible image.

# %%
lens = {}
for pair in one_of_each((120, 160))[:2]:
    lens[pair.name] = {
        "infrared": pair.ir,
        "visible": visible_rgb(pair),
        "mean": visible_rgb(pair, (pair.ir + pair.vi) / 2),
        "maximum": visible_rgb(pair, torch.maximum(pair.ir, pair.vi)),
        "F (tour), stretched": visible_rgb(pair, fuse(F, pair.ir, pair.vi)),
    }
FusionLens(lens, left="visible", right="maximum")

# %% [markdown]
# ## The metric playground
#
# The night scene again, fused two ways, then spoiled. Which of the six metrics notice? Begin with noise: what it does
# to EN and SF is the reason why these two say little by themselves ([4.1](read_41_metrics.ipynb)). The stretch to the
# full range, which the released code applies to every result, moves several of them without adding any information.

# %%
night = one_of_each((96, 128))[1]
MetricPlayground(
    night,
    {
        "mean": (night.ir + night.vi) / 2,
        "F (tour)": fuse(F, night.ir, night.vi, minmax=False),
    },
    how="noise",
    level=3,
)

# %% [markdown]
# All values are computed when the explorer is made, by the functions behind the
# [table of 4.2](read_42_table1.ipynb), on images rounded to 8 bits.
#
# ## Use them on your own pair
#
# ```python
# from pathlib import Path
#
# from tdfusion.data.images import read_gray, read_visible
# from tdfusion.data.pair import Pair
# from tdfusion.explorers import FusionLens, WeightsExplorer
#
# mine = Pair(read_gray(Path("ir.png")), read_visible(Path("vi.png"))[0], "mine")
# explorer = WeightsExplorer.from_runs(["runs/segmentation", "runs/detection"], [mine])
# explorer
# ```
#
# In JupyterLab or Notebook the explorer is alive: every control is a trait of the Python object.
#
# ```python
# explorer.observe(lambda change: print(explorer.reading()), "pixel")  # called when the reader moves it
# explorer.stretch = True  # the picture follows
# explorer.add(another)  # one more pair through the same networks
# figure = explorer.static()  # what is on show, as a matplotlib figure
# ```
#
# `WeightsExplorer(pairs, written)`, `LossLandscape(pairs)`, `FusionLens(scenes)` and `MetricPlayground(pair, fused)`
# take arrays, so any other method's images will do. A run made with `snapshots=1`
# (`tdfusion train --set snapshots=1`) keeps its networks after every epoch. One explorer holds at most 2 MB; a pair of 640x480 pixels fits. Everything
# that is public is in the [reference](../book/use/api.md).
#
# A notebook with explorers keeps working when it is stored: the output holds the same pictures with the same controls,
# for pages without a kernel. Execute it with `TDFUSION_STATIC=1` (as `make rerun` does) if it is to be published.
