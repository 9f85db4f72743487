"""One question: a component, and an input that stands at an edge."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compare.component import DTYPES, Case, Component, Edge, Results, copy_with_strides
from compare.run import cases_of


@dataclass(frozen=True)
class Probe:
    """One input at an edge.

    Args:
        component: whose
        edge: the row of the table: what stands at its limit
        what: which array, how much of it, or which setting
        case: the input
        run_scratch, run_torch: where they are not the component's
        scales: of the base case, for arrays whose own scale the edge has spoiled
    """

    component: Component
    edge: str
    what: str
    case: Case
    run_scratch: Callable[[Case, Any], Results] | None = None
    run_torch: Callable[[Case], Results] | None = None
    scales: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called in the record."""
        return ", ".join(filter(None, (self.edge, self.what)))

    @property
    def where(self) -> tuple[str, str, str]:
        """What a departure is declared for."""
        return self.edge, self.what, self.dtype

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
HUGE = 1e100  # a setting that makes infinities and leaves no scale as it was


def probes(component: Component, dtype: str) -> Iterator[Probe]:
    """Every probe of a component: values, then numbers of examples, then what it names itself."""
    found = bases(component, DTYPES[dtype])
    yield from value_probes(component, dtype, found)
    for edge in (*_rows(component.edges.rows, found), *component.edges.others(found[0])):
        scales = component.magnitude(found[0]) if _huge(edge.case.options.values()) else {}
        yield Probe(component, *edge, scales)


def bases(component: Component, dtype: Any) -> list[Case]:
    """The cases that values are put into."""
    known = {case.name: case for case in cases_of(component, 0, dtype)}
    usual = next((name for name in ("odd", "typical") if name in known), next(iter(known)))
    # (The gradient check refuses float32: it has one case there.)
    found = [known.get(name, known[usual]) for name in component.edges.bases or (usual,)]
    return [component.edges.prepared(case) for case in found]


def value_probes(component: Component, dtype: str, bases: Sequence[Case]) -> Iterator[Probe]:
    """Every value in one element of every floating-point array, and in all of it."""
    for i, base in enumerate(bases):
        variant = f"{base.name}: " if i else ""
        names = [
            name
            for name, array in base.arrays.items()
            if array.dtype.kind == "f" and name in (component.edges.arrays or base.arrays)
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
                    yield Probe(component, edge, what, case, scales=scales if spoils else {})


def changed_index(array: np.ndarray) -> slice:
    """The element in the middle."""
    return slice(array.size // 2, array.size // 2 + 1)


def _rows(arrays: Sequence[str], bases: Sequence[Case]) -> Iterator[Edge]:
    """No example, one, and two that are the same."""
    for base in bases:
        names = [name for name in arrays if name in base.arrays]
        what = base.name if len(bases) > 1 else ""
        for edge, rows in (("no examples", []), ("one example", [0]), ("two equal examples", [0, 0])):
            if names:
                yield Edge(edge, what, base.but(base.name, {name: base[name][rows] for name in names}))


def _huge(values: Iterable[Any]) -> bool:
    return any(
        _huge(value) if isinstance(value, tuple) else isinstance(value, float) and abs(value) > HUGE
        for value in values
    )
