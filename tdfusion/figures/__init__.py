"""The paper's figures as functions: `fusion` (Fig. 2), `downstream` (Fig. 3 and 4), `weights` (Fig. 5)."""

from tdfusion.extras import extra

with extra("plots", "drawing figures"):
    import matplotlib  # noqa: F401 (absent, it is named here)
    import seaborn  # noqa: F401
