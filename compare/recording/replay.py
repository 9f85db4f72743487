"""Each operation of a step by itself: from the numbers that a run recorded, what should have come out of it.

PyTorch's recording says which operations there were: modules, a loss function, an optimizer. Each one becomes
a case of its component, on the recorded inputs of either run, and `scratch` computes in float64 what follows.
So an error is found where it is made: what came in is taken as it was. An operation counts only if PyTorch's
own numbers follow from it, which a penalty in the loss, say, or a tensor that is used twice, rule out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from compare import cases, run
from compare.component import Case, Component
from compare.measure import compare_arrays
from compare.recording.pairing import Pairing
from compare.recording.store import Recording, Step

ALLOWED = 64.0  # rounding units, and four budgets: what one operation may be off
ACTIVATIONS = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "GELU": "gelu",
    "SiLU": "silu",
    "Softplus": "softplus",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
}
NORMALISATIONS = {"BatchNorm1d": "batch_norm", "LayerNorm": "layer_norm", "RMSNorm": "rms_norm"}
OPTIONS = ("negative_slope", "approximate", "beta", "threshold", "dim")
LOSSES = {
    "cross_entropy": "logits",
    "binary_cross_entropy_with_logits": "logits",
    "binary_cross_entropy": "probabilities",
    "mse_loss": "input",
}
RATES = ("lr", "learning_rate", "alpha", "eta")
MOST_STEPS = 20  # of an optimizer, replayed from its start

Get = Callable[[str], np.ndarray | None]  # a tensor by PyTorch's name, as one of the runs recorded it


@dataclass(frozen=True)
class Operation:
    """One operation: a case of a component, and which of its results is which tensor."""

    name: str  # 0 (Linear), loss (cross_entropy), 0.weight (Adam)
    component: Component
    case: Case
    outputs: Mapping[str, tuple[int, str]]  # result → step and tensor

    def expected(self, functions: Mapping[str, Callable] | None = None, **options: Any) -> Any:
        """What comes out: by our own functions, or by others, with other options if they are given."""
        case = replace(self.case, options={**self.case.options, **options})
        return run.run_scratch(self.component, case, functions)


class Runs:
    """Two recordings and their pairs: my numbers by PyTorch's names, lying as PyTorch's do."""

    def __init__(self, mine: Recording, theirs: Recording, pairing: Pairing) -> None:
        self.mine, self.theirs, self.pairing = mine, theirs, pairing
        both = set(theirs.steps)
        self.steps = [step for step in mine.steps if step in both]
        self.pair_of = {pair.theirs: pair for pair in pairing.pairs}
        order = mine.step(self.steps[0]).order
        self.rates = [name for name in order if name.lower() in RATES]  # my learning rate
        self.assumed: set[str] = set()  # what was not recorded, and taken from theirs
        self._opened: dict[tuple[int, int], Step] = {}
        self._replays: dict[tuple[int, int], Replay] = {}

    def step(self, side: int, step: int) -> Step:
        """A step of mine (0) or theirs (1); the last few stay open."""
        if (side, step) not in self._opened:
            if len(self._opened) > 2 * MOST_STEPS + 8:
                self._opened.clear()
            self._opened[side, step] = (self.mine, self.theirs)[side].step(step)
        return self._opened[side, step]

    def replay(self, step: int, side: int) -> "Replay":
        """A step's operations on one run's numbers; kept."""
        if (step, side) not in self._replays:
            self._replays[step, side] = Replay(self, step, side)
        return self._replays[step, side]

    def of_theirs(self, step: int, name: str) -> np.ndarray | None:
        """A tensor of theirs."""
        return self._of(1, step, name)

    def of_mine(self, step: int, name: str) -> np.ndarray | None:
        """A tensor of mine; where it is not recorded, what else says it

        A parameter before an update is what it was after the one before, and the other way round; before the
        first one, and of the data, it is taken from theirs.
        """
        found = self._paired(step, name)
        if found is not None:
            return found
        parameter, before, _ = name.partition(".before")
        if before:
            found = self._paired(step - 1, parameter) if step - 1 in self.steps else None
            if found is None and step == self.steps[0] and parameter in self.pair_of:
                found = self._assumed(step, name)
        elif f"{name}.before" in self.pair_of:
            found = self._paired(step + 1, f"{name}.before") if step + 1 in self.steps else None
        elif name.startswith(("input", "loss.targets", "loss.weight", "loss.pos_weight")):
            found = self._assumed(step, name)
        return found

    def rate(self, step: int, side: int, theirs: float) -> float:
        """The learning rate: mine, if it is recorded, or theirs."""
        mine = None if side else next((self._of(0, step, name) for name in self.rates), None)
        return theirs if mine is None else float(mine)

    def _paired(self, step: int, name: str) -> np.ndarray | None:
        pair = self.pair_of.get(name)
        found = None if pair is None else self._of(0, step, pair.mine)
        theirs = self._of(1, step, name)
        return (
            None if pair is None or found is None or theirs is None else pair.as_theirs(found, theirs.shape)
        )

    def _of(self, side: int, step: int, name: str) -> np.ndarray | None:
        opened = self.step(side, step)
        return opened[name] if name in opened.order else None

    def _assumed(self, step: int, name: str) -> np.ndarray | None:
        found = self.of_theirs(step, name)
        if found is not None:
            self.assumed.add(name)
        return found


@cache
def components() -> Mapping[str, Component]:
    """All of them, by name."""
    return cases.all_components()


@dataclass(frozen=True)
class Change:
    """What one operation is replayed with instead: other functions of scratch, other options."""

    operation: str
    functions: Mapping[str, Callable] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Replay:
    """Forward and backward passes of one step, on one run's numbers (mine: 0, theirs: 1)

    What the run did not record is filled in with what follows. `off` says of each recorded result how far it
    is from that, in what one operation may be off; `made_by` which operation it is of, and which result.
    """

    runs: Runs
    step: int
    side: int
    change: Change | None = None
    off: dict[str, float] = field(default_factory=dict)
    made_by: dict[str, tuple[Operation, str]] = field(default_factory=dict)
    expected: dict[str, np.ndarray] = field(default_factory=dict)  # of what is recorded
    filled: dict[str, np.ndarray] = field(default_factory=dict)
    filling: set[str] = field(default_factory=set)  # the operations that something was filled in from
    components: dict[str, str] = field(default_factory=dict)  # operation → component

    def __post_init__(self) -> None:
        calls = self.runs.step(1, self.step).facts.get("calls", ())
        for call in calls:
            self._run(call, backward=False)
        for call in reversed(calls):
            self._run(call, backward=True)

    def get(self, name: str) -> np.ndarray | None:
        """A tensor: recorded, or what follows; None for one of which a sample alone is known."""
        if name in self.runs.step(1, self.step).sampled:
            return None
        recorded = self._recorded(name)
        return self.filled.get(name) if recorded is None else recorded

    def _recorded(self, name: str) -> np.ndarray | None:
        return (self.runs.of_theirs if self.side else self.runs.of_mine)(self.step, name)

    def _run(self, call: Any, *, backward: bool) -> None:
        made = _loss(call, self.get) if "loss" in call else _module(call, self)
        if made is None or made[1] not in components():
            return
        name, component, arrays, options, outputs = made
        outputs = {result: tensor for result, tensor in outputs.items() if ("grad" in result) == backward}
        if not outputs:
            return
        arrays = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in arrays.items()}
        case = Case(name, arrays, options, dtype=np.float64, finite=False)
        operation = Operation(
            name, components()[component], case, {r: (self.step, t) for r, t in outputs.items()}
        )
        self.components[name] = component
        change = self.change if self.change and self.change.operation == name else Change(name)
        try:
            expected = operation.expected(change.functions, **change.options)
        except Exception:  # shapes that do not fit, an edited version that breaks down
            return
        with np.errstate(all="ignore"):
            scales = operation.component.magnitude(case)
        for result, tensor in outputs.items():
            recorded = self._recorded(tensor)
            if recorded is not None:
                self.off[tensor] = units(operation, result, expected[result], recorded, scales)
                self.made_by[tensor] = operation, result
                self.expected[tensor] = np.asarray(expected[result])
                continue
            self.filling.add(name)
            # The gradient of what is used twice is a sum.
            self.filled[tensor] = expected[result] + (self.filled.get(tensor, 0) if backward else 0)


Made = tuple[str, str, dict[str, np.ndarray], dict[str, Any], dict[str, str]] | None


PARAMETERS = {"gamma": "weight", "beta": "bias"}


def _module(call: Any, replay: Replay) -> Made:
    """What a call of a module is: name, component, arrays, options, and which result is which tensor."""
    module, output, inputs = call["module"], call["output"], call["inputs"]
    of = replay.runs.theirs.about.get("modules", {}).get(module)
    if of is None or len(inputs) != 1 or (x := replay.get(inputs[0])) is None:
        return None
    kind, given, prefix = of["class"], of["options"], f"{module}." if module else ""
    name, dy = f"{module} ({kind})", replay.get(f"{output}.grad")
    weight, bias = (replay.get(f"{prefix}{parameter}.before") for parameter in ("weight", "bias"))
    arrays, results = {"x": x}, {"output": output, "grad.x": f"{inputs[0]}.grad"}
    if kind == "Linear" and weight is not None:
        arrays |= {"weight": weight} | ({} if bias is None else {"bias": bias})
        results |= {f"grad.{n}": f"{prefix}{n}.grad" for n in arrays if n != "x"}
        arrays["dy"] = np.zeros((*x.shape[:-1], len(weight))) if dy is None else dy
        return name, "linear", arrays, {}, results
    arrays["dy"] = np.zeros(x.shape) if dy is None else dy
    if kind in ACTIVATIONS:
        return name, ACTIVATIONS[kind], arrays, {k: v for k, v in given.items() if k in OPTIONS}, results
    affine = given.get("affine", given.get("elementwise_affine"))
    if kind in NORMALISATIONS and (weight is not None) == bool(affine):
        for ours, value in zip(PARAMETERS, (weight, bias), strict=True):
            if value is not None:
                arrays[ours], results[f"grad.{ours}"] = value, f"{prefix}{PARAMETERS[ours]}.grad"
        options = {} if given.get("eps") is None else {"eps": given["eps"]}
        if kind == "BatchNorm1d":
            return _batch_norm(call, replay, prefix, (name, "batch_norm", arrays, options, results))
        if len(given["normalized_shape"]) == 1:
            return name, NORMALISATIONS[kind], arrays, options, results
    return None


def _batch_norm(
    call: Any,
    replay: Replay,
    prefix: str,
    made: tuple[str, str, dict[str, Any], dict[str, Any], dict[str, str]],
) -> Made:
    """Its statistics before this step are those after the one before, or 0 and 1 at the start."""
    name, component, arrays, options, results = made
    x, runs, step = arrays["x"], replay.runs, replay.step
    if x.ndim != 2:
        return None
    recorded = runs.of_theirs if replay.side else runs.of_mine
    names = ("running_mean", "running_var")
    before = [recorded(step - 1, prefix + n) if step - 1 in runs.steps else None for n in names]
    known = all(value is not None for value in before)
    start = before if known else [np.zeros(x.shape[1]), np.ones(x.shape[1])]
    arrays |= {"next_x": x, **dict(zip(names, start, strict=True))}
    if "gamma" not in arrays:
        options["affine"] = False
    if not call["training"]:
        options["momentum"] = 0.0  # the statistics stay as they are
        results = {f"evaluation.{result}": tensor for result, tensor in results.items()}
        return (name, component, arrays, options, results) if known else None
    options["momentum"] = runs.theirs.about["modules"][call["module"]]["options"].get("momentum")
    if known or _is_first(runs, step, prefix):
        results |= {f"first.{n}": prefix + n for n in names}
    return name, component, arrays, options, results


def _is_first(runs: Runs, step: int, prefix: str) -> bool:
    """Whether a batch norm's statistics had just started at 0 and 1."""
    tracked = runs.of_theirs(step, f"{prefix}num_batches_tracked")
    return tracked is not None and int(tracked) == 1


def _loss(call: Any, get: Get) -> Made:
    kind = call["loss"]
    if kind not in LOSSES:
        return None
    given, target = call["inputs"]
    x, targets = get(given), get(target)
    if x is None or targets is None:
        return None
    arrays = {LOSSES[kind]: x, "targets": targets, "dloss": np.ones(())}
    for name in ("weight", "pos_weight"):
        if name in call:
            weight = get(call[name])
            if weight is None:
                return None
            arrays[name] = weight
    usual = {"reduction": None, "ignore_index": -100, "label_smoothing": 0.0}
    options = {k: v for k, v in call["options"].items() if k in usual and usual[k] != v}
    results = {"loss": "loss", f"grad.{LOSSES[kind]}": f"{given}.grad"}
    return f"loss ({kind})", kind, arrays, options, results


# The optimizer: all its steps from the first one on, since its state is what the gradients before have left

CLASSES = {
    "SGD": "sgd",
    "Adam": "adam",
    "AdamW": "adamw",
    "RMSprop": "rmsprop",
    "Adagrad": "adagrad",
    "NAdam": "nadam",
}
HYPERPARAMETERS = (
    "momentum", "dampening", "weight_decay", "nesterov", "alpha", "eps", "centered", "betas", "amsgrad",
    "maximize", "lr_decay", "initial_accumulator_value", "momentum_decay", "decoupled_weight_decay",
)  # fmt: skip


def component_of(optimizer: str, options: Mapping[str, Any]) -> str | None:
    """What we call an optimizer with these options."""
    if optimizer == "SGD" and options.get("momentum"):
        return "nesterov" if options.get("nesterov") else "momentum"
    name = CLASSES.get(optimizer)
    return name if name in components() else None


def updates(runs: Runs, side: int, steps: int = MOST_STEPS) -> Iterator[Operation]:
    """The update of every parameter over the first steps, on one run's own gradients."""
    chosen = runs.steps[:steps]
    if chosen[:1] != [0] or chosen != list(range(len(chosen))):
        return  # what it has kept from the steps before is not known
    about = runs.theirs.about.get("optimizer", {})

    def recorded(step: int, name: str) -> np.ndarray | None:
        found = (runs.of_theirs if side else runs.of_mine)(step, name)
        return runs.replay(step, side).get(name) if found is None and name.endswith(".grad") else found

    for number, group in enumerate(about.get("groups", ())):
        facts = [runs.step(1, step).facts["groups"][number] for step in chosen]
        options = {k: facts[0][k] for k in HYPERPARAMETERS if facts[0].get(k) not in (None, False)}
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        component = component_of(about["class"], options)
        for name in group if component else ():
            rates = [runs.rate(step, side, f["lr"]) for step, f in zip(chosen, facts, strict=True)]
            yield from _update(name, component, options, rates, chosen, recorded)


def _update(
    name: str, component: Any, options: Mapping[str, Any], rates: list[float], steps: list[int], recorded: Any
) -> Iterator[Operation]:
    start = recorded(steps[0], f"{name}.before")
    grads = [recorded(step, f"{name}.grad") for step in steps]
    missing = [i for i, grad in enumerate(grads) if grad is None]
    grads = grads[: missing[0]] if missing else grads
    if start is None or not grads:
        return
    arrays = {"param.0": start.astype(np.float64), "grads.0": np.stack(grads).astype(np.float64)}
    rates = rates[: len(grads)]
    outputs = {f"step{t + 1}.param.0": (steps[t], name) for t in range(len(grads))}
    outputs = {k: v for k, v in outputs.items() if recorded(*v) is not None}
    case_options = {"optimizer": CLASS_OF[component], "rates": tuple(rates), **options}
    case = Case(name, arrays, case_options, dtype=np.float64, finite=False)
    yield Operation(f"{name} ({CLASS_OF[component]})", components()[component], case, outputs)


CLASS_OF = {
    **{component: name for name, component in CLASSES.items()},
    "momentum": "SGD",
    "nesterov": "SGD",
}


# How far what was recorded is from what follows


def units(operation: Operation, result: str, expected: Any, recorded: np.ndarray, scales: Any) -> float:
    """In rounding units of the recorded dtype, over what one operation may be off: above 1 it is an error."""
    dtype = recorded.dtype if recorded.dtype.kind == "f" else np.dtype(np.float64)
    expected = np.asarray(expected)
    if expected.shape != recorded.shape:
        return np.inf
    with np.errstate(all="ignore"):
        narrow = np.asarray(expected.astype(dtype))
        scale = scales.get(result)
        floor = np.abs(expected[np.isfinite(expected)]).max(initial=0) * 1e-3
        scale = floor if scale is None else np.maximum(scale, 0)
        if scale is floor:
            scale = None
        found = compare_arrays(result, _unsigned(recorded.astype(dtype)), _unsigned(narrow), scale)
        allowed = max(ALLOWED, 4 * operation.component.budget.allowed(operation.case, "cpu"))
    return found.units / allowed


def _unsigned(array: np.ndarray) -> np.ndarray:
    return array + np.zeros((), array.dtype)  # −0 + 0 is 0


def judged(
    runs: Runs, operation: Operation, side: int, functions: Any = None, **options: Any
) -> dict[str, float]:
    """How far each result of an operation is from what was recorded."""
    recorded = runs.of_theirs if side else runs.of_mine
    expected = operation.expected(functions, **options)
    with np.errstate(all="ignore"):
        scales = operation.component.magnitude(operation.case)
    found = {}
    for result, (step, tensor) in operation.outputs.items():
        array = recorded(step, tensor)
        if array is not None and result in expected:
            found[result] = units(operation, result, expected[result], array, scales)
    return found
