"""Loss functions: from what the network says and what it should have said to one number, and back.

All take `reduction`: "mean", "sum" or "none". The mean is PyTorch's: over all n elements for the binary
losses and the squared error (over batch and outputs alike), over the batch for the softmax cross-entropy. A
textbook that divides by the batch size m only is the same as long as there is one output.

A `weight` is an array that broadcasts against the losses and multiplies them one by one: of each example with
the shape (batch, 1), of each output with (outputs,). That of the softmax cross-entropy is one of each class.
As in PyTorch, the mean of a binary loss still divides by n, the others' by the sum of the weights.

A forward pass returns the loss, a single number of the dtype of its first argument (for "none" an array of
all losses), and the cache for the backward pass. That one takes `dloss`, the gradient of the cost with
respect to what was returned: the Python number 1.0 in training.

All raise TypeError for arrays that are not floating or not of one dtype, and for classes that are not
integers; ValueError for shapes that do not fit, an unknown reduction, and for targets or probabilities that
are out of range or NaN.
"""

import math

import numpy as np

from scratch.checks import check_elements, check_floating, check_shape, expects
from scratch.layer import copied

REDUCTIONS = ("mean", "sum", "none")
EPSILON = float(np.float32(1e-12))  # PyTorch's kernel keeps it in float32 for every dtype: 9.99999996e-13


@expects(logits="*shape", targets="*shape: 0 to 1", reduction=REDUCTIONS)
def binary_cross_entropy_with_logits_forward(
    logits: np.ndarray, targets: np.ndarray, reduction: str = "mean",
    *, weight: np.ndarray | None = None, pos_weight: np.ndarray | None = None,
) -> tuple[np.floating | np.ndarray, tuple]:  # fmt: skip
    """Lᵢ = −yᵢ log σ(xᵢ) − (1 − yᵢ) log(1 − σ(xᵢ)) = (1 − yᵢ)·xᵢ − log σ(xᵢ)

    The second form follows from 1 − σ(x) = e⁻ˣ σ(x). With log σ(x) = min(x, 0) − log(1 + e^−|x|) the
    exponent is never positive and the logarithm never that of 0: nothing overflows at x = ±1000.

    `pos_weight` q, one for each output, counts a positive example for q: −q·yᵢ log σ(xᵢ) in the first term.

    Targets outside [0, 1] are refused, as for probabilities. PyTorch takes them here, so that labels −1 and 1
    train something else without a word.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy_with_logits.html
    """
    _check_weights(logits, weight=weight, pos_weight=pos_weight)
    e = np.exp(-np.abs(logits))  # in (0, 1]
    log_sigmoid = np.minimum(logits, 0) - np.log1p(e)
    losses = (1 - targets) * logits - log_sigmoid
    if pos_weight is not None:
        losses = losses - (pos_weight - 1) * targets * log_sigmoid
    losses = _weighted(losses, weight)
    n = logits.size if reduction == "mean" else 1
    loss = _reduced(losses, reduction) / n
    return loss, (copied(logits), copied(targets), e, n, loss.shape, copied(weight), copied(pos_weight))


@expects(cache={"logits": "*shape", "parts": 7}, dloss="any")
def binary_cross_entropy_with_logits_backward(dloss: float | np.ndarray, cache: tuple) -> np.ndarray:
    """dxᵢ = (σ(xᵢ) − yᵢ)·dloss/n, with n = 1 for a sum

    From L = (1 − y)·x − log σ(x) and d log σ(x)/dx = 1 − σ(x): dL/dx = (1 − y) − (1 − σ(x)). With
    `pos_weight` q there is another term, −(q − 1)·y·(1 − σ(x)).
    """
    logits, targets, e, n, shape, weight, pos_weight = cache
    _check_upstream(dloss, shape)
    sigmoid = np.where(logits < 0, e, logits.dtype.type(1)) / (1 + e)
    difference = sigmoid - targets
    if pos_weight is not None:
        difference = difference - (pos_weight - 1) * targets * (1 - sigmoid)
    return _weighted(difference, weight) * dloss / n


@expects(probabilities="*shape: 0 to 1", targets="*shape: 0 to 1", reduction=REDUCTIONS)
def binary_cross_entropy_forward(
    probabilities: np.ndarray, targets: np.ndarray, reduction: str = "mean",
    *, weight: np.ndarray | None = None,
) -> tuple[np.floating | np.ndarray, tuple]:  # fmt: skip
    """Lᵢ = −yᵢ log pᵢ − (1 − yᵢ) log(1 − pᵢ), with each logarithm at least −100

    The bound is PyTorch's: a probability of exactly 0 or 1 on the wrong side costs 100 and not infinity.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy.html
    """
    _check_weights(probabilities, weight=weight)
    with np.errstate(divide="ignore"):  # log 0 = −∞ is meant: the bound takes care of it
        log_p = np.maximum(np.log(probabilities), -100)
        log_not_p = np.maximum(np.log1p(-probabilities), -100)
    losses = _weighted((targets - 1) * log_not_p - targets * log_p, weight)
    n = probabilities.size if reduction == "mean" else 1
    loss = _reduced(losses, reduction) / n
    return loss, (copied(probabilities), copied(targets), n, loss.shape, copied(weight))


@expects(cache={"probabilities": "*shape", "parts": 5}, dloss="any")
def binary_cross_entropy_backward(dloss: float | np.ndarray, cache: tuple) -> np.ndarray:
    """dpᵢ = (pᵢ − yᵢ)/max(pᵢ(1 − pᵢ), ε)·dloss/n, with ε = 10⁻¹², and n = 1 for a sum

    From dL/dp = −y/p + (1 − y)/(1 − p) = (p − y)/(p(1 − p)). The bound on the denominator is PyTorch's, and
    the only one: the gradient is not zero where the forward pass bounds the logarithm.
    """
    probabilities, targets, n, shape, weight = cache
    _check_upstream(dloss, shape)
    denominator = np.maximum(probabilities * (1 - probabilities), EPSILON)
    return _weighted((probabilities - targets) / denominator, weight) * dloss / n


@expects(logits="any", reduction=REDUCTIONS, label_smoothing="0 to 1")
def cross_entropy_forward(
    logits: np.ndarray, targets: np.ndarray, reduction: str = "mean",
    *, weight: np.ndarray | None = None, ignore_index: int = -100, label_smoothing: float = 0.0,
) -> tuple[np.floating | np.ndarray, tuple]:  # fmt: skip
    """Lᵢ = −log softmax(xᵢ)[yᵢ] = log Σⱼ e^(xᵢⱼ − mᵢ) − (xᵢ,yᵢ − mᵢ), with mᵢ = maxⱼ xᵢⱼ

    Subtracting the largest logit changes nothing in exact arithmetic, and keeps every exponent ≤ 0 and the
    sum ≥ 1: neither the exponential nor the logarithm can overflow.

    With a distribution q in the place of the one class, Lᵢ = −Σⱼ qᵢⱼ log softmax(xᵢ)ⱼ, where 0·log 0 is 0.

    Args:
        logits: (batch, classes), or with further axes (batch, classes, …); (classes,) of a single example
        targets: integers, the classes (batch, …); or probabilities, in the shape and dtype of the logits
        reduction: the mean divides by the number of targets that count; of classes, each with its weight
        weight: w (classes,): −wⱼ·qᵢⱼ log softmax(xᵢ)ⱼ
        ignore_index: a target that does not count: its loss and its gradient are 0
        label_smoothing: ε, which is shared out among all K classes: q ← (1 − ε)·q + ε/K

    Raises also ValueError if a mean is asked for and no target counts, where PyTorch's is NaN.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html
    """
    one_class_each = _check_targets(logits, targets, weight, ignore_index)
    rows = _rows(logits)
    batch = np.arange(len(rows))
    largest = rows.T.copy().max(axis=0)  # (batch,); NumPy is slow along rows as short as these
    shifted = rows - largest[:, np.newaxis]  # (batch, classes)
    e = np.exp(shifted, order="C")  # row by row, so that NumPy sums in blocks and not one after the other
    total = e.sum(axis=1, keepdims=True)  # (batch, 1)
    if one_class_each and weight is None and label_smoothing == 0:
        classes, q, counted = targets.flatten(), None, float(len(rows))
        losses = np.log(total[:, 0]) - shifted[batch, classes]  # (batch,)
    else:
        classes = None
        q, counted = _distribution(rows, targets, weight, ignore_index, label_smoothing)
        losses = _times(q, np.log(total) - shifted).sum(axis=1)  # (batch,)
    m = counted if reduction == "mean" else 1
    if m == 0 and targets.size:
        raise ValueError(
            "targets: expected at least one that counts in a mean, got only ignored ones or weights of 0"
        )
    if reduction == "none":
        losses = losses.reshape(_without_classes(logits.shape))
    loss = _reduced(losses, reduction) / m
    return loss, (e / total, batch, classes, q, m, loss.shape, logits.shape)


@expects(cache={"logits": "any", "parts": 7}, dloss="any")
def cross_entropy_backward(dloss: float | np.ndarray, cache: tuple) -> np.ndarray:
    """dxᵢⱼ = (pᵢⱼ − [j = yᵢ])·dloss/m, with p = softmax(x), and m = 1 for a sum

    From L = log Σⱼ eˣʲ − x_y: the first term has the derivative pⱼ, the second one −1 at j = y. For a
    distribution q, Σₖ qₖ times the first term: (pⱼ·Σₖ qₖ − qⱼ)·dloss/m.
    """
    softmax, batch, classes, q, m, shape, shape_of_logits = cache
    _check_upstream(dloss, shape)
    share = dloss / (m or 1)  # an empty batch has none to share among
    each, column = (np.reshape(share, -1), np.reshape(share, (-1, 1))) if shape else (share, share)
    dlogits = np.zeros(softmax.shape, softmax.dtype)  # (batch, classes)
    if q is None:
        dlogits[batch, classes] = -each
    else:
        dlogits -= q * column
        column = column * q.sum(axis=1, keepdims=True)
    dlogits -= softmax * (0 - column)  # 0 − share is never −0: zeros get their sign as in PyTorch
    return _from_rows(dlogits, shape_of_logits)


@expects(input="*shape", targets="*shape", reduction=REDUCTIONS)
def mse_loss_forward(
    input: np.ndarray, targets: np.ndarray, reduction: str = "mean", *, weight: np.ndarray | None = None
) -> tuple[np.floating | np.ndarray, tuple]:
    """Lᵢ = (xᵢ − tᵢ)²

    A textbook that writes ½(x − t)² has half the loss and half the gradient. (PyTorch would broadcast targets
    of another shape: (m, 1) against (m,) makes m² differences.) A `weight` has the shape of the input.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html
    """
    if weight is not None:
        check_floating(input=input, weight=weight)
        check_shape("weight", weight, input.shape)
    difference = input - targets
    losses = _weighted(difference * difference, weight)
    n = input.size if reduction == "mean" else 1
    if weight is not None and reduction == "mean":
        n = weight.sum()
    loss = _reduced(losses, reduction) / n
    return loss, (difference, n, loss.shape, copied(weight))


@expects(cache={"input": "*shape", "parts": 4}, dloss="any")
def mse_loss_backward(dloss: float | np.ndarray, cache: tuple) -> np.ndarray:
    """dxᵢ = 2(xᵢ − tᵢ)·dloss/n, with n = 1 for a sum"""
    difference, n, shape, weight = cache
    _check_upstream(dloss, shape)
    return _weighted(difference / n * 2, weight) * dloss


def _distribution(
    rows: np.ndarray, targets: np.ndarray,
    weight: np.ndarray | None, ignore_index: int, label_smoothing: float,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """What each class of each example counts for, (batch, classes), and how much counts in a mean."""
    classes = rows.shape[1]
    if targets.dtype.kind == "f":
        q, kept, counted = _rows(targets).copy(), True, len(rows)
    else:
        y = targets.reshape(-1, 1)
        kept = y != ignore_index  # (batch, 1)
        q = (kept & (y == np.arange(classes))).astype(rows.dtype)  # one 1 in each row that is kept
        counted = (q if weight is None else _times(q, weight)).sum()
    if label_smoothing:
        q = ((1 - label_smoothing) * q + label_smoothing / classes) * kept
    return q if weight is None else _times(q, weight), counted


def _times(q: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """q·factor, where 0·∞ is 0: a class that does not count costs nothing."""
    return np.multiply(q, factor, out=np.zeros_like(q), where=q != 0)


def _rows(scores: np.ndarray) -> np.ndarray:
    """An example a row, (batch, classes): of (classes,) a single one, of (batch, classes, …) batch·… ones."""
    if scores.ndim == 2:
        return scores
    last = np.moveaxis(scores, min(1, scores.ndim - 1), -1)
    return last.reshape(math.prod(last.shape[:-1]), last.shape[-1])


def _from_rows(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The way back from `_rows`."""
    if len(shape) == 2:
        return rows
    return np.moveaxis(rows.reshape(*_without_classes(shape), rows.shape[1]), -1, min(1, len(shape) - 1))


def _without_classes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(batch, …) of the logits' (batch, classes, …), () of (classes,)"""
    return shape[:1] + shape[2:] if len(shape) > 1 else ()


def _weighted(losses: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    return losses if weight is None else losses * weight


def _reduced(losses: np.ndarray, reduction: str) -> np.floating | np.ndarray:
    return losses if reduction == "none" else losses.sum()


def _check_targets(
    logits: np.ndarray, targets: np.ndarray, weight: np.ndarray | None, ignore_index: int
) -> bool:
    """Whether each target is one class, and none of them ignored

    Raise TypeError or ValueError unless they are classes or probabilities that fit the logits.
    """
    if logits.ndim == 0:
        raise ValueError("logits: expected an axis of classes, got none")
    axes, count = _without_classes(logits.shape), logits.shape[min(1, logits.ndim - 1)]
    kind = targets.dtype.kind if isinstance(targets, np.ndarray | np.generic) else ""
    probabilities = kind == "f" and targets.ndim == logits.ndim
    if kind not in ("i", "u") and not probabilities:
        given = f"{targets.dtype} {targets.shape}" if kind else type(targets).__name__
        raise TypeError(
            f"targets: expected integer classes {axes} or probabilities {logits.shape}, got {given}"
        )
    if weight is not None:
        check_floating(logits=logits, weight=weight)
        check_shape("weight", weight, (count,))
    if probabilities:
        check_floating(logits=logits, targets=targets)
        check_shape("targets", targets, logits.shape)
        check_elements("targets", targets, "0 to 1")
        return False
    if targets.shape != axes:
        check_shape("targets", targets, axes)
    low, high = (targets.min(), targets.max()) if targets.size else (0, -1)
    ignoring = low <= ignore_index <= high
    if ignoring or not 0 <= low <= high < count:
        classes = targets[targets != ignore_index]
        if classes.size and not 0 <= classes.min() <= classes.max() < count:
            raise ValueError(
                f"targets: expected classes from 0 to {count - 1}, got {classes.min()} to {classes.max()}"
            )
    return not ignoring


def _check_weights(losses: np.ndarray, **weights: np.ndarray | None) -> None:
    """Raise unless each weight has the dtype of the losses, and a shape that broadcasts against theirs."""
    for name, weight in weights.items():
        if weight is None:
            continue
        check_floating(losses=losses, **{name: weight})
        ends = zip(reversed(weight.shape), reversed(losses.shape), strict=False)
        if weight.ndim > losses.ndim or any(mine not in (1, length) for mine, length in ends):
            raise ValueError(
                f"{name}: expected a shape that broadcasts to {losses.shape}, got {weight.shape}"
            )


def _check_upstream(dloss: float | np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless there is a number for each loss that the forward pass returned."""
    if np.shape(dloss) != shape:
        check_shape("dloss", np.asarray(dloss), shape)
