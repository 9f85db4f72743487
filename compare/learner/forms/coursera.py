"""The courses of Coursera's Deep Learning Specialization that use NumPy.

Examples are columns: X is (features, m), and b is (units, 1). Gradients are divided by m where dW and db are
computed, since dZ is that of the sum. Parameters are a dictionary W1, b1, W2, …, gradients dW1, db1, …

https://www.coursera.org/specializations/deep-learning
"""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import scratch.activations
from compare.learner.forms.form import Form, as_many, first_argument, has_shape, is_close, stands_for, tried
from compare.learner.forms.stand_ins import Even, drawing_from, with_globals
from scratch.linear import linear_forward as our_linear_forward

FIRST = "the form of the course Neural Networks and Deep Learning"
SECOND = "the form of the course Improving Deep Neural Networks"

Ours = Mapping[str, Callable | None] | None
Written = Callable | None


def linear(linear_forward: Written, linear_backward: Written) -> Ours:
    """Transposes at both ends, and the course's 1/m undone."""
    if not _takes_columns(linear_forward, linear_backward):
        return None

    @stands_for(linear_forward)
    def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> tuple:
        b = np.zeros(len(weight), x.dtype) if bias is None else bias
        if linear_forward is None:
            return our_linear_forward(x, weight, bias)[0], (x.T, weight, b[:, None])
        z, cache = linear_forward(x.T, weight, b[:, None])
        return z.T, cache

    @stands_for(linear_backward)
    def backward(dy: np.ndarray, cache: Any) -> tuple:
        da, dw, db = linear_backward(dy.T, cache)  # type: ignore[misc]
        m, units = dy.shape
        if np.shape(db) != (units, 1):
            raise ValueError(f"db: expected the shape of b, {(units, 1)}, got {np.shape(db)}")
        return da.T, dw * m, db[:, 0] * m

    return {"linear_forward": forward, "linear_backward": linear_backward and backward}


def _takes_columns(linear_forward: Any, linear_backward: Any) -> bool:
    """Whether it works with columns and not with rows; where it does with neither, the names decide."""
    a, weight, b = np.ones((3, 2)), np.ones((4, 3)), np.ones((4, 1))
    if linear_forward is not None:
        rows, columns = tried(linear_forward, a.T, weight, b[:, 0]), tried(linear_forward, a, weight, b)
        by_rows, by_columns = has_shape(_first(rows), 2, 4), has_shape(_first(columns), 4, 2)
        named = first_argument(linear_forward).startswith("A")
    else:
        rows = tried(linear_backward, np.ones((2, 4)), (a.T, weight))
        columns = tried(linear_backward, np.ones((4, 2)), (a, weight, b))
        by_rows, by_columns = has_shape(_first(rows), 2, 3), has_shape(_first(columns), 3, 2)
        named = first_argument(linear_backward) == "dZ"
    return not by_rows and (by_columns or named)


def _first(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) and found else None


def _activation(name: str) -> Callable[..., Ours]:
    """A = g(Z) with Z as the cache, under the function's own name."""

    def read(**theirs: Written) -> Ours:
        function, function_backward = theirs[name], theirs[f"{name}_backward"]
        if function is not None and not isinstance(tried(function, np.zeros((1, 2))), tuple):
            return None
        if function is None and not (name == "sigmoid" and _from_z(function_backward)):
            return None
        ours = getattr(scratch.activations, f"{name}_forward")

        @stands_for(function)
        def forward(x: np.ndarray) -> tuple:
            y, cache = ours(x)
            if function is None:
                return y, x
            return function(x) if function_backward else (function(x)[0], cache)

        @stands_for(function_backward)
        def backward(dy: np.ndarray, cache: Any) -> np.ndarray:
            return function_backward(dy, cache)  # type: ignore[misc]

        return {f"{name}_forward": forward, f"{name}_backward": function_backward and backward}

    return read


def _from_z(sigmoid_backward: Any) -> bool:
    """Whether σ′ is ¼ for a cache of 0: that of Z = 0, where of A = 0 it would be 0."""
    return is_close(tried(sigmoid_backward, np.ones((1, 1)), np.zeros((1, 1))), 0.25)


def cost(compute_cost: Written) -> Ours:
    """The binary cross-entropy of one output unit, a row of m probabilities."""
    assert compute_cost is not None
    two_bits = tried(compute_cost, np.full((1, 2), 0.5), np.array([[1.0, 0.0]]))
    if not any(is_close(np.abs(two_bits), np.log(2) * n) for n in (0.5, 1, 2) if two_bits is not None):
        return None  # it is the cost of something else

    @stands_for(compute_cost)
    def forward(probabilities: np.ndarray, targets: np.ndarray) -> tuple:
        return np.squeeze(compute_cost(probabilities.reshape(1, -1), targets.reshape(1, -1))), None

    return {"binary_cross_entropy_forward": forward}


def penalty(compute_cost_with_regularization: Written) -> Ours:
    """What λ adds to the cost: for that, compute_cost is 0."""
    assert compute_cost_with_regularization is not None
    whole = with_globals(compute_cost_with_regularization, compute_cost=lambda *arguments: 0.0)

    @stands_for(compute_cost_with_regularization)
    def l2_penalty(weights: Any, l2: float, m: int) -> Any:
        weights = list(weights)
        weights += [np.zeros((1, 1), weights[0].dtype)] * (3 - len(weights))  # the course's network has three
        parameters = {f"W{i}": weight for i, weight in enumerate(weights, start=1)}
        parameters |= {f"b{i}": np.zeros((len(w), 1), w.dtype) for i, w in enumerate(weights, start=1)}
        half = np.full((1, m), 0.5)
        with_penalty, without = (whole(half, half, parameters, strength) for strength in (l2, 0.0))
        return np.squeeze(with_penalty - without).astype(weights[0].dtype)

    return {"l2_penalty": l2_penalty}


def _initializer(theirs: str, ours: str) -> Callable[..., Ours]:
    """W1 of a network of one layer, from the case's draws, where the layers of a deep one are like it."""

    def read(**written: Written) -> Ours:
        initialize = written[theirs]
        assert initialize is not None

        @stands_for(initialize)
        def initializer(shape: tuple[int, int], generator: Any = None, *, dtype: Any = np.float32) -> Any:
            fan_out, fan_in = shape
            _require_equal_layers(initialize)
            with drawing_from(generator):
                return initialize([fan_in, fan_out])["W1"].astype(dtype)

        return {ours: initializer}

    return read


DEEP = [80, 60, 40, 20]  # no fan twice


def _require_equal_layers(initialize: Callable) -> None:
    """Raise ValueError unless every layer of a deep network is as it would be alone, with a bias of 0."""
    known = [getattr(initialize, "__globals__", {})]
    with drawing_from(_Repeating(), known=known):  # type: ignore[arg-type]
        deep = initialize([*DEEP])
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(DEEP), start=1):
            weight, bias = deep.get(f"W{i}"), deep.get(f"b{i}")
            alone, again = (initialize([fan_in, fan_out])["W1"] for _ in range(2))
            if not has_shape(bias, fan_out, 1) or np.any(bias):
                raise ValueError(f"b{i} of layers_dims = {DEEP} must be zeros of the shape {(fan_out, 1)}")
            if not _is_alike(weight, alone, repeated=np.array_equal(alone, again)):
                raise ValueError(
                    f"W{i} of layers_dims = {DEEP} is not what W1 of layers_dims = {[fan_in, fan_out]} is"
                )


def _is_alike(weight: Any, other: np.ndarray, *, repeated: bool) -> bool:
    """Whether it is the same; of draws that can not be repeated, as widely spread: six standard errors."""
    if repeated or not has_shape(weight, *other.shape):
        return np.array_equal(weight, other)
    return bool(abs(weight.std() / other.std() - 1) < 6 / np.sqrt(other.size))


class _Repeating(Even):
    """It draws the same numbers whenever it is asked for as many."""

    def normal(self, size: Any, mean: float = 0.0, std: float = 1.0, dtype: Any = np.float64) -> np.ndarray:
        """Of this mean or so; they need not be normal."""
        return mean + std * (self.uniform(size) - 0.5)


def minibatches(random_mini_batches: Written) -> Ours:
    """A list of pairs, columns for rows; the order is the case's."""
    assert random_mini_batches is not None

    @stands_for(random_mini_batches)
    def batches(x: np.ndarray, targets: np.ndarray, batch_size: int, generator: Any) -> Iterator[tuple]:
        with drawing_from(generator):
            found = as_many(random_mini_batches, x.T, targets.reshape(1, -1), batch_size, 0)
        return ((columns.T, row.reshape(-1)) for columns, row in found)

    return {"minibatches": batches}


LAYERS = ("W1", "b1", "W2", "b2")  # a parameter of ours, in four parts


def _parts(array: np.ndarray, prefix: str = "") -> dict[str, np.ndarray]:
    parts = np.array_split(array.ravel(), len(LAYERS))
    return {prefix + name: part.reshape(-1, 1) for name, part in zip(LAYERS, parts, strict=True)}


def _copies(parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: part.copy() for name, part in parts.items()}


def _write(array: np.ndarray, parts: Mapping[str, np.ndarray], prefix: str = "") -> None:
    array[...] = np.concatenate([np.ravel(parts[prefix + name]) for name in LAYERS]).reshape(array.shape)


def sgd(update_parameters_with_gd: Written, update_parameters: Written) -> Ours:
    """A dictionary of parameters for one of ours."""
    update: Any = update_parameters_with_gd or update_parameters

    @stands_for(update)
    def step(param: np.ndarray, grad: np.ndarray, *, lr: float) -> None:
        parameters = _copies(_parts(param))
        found = update(parameters, _parts(grad, "d"), lr)
        _write(param, parameters if found is None else found)

    return {"sgd_step": step}


def momentum(initialize_velocity: Written, update_parameters_with_momentum: Written) -> Ours:
    """The same with the velocities, which the course's own function begins."""
    update: Any = update_parameters_with_momentum
    if update is None:
        return None

    @stands_for(update)
    def step(param: np.ndarray, grad: np.ndarray, velocity: np.ndarray, *, lr: float, beta: float) -> None:
        parameters, v = _copies(_parts(param)), _copies(_parts(velocity, "d"))
        if initialize_velocity is not None and not velocity.any():
            v = initialize_velocity(parameters)
        parameters, v = update(parameters, _parts(grad, "d"), v, beta, lr) or (parameters, v)
        _write(param, parameters)
        _write(velocity, v, "d")

    return {"momentum_step": step}


def adam(initialize_adam: Written, update_parameters_with_adam: Written) -> Ours:
    """The same with both moments; t counts from 1."""
    update: Any = update_parameters_with_adam
    if update is None:
        return None

    @stands_for(update)
    def adam_step(
        param: np.ndarray, grad: np.ndarray, exp_avg: np.ndarray, exp_avg_sq: np.ndarray,
        *, step: int, lr: float, betas: tuple[float, float], eps: float,
    ) -> None:  # fmt: skip
        parameters = _copies(_parts(param))
        v, s = _copies(_parts(exp_avg, "d")), _copies(_parts(exp_avg_sq, "d"))
        if initialize_adam is not None and step == 1:
            v, s = initialize_adam(parameters)
        found = update(parameters, _parts(grad, "d"), v, s, step, lr, *betas, eps)
        parameters, v, s, *_ = found or (parameters, v, s)
        _write(param, parameters)
        _write(exp_avg, v, "d")
        _write(exp_avg_sq, s, "d")

    return {"adam_step": adam_step}


def inverse_time(update_lr: Written) -> Ours:
    """The same arguments, by position."""
    assert update_lr is not None

    @stands_for(update_lr)
    def rate(lr: float, epoch: int, *, decay_rate: float) -> float:
        return update_lr(lr, epoch, decay_rate)

    return {"inverse_time": rate}


def fixed_interval(schedule_lr_decay: Written) -> Ours:
    """The same arguments, by position."""
    assert schedule_lr_decay is not None

    @stands_for(schedule_lr_decay)
    def rate(lr: float, epoch: int, *, decay_rate: float, interval: int) -> float:
        return schedule_lr_decay(lr, epoch, decay_rate, interval)

    return {"fixed_interval": rate}


def gradient_check(gradient_check_n: Written) -> Ours:
    """The cost and the vectors are the case's, under the names that the course's notebook has them by."""
    assert gradient_check_n is not None

    @stands_for(gradient_check_n)
    def check(f: Callable, x: np.ndarray, gradient: np.ndarray, eps: float = 1e-6) -> Any:
        function = with_globals(
            gradient_check_n,
            forward_propagation_n=lambda X, Y, parameters: (f(parameters["theta"].reshape(x.shape)), None),
            dictionary_to_vector=lambda parameters: (parameters["theta"].reshape(-1, 1), ["theta"]),
            vector_to_dictionary=lambda theta: {"theta": theta},
            gradients_to_vector=lambda gradients: gradients["dtheta"].reshape(-1, 1),
        )
        with contextlib.redirect_stdout(io.StringIO()):  # it says what it thinks of the gradient
            return as_many(function, {"theta": x}, {"dtheta": gradient}, None, None, eps)

    return {"gradient_check": check}


FORMS = (
    Form(
        "linear",
        ("linear_forward(A, W, b)", "linear_backward(dZ, cache)"),
        linear,
        f"{FIRST}: columns are examples, 1/m in linear_backward",
        "the course divides by m in linear_backward, PyTorch in the loss: dW and db are PyTorch's where dZ is"
        " the gradient of the sum over the batch, and not of the mean",
    ),
    Form("relu", ("relu(Z)", "relu_backward(dA, cache)"), _activation("relu"), f"{FIRST}: the cache is Z"),
    Form(
        "sigmoid",
        ("sigmoid(Z)", "sigmoid_backward(dA, cache)"),
        _activation("sigmoid"),
        f"{FIRST}: the cache is Z",
    ),
    Form("binary_cross_entropy", ("compute_cost(AL, Y)",), cost, f"{FIRST}: columns are examples"),
    Form(
        "l2_penalty",
        ("compute_cost_with_regularization(A3, Y, parameters, lambd)",),
        penalty,
        f"{SECOND}: the penalty is what λ adds to the cost",
    ),
    *(
        Form(ours, (f"{theirs}(layers_dims)",), _initializer(theirs, ours), f"{SECOND}: a dictionary")
        for theirs, ours in (
            ("initialize_parameters_zeros", "zeros"),
            ("initialize_parameters_random", "large_random"),
            ("initialize_parameters_he", "kaiming_normal"),
        )
    ),
    Form(
        "minibatches",
        ("random_mini_batches(X, Y, mini_batch_size, seed=0)",),
        minibatches,
        f"{SECOND}: columns are examples, a list of pairs",
    ),
    Form(
        "sgd",
        (
            "update_parameters_with_gd(parameters, grads, learning_rate)",
            "update_parameters(parameters, grads, learning_rate)",
        ),
        sgd,
        f"{SECOND}: dictionaries",
    ),
    Form(
        "momentum",
        (
            "initialize_velocity(parameters)",
            "update_parameters_with_momentum(parameters, grads, v, beta, learning_rate)",
        ),
        momentum,
        f"{SECOND}: dictionaries, and a velocity that is an average",
    ),
    Form(
        "adam",
        (
            "initialize_adam(parameters)",
            "update_parameters_with_adam(parameters, grads, v, s, t, learning_rate, beta1, beta2, epsilon)",
        ),
        adam,
        f"{SECOND}: dictionaries",
    ),
    Form("inverse_time", ("update_lr(learning_rate0, epoch_num, decay_rate)",), inverse_time, f"{SECOND}"),
    Form(
        "fixed_interval",
        ("schedule_lr_decay(learning_rate0, epoch_num, decay_rate, time_interval)",),
        fixed_interval,
        f"{SECOND}",
    ),
    Form(
        "gradient_check",
        ("gradient_check_n(parameters, gradients, X, Y, epsilon=1e-7)",),
        gradient_check,
        f"{SECOND}: the cost as a function of one vector",
    ),
)
