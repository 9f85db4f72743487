"""The table of edge values: every row as declared, every departure real, and a verdict that can fail."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import threadpoolctl
import torch

from compare import cases, cli
from compare.cases.limits import ADDITION, AVX2, AVX512, FUSION, LARGEST, ROOT
from compare.cases.optimizers import BEFORE
from compare.component import Departure, higher_precision
from compare.draws import older_streams
from compare.edges import table
from compare.edges.probe import VALUES, Probe, bases, value_probes
from compare.edges.table import AS_PYTORCH, DEPARTS, KINDS, REFUSED, STRICTER, Probed, examine, grouped
from compare.environment import describe, one_thread
from scratch import activations
from scratch.optimizers import Adam

ALL = cases.all_components()
ARITHMETIC = ("NaN", "+∞", "−∞", "+0", "−0", "smallest subnormal", "largest float")


@cache
def outcomes(name: str) -> list[Probed]:
    with one_thread():
        return examine(ALL[name])


@pytest.fixture(autouse=True)
def settings_put_back():
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(deterministic)


@pytest.mark.parametrize("name", ALL)
def test_every_row_is_as_declared(name):
    found = outcomes(name)
    assert found, "no edge of this component is looked at"
    assert [outcome.finding for outcome in found if not outcome.ok] == []
    assert all(
        isinstance(outcome.text, str) and outcome.text for outcome in found if outcome.kind != AS_PYTORCH
    )


@pytest.mark.parametrize("name", [name for name in ALL if any(bases(ALL[name], np.float64)[0].arrays)])
def test_every_value_is_put_into_the_arrays_of_every_component(name):
    edges = {outcome.probe.edge for outcome in outcomes(name)}
    assert edges >= set(ARITHMETIC)


def test_values_stand_where_they_are_said_to():
    base = bases(ALL["linear"], np.float32)
    probes = list(value_probes(ALL["linear"], "float32", base))
    assert len(probes) == len(VALUES) * 4 * 2  # x, weight, bias, dy; one element and all
    for probe in probes:
        name = probe.what.removeprefix("one of ")
        new, old = probe.case[name], base[0][name]
        changed = (new.view(np.uint32) != old.view(np.uint32)).sum()
        assert changed == (1 if probe.what.startswith("one of ") else old.size), probe.what
    assert {np.finfo("float32").max, np.finfo("float32").smallest_subnormal} <= {
        p.case["x"][0, 0] for p in probes
    }


KERNELS = ", ".join(
    f"{part}: {value}" for part, value in describe("cpu").items() if "BLAS" in part or "vector" in part
)
CAPABILITY = torch.backends.cpu.get_cpu_capability()
WHERE = {FUSION: ("AVX2", "AVX512"), AVX512: ("AVX512",), AVX2: ("AVX2", "DEFAULT")}


def smallest_first(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sort(products(a, b), axis=0).cumsum(axis=0)[-1]


def largest_first(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sort(products(a, b), axis=0)[::-1].cumsum(axis=0)[-1]


def products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a.T[:, :, None] * b[:, None, :]


def fused(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Every product exact, and rounded with the sum."""
    wider = higher_precision(a.dtype) or a.dtype
    total = np.zeros((len(a), b.shape[1]), a.dtype)
    for column, row in zip(a.T.astype(wider), b.astype(wider), strict=True):
        total = (column[:, None] * row + total).astype(a.dtype)
    return total


def can_depart(departure: Departure, capability: str = CAPABILITY) -> bool:
    return capability in WHERE.get(departure.depends_on, (capability,))


def departs(departure: Departure, outcome: Probed, capability: str = CAPABILITY) -> bool:
    """Whether a declared departure occurs here; of one that depends on kernels, whether it can occur

    What depends on the order in which a product of matrices is added up must show in one of three orders, if
    not in that of this machine; what depends on a square root, where it is the number next to it; what
    depends on the instructions of the processor, wherever PyTorch has them.
    """
    if outcome.kind == DEPARTS or not can_depart(departure, capability):
        return True
    if departure.depends_on == ROOT:
        return any(with_roots_towards(to, outcome.probe).kind == DEPARTS for to in (0, np.inf))
    orders = (smallest_first, largest_first, fused) if departure.depends_on == ADDITION else ()
    return any(in_order(order, outcome.probe).kind == DEPARTS for order in orders)


def in_order(order, probe: Probe) -> Probed:
    """The outcome where the matrix products of scratch are added up in this order."""

    def matmul(a, b, out=None):
        with np.errstate(all="ignore"):
            total = order(a, b) if len(b) else np.zeros((len(a), b.shape[1]), a.dtype)
        return np.copyto(out, total) if out is not None else total

    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setattr(np, "matmul", matmul)
        return table.outcome(probe)


def with_roots_towards(to: float, probe: Probe) -> Probed:
    """The outcome where each square root of scratch is the next number in this direction."""
    root = np.sqrt
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setattr(np, "sqrt", lambda x: np.nextafter(root(x), to))
        return table.outcome(probe)


def never(name: str, departure: Departure, capability: str = CAPABILITY) -> list[str]:
    """What is declared but can not occur; where a kernel decides which, in neither dtype."""
    absent = [
        o.probe
        for o in outcomes(name)
        if departure.covers(*o.probe.where) and not departs(departure, o, capability)
    ]
    found = [f"{probe.edge}, {probe.what}" for probe in absent]
    if departure.depends_on == ADDITION:
        return sorted({row for row in found if found.count(row) == len(departure.dtypes)})
    return [f"{row}, {probe.dtype}" for row, probe in zip(found, absent, strict=True)]


@pytest.mark.parametrize(
    ("name", "departure"),
    [
        pytest.param(name, departure, id=f"{name}, {departure.edges[0]}, {departure.what[0]}")
        for name, component in ALL.items()
        for departure in component.departures
    ],
)
def test_every_declared_departure_really_occurs(name: str, departure: Departure):
    covered = [o for o in outcomes(name) if o.declared is departure]
    assert {o.probe.edge for o in covered} == set(departure.edges)
    for pattern in departure.what:
        assert any(replace(departure, what=(pattern,)).covers(*o.probe.where) for o in covered), pattern
    assert departure.reason.endswith(".")
    assert never(name, departure) == [], f"with {KERNELS}"
    if not can_depart(departure) and not any(o.kind == DEPARTS for o in covered):
        pytest.skip(f"depends on {departure.depends_on}; does not occur with {KERNELS}")


def test_a_declared_departure_that_no_kernel_has_fails():
    """Of those that depend on a kernel too, and even where no other probe of the row is to be blamed."""
    stale = Departure(("NaN",), ("x",), "No reason at all.")
    assert never("linear", stale) == never("linear", replace(stale, depends_on=FUSION), "AVX2")
    assert never("linear", stale) == ["NaN, x, float32", "NaN, x, float64"]
    assert never("linear", replace(stale, depends_on=FUSION), "DEFAULT") == []  # nothing is fused there
    assert never("linear", replace(stale, depends_on=ADDITION)) == ["NaN, x"]
    assert never("linear", replace(stale, depends_on=ROOT)) == ["NaN, x, float32", "NaN, x, float64"]
    half = Departure(LARGEST, ("x", "bias"), "Half a reason.", depends_on=ADDITION)
    assert never("linear", half) == ["largest float, bias", "−largest float, bias"]


def test_the_kernels_are_named(monkeypatch):
    """A reader must see why there are other departures than here."""
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    described = describe("cpu")
    assert described["PyTorch's BLAS"].endswith(" MKL_CBWR=COMPATIBLE")
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["internal_api"] == "openblas"]
    assert {pool["architecture"] for pool in pools} <= set(described["NumPy's BLAS"].split())


def relu_probe(monkeypatch, edge: str, backward=None, **fields) -> Probed:
    if backward:
        monkeypatch.setattr(activations, "relu_backward", backward)
    probes = table.probes(replace(ALL["relu"], **fields), "float32")
    return table.outcome(next(probe for probe in probes if probe.edge == edge))


def wrong_zero(dy, cache):
    return np.where(cache < 0, dy.dtype.type(0), dy)


def test_an_undeclared_departure_fails(monkeypatch):
    assert relu_probe(monkeypatch, "+0").ok
    outcome = relu_probe(monkeypatch, "+0", wrong_zero)
    assert (outcome.kind, outcome.ok) == (DEPARTS, False)
    assert outcome.finding.startswith(
        "relu, +0, one of x, float32: an undeclared departure: grad.x[6, 3]: scratch"
    )


def test_a_departure_that_no_longer_occurs_fails(monkeypatch):
    stale = Departure(("+0",), ("one of x",), "No reason at all.")
    outcome = relu_probe(monkeypatch, "+0", departures=(stale,))
    assert (outcome.kind, outcome.ok) == (AS_PYTORCH, False)
    assert outcome.finding == "relu, +0, one of x, float32: declared as a departure, but as PyTorch"
    assert relu_probe(monkeypatch, "+0", departures=(replace(stale, depends_on=ADDITION),)).ok


def test_a_breakdown_is_no_refusal(monkeypatch):
    def broken(dy, cache):
        raise ValueError("operands could not be broadcast together")

    outcome = relu_probe(monkeypatch, "NaN", broken)
    assert (outcome.kind, outcome.ok) == (DEPARTS, False)
    assert "scratch: ValueError: operands could not" in outcome.text
    assert "PyTorch: accepts it" in outcome.text


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.0, 1e-3])
def test_a_wrong_element_is_seen_beside_a_huge_one(wrong):
    """The scale of an array is not that of the largest float in it: the other elements keep their own."""
    component = ALL["batch_norm"]
    probe = next(
        probe
        for probe in table.probes(component, "float64")
        if (probe.edge, probe.what) == ("largest float", "beta")
    )

    def run_scratch(case, f):
        results = component.run_scratch(case, f)
        results["grad.x"][0, 0] = wrong if wrong != 1e-3 else results["grad.x"][0, 0] + wrong
        return results

    assert table.outcome(probe).kind == AS_PYTORCH
    assert table.outcome(replace(probe, run_scratch=run_scratch)).kind == DEPARTS


def kinds(name: str, edge: str) -> set[str]:
    return {o.kind for o in outcomes(name) if o.probe.edge == edge}


def test_it_is_known_where_we_alone_refuse():
    assert kinds("cross_entropy", "a mean of ignored targets") == {STRICTER}  # NaN in PyTorch
    assert kinds("cross_entropy", "all targets class K") == {REFUSED}
    assert kinds("batch_norm", "eps = 0.0") == {STRICTER if older_streams() else REFUSED}
    assert kinds("batch_norm", "one example") == {REFUSED}
    assert kinds("dropout", "p NaN") == {REFUSED}
    assert kinds("adam", "eps +∞") == {STRICTER}


def test_setting_the_counter_is_the_same_as_counting():
    """One arrives by steps where the table puts the other by setting a number."""
    before, after = BEFORE["step 7 000: 0.9ᵗ is subnormal"], BEFORE["step 7 100: 0.9ᵗ is 0"]
    assert 0.9 ** (after + 1) == 0 < 0.9 ** (before + 1)
    gradient, steps = np.array([0.3, -0.7]), 700
    looped = Adam([np.zeros(2)], 1e-3)
    for _ in range(steps):
        looped.step([gradient])
    assert looped.steps == steps
    jumped = Adam([looped.params[0].copy()], 1e-3)
    jumped.steps = steps
    jumped.state = {name: [arrays[0].copy()] for name, arrays in looped.state.items()}
    for optimizer in (looped, jumped):
        optimizer.step([gradient])
    np.testing.assert_array_equal(jumped.params[0], looped.params[0])


def test_the_counter_of_pytorch_stops_as_the_table_says():
    assert float(torch.tensor(float(2**24)) + 1) == 2**24


def test_what_is_alike_stands_together():
    groups = grouped(outcomes("binary_cross_entropy"))
    assert [group.kind for group in groups] == sorted((g.kind for g in groups), key=KINDS.index)
    assert "+0" in groups[0].entries or "±0" in groups[0].entries
    assert any(g.text.startswith("targets: expected numbers from 0 to 1") for g in groups)
    assert "±∞ (targets)" in next(g.entries for g in groups if g.text.startswith("targets: expected numbers"))


@pytest.fixture
def activations_only(monkeypatch):
    monkeypatch.setattr(cases, "TOPICS", ("activations",))
    monkeypatch.setenv("COLUMNS", "60")


@pytest.mark.usefixtures("activations_only")
def test_the_command_prints_an_overview(capsys):
    assert cli.main(["edges"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 60
    count = sum(len(outcomes(component.name)) for component in cases.all_components().values())
    assert out.splitlines()[-1] == f"as declared: {count} probes of 7 components"
    assert "leaky_relu: negative_slope = 1e308 (float32)" in out
    assert "The number is beyond float32" in out


@pytest.mark.usefixtures("activations_only")
def test_the_command_prints_every_row_of_what_is_named(capsys):
    assert cli.main(["edges", "leaky_relu", "tanh"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 60
    assert [line for line in out.splitlines() if line in ALL] == ["leaky_relu", "tanh"]
    for text in (
        "as PyTorch   NaN · ±∞",
        "departs      negative_slope = 1e308",
        "no examples",
        "2 components",
    ):
        assert text in " ".join(out.split("\n")) or text in out


@pytest.mark.usefixtures("activations_only")
def test_the_command_fails_on_an_undeclared_departure(capsys, monkeypatch):
    monkeypatch.setattr(activations, "relu_backward", wrong_zero)
    assert cli.main(["edges", "relu"]) == 1
    out = capsys.readouterr().out
    assert "✗ relu, +0, one of x, float32: an undeclared departure: grad.x[6, 3]" in out
    assert out.splitlines()[-1].startswith("NOT as declared: ")


def test_the_command_knows_its_components(capsys):
    assert cli.main(["edges", "leaky_rellu"]) == 2
    assert capsys.readouterr().err == "error: unknown component 'leaky_rellu': did you mean leaky_relu?\n"


def test_a_probe_says_its_dtype():
    base = bases(ALL["relu"], np.float32)[0]
    assert Probe(ALL["relu"], "NaN", "x", base).dtype == "float32"
