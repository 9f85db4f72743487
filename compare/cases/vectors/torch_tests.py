"""PyTorch's own test data, `OpInfo`, `ModuleInfo` and `OptimizerInfo` of `torch.testing._internal`

What goes in is theirs: the samples that PyTorch is tested with. What has to come out is what the function,
module or optimizer of the installed PyTorch gives when it is called on them as they come, gradients by
autograd included. The two sides are called in our terms:

- Batch norm has features in axis 1, and all other axes are the batch. Layer and RMS norm: all axes of
  `normalized_shape` are our features.
- Linear with a weight of one axis has one output feature, which gets an axis.
- Modules start from random parameters and statistics instead of ones and zeros.
- Softmax with a dtype converts what goes in first.
- Dropout gets the mask that PyTorch drew.
- Optimizers take a few steps on two parameters.
"""

import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from compare.cases.limits import unsigned_zeros, without_signs
from compare.cases.losses import of_any_zero
from compare.cases.vectors.trial import MaskedCase, Trial, rows
from compare.component import Case

DTYPES = (torch.float32, torch.float64)
STEPS = 5  # of an optimizer


@dataclass(frozen=True)
class Sample:
    """One call that PyTorch is tested with: arrays and options by PyTorch's names, and what came out."""

    name: str
    arrays: Mapping[str, np.ndarray]
    options: Mapping[str, Any]
    output: np.ndarray
    upstream: np.ndarray  # the gradient with respect to the output
    gradients: Mapping[str, np.ndarray] = field(default_factory=dict)  # with respect to the arrays
    buffers: Mapping[str, np.ndarray] = field(default_factory=dict)  # what became of them


def trials(known: Collection[str]) -> Iterator[tuple[str, str, Trial | str]]:
    """Every sample of an operator that is one of the components: name, component, the trial or why none.

    Raises:
        ImportError: the package expecttest is not installed, or PyTorch has its tests elsewhere.
    """
    if COMPONENTS.isdisjoint(known):
        return
    with _as_it_was():
        for dtype in DTYPES:
            for component, sample in (*_functions(known, dtype), *_modules(known, dtype)):
                yield sample.name, component, OPERATORS[component].trial(sample)
            yield from _optimizers(known, dtype)


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Reading PyTorch's tests freezes its flags, adds a path and a variable, and draws from its stream

    SciPy, which takes long to import, is for what they compare with: the samples do without.
    """
    path = list(sys.path)
    with (
        patch.dict(os.environ),
        patch.object(torch.backends, "disable_global_flags", lambda: None),
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            with patch.object(_tests("common_utils"), "TEST_SCIPY", False):
                yield
        finally:
            sys.path[:] = path


def _tests(name: str) -> Any:
    return importlib.import_module(f"torch.testing._internal.{name}")


def _functions(known: Collection[str], dtype: torch.dtype) -> Iterator[tuple[str, Sample]]:
    """The samples of functions: `OpInfo`."""
    of = {operator.function: component for component, operator in OPERATORS.items() if component in known}
    for info in _tests("common_methods_invocations").op_db:
        if info.name not in of or not info.supports_dtype(dtype, "cpu"):
            continue
        component = of[info.name]
        names = OPERATORS[component].arguments
        # Not info.sample_inputs, which looks for the calling test in the stack: most of its time.
        for i, given in enumerate(info.sample_inputs_func(info, "cpu", dtype, requires_grad=False)):
            arguments = dict(zip(names, (given.input, *given.args), strict=False)) | given.kwargs
            variant = f" ({info.variant_test_name})" if info.variant_test_name else ""
            name = f"{info.name}{variant} {i}, {_name(dtype)}"
            yield component, _called(name, info.op, arguments, OPERATORS[component].gradients)


def _modules(known: Collection[str], dtype: torch.dtype) -> Iterator[tuple[str, Sample]]:
    """The samples of modules: `ModuleInfo`."""
    of = {operator.module: component for component, operator in OPERATORS.items() if component in known}
    for info in _tests("common_modules").module_db:
        if info.module_cls.__name__ not in of:
            continue
        component = of[info.module_cls.__name__]
        for training in (True, False) if info.train_and_eval_differ else (True,):
            inputs = info.module_inputs_func(
                info, device="cpu", dtype=dtype, requires_grad=False, training=training
            )
            for i, given in enumerate(inputs):
                make, call = given.constructor_input, given.forward_input
                module = info.module_cls(*make.args, **make.kwargs).to(dtype).train(training)
                mode = "" if training else " (evaluation)"
                yield (
                    component,
                    _module(
                        f"nn.{info.module_cls.__name__}{mode} {i}, {_name(dtype)}", component, module, call
                    ),
                )


def _module(name: str, component: str, module: torch.nn.Module, call: Any) -> Sample:
    """A module as the function of what goes in, of its parameters and of its buffers."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    for key, buffer in module.named_buffers():
        if key.startswith("running"):
            torch.nn.init.uniform_(buffer, 0.5, 2)
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    options = {key: getattr(module, key) for key in OPERATORS[component].options if hasattr(module, key)}
    inputs = inspect.signature(module.forward).bind(*call.args, **call.kwargs).args
    named = dict(zip(("input", "target"), inputs, strict=False))

    def function(**arguments: Any) -> torch.Tensor:
        given = {key: arguments[key] for key in own}
        return torch.func.functional_call(module, given, tuple(arguments[key] for key in named))

    sample = _called(name, function, {**named, **own}, OPERATORS[component].gradients)
    return replace(sample, options=options)


def _called(
    name: str, function: Callable[..., torch.Tensor], arguments: Mapping[str, Any], of: Collection[str]
) -> Sample:
    """Call it; gradients with respect to some arguments, for a standard normal one of the output."""
    given = {key: value for key, value in arguments.items() if isinstance(value, torch.Tensor)}
    options = {key: value for key, value in arguments.items() if key not in given and value is not None}
    arrays = {key: _numpy(value) for key, value in given.items()}
    inputs = {key: value.detach().clone() for key, value in given.items()}
    leaves = {key: inputs[key].requires_grad_() for key in of if key in inputs}
    y = function(**{**arguments, **inputs})
    upstream = torch.randn_like(y)
    found = torch.autograd.grad(y, list(leaves.values()), upstream)
    gradients = {key: _numpy(gradient) for key, gradient in zip(leaves, found, strict=True)}
    buffers = {key: _numpy(value) for key, value in inputs.items() if key not in leaves}
    return Sample(name, arrays, options, _numpy(y), _numpy(upstream), gradients, buffers)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().clone().numpy()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# From a sample to a component: its trial, or why it is none of ours


def _elementwise(sample: Sample, signed_zeros: bool = True) -> Trial | str:
    x, dx = sample.arrays["input"], sample.gradients["input"]
    if sample.options.get("threshold", 0) < 0:
        return f"a threshold of {sample.options['threshold']}: the identity wherever it matters"
    options = {key: value for key, value in sample.options.items() if key in ELEMENTWISE}
    case = Case(sample.name, {"x": x, "dy": sample.upstream}, options, dtype=x.dtype)
    results = {"output": sample.output, "grad.x": dx}
    return Trial(case, results if signed_zeros else without_signs(results))


def _softmax(sample: Sample) -> Trial | str:
    x, y = sample.arrays["input"], sample.output
    if x.ndim == 0:
        return "a single number, which has no axis to sum over"
    case = Case(
        sample.name,
        {"x": x.astype(y.dtype), "dy": sample.upstream},
        {"dim": sample.options["dim"]},
        dtype=y.dtype,
    )
    dx = unsigned_zeros(sample.gradients["input"])
    return Trial(case, {"output": y} | ({"grad.x": dx} if dx.dtype == y.dtype else {}))


def _linear(sample: Sample) -> Trial | str:
    own_axis = (..., np.newaxis) if sample.arrays["weight"].ndim == 1 else ...
    output, upstream = sample.output[own_axis], sample.upstream[own_axis]
    arrays = {"x": sample.arrays["input"], "weight": np.atleast_2d(sample.arrays["weight"]), "dy": upstream}
    gradients = {
        "grad.x": sample.gradients["input"],
        "grad.weight": np.atleast_2d(sample.gradients["weight"]),
    }
    if "bias" in sample.arrays:
        arrays["bias"] = np.atleast_1d(sample.arrays["bias"])
        gradients["grad.bias"] = np.atleast_1d(sample.gradients["bias"])
    return Trial(Case(sample.name, arrays, dtype=output.dtype), {"output": output, **gradients})


def _loss(name: str, sample: Sample) -> Trial | str:
    arrays = {
        name: sample.arrays["input"],
        "targets": sample.arrays["target"],
        "dloss": sample.upstream,
        **{key: sample.arrays[key] for key in ("weight", "pos_weight") if key in sample.arrays},
    }
    options = {key: value for key, value in sample.options.items() if key in LOSS}
    case = Case(sample.name, arrays, {"reduction": "mean", **options}, dtype=sample.output.dtype)
    if not np.isfinite(sample.output).all():
        return "a mean of which nothing counts, NaN there: ours refuses it"
    return Trial(case, {"loss": sample.output, f"grad.{name}": sample.gradients["input"]})


def _cross_entropy(sample: Sample) -> Trial | str:
    return _loss("logits", replace(sample, output=of_any_zero("cross_entropy", sample.output)))


def _dropout(sample: Sample) -> Trial | str:
    x, y, p = sample.arrays["input"], sample.output, sample.options.get("p", 0.5)
    arrays, mask = {"x": x, "dy": sample.upstream}, (y != 0) | (x == 0)
    case = MaskedCase(sample.name, arrays, {"p": p}, dtype=x.dtype, mask=mask)
    mode = "training" if sample.options.get("training", True) else "evaluation"
    return Trial(case, {f"{mode}.output": y, f"{mode}.grad.x": sample.gradients["input"]})


def _batch_norm(sample: Sample) -> Trial | str:
    x, training = sample.arrays["input"], sample.options.get("training", False)
    if x.ndim < 2:
        return "has no batch: an axis of features alone"
    momentum = sample.options.get("momentum", 0.1)
    statistics = {key: sample.arrays[key] for key in ("running_mean", "running_var") if key in sample.arrays}
    training = training or not statistics
    if len(rows(x)) == 0:
        return "an empty batch, which has no mean"
    if training and statistics and momentum is not None and not 0 <= momentum <= 1:
        return f"a momentum of {momentum}: ours is a share, from 0 to 1"
    x, y, dy = rows(x), rows(sample.output), rows(sample.upstream)
    features = x.shape[1]
    arrays = {
        "x": x,
        "next_x": x,
        "dy": dy,
        "running_mean": np.zeros(features, x.dtype),
        "running_var": np.ones(features, x.dtype),
        **statistics,
    }
    given = {ours: theirs for ours, theirs in PARAMETERS.items() if theirs in sample.arrays}
    arrays |= {ours: sample.arrays[theirs] for ours, theirs in given.items()}
    options = {"eps": sample.options.get("eps", 1e-5)}
    options["momentum"] = momentum if training and statistics else 0.0  # then the statistics stay as they are
    if "gamma" not in arrays:
        options["affine"] = False
    prefix = "" if training else "evaluation."
    expected = {f"{prefix}output": y, f"{prefix}grad.x": rows(sample.gradients["input"])}
    expected |= {f"{prefix}grad.{ours}": sample.gradients[theirs] for ours, theirs in given.items()}
    if training:
        expected |= {f"first.{key}": sample.buffers[key] for key in statistics}
    return Trial(Case(sample.name, arrays, options, dtype=x.dtype), expected)


def _layer_norm(sample: Sample) -> Trial | str:
    eps = sample.options.get("eps")
    if eps is not None and eps <= 0:
        return f"ε = {eps}, which is negative: a root of less than nothing"
    x = sample.arrays["input"]
    lead = x.shape[: x.ndim - len(sample.options["normalized_shape"])]
    flat = {"x": x, "dy": sample.upstream, "output": sample.output, "grad.x": sample.gradients["input"]}
    features = int(np.prod(sample.options["normalized_shape"]))
    flat = {key: array.reshape(*lead, features) for key, array in flat.items()}
    names = {
        ours: theirs for ours, theirs in (("gamma", "weight"), ("beta", "bias")) if theirs in sample.arrays
    }
    arrays = {key: flat[key] for key in ("x", "dy")}
    arrays |= {ours: sample.arrays[theirs].ravel() for ours, theirs in names.items()}
    expected = {key: flat[key] for key in ("output", "grad.x")}
    expected |= {f"grad.{ours}": sample.gradients[theirs].ravel() for ours, theirs in names.items()}
    return Trial(Case(sample.name, arrays, {} if eps is None else {"eps": eps}, dtype=x.dtype), expected)


@dataclass(frozen=True)
class Operator:
    """What PyTorch calls a component: its function, its module, and their arguments in order."""

    function: str
    module: str
    trial: Callable[[Sample], Trial | str]
    arguments: tuple[str, ...] = ("input",)
    options: tuple[str, ...] = ()
    gradients: tuple[str, ...] = ("input",)


ELEMENTWISE = ("negative_slope", "approximate", "beta", "threshold")
LOSS = ("reduction", "ignore_index", "label_smoothing")
NORM = ("eps", "momentum", "training", "normalized_shape")
AFFINE = ("input", "weight", "bias")
PARAMETERS = {"gamma": "weight", "beta": "bias"}  # ours: PyTorch's
_in_and_target: Any = {"arguments": ("input", "target"), "options": LOSS}
OPERATORS: dict[str, Operator] = {
    "relu": Operator("nn.functional.relu", "ReLU", _elementwise),
    "leaky_relu": Operator(
        "nn.functional.leaky_relu", "LeakyReLU", _elementwise, ("input", "negative_slope"), ELEMENTWISE
    ),
    "tanh": Operator("tanh", "Tanh", _elementwise),
    "sigmoid": Operator("sigmoid", "Sigmoid", _elementwise),
    "gelu": Operator(
        "nn.functional.gelu", "GELU", partial(_elementwise, signed_zeros=False), options=ELEMENTWISE
    ),
    "silu": Operator("nn.functional.silu", "SiLU", _elementwise),
    "softplus": Operator("nn.functional.softplus", "Softplus", _elementwise, options=ELEMENTWISE),
    "softmax": Operator("softmax", "Softmax", _softmax, ("input", "dim"), ("dim",)),
    "log_softmax": Operator("log_softmax", "LogSoftmax", _softmax, ("input", "dim"), ("dim",)),
    "linear": Operator(
        "nn.functional.linear", "Linear", _linear, ("input", "weight", "bias"), gradients=AFFINE
    ),
    "dropout": Operator("nn.functional.dropout", "Dropout", _dropout),
    "binary_cross_entropy_with_logits": Operator(
        "nn.functional.binary_cross_entropy_with_logits",
        "BCEWithLogitsLoss",
        partial(_loss, "logits"),
        **_in_and_target,
    ),
    "binary_cross_entropy": Operator(
        "nn.functional.binary_cross_entropy", "BCELoss", partial(_loss, "probabilities"), **_in_and_target
    ),
    "cross_entropy": Operator(
        "nn.functional.cross_entropy", "CrossEntropyLoss", _cross_entropy, **_in_and_target
    ),
    "mse_loss": Operator("nn.functional.mse_loss", "MSELoss", partial(_loss, "input"), **_in_and_target),
    "batch_norm": Operator(
        "nn.functional.batch_norm",
        "BatchNorm1d",
        _batch_norm,
        ("input", "running_mean", "running_var", "weight", "bias"),
        NORM,
        AFFINE,
    ),
    "layer_norm": Operator(
        "nn.functional.layer_norm",
        "LayerNorm",
        _layer_norm,
        ("input", "normalized_shape", "weight", "bias"),
        NORM,
        AFFINE,
    ),
    "rms_norm": Operator(
        "nn.functional.rms_norm",
        "RMSNorm",
        _layer_norm,
        ("input", "normalized_shape", "weight"),
        NORM,
        AFFINE,
    ),
}

# Optimizers

OPTIMIZERS = {"sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "adagrad", "nadam"}
COMPONENTS = OPERATORS.keys() | OPTIMIZERS
IN_FLOAT32 = "PyTorch keeps the product of the momenta in float32, beside float64 parameters too"


def _optimizers(known: Collection[str], dtype: torch.dtype) -> Iterator[tuple[str, str, Trial | str]]:
    """The options of optimizers: `OptimizerInfo`, which leaves parameters and gradients to its tests."""
    for info in _tests("common_optimizers").optim_db:
        make = info.optim_cls
        for given in info.optim_inputs_func(device="cpu") if make.__name__.lower() in OPTIMIZERS else ():
            component = make.__name__.lower()
            if given.kwargs.get("momentum") and component == "sgd":
                component = "nesterov" if given.kwargs.get("nesterov") else "momentum"
            if component in known:
                name = f"{make.__name__} ({given.desc}), {_name(dtype)}"
                wide = component == "nadam" and dtype == torch.float64
                yield name, component, IN_FLOAT32 if wide else _stepped(name, make, given.kwargs, dtype)


def _stepped(name: str, make: Any, options: Mapping[str, Any], dtype: torch.dtype) -> Trial:
    """A few steps of two parameters, on gradients from the standard normal distribution."""
    params = [torch.randn(10, 5, dtype=dtype), torch.randn(10, dtype=dtype)]
    grads = [torch.randn(STEPS, *param.shape, dtype=dtype) for param in params]
    arrays = {f"param.{i}": _numpy(param) for i, param in enumerate(params)}
    arrays |= {f"grads.{i}": _numpy(grad) for i, grad in enumerate(grads)}
    optimizer = make(params, **options)
    expected: dict[str, np.ndarray] = {}
    for t in range(STEPS):
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad[t]
        optimizer.step()
        expected |= {f"step{t + 1}.param.{i}": _numpy(param) for i, param in enumerate(params)}
    rate = float(optimizer.param_groups[0]["lr"])
    ours = {key: value for key, value in options.items() if key != "lr"}
    case_options = {"optimizer": make.__name__, "rates": (rate,) * STEPS, **ours}
    return Trial(Case(name, arrays, case_options, dtype=arrays["param.0"].dtype), expected)
