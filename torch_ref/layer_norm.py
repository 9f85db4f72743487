"""Layer normalisation and RMS normalisation, `torch.nn.LayerNorm` and `torch.nn.RMSNorm`."""

from torch import nn

LayerNorm = nn.LayerNorm
"""A layer with γ (`weight`) and β (`bias`): y = γ·(x − μ)/√(σ² + ε) + β

Mean and **biased** variance are those of each example, over the last axis (or the last axes, if
`normalized_shape` is several lengths). ε is 1e-5; in Keras it is 1e-3, in flax 1e-6. With
`elementwise_affine=False` there are no γ and β, with `bias=False` there is no β.
"""

RMSNorm = nn.RMSNorm
"""A layer with γ (`weight`): y = γ·x/√(mean(x²) + ε)

With `eps=None`, as it is unless told otherwise, ε is `torch.finfo(x.dtype).eps`; Llama has 1e-5 or 1e-6.
"""
