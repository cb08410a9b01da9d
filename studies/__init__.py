"""The book's science: what is asked of the method, with plans written first; results in ``results/``."""
