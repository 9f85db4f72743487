"""Other people's vectors: what ONNX's own tests of its operators expect, held against both sides.

They are NumPy's results in float32 and, in the recorded ones, those of a PyTorch of 2018: no printed
decimals, but a third implementation. So the tolerance is the component's own budget, in units of its own
magnitude. Where an operator means something else than we do, the vector is put into our terms:

- BatchNormalization: its channels are our features, all other axes the batch. Its momentum m weighs the old
  value: ours is 1 − m. It feeds the running variance v with the biased variance: the unbiased one, times
  n/(n − 1), gives v + (v − m·old)/(n − 1).
- MeanVarianceNormalization: the standardisation of a set by its own statistics, channels being features.
- Dropout: `ratio` is our p. A training pass gets the mask that the vector was made with; where the vector has
  the mask as a second output, the gradient for an upstream of ones is mask/(1 − p).
- Gemm, α·A·B + β·C: the affine layer with x = A, W = (α·B)ᵀ, b = β·C; MatMul: the one without a bias.
- SoftmaxCrossEntropyLoss: its axis 1 holds the classes, all others are the batch. Without a reduction: each
  example as a batch of its own (the first `ALONE`), and the sum of all. The logarithms of the probabilities,
  and Softmax and LogSoftmax too: our softmax p stands in the gradient of the summed loss, p − one-hot.
- Momentum: b ← α·b + β·g, β taken for 1 at t = 0, is PyTorch's form with μ = α and 1 − d = β, later than its
  first step, which copies the gradient. Nesterov's has no d. `norm_coefficient` is the weight decay.
- Adam: at t = 0 it corrects no bias; PyTorch's no longer does after a million steps. (At t > 0 it adds ε
  before the correction: the ε̂ of the paper.) `norm_coefficient` is the weight decay, in the gradient.

Attributes are stored in float32; what was meant is the shortest decimal that rounds to it.
"""

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.optimizers
import torch_ref.optimizers
from compare.cases.optimizers import adam_sizes, sgd_sizes
from compare.component import Case, Component, Results
from compare.draws import SharedDraws
from compare.measure import Difference, compare_arrays, to_numpy
from compare.run import SIDES, run_both

ALONE = 100  # examples that are run one by one
LATE = 10**6  # steps after which 1 − βᵗ is 1


@dataclass(frozen=True)
class Vector:
    """One test of ONNX: an operator, what goes in and what has to come out (None for what is left out)."""

    name: str
    operator: str
    attributes: Mapping[str, Any]
    inputs: Sequence[Any]
    outputs: Sequence[Any]


@dataclass(frozen=True)
class Trial:
    """A case of a component, and those of its results that a vector knows.

    `adapt` gives the component other runners, where the vector starts from a state that ours do not.
    """

    component: str
    case: Case
    expected: Mapping[str, np.ndarray]
    adapt: Callable[[Component], Component] = lambda component: component


@dataclass(frozen=True)
class Held:
    """What holding one vector against both sides gave."""

    name: str
    component: str
    budget: float = 0.0
    worst: Mapping[str, Difference] = field(
        default_factory=dict
    )  # side → where it is furthest from the vector
    error: str = ""

    @property
    def equal(self) -> bool:
        """Whether both sides are within the budget."""
        return not self.error and all(d.units <= self.budget for d in self.worst.values())


@dataclass(frozen=True)
class Vectors:
    """All vectors of some components: those held against both sides, and why the others are not."""

    held: Sequence[Held] = ()
    not_ours: Mapping[str, str] = field(default_factory=dict)
    not_run: str = ""  # why there is none at all

    @property
    def different(self) -> list[str]:
        """The names of those that one side or both do not meet."""
        return [held.name for held in self.held if not held.equal]

    @property
    def text(self) -> str:
        """All of it in one line; empty where there are no vectors."""
        if self.not_run:
            return f"ONNX's vectors: not run ({self.not_run})"
        counts = f"{len(self.held)} ONNX tests on both sides, {len(self.not_ours)} not ours"
        return f"other people's vectors: {counts}" if self.held or self.not_ours else ""


def run(components: Sequence[Component], device: str) -> Vectors:
    """Hold the vectors of these components against both sides."""
    known = {component.name: component for component in components}
    wanted = [name for name, operator in OPERATORS.items() if known.keys() & operator.components]
    if not wanted:
        return Vectors()
    try:
        vectors = collect(wanted)
    except ImportError as error:
        return Vectors(not_run="the package onnx is not installed" if error.name == "onnx" else str(error))
    held, not_ours = [], {}
    for vector in vectors:
        try:
            trials = OPERATORS[vector.operator].trials(vector)
        except Exception as error:  # a form that the installed onnx has, and this file does not know
            trials = f"not understood: {type(error).__name__}: {error}"
        if isinstance(trials, str):
            not_ours[vector.name] = trials
        elif trials[0].component in known:
            held.append(hold(vector, trials, known[trials[0].component], device))
    return Vectors(held, not_ours)


def hold(vector: Vector, trials: Sequence[Trial], component: Component, device: str) -> Held:
    """Run every trial of a vector on both sides."""
    budget, worst = np.inf, {side: Difference("") for side in SIDES}
    for trial in trials:
        adapted, case = trial.adapt(component), replace(trial.case, device=device)
        scales, budget = adapted.magnitude(case), min(budget, adapted.budget.allowed(case, device))
        outcome = run_both(adapted, case)
        if outcome.error:
            return Held(vector.name, component.name, budget, worst, outcome.error)
        for side, results in zip(SIDES, outcome.results, strict=True):
            for name, expected in trial.expected.items():
                difference = compare_arrays(name, to_numpy(results[name]), expected, scales.get(name))
                worst[side] = max(worst[side], difference, key=_units)
    return Held(vector.name, component.name, budget, worst)


def _units(difference: Difference) -> float:
    return np.inf if np.isnan(difference.units) else difference.units


# Reading the package


def collect(operators: Sequence[str]) -> list[Vector]:
    """Every test of these operators, and every recorded model that consists of one of them

    ONNX writes many of its tests a second time, with the operator expanded into simpler ones; these have the
    same numbers, and are left out.

    Raises:
        ImportError: the package onnx is not installed, or has its tests elsewhere.
    """
    importlib.import_module("onnx")
    state = np.random.get_state()  # noqa: NPY002  # the tests are made on import, and seed this generator
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = {vector.name: vector for vector in (*_node_tests(operators), *_recorded())}
        finally:
            np.random.set_state(state)  # noqa: NPY002
    return [vector for vector in found.values() if vector.operator in operators]


def _node_tests(operators: Sequence[str]) -> Iterator[Vector]:
    nodes = importlib.import_module("onnx.backend.test.case.node")
    for operator in operators:
        importlib.import_module(f"{nodes.__name__}.{OPERATORS[operator].module}")
    for test in nodes._NodeTestCases:
        graph = test.model.graph
        if "_expanded" not in test.name:
            inputs, outputs = test.data_sets[0]
            names = [value.name for value in (*graph.input, *graph.output)]
            yield _vector(test.name, graph, dict(zip(names, (*inputs, *outputs), strict=True)))


def _recorded() -> Iterator[Vector]:
    onnx = importlib.import_module("onnx")
    data = Path(importlib.import_module("onnx.backend.test.loader").DATA_DIR)
    for path in sorted(data.glob("*/*/model.onnx")):
        graph = onnx.load(path).graph
        if len(graph.node) != 1:
            continue
        values = {array.name: onnx.numpy_helper.to_array(array) for array in graph.initializer}
        named = {
            "input": [value.name for value in graph.input if value.name not in values],
            "output": [value.name for value in graph.output],
        }
        for kind, names in named.items():
            for i, name in enumerate(names):
                file = path.parent / "test_data_set_0" / f"{kind}_{i}.pb"
                if graph.node[0].op_type in OPERATORS:
                    values[name] = onnx.numpy_helper.to_array(onnx.load_tensor(file))
        yield _vector(path.parent.name, graph, values)


def _vector(name: str, graph: Any, values: Mapping[str, Any]) -> Vector:
    helper = importlib.import_module("onnx.helper")
    node = graph.node[0]
    attributes = {a.name: _meant(helper.get_attribute_value(a)) for a in node.attribute}
    arrays = {key: np.asarray(value) for key, value in values.items() if value is not None}
    inputs, outputs = ([arrays.get(key) for key in keys] for keys in (node.input, node.output))
    return Vector(name, node.op_type, attributes, inputs, outputs)


def _meant(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return float(str(np.float32(value))) if isinstance(value, float) else value


# From an operator to a component: its trials, or why it is none of ours


def _rows(array: np.ndarray, axis: int = 1) -> np.ndarray:
    """(batch, features), with `axis` as the features."""
    return np.ascontiguousarray(np.moveaxis(array, axis, -1)).reshape(-1, array.shape[axis])


def _activation(component: str, vector: Vector) -> list[Trial]:
    x, y = vector.inputs[0], vector.outputs[0]
    options = {"negative_slope": vector.attributes.get("alpha", 0.01)} if component == "leaky_relu" else {}
    case = Case(vector.name, {"x": x, "dy": np.ones_like(x)}, options, dtype=x.dtype)
    return [Trial(component, case, {"output": y})]


def _batch_norm(vector: Vector) -> list[Trial]:
    given = dict(zip(("x", "gamma", "beta", "running_mean", "running_var"), vector.inputs, strict=True))
    x, old = _rows(given["x"]), vector.attributes.get("momentum", 0.9)
    training, y = vector.attributes.get("training_mode", 0), _rows(vector.outputs[0])
    options = {"eps": vector.attributes.get("epsilon", 1e-5), "momentum": 1 - old if training else 0.0}
    case = Case(vector.name, {**given, "x": x, "next_x": x, "dy": x}, options, dtype=x.dtype)
    if not training:  # at momentum 0 the statistics are still the given ones when evaluation comes
        return [Trial("batch_norm", case, {"evaluation.output": y})]
    _, mean, biased = vector.outputs
    unbiased = biased + (biased - old * given["running_var"]) / (len(x) - 1)
    expected = {"output": y, "first.running_mean": mean, "first.running_var": unbiased}
    return [Trial("batch_norm", case, expected)]


def _standardization(vector: Vector) -> list[Trial] | str:
    if list(vector.attributes.get("axes", [0, 2, 3])) != [0, 2, 3]:
        return "statistics of other axes than all but the channels"
    x = _rows(vector.inputs[0])
    case = Case(vector.name, {"x_train": x, "x_test": x}, dtype=x.dtype)
    return [Trial("standardization", case, {"train": _rows(vector.outputs[0])})]


@dataclass(frozen=True)
class Masked:
    """A generator whose next dropout mask is known."""

    mask: np.ndarray

    def dropout_mask(self, x: np.ndarray, p: float) -> np.ndarray:
        """Return the mask to scratch."""
        return self.mask.astype(x.dtype)

    def bernoulli(self, size: tuple[int, ...], p: float, dtype: Any) -> np.ndarray:
        """Return the mask to PyTorch."""
        return self.mask.astype(dtype)


@dataclass(frozen=True)
class MaskedCase(Case):
    """A case of dropout with the mask of its vector."""

    mask: Any = None

    def generator(self) -> Any:
        """Scratch's draws."""
        return Masked(self.mask)

    def torch_draws(self) -> Any:
        """PyTorch's draws."""
        return SharedDraws(self.generator())


def _dropout(vector: Vector) -> list[Trial]:
    x, ratio, training = (*vector.inputs, None, None)[:3]
    y, mask = (*vector.outputs, None)[:2]
    p = vector.attributes.get("ratio", 0.5) if ratio is None else _meant(float(ratio))
    used = (y != 0) | (x == 0) if mask is None else mask
    case = MaskedCase(vector.name, {"x": x, "dy": np.ones_like(x)}, {"p": p}, dtype=x.dtype, mask=used)
    mode = "training" if training else "evaluation"
    expected = {f"{mode}.output": y}
    if mask is not None:
        expected[f"{mode}.grad.x"] = mask / x.dtype.type(1 - p if training else 1)
    return [Trial("dropout", case, expected)]


def _gemm(vector: Vector) -> list[Trial] | str:
    a, b, c = (*vector.inputs, None)[:3]
    given = vector.attributes
    x = a.T if given.get("transA") else a
    weight = given.get("alpha", 1.0) * (b if given.get("transB") else b.T)
    if c is None:
        return _linear(vector, x, weight, None)
    if c.ndim == 2 and len(c) > 1:
        return "C is a matrix: an affine layer has one bias for all examples"
    return _linear(vector, x, weight, given.get("beta", 1.0) * np.broadcast_to(c, (1, len(weight)))[0])


def _matmul(vector: Vector) -> list[Trial] | str:
    a, b = vector.inputs
    if b.ndim > 2:
        return "a batch of matrices on the right: an affine layer has one weight for all examples"
    return _linear(vector, a.reshape(-1, a.shape[-1]), b.reshape(len(b), -1).T, None)


def _linear(vector: Vector, x: np.ndarray, weight: np.ndarray, bias: Any) -> list[Trial]:
    y = vector.outputs[0].reshape(len(x), len(weight))
    arrays = {"x": x, "weight": weight, "dy": y} | ({} if bias is None else {"bias": bias})
    return [Trial("linear", Case(vector.name, arrays, dtype=x.dtype), {"output": y})]


def _cross_entropy(vector: Vector) -> list[Trial] | str:
    if len(vector.inputs) > 2 and vector.inputs[2] is not None:
        return "weighs the classes"
    if "ignore_index" in vector.attributes:
        return "leaves the targets of one class out"
    x, targets = _rows(vector.inputs[0]), vector.inputs[1].reshape(-1)
    reduction, loss = vector.attributes.get("reduction", "mean"), vector.outputs[0]
    trials = []
    if reduction == "none":
        each = loss.reshape(-1)
        alone = range(min(len(x), ALONE))
        trials = [_loss(vector, x[i : i + 1], targets[i : i + 1], {"loss": each[i]}) for i in alone]
        reduction, loss = "sum", each.sum()
    trials.append(_loss(vector, x, targets, {"loss": loss}, reduction))
    if len(vector.outputs) > 1:
        trials.append(_loss(vector, x, targets, _softmax(np.exp(_rows(vector.outputs[1])), targets)))
    return trials


def _normalized(exponential: bool, vector: Vector) -> list[Trial]:
    x, y = (
        _rows(array, vector.attributes.get("axis", -1)) for array in (vector.inputs[0], vector.outputs[0])
    )
    targets = np.arange(len(x)) % x.shape[1]
    return [_loss(vector, x, targets, _softmax(np.exp(y) if exponential else y, targets))]


def _softmax(p: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    return {"grad.logits": p - np.eye(p.shape[1], dtype=p.dtype)[targets]}


def _loss(
    vector: Vector, x: np.ndarray, targets: np.ndarray, expected: Mapping[str, Any], reduction: str = "sum"
) -> Trial:
    arrays = {"logits": x, "targets": targets, "dloss": np.ones((), x.dtype)}
    case = Case(vector.name, arrays, {"reduction": reduction}, dtype=x.dtype)
    return Trial("cross_entropy", case, {name: np.asarray(value) for name, value in expected.items()})


def _momentum(vector: Vector) -> list[Trial] | str:
    given, nesterov = vector.attributes, vector.attributes["mode"] == "nesterov"
    beta = given["beta"] if vector.inputs[1] > 0 else 1.0
    if nesterov and beta != 1:
        return "Nesterov's momentum with a factor on the gradient"
    options = {"momentum": given["alpha"], "weight_decay": given["norm_coefficient"], "nesterov": nesterov}
    options |= {} if nesterov else {"dampening": 1 - beta}
    component = "nesterov" if nesterov else "momentum"
    return _optimizer(vector, component, "SGD", 2, sgd_sizes, ("momentum_buffer",), options)


def _adam(vector: Vector) -> list[Trial] | str:
    given = vector.attributes
    if vector.inputs[1] > 0:
        return "adds ε before the bias correction"
    if given.get("norm_coefficient_post", 0):
        return "decays the weights after the step"
    options = {"betas": (given["alpha"], given["beta"]), "eps": given["epsilon"]}
    options |= {"weight_decay": given["norm_coefficient"]}
    return _optimizer(vector, "adam", "Adam", LATE, adam_sizes, ("exp_avg", "exp_avg_sq"), options)


def _optimizer(
    vector: Vector,
    component: str,
    name: str,
    step: int,
    sizes: Callable,
    buffers: Sequence[str],
    options: Any,
) -> list[Trial]:
    """Step number `step` of an optimizer, from the buffers that the vector gives."""
    rate, _, *arrays = vector.inputs
    count = len(vector.outputs) // (1 + len(buffers))  # parameters
    names = [f"{array}.{i}" for array in ("param", "grad", *buffers) for i in range(count)]
    given = dict(zip(names, arrays, strict=True))
    after = dict(zip((key for key in names if not key.startswith("grad")), vector.outputs, strict=True))
    options = {"optimizer": name, "step": step, "lr": _meant(float(rate)), "buffers": buffers, **options}
    case = Case(vector.name, given, options, dtype=arrays[0].dtype)
    adapt = partial(
        replace,
        run_scratch=_step_of_scratch,
        run_torch=_step_of_torch,
        magnitude=lambda case: _step_sizes(case, sizes, after),
    )
    return [Trial(component, case, after, adapt)]


def _split(case: Case) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The options that are the optimizer's own, and the arrays of each parameter, as copies."""
    ours = ("optimizer", "step", "buffers")
    options = {name: value for name, value in case.options.items() if name not in ours}
    params: list[dict[str, Any]] = [{} for name in case.arrays if name.startswith("param.")]
    for name, array in case.arrays.items():
        kind, _, i = name.partition(".")
        params[int(i)][kind] = array.clone() if isinstance(array, torch.Tensor) else array.copy()
    return options, params


def _step_of_scratch(case: Case, f: Any) -> Results:
    options, params = _split(case)
    optimizer = getattr(scratch.optimizers, case.options["optimizer"])(
        [p["param"] for p in params], **options
    )
    optimizer.rule = getattr(f, optimizer.rule.__name__)
    optimizer.steps = case.options["step"] - 1
    for name in case.options["buffers"]:
        optimizer.state[name] = [p[name] for p in params]
    optimizer.step([p["grad"] for p in params])
    return {f"{name}.{i}": array for i, p in enumerate(params) for name, array in p.items()}


def _step_of_torch(case: Case) -> Results:
    options, params = _split(case)
    optimizer = getattr(torch_ref.optimizers, case.options["optimizer"])(
        [p["param"] for p in params], **options
    )
    for p in params:
        state = {name: p[name] for name in case.options["buffers"]}
        optimizer.state[p["param"]] = {"step": torch.tensor(case.options["step"] - 1.0), **state}
    torch_ref.optimizers.step(optimizer, [p["grad"] for p in params])
    return {f"{name}.{i}": array for i, p in enumerate(params) for name, array in p.items()}


def _step_sizes(case: Case, sizes: Callable, after: Mapping[str, Any]) -> dict[str, Any]:
    """As the magnitude of the component, from buffers that are not 0."""
    options, params = _split(case)
    scales: dict[str, Any] = {}
    for i, arrays in enumerate(params):
        size = {name: np.abs(array, dtype=np.float64) for name, array in arrays.items()}
        size["velocity"] = size.get("momentum_buffer", 0)
        p, g = size["param"], size.pop("grad") + options["weight_decay"] * size["param"]
        truth = {name: np.asarray(after[f"{name}.{i}"], np.float64) for name in case.options["buffers"]}
        size["param"] = p + sizes(size, p, g, truth.__getitem__, case.options["step"], options["lr"], options)
        scales |= {f"{name}.{i}": value for name, value in size.items()}
    return scales


@dataclass(frozen=True)
class Operator:
    """An operator of ONNX: the components that it may be, the module of its tests, and the way to a trial."""

    components: frozenset[str]
    module: str
    trials: Callable[[Vector], list[Trial] | str]


def _operator(components: str, module: str, trials: Callable[[Vector], list[Trial] | str]) -> Operator:
    return Operator(frozenset(components.split()), module, trials)


OPERATORS: dict[str, Operator] = {
    "Relu": _operator("relu", "relu", partial(_activation, "relu")),
    "LeakyRelu": _operator("leaky_relu", "leakyrelu", partial(_activation, "leaky_relu")),
    "Tanh": _operator("tanh", "tanh", partial(_activation, "tanh")),
    "Sigmoid": _operator("sigmoid", "sigmoid", partial(_activation, "sigmoid")),
    "Gemm": _operator("linear", "gemm", _gemm),
    "MatMul": _operator("linear", "matmul", _matmul),
    "SoftmaxCrossEntropyLoss": _operator("cross_entropy", "softmax_cross_entropy_loss", _cross_entropy),
    "Softmax": _operator("cross_entropy", "softmax", partial(_normalized, False)),
    "LogSoftmax": _operator("cross_entropy", "logsoftmax", partial(_normalized, True)),
    "NegativeLogLikelihoodLoss": _operator(
        "cross_entropy",
        "negativeloglikelihoodloss",
        lambda vector: (
            "wants the logarithms of probabilities; our loss takes logits, and the softmax is in it"
        ),
    ),
    "Dropout": _operator("dropout", "dropout", _dropout),
    "Bernoulli": _operator(
        "bernoulli",
        "bernoulli",
        lambda vector: "a draw, for which ONNX prescribes no generator, with a probability for each element",
    ),
    "BatchNormalization": _operator("batch_norm", "batch_normalization", _batch_norm),
    "MeanVarianceNormalization": _operator("standardization", "meanvariancenormalization", _standardization),
    "Momentum": _operator("momentum nesterov", "momentum", _momentum),
    "Adam": _operator("adam", "adam", _adam),
}
