"""Loss functions: from what the network says and what it should have said to one number, and back.

All take `reduction`: "mean" or "sum". The mean is PyTorch's: over all n elements for the binary losses and
the squared error (over batch and outputs alike), over the batch for the softmax cross-entropy. A textbook
that divides by the batch size m only is the same as long as there is one output.

All backward passes take `dloss`, the gradient of the cost with respect to the loss: the Python number 1.0 in
training. All raise TypeError for arrays that are not floating or not of one dtype, and ValueError for shapes
that do not fit or an unknown reduction.
"""

import numpy as np

from scratch.checks import check_choice, check_floating, check_shape, check_targets

EPSILON = float(np.float32(1e-12))  # PyTorch's kernel keeps it in float32 for every dtype: 9.99999996e-13


def binary_cross_entropy_with_logits_forward(
    logits: np.ndarray, targets: np.ndarray, reduction: str = "mean"
) -> tuple[np.floating, tuple]:
    """Lᵢ = −yᵢ log σ(xᵢ) − (1 − yᵢ) log(1 − σ(xᵢ)) = (1 − yᵢ)·xᵢ − log σ(xᵢ)

    The second form follows from 1 − σ(x) = e⁻ˣ σ(x). With log σ(x) = min(x, 0) − log(1 + e^−|x|) the
    exponent is never positive and the logarithm never that of 0: nothing overflows at x = ±1000.

    Args:
        logits: any shape
        targets: the same shape, numbers from 0 to 1
        reduction: "mean" or "sum"

    Returns:
        the loss, a single number of the dtype of `logits`, and the cache for the backward pass.

    Raises:
        ValueError: targets outside [0, 1].

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy_with_logits.html
    """
    _check_elementwise(logits=logits, targets=targets, reduction=reduction)
    _check_unit_interval("targets", targets)
    e = np.exp(-np.abs(logits))  # in (0, 1]
    log_sigmoid = np.minimum(logits, 0) - np.log1p(e)
    losses = (1 - targets) * logits - log_sigmoid
    n = logits.size if reduction == "mean" else 1
    return losses.sum() / n, (logits, targets, e, n)


def binary_cross_entropy_with_logits_backward(dloss: float | np.ndarray, cache: tuple) -> np.ndarray:
    """dxᵢ = (σ(xᵢ) − yᵢ)·dloss/n, with n = 1 for a sum

    From L = (1 − y)·x − log σ(x) and d log σ(x)/dx = 1 − σ(x): dL/dx = (1 − y) − (1 − σ(x)).
    """
    logits, targets, e, n = cache
    _check_upstream(dloss, logits=logits)
    sigmoid = np.where(logits < 0, e, logits.dtype.type(1)) / (1 + e)
    return (sigmoid - targets) * dloss / n


def binary_cross_entropy_forward(
    probabilities: np.ndarray, targets: np.ndarray, reduction: str = "mean"
) -> tuple[np.floating, tuple]:
    """Lᵢ = −yᵢ log pᵢ − (1 − yᵢ) log(1 − pᵢ), with each logarithm at least −100

    The bound is PyTorch's: a probability of exactly 0 or 1 on the wrong side costs 100 and not infinity.

    Args:
        probabilities: any shape, numbers from 0 to 1
        targets: the same shape, numbers from 0 to 1
        reduction: "mean" or "sum"

    Returns:
        the loss, a single number of the dtype of `probabilities`, and the cache for the backward pass.

    Raises:
        ValueError: probabilities or targets outside [0, 1], or NaN.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy.html
    """
    _check_elementwise(probabilities=probabilities, targets=targets, reduction=reduction)
    _check_unit_interval("probabilities", probabilities)
    _check_unit_interval("targets", targets)
    with np.errstate(divide="ignore"):  # log 0 = −∞ is meant: the bound takes care of it
        log_p = np.maximum(np.log(probabilities), -100)
        log_not_p = np.maximum(np.log1p(-probabilities), -100)
    losses = (targets - 1) * log_not_p - targets * log_p
    n = probabilities.size if reduction == "mean" else 1
    return losses.sum() / n, (probabilities, targets, n)


def binary_cross_entropy_backward(dloss: float | np.ndarray, cache: tuple) -> np.ndarray:
    """dpᵢ = (pᵢ − yᵢ)/max(pᵢ(1 − pᵢ), ε)·dloss/n, with ε = 10⁻¹², and n = 1 for a sum

    From dL/dp = −y/p + (1 − y)/(1 − p) = (p − y)/(p(1 − p)). The bound on the denominator is PyTorch's, and
    the only one: the gradient is not zero where the forward pass bounds the logarithm.
    """
    probabilities, targets, n = cache
    _check_upstream(dloss, probabilities=probabilities)
    denominator = np.maximum(probabilities * (1 - probabilities), EPSILON)
    return (probabilities - targets) / denominator * dloss / n


def cross_entropy_forward(
    logits: np.ndarray, targets: np.ndarray, reduction: str = "mean"
) -> tuple[np.floating, tuple]:
    """Lᵢ = −log softmax(xᵢ)[yᵢ] = log Σⱼ e^(xᵢⱼ − mᵢ) − (xᵢ,yᵢ − mᵢ), with mᵢ = maxⱼ xᵢⱼ

    Subtracting the largest logit changes nothing in exact arithmetic, and keeps every exponent ≤ 0 and the
    sum ≥ 1: neither the exponential nor the logarithm can overflow.

    Args:
        logits: (batch, classes)
        targets: (batch,), integers from 0 to classes − 1
        reduction: "mean" (over the batch) or "sum"

    Returns:
        the loss, a single number of the dtype of `logits`, and the cache for the backward pass.

    Raises:
        TypeError: targets that are not integers.
        ValueError: targets that are not classes.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html
    """
    check_floating(logits=logits)
    check_shape("logits", logits, (None, None))
    check_targets(targets, *logits.shape)
    check_choice("reduction", reduction, ("mean", "sum"))
    batch = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)  # (batch, classes)
    e = np.exp(shifted, order="C")  # row by row, so that NumPy sums in blocks and not one after the other
    total = e.sum(axis=1, keepdims=True)  # (batch, 1)
    losses = np.log(total[:, 0]) - shifted[batch, targets]  # (batch,)
    m = len(logits) if reduction == "mean" else 1
    return losses.sum() / m, (e / total, batch, targets, m)


def cross_entropy_backward(dloss: float | np.ndarray, cache: tuple) -> np.ndarray:
    """dxᵢⱼ = (pᵢⱼ − [j = yᵢ])·dloss/m, with p = softmax(x), and m = 1 for a sum

    From L = log Σⱼ eˣʲ − x_y: the first term has the derivative pⱼ, the second one −1 at j = y.
    """
    softmax, batch, targets, m = cache
    _check_upstream(dloss, logits=softmax)
    dlogits = np.zeros_like(softmax)  # (batch, classes)
    dlogits[batch, targets] = -dloss
    dlogits += softmax * dloss  # a sum, since 0 + (−0) is 0: where p is 0, the gradient is never −0
    return dlogits / m


def mse_loss_forward(
    input: np.ndarray, targets: np.ndarray, reduction: str = "mean"
) -> tuple[np.floating, tuple]:
    """Lᵢ = (xᵢ − tᵢ)²

    A textbook that writes ½(x − t)² has half the loss and half the gradient.

    Args:
        input: any shape
        targets: the same shape (PyTorch would broadcast: (m, 1) against (m,) makes m² differences)
        reduction: "mean" or "sum"

    Returns:
        the loss, a single number of the dtype of `input`, and the cache for the backward pass.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html
    """
    _check_elementwise(input=input, targets=targets, reduction=reduction)
    difference = input - targets
    n = input.size if reduction == "mean" else 1
    return (difference * difference).sum() / n, (difference, n)


def mse_loss_backward(dloss: float | np.ndarray, cache: tuple) -> np.ndarray:
    """dxᵢ = 2(xᵢ − tᵢ)·dloss/n, with n = 1 for a sum"""
    difference, n = cache
    _check_upstream(dloss, input=difference)
    return difference / n * (2 * dloss)


def _check_elementwise(*, reduction: str, **arrays: np.ndarray) -> None:
    check_floating(**arrays)
    prediction, targets = arrays.values()
    check_shape("targets", targets, prediction.shape)
    check_choice("reduction", reduction, ("mean", "sum"))


def _check_unit_interval(name: str, array: np.ndarray) -> None:
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        low, high = float(array.min()), float(array.max())
        raise ValueError(f"{name}: expected numbers from 0 to 1, got {low} to {high}")


def _check_upstream(dloss: float | np.ndarray, **array: np.ndarray) -> None:
    """A Python number takes the dtype of the arrays; NumPy's has one of its own, which must be the same."""
    if type(dloss) in (float, int):
        return
    check_floating(**array, dloss=np.asarray(dloss))
    check_shape("dloss", np.asarray(dloss), ())
