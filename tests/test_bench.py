"""The table of speeds: what takes the same step on every side, and a line for what is not there."""

import numpy as np
import pytest
from rich.console import Console

from compare.training import bench


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(bench, "SIZES", (((3, 4, 2), 5, 0.35),))
    monkeypatch.setattr(bench, "DRAWS", dict(list(bench.DRAWS.items())[:1]))
    monkeypatch.setattr(bench, "PARTED", 0)
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(bench, "SECONDS", 0)
    monkeypatch.setattr(bench, "absent", lambda: {"compiled": "no compiler", "JAX": "is not installed"})


def test_all_sides_take_the_same_steps():
    steps = bench.training_steps((3, 4, 2), 5)
    assert list(steps) == ["scratch", "torch", "fused", "matmul"]
    for _ in range(3):
        costs = [steps[side]() for side in ("scratch", "torch", "fused")]
        np.testing.assert_allclose(costs, costs[0], rtol=1e-5)


def test_the_parts_make_the_step():
    times = bench.times_of_parts((3, 4, 2), 5, 7)
    assert list(times) == [
        *("linear1.forward", "relu1.forward", "linear2.forward", "cross_entropy_forward"),
        *("cross_entropy_backward", "linear2.backward", "relu1.backward", "linear1.backward"),
        *("Adam.step", "the whole step"),
    ]
    assert {len(each) for each in times.values()} == {7}
    for *parts, whole in zip(*times.values(), strict=True):
        assert 0 < sum(parts) < whole


def test_it_says_what_is_absent_and_leaves_its_column_empty(capsys):
    bench.run_bench(Console(width=120))
    out = capsys.readouterr().out
    assert "compiled: no compiler\nJAX: is not installed\n" in out
    assert "÷ fused at most 1.0, ÷ JAX at most 1.4" in out
    row = next(line for line in out.splitlines() if "3-4-2" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[3].endswith("of 0.35")
    assert (cells[5], cells[6]) == ("", "")
    assert float(cells[4]) > 0
    assert float(cells[7]) > 0
