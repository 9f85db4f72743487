"""The gradient check, on right gradients and on planted wrong ones; both sides must come to one verdict."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compare.component import Budget, Case, Component, Mistake, Results, gradients
from compare.inputs import normal
from scratch.activations import leaky_relu_backward, leaky_relu_forward, tanh_backward, tanh_forward
from scratch.batch_norm import batch_norm_backward, batch_norm_forward
from scratch.gradient_check import PASSES, numerical_gradient, relative_error
from scratch.linear import linear_backward, linear_forward
from scratch.losses import cross_entropy_backward, cross_entropy_forward
from torch_ref import activations, batch_norm, linear, losses
from torch_ref import gradient_check as reference


@dataclass(frozen=True)
class Function:
    """What is checked: a number as a function of case["x"], on both sides.

    Args:
        scratch: (case, x) → f(x), and a function without arguments that gives its gradient
        torch: (case, x) → f(x); autograd gives its gradient
        size: case → how large the terms are that f adds up
    """

    scratch: Callable[[Case, np.ndarray], tuple[Any, Callable[[], np.ndarray]]]
    torch: Callable[[Case, torch.Tensor], torch.Tensor]
    size: Callable[[Case], float]


IN, HIDDEN, OUT = 5, 4, 3


def _layers(flat: Any) -> tuple[Any, Any, Any, Any]:
    """The weights and biases of a network of two layers: views of one flat vector."""
    first, second = HIDDEN * IN, HIDDEN * IN + HIDDEN
    third = second + OUT * HIDDEN
    return (
        flat[:first].reshape(HIDDEN, IN),
        flat[first:second],
        flat[second:third].reshape(OUT, HIDDEN),
        flat[third:],
    )


def _network_scratch(case: Case, x: np.ndarray) -> tuple[Any, Callable[[], np.ndarray]]:
    weight1, bias1, weight2, bias2 = _layers(x)
    z, linear1 = linear_forward(case["inputs"], weight1, bias1)
    h, tanh = tanh_forward(z)
    logits, linear2 = linear_forward(h, weight2, bias2)
    cost, loss = cross_entropy_forward(logits, case["targets"])

    def gradient() -> np.ndarray:
        dh: Any
        dh, dweight2, dbias2 = linear_backward(cross_entropy_backward(1.0, loss), linear2)
        _, dweight1, dbias1 = linear_backward(tanh_backward(dh, tanh), linear1)
        return np.concatenate([dweight1.ravel(), dbias1, dweight2.ravel(), dbias2])

    return cost, gradient


def _network_torch(case: Case, x: torch.Tensor) -> torch.Tensor:
    weight1, bias1, weight2, bias2 = _layers(x)
    h = activations.tanh(linear.linear(case["inputs"], weight1, bias1))
    return losses.cross_entropy(linear.linear(h, weight2, bias2), case["targets"])


def _network_size(case: Case) -> float:
    _, _, weight2, bias2 = _layers(np.abs(case["x"]))
    return 2 * float((weight2.sum(axis=1) + bias2).max()) + np.log(OUT)  # |tanh| ≤ 1


def _batch_norm_scratch(case: Case, x: np.ndarray) -> tuple[Any, Callable[[], np.ndarray]]:
    y, cache, _ = batch_norm_forward(x, case["gamma"], case["beta"])
    return (case["dy"] * y).sum(), lambda: batch_norm_backward(case["dy"], cache)[0]


def _batch_norm_torch(case: Case, x: torch.Tensor) -> torch.Tensor:
    layer = batch_norm.BatchNorm1d(x.shape[1], dtype=x.dtype, device=x.device)
    y = torch.func.functional_call(layer, {"weight": case["gamma"], "bias": case["beta"]}, (x,))
    return (case["dy"] * y).sum()


def _batch_norm_size(case: Case) -> float:
    x, gamma, beta = case["x"], case["gamma"], case["beta"]
    x_hat = np.abs(x - x.mean(axis=0)) / x.std(axis=0)
    r = np.sqrt((x * x).mean(axis=0)) / x.std(axis=0)  # see the magnitudes of batch norm
    return _root_of_squares(case["dy"] * (np.abs(gamma) * (x_hat + r) + np.abs(beta)))


def _leaky_relu_scratch(case: Case, x: np.ndarray) -> tuple[Any, Callable[[], np.ndarray]]:
    y, cache = leaky_relu_forward(x, 0.2)
    return (case["dy"] * y).sum(), lambda: leaky_relu_backward(case["dy"], cache)


def _leaky_relu_torch(case: Case, x: torch.Tensor) -> torch.Tensor:
    return (case["dy"] * activations.leaky_relu(x, 0.2)).sum()


def _leaky_relu_size(case: Case) -> float:
    return _root_of_squares(case["dy"] * case["x"])


def _wrong_scratch(case: Case, x: np.ndarray) -> tuple[Any, Callable[[], np.ndarray]]:
    y, gradient = _leaky_relu_scratch(case, x)
    return y, lambda: gradient() * case.options["factor"]


class _WrongGradient(torch.autograd.Function):
    """The identity, whose backward pass multiplies by a factor that has no business there."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        """y = x"""
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *dy: torch.Tensor) -> tuple[torch.Tensor, None]:
        """dx = factor·dy"""
        return dy[0] * ctx.factor, None


def _wrong_torch(case: Case, x: torch.Tensor) -> torch.Tensor:
    return _leaky_relu_torch(case, _WrongGradient.apply(x, case.options["factor"]))


def _root_of_squares(terms: np.ndarray) -> float:
    return float(np.sqrt((terms**2).sum()))


FUNCTIONS = {
    "network": Function(_network_scratch, _network_torch, _network_size),
    "batch_norm": Function(_batch_norm_scratch, _batch_norm_torch, _batch_norm_size),
    "leaky_relu": Function(_leaky_relu_scratch, _leaky_relu_torch, _leaky_relu_size),
    "wrong": Function(_wrong_scratch, _wrong_torch, _leaky_relu_size),
}


def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Right gradients of smooth functions and wrong ones; in float32 both sides must refuse."""

    def case(name: str, function: str, options: Mapping[str, float] | None = None, **arrays: Any) -> Case:
        return Case(name, arrays, {"function": function, **(options or {})}, dtype=dtype)

    def away_from_the_kink(*shape: int) -> np.ndarray:
        x = normal(rng, shape, dtype)
        return x + np.copysign(dtype(0.1), x)

    if dtype == np.float32:
        x = away_from_the_kink(3, 2)
        yield case("float32 is refused", "leaky_relu", x=x, dy=normal(rng, x.shape, dtype))
        return
    parameters = HIDDEN * IN + HIDDEN + OUT * HIDDEN + OUT
    for name, eps in (("network", 1e-6), ("network, larger step", 1e-4)):
        yield case(
            name,
            "network",
            {"eps": eps},
            x=normal(rng, (parameters,), dtype),
            inputs=normal(rng, (6, IN), dtype),
            targets=rng.integers(0, OUT, 6),
        )
    for name, shape in (
        ("batch norm", (5, 3)),
        ("batch norm, odd", (7, 5)),
        ("batch norm, one feature", (4, 1)),
    ):
        yield case(
            name,
            "batch_norm",
            x=normal(rng, shape, dtype),
            dy=normal(rng, shape, dtype),
            gamma=normal(rng, shape[1:], dtype),
            beta=normal(rng, shape[1:], dtype),
        )
    x = away_from_the_kink(4, 3)
    dy = normal(rng, x.shape, dtype)
    yield case("leaky relu", "leaky_relu", x=x, dy=dy)
    yield case("not contiguous", "leaky_relu", x=np.repeat(x, 2, axis=1)[:, ::2], dy=dy)
    yield case("no gradient", "leaky_relu", x=x, dy=np.zeros_like(dy))
    for factor in (1.1, 1.01, 0.0, -1.0):
        yield case(f"wrong by a factor of {factor}", "wrong", {"factor": factor}, x=x, dy=dy)


def run_scratch(case: Case, f: Any) -> Results:
    """Our forward and backward passes, held against our numerical gradient."""
    function = FUNCTIONS[case.options["function"]]
    eps = {name: value for name, value in case.options.items() if name == "eps"}
    x = case["x"].copy()  # is changed and restored, which `x` in the results shows

    def value(x: np.ndarray) -> Any:
        return function.scratch(case, x)[0]

    gradient = function.scratch(case, x)[1]()
    if case.dtype == np.float32:
        return {"refused": np.asarray(_refuses(f.gradient_check, value, x, gradient))}
    numerical = f.numerical_gradient(value, x, **eps)
    error = f.relative_error(gradient, numerical)
    return {
        "numerical": numerical,
        "x": x,
        "relative_error": np.asarray(error),
        "check": np.asarray(f.gradient_check(value, case["x"].copy(), gradient, **eps)),
        "passed": np.asarray(error < PASSES),
    }


def run_torch(case: Case) -> Results:
    """The same functions in PyTorch; the verdict is that of torch.autograd.gradcheck."""
    function = FUNCTIONS[case.options["function"]]
    eps = {name: value for name, value in case.options.items() if name == "eps"}
    x = case["x"].requires_grad_()

    def value(x: torch.Tensor) -> torch.Tensor:
        return function.torch(case, x)

    gradient = gradients(value(x), x=x)["grad.x"]
    if case.dtype == torch.float32:
        return {"refused": torch.tensor(_refuses(reference.gradient_check, value, x, gradient))}
    numerical = reference.numerical_gradient(value, x, **eps)
    error = reference.relative_error(gradient, numerical)
    return {
        "numerical": numerical,
        "x": x,
        "relative_error": error,
        "check": reference.gradient_check(value, x, gradient, **eps),
        "passed": torch.tensor(reference.gradcheck(value, x, **eps)),
    }


def _refuses(check: Callable, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except TypeError:
        return True
    return False


def magnitude(case: Case) -> dict[str, Any]:
    """How much of f's rounding error the quotient shows, in rounding units u

    f adds terms of the size F, so each of its two values is known to u·F and the quotient to 2·u·F/(2ε),
    whatever the gradient is: that is its scale, 10⁶·F for ε = 10⁻⁶. In the relative error ‖a − b‖/(‖a‖ + ‖b‖)
    the n elements of b bring √n·u·F/ε into the numerator, beside the rounding of the quotient itself, so
    its scale is √n·F/ε/(‖a‖ + ‖b‖) + its value. (1 stands for the value, which is never larger.)
    """
    if case.dtype == np.float32:
        return {}
    function = FUNCTIONS[case.options["function"]]
    noise = function.size(case) / case.options.get("eps", 1e-6)
    x = case["x"].copy()
    gradient = function.scratch(case, x)[1]()
    norm = _root_of_squares(gradient)
    error = np.sqrt(x.size) * noise / norm + 1 if norm else 1
    return {"numerical": noise, "relative_error": error, "check": error, "x": 0}


def _quotient(change: Callable[..., Any]) -> dict[str, Callable]:
    """Another quotient: `change(f(x + ε), f(x), f(x − ε), ε)`."""

    def wrong(f: Callable, x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
        gradient = np.empty_like(x)
        for i in np.ndindex(x.shape):
            value, values = x[i], []
            for step in (eps, 0, -eps):
                x[i] = value + step
                values.append(f(x))
            x[i] = value
            gradient[i] = change(*values, eps)
        return gradient

    return {"numerical_gradient": wrong}


def _left_moved(f: Callable, x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    gradient = numerical_gradient(f, x, eps)
    x -= eps
    return gradient


def _moved_by_arithmetic(f: Callable, x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    gradient = numerical_gradient(f, x, eps)
    for step in (eps, -2 * eps, eps):
        x += step
    return gradient


def _error(change: Callable[[np.ndarray, np.ndarray], Any]) -> dict[str, Callable]:
    """Another relative error, with which both functions then work."""

    def wrong(a: np.ndarray, b: np.ndarray) -> Any:
        return change(a, b) if _norm(a) > 0 and _norm(b) > 0 else relative_error(a, b)

    return {
        "relative_error": wrong,
        "gradient_check": lambda f, x, gradient, eps=1e-6: wrong(gradient, numerical_gradient(f, x, eps)),
    }


def _norm(a: np.ndarray) -> Any:
    return (a * a).sum() ** 0.5


COMPONENTS = (
    Component(
        name="gradient_check",
        topic="gradient_check",
        source="https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html",
        functions=("numerical_gradient", "relative_error", "gradient_check"),
        reference=("numerical_gradient", "relative_error", "gradient_check", "gradcheck"),
        cases=cases,
        run_scratch=run_scratch,
        run_torch=run_torch,
        magnitude=magnitude,
        budget=Budget(8, "a few roundings in each of two values of f, in units of u·F/ε"),
        mistakes=(
            Mistake(
                "one-sided",
                "(f(x + ε) − f(x))/ε: its error falls with ε, not with ε².",
                _quotient(lambda plus, here, minus, eps: (plus - here) / eps),
            ),
            Mistake(
                "minus point at x",
                "(f(x + ε) − f(x))/(2ε): the second point is not moved, and all slopes come out halved.",
                _quotient(lambda plus, here, minus, eps: (plus - here) / (2 * eps)),
            ),
            Mistake(
                "2 forgotten",
                "(f(x + ε) − f(x − ε))/ε: the points are 2ε apart.",
                _quotient(lambda plus, here, minus, eps: (plus - minus) / eps),
            ),
            Mistake(
                "wrong sign",
                "(f(x − ε) − f(x + ε))/(2ε): the slope of the way back.",
                _quotient(lambda plus, here, minus, eps: (minus - plus) / (2 * eps)),
            ),
            Mistake(
                "x not restored",
                "x is left at x − ε: the check damages the parameters that it checks.",
                {"numerical_gradient": _left_moved},
            ),
            Mistake(
                "x restored by arithmetic",
                "+ε, −2ε, +ε: rounding leaves x a little beside where it was.",
                {"numerical_gradient": _moved_by_arithmetic},
            ),
            Mistake(
                "not normalised",
                "‖a − b‖ alone: a small gradient always passes, a large one never does.",
                _error(lambda a, b: _norm(a - b)),
            ),
            Mistake(
                "product of the norms",
                "‖a − b‖/(‖a‖·‖b‖) is no relative error: it has the unit of 1/gradient.",
                _error(lambda a, b: _norm(a - b) / (_norm(a) * _norm(b))),
            ),
            Mistake(
                "one norm",
                "‖a − b‖/‖b‖ is twice as large for small errors, and without bound for a wrong a.",
                _error(lambda a, b: _norm(a - b) / _norm(b)),
            ),
            Mistake(
                "squared norms",
                "The roots are forgotten: an error of 1e-4 passes as 1e-8.",
                _error(lambda a, b: _norm(a - b) ** 2 / (_norm(a) ** 2 + _norm(b) ** 2)),
            ),
            Mistake(
                "difference of the norms",
                "|‖a‖ − ‖b‖|/(‖a‖ + ‖b‖): the opposite direction passes.",
                _error(lambda a, b: abs(_norm(a) - _norm(b)) / (_norm(a) + _norm(b))),
            ),
        ),
    ),
)
