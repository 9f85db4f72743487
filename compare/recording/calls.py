"""What a recorded call is: the component, a case of it, and which result is which tensor."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.component import Case

if TYPE_CHECKING:
    from compare.recording.replay import Replay, Runs

Get = Callable[[str], np.ndarray | None]  # a tensor by PyTorch's name, as one of the runs has it

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
PARAMETERS = {"gamma": "weight", "beta": "bias"}
LOSSES = {
    "cross_entropy": "logits",
    "binary_cross_entropy_with_logits": "logits",
    "binary_cross_entropy": "probabilities",
    "mse_loss": "input",
}


@dataclass(frozen=True)
class Call:
    """One call that can be replayed."""

    name: str  # 0 (Linear), loss (cross_entropy)
    component: str
    arrays: Mapping[str, np.ndarray]
    options: Mapping[str, Any]
    outputs: Mapping[str, str]  # result → tensor
    masks: tuple[np.ndarray, ...] = ()  # that a dropout has drawn

    def case(self) -> Case:
        """In float64; what it draws is what was drawn."""
        arrays = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in self.arrays.items()}
        return Drawn(self.name, arrays, self.options, dtype=np.float64, finite=False, masks=self.masks)


@dataclass(frozen=True)
class Drawn(Case):
    """A case whose masks are known."""

    masks: tuple[np.ndarray, ...] = ()

    def generator(self) -> Any:
        """Gives them one after the other."""
        return _Masks(self.masks) if self.masks else super().generator()


class _Masks:
    """A generator that has drawn already."""

    def __init__(self, masks: tuple[np.ndarray, ...]) -> None:
        self.masks, self.asked = masks, 0

    def dropout_mask(self, x: np.ndarray, p: float) -> np.ndarray:
        """The next one; the last again when there is no more."""
        mask = self.masks[min(self.asked, len(self.masks) - 1)]
        self.asked += 1
        return np.broadcast_to(mask[: len(x)], x.shape).astype(x.dtype)


def understood(call: Mapping[str, Any], replay: "Replay", *, backward: bool) -> Call | None:
    """A call of their recording on the numbers that the replay has, one of its passes; None if too few."""
    call = {**call, "training": replay.runs.training(replay.step, replay.side, call)}
    if "loss" in call:
        found = _loss(call, replay.get)
    elif "function" in call:
        found = _activation(call, replay, call["function"], {})
    else:
        found = _module(call, replay)
    if found is None or (backward and "dy" in found.arrays and replay.get(f"{call['output']}.grad") is None):
        return None
    outputs = {result: tensor for result, tensor in found.outputs.items() if ("grad" in result) == backward}
    return replace(found, outputs=outputs) if outputs else None


def _module(call: Mapping[str, Any], replay: "Replay") -> Call | None:
    module, output, inputs = call["module"], call["output"], call["inputs"]
    of = replay.runs.theirs.about.get("modules", {}).get(module)
    if of is None or len(inputs) != 1 or (x := replay.get(inputs[0])) is None:
        return None
    kind, given, prefix = of["class"], of["options"], f"{module}." if module else ""
    name, dy = f"{module} ({kind})" if module else kind, replay.get(f"{output}.grad")
    if kind in ACTIVATIONS:
        options = {key: value for key, value in given.items() if key in OPTIONS}
        return _activation(call, replay, ACTIVATIONS[kind], options, name)
    if kind == "Dropout":
        return _dropout(call, replay, name, given["p"])
    weight, bias = (replay.get(f"{prefix}{parameter}.before") for parameter in ("weight", "bias"))
    arrays, results = {"x": x}, {"output": output, "grad.x": f"{inputs[0]}.grad"}
    if kind == "Linear" and weight is not None:
        if bias is None and f"{prefix}bias.before" in replay.runs.step(1, replay.step):
            return None  # it has one, which is not known
        arrays |= {"weight": weight} | ({} if bias is None else {"bias": bias})
        results |= {f"grad.{n}": f"{prefix}{n}.grad" for n in arrays if n != "x"}
        arrays["dy"] = np.zeros((*x.shape[:-1], len(weight))) if dy is None else dy
        return Call(name, "linear", arrays, {}, results)
    arrays["dy"] = np.zeros(x.shape) if dy is None else dy
    affine = given.get("affine", given.get("elementwise_affine"))
    if kind in NORMALISATIONS and (weight is not None) == bool(affine):
        for ours, value in zip(PARAMETERS, (weight, bias), strict=True):
            if value is not None:
                arrays[ours], results[f"grad.{ours}"] = value, f"{prefix}{PARAMETERS[ours]}.grad"
        options = {} if given.get("eps") is None else {"eps": given["eps"]}
        found = Call(name, NORMALISATIONS[kind], arrays, options, results)
        if kind == "BatchNorm1d":
            return _batch_norm(call, replay, prefix, found)
        if len(given["normalized_shape"]) == 1:
            return found
    return None


def _activation(
    call: Mapping[str, Any], replay: "Replay", component: str, options: Mapping[str, Any], name: str = ""
) -> Call | None:
    (given,) = call["inputs"]
    x, dy = replay.get(given), replay.get(f"{call['output']}.grad")
    if x is None:
        return None
    arrays = {"x": x, "dy": np.zeros(x.shape) if dy is None else dy}
    outputs = {"output": call["output"], "grad.x": f"{given}.grad"}
    return Call(name or f"{call['output']} ({component})", component, arrays, options, outputs)


def _dropout(call: Mapping[str, Any], replay: "Replay", name: str, p: float) -> Call | None:
    """What was dropped is read off the output, and where x is 0 off the gradient."""
    (given,) = call["inputs"]
    x, y = replay.get(given), replay.recorded(call["output"])
    if x is None:
        return None
    dy, dx = replay.get(f"{call['output']}.grad"), replay.recorded(f"{given}.grad")
    arrays = {"x": x, "dy": np.zeros(x.shape) if dy is None else dy}
    if not call["training"] or p == 0:
        outputs = {"evaluation.output": call["output"], "evaluation.grad.x": f"{given}.grad"}
        return Call(name, "dropout", arrays, {"p": p}, outputs, (np.ones(x.shape),))
    if y is None or not 0 < p < 1:
        return None
    if np.array_equal(x, y):
        return None  # nothing is dropped: see `masks`
    kept, flows = y != 0, kept_in_gradient(dx)
    if flows is not None:
        kept = np.where(x == 0, flows, kept)
    outputs = {"training.output": call["output"], "training.grad.x": f"{given}.grad"}
    return Call(name, "dropout", arrays, {"p": p}, outputs, (kept, kept if flows is None else flows))


def kept_in_gradient(dx: np.ndarray | None) -> np.ndarray | None:
    """Where a dropout's gradient says that something was kept."""
    return None if dx is None else dx != 0


def _batch_norm(call: Mapping[str, Any], replay: "Replay", prefix: str, made: Call) -> Call | None:
    """Its statistics before this step are those after the one before, or 0 and 1 at the start."""
    arrays, options, outputs = dict(made.arrays), dict(made.options), dict(made.outputs)
    x, runs, step = arrays["x"], replay.runs, replay.step
    if x.ndim != 2:
        return None
    names = ("running_mean", "running_var")
    before = [runs.of(replay.side, step - 1, prefix + n) if step - 1 in runs.steps else None for n in names]
    known = [value for value in before if value is not None]
    start = known if len(known) == 2 else [np.zeros(x.shape[1]), np.ones(x.shape[1])]
    arrays |= {"next_x": x, **dict(zip(names, start, strict=True))}
    if "gamma" not in arrays:
        options["affine"] = False
    if not call["training"]:
        options["momentum"] = 0.0  # the statistics stay as they are
        outputs = {f"evaluation.{result}": tensor for result, tensor in outputs.items()}
        if len(known) == 2 or _is_first(runs, step, prefix):
            return replace(made, arrays=arrays, options=options, outputs=outputs)
        return None
    options["momentum"] = runs.theirs.about["modules"][call["module"]]["options"].get("momentum")
    if len(known) == 2 or _is_first(runs, step, prefix):
        outputs |= {f"first.{n}": prefix + n for n in names}
    return replace(made, arrays=arrays, options=options, outputs=outputs)


def _is_first(runs: "Runs", step: int, prefix: str) -> bool:
    """Whether a batch norm's statistics had just started at 0 and 1."""
    tracked = runs.of_theirs(step, f"{prefix}num_batches_tracked")
    return tracked is not None and int(tracked) <= 1 and step == 0


def _loss(call: Mapping[str, Any], get: Get) -> Call | None:
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
    return Call(f"loss ({kind})", kind, arrays, options, results)


# Functions that are called between modules: F.relu(self.fc1(x))


FUNCTIONS = ("relu", "tanh", "sigmoid", "gelu", "silu", "softplus", "leaky_relu")


@dataclass
class Between:
    """What a module is given that none has returned, and which activation of an earlier tensor it is."""

    of: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # tensor → (earlier tensor, component)

    def calls(self, calls: Any) -> list[Mapping[str, Any]]:
        """A step's calls and those between them."""
        found: list[Mapping[str, Any]] = []
        put: set[str] = set()
        for call in calls:
            root = call.get("module") == ""
            for name in [call["output"]] if root else call["inputs"]:
                if name in self.of and name not in put:
                    source, component = self.of[name]
                    put.add(name)
                    found.append({"function": component, "inputs": [source], "output": name})
            found.append(call)
        return found


def between(calls: Any, order: list[str], get: Get, apply: Callable[[str, np.ndarray], Any]) -> Between:
    """Look for them among the tensors of a first step; `apply` gives an activation's output."""
    made = {call["output"] for call in calls if call.get("module")}
    asked = [name for call in calls if call.get("module") != "" for name in call["inputs"]]
    asked += [call["output"] for call in calls if call.get("module") == ""]
    found: dict[str, tuple[str, str]] = {}
    for name in asked:
        if name in made or name == "input" or name.startswith(("loss.targets", "input.")) or name in found:
            continue
        y = get(name)
        earlier = order[: order.index(name)] if name in order else []
        for source in reversed(earlier):
            x = get(source)
            if y is None or x is None or x.shape != y.shape or x.dtype.kind != "f" or x.ndim == 0:
                continue
            eps = 16 * float(np.finfo(y.dtype).eps)
            fits = [c for c in FUNCTIONS if np.allclose(apply(c, x), y, rtol=eps, atol=eps)]
            if fits and (x != y).any():
                found[name] = source, fits[0]
                break
    return Between(found)
