"""Slow, plain forms that the library is held against, in value and in speed. Nothing else here imports them."""
