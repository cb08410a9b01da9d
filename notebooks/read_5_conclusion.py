# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5 Conclusion
#
# **The paper concludes that a fusion loss need not be designed by hand: a network can write it, taught by how well a task
# does on what comes out. On scenes with a known answer, and at small scale, we find that this is so where the loss looks far
# enough ahead; what it buys is a readable image, not a higher score than the task could have had without fusion.**
#
# **What this page shows.** This reproduction on one page, in the order in which reproductions are reported: scope, results,
# what was easy, what was hard, what it cost, what failed.
#
# **What it needs.** The pages before it.
#
# ## Scope
#
# The paper ({cite:t}`bai2025tdfusion`) claims that a loss generation network $\mathcal{G}$, meta-learned through one step of the
# fusion network $\mathcal{F}$ from the loss of a task $\mathcal{T}$, makes $\mathcal{F}$ suit the task, for any task and any
# network, and better by fusion metrics than seven rivals on four data sets. This book examines
#
# 1. the mathematics: every equation, and the derivation behind Eq. (11);
# 2. the program: Algorithm 1 as printed and as released, both in one library;
# 3. the central claim, on generated scenes whose answer is known;
# 4. the evaluation: what six metrics and their conventions say about any image.
#
# It does not rerun Tables 1 to 3: neither the four data sets with their labels nor TDFusion's weights were at hand, nor
# a GPU. Other rows stand beside Table 1's on the very pairs of its MSRS part.
#
# ## Results

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.results.paper import format_table
from tdfusion.results.seeds import CLAIMED, Arms

arms = Arms(results.load("lookahead"))


def said(arm: str, base: str, metric: str = "mIoU") -> str:
    found = arms.gain(arm, base, metric)
    short = "" if found.n >= CLAIMED else f" (open: {found.n} of {CLAIMED} seeds)"
    return f"{found:+.3f} {metric}{short}"


rows = [
    ("The meta-gradient, Eqs. (4) to (7)", "exact by four computations; one pass forward in the place of a double backward", "{doc}`read_34_meta`"),
    ("Eq. (11)", "as printed no valid expression; its idea is right, and corrected it equals the meta-gradient", "{doc}`read_37_theory`"),
    ("The paper's single step", "of the weights that it asks for at one state, half go the wrong way: a step of F moves all pixels together; learned so, w goes to one image everywhere", "{doc}`read_37_lookahead`, {doc}`read_44_mechanism`"),
    ("A loss taught by the task alone, against w = 1/2", said("small: taught", "small: half"), "{doc}`read_44_mechanism`"),
    ("The same learned by Algorithm 1 as printed, one step of F", said("small: one step", "small: half"), ""),
    ("The same learned by Algorithm 1 with the step in the image", said("small: image step", "small: half"), ""),
    ("The taught loss against the scene's own weights", said("small: taught", "small: oracle"), ""),
    ("the same against the task's loss in F's own", f"{said('small: taught', 'small: half + L_t')}; {said('small: taught', 'small: half + L_t', 'VIF')}", ""),
    ("the same against both images, unfused", said("small: taught", "two channels"), ""),
    ("Table 1 on MSRS, the same 361 pairs", "TDFusion's weights are not at hand; the maximum of the sources is level with its row or above it in four of six metrics, and so are the authors' weights trained without a task", "{doc}`read_42_table1`"),
    ("Fusion metrics", "a number without its convention is none; a source alone leads in some", "{doc}`read_41_metrics`"),
]  # fmt: skip
display(Markdown(format_table(("what", "found", "where"), rows, numbers=False)))

# %% [markdown]
# Claim by claim, with "no test" where an experiment could not have shown the claim had it been true: {doc}`claims`.
#
# ## What was easy
#
# The loss, the networks and the partition are stated well enough to write them down from the paper alone. The
# idea is small: two networks, one loss, one derivative. Whoever knows MAML knows the algorithm.
#
# ## What was hard
#
# - **Settings.** The paper leaves open what its code decides, and differs from it in a dozen places
#   ({doc}`/book/reproduce/differences`). Neither can be called the one that made the tables.
# - **Metrics.** Six names that stand for other numbers in other papers ({doc}`read_41_metrics`).
# - **Asking the question.** On photographs nobody knows which image is right. The first study here asked it with a judge that had
#   not learned and with a control that failed, and had to be asked again ({doc}`first_study`).
# - **One step says little.** The gradient through one step of $\mathcal{F}$ is not zero and not wrong, and still hardly tells
#   $\mathcal{G}$ where to put a weight.
#
# ## What it cost

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
spent = results.spent()
hours, runs = sum(s.hours for s in spent.values()), sum(s.runs for s in spent.values())
most = ", ".join(f"`{name}` {s.hours:.1f} h" for name, s in list(spent.items())[:3])
not_run = len(results.about("lookahead")["settings"]["not_run"])
display(
    Markdown(
        f"{runs} runs, {hours:.0f} hours in all, on two processor cores and no GPU; the longest: {most}. Of the second study's "
        f"plan {not_run} runs are not made. Not counted: what failed, and what a better run replaced. All of it stands "
        "in {doc}`costs`."
    )
)

# %% [markdown]
# ## What failed
#
# - The first study's judge, control and baselines; six of its planned runs were never made.
# - In the paper's own recipe, shortened to minutes, not even the scene's own weights gained anything: whatever the
#   learned ones do there is no test.
# - An $\mathcal{F}$ that can only choose between its sources collapsed to one of them unless its choice was kept centred.
# - The run on this book's first cover had collapsed to infrared, and nobody had looked.
#
# ## To the authors
#
# Publish $\mathcal{G}$ and the weights behind the tables; say the convention of each metric and that images were stretched; add two
# rows to Table 2, both images as two channels, and the task's loss in $\mathcal{F}$'s own with everything else equal; and
# consider the step in the image in the place of the step in $\mathcal{F}$: it is less to compute, and it is what Exp. V
# of Table 3 already does for its weights.
#
# ## To readers who want a fusion for their task
#
# If a network is all that will look at the images, do not fuse. If a person will look, too, teach the loss by the task as in
# {doc}`train` with `method="image"`, and look at the image as well as at the score.
#
# What this book leaves open is in its plans ({doc}`/book/reproduce/lookahead_plan`, {doc}`/book/reproduce/recipes_plan`).
