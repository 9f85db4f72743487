"""The gradient check, on right gradients and on planted wrong ones; both sides must come to one verdict."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import numpy as np
import torch

import scratch.activations
import scratch.gradient_check
import scratch.losses
import scratch.network
from compare.cases.autograd import differentiable, gradients
from compare.cases.batch_norm import training_scales
from compare.cases.choices import any_seed, any_size, chance, laid_out, power
from compare.cases.error_analysis import ErrorAnalysis
from compare.cases.inputs import fortran, normal, strided
from compare.cases.limits import FLOAT64, at
from compare.cases.losses import binary_logits_magnitude, classes_magnitude
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from scratch.activations import leaky_relu_backward, leaky_relu_forward
from scratch.batch_norm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference_backward,
    batch_norm_inference_forward,
)
from scratch.gradient_check import PASSES
from scratch.linear import linear_backward, linear_forward
from scratch.random import NumpyGenerator
from scratch.regularization import Dropout, dropout_backward, dropout_forward
from torch_ref import activations, batch_norm, linear, losses, regularization
from torch_ref import gradient_check as reference
from torch_ref import network as networks

UNITS = 8  # the budget


@dataclass(frozen=True)
class Function:
    """What is checked: a number as a function of case["x"], on both sides.

    Args:
        scratch: case → f; f(x) is the number, and a function without arguments that gives its gradient
        torch: case → f; autograd gives its gradient
        size: case → how large the terms are that f adds up
    """

    scratch: Callable[[Case], Callable[[np.ndarray], tuple[Any, Callable[[], np.ndarray]]]]
    torch: Callable[[Case], Callable[[torch.Tensor], torch.Tensor]]
    size: Callable[[Case], float]


def _layer(
    forward: Callable[[Case, np.ndarray], tuple],
    backward: Callable[..., Any],
    torch: Callable[[Case, torch.Tensor], torch.Tensor],
    size: Callable[[Case], Any],
) -> Function:
    """f = Σ dy·y of one layer y, whose elements round what `size` says; backward gives dx, or dx and more."""

    def build_scratch(case: Case) -> Callable:
        def f(x: np.ndarray) -> tuple[Any, Callable[[], np.ndarray]]:
            y, cache, *_ = forward(case, x)
            return (case["dy"] * y).sum(), lambda: _first(backward(case["dy"], cache))

        return f

    return Function(
        build_scratch,
        lambda case: lambda x: (case["dy"] * torch(case, x)).sum(),
        lambda case: _root_of_squares(case["dy"] * size(case)),
    )


def _first(found: Any) -> np.ndarray:
    return found[0] if isinstance(found, tuple) else found


def _activation(name: str) -> Function:
    """Whose values are at most 1."""
    forward, backward = (getattr(scratch.activations, f"{name}_{way}") for way in ("forward", "backward"))
    apply = getattr(activations, name)
    return _layer(lambda case, x: forward(x), backward, lambda case, x: apply(x), lambda case: 1)


def _loss(name: str, size: Callable[[Case], float]) -> Function:
    """f = the mean loss"""
    forward, backward = (getattr(scratch.losses, f"{name}_{way}") for way in ("forward", "backward"))

    def build_scratch(case: Case) -> Callable:
        def f(x: np.ndarray) -> tuple[Any, Callable[[], np.ndarray]]:
            loss, cache = forward(x, case["targets"])
            return loss, lambda: backward(1.0, cache)

        return f

    return Function(build_scratch, lambda case: lambda x: getattr(losses, name)(x, case["targets"]), size)


def _loss_size(prediction: str, magnitude: Callable[[Case], Mapping[str, Any]]) -> Callable[[Case], float]:
    def size(case: Case) -> float:
        arrays = {prediction: case["x"], "targets": case["targets"], "dloss": np.float64(1)}
        return float(magnitude(Case("", arrays, {"reduction": "mean"}))["loss"])

    return size


SMOOTH = {"activation": "tanh", "init": "xavier_normal"}
NETWORKS: dict[str, dict[str, Any]] = {
    "network": {"widths": (5, 4, 3), **SMOOTH},
    "network with everything": {
        "widths": (7, 5, 4, 3),
        "batch_norm": True,
        "dropout": 0.3,
        "l2": 0.5,
        **SMOOTH,
    },
    "network, one logit": {
        "widths": (3, 2, 1),
        "loss": "binary_cross_entropy_with_logits",
        "activation": "sigmoid",
    },
    "network, regression": {"widths": (4, 3, 2), "loss": "mse_loss", **SMOOTH},
    "network, smallest": {"widths": (1, 1), "loss": "mse_loss"},
    "network, larger": {"widths": (7, 13, 7, 5), "l2": 0.5, **SMOOTH},
}


def _network_scratch(case: Case) -> Callable:
    """The cost as a function of the one flat vector of parameters; the dropout masks are always the same."""
    network = scratch.network.Network(
        generator=case.generator(), dtype=case.dtype, **NETWORKS[case.options["function"]]
    )
    dropouts = [layer for layer in network.layers.values() if isinstance(layer, Dropout)]

    def f(parameters: np.ndarray) -> tuple[Any, Callable[[], np.ndarray]]:
        network.flat_parameters[...] = parameters
        if dropouts:
            generator = case.generator()
            for layer in dropouts:
                layer.generator = generator
        cost = network.cost(network.forward(case["inputs"]), case["targets"])

        def gradient() -> np.ndarray:
            network.backward()
            return network.flat_gradients.copy()

        return cost, gradient

    return f


class _Cost(torch.nn.Module):
    """Forward pass and cost in one module, so that both see the parameters that `functional_call` gives."""

    def __init__(self, network: networks.Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.network.cost(self.network(x), targets)


def _network_torch(case: Case) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same for `torch_ref.network.Network`."""
    description = NETWORKS[case.options["function"]]
    module = _Cost(networks.Network(dtype=case.dtype, device=case.device, **description))
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}

    def f(parameters: torch.Tensor) -> torch.Tensor:
        parts = parameters.split([shape.numel() for shape in shapes.values()])
        named = {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        with case.torch_draws():
            return torch.func.functional_call(module, named, (case["inputs"], case["targets"]))

    return f


def _network_size(case: Case) -> float:
    description = NETWORKS[case.options["function"]]
    network = scratch.network.Network(generator=case.generator(), dtype=np.float64, **description)
    network.flat_parameters[...] = case["x"]
    analysis = ErrorAnalysis(network, description.get("loss", "cross_entropy"), case.dtype, UNITS)
    return float(np.sqrt(analysis.cost(*analysis.forward(case["inputs"]), case["targets"])))


def _batch_norm_torch(case: Case, x: torch.Tensor) -> torch.Tensor:
    layer = batch_norm.BatchNorm1d(x.shape[1], dtype=x.dtype, device=x.device)
    return torch.func.functional_call(layer, {"weight": case["gamma"], "bias": case["beta"]}, (x,))


def _batch_norm_size(case: Case) -> Any:
    gamma, beta = np.abs(case["gamma"]), np.abs(case["beta"])
    return training_scales(case["x"], 0.0, gamma, beta, 1e-5, float(np.finfo(np.float64).eps))["output"]


def _evaluation_scratch(case: Case, x: np.ndarray) -> tuple:
    arrays = (case[name] for name in ("gamma", "beta", "running_mean", "running_var"))
    return batch_norm_inference_forward(x, *arrays)


def _evaluation_torch(case: Case, x: torch.Tensor) -> torch.Tensor:
    layer = batch_norm.BatchNorm1d(x.shape[1], dtype=x.dtype, device=x.device).eval()
    arrays = {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_var"}
    return torch.func.functional_call(layer, {name: case[of] for name, of in arrays.items()}, (x,))


def _evaluation_size(case: Case) -> Any:
    x_hat = (np.abs(case["x"]) + np.abs(case["running_mean"])) / np.sqrt(case["running_var"] + 1e-5)
    return np.abs(case["gamma"]) * x_hat + np.abs(case["beta"])


def _dropout_torch(case: Case, x: torch.Tensor) -> torch.Tensor:
    with case.torch_draws():
        return regularization.dropout(x, DROPOUT)


SLOPE, DROPOUT = 0.2, 0.3


def _leaky_relu_scratch(case: Case, x: np.ndarray) -> tuple:
    return leaky_relu_forward(x, SLOPE)


def _leaky_relu_torch(case: Case, x: torch.Tensor) -> torch.Tensor:
    return activations.leaky_relu(x, SLOPE)


def _wrong_scratch(case: Case, x: np.ndarray) -> tuple:
    y, cache = leaky_relu_forward(x, SLOPE)
    return y, (cache, case.options["factor"])


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
    return float(np.sqrt((np.where(np.isfinite(terms), terms, 0) ** 2).sum()))


FUNCTIONS = {
    "linear": _layer(
        lambda case, x: linear_forward(x, case["weight"], case["bias"]),
        linear_backward,
        lambda case, x: linear.linear(x, case["weight"], case["bias"]),
        lambda case: np.sqrt(case["x"] ** 2 @ (case["weight"] ** 2).T + case["bias"] ** 2),
    ),
    "leaky_relu": _layer(_leaky_relu_scratch, leaky_relu_backward, _leaky_relu_torch, lambda case: case["x"]),
    "tanh": _activation("tanh"),
    "sigmoid": _activation("sigmoid"),
    "dropout": _layer(
        lambda case, x: dropout_forward(x, DROPOUT, case.generator()),
        dropout_backward,
        _dropout_torch,
        lambda case: case["x"] / (1 - DROPOUT),
    ),
    "batch_norm": _layer(
        lambda case, x: batch_norm_forward(x, case["gamma"], case["beta"]),
        batch_norm_backward,
        _batch_norm_torch,
        _batch_norm_size,
    ),
    "batch_norm, evaluation": _layer(
        _evaluation_scratch, batch_norm_inference_backward, _evaluation_torch, _evaluation_size
    ),
    "wrong": _layer(
        _wrong_scratch,
        lambda dy, cache: leaky_relu_backward(dy, cache[0]) * cache[1],
        _wrong_torch,
        lambda case: case["x"],
    ),
    "binary_cross_entropy_with_logits": _loss(
        "binary_cross_entropy_with_logits", _loss_size("logits", binary_logits_magnitude)
    ),
    "binary_cross_entropy": _loss(
        "binary_cross_entropy", lambda case: float(-np.log(np.minimum(case["x"], 1 - case["x"])).mean())
    ),
    "cross_entropy": _loss("cross_entropy", _loss_size("logits", classes_magnitude)),
    "mse_loss": _loss("mse_loss", lambda case: float(((case["x"] - case["targets"]) ** 2).mean())),
    **dict.fromkeys(NETWORKS, Function(_network_scratch, _network_torch, _network_size)),
}

LOSSES = [name for name in FUNCTIONS if "entropy" in name or name == "mse_loss"]


def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Right gradients of smooth functions and wrong ones; in float32 the relative error alone.

    Where f is steep or x is large, the step is larger too: x ± ε itself is rounded.
    """

    def case(
        name: str,
        function: str,
        options: Mapping[str, float] | None = None,
        finite: bool = True,
        **arrays: Any,
    ) -> Case:
        seed = int(rng.integers(2**31))
        return Case(name, arrays, {"function": function, **(options or {})}, seed, dtype, finite=finite)

    def away_from_the_kink(*shape: int) -> np.ndarray:
        x = normal(rng, shape, dtype)
        return x + np.copysign(dtype(0.1), x)

    def layer(name: str, function: str, x: np.ndarray, eps: float = 1e-6, finite: bool = True) -> Case:
        arrays = {"x": x}
        features = x.shape[1:]
        if function == "linear":
            arrays |= {"weight": normal(rng, (3, *features), dtype), "bias": normal(rng, (3,), dtype)}
        if function.startswith("batch_norm"):
            arrays |= {"gamma": normal(rng, features, dtype), "beta": normal(rng, features, dtype)}
        if function == "batch_norm, evaluation":
            arrays["running_mean"] = normal(rng, features, dtype)
            arrays["running_var"] = np.exp(normal(rng, features, dtype))
        arrays["dy"] = normal(rng, (len(x), 3) if function == "linear" else x.shape, dtype)
        return case(name, function, {"eps": eps}, finite, **arrays)

    if dtype == np.float32:
        x = away_from_the_kink(3, 2)
        dy, other = normal(rng, x.shape, dtype), normal(rng, x.shape, dtype)
        yield case("relative error", "leaky_relu", x=x, dy=dy, other=other)
        return

    for name, description in NETWORKS.items():
        network = scratch.network.Network(
            generator=NumpyGenerator(int(rng.integers(2**31))), dtype=dtype, **description
        )
        flat = network.flat_parameters
        width_in, *_, width_out = description["widths"]
        if "loss" in description:
            targets = rng.integers(0, 2, (6, width_out)).astype(dtype)
        else:
            targets = rng.integers(0, width_out, 6)
        arrays: dict[str, Any] = {
            "x": flat + 0.3 * normal(rng, flat.shape, dtype),
            "inputs": normal(rng, (6, width_in), dtype),
            "targets": targets,
        }
        yield case(name, name, **arrays)
        if name == "network":
            yield case(f"{name}, larger step", name, {"eps": 1e-4}, **arrays)

    for function in ("linear", "tanh", "sigmoid", "dropout", "batch_norm", "batch_norm, evaluation"):
        yield layer(function, function, normal(rng, (5, 3), dtype))
    for name, shape in (("odd", (7, 13)), ("one feature", (4, 1))):
        yield layer(f"batch_norm, {name}", "batch_norm", normal(rng, shape, dtype))
        yield layer(f"linear, {name}", "linear", normal(rng, shape, dtype))
    yield layer("linear, 129 features", "linear", normal(rng, (2, 129), dtype))
    yield layer("linear, larger", "linear", normal(rng, (16, 32), dtype))
    yield layer("linear, fortran order", "linear", fortran(normal(rng, (5, 3), dtype)))
    yield layer("linear, not contiguous", "linear", strided(normal(rng, (5, 3), dtype)))
    yield layer("linear, values of 1e3", "linear", 1e3 * normal(rng, (5, 3), dtype), eps=1e-3)
    yield layer("batch_norm, small spread", "batch_norm", 3 + 0.03 * normal(rng, (5, 3), dtype))
    saturated = np.array([[1e3, -1e3, 40.0, -40.0], [0.0, -0.0, 1.0, -2.0]])
    for function in ("tanh", "sigmoid"):
        yield layer(f"{function}, saturated", function, saturated)
    for name, value in (("nan", np.nan), ("infinity", np.inf)):
        x = normal(rng, (2, 3), dtype)
        x[0, 1] = value
        yield layer(f"linear, {name}", "linear", x, finite=False)

    x, targets = normal(rng, (5, 4), dtype), rng.random((5, 4))
    yield case("binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits", x=x, targets=targets)
    yield case(
        "binary_cross_entropy", "binary_cross_entropy", x=0.1 + 0.8 * rng.random((5, 4)), targets=targets
    )
    yield case("cross_entropy", "cross_entropy", x=x, targets=rng.integers(0, 4, 5))
    yield case("mse_loss", "mse_loss", x=x, targets=targets)
    for function, targets in (
        ("binary_cross_entropy_with_logits", np.array([[0.0, 0.0, 1.0, 0.3], [0.0, 1.0, 0.0, 1.0]])),
        ("cross_entropy", np.array([1, 3])),
    ):
        yield case(f"{function}, saturated", function, {"eps": 1e-4}, x=saturated, targets=targets)

    x = away_from_the_kink(4, 3)
    dy = normal(rng, x.shape, dtype)
    yield case("leaky relu", "leaky_relu", x=x, dy=dy)
    yield case("not contiguous", "leaky_relu", x=np.repeat(x, 2, axis=1)[:, ::2], dy=dy)
    yield case("no gradient", "leaky_relu", x=x, dy=np.zeros_like(dy))
    for factor in (1.1, 1.01, 0.0, -1.0):
        yield case(f"wrong by a factor of {factor}", "wrong", {"factor": factor}, x=x, dy=dy)


def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Steps that are none, and float32, in which the quotient is mostly rounding error."""
    good = next(iter(cases(rng, dtype)))
    if dtype == np.float32:
        one = {name: good[name][:1, :1] for name in ("x", "dy")}  # of more, the order of adding would show
        yield replace(good, name="float32", arrays=one)
    else:
        for eps in (0.0, -1e-6, np.nan, np.inf):
            yield good.but(f"eps {eps}", eps=eps)


def edges(base: Case) -> Iterator[Edge]:
    """Steps that vanish beside x, and none."""
    yield from at(base, "eps", 0.0, 1e-300, 1e-17, math.nan, math.inf, -1e-6)


def random_numbers(choose: Choose, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Between 0.1 and 1.5, of either sign: away from the kink of leaky ReLU, and no gradient nearly 0."""
    rng = np.random.default_rng(any_seed(choose))
    return laid_out(choose, (rng.uniform(0.1, 1.5, shape) * rng.choice([-1, 1], shape)).astype(dtype))


def random_layer(choose: Choose, dtype: Any) -> Case:
    """A layer, or a gradient with a planted error."""
    function = choose.one_of([name for name in FUNCTIONS if name not in (*LOSSES, *NETWORKS)])
    batch = any_size(choose, 4 if function == "batch_norm" else 1, 6)
    features = any_size(choose, 1, 4)
    arrays = {"x": random_numbers(choose, (batch, features), dtype)}
    if function == "linear":
        arrays["weight"] = random_numbers(choose, (3, features), dtype)
        arrays["bias"] = random_numbers(choose, (3,), dtype)
    if function.startswith("batch_norm"):  # contiguous: see test_gradient_check on PyTorch's strided γ
        for name in ("gamma", "beta", "running_mean", "running_var"):
            arrays[name] = np.ascontiguousarray(random_numbers(choose, (features,), dtype))
        arrays["running_var"] = np.exp(arrays["running_var"])
    arrays["dy"] = random_numbers(choose, (batch, 3 if function == "linear" else features), dtype)
    options: dict[str, Any] = {"function": function}
    if function == "wrong":
        options["factor"] = choose.number(1.02, 3) if chance(choose) else choose.number(-3, 0.98)
    return Case("random", arrays, options, dtype=dtype)


def random_loss(choose: Choose, dtype: Any) -> Case:
    """Predictions and targets."""
    function, batch, classes = choose.one_of(LOSSES), any_size(choose, 1, 5), any_size(choose, 2, 4)
    rng = np.random.default_rng(any_seed(choose))
    x = random_numbers(choose, (batch, classes), dtype)
    if function == "binary_cross_entropy":
        x = np.asarray(rng.uniform(0.1, 0.9, x.shape), dtype)
    hard = function == "cross_entropy"
    targets = rng.integers(0, classes, batch) if hard else rng.random(x.shape).astype(dtype)
    return Case("random", {"x": x, "targets": targets}, {"function": function}, dtype=dtype)


def random_network(choose: Choose, dtype: Any) -> Case:
    """All parameters of a network, a batch and its targets: of a small one, since others take a second."""
    function = choose.one_of(("network, smallest", "network, one logit", "network, regression"))
    widths, batch = NETWORKS[function]["widths"], any_size(choose, 2, 5)
    rng = np.random.default_rng(any_seed(choose))
    network = scratch.network.Network(generator=NumpyGenerator(0), dtype=dtype, **NETWORKS[function])
    flat = network.flat_parameters
    arrays = {
        "x": flat + 0.3 * normal(rng, flat.shape, dtype),
        "inputs": laid_out(choose, normal(rng, (batch, widths[0]), dtype)),
        "targets": rng.integers(0, 2, (batch, widths[-1])).astype(dtype),
    }
    return Case("random", arrays, {"function": function}, dtype=dtype)


def random_case(choose: Choose, dtype: Any) -> Case:
    """In float32 the relative error alone, of a gradient that is exact

    A right gradient is so large that rounding alone, as `magnitude` derives it, does not make it fail.
    """
    if dtype == np.float32:
        shape = any_size(choose, 1, 6), any_size(choose, 1, 4)
        arrays = {name: random_numbers(choose, shape, dtype) for name in ("x", "dy", "other")}
        return Case("random", arrays, {"function": "leaky_relu"}, any_seed(choose), dtype)
    case = choose.one_of((random_layer, random_loss, random_network))(choose, dtype)
    case = replace(case, seed=any_seed(choose))
    if chance(choose):
        case = case.but("random", eps=power(choose, -6.5, -5.5))
    choose.assume(magnitude(case).get("relative_error", 0) * UNITS * np.finfo(np.float64).eps < PASSES)
    return case


def run_scratch(case: Case, f: Any) -> Results:
    """Our forward and backward passes, held against our numerical gradient."""
    function = FUNCTIONS[case.options["function"]].scratch(case)
    eps = {name: value for name, value in case.options.items() if name == "eps"}
    x = case["x"].copy(order="K")  # is changed and restored, which `x` in the results shows

    def value(x: np.ndarray) -> Any:
        return function(x)[0]

    gradient = function(x)[1]()
    if "other" in case.arrays:
        return {"relative_error": np.asarray(f.relative_error(gradient, case["other"]))}
    numerical = f.numerical_gradient(value, x, **eps)
    error = f.relative_error(gradient, numerical)
    return {
        "numerical": numerical,
        "x": x,
        "relative_error": np.asarray(error),
        "check": np.asarray(_gradient_check(f)(value, case["x"].copy(order="K"), gradient, **eps)),
        "passed": np.asarray(error < PASSES),
    }


def _gradient_check(f: Any) -> Callable:
    """That of `f`; ours calls the other two functions of `f`, so that a mistake in these reaches it."""
    ours = scratch.gradient_check.gradient_check
    if f.gradient_check is not ours:
        return f.gradient_check
    others = {"numerical_gradient": f.numerical_gradient, "relative_error": f.relative_error}
    inner = inspect.unwrap(ours)
    return FunctionType(inner.__code__, {**inner.__globals__, **others}, argdefs=inner.__defaults__)


def run_torch(case: Case) -> Results:
    """The same functions in PyTorch; the verdict is that of torch.autograd.gradcheck."""
    value = FUNCTIONS[case.options["function"]].torch(case)
    eps = {name: option for name, option in case.options.items() if name == "eps"}
    x = differentiable(case["x"])
    gradient = gradients(value(x), x=x)["grad.x"]
    if "other" in case.arrays:
        return {"relative_error": reference.relative_error(gradient, case["other"])}
    numerical = reference.numerical_gradient(value, x, **eps)
    error = reference.relative_error(gradient, numerical)
    return {
        "numerical": numerical,
        "x": x,
        "relative_error": error,
        "check": reference.gradient_check(value, x, gradient, **eps),
        "passed": torch.tensor(reference.gradcheck(value, x, **eps)),
    }


def magnitude(case: Case) -> dict[str, Any]:
    """How much of f's rounding error the quotient shows, in rounding units u

    f adds terms of the size F, so each of its two values is known to u·F and the quotient to 2·u·F/(2ε),
    whatever the gradient is: that is its scale, 10⁶·F for ε = 10⁻⁶. In the relative error ‖a − b‖/(‖a‖ + ‖b‖)
    the n elements of b bring √n·u·F/ε into the numerator, beside the rounding of the quotient itself, so
    its scale is √n·F/ε/(‖a‖ + ‖b‖) + its value. (1 stands for the value, which is never larger.)
    """
    if "other" in case.arrays:
        return {}
    function = FUNCTIONS[case.options["function"]]
    x = case["x"]
    with np.errstate(all="ignore"):  # NaN and infinities: only their pattern is compared
        noise = function.size(case) / case.options.get("eps", 1e-6)
        norm = _root_of_squares(function.scratch(case)(x)[1]())
    error = np.sqrt(x.size) * noise / norm + 1 if norm else 1
    return {"numerical": noise, "relative_error": error, "check": error, "x": 0}


COMPONENTS = (
    Component(
        name="gradient_check",
        topic="gradient_check",
        source="https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html",
        functions=("numerical_gradient", "relative_error", "gradient_check"),
        reference=("numerical_gradient", "relative_error", "gradient_check", "gradcheck"),
        cases=cases,
        rare={"no gradient": "no gradient at all"},
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        magnitude=magnitude,
        refused=refused,
        edges=Edges(("linear",), rows=("x", "dy", "other"), others=edges),
        departures=(
            Departure(
                ("no examples",),
                ("",),
                "Of a function of no numbers the gradient is empty; PyTorch can not stack no differences.",
                FLOAT64,
            ),
        ),
        budget=Budget(
            lambda case: UNITS * max(1.0, math.sqrt(case["x"].size / 256)),
            "a few roundings in each of two values of f, in units of u·F/ε; a sum of n > 256 terms, taken one"
            " after the other, rounds √(n/256) times as much",
        ),
        mistakes=(
            Mistake(
                "one-sided",
                "(f(x + ε) − f(x))/ε: its error falls with ε, not with ε².",
                [("value - eps", "value"), ("/ (2 * eps)", "/ eps")],
                convention="scipy.optimize.check_grad",
            ),
            Mistake(
                "minus point at x",
                "(f(x + ε) − f(x))/(2ε): the second point is not moved, and all slopes come out halved.",
                [("value - eps", "value")],
            ),
            Mistake(
                "2 forgotten",
                "(f(x + ε) − f(x − ε))/ε: the points are 2ε apart.",
                [("/ (2 * eps)", "/ eps")],
            ),
            Mistake(
                "wrong sign",
                "(f(x − ε) − f(x + ε))/(2ε): the slope of the way back.",
                [("(plus - minus)", "(minus - plus)")],
            ),
            Mistake(
                "another point perturbed",
                "f(ε) − f(−ε): the slope at 0, which for a linear f is no other. So a widely copied solution "
                "of the course passes, which perturbs x instead of θ in J = θ·x (and prints 2.63e-10).",
                [("value + eps", "eps"), ("value - eps", "-eps")],
            ),
            Mistake(
                "all elements moved at once",
                "x ± ε for the whole array: one slope, the sum of all, stands in for every element's own.",
                [
                    ("x[i] = value + eps\n            plus = f(x)", "plus = f(x + eps)"),
                    ("x[i] = value - eps\n            minus = f(x)", "minus = f(x - eps)"),
                ],
            ),
            Mistake(
                "x not restored",
                "x is left at x − ε: the check damages the parameters that it checks.",
                [("x[i] = value\n", "pass\n")],
            ),
            Mistake(
                "x restored by arithmetic",
                "+ε, −2ε, +ε: rounding leaves x a little beside where it was.",
                [("x[i] = value - eps", "x[i] -= 2 * eps"), ("x[i] = value\n", "x[i] += eps\n")],
            ),
            Mistake(
                "not normalised",
                "‖a − b‖ alone: a small gradient always passes, a large one never does.",
                [("_norm(a - b) / size if size > 0 else size", "_norm(a - b)")],
                convention="scipy.optimize.check_grad",
            ),
            Mistake(
                "largest error of an element",
                "max |aᵢ − bᵢ|/(|aᵢ| + |bᵢ|): a small element fails a check that all others pass.",
                [("_norm(a - b) / size", "(np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b))).max()")],
                convention="CS231n: rel_error",
            ),
            Mistake(
                "product of the norms",
                "‖a − b‖/(‖a‖·‖b‖) is no relative error: it has the unit of 1/gradient.",
                [("_norm(a) + _norm(b)", "_norm(a) * _norm(b)")],
            ),
            Mistake(
                "one norm",
                "‖a − b‖/‖b‖ is twice as large for small errors, and without bound for a wrong a.",
                [("_norm(a) + _norm(b)", "_norm(b)")],
            ),
            Mistake(
                "squared norms",
                "The roots are forgotten: an error of 1e-4 passes as 1e-8.",
                [("(a * a).sum() ** 0.5", "(a * a).sum()")],
            ),
            Mistake(
                "difference of the norms",
                "|‖a‖ − ‖b‖|/(‖a‖ + ‖b‖): the opposite direction passes.",
                [("_norm(a - b)", "abs(_norm(a) - _norm(b))")],
            ),
        ),
    ),
)
