"""The whole network: initialise → forward → cost → backward → update, and a prediction."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

import scratch.network
from compare.cases.autograd import differentiable, gradients
from compare.cases.choices import any_seed, any_size, chance, floats, some_of
from compare.cases.error_analysis import ErrorAnalysis, scales
from compare.cases.inputs import SPECIAL, fortran, normal, other, strided, zeros_and_subnormals
from compare.cases.limits import ADDITION, FLOAT32, LARGEST, OVERFLOW, at
from compare.cases.losses import with_one
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from compare.measure import sum_units
from scratch.activations import ACTIVATIONS
from scratch.initializers import INITIALIZERS
from scratch.network import LOSSES
from scratch.optimizers import SGD
from scratch.random import NumpyGenerator
from torch_ref import network as reference
from torch_ref import optimizers as torch_optimizers

LEARNING_RATE = 0.1
BATCH_SIZES = {"smallest": 2, "large": 64, "zero logits": 16}

DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "typical": {"widths": (20, 13, 7, 4)},
    "everything": {"widths": (20, 13, 7, 4), "batch_norm": True, "dropout": 0.3, "l2": 0.7},
    "smallest": {"widths": (1, 1), "loss": "mse_loss"},
    "no hidden layer": {"widths": (7, 3), "l2": 0.1},
    "one logit": {"widths": (13, 7, 1), "loss": "binary_cross_entropy_with_logits", "batch_norm": True},
    "regression": {"widths": (13, 7, 2), "loss": "mse_loss", "activation": "tanh"},
    "leaky_relu": {"widths": (13, 7, 3), "activation": "leaky_relu", "init": "kaiming_uniform"},
    "sigmoid": {"widths": (13, 7, 3), "activation": "sigmoid", "init": "xavier_normal"},
    "tanh": {"widths": (13, 7, 3), "activation": "tanh", "init": "xavier_uniform"},
    "default init": {"widths": (13, 7, 3), "init": "default"},
    "large random": {"widths": (13, 7, 3), "init": "large_random"},
    "zeros": {"widths": (13, 7, 3), "init": "zeros"},
    "zero logits": {"widths": (7, 3, 1), "init": "zeros", "loss": "binary_cross_entropy_with_logits"},
    "one hidden unit": {"widths": (7, 1, 3), "activation": "tanh", "batch_norm": True},
    "deep": {"widths": (8,) * 9, "activation": "tanh", "batch_norm": True},
    "gelu": {"widths": (13, 7, 3), "activation": "gelu"},
    "silu": {"widths": (13, 9, 7, 3), "activation": "silu", "init": "kaiming_uniform", "batch_norm": True},
    "softplus": {"widths": (13, 7, 3), "activation": "softplus", "init": "xavier_normal"},
    "another slope": {"widths": (13, 7, 3), "activation": "leaky_relu", "negative_slope": 0.3},
    "dropout by layer": {"widths": (13, 9, 8, 7, 3), "dropout": (0.5, 0.0, 0.2), "activation": "tanh"},
    "another eps": {"widths": (13, 7, 3), "batch_norm": {"eps": 0.1, "momentum": 0.3}, "activation": "tanh"},
    "smoothed labels": {"widths": (13, 7, 3), "loss_options": {"label_smoothing": 0.1}, "activation": "tanh"},
    "large": {"widths": (1024, 129, 256, 10), "activation": "tanh", "l2": 0.5},
}


def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Weights as drawn by the initialiser; biases, γ, β and running statistics away from 0 and 1

    No two logits are equal: which of them is the largest would depend on a rounding. A network of zeros says
    the same for every example, so its classes do not come equally often. Of one logit they do: gradients of 0
    leave it at 0, the border between the two.
    """
    for name, options in DESCRIPTIONS.items():
        case = _case(rng, dtype, name, options)
        if name == "zeros":
            case["targets"][...] = np.repeat([0, 1, 2], [2, 4, 7])
        if name == "zero logits":
            case["targets"][:8], case["targets"][8:] = 0, 1
        yield case
    for name, layout in (("fortran order", fortran), ("not contiguous", strided)):
        case = _case(rng, dtype, name, DESCRIPTIONS["typical"])
        yield Case(name, {**case.arrays, "x": layout(case["x"])}, case.options, case.seed, dtype)
    for kind in ("typical", "everything"):
        case = _case(rng, dtype, f"values of 1e3, {kind}", DESCRIPTIONS[kind])
        case["x"][...] *= 1e3
        yield case
        case = _case(rng, dtype, f"zeros and subnormals, {kind}", DESCRIPTIONS[kind])
        case["x"][::2] = zeros_and_subnormals(case["x"][::2].shape, dtype)
        yield case
        case = _case(rng, dtype, f"nan and infinity, {kind}", DESCRIPTIONS[kind])
        np.fill_diagonal(case["x"][:3], SPECIAL[2:])
        yield replace(case, finite=False)


def _case(rng: np.random.Generator, dtype: Any, name: str, options: dict[str, Any]) -> Case:
    seed, batch = int(rng.integers(2**31)), BATCH_SIZES.get(name, 13)
    state = _parameters(rng, options, seed, dtype, move=options.get("init") != "zeros")
    arrays = {"x": normal(rng, (batch, options["widths"][0]), dtype)}
    arrays["targets"] = random_targets(rng, options, batch, dtype)
    return Case(name, {**arrays, **state}, options, seed, dtype)


def _parameters(
    rng: np.random.Generator, options: dict[str, Any], seed: int, dtype: Any, move: bool = True
) -> dict[str, np.ndarray]:
    """The state of a new network, all but its weights moved away from 0 and 1."""
    state = scratch.network.Network(generator=NumpyGenerator(seed), dtype=dtype, **options).state_dict()
    for array in state.values():
        if array.ndim == 1 and move:
            array[...] += rng.uniform(0.1, 0.5, array.shape).astype(dtype)
    return {f"state.{name}": array for name, array in state.items()}


NOT_A_DESCRIPTION: dict[str, tuple[Any, ...]] = {
    "widths": ((7,), (), (20, 0, 10), (20, -1, 10)),
    "activation": ("swish",),
    "init": ("ones",),
    "loss": ("hinge",),
    "loss_options": ({"smoothing": 0.1}, {"reduction": "sum"}, {"label_smoothing": 1.5}),
    "dropout": (-0.1, 1.1, np.nan, (0.1,), (0.1, 1.1)),
    "l2": (-1.0, np.nan, np.inf),
}


def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Descriptions of no network, inputs and targets that do not fit, and the state of another network."""
    good = _case(rng, dtype, "typical", DESCRIPTIONS["everything"])
    x, targets, classes = good["x"], good["targets"], good.options["widths"][-1]
    for option, values in NOT_A_DESCRIPTION.items():
        for value in values:
            yield good.but(f"{option} {value}", **{option: value})
    yield good.but("integers", {"x": x.astype(np.int64)})
    yield good.but("another dtype", {"x": x.astype(other(dtype))})
    yield good.but("one dimension", {"x": x[0]})
    yield good.but("three dimensions", {"x": x[None]})
    yield good.but("one input too few", {"x": x[:, 1:]})
    yield good.but("targets of fewer rows", {"targets": targets[1:]})
    yield good.but("a class too high", {"targets": with_one(targets, classes)})
    for name in ("state.linear1.weight", "state.linear3.bias", "state.batch_norm1.running_var"):
        missing = {key: array for key, array in good.arrays.items() if key != name}
        yield replace(good, name=f"no {name}", arrays=missing)
        yield good.but(f"{name} too long", {name: np.resize(good[name], (*good[name].shape, 2))})
    yield good.but("one more array", {"state.linear9.weight": x})


def edges(base: Case) -> Iterator[Edge]:
    """Dropout of all, penalties that are none, and networks that are none."""
    yield from at(base, "dropout", 0.0, 1.0, 1.1)
    yield from at(base, "l2", 0.0, -1.0)
    yield from at(base, "widths", (20,), (20, 0), ())
    yield from at(base, "activation", "swish")


def random_description(
    choose: Choose, inits: Sequence[str] = (*INITIALIZERS, "default"), outputs: int = 5
) -> dict[str, Any]:
    """What a network is made from: at most so many outputs, at least two where they are classes."""
    options = some_of(
        choose,
        init=lambda choose: choose.one_of(inits),
        activation=lambda choose: choose.one_of(tuple(ACTIVATIONS)),
        batch_norm=chance,
        dropout=lambda choose: (
            choose.number(0.01, 0.95) if chance(choose) else choose.one_of((0.0, 0.5, 1.0))
        ),
        loss=lambda choose: choose.one_of(tuple(LOSSES)),
        l2=lambda choose: choose.number(0, 10),
    )
    least, most = (2, 5) if options.get("loss", "cross_entropy") == "cross_entropy" else (1, outputs)
    hidden = [any_size(choose, 1, 20) for _ in range(choose.integer(0, 3))]
    return {"widths": (any_size(choose, 1, 20), *hidden, any_size(choose, least, most)), **options}


def random_targets(rng: np.random.Generator, options: dict[str, Any], batch: int, dtype: Any) -> np.ndarray:
    """What the loss wants."""
    shape = (batch, options["widths"][-1])
    match options.get("loss", "cross_entropy"):
        case "cross_entropy":
            return rng.integers(0, shape[1], batch)
        case "mse_loss":
            return normal(rng, shape, dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def random_case(choose: Choose, dtype: Any) -> Case:
    """Any depth, widths, activation, loss, start and regularization; no parameter is 0 or 1

    Batch norm wants two examples: of one, PyTorch refuses to take the variance.
    """
    options, seed = random_description(choose), any_seed(choose)
    explodes = options.get("init") == "large_random" and options.get("loss") == "mse_loss"
    choose.assume(not explodes or len(options["widths"]) <= 3)  # after one step a deeper one is infinite
    of_rounding = options.get("init") == "large_random" and options.get("activation") == "gelu"
    choose.assume(
        not of_rounding
    )  # far to the left its slope is a rounding, and so is the sign of 0 times it
    batch = any_size(choose, 2 if options.get("batch_norm") else 1, 20)
    rng = np.random.default_rng(seed)
    state = _parameters(rng, options, seed, dtype)
    arrays = {
        "x": floats(choose, (batch, options["widths"][0]), dtype),
        "targets": random_targets(rng, options, batch, dtype),
    }
    return Case("random", {**arrays, **state}, options, seed, dtype)


def _state(case: Case) -> dict[str, Any]:
    return {
        name.removeprefix("state."): value for name, value in case.arrays.items() if name.startswith("state.")
    }


def run_scratch(case: Case, f: Any) -> Results:
    """One step of gradient descent by hand, and a prediction after it."""
    network = f.Network(generator=case.generator(), dtype=case.dtype, **case.options)
    results = {f"initial.{name}": array.copy() for name, array in network.state_dict().items()}
    results["training"] = np.array(network.training)
    network.load_state_dict(_state(case))
    results["logits"] = network.forward(case["x"])
    results["cost"] = np.asarray(network.cost(results["logits"], case["targets"]), case.dtype)
    network.backward()  # what a first pass leaves must not add to the second
    results["grad.x"] = network.backward(input_gradient=True)
    results |= {f"grad.{name}": array for name, array in network.named(network.flat_gradients).items()}
    SGD(network.parameters(), lr=LEARNING_RATE).step(network.gradients())
    results |= {f"updated.{name}": array for name, array in network.state_dict().items()}
    results["evaluation logits"] = network.eval().forward(case["x"])
    results["prediction"] = network.predict(case["x"])
    return with_positive_zeros(results)


def run_torch(case: Case) -> Results:
    """The same with autograd and torch.optim."""
    with case.torch_draws():
        network = reference.Network(dtype=case.dtype, device=case.device, **case.options)
        results = {f"initial.{name}": tensor.clone() for name, tensor in network.state_dict().items()}
        results["training"] = torch.tensor(network.training)
        network.load_state_dict(_state(case))
        optimizer = torch_optimizers.SGD(network.parameters(), lr=LEARNING_RATE)
        x = differentiable(case["x"])
        results["logits"] = network(x)
        results["cost"] = network.cost(results["logits"], case["targets"])
        parameters = dict(network.named_parameters())
        results |= gradients(results["cost"], x=x, **parameters)
    for name, parameter in parameters.items():
        parameter.grad = results[f"grad.{name}"]
    optimizer.step()
    results |= {f"updated.{name}": tensor for name, tensor in network.state_dict().items()}
    results["evaluation logits"] = network.eval()(x)
    results["prediction"] = network.predict(x)
    return with_positive_zeros(results)


def with_positive_zeros(results: Results) -> Results:
    """0 for every −0: of a sum of zeros, the sign depends on what a matrix product starts from

    (0, or its first term; 0 + (−0) is 0.) Units that are off, or examples that are fitted to the last digit,
    make whole gradients of such sums.
    """
    return {name: array + 0 for name, array in results.items()}


def budget(case: Case) -> float:
    """Every layer adds sums over its inputs and, for its weights, over the batch."""
    widths = case.options["widths"]
    return sum_units(max(len(case["x"]), *widths), sum(a * b for a, b in pairwise(widths)))


def magnitude(case: Case) -> dict[str, Any]:
    """What was rounded on the way to each result, times the condition number of the rest of the way

    `ErrorAnalysis` derives it layer by layer, forward and backward. From there, one step of gradient descent
    θ ← θ − lr·g rounds θ and hands on lr times the error of g: V_θ = θ² + lr²·V_g, also for a parameter that
    its update cancels. With these the evaluation's forward pass is followed like the first. The initial
    parameters are equal to the bit: their scale is 0.
    """
    wide = case.in_higher_precision(np.float64)
    network = scratch.network.Network(generator=wide.generator(), dtype=np.float64, **wide.options)
    loss = case.options.get("loss", "cross_entropy")
    analysis = ErrorAnalysis(network, loss, case.dtype, budget(case))
    with np.errstate(all="ignore"):  # NaN and infinities: only their pattern is compared
        network.load_state_dict(_state(wide))
        logits, variances = analysis.forward(wide["x"])
        found = {"logits": variances, "cost": analysis.cost(logits, variances, wide["targets"])}
        found["grad.x"] = analysis.backward()
        found |= {f"grad.{name}": v for name, v in analysis.gradients.items()}
        for name, parameter in network.named(network.flat_parameters).items():
            analysis.state[name] = parameter**2 + LEARNING_RATE**2 * analysis.gradients[name]
        network.flat_parameters -= LEARNING_RATE * network.flat_gradients
        found |= {f"updated.{name}": v for name, v in analysis.state.items()}
        network.eval()
        found["evaluation logits"] = analysis.forward(wide["x"])[1]
        if loss == "mse_loss":
            found["prediction"] = found["evaluation logits"]
    return scales(found) | {f"initial.{name}": 0.0 for name in network.state_dict()}


PENALTY_GRADIENT = """\
            for linear in self._linear_layers():
                weight = linear.parameters["weight"]
                linear.gradients["weight"] += l2_gradient(weight, self.l2, self._batch)
"""
DECAY_OF_ALL = """\
            self.flat_gradients += l2_gradient(self.flat_parameters, self.l2, self._batch)
"""
BATCH_NORM = """\
            if hidden and normalised:
                self.layers[f"batch_norm{i}"] = BatchNorm1d(fan_out, dtype=dtype, **options)
"""

OTHER_SCALE = (
    "A variance overflows in float32, but not in the higher precision that the scale is computed in: the two"
    " sides are equal to a few digits less than all, and counted in the rounding units of another network."
)

COMPONENTS = (
    Component(
        name="network",
        topic="network",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html",
        functions=("Network",),
        reference=("Network",),
        cases=cases,
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        magnitude=magnitude,
        refused=refused,
        edges=Edges(
            ("typical", "everything"),
            ("x", "state.linear1.weight", "state.linear1.bias"),
            ("x", "targets"),
            edges,
        ),
        departures=(
            Departure(LARGEST, ("x", "state.linear1.weight", "everything: x"), OVERFLOW, depends_on=ADDITION),
            Departure(("largest float",), ("state.linear1.bias",), OVERFLOW, depends_on=ADDITION),
            Departure(LARGEST, ("everything: one of x",), OTHER_SCALE, FLOAT32),
        ),
        budget=Budget(
            budget,
            "N sums of n terms in another order: ¼·√n·ln(10⁶·N) units, at least 32, of what every layer"
            " rounds and inherits",
        ),
        mistakes=(
            Mistake(
                "penalty on everything",
                "L2 is for the weights of the linear layers; here biases, γ and β decay as well.",
                [(PENALTY_GRADIENT, DECAY_OF_ALL)],
                convention="torch.optim, given all parameters and one weight_decay",
            ),
            Mistake(
                "penalty without its gradient",
                "The cost contains (λ/2m)‖W‖², the gradients lack (λ/m)·W: nothing is regularised.",
                [("        if self.l2:\n" + PENALTY_GRADIENT, "")],
            ),
            Mistake(
                "never in evaluation mode",
                "Predictions with batch statistics and dropout: they change with the rest of the batch.",
                [("return self.train(False)", "return self")],
            ),
            Mistake(
                "gradients pile up",
                "The gradients of an earlier backward pass are not cleared, as without zero_grad().",
                [
                    ("dy = self._loss", "earlier = self.flat_gradients.copy()\n        dy = self._loss"),
                    ("        return dx\n", "        self.flat_gradients += earlier\n        return dx\n"),
                ],
            ),
            Mistake(
                "activated output",
                "An activation after the last layer: the loss wants logits and applies its own sigmoid.",
                [("            if hidden:\n                self.layers[", "            self.layers[")],
            ),
            Mistake(
                "normalised after the activation",
                "Linear → activation → batch norm trains too, but is another network than the paper's.",
                [
                    (BATCH_NORM, ""),
                    (
                        "Activation(activation, negative_slope)\n",
                        "Activation(activation, negative_slope)\n" + BATCH_NORM,
                    ),
                ],
            ),
            Mistake(
                "logit compared with ½",
                "σ(x) > ½ is x > 0: examples with a logit between 0 and ½ get the wrong class.",
                [("else logits) > 0)", "else logits) > 0.5)")],
            ),
        ),
    ),
)
