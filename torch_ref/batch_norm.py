"""Batch normalisation, `torch.nn.BatchNorm1d`; autograd is its backward pass."""

from torch import nn

BatchNorm1d = nn.BatchNorm1d
"""A layer with γ (`weight`) and β (`bias`), for x (batch, num_features)

In training y = γ·(x − μ)/√(σ² + ε) + β with the mean and the **biased** variance of the batch; in
evaluation the running statistics stand in their place. After each training pass

    running_mean ← (1 − momentum)·running_mean + momentum·μ
    running_var  ← (1 − momentum)·running_var  + momentum·σ²·m/(m − 1)

PyTorch differs from others in two places. Its momentum is the weight of the **new** value; in the
paper, Keras and d2l.ai it is that of the old one, running ← momentum·running + (1 − momentum)·batch.
And its running variance is **unbiased**; in Keras, d2l.ai and CS231n it is σ², biased as in the
normalisation: running_var ← (1 − momentum)·running_var + momentum·σ².

With `momentum=None` the running statistics are the plain average over all batches: momentum is then
1/num_batches_tracked. With `affine=False` there are no γ and β, with `bias=False` there is no β: PyTorch 2.6
has no such argument, but takes `layer.bias = None`.
"""
