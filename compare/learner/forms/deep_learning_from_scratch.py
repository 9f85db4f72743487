"""The book Deep Learning from Scratch (Saito 2016), whose layers and optimizers are classes.

A layer has forward and backward and keeps its gradients; the weight is (inputs, outputs). An optimizer has
update, for a dictionary of parameters and one of gradients, and keeps dictionaries of its own. Every ε is
written out in the text.

https://github.com/oreilly-japan/deep-learning-from-scratch
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from compare.learner.forms.batch_norms import is_biased, scale_and_shift, updating
from compare.learner.forms.form import (
    Form,
    Kept,
    OurCache,
    as_many,
    has_shape,
    is_close,
    modules,
    stands_for,
    takes,
    tried,
)
from compare.learner.forms.stand_ins import Even, drawing_from, with_epsilon
from scratch import regularization as ours
from scratch.batch_norm import batch_norm_inference_forward
from scratch.random import NumpyGenerator

BOOK = "the form of the book Deep Learning from Scratch"

Ours = Mapping[str, Callable | None] | None
Written = Any


BATCHES = (  # x, ∂L/∂y and labels of two passes
    (
        np.array([[1.0, -2.0], [-3.0, 4.0], [5.0, 6.0]]),
        np.array([[1.0, 2.0], [3.0, 5.0], [7.0, 8.0]]),
        [1, 0, 1],
    ),
    (
        np.array([[3.0, 2.5], [2.0, -1.5], [-1.0, 0.5]]),
        np.array([[6.0, 4.0], [8.0, 9.0], [2.0, 3.0]]),
        [0, 1, 1],
    ),
)


def _require_own_passes(
    layer: Any,
    make: Callable[[], Any],
    forward: Callable[[Any, np.ndarray, np.ndarray], Any],
    backward: Callable[[Any, np.ndarray], tuple],
) -> None:
    """Raise ValueError where a pass depends on one before it, or on that of another object in between

    A layer that fails anyway, or whose draws can not be repeated, is let pass.

    Args:
        layer: the class
        make: a new object of it
        forward: (object, x, labels) → y
        backward: (object, ∂L/∂y) → all gradients
    """
    known = [getattr(layer.forward, "__globals__", {})]

    def y(made: Any, i: int) -> np.ndarray:
        x, _, labels = BATCHES[i]
        return np.copy(forward(made, x.copy(), np.array(labels)))

    def gradients(made: Any, i: int) -> list[np.ndarray]:
        return [np.copy(gradient) for gradient in backward(made, BATCHES[i][1].copy())]

    def one_by_one(a: Any, b: Any) -> list[np.ndarray]:
        return [y(a, 0), *gradients(a, 0), y(b, 1), *gradients(b, 1)]

    def interlocked(a: Any, b: Any) -> list[np.ndarray]:
        first, second = y(a, 0), y(b, 1)
        return [first, *gradients(a, 0), second, *gradients(b, 1)]

    def found(passes: Callable, *, on_one: bool = False) -> list[np.ndarray]:
        with drawing_from(NumpyGenerator(0), known=known):
            return tried(lambda: passes(made := make(), made if on_one else make())) or []

    def is_as_expected(arrays: list[np.ndarray]) -> bool:
        return len(arrays) == len(expected) and all(map(np.array_equal, arrays, expected))

    expected = found(one_by_one)
    if not expected or not is_as_expected(found(one_by_one)):
        return
    if not is_as_expected(found(one_by_one, on_one=True)):
        raise ValueError(
            f"a second pass on the same {layer.__name__} is not what it is on a new one: something is left of"
            " the first"
        )
    if not is_as_expected(found(interlocked)):
        raise ValueError(
            f"a pass forward on another {layer.__name__} changes what backward gives on this one: what it"
            " keeps must be its own, on self"
        )


def _activation(name: str, ours: str) -> Callable[..., Ours]:
    """A layer of its own for every pass; it may write to the gradient that it is given."""

    def read(**theirs: Written) -> Ours:
        layer = theirs[name]

        @stands_for(layer)
        def forward(x: np.ndarray) -> tuple:
            _require_own_passes(layer, layer, lambda a, x, _: a.forward(x), lambda a, dy: (a.backward(dy),))
            return (made := layer()).forward(x), made

        @stands_for(layer)
        def backward(dy: np.ndarray, cache: Any) -> np.ndarray:
            return cache.backward(dy.copy())

        return {f"{ours}_forward": forward, f"{ours}_backward": backward}

    return read


def _layer(name: str, ours: str) -> Callable[..., Ours]:
    """The same under another name than the book's, where backward is no derivative at x, as for some."""
    read_in_the_form = _activation(name, ours)

    def read(**theirs: Written) -> Ours:
        layer, x = theirs[name], np.zeros((1, 2))
        returns, needs_forward = tried(lambda: layer().forward(x)), tried(lambda: layer().backward(x)) is None
        return read_in_the_form(**theirs) if has_shape(returns, 1, 2) and needs_forward else None

    return read


def _function(name: str) -> Callable[..., Ours]:
    """y alone, and the derivative at x from a function of its own."""

    def read(**theirs: Written) -> Ours:
        function, derivative = theirs[name], theirs[f"{name}_grad"]
        if function is None or "numpy" not in modules(function):
            return None  # of a function that says nothing of its library, PyTorch's tensors are the test
        if not isinstance(tried(function, np.zeros((1, 2))), np.ndarray):
            return None

        @stands_for(function)
        def forward(x: np.ndarray) -> tuple:
            return function(x), x

        @stands_for(derivative)
        def backward(dy: np.ndarray, cache: Any) -> np.ndarray:
            return dy * derivative(cache)

        return {f"{name}_forward": forward, f"{name}_backward": derivative and backward}

    return read


def linear(Affine: Written) -> Ours:
    """The weight is the other way round."""
    w = np.array([[1.0, 2.0], [3.0, -1.0]])

    def gradients(made: Any, dy: np.ndarray) -> tuple:
        return made.backward(dy), made.dW, made.db

    @stands_for(Affine)
    def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> tuple:
        _require_own_passes(
            Affine, lambda: Affine(w.copy(), w[0].copy()), lambda a, x, _: a.forward(x), gradients
        )
        b = np.zeros(len(weight), x.dtype) if bias is None else bias
        return (made := Affine(weight.T, b)).forward(x), made

    @stands_for(Affine)
    def backward(dy: np.ndarray, cache: Any) -> tuple:
        dx, dw, db = gradients(cache, dy)
        return dx, dw.T, db

    return {"linear_forward": forward, "linear_backward": backward}


def softmax(SoftmaxWithLoss: Written) -> Ours:
    """Without the ε that the book has inside the logarithm; dout is left out of the book's gradient."""
    layer = with_epsilon(SoftmaxWithLoss, 0.0)

    @stands_for(SoftmaxWithLoss)
    def forward(logits: np.ndarray, targets: np.ndarray) -> tuple:
        _require_own_passes(
            SoftmaxWithLoss, SoftmaxWithLoss, lambda a, x, t: a.forward(x, t), lambda a, _: (a.backward(),)
        )
        return (made := layer()).forward(logits, targets), made

    @stands_for(SoftmaxWithLoss)
    def backward(dloss: Any, cache: Any) -> Any:
        return dloss * cache.backward()

    return {"cross_entropy_forward": forward, "cross_entropy_backward": backward}


def cross_entropy(cross_entropy_error: Written) -> Ours:
    """Of our softmax, without the book's ε."""
    function = with_epsilon(cross_entropy_error, 0.0)

    @stands_for(cross_entropy_error)
    def forward(logits: np.ndarray, targets: np.ndarray) -> tuple:
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return function(e / e.sum(axis=1, keepdims=True), targets), None

    return {"cross_entropy_forward": forward}


def gradient(numerical_gradient: Written) -> Ours:
    """With the case's ε in the place of the book's h, where that is no argument."""
    if takes(numerical_gradient, 3):
        return None

    @stands_for(numerical_gradient)
    def numerical(f: Callable, x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
        return with_epsilon(numerical_gradient, eps)(f, x)

    return {"numerical_gradient": numerical}


def batch_norm(BatchNormalization: Written) -> Ours:
    """Momentum of the old value and a biased variance, in attributes."""

    def layer(gamma: Any, beta: Any, eps: float, *settings: Any) -> Any:
        return with_epsilon(BatchNormalization, eps)(gamma, beta, *settings)

    def updated(x: np.ndarray, mean: Any, variance: Any, momentum: float, *settings: Any) -> tuple:
        gamma, beta, eps = settings or (np.ones(x.shape[1]), np.zeros(x.shape[1]), 1e-5)
        made = layer(gamma, beta, eps, momentum, mean, variance)
        made.forward(x, True)
        return made.running_mean, made.running_var

    biased = is_biased(lambda x: updated(x, np.zeros(1), np.zeros(1), 0.0)[1])

    w = np.array([2.0, 3.0])

    def gradients(made: Any, dy: np.ndarray) -> tuple:
        return made.backward(dy), made.dgamma, made.dbeta

    @stands_for(BatchNormalization)
    def forward(x: np.ndarray, gamma: Any, beta: Any, eps: float = 1e-5) -> tuple:
        _require_own_passes(
            BatchNormalization,
            lambda: BatchNormalization(w.copy(), w.copy()),
            lambda a, x, _: a.forward(x, True),
            gradients,
        )
        settings = (*scale_and_shift(x, gamma, beta), eps)
        return (made := layer(*settings)).forward(x, True), made, (x, settings)

    @stands_for(BatchNormalization)
    def backward(dy: np.ndarray, cache: Any) -> tuple:
        return gradients(cache, dy)

    @stands_for(BatchNormalization)
    def inference_forward(
        x: np.ndarray, gamma: Any, beta: Any, running_mean: Any, running_var: Any, eps: float = 1e-5
    ) -> tuple:
        _, cache = batch_norm_inference_forward(x, gamma, beta, running_mean, running_var, eps)
        made = layer(*scale_and_shift(x, gamma, beta), eps, 0.9, running_mean.copy(), running_var.copy())
        return made.forward(x, False), cache

    return {
        "batch_norm_forward": forward,
        "batch_norm_backward": backward,
        "update_running_statistics": updating(BatchNormalization, updated, biased=biased),
        "batch_norm_inference_forward": inference_forward,
    }


def _dropout(*, inverted: bool) -> Callable[..., Ours]:
    """The book's is not the inverted one; many who write it in this form write that, though."""

    def read(Dropout: Written) -> Ours:
        with drawing_from(Even()):  # type: ignore[arg-type]
            found = tried(lambda: Dropout(0.5).forward(np.ones(10), True))
        if found is None or is_close(np.max(found), 2.0) != inverted:
            return None
        mirrored = bool(found[-1] and not found[0])

        @stands_for(Dropout)
        def forward(x: np.ndarray, p: float, generator: Any, training: bool = True) -> tuple:
            if p == 1:  # no share that is kept: nothing undoes a factor of 0
                y, noise = ours.dropout_forward(x, p, generator, training)
                return y, OurCache(noise)
            _require_own_passes(
                Dropout,
                lambda: Dropout(0.5),
                lambda a, x, _: a.forward(x, True),
                lambda a, dy: (a.backward(dy),),
            )
            layer = Dropout(p)
            with drawing_from(generator, mirrored=mirrored):
                y = layer.forward(x, training)
            scale = x.dtype.type(1 if inverted else 1 / (1 - p))
            return y * scale, (layer, scale, training)

        @stands_for(Dropout)
        def backward(dy: np.ndarray, cache: Any) -> np.ndarray:
            if isinstance(cache, OurCache):
                return ours.dropout_backward(dy, cache.content)
            layer, scale, training = cache
            return layer.backward(dy) * scale if training else dy  # the book's knows training alone

        return {"dropout_forward": forward, "dropout_backward": backward}

    return read


class _Optimizers:
    """Theirs, one for every parameter of ours, from the first step of a case to its last

    It counts its steps itself; and what is one parameter of ours are two of its, a weight and a bias.
    """

    def __init__(self) -> None:
        self._kept = Kept()

    def update(
        self,
        make: Callable[[], Any],
        param: np.ndarray,
        grad: np.ndarray,
        *state: np.ndarray,
        scale: float = 1.0,
    ) -> None:
        """One step

        Args:
            make: what makes one with the settings of today: those that are others than at the step before
                are set in the one that is there
            param: updated
            grad: its gradient
            state: updated: what its dictionaries hold, in this order
            scale: how many times ours its state is
        """
        made = make()
        optimizer, before, scale_before = self._kept.get(param) or (make(), made, scale)
        optimizer.__class__ = type(made)
        others = {k: value for k, value in vars(made).items() if np.any(value != vars(before)[k])}
        vars(optimizer).update(others)
        self._kept.set(param, (optimizer, made, scale))
        params, grads = _weight_and_bias(param.copy()), _weight_and_bias(grad)
        if scale != scale_before:
            for dictionary, _ in zip(_dictionaries(optimizer, params), state, strict=False):
                for name in params:
                    dictionary[name] = dictionary[name] * param.dtype.type(scale / scale_before)
        optimizer.update(params, grads)
        param[...] = _joined(params, params).reshape(param.shape)
        for dictionary, array in zip(_dictionaries(optimizer, params), state, strict=False):
            array[...] = _joined(dictionary, grads).reshape(array.shape) / array.dtype.type(scale)


def _weight_and_bias(array: np.ndarray) -> dict[str, np.ndarray]:
    """Two parts of different shapes, which do not go together."""
    flat = array.reshape(-1)
    weights = flat.size - flat.size // 3
    return {"W1": flat[None, :weights], "b1": flat[weights:]}


def _joined(parts: Mapping[str, Any], like: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.broadcast_to(parts[k], value.shape).ravel() for k, value in like.items()])


def _dictionaries(optimizer: Any, params: Mapping[str, Any]) -> list[dict]:
    """Those of its attributes that hold something for every parameter."""
    return [d for d in vars(optimizer).values() if isinstance(d, dict) and params.keys() <= d.keys()]


def sgd(SGD: Written) -> Ours:
    """A dictionary of one parameter."""
    if tried(SGD, 0.1) is None:
        return None  # it wants something else first: parameters, as PyTorch's and ours do

    optimizers = _Optimizers()

    @stands_for(SGD)
    def step(param: np.ndarray, grad: np.ndarray, *, lr: float) -> None:
        optimizers.update(lambda: SGD(lr), param, grad)

    return {"sgd_step": step}


def _momentum(name: str, ours: str) -> Callable[..., Ours]:
    """Its velocity is −lr·b at today's rate."""

    def read(**theirs: Written) -> Ours:
        optimizer = theirs[name]
        if tried(optimizer, 0.1, 0.9) is None:
            return None
        optimizers = _Optimizers()

        @stands_for(optimizer)
        def rule(
            param: np.ndarray, grad: np.ndarray, momentum_buffer: np.ndarray,
            *, step: int, lr: float, momentum: float,
        ) -> None:  # fmt: skip
            optimizers.update(lambda: optimizer(lr, momentum), param, grad, momentum_buffer, scale=-lr)

        return {ours: rule}

    return read


def adagrad(AdaGrad: Written) -> Ours:
    """With the case's ε in the place of the book's."""
    if tried(AdaGrad, 0.1) is None:
        return None
    optimizers = _Optimizers()

    @stands_for(AdaGrad)
    def adagrad_step(
        param: np.ndarray, grad: np.ndarray, sum: np.ndarray, *, step: int, lr: float, eps: float
    ) -> None:
        optimizers.update(lambda: as_many(with_epsilon(AdaGrad, eps), lr, eps), param, grad, sum)

    return {"adagrad_step": adagrad_step}


def rmsprop(RMSprop: Written) -> Ours:
    """With the case's ε in the place of the book's."""
    if tried(RMSprop, 0.1, 0.9) is None:
        return None
    optimizers = _Optimizers()

    @stands_for(RMSprop)
    def step(
        param: np.ndarray, grad: np.ndarray, square_avg: np.ndarray, *, lr: float, alpha: float, eps: float
    ) -> None:
        optimizers.update(
            lambda: as_many(with_epsilon(RMSprop, eps), lr, alpha, eps), param, grad, square_avg
        )

    return {"rmsprop_step": step}


def _adam(*, before_correction: bool) -> Callable[..., Ours]:
    """With the case's ε in the place of the book's, which stands before the bias correction."""

    def read(Adam: Written) -> Ours:
        optimizers = _Optimizers()

        def updated(param: Any, grad: Any, state: Any, lr: float, betas: Any, eps: float) -> None:
            optimizers.update(lambda: as_many(with_epsilon(Adam, eps), lr, *betas, eps), param, grad, *state)

        if tried(Adam, 0.1, 0.9, 0.999) is None:
            return None
        # Of a gradient that is nothing beside ε the first step is lr·g/ε, or √(1 − β₂) times that.
        param, small = np.zeros(1), 1e-9
        tried(lambda: updated(param, np.full(1, small), np.zeros((2, 1)), 1.0, (0.0, 0.75), 1.0))
        if is_close(param / small, -0.5) != before_correction:
            return None

        @stands_for(Adam)
        def adam_step(
            param: np.ndarray, grad: np.ndarray, exp_avg: np.ndarray, exp_avg_sq: np.ndarray,
            *, step: int, lr: float, betas: tuple[float, float], eps: float,
        ) -> None:  # fmt: skip
            own = eps * np.sqrt(1 - betas[1] ** step) if before_correction else eps
            updated(param, grad, (exp_avg, exp_avg_sq), lr, betas, float(own))

        return {"adam_step": adam_step}

    return read


VELOCITY = (
    "the book's velocity holds −lr·b, where b is the buffer of PyTorch's SGD(momentum=…): the same steps as"
    " long as the learning rate stays, and when it changes, PyTorch's act at once"
)
LOGARITHM = (
    "the book has 1e-7 inside the logarithm, so that it is never that of 0: PyTorch has no ε there, and its"
    " loss is about 1e-7/p larger"
)
ADAM = "Adam(lr, beta1, beta2, eps=1e-7) with update"
DROPOUT = "Dropout(dropout_ratio) with forward, backward"

FORMS = (
    Form("relu", ("Relu() with forward, backward",), _activation("Relu", "relu"), f"{BOOK}: a class"),
    Form(
        "sigmoid",
        ("Sigmoid() with forward, backward",),
        _activation("Sigmoid", "sigmoid"),
        f"{BOOK}: a class",
    ),
    *(
        Form(ours, (f"{name}() with forward, backward",), _layer(name, ours), f"{BOOK}: a class")
        for name, ours in (("ReLU", "relu"), ("Tanh", "tanh"), ("TanH", "tanh"), ("Softmax", "softmax"))
    ),
    *(
        Form(name, (f"{name}(x)", f"{name}_grad(x)"), _function(name), f"{BOOK}: a function of y alone")
        for name in ("relu", "sigmoid", "tanh")
    ),
    Form("linear", ("Affine(W, b) with forward, backward",), linear, f"{BOOK}: W is (inputs, outputs)"),
    Form(
        "cross_entropy",
        ("SoftmaxWithLoss() with forward, backward",),
        softmax,
        f"{BOOK}: softmax and loss in one class",
        LOGARITHM,
    ),
    Form(
        "cross_entropy",
        ("cross_entropy_error(y, t)",),
        cross_entropy,
        f"{BOOK}: of probabilities",
        LOGARITHM,
    ),
    Form(
        "gradient_check",
        ("numerical_gradient(f, x)",),
        gradient,
        f"{BOOK}: h is written out",
        "the book's h = 1e-4 is our eps = 1e-6: its quotient is off by 10⁴ times as much, h²/6·f‴",
    ),
    Form(
        "batch_norm",
        ("BatchNormalization(gamma, beta, momentum, running_mean, running_var) with forward, backward",),
        batch_norm,
        f"{BOOK}: momentum is the weight of the old value, the running variance is biased, ε = 10e-7",
        "PyTorch's momentum is 1 − the book's, 0.1 for its 0.9, its ε is 1e-5, and its running variance is"
        " the unbiased one, m/(m − 1) times the book's",
    ),
    Form(
        "dropout",
        (DROPOUT,),
        _dropout(inverted=False),
        f"{BOOK}: rescaled in evaluation",
        "the book multiplies by 1 − dropout_ratio in evaluation, PyTorch divides by it in training: the same"
        " expectation, at 1/(1 − dropout_ratio) times the scale",
    ),
    Form("dropout", (DROPOUT,), _dropout(inverted=True), f"{BOOK}, with the inverted dropout"),
    Form("sgd", ("SGD(lr) with update",), sgd, f"{BOOK}: update, with dictionaries"),
    Form(
        "momentum",
        ("Momentum(lr, momentum) with update",),
        _momentum("Momentum", "sgd_momentum_step"),
        f"{BOOK}: v = μ·v − lr·g",
        VELOCITY,
    ),
    Form(
        "nesterov",
        ("Nesterov(lr, momentum) with update",),
        _momentum("Nesterov", "nesterov_step"),
        f"{BOOK}: v = μ·v − lr·g",
        VELOCITY,
    ),
    Form(
        "adagrad",
        ("AdaGrad(lr, eps=1e-7) with update",),
        adagrad,
        f"{BOOK}: update, with dictionaries and an ε of its own",
    ),
    Form(
        "rmsprop",
        ("RMSprop(lr, decay_rate, eps=1e-7) with update",),
        rmsprop,
        f"{BOOK}: update, with dictionaries and an ε of its own",
    ),
    Form(
        "adam",
        (ADAM,),
        _adam(before_correction=True),
        f"{BOOK}: ε before the bias correction",
        "PyTorch's ε is the book's divided by √(1 − β₂ᵗ): 32 times as large at the first step, and no"
        " different in the long run",
    ),
    Form("adam", (ADAM,), _adam(before_correction=False), f"{BOOK}: update, with dictionaries"),
)
