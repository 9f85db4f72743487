"""The study day's experiments, on both sides: `python -m compare experiments`."""
