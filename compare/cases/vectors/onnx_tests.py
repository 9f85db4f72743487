"""ONNX's own tests of its operators: what goes in, and what they expect to come out.

They are NumPy's results in float32 and, in the recorded ones, those of a PyTorch of 2018: no printed
decimals, but a third implementation. Where an operator means something else than we do, the vector is put
into our terms:

- BatchNormalization: its channels are our features, all other axes the batch. Its momentum m weighs the old
  value: ours is 1 − m. It feeds the running variance v with the biased variance: the unbiased one, times
  n/(n − 1), gives v + (v − m·old)/(n − 1).
- Dropout: `ratio` is our p. A training pass gets the mask that the vector was made with; where the vector has
  the mask as a second output, the gradient for an upstream of ones is mask/(1 − p).
- Gemm, α·A·B + β·C: the affine layer with x = A, W = (α·B)ᵀ, b = β·C; MatMul: the one without a bias.
- Softmax, LogSoftmax: `axis` is our dim.
- LayerNormalization, RMSNormalization: from `axis` on, all axes are our features.

Operators that are ours only by a detour are left out: optimizers, whose ONNX form starts from a state in the
middle.

Attributes are stored in float32; what was meant is the shortest decimal that rounds to it.
"""

import importlib
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compare.cases.vectors.trial import MaskedCase, Trial, rows
from compare.component import Case
from compare.run import in_words


@dataclass(frozen=True)
class Vector:
    """One test of ONNX: an operator, what goes in and what has to come out (None for what is left out)."""

    name: str
    operator: str
    attributes: Mapping[str, Any]
    inputs: Sequence[Any]
    outputs: Sequence[Any]


def trials(known: Collection[str]) -> Iterator[tuple[str, str, Trial | str]]:
    """Every test of an operator that is one of the components: name, component, and the trial or why none.

    Raises:
        ImportError: the package onnx is not installed, or has its tests elsewhere.
    """
    wanted = [name for name, operator in OPERATORS.items() if operator.component in known]
    for vector in collect(wanted) if wanted else []:
        operator = OPERATORS[vector.operator]
        try:
            trial = operator.trial(vector)
        except Exception as error:  # a form that the installed onnx has, and this file does not know
            trial = f"not understood: {in_words(error)}"
        yield vector.name, operator.component, trial


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


def _activation(component: str, vector: Vector) -> Trial:
    x, y = vector.inputs[0], vector.outputs[0]
    options = {"negative_slope": vector.attributes.get("alpha", 0.01)} if component == "leaky_relu" else {}
    case = Case(vector.name, {"x": x, "dy": np.ones_like(x)}, options, dtype=x.dtype)
    return Trial(case, {"output": y})


def _gelu(vector: Vector) -> Trial:
    trial = _activation("gelu", vector)
    return replace(trial, case=trial.case.but(vector.name, **vector.attributes))


def _softmax(vector: Vector) -> Trial:
    x, y = vector.inputs[0], vector.outputs[0]
    options = {"dim": vector.attributes.get("axis", -1)}
    case = Case(vector.name, {"x": x, "dy": np.ones_like(x)}, options, dtype=x.dtype)
    return Trial(case, {"output": y})


def _batch_norm(vector: Vector) -> Trial:
    given = dict(zip(("x", "gamma", "beta", "running_mean", "running_var"), vector.inputs, strict=True))
    x, old = rows(given["x"]), vector.attributes.get("momentum", 0.9)
    training, y = vector.attributes.get("training_mode", 0), rows(vector.outputs[0])
    options = {"eps": vector.attributes.get("epsilon", 1e-5), "momentum": 1 - old if training else 0.0}
    case = Case(vector.name, {**given, "x": x, "next_x": x, "dy": x}, options, dtype=x.dtype)
    if not training:  # at momentum 0 the statistics are still the given ones when evaluation comes
        return Trial(case, {"evaluation.output": y})
    _, mean, biased = vector.outputs
    unbiased = biased + (biased - old * given["running_var"]) / (len(x) - 1)
    expected = {"output": y, "first.running_mean": mean, "first.running_var": unbiased}
    return Trial(case, expected)


def _layer_norm(names: tuple[str, ...], vector: Vector) -> Trial:
    x, *parameters = vector.inputs
    rows = x.reshape(*x.shape[: vector.attributes.get("axis", -1)], -1)
    arrays = {name: array.ravel() for name, array in zip(names, parameters, strict=False)}
    options = {"eps": vector.attributes.get("epsilon", 1e-5)}
    case = Case(vector.name, {"x": rows, "dy": rows, **arrays}, options, dtype=x.dtype)
    return Trial(case, {"output": vector.outputs[0].reshape(rows.shape)})


def _dropout(vector: Vector) -> Trial:
    x, ratio, training = (*vector.inputs, None, None)[:3]
    y, mask = (*vector.outputs, None)[:2]
    p = vector.attributes.get("ratio", 0.5) if ratio is None else _meant(float(ratio))
    used = (y != 0) | (x == 0) if mask is None else mask
    case = MaskedCase(vector.name, {"x": x, "dy": np.ones_like(x)}, {"p": p}, dtype=x.dtype, mask=used)
    mode = "training" if training else "evaluation"
    expected = {f"{mode}.output": y}
    if mask is not None:
        expected[f"{mode}.grad.x"] = mask / x.dtype.type(1 - p if training else 1)
    return Trial(case, expected)


def _gemm(vector: Vector) -> Trial | str:
    a, b, c = (*vector.inputs, None)[:3]
    given = vector.attributes
    x = a.T if given.get("transA") else a
    weight = given.get("alpha", 1.0) * (b if given.get("transB") else b.T)
    if c is None:
        return _linear(vector, x, weight, None)
    if c.ndim == 2 and len(c) > 1:
        return "C is a matrix: an affine layer has one bias for all examples"
    return _linear(vector, x, weight, given.get("beta", 1.0) * np.broadcast_to(c, (1, len(weight)))[0])


def _matmul(vector: Vector) -> Trial | str:
    a, b = vector.inputs
    if b.ndim > 2:
        return "a batch of matrices on the right: an affine layer has one weight for all examples"
    return _linear(vector, a.reshape(-1, a.shape[-1]), b.reshape(len(b), -1).T, None)


def _linear(vector: Vector, x: np.ndarray, weight: np.ndarray, bias: Any) -> Trial:
    y = vector.outputs[0].reshape(len(x), len(weight))
    arrays = {"x": x, "weight": weight, "dy": y} | ({} if bias is None else {"bias": bias})
    return Trial(Case(vector.name, arrays, dtype=x.dtype), {"output": y})


def _cross_entropy(vector: Vector) -> Trial:
    logits, targets, weight = (*vector.inputs, None)[:3]
    loss = np.asarray(vector.outputs[0])
    arrays = {"logits": logits, "targets": targets, "dloss": np.ones(loss.shape, logits.dtype)}
    options = {k: v for k, v in vector.attributes.items() if k in ("reduction", "ignore_index")}
    arrays |= {} if weight is None else {"weight": weight}
    case = Case(vector.name, arrays, {"reduction": "mean", **options}, dtype=logits.dtype)
    return Trial(case, {"loss": loss})


@dataclass(frozen=True)
class Operator:
    """An operator of ONNX: the component that it is, the module of its tests, and the way to a trial."""

    component: str
    module: str
    trial: Callable[[Vector], Trial | str]


OPERATORS: dict[str, Operator] = {
    "Relu": Operator("relu", "relu", partial(_activation, "relu")),
    "LeakyRelu": Operator("leaky_relu", "leakyrelu", partial(_activation, "leaky_relu")),
    "Tanh": Operator("tanh", "tanh", partial(_activation, "tanh")),
    "Sigmoid": Operator("sigmoid", "sigmoid", partial(_activation, "sigmoid")),
    "Gelu": Operator("gelu", "gelu", _gelu),
    "Softplus": Operator("softplus", "softplus", partial(_activation, "softplus")),
    "Softmax": Operator("softmax", "softmax", _softmax),
    "LogSoftmax": Operator("log_softmax", "logsoftmax", _softmax),
    "Gemm": Operator("linear", "gemm", _gemm),
    "MatMul": Operator("linear", "matmul", _matmul),
    "SoftmaxCrossEntropyLoss": Operator("cross_entropy", "softmax_cross_entropy_loss", _cross_entropy),
    "Dropout": Operator("dropout", "dropout", _dropout),
    "LayerNormalization": Operator(
        "layer_norm", "layernormalization", partial(_layer_norm, ("gamma", "beta"))
    ),
    "RMSNormalization": Operator("rms_norm", "rmsnormalization", partial(_layer_norm, ("gamma",))),
    "BatchNormalization": Operator("batch_norm", "batch_normalization", _batch_norm),
}
