"""Parts of a whole, called by copies of this process or by itself."""

import os
import subprocess
import sys
import time
import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from test_hostile import is_alive, wait_for

from compare import environment
from compare.environment import FEW, one_thread, spread, undisturbed

ROOT = Path(__file__).parent.parent

forked = pytest.mark.skipif(
    sys.platform != "linux" or os.cpu_count() == 1, reason="copies are made on Linux, where there are cores"
)
MANY = range(3 * FEW)


def own(i: int) -> tuple[int, int]:
    return i, os.getpid()


def test_what_the_parts_return_comes_in_their_order():
    def after_a_while(i: int) -> int:
        time.sleep(0.05 * (i == 0))
        return i

    assert spread([partial(after_a_while, i) for i in MANY]) == list(MANY)
    assert spread([]) == []


@forked
def test_many_parts_are_called_by_copies_and_few_or_those_of_a_gpu_here():
    here = os.getpid()
    parts = [partial(own, i) for i in MANY]
    assert here not in {process for _, process in spread(parts)}
    assert {process for _, process in spread(parts[: FEW - 1])} == {here}
    assert {process for _, process in spread(parts, "cuda")} == {here}


def test_without_another_core_they_are_called_here(monkeypatch):
    monkeypatch.setattr(environment.os, "cpu_count", lambda: 1)
    assert {process for _, process in spread([partial(own, i) for i in MANY])} == {os.getpid()}


def test_progress_is_told_of_every_part():
    told = []
    for parts in MANY, MANY[: FEW - 1]:
        spread([partial(own, i) for i in parts], progress=lambda i: told.append((i, os.getpid())))
        assert sorted(told) == [(i, os.getpid()) for i in parts]
        told.clear()


@pytest.mark.parametrize("count", [1, len(MANY)])
def test_what_a_part_raises_is_raised_here(count):
    def fails() -> None:
        raise ValueError("x: expected 1, got 2")

    with pytest.raises(ValueError, match="x: expected 1, got 2"):
        spread([fails] * count)


def test_what_is_set_here_is_set_there(monkeypatch):
    """Settings, replaced functions and the random numbers to come."""

    def seen() -> tuple:
        state = torch.get_rng_state().numpy().tobytes()
        return np.geterr()["over"], torch.get_num_threads(), torch.is_grad_enabled(), environment.ROOM, state

    monkeypatch.setattr(environment, "ROOM", 1024)
    with one_thread(), undisturbed(), np.errstate(over="raise"), torch.no_grad():
        torch.manual_seed(7)
        found = spread([seen] * len(MANY))
        assert set(found) == {("raise", 1, False, 1024, torch.get_rng_state().numpy().tobytes())}


@forked
def test_copies_end_with_a_part_that_fails(tmp_path):
    """Those that would wait for long too."""

    def waits(i: int) -> None:
        (tmp_path / str(os.getpid())).touch()
        if i == 0:
            wait_for(lambda: len(list(tmp_path.iterdir())) > 1, 20)
            raise KeyboardInterrupt
        time.sleep(1000)

    with pytest.raises(KeyboardInterrupt):
        spread([partial(waits, i) for i in MANY])
    processes = [int(path.name) for path in tmp_path.iterdir()]
    assert len(processes) >= 2
    wait_for(lambda: not any(map(is_alive, processes)), 20)


@forked
def test_a_copy_that_is_killed_is_told_in_a_line():
    with pytest.raises(OSError, match="one of the processes was killed"):
        spread([lambda: os.kill(os.getpid(), 9)] * len(MANY))


COMPILER = """
import sys, torch
from compare.environment import leave_out_compiler
leave_out_compiler()
stand_in = sys.modules["torch._dynamo"]
param = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
optimizer = torch.optim.Adam([param])
torch.optim.lr_scheduler.StepLR(optimizer, 1)
param.grad = torch.ones_like(param)
optimizer.step()
assert sys.modules["torch._dynamo"] is torch._dynamo is stand_in and "torch._dynamo.config" not in sys.modules
{then}
assert sys.modules["torch._dynamo"] is torch._dynamo is not stand_in
doubled = torch.compile(lambda x: 2 * x, backend="eager")(param.detach())
print(doubled.round(decimals=3).tolist(), optimizer.step())
"""


def python(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    "then",
    [
        "",
        "torch._dynamo.reset()",
        "import torch._dynamo.config",
        "from torch._dynamo import allow_in_graph",
        "import torch._inductor.utils; assert torch._inductor.utils.ceildiv(5, 2) == 3",
    ],
)
def test_the_compiler_is_left_out_until_somebody_compiles(then):
    """PyTorch's optimizers do without it; who compiles, or asks for a part of it, gets it."""
    program = COMPILER.format(then=then or "torch.compile(lambda x: x, backend='eager')(param)")
    result = python(program)
    assert (result.stdout.strip(), result.returncode) == ("[1.998, 1.998, 1.998] None", 0), result.stderr


def test_a_compiler_that_is_there_stays(monkeypatch):
    names = ("torch._dynamo", "torch._inductor.utils", "torch.fx.experimental.symbolic_shapes")
    there = {name: types.ModuleType(name) for name in names}
    for name, module in there.items():
        monkeypatch.setitem(sys.modules, name, module)
    environment.leave_out_compiler()
    assert all(sys.modules[name] is module for name, module in there.items())


GRADIENTS = """
import sys, torch
from compare.environment import leave_out_compiler
leave_out_compiler()
at_once = "sympy" in sys.modules  # with some version of PyTorch
x = torch.ones(2, 3, requires_grad=True)
(2 * x).backward(torch.ones(2, 3))
for wrong in ((3, 2), (2, 2), (3,), (2, 3, 1)):
    try:
        (2 * x).backward(torch.ones(wrong))
    except RuntimeError as error:
        assert "Mismatch in shape" in str(error)
    else:
        raise AssertionError(wrong)
assert ("sympy" in sys.modules) is at_once
import torch.fx.experimental.symbolic_shapes as shapes
assert shapes.sym_or(False, shapes.expect_true(shapes.sym_eq((2, 3), (2, 3)))) is True
assert "sympy" in sys.modules
torch.compile(lambda x: 3 * x.sum(), backend="aot_eager", dynamic=True)(x).backward()
print(x.grad[0].tolist())
"""


def test_a_gradient_takes_no_formulas_of_shapes_until_somebody_asks_for_one():
    """Its shape is checked all the same."""
    result = python(GRADIENTS)
    assert (result.stdout.strip(), result.returncode) == ("[5.0, 5.0, 5.0]", 0), result.stderr


def test_to_read_pytorchs_tests_takes_no_compiler():
    program = """
import sys
from compare.cases.vectors.torch_tests import trials
from compare.environment import leave_out_compiler
leave_out_compiler()
print(len(list(trials(["relu"]))), {"torch._dynamo.config", "torch._inductor"} & sys.modules.keys())
"""
    result = python(program)
    count, _, compiler = result.stdout.strip().partition(" ")
    assert int(count) > 0, result.stderr
    assert compiler == "set()"
