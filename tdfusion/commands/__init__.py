"""The ``tdfusion`` command: argument parsing, and nothing that it would hide from Python's callers."""
