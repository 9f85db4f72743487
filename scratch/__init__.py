"""Every ingredient of a well-trained deep network in NumPy, with the backward pass derived by hand.

One topic a file. Functions are the mathematics (`..._forward` returns the result and a cache,
`..._backward` takes the upstream gradient and that cache); small classes keep the state.

Layout as in PyTorch: `x` is (batch, features), `weight` is (out_features, in_features). What comes in
as float32 stays float32; float64 and `numpy.longdouble` work too.
"""
