"""One question: a component, and an input that stands at an edge."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compare.cases.optimizers import problem
from compare.component import Case, Component, Results, copy_with_strides
from compare.run import cases_of


@dataclass(frozen=True)
class Probe:
    """One input at an edge.

    Args:
        component: whose
        edge: the row of the table: what stands at its limit
        what: which array, how much of it, or which setting
        case: the input
        scales: of the base case, for arrays whose own scale the edge has spoiled
        run_scratch, run_torch: where they are not the component's
    """

    component: Component
    edge: str
    what: str
    case: Case
    scales: Mapping[str, Any] = field(default_factory=dict)
    run_scratch: Callable[[Case, Any], Results] | None = None
    run_torch: Callable[[Case], Results] | None = None

    @property
    def name(self) -> str:
        """What it is called in the record."""
        return ", ".join(filter(None, (self.edge, self.what)))

    @property
    def dtype(self) -> str:
        """float32 or float64."""
        return np.dtype(self.case.dtype).name


VALUES: dict[str, tuple[Callable[[Any], float], bool]] = {  # (dtype → value, whether it spoils the scales)
    "NaN": (lambda info: np.nan, True),
    "+∞": (lambda info: np.inf, True),
    "−∞": (lambda info: -np.inf, True),
    "+0": (lambda info: 0.0, False),
    "−0": (lambda info: -0.0, False),
    "smallest subnormal": (lambda info: info.smallest_subnormal, False),
    "−smallest subnormal": (lambda info: -info.smallest_subnormal, False),
    "largest float": (lambda info: info.max, True),
    "−largest float": (lambda info: info.min, True),
}
BASES: dict[
    str, tuple[str, ...]
] = {  # the cases that values are put into; else “odd”, “typical” or the first
    "batch_norm": ("odd", "not affine"),
    **dict.fromkeys(("l2_penalty", "weight_decay"), ("batch of one",)),
    "momentum": ("beta 0.9", "PyTorch: weight decay"),
    "nesterov": ("nesterov", "weight decay"),
    "sgd": ("plain", "weight decay"),
    "rmsprop": ("plain", "eps 0", "all"),
    "adam": ("plain", "eps 0", "all"),
    "adamw": ("plain", "no decay"),
    "gradient_check": ("linear",),
    "network": ("typical", "everything"),
    "train": ("typical",),
}
ARRAYS = {  # those of the base case that values are put into, where it is not all
    "l2_penalty": ("weight1", "dy"),
    "weight_decay": ("weight1", "dweight1", "bias1", "dbias1"),
    "network": ("x", "state.linear1.weight", "state.linear1.bias"),
}
STEPS = 2  # of an optimizer, on one parameter that fills two vectors of a processor and begins a third
ELEMENTS = 19


def bases(component: Component, dtype: Any) -> list[Case]:
    """The cases that values are put into."""
    known = {case.name: case for case in cases_of(component, 0, dtype)}
    usual = next((name for name in ("odd", "typical") if name in known), next(iter(known)))
    # (The gradient check refuses float32: it has one case there.)
    found = [known.get(name, known[usual]) for name in BASES.get(component.name, (usual,))]
    return [_short(case) for case in found] if component.topic == "optimizers" else found


def _short(case: Case) -> Case:
    """A few steps of an optimizer on one parameter."""
    arrays = problem(np.random.default_rng(0), case.dtype, ((ELEMENTS,),), STEPS)
    return replace(case, arrays=arrays, options={**case.options, "rates": case.options["rates"][:STEPS]})


def value_probes(component: Component, dtype: str, bases: Sequence[Case]) -> Iterator[Probe]:
    """Every value in one element of every floating-point array, and in all of it."""
    for i, base in enumerate(bases):
        variant = f"{base.name}: " if i else ""
        names = [
            name
            for name, array in base.arrays.items()
            if array.dtype.kind == "f" and name in ARRAYS.get(component.name, base.arrays)
        ]
        scales = component.magnitude(base) if names else {}
        for edge, (value, spoils) in VALUES.items():
            for name in names:
                for place in ("one", "all") if base[name].size > 1 else ("all",):
                    arrays = {key: copy_with_strides(array) for key, array in base.arrays.items()}
                    changed = (
                        arrays[name]
                        if place == "all"
                        else arrays[name].reshape(-1)[changed_index(base[name])]
                    )
                    changed[...] = value(np.finfo(dtype))
                    what = variant + (f"one of {name}" if place == "one" else name)
                    case = replace(base, arrays=arrays, finite=False)
                    yield Probe(component, edge, what, case, scales if spoils else {})


def changed_index(array: np.ndarray) -> slice:
    """The element in the middle."""
    return slice(array.size // 2, array.size // 2 + 1)
