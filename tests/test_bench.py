"""The table of speeds: what takes the same step on every side, and a line for what is not there."""

import click
import numpy as np
import pytest
from rich.console import Console

from compare.training import bench, bench_tools


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


def test_commands_are_timed_against_the_import_of_pytorch(monkeypatch, capsys):
    took = {"-c": 2.0, "list": 0.5, "--quick": 30.0}
    ran = []

    def seconds(*arguments):
        ran.append(arguments)
        return next((took[word] for word in arguments if word in took), 1.0)

    monkeypatch.setattr(bench_tools, "seconds", seconds)
    bench_tools.run_bench_tools(Console(width=120))
    out = capsys.readouterr().out
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines()]
    assert ["list", "0.50 s", "0.25", "0.5"] in cells
    assert ["experiments --quick", "30.00 s", "15.00", "20"] in cells
    assert "import torch: 2.00 s" in out
    assert ran.count(("-m", "compare", "list")) == ran.count(("-c", "import torch")) == bench_tools.ROUNDS
    assert ran.count(("-m", "compare")) == 1


def test_a_command_runs_in_a_folder_of_its_own():
    assert bench_tools.seconds("-m", "compare", "check", "mine.py") > 0
    for _ in range(2):  # which would not write its file a second time
        assert bench_tools.seconds("-m", "compare", "exercise", "adam") > 0
    with pytest.raises(click.ClickException, match=r"python -m compare check yours.py: ended with status 2"):
        bench_tools.seconds("-m", "compare", "check", "yours.py")
