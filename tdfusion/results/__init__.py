"""Numbers that tables show: the paper's, and this repository's."""
