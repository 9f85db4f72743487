"""Drives `scratch/` and `torch_ref/` from the same cases and seeds and proves that they agree."""
