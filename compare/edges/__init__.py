"""Edge values: what both sides make of NaN, ±∞, ±0, subnormals, the largest floats, and of limiting settings

PyTorch's answer is the reference. Where ours departs on purpose, the component says why.
"""
