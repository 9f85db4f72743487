"""The table: what became of every probe, and whether that is as declared."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from compare.cases import bad_input
from compare.component import DTYPES, Component, Departure, Results
from compare.edges.probe import Probe, probes
from compare.environment import undisturbed
from compare.measure import compare_results, difference_text, to_numpy
from compare.run import Outcome, in_our_words, in_words, run_both

KINDS = AS_PYTORCH, REFUSED, STRICTER, DEPARTS = "as PyTorch", "both refuse", "we refuse", "departs"
SIGNS = [("+∞", "−∞", "±∞"), ("+0", "−0", "±0")]
SIGNS += [(name, f"−{name}", f"±{name}") for name in ("smallest subnormal", "largest float")]


@dataclass(frozen=True)
class Probed:
    """What became of one probe.

    Args:
        probe: the input
        kind: as PyTorch, both refuse, we refuse (what PyTorch takes), or departs
        text: of a refusal the message; of a departure what the two sides gave
        torch: of a refusal what PyTorch does
        declared: of a departure, where it is declared
    """

    probe: Probe
    kind: str
    text: str = ""
    torch: bad_input.Entry = field(default_factory=dict)
    declared: Departure | None = None

    @property
    def ok(self) -> bool:
        """Whether it is as declared."""
        if self.kind == DEPARTS:
            return self.declared is not None
        if (self.kind in (REFUSED, STRICTER)) != self.in_the_record:
            return False
        return self.declared is None or bool(self.declared.depends_on)

    @property
    def in_the_record(self) -> bool:
        """Whether scratch has refused it when the record was made."""
        cases = bad_input.recorded(bad_input.PROBES, self.probe.component.name)
        return self.probe.dtype in cases.get(self.probe.name, {})

    @property
    def finding(self) -> str:
        """In words what is not as declared."""
        where = f"{self.probe.component.name}, {self.probe.edge}, {self.probe.what}, {self.probe.dtype}"
        if self.kind == DEPARTS:
            return f"{where}: an undeclared departure: {self.text}"
        if self.kind in (REFUSED, STRICTER):
            return f"{where}: refused, but not in the record: {self.text}"
        if self.in_the_record:
            return f"{where}: refused in the record, but {self.kind}"
        return f"{where}: declared as a departure, but {self.kind}"


@dataclass(frozen=True)
class Group:
    """The probes of a component that came out alike.

    Args:
        kind: as PyTorch, both refuse, we refuse or departs
        count: how many
        entries: edges, each with what stands there unless that is everything
        text: the message of a refusal, the reason of a departure
        example: of a departure what the two sides gave at one of the probes; of a refusal of ours alone
            what PyTorch gave
        ok: whether it is as declared
    """

    kind: str
    count: int
    entries: list[str]
    text: str
    example: str
    ok: bool


@dataclass(frozen=True)
class Examined:
    """What came of all probes of a component: its groups, and in words what is not as declared."""

    groups: list[Group]
    wrong: list[str]


def examined(component: Component) -> Examined:
    """All probes of a component run on both sides, and put together."""
    outcomes = examine(component)
    return Examined(grouped(outcomes), [outcome.finding for outcome in outcomes if not outcome.ok])


def grouped(outcomes: Sequence[Probed]) -> list[Group]:
    """The outcomes of one component, those alike together: agreement, refusals, departures."""
    alike: dict[tuple[int, str, bool], list[Probed]] = {}
    for outcome in outcomes:
        key = (KINDS.index(outcome.kind), _text(outcome), outcome.ok)
        alike.setdefault(key, []).append(outcome)
    everything = _by_edge(outcomes)
    groups = []
    for (kind, text, ok), found in sorted(alike.items(), key=lambda item: (item[0][0], not item[0][2])):
        entries = [_entry(edge, of, everything[edge]) for edge, of in _by_edge(found).items()]
        example = _example(KINDS[kind], found[0])
        groups.append(Group(KINDS[kind], len(found), _paired(entries), text, example, ok))
    return groups


def _example(kind: str, outcome: Probed) -> str:
    if kind == STRICTER:
        return f"PyTorch takes it: {outcome.torch['takes']}"
    return f"{outcome.probe.dtype}, {outcome.text}" if kind == DEPARTS else ""


def _text(outcome: Probed) -> str:
    if outcome.kind in (REFUSED, STRICTER):
        return outcome.text.partition(", got ")[0]
    if outcome.declared:
        return outcome.declared.reason if outcome.kind == DEPARTS or not outcome.ok else ""
    return "not declared" if outcome.kind == DEPARTS else ""


def _by_edge(outcomes: Sequence[Probed]) -> dict[str, list[Probed]]:
    edges: dict[str, list[Probed]] = {}
    for outcome in outcomes:
        edges.setdefault(outcome.probe.edge, []).append(outcome)
    return edges


def _entry(edge: str, found: Sequence[Probed], everything: Sequence[Probed]) -> str:
    """The edge, with what stands there and the dtype where these are not all that there are."""
    if len(found) == len(everything):
        return edge
    if found[0].kind == AS_PYTORCH:
        return f"{edge} (otherwise)"  # the rest is written out where it stands
    details: list[str] = []
    for shorten in (_without_share, str):
        what = dict.fromkeys(shorten(outcome.probe.what) for outcome in found)
        if not details and len(what) < len({shorten(outcome.probe.what) for outcome in everything}):
            details = list(what)
    dtypes = {outcome.probe.dtype for outcome in found}
    details += sorted(dtypes) if dtypes != {outcome.probe.dtype for outcome in everything} else []
    return f"{edge} ({', '.join(details)})"


def _without_share(what: str) -> str:
    return what.replace("one of ", "")


def _paired(entries: Sequence[str]) -> list[str]:
    """Edges of both signs in one; those that are only partly here, last."""
    paired = list(entries)
    for plus, minus, both in SIGNS:
        for entry in entries:
            twin = minus + entry.removeprefix(plus)
            if entry.startswith(plus) and twin in paired:
                paired[paired.index(entry)] = both + entry.removeprefix(plus)
                paired.remove(twin)
    return sorted(paired, key=lambda entry: entry.endswith("(otherwise)"))


def examine(component: Component, dtypes: Sequence[str] = tuple(DTYPES)) -> list[Probed]:
    """The outcomes of all probes of a component."""
    return [outcome(probe) for dtype in dtypes for probe in probes(component, dtype)]


@undisturbed()
def outcome(probe: Probe) -> Probed:
    """Run both sides on one probe: NaN, ∞ and the sign of 0 must agree, the rest be within its budget."""
    component, case = probe.component, replace(probe.case, finite=False)
    asked = replace(
        component,
        run_scratch=probe.run_scratch or component.run_scratch,
        run_torch=probe.run_torch or component.run_torch,
    )
    with bad_input.listening() as caught:
        found = run_both(asked, case)
    if isinstance(found.scratch, Exception) and _meant(found.scratch, found.torch):
        kind = REFUSED if isinstance(found.torch, Exception) else STRICTER
        entry = bad_input.entry(found.torch, caught, case)
        return Probed(probe, kind, str(found.scratch), entry, _declaration(probe))
    text = _difference(probe, found)
    return Probed(probe, DEPARTS if text else AS_PYTORCH, text, declared=_declaration(probe))


def _meant(scratch: Exception, torch: Results | Exception) -> bool:
    """Whether scratch refuses in its own words, or Python on both sides, and does not just break down."""
    return in_our_words(scratch) or (isinstance(scratch, OverflowError) and repr(scratch) == repr(torch))


def _difference(probe: Probe, found: Outcome) -> str:
    """In words, or nothing if the two sides agree."""
    if found.error:
        return " · ".join(
            f"{side}: {in_words(of) if isinstance(of, Exception) else 'accepts it'}"
            for side, of in (("scratch", found.scratch), ("PyTorch", found.torch))
        )
    scratch, torch = found.results
    differences = compare_results(scratch, torch)
    if all(np.isfinite(difference.units) for difference in differences):
        if not any(difference.units for difference in differences):
            return ""
        differences = compare_results(scratch, torch, _scales(probe, torch))
    budget = probe.component.budget.allowed(probe.case, "cpu")
    beyond = [difference for difference in differences if not difference.units <= budget]
    return difference_text(beyond[0], budget, probe.dtype) if beyond else ""


def _scales(probe: Probe, torch: Results) -> dict[str, Any]:
    """The component's scales; where the edge has made one of them 0, infinite or NaN, that of the base case

    The elements that the edge does not reach are those of the base case, and so is their scale; those that
    it does reach are counted in themselves.
    """
    if probe.run_torch is not None:
        return {name: np.abs(np.nan_to_num(to_numpy(value))) for name, value in torch.items()}
    with np.errstate(all="ignore"):
        scales = dict(probe.component.magnitude(probe.case))
        for name in scales.keys() & probe.scales.keys() & torch.keys():
            own = np.asarray(scales[name])
            value = to_numpy(torch[name])
            stand_in = np.maximum(probe.scales[name], np.where(np.isfinite(value), np.abs(value), 0))
            scales[name] = np.where(np.isfinite(own) & (own > 0), own, stand_in)
    return scales


def _declaration(probe: Probe) -> Departure | None:
    return next((d for d in probe.component.departures if d.covers(*probe.where)), None)


def write_record(components: Sequence[Component]) -> Path:
    """Write what PyTorch does with everything that scratch refuses; return the file."""
    probes: dict[str, dict[str, dict[str, bad_input.Entry]]] = {}
    for component in components:
        cases = probes.setdefault(component.name, {})
        for found in examine(component):
            if found.kind in (REFUSED, STRICTER):
                cases.setdefault(found.probe.name, {})[found.probe.dtype] = found.torch
    inputs = {component.name: bad_input.examine(component) for component in components}
    return bad_input.write({bad_input.CASES: inputs, bad_input.PROBES: probes})
