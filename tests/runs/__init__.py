"""Programs that train, each of them twice: in NumPy, and in PyTorch."""
