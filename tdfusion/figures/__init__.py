"""The paper's figures as functions: `fusion` (Fig. 2), `downstream` (Fig. 3 and 4), `weights` (Fig. 5)."""
