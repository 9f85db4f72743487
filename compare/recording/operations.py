"""Which operations a NumPy recording's own numbers confirm: z = x·W + b, a = relu(z), loss = …

None is guessed from a name. One counts if its result is recorded and follows from what is recorded, in every
step; where what lies between is not recorded (only a = relu(x·W + b)), both are one finding.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from compare import run
from compare.component import Case
from compare.recording.calls import ACTIVATIONS, NORMALISATIONS
from compare.recording.numbers import Numbers, Ref, Values
from compare.recording.pairing import USUAL, gradient_of
from compare.recording.replay import components

SMALL = 1e-6  # of a sum, the part that is taken for nothing
EPSILONS = (1e-5, 1e-8, 1e-7, 1e-6, 1e-3, 1e-12)
CLASS_OF = {component: name for name, component in {**ACTIVATIONS, **NORMALISATIONS}.items()}
OPTIONS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "gelu": ({}, {"approximate": "tanh"}),
    "softmax": ({"dim": -1},),
    "log_softmax": ({"dim": -1},),
    "leaky_relu": tuple({"negative_slope": slope} for slope in (0.01, 0.1, 0.2, 0.3)),
}
LOSS_OPTIONS: Sequence[Mapping[str, Any]] = (
    {"reduction": "mean"},
    {"reduction": "sum"},
    *({"reduction": "mean", "label_smoothing": share} for share in (0.1, 0.01, 0.05, 0.2)),
)


@dataclass
class Operations:
    """What was found: calls as a recording of PyTorch has them, and which array each of its tensors is."""

    numbers: Numbers
    refs: dict[str, Ref] = field(default_factory=dict)  # tensor by PyTorch's name → array
    values: dict[str, Values] = field(default_factory=dict)  # also of what is not recorded
    turned: dict[str, bool] = field(default_factory=dict)  # whether examples lie in columns there
    params: dict[str, Ref] = field(default_factory=dict)  # as the forward pass has them
    modules: dict[str, Any] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    tracked: list[str] = field(default_factory=list)  # batch norms whose statistics are known from the start

    def find(self) -> None:
        """Look for all of them."""
        self._linears()
        self._grow()
        if self._hidden_linears():
            self._grow()
        self._sort()
        self._loss()

    # x·W + b

    def _linears(self) -> None:
        found = sorted(self._products(), key=lambda each: each[0])
        for _, x, w, bias, z in found:
            roles = [ref.own for ref in self.params.values()], [ref.own for ref in self.refs.values()]
            made = [self.refs[call["output"]].own for call in self.calls]
            if w.own in (*roles[0], *roles[1]) or z.own in (*made, *roles[0]) or x.own in roles[0]:
                continue
            if bias is not None and bias.own in (*roles[0], *roles[1]):
                continue
            self._linear(z.own, self._tensor(x), w, bias, z)

    def _linear(self, name: str, x: str, w: Ref, bias: Ref | None, z: Ref | None) -> None:
        output = f"{name}.output"
        self.params[f"{name}.weight"] = Ref(w.own, not w.turned, w.shift)
        if bias is not None:
            self.params[f"{name}.bias"] = bias
        self._call(z or Ref(name), "Linear", {}, x)
        if z is None:
            self.refs.pop(output)

    def _products(self) -> Iterator[tuple[Any, Ref, Ref, Ref | None, Ref]]:
        """Those that hold in every step, with what says which is the likeliest: a bias, the order."""
        numbers = self.numbers
        names = [n for n in numbers.names if not gradient_of(n) & set(numbers.names)]
        matrices = [n for n in names if (shape := numbers.shape(n)) is not None and len(shape) < 3]
        for shift, w in ((s, each) for s in (0, -1) for each in numbers.views(matrices, shift=s)):
            weights = numbers.of(w)
            first = next((i for i, value in enumerate(weights) if value is not None), None)
            if first is None:
                continue
            for x in numbers.views(names):
                inputs = numbers.of(x)
                shape = (*_shape(inputs[first])[:-1], _shape(weights[first])[-1])
                if x.own == w.own or _shape(inputs[first])[-1:] != _shape(weights[first])[:1]:
                    continue
                for z in numbers.views(names):
                    if z.own in (x.own, w.own) or z.turned != x.turned:
                        continue
                    if _shape(numbers.of(z)[first]) != shape:
                        continue
                    fits, bias = self._bias(inputs, weights, numbers.of(z), first, {x.own, w.own, z.own})
                    if fits and (bias is not None or self._is_parameter(w.own, z.own, x.own)):
                        order = numbers.order.index(z.own)
                        yield (bias is None, order, bool(shift), x.turned), x, w, bias, z

    def _is_parameter(self, w: str, *others: str) -> bool:
        """Without a bias, z = x·W says as well that W is the data: W has a gradient, the others are none."""
        names = set(self.numbers.names)
        has = any(w in gradient_of(name) for name in names)
        return has and not any(gradient_of(name) & names for name in others)

    def _bias(
        self, x: Values, w: Values, z: Values, first: int, used: Collection[str]
    ) -> tuple[bool, Ref | None]:
        """Whether z − x·W is the same for all examples, and which array that is where it is not 0."""
        rest: Values = [None] * len(x)
        sizes: Values = [None] * len(x)
        nothing, negligible = True, True
        for i in [first, *(i for i in range(len(x)) if i != first)]:
            a, b, c = x[i], w[i], z[i]
            if a is None or b is None or c is None or a.shape[-1] != len(b):
                continue
            with np.errstate(all="ignore"):
                made = a @ b
                r = (c - made).reshape(-1, c.shape[-1])
                negligible &= bool(np.abs(made).max(initial=0) <= SMALL * np.abs(c).max(initial=0))
                size = (np.abs(a) @ np.abs(b)).max(initial=0) + np.abs(c).max(initial=0)
                if not np.ptp(r, axis=0).max(initial=0) <= self.numbers.close * size:
                    return False, None
                nothing &= bool(np.abs(r).max(initial=0) <= self.numbers.close * size)
            rest[i], sizes[i] = r[:1].T, np.full(1, size)
        if nothing or negligible:
            return not negligible, None
        found: list[tuple[float, Ref]] = []
        for name, shift in product(set(self.numbers.floats) - set(used), (0, -1)):
            ref = Ref(name, shift=shift, flat=True)
            given = [None if b is None else b.reshape(-1, 1) for b in self.numbers.of(ref)]
            if self.numbers.same(given, rest, sizes):
                far = [np.abs(a - b).max() for a, b in zip(given, rest, strict=True)
                       if a is not None and b is not None]  # fmt: skip
                found.append((max(far), ref))
        found.sort(key=lambda each: (each[0], -each[1].shift, each[1].own))
        return bool(found), found[0][1] if found else None

    def _hidden_linears(self) -> bool:
        """Those whose z is not recorded, but what an activation makes of it."""
        numbers = self.numbers
        taken = {ref.own for ref in self.params.values()}
        partners = {n for name in numbers.names for n in gradient_of(name)}
        has = [n for n in numbers.floats if n in partners and n not in taken]
        has = [n for n in has if not any(self._is_after(n, ref) for ref in self.params.values())]
        if self.calls:  # a network of layers
            has = [n for n in has if len(numbers.shape(n) or ()) > 1]
        found = False
        for w_name, shift in product(has, (0, -1)):
            if any(ref.own == w_name for ref in self.params.values()):
                continue
            found |= any(self._hidden(w) for w in numbers.views([w_name], shift=shift))
        return found

    def _is_after(self, name: str, param: Ref) -> bool:
        """Whether it is a parameter after the update, of which another array is what it was before."""
        numbers = self.numbers
        return numbers.same(numbers.of(param), numbers.of(Ref(name, param.turned, -1, param.flat)))

    def _hidden(self, w: Ref) -> bool:
        numbers, weights = self.numbers, self.numbers.of(w)
        taken = {ref.own for ref in self.params.values()}
        names = [n for n in numbers.names if not gradient_of(n) & set(numbers.names) and n not in taken]
        vectors = [n for n in names if any(n in gradient_of(g) for g in numbers.names) and n != w.own]
        biases: list[Ref | None] = [Ref(n, shift=w.shift, flat=True) for n in vectors]
        none: Values = [None if b is None else np.zeros(b.shape[-1]) for b in weights]
        for x, bias in product(numbers.views(names), [*biases, None]):
            offsets = numbers.of(bias) if bias else none
            z = [_layer(*each) for each in zip(numbers.of(x), weights, offsets, strict=True)]
            if x.own == w.own or all(each is None for each in z):
                continue
            for y in numbers.views(names):
                if y.turned != x.turned or y.own in (x.own, w.own) or y.own in self._outputs():
                    continue
                if any(True for _ in self._activations(z, numbers.of(y))):
                    self._linear(w.own, self._tensor(x), w, bias, None)
                    self.values[f"{w.own}.output"], self.turned[f"{w.own}.output"] = z, x.turned
                    return True
        return False

    # What follows on a tensor that is known

    def _grow(self) -> None:
        todo = list(self.values)
        while todo:
            while todo:
                todo += self._followed(todo.pop(0), self._function)
            for name in reversed(list(self.values)):  # what drops relu's output seems to drop its input, too
                todo += self._followed(name, self._dropout)

    def _followed(self, name: str, look: Callable[[str, Ref], str]) -> list[str]:
        return [made for y in self._unmade(name) if (made := look(name, y))]

    def _unmade(self, x: str) -> list[Ref]:
        taken = {*self._outputs(), *(ref.own for ref in self.params.values())}
        if x in self.refs:
            taken.add(self.refs[x].own)
        return [y for y in self.numbers.views(self.numbers.floats) if y.own not in taken
                and y.turned == self.turned[x]]  # fmt: skip

    def _function(self, x: str, y: Ref) -> str:
        given, made = self.values[x], self.numbers.of(y)
        for kind, options in self._activations(given, made):
            return self._call(y, kind, options, x)
        for kind, options, affine in self._normalised(given, made):
            self.params |= dict(zip((f"{y.own}.weight", f"{y.own}.bias"), affine, strict=False))
            if kind == "BatchNorm1d":
                options |= self._statistics(given, y.own)
            return self._call(y, kind, options, x)
        return ""

    def _dropout(self, x: str, y: Ref) -> str:
        p = self._dropped(self.values[x], self.numbers.of(y))
        return self._call(y, "Dropout", {"p": p}, x) if p else ""

    def _activations(self, x: Values, y: Values) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if not _alike(x, y) or self.numbers.same(x, y):
            return
        for name, kind in CLASS_OF.items():
            for options in OPTIONS.get(name, ({},)):
                if name in NORMALISATIONS.values():
                    continue
                first = next(i for i, each in enumerate(x) if each is not None and y[i] is not None)
                for asked in ([first], range(len(x))):
                    made = [_apply(name, x[i], options) if i in asked else None for i in range(len(x))]
                    if not self.numbers.same(y, made):
                        break
                else:
                    yield kind, options

    def _dropped(self, x: Values, y: Values) -> float:
        """p, where each number is either 0 or x/(1 − p)."""
        if not _alike(x, y):
            return 0.0
        factors: list[np.ndarray] = []
        dropped = 0
        for a, b in zip(x, y, strict=True):
            if a is not None and b is not None:
                kept = (b != 0) & (a != 0)
                if ((a == 0) & (b != 0)).any():
                    return 0.0
                factors.append((b[kept] / a[kept]).ravel())
                dropped += int(((a != 0) & (b == 0)).sum())
        every = np.concatenate(factors)
        if not dropped or every.size < 4 or every[0] <= 1 or np.ptp(every) > self.numbers.close * every[0]:
            return 0.0
        return float(f"{1 - 1 / every[0]:.6g}")

    def _normalised(self, x: Values, y: Values) -> Iterator[tuple[str, dict[str, Any], list[Ref]]]:
        if not _alike(x, y) or any(a is not None and (a.ndim != 2 or min(a.shape) < 2) for a in x):
            return
        norms = (("batch_norm", 0), ("layer_norm", 1), ("rms_norm", 1))
        for (component, axis), eps in product(norms, EPSILONS):
            centred = component != "rms_norm"
            plain = [None if a is None else _standard(a, axis, eps, centred=centred) for a in x]
            for affine in self._affine(plain, y, component):
                width = next(a.shape[1] for a in x if a is not None)
                options: dict[str, Any] = {"eps": eps}
                options["affine" if component == "batch_norm" else "elementwise_affine"] = bool(affine)
                if component == "batch_norm":
                    options["momentum"] = 0.1
                else:
                    options["normalized_shape"] = [width]
                yield CLASS_OF[component], options, affine
                return

    def _affine(self, x: Values, y: Values, component: str) -> Iterator[list[Ref]]:
        """γ and β, with y = γ·x + β; none of them where y = x."""
        if self.numbers.same(y, x):
            yield []
            return
        width = next(a.shape[1] for a in x if a is not None)
        vectors = [n for n in self.numbers.floats if (s := self.numbers.shape(n)) and np.prod(s) == width]
        refs = [Ref(n, shift=shift, flat=True) for n, shift in product(vectors, (0, -1))]
        for gamma in refs:
            scaled = [None if a is None or g is None else a * g
                      for a, g in zip(x, self.numbers.of(gamma), strict=True)]  # fmt: skip
            if component == "rms_norm":
                if self.numbers.same(y, scaled):
                    yield [gamma]
                    return
                continue
            if any(a is not None and b is not None and np.ptp(b - a, axis=0).max() > 1e-3 * np.abs(b).max()
                   for a, b in zip(scaled, y, strict=True)):  # fmt: skip
                continue
            for beta in refs:
                moved = [None if a is None or b is None else a + b
                         for a, b in zip(scaled, self.numbers.of(beta), strict=True)]  # fmt: skip
                if beta.own != gamma.own and self.numbers.same(y, moved):
                    yield [gamma, beta]
                    return

    def _statistics(self, x: Values, module: str) -> dict[str, float]:
        """The momentum of a batch norm whose running statistics are recorded, from 0 and 1 on."""
        mean = [None if a is None else a.mean(axis=0) for a in x]
        var = [None if a is None else a.var(axis=0, ddof=1) for a in x]
        found: dict[str, tuple[float, Ref]] = {}
        for name, start, now in (("running_mean", 0.0, mean), ("running_var", 1.0, var)):
            width = next(len(a) for a in now if a is not None)
            for own in self.numbers.floats:
                ref = Ref(own, flat=True)
                kept = self.numbers.of(ref)
                if now[0] is None or kept[0] is None or any(b is None or b.size != width for b in kept):
                    continue
                way = now[0] - start
                share = float(((kept[0] - start) * way).sum() / max((way**2).sum(), 1e-300))
                before: Values = [np.full(width, start), *kept[:-1]]
                made = [None if a is None or b is None else (1 - share) * a + share * b
                        for a, b in zip(before, now, strict=True)]  # fmt: skip
                if 0 < share <= 1 and self.numbers.same(kept, made):
                    found[name] = float(f"{share:.6g}"), ref
        if len(found) < 2 or self.numbers.steps != list(range(len(self.numbers.steps))):
            return {}
        self.refs |= {f"{module}.{name}": ref for name, (_, ref) in found.items()}
        self.tracked.append(module)
        return {"momentum": found["running_mean"][0]}

    # The loss

    def _loss(self) -> None:
        numbers = self.numbers
        scalars = [n for n in numbers.floats if all(a.size == 1 for a in numbers.raw(n))]
        taken = {*self._outputs(), *(ref.own for ref in self.params.values())}
        targets = list(numbers.views([n for n in numbers.names if n not in taken]))
        for x in reversed(list(self.values)):
            for scalar, y, kind in product(scalars, targets, ("binary_cross_entropy_with_logits",
                                           "binary_cross_entropy", "mse_loss", "cross_entropy")):  # fmt: skip
                if y.own == scalar:
                    continue
                for targets_ref, options in self._loss_is(kind, x, y, scalar):
                    self.refs |= {"loss.targets": targets_ref, "loss": Ref(scalar)}
                    inputs = [x, "loss.targets"]
                    self.calls.append({"loss": kind, "inputs": inputs, "options": options})
                    return

    def _loss_is(self, kind: str, x: str, y: Ref, scalar: str) -> Iterator[tuple[Ref, dict[str, Any]]]:
        vectors = all(a.size == max(a.shape, default=1) for a in self.numbers.raw(y.own))
        classes = kind == "cross_entropy" and vectors
        y = Ref(y.own, y.turned, flat=True, whole=True) if classes else y
        given, targets = self.values[x], self.numbers.of(y)
        loss = self.numbers.of(Ref(scalar))
        for options in LOSS_OPTIONS if kind == "cross_entropy" else LOSS_OPTIONS[:2]:
            made: Values = []
            for a, b, c in zip(given, targets, loss, strict=True):
                if a is None or b is None or c is None:
                    made.append(None)
                elif (value := _value(kind, a, b, options, classes=classes)) is None:
                    break
                else:
                    made.append(np.full((1, 1), value))
                    if not self.numbers.same([c], made[-1:]) and c.any():
                        break
            else:
                if self.numbers.same(loss, made):
                    yield y, dict(options)

    # Names

    def _outputs(self) -> set[str]:
        return {self.refs[call["output"]].own for call in self.calls if call.get("output") in self.refs}

    def _tensor(self, ref: Ref) -> str:
        """PyTorch's name of an array that something is given."""
        known = next((name for name, other in self.refs.items() if other.own == ref.own), None)
        if known is None:
            known = "input" if ref.own.lower() in USUAL["input"] and "input" not in self.refs else ref.own
            self._made(known, ref)
        return known

    def _made(self, name: str, ref: Ref) -> None:
        self.refs[name], self.values[name] = ref, self.numbers.of(ref)
        self.turned[name] = ref.turned

    def _call(self, y: Ref, kind: str, options: Mapping[str, Any], x: str) -> str:
        output = f"{y.own}.output"
        self._made(output, y)
        self.modules[y.own] = {"class": kind, "options": dict(options)}
        self.calls.append({"module": y.own, "inputs": [x], "output": output, "training": True})
        return output

    def _sort(self) -> None:
        """In order of computation, and each input by the name that it has as another's output."""
        outputs = {self.refs[c["output"]].own: c["output"] for c in self.calls if c["output"] in self.refs}
        for call in self.calls:
            (given,) = call["inputs"]
            own = self.refs[given].own if given in self.refs else ""
            if given not in outputs.values() and own in outputs:
                call["inputs"] = [outputs[own]]
                self.refs.pop(given, None)
                self.values.pop(given, None)
        left, self.calls = self.calls, []
        while left:
            waiting = {call["output"] for call in left}
            ready = [call for call in left if call["inputs"][0] not in waiting]
            if not ready:  # a circle: the numbers fit, but nothing was computed so
                break
            self.calls += ready
            left = [call for call in left if call not in ready]


def _layer(x: np.ndarray | None, w: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    if x is None or w is None or b is None or x.shape[-1] != len(w) or len(b) != w.shape[-1]:
        return None
    return np.asarray(x @ w + b)


def _shape(array: np.ndarray | None) -> tuple[int, ...]:
    return () if array is None else array.shape


def _alike(x: Values, y: Values) -> bool:
    both = [(a, b) for a, b in zip(x, y, strict=True) if a is not None and b is not None]
    return bool(both) and all(a.shape == b.shape for a, b in both)


def _standard(x: np.ndarray, axis: int, eps: float, *, centred: bool) -> np.ndarray:
    centre = x.mean(axis=axis, keepdims=True) if centred else 0.0
    with np.errstate(all="ignore"):
        return (x - centre) / np.sqrt(((x - centre) ** 2).mean(axis=axis, keepdims=True) + eps)


def _apply(component: str, x: np.ndarray | None, options: Mapping[str, Any]) -> np.ndarray | None:
    if x is None:
        return None
    case = Case("", {"x": x, "dy": np.zeros(x.shape)}, options, dtype=np.float64, finite=False)
    return np.asarray(run.run_scratch(components()[component], case)["output"])


def _value(
    kind: str, x: np.ndarray, y: np.ndarray, options: Mapping[str, Any], *, classes: bool
) -> float | None:
    """The loss; None for targets that it does not take."""
    if classes:
        if x.ndim != 2 or len(y) != len(x) or x.shape[1] < 2 or (y != np.round(y)).any():
            return None
        if y.min() < 0 or y.max() >= x.shape[1]:
            return None
        y = y.astype(np.int64)
    elif x.shape != y.shape:
        return None
    if kind.startswith("binary") and (y.min() < 0 or y.max() > 1):
        return None
    if kind == "binary_cross_entropy" and (x.min() < 0 or x.max() > 1):
        return None
    if kind == "cross_entropy" and not classes and not np.allclose(y.sum(axis=1), 1):
        return None
    names = {"binary_cross_entropy": "probabilities", "mse_loss": "input"}
    arrays = {names.get(kind, "logits"): x, "targets": y, "dloss": np.ones(())}
    case = Case("", arrays, options, dtype=np.float64, finite=False)
    return float(run.run_scratch(components()[kind], case)["loss"])
