"""Stanford's course CS231n, Deep Learning for Computer Vision: the functions of its assignments.

Examples are rows, as here, but the weight is (D, M): y = x w + b. Settings come in dictionaries, and the
optimizers return new arrays. The velocity holds −lr times PyTorch's buffer; momentum, of batch normalisation
too, is the weight of the old value; and the running variance is the biased one.

https://cs231n.github.io/assignments2024/assignment2/
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from compare.learner.forms.batch_norms import is_biased, scale_and_shift, updating
from compare.learner.forms.form import Form, Kept, OurCache, is_close, one_row, stands_for, takes, tried
from compare.learner.forms.stand_ins import Even, drawing_from
from scratch import regularization as ours
from scratch.batch_norm import batch_norm_inference_forward

COURSE = "the form of the course CS231n"

Ours = Mapping[str, Callable | None] | None
Written = Callable | None


def affine(affine_forward: Written, affine_backward: Written) -> Ours:
    """The weight is the other way round."""

    @stands_for(affine_forward)
    def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> tuple:
        b = np.zeros(len(weight), x.dtype) if bias is None else bias
        if affine_forward is None:
            return x @ weight.T + b, (x, weight.T, b)
        return affine_forward(x, weight.T, b)

    @stands_for(affine_backward)
    def backward(dy: np.ndarray, cache: Any) -> tuple:
        dx, dw, db = affine_backward(dy, cache)  # type: ignore[misc]
        return dx, dw.T, db

    return {"linear_forward": forward, "linear_backward": affine_backward and backward}


def transposed(linear_forward: Written, linear_backward: Written) -> Ours:
    """The same under our names, where the weight (inputs, outputs) fits and (outputs, inputs) does not."""
    x, weight, b = np.ones((4, 3)), np.ones((3, 2)), np.zeros(2)
    fits = [tried(linear_forward, x, w, b) is not None for w in (weight, weight.T)]  # type: ignore[arg-type]
    return affine(linear_forward, linear_backward) if fits == [True, False] else None


def softmax(softmax_loss: Written) -> Ours:
    """Loss and gradient at once: the gradient is kept as the cache."""

    @stands_for(softmax_loss)
    def forward(logits: np.ndarray, targets: np.ndarray) -> tuple:
        return softmax_loss(logits, targets)  # type: ignore[misc]

    @stands_for(softmax_loss)
    def backward(dloss: Any, cache: Any) -> Any:
        return dloss * cache

    return {"cross_entropy_forward": forward, "cross_entropy_backward": backward}


def batch_norm(
    batchnorm_forward: Written, batchnorm_backward: Written, batchnorm_backward_alt: Written
) -> Ours:
    """One function for both modes, with the running statistics in a dictionary."""
    run: Any = batchnorm_forward
    back: Any = batchnorm_backward or batchnorm_backward_alt
    if run is None:
        return None

    def updated(x: np.ndarray, mean: Any, variance: Any, momentum: float, *settings: Any) -> tuple:
        gamma, beta, eps = settings or (np.ones(x.shape[1]), np.zeros(x.shape[1]), 1e-5)
        param = {"mode": "train", "eps": eps, "momentum": momentum}
        run(x, gamma, beta, param := {**param, "running_mean": mean, "running_var": variance})
        return param["running_mean"], param["running_var"]

    biased = is_biased(lambda x: updated(x, np.zeros(1), np.zeros(1), 0.0)[1])

    @stands_for(run)
    def forward(x: np.ndarray, gamma: Any, beta: Any, eps: float = 1e-5) -> tuple:
        settings = (*scale_and_shift(x, gamma, beta), eps)
        y, cache = run(x, *settings[:2], {"mode": "train", "eps": eps})
        return y, cache, (x, settings)

    @stands_for(back)
    def backward(dy: np.ndarray, cache: Any) -> tuple:
        return back(dy, cache)

    @stands_for(run)
    def inference_forward(
        x: np.ndarray, gamma: Any, beta: Any, running_mean: Any, running_var: Any, eps: float = 1e-5
    ) -> tuple:
        _, cache = batch_norm_inference_forward(x, gamma, beta, running_mean, running_var, eps)
        state = {"running_mean": running_mean.copy(), "running_var": running_var.copy()}
        y, _ = run(x, *scale_and_shift(x, gamma, beta), {"mode": "test", "eps": eps, **state})
        return y, cache

    return {
        "batch_norm_forward": forward,
        "batch_norm_backward": back and backward,
        "update_running_statistics": updating(run, updated, biased=biased),
        "batch_norm_inference_forward": inference_forward,
    }


def dropout(dropout_forward: Written, dropout_backward: Written) -> Ours:
    """p is the share that is kept; until 2017, the one that is dropped"""
    run: Any = dropout_forward
    if run is None or not takes(run, 2):
        return None
    with drawing_from(Even()):  # type: ignore[arg-type]
        found = tried(run, np.ones(10), {"mode": "train", "p": 0.8})
    if not isinstance(found, tuple):
        return None
    kept = np.asarray(found[0]) != 0
    p_is_kept, mirrored = kept.mean() > 0.5, bool(kept[-1] and not kept[0])

    @stands_for(run)
    def forward(x: np.ndarray, p: float, generator: Any, training: bool = True) -> tuple:
        if p == 1:  # no share that is kept: the course divides by it
            y, noise = ours.dropout_forward(x, p, generator, training)
            return y, noise if dropout_backward is None else OurCache(noise)
        param = {"mode": "train" if training else "test", "p": 1 - p if p_is_kept else p}
        with drawing_from(generator, mirrored=mirrored):
            return run(x, param)

    @stands_for(dropout_backward)
    def backward(dy: np.ndarray, cache: Any) -> np.ndarray:
        if isinstance(cache, OurCache):
            return ours.dropout_backward(dy, cache.content)
        return dropout_backward(dy, cache)  # type: ignore[misc]

    return {"dropout_forward": forward, "dropout_backward": dropout_backward and backward}


def dropout_of_rows(dropout_forward: Written, dropout_backward: Written) -> Ours:
    """The same, where a vector can not be taken."""
    if dropout_forward is None or dropout(dropout_forward, dropout_backward):
        return None
    return dropout(one_row(dropout_forward), dropout_backward and one_row(dropout_backward))


def sgd(sgd: Written) -> Ours:
    """A new array for one that is written to."""

    @stands_for(sgd)
    def step(param: np.ndarray, grad: np.ndarray, *, lr: float) -> None:
        param[...] = sgd(param.copy(), grad, {"learning_rate": lr})[0]  # type: ignore[misc]

    return {"sgd_step": step}


def momentum(sgd_momentum: Written) -> Ours:
    """The velocity is −lr·b at today's rate."""
    configs = _Configs(sgd_momentum, {"velocity": np.zeros(1)}, learning_rate=0.1, momentum=0.5)

    @stands_for(sgd_momentum)
    def step(
        param: np.ndarray, grad: np.ndarray, momentum_buffer: np.ndarray,
        *, step: int, lr: float, momentum: float,
    ) -> None:  # fmt: skip
        velocity = {"velocity": -lr * momentum_buffer}
        config = configs.update(param, grad, velocity, learning_rate=lr, momentum=momentum)
        momentum_buffer[...] = config["velocity"] / -lr

    return {"sgd_momentum_step": step}


def rmsprop(rmsprop: Written) -> Ours:
    """New arrays for those that are written to."""
    configs = _Configs(rmsprop, {"cache": np.zeros(1)}, learning_rate=0.1, decay_rate=0.5, epsilon=1e-8)

    @stands_for(rmsprop)
    def step(
        param: np.ndarray, grad: np.ndarray, square_avg: np.ndarray, *, lr: float, alpha: float, eps: float
    ) -> None:
        cache = {"cache": square_avg.copy()}
        config = configs.update(param, grad, cache, learning_rate=lr, decay_rate=alpha, epsilon=eps)
        square_avg[...] = config["cache"]

    return {"rmsprop_step": step}


def adam(adam: Written) -> Ours:
    """The same; t is counted up before it is used."""
    start: dict[str, Any] = {"m": np.zeros(1), "v": np.zeros(1), "t": 0}
    configs = _Configs(adam, start, learning_rate=0.1, beta1=0.5, beta2=0.5, epsilon=1e-8)

    @stands_for(adam)
    def adam_step(
        param: np.ndarray, grad: np.ndarray, exp_avg: np.ndarray, exp_avg_sq: np.ndarray,
        *, step: int, lr: float, betas: tuple[float, float], eps: float,
    ) -> None:  # fmt: skip
        settings = {"learning_rate": lr, "beta1": betas[0], "beta2": betas[1], "epsilon": eps}
        state = {"m": exp_avg.copy(), "v": exp_avg_sq.copy()}
        config = configs.update(param, grad, state, **settings)
        exp_avg[...], exp_avg_sq[...] = config["m"], config["v"]

    return {"adam_step": adam_step}


class _Configs:
    """The dictionary of every parameter, from the first step of a case to its last

    What of its state the optimizer sets itself, where there is none yet, is left to it: a count that begins
    at 1, say.
    """

    def __init__(self, theirs: Any, start: Mapping[str, Any], **settings: float) -> None:
        self.theirs, self._kept = theirs, Kept()
        w = np.zeros(1)
        self.start = {
            name: value
            for name, value in start.items()
            if tried(theirs, w, w, {**settings, **{k: v for k, v in start.items() if k != name}}) is None
        }

    def update(self, param: np.ndarray, grad: np.ndarray, state: Mapping[str, Any], **settings: float) -> Any:
        """One step, from our state; the new array is written to the old one."""
        kept = self._kept.get(param)
        config = {**self.start, **{k: v for k, v in state.items() if k in self.start}}
        config = config if kept is None else {**kept, **state}
        next_w, config = self.theirs(param.copy(), grad, {**config, **settings})
        self._kept.set(param, config)
        param[...] = next_w
        return config


def numerical_gradient(eval_numerical_gradient: Written, eval_numerical_gradient_array: Written) -> Ours:
    """h is ε, and nothing is printed; a function to an array has an upstream gradient, here 1."""
    whole: Any = eval_numerical_gradient
    array: Any = eval_numerical_gradient_array

    @stands_for(whole or array)
    def gradient(f: Callable, x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
        if whole is None:
            return array(lambda x: np.asarray(f(x)), x, 1.0, eps)
        return whole(f, x, False, eps)

    return {"numerical_gradient": gradient}


def _velocity(name: str) -> Callable[..., Ours]:
    """The course's lines under a name of ours: after a first step the buffer is −lr·g."""

    def read(**theirs: Written) -> Ours:
        function: Any = theirs[name]
        buffer = np.zeros(1)
        tried(lambda: function(np.zeros(1), np.ones(1), buffer, step=1, lr=0.25, momentum=0.5))
        if not is_close(buffer, -0.25):
            return None

        signature = inspect.signature(function)

        @stands_for(function)
        def rule(param: Any, grad: Any, momentum_buffer: Any, *more: Any, **by_name: Any) -> None:
            lr = signature.bind(param, grad, momentum_buffer, *more, **by_name).arguments["lr"]
            v = -lr * momentum_buffer
            function(param, grad, v, *more, **by_name)
            momentum_buffer[...] = v / -lr

        rule.__signature__ = signature  # type: ignore[attr-defined]  # with the options that it has
        return {name: rule}

    return read


def penalty(l2_penalty: Written, l2_gradient: Written) -> Ours:
    """λ·Σ‖W‖² or ½λ·Σ‖W‖² beside a mean, with the gradient that has no m either

    Our λ/2m is the course's λ, or our λ/m where it has the ½.
    """
    whole, one = tried(l2_penalty, [np.ones((1, 1))], 1.0, 7), np.ones((1, 1))  # type: ignore[arg-type]
    gradients = [tried(l2_gradient, one, 1.0, m) for m in (1, 7)]  # type: ignore[arg-type]
    halves = next((n for n in (1, 2) if is_close(whole, 1 / n)), None)
    if halves is None or None in [type(g) for g in gradients] or not is_close(*gradients):
        return None

    @stands_for(l2_penalty)
    def scaled(weights: Any, l2: float, m: int) -> Any:
        return l2_penalty(weights, l2 * halves / (2 * m), m)  # type: ignore[misc]

    @stands_for(l2_gradient)
    def gradient(weight: np.ndarray, l2: float, m: int) -> np.ndarray:
        return l2_gradient(weight, l2 * halves / (2 * m), m)  # type: ignore[misc]

    return {"l2_penalty": scaled, "l2_gradient": gradient}


VELOCITY = (
    "the course's velocity holds −lr·b, where b is the buffer of PyTorch's SGD(momentum=…): the same steps as"
    " long as the learning rate stays, and when it changes, PyTorch's act at once"
)

FORMS = (
    Form(
        "linear",
        ("affine_forward(x, w, b)", "affine_backward(dout, cache)"),
        affine,
        f"{COURSE}: the weight is (D, M)",
    ),
    Form(
        "linear",
        ("linear_forward(x, weight, bias)", "linear_backward(dy, cache)"),
        transposed,
        "an affine layer whose weight is (in_features, out_features)",
        "y = x W + b: PyTorch's weight is the transpose, (out_features, in_features), and y = x Wᵀ + b",
    ),
    Form("cross_entropy", ("softmax_loss(x, y)",), softmax, f"{COURSE}: loss and gradient from one function"),
    Form(
        "batch_norm",
        (
            "batchnorm_forward(x, gamma, beta, bn_param)",
            "batchnorm_backward(dout, cache)",
            "batchnorm_backward_alt(dout, cache)",
        ),
        batch_norm,
        f"{COURSE}: bn_param, in which momentum is the weight of the old value and the variance is biased",
        "PyTorch's momentum is 1 − the course's, 0.1 for its 0.9, and PyTorch's running variance is the"
        " unbiased one, m/(m − 1) times the course's",
    ),
    Form(
        "dropout",
        ("dropout_forward(x, dropout_param)", "dropout_backward(dout, cache)"),
        dropout,
        f"{COURSE}: dropout_param",
    ),
    Form(
        "dropout",
        ("dropout_forward(x, dropout_param)", "dropout_backward(dout, cache)"),
        dropout_of_rows,
        f"{COURSE}: dropout_param; it is asked for (batch, features) alone, and for no other shape",
    ),
    Form("sgd", ("sgd(w, dw, config)",), sgd, f"{COURSE}: config"),
    Form(
        "momentum",
        ("sgd_momentum(w, dw, config)",),
        momentum,
        f"{COURSE}: config, v = μ·v − lr·dw",
        VELOCITY,
    ),
    Form("rmsprop", ("rmsprop(w, dw, config)",), rmsprop, f"{COURSE}: config"),
    Form("adam", ("adam(w, dw, config)",), adam, f"{COURSE}: config"),
    Form(
        "gradient_check",
        (
            "eval_numerical_gradient(f, x, verbose, h)",
            "eval_numerical_gradient_array(f, x, df, h)",
        ),
        numerical_gradient,
        f"{COURSE}: h is ε",
    ),
    *(
        Form(
            component,
            (f"{function}(param, grad, momentum_buffer)",),
            _velocity(function),
            f"{COURSE} under our name: v = μ·v − lr·g",
            VELOCITY,
        )
        for component, function in (("momentum", "sgd_momentum_step"), ("nesterov", "nesterov_step"))
    ),
    Form(
        "l2_penalty",
        ("l2_penalty(weights, l2, m)", "l2_gradient(weight, l2, m)"),
        penalty,
        f"{COURSE} under our names: a penalty that is not divided by m",
        "λ/2m, and so PyTorch's weight_decay/2, is the course's λ of λ·Σ‖W‖², or half its λ of ½λ·Σ‖W‖²",
    ),
)
