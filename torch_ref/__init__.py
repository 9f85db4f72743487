"""The same ingredients as an expert writes them in PyTorch: built-ins and autograd.

One topic a file, under the same names as in `scratch/`. Where PyTorch's convention differs from the
textbook's, the docstring gives both formulas and how one maps onto the other.
"""
