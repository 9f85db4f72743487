"""The demonstration that PyTorch and NumPy draw the same bits: that it holds, and that it can fail."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console

from compare.draws import why_not_own
from compare.training import one_seed
from compare.training.bench import DRAWS
from compare.training.one_seed import first_difference, run_seeds, same_bits
from scratch.random import TorchGenerator

exact = pytest.mark.skipif(bool(why_not_own("cpu")), reason=why_not_own("cpu"))

SMALL = {"widths": (20, 16, 16, 4), "examples": 70, "epochs": 2}
DROPOUT_MASK, NORMAL = TorchGenerator.dropout_mask, TorchGenerator.normal


def demonstrate(seed: int, **options) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    equal = run_seeds(console, seed, progress=False, **(options or SMALL))
    return equal, console.file.getvalue()


@exact
@pytest.mark.parametrize("seed", [0, 42, -1, 2**32 + 5, 2**64 - 1, -(2**63)])
def test_every_draw_is_equal(seed):
    equal, out = demonstrate(seed)
    assert equal, out
    assert out.endswith("equal: every draw, from the first bit to the last\n")
    assert "First difference: none in 19 arrays." in out
    assert "✗" not in out
    assert "^" not in out


def test_it_fits_a_terminal_of_80_columns_and_a_pipe():
    _, out = demonstrate(-(2**63))
    assert max(map(len, out.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in out.splitlines())
    assert "\x1b" not in out


@exact
def test_the_network_of_the_command_line():
    equal, out = demonstrate(42, epochs=1)
    assert equal, out
    assert "784-256-128-10" in out
    assert f"dropout masks{32:33}{1024 * (256 + 128):12,}{1024 * (256 + 128):12,}  ✓" in out


def last_bit_of_one(self, *arguments, **options):
    z = NORMAL(self, *arguments, **options)
    z.flat[-1] = np.nextafter(z.flat[-1], np.float32(9))
    return z


def one_element_flipped(self, x, p):
    mask = DROPOUT_MASK(self, x, p)
    mask.flat[37] = 1 - mask.flat[37]
    return mask


def complement(self, x, p):
    return self.bernoulli(x.shape, p, x.dtype)


def one_word_too_many(self, x, p):
    mask = DROPOUT_MASK(self, x, p)
    self.random(1)
    return mask


SABOTAGE = {  # the method, what takes its place, and how the first difference is called
    "the last bit of a normal number": (
        "normal",
        last_bit_of_one,
        "7 of 19 (He weights, number 1), [15,19]: ",
    ),
    "an element of a mask": (
        "dropout_mask",
        one_element_flipped,
        "11 of 19 (dropout masks, number 1), [2,5]: ",
    ),
    "p for 1 − p": ("dropout_mask", complement, "11 of 19 (dropout masks, number 1), [0,"),
    "a word too many": ("dropout_mask", one_word_too_many, "12 of 19 (dropout masks, number 2), [0,"),
}


@exact
@pytest.mark.parametrize("name", SABOTAGE)
def test_the_first_wrong_draw_is_named(name, monkeypatch):
    method, wrong, place = SABOTAGE[name]
    monkeypatch.setattr(TorchGenerator, method, wrong)
    equal, out = demonstrate(42)
    assert not equal
    report = " ".join(out[out.index("First difference") :].split())
    assert report.startswith(f"First difference: draw {place}")
    assert " in PyTorch, " in report
    assert "No draw is to blame" not in report
    assert "NOT equal: " in report
    assert report.endswith("training")
    assert max(map(len, out.splitlines())) <= 80


def test_a_wrong_bit_is_marked_where_it_is(monkeypatch):
    monkeypatch.setattr(TorchGenerator, "normal", last_bit_of_one)
    _, out = demonstrate(42)
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("torch.randn(1000)"))
    assert lines[start].endswith("not [999]: 999 of 1000 ✗")
    theirs, ours, marks = lines[start + 1 : start + 4]
    assert theirs.startswith("  PyTorch ")
    assert ours.startswith("  NumPy ")
    width = len("  PyTorch ")
    assert [i for i, mark in enumerate(marks) if mark == "^"] == [
        i for i, (a, b) in enumerate(zip(theirs, ours, strict=True)) if i >= width and a != b
    ]


@exact
def test_more_bits_of_a_seed_than_pytorch_uses(monkeypatch):
    seeded = TorchGenerator.__init__

    def with_64_bits(self, seed: int, **options) -> None:
        seeded(self, seed ^ seed >> 32, **options)

    monkeypatch.setattr(TorchGenerator, "__init__", with_64_bits)
    equal, out = demonstrate(42)
    assert not equal
    assert "\nNOT equal: the low 32 bits" in out


def test_pytorchs_global_generator_is_left_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    demonstrate(42)
    assert torch.equal(torch.get_rng_state(), before)


@exact
def test_a_machine_on_which_nobody_has_looked(monkeypatch):
    monkeypatch.setattr(
        one_seed, "why_not_own", lambda device: "PyTorch's normal numbers have not been verified"
    )
    equal, out = demonstrate(42)
    assert equal
    assert (
        "Differences are to be expected here: PyTorch's normal numbers have not been verified."
        in " ".join(out.split())
    )


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_no_such_seed(seed):
    with pytest.raises(ValueError, match="seed"):
        demonstrate(seed)


def test_first_difference():
    a, b = ("normal", np.float32([1, 0])), ("normal", np.float32([1, -0.0]))
    assert first_difference([a], [a]) == ""
    assert first_difference([a, a], [a, b]).endswith("number 2), [1]: 0.0 in PyTorch, -0.0 in NumPy")
    assert first_difference([a], []) == "draw 1 of 1, normal (2,) in PyTorch, nothing (0,) in NumPy"
    assert first_difference([a], [a, b]) == "draw 2 of 1, nothing (0,) in PyTorch, normal (2,) in NumPy"
    assert (
        first_difference([a], [("mask", a[1])]) == "draw 1 of 1, normal (2,) in PyTorch, mask (2,) in NumPy"
    )


def test_same_bits():
    a = np.float32([0, np.nan, 1])
    assert same_bits(a, np.float32([-0.0, np.nan, 1])).tolist() == [False, True, True]
    assert not same_bits(a.astype(np.float64), a).any()
    assert not same_bits(a[:2], a).any()


@pytest.mark.parametrize("name", DRAWS)
def test_the_benchmark_draws_as_many_on_both_sides(name):
    ours, theirs, _ = DRAWS[name]
    assert ours(TorchGenerator(0)).shape == tuple(theirs().shape) == (10**6,)
