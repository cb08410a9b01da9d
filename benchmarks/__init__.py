"""Speed, side by side with plain implementations; results in ``results/``."""
