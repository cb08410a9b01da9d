# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # In five minutes
#
# **A loss that a task has taught does what the paper wants of it: it finds which camera carries what, and a fusion network
# that follows it serves the task better and still makes an image that a person can read. But that a fused image serves a
# task better than both cameras side by side, we have not seen.**
#
# **What this page shows.** The paper and this book on one page, for those who will read no other.
#
# **What it needs.** Nothing.
#
# ## What the paper does
#
# Two registered cameras see one scene, an infrared one and a visible one. A network $\mathcal{F}$ fuses their images. It is
# trained by a loss that asks every pixel to be near a weighted mean of its two sources, and the weights are written by
# another network, $\mathcal{G}$. Nobody says what good weights are: $\mathcal{G}$ is moved so that, after one step of $\mathcal{F}$
# by the loss that $\mathcal{G}$ wrote, a third network $\mathcal{T}$ does its task better (segmentation, or detection) on the
# fused images. The gradient for that runs through the step of $\mathcal{F}$; this is meta-learning in the manner of MAML.
#
# ## What we find
#
# Photographs do not say which camera is right. Generated scenes do, pixel by pixel, so the question *does a learned loss serve its
# task?* has an answer there. Fusion networks of the paper's form, small, were trained by losses whose weights came from different
# places; fresh task networks were then trained on what they fuse.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Above: mean IoU over VIF for five ways to train a fusion network, with a dashed line for both images without fusion. Below: one generated scene as infrared, visible, and fused in three ways"}, "figure": {"caption": "Above: what a task network reaches on the images (up), and how much of the sources a viewer finds in them (VIF, right). Dashed: both images as two channels, without fusion. Below: a test scene. SynthRoad, 64 px, means over the seeds of [Section 4.4](read_44_mechanism.ipynb); nothing here is at the paper's scale.", "name": "fig-summary"}}
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.figures.seeds import task_and_pictures
from tdfusion.results.seeds import CLAIMED, Arms

table, about, maps = results.load("lookahead"), results.about("lookahead"), results.maps("lookahead")
arms = Arms(table)
named = {
    "small: half": "F, equal weights",
    "small: oracle": "F, the scene's own weights",
    "small: taught": "F, learned weights",
    "small: half + L_t": "F, trained by the task itself",
    "teacher": "learned weights, no F",
    "two channels": "both images, no fusion",
}
means = table[table.group == ""].pivot_table(index="arm", columns="metric", values="value")
ROW = 2  # of the scenes whose pictures are kept
scene = SynthRoad("test", about["settings"]["scenes"]["test"], (64, 64), 10)[
    about["settings"]["scenes"]["shown"][ROW]
]
pictures = {"infrared": scene.ir[0].numpy(), "visible": scene.vi[0].numpy()}
pictures |= {"learned $w_a$": maps["teacher, w_a"][ROW] / 255}
fused = {"equal weights": "half", "learned weights": "taught", "by the task": "half + L_t"}
pictures |= {title: maps[f"small: {arm}, I_f"][ROW] / 255 for title, arm in fused.items()}
figure = task_and_pictures(means, "mIoU", "VIF", named, pictures, bar="two channels")

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
gain = arms.gain("small: taught", "small: half")
task, image = (arms.gain("small: taught", "small: half + L_t", metric) for metric in ("mIoU", "VIF"))
fusing, mixing = (arms.gain("small: taught", other) for other in ("two channels", "teacher"))
display(
    Markdown(f"""
Over {gain.n} seeds, differences paired by seed with 95 % intervals:

- **Learned weights against equal ones: {gain:+.3f} mIoU.** The learned map is found on scenes that it never saw. (Learned by the
  paper's single step instead: {arms.gain("small: one step", "small: half"):+.3f}, and no map.)
- **Against a network that may follow the task itself: {task:+.3f} mIoU, and {image:+.2f} VIF.** What a learned loss buys is not
  a higher score. It is a picture.
- **Against no fusion, both images as two channels: {fusing:+.3f} mIoU.** Who needs only the task's score should not fuse.
- **Against the plain mix by the same weights, without a fusion network: {mixing:+.3f} mIoU.** At this size the network that has to
  follow the loss loses some of what the loss knows.
""")
)
if gain.n < CLAIMED:
    display(Markdown(f"*A claim in this book rests on {CLAIMED} seeds at least: {gain.n} are done.*"))

# %% [markdown]
# ## What holds, what does not, what nobody has tested
#
# | | |
# |---|---|
# | **holds** | The gradient that teaches $\mathcal{G}$ exists, is exact, and is cheap when it is computed in the right order ([3.4](read_34_meta.ipynb), [measurements](bench.ipynb)). A loss can be learned from a task alone, and its weights are a map of the scene ([4.4](read_44_mechanism.ipynb)) |
# | **holds when mended** | Eq. (11), the explanation of that gradient: as printed it is not a valid expression; corrected, it equals the gradient ([3.7](read_37_theory.ipynb)) |
# | **does not hold here** | That one step of $\mathcal{F}$, the paper's, teaches such a map: it moves all pixels together, half of what it asks of the weights has the wrong sign ([3.7b](read_37_lookahead.ipynb)), and in our runs $w$ goes to one camera everywhere ([4.4](read_44_mechanism.ipynb)) |
# | **says little** | Table 1, on MSRS: the maximum of the two images, one line of code, is level with TDFusion's row or above it in four of six metrics, on the same 361 pairs ([4.2](read_42_table1.ipynb)) |
# | **not tested** | The paper's tables, on its four data sets, at its length: they need its data and a GPU. One command is ready for whoever has them ([at full scale](full_runs.ipynb)) |
#
# Where the paper and its released code differ, both are in the library by name ([list](../book/reproduce/differences.md));
# [the claims](claims.ipynb) are weighed one by one.
#
# ## What we recommend
#
# - **You want a score from two cameras.** Give the task network both images as channels. Fuse when somebody, or something
#   with one channel, has to look at one picture.
# - **You want a picture that serves a task.** Teach $\mathcal{G}$ by the task first, without $\mathcal{F}$, then train $\mathcal{F}$ by
#   the loss that $\mathcal{G}$ writes ([two commands](train.ipynb)). In one run, take the step in the image itself, as
#   `tdfusion train` does unless told otherwise: it needs no derivative of $\mathcal{F}$ and teaches the map.
# - **You compare fusion methods.** Say the convention of every metric, give the plain mean and the maximum of the sources a row
#   of their own, and both images without fusion ([4.2](read_42_table1.ipynb), [score any method](../book/use/score.md)).
# - **You only want to fuse pairs.** [Do it on this page's neighbour](../book/use/fuse.md#on-this-page), in your browser.
