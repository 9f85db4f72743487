"""One seed, the same bits: PyTorch's random numbers and NumPy's side by side, and a training run on each.

Nothing is handed from one side to the other. PyTorch runs as anyone would run it after `torch.manual_seed`,
scratch/ on a `TorchGenerator` of the same seed; every draw of both is written down, and compared bit by bit.
"""

import itertools
import math
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text
from torch import nn

from compare.draws import Dispatch, why_not_own
from compare.environment import one_thread
from compare.training.sides import ScratchSide, Setup, TorchSide
from scratch.random import TorchGenerator
from scratch.regularization import dropout_forward

WIDTHS, DROPOUT, EXAMPLES, BATCH, EPOCHS = (784, 256, 128, 10), 0.2, 1024, 64, 3
COLUMNS = 80  # of the widest line

aten = torch.ops.aten
Cells = list[tuple[str, str]]  # pieces of a line, each with its style
Draws = list[tuple[str, np.ndarray]]  # kind and values, in the order of drawing


def run_seeds(
    console: Console,
    seed: int,
    progress: bool = True,
    *,
    widths: Sequence[int] = WIDTHS,
    examples: int = EXAMPLES,
    epochs: int = EPOCHS,
) -> bool:
    """Print the demonstration; return whether all draws are equal, to the bit.

    PyTorch's global generator is left as it was.

    Args:
        console: where to
        seed: of everything but the examples
        progress: show a bar on stderr, if that is a terminal
        widths: of the network
        examples: how many the network sees in an epoch
        epochs: how long it is trained

    Raises:
        TypeError, ValueError: as `TorchGenerator` for the seed.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PyTorch's normal numbers")  # said by `why_not_own`
        variant = TorchGenerator(seed).variant
        console.print(Text("One seed, the same bits", "bold"))
        _paragraph(
            console,
            f"PyTorch draws after torch.manual_seed({seed}), NumPy from TorchGenerator({seed}), its normal"
            f" numbers in the arithmetic “{variant}”. A bit that differs is marked.",
        )
        console.print(Text.assemble(*LEGEND))
        if why := why_not_own("cpu"):
            _paragraph(console, f"Differences are to be expected here: {why}.", "yellow")
        equal = {stream.call: _show_stream(console, seed, stream) for stream in STREAMS}
        equal["the low 32 bits"] = _show_low_bits(console, seed)
        equal["training"] = _show_training(console, seed, progress, widths, examples, epochs)
    if different := [name for name, its_equal in equal.items() if not its_equal]:
        _paragraph(console, f"NOT equal: {', '.join(different)}", "bold red")
    else:
        _paragraph(console, "equal: every draw, from the first bit to the last", "bold green")
    return not different


# ---- the first values of some streams


LEGEND = ("The bits of a float32: ", ("±", "magenta"), (" exponent", "yellow"), (" mantissa", "green"), ".")


def bits(values: np.ndarray) -> Cells:
    """A number and its bits: sign, exponent and mantissa of a float32, or the 32 of an integer."""
    value, styles = values[0], []
    if isinstance(value, np.floating):
        digits = f"{np.float32(value).view(np.uint32):032b}"
        groups, styles = [digits[:1], digits[1:9], digits[9:12], *_fours(digits[12:])], ["magenta", "yellow"]
    else:
        groups = _fours(f"{value:032b}")
    cells: Cells = [(character, "") for character in f"{value!s:>13}   "]
    for group, style in itertools.zip_longest(groups, styles, fillvalue="green"):
        cells += [*((digit, style) for digit in group), (" ", "")]
    return cells


def integers(values: np.ndarray) -> Cells:
    """Numbers below 1000."""
    return [(f"{value:4}", "green") for value in values]


def zeros_and_ones(values: np.ndarray) -> Cells:
    """A digit each, in groups of four."""
    digits = "".join(f"{value:d}" for value in values)
    styles = {"0": "yellow", "1": "green", " ": ""}
    return [(digit, styles[digit]) for digit in " ".join(_fours(digits))]


def _fours(digits: str) -> list[str]:
    return [digits[start : start + 4] for start in range(0, len(digits), 4)]


@dataclass(frozen=True)
class Stream:
    """A call of PyTorch's, and its twin."""

    call: str
    remark: str
    torch: Callable[[], torch.Tensor]
    scratch: Callable[[TorchGenerator], np.ndarray]
    cells: Callable[[np.ndarray], Cells] = bits  # how values are shown,
    per_line: int = 1  # how many in a line
    lines: int = 2  # and in how many lines


STREAMS = (
    Stream(
        "torch.randint(0, 2**32, (1000,))",
        "the latter of two words",
        lambda: torch.randint(0, 2**32, (1000,)),
        lambda generator: generator.randint(0, 2**32, 1000),
    ),
    Stream(
        "torch.rand(1000)",
        "24 bits of a word",
        lambda: torch.rand(1000),
        lambda generator: generator.rand(1000),
    ),
    Stream(
        "torch.randn(1000)",
        "in blocks of 16",
        lambda: torch.randn(1000),
        lambda generator: generator.randn(1000),
    ),
    Stream(
        "torch.randn(15)",
        "fewer than 16: in pairs",
        lambda: torch.randn(15),
        lambda generator: generator.randn(15),
    ),
    Stream(
        "torch.randperm(1000)",
        "swaps",
        lambda: torch.randperm(1000),
        lambda generator: generator.randperm(1000),
        *(integers, 14, 1),
    ),
    Stream(
        "F.dropout(torch.ones(1000), 0.2)",
        "1 kept, 0 dropped",
        lambda: nn.functional.dropout(torch.ones(1000), DROPOUT) > 0,
        lambda generator: dropout_forward(np.ones(1000, np.float32), DROPOUT, generator)[0] > 0,
        *(zeros_and_ones, 44, 1),
    ),
)


def _show_stream(console: Console, seed: int, stream: Stream) -> bool:
    """The first values of a stream; if there is a difference, those from the first that differs."""
    torch.manual_seed(seed)
    theirs, ours = stream.torch().numpy(), stream.scratch(TorchGenerator(seed))
    equal = same_bits(ours, theirs)
    first = int(np.argmin(equal))  # 0 if all are equal
    count = f"{'' if equal.all() else f'not [{first}]: '}{equal.sum()} of {equal.size} "
    heading = Text.assemble((f"{stream.call:37}", "bold"), (stream.remark, "dim"))
    heading.append(count.rjust(COLUMNS - 1 - len(heading)))
    console.print()
    console.print(heading + _mark(equal.all()), soft_wrap=True)
    for start in range(first, min(first + stream.lines * stream.per_line, len(theirs)), stream.per_line):
        shown = slice(start, start + stream.per_line)
        _print_pair(console, stream.cells(theirs[shown]), stream.cells(ours[shown]))
    return bool(equal.all())


def _print_pair(console: Console, theirs: Cells, ours: Cells) -> None:
    """Two lines; a cell that differs is red, and marked in a third one for who sees no colours."""
    differ = [a[0] != b[0] for a, b in zip(theirs, ours, strict=True)]
    for name, cells in (("PyTorch", theirs), ("NumPy", ours)):
        line = Text(f"  {name:8}")
        for (text, style), different in zip(cells, differ, strict=True):
            line.append(text, "bold white on red" if different else style)
        line.rstrip()
        console.print(line, soft_wrap=True)
    if any(differ):
        marks = "".join(
            ("^" if different else " ") * len(text) for (text, _), different in zip(ours, differ, strict=True)
        )
        console.print(Text(f"{'':10}{marks.rstrip()}", "bold red"), soft_wrap=True)


def _show_low_bits(console: Console, seed: int) -> bool:
    """A surprise: on a CPU, PyTorch uses 32 of the 64 bits of a seed."""
    other, sign = (seed + 2**32, "+") if seed < 2**64 - 2**32 else (seed - 2**32, "-")
    draws = []
    for one in (seed, other):
        torch.manual_seed(one)
        draws += [torch.rand(1000).numpy(), TorchGenerator(one).rand(1000)]
    equal = all(same_bits(draw, draws[0]).all() for draw in draws)
    console.print()
    _paragraph(
        console,
        f"Only the low 32 bits of a seed count on a CPU: {seed} and {other} ({seed} {sign} 2**32) "
        f"{'give the same numbers' if equal else 'should give the same numbers, and do not'}.",
        "" if equal else "bold red",
    )
    return equal


# ---- a whole training run


@dataclass
class Run:
    """What one side drew, and what came of it."""

    draws: Draws = field(default_factory=list)
    start: np.ndarray = field(default_factory=lambda: np.empty(0))  # all parameters
    end: np.ndarray = field(default_factory=lambda: np.empty(0))
    state: np.ndarray = field(default_factory=lambda: np.empty(0))  # of the generator
    cost: list[float] = field(default_factory=list)  # of every step

    def of(self, kind: str) -> list[np.ndarray]:
        """The draws of one kind."""
        return [values for its_kind, values in self.draws if its_kind == kind]


class TorchRecorder(Dispatch):
    """While active, tells `record` what PyTorch's random kernels draw for a network."""

    def __init__(self, record: Callable[[str, np.ndarray], Any]) -> None:
        super().__init__()
        self._record = record
        self._shuffler: Any = None
        self._kinds = {
            aten.uniform_.default: "uniform",
            aten.normal_.default: "normal",
            aten.bernoulli_.float: "mask",
            aten.randperm.generator: "order",
        }

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        kind = self._kinds.get(func)
        if kind == "order":
            # A sampler permutes once more at the end of an epoch, and uses nothing of it.
            generator = (kwargs or {})["generator"]
            kind = None if generator is self._shuffler else kind
            self._shuffler = generator
        if kind and not result.is_meta:  # a tensor of no numbers takes none
            self._record(kind, result.detach().numpy())
        return result


class RecordingGenerator(TorchGenerator):
    """A `TorchGenerator` that tells `record` what it draws."""

    def __init__(self, seed: int, *, record: Callable[[str, np.ndarray], Any]) -> None:
        super().__init__(seed)
        self._record = record

    def uniform(self, *args: Any, **options: Any) -> np.ndarray:
        """Draw and record."""
        return self._record("uniform", super().uniform(*args, **options))

    def normal(self, *args: Any, **options: Any) -> np.ndarray:
        """Draw and record."""
        return self._record("normal", super().normal(*args, **options))

    def dropout_mask(self, x: np.ndarray, p: float) -> np.ndarray:
        """Draw and record."""
        return self._record("mask", super().dropout_mask(x, p))

    def epoch_order(self, n: int) -> np.ndarray:
        """Draw and record."""
        return self._record("order", super().epoch_order(n))


def make_examples(widths: Sequence[int], examples: int) -> tuple[np.ndarray, np.ndarray]:
    """A synthetic set, the same whatever the seed of the demonstration: a noisy centre for each class."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, widths[-1], examples)
    centres = rng.standard_normal((widths[-1], widths[0]))
    x = 0.1 * centres[targets] + rng.standard_normal((examples, widths[0]))
    return x.astype(np.float32), targets


def train(
    name: str,
    seed: int,
    widths: Sequence[int],
    x: np.ndarray,
    targets: np.ndarray,
    epochs: int,
    tick: Callable[[], Any],
) -> Run:
    """Train PyTorch as its users do, after `torch.manual_seed(seed)`; NumPy on a `TorchGenerator(seed)`."""
    run, setup = Run(), Setup({"widths": widths, "dropout": DROPOUT})

    def record(kind: str, values: np.ndarray) -> np.ndarray:
        run.draws.append((kind, values.copy()))
        tick()
        return values

    def parameters() -> np.ndarray:
        return np.concatenate([array.ravel() for array in side.weights().values()])

    generator = RecordingGenerator(seed, record=record)
    with TorchRecorder(record):
        torch.manual_seed(seed)
        side = TorchSide(setup) if name == "PyTorch" else ScratchSide(setup, generator)
        run.start = parameters()
        for _ in range(epochs):
            run.cost += [side.step(*batch) for batch in side.minibatches(x, targets, BATCH)]
    run.end = parameters()
    run.state = torch.get_rng_state().numpy() if name == "PyTorch" else generator.get_state()
    return run


KINDS = {
    "uniform": "nn.Linear's own parameters",
    "normal": "He weights",
    "order": "orders of the examples",
    "mask": "dropout masks",
}


def _show_training(
    console: Console, seed: int, progress: bool, widths: Sequence[int], examples: int, epochs: int
) -> bool:
    """Train on both sides, and compare everything that was drawn."""
    console.print()
    _paragraph(console, "A network built, shuffled and trained on both sides, nothing handed across", "bold")
    _paragraph(
        console,
        f"{'-'.join(map(str, widths))}, He, ReLU, dropout {DROPOUT}, cross-entropy; Adam, {epochs} epochs in"
        f" batches of {BATCH}. The {examples} examples are data, not draws: one synthetic set for all seeds.",
    )
    theirs, ours = _train(seed, progress, widths, *make_examples(widths, examples), epochs)
    console.print()
    console.print(Text(f"{'draws':41}{'arrays':>6}{'elements':>12}{'equal':>12}", "bold"), soft_wrap=True)
    equal = [_show_row(console, title, theirs.of(kind), ours.of(kind)) for kind, title in KINDS.items()]
    equal.append(_show_row(console, "parameters that training starts from", [theirs.start], [ours.start]))
    equal.append(_show_row(console, "bytes of the generator's last state", [theirs.state], [ours.state]))
    difference = first_difference(theirs.draws, ours.draws)
    if difference:
        _paragraph(console, f"First difference: {difference}.", "bold red")
    else:
        _paragraph(console, f"First difference: none in {len(theirs.draws)} arrays.")
    _show_costs(console, theirs, ours, epochs)
    drift = f"The trained parameters are at most {np.abs(theirs.end - ours.end).max():.1e} apart."
    if not difference:
        drift += (
            " No draw is to blame: each library adds up a product of matrices in an order of its own, hence"
            " rounds differently, and training lets that grow."
        )
    _paragraph(console, drift)
    console.print()
    return all(equal) and not difference


def _train(
    seed: int, progress: bool, widths: Sequence[int], x: np.ndarray, targets: np.ndarray, epochs: int
) -> list[Run]:
    stderr = Console(stderr=True)
    columns, hidden = (TextColumn("{task.description}"), BarColumn()), not (progress and stderr.is_terminal)
    layers, steps = len(widths) - 1, math.ceil(len(x) / BATCH)
    runs = []
    with one_thread(), Progress(*columns, console=stderr, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=2 * (3 * layers + epochs * (1 + steps * (layers - 1))))
        for name in ("PyTorch", "NumPy"):
            bar.update(task, description=name)
            runs.append(train(name, seed, widths, x, targets, epochs, lambda: bar.advance(task)))
    return runs


def _show_row(console: Console, title: str, theirs: list[np.ndarray], ours: list[np.ndarray]) -> bool:
    same = sum(int(same_bits(a, b).sum()) for a, b in zip(ours, theirs, strict=False))
    elements = sum(values.size for values in theirs)
    equal = len(ours) == len(theirs) and same == elements
    row = Text(f" {title:40}{len(theirs):6}{elements:12,}{same:12,}  ")
    console.print(row + _mark(equal), soft_wrap=True)
    return equal


def _show_costs(console: Console, theirs: Run, ours: Run, epochs: int) -> None:
    console.print()
    console.print(Text(f"epoch{'loss: PyTorch':>20}{'NumPy':>14}", "bold"))
    costs = (np.reshape(run.cost, (epochs, -1)).mean(axis=1) for run in (theirs, ours))
    for epoch, (their_cost, our_cost) in enumerate(zip(*costs, strict=True), start=1):
        console.print(Text(f"{epoch:5}{their_cost:20.8f}{our_cost:14.8f}"))


def first_difference(theirs: Draws, ours: Draws) -> str:
    """Name the first draw that differs, and the first element in it; empty if there is none."""
    nothing = ("nothing", np.empty(0))
    for i, ((kind, a), (our_kind, b)) in enumerate(itertools.zip_longest(theirs, ours, fillvalue=nothing)):
        place = f"draw {i + 1} of {len(theirs)}"
        if kind != our_kind or a.shape != b.shape:
            return f"{place}, {kind} {a.shape} in PyTorch, {our_kind} {b.shape} in NumPy"
        equal = same_bits(b, a)
        if not equal.all():
            number = sum(its_kind == kind for its_kind, _ in theirs[: i + 1])
            index = np.unravel_index(np.argmin(equal), a.shape)
            values = f"{a[index]!s} in PyTorch, {b[index]!s} in NumPy"
            return f"{place} ({KINDS[kind]}, number {number}), [{','.join(map(str, index))}]: {values}"
    return ""


def same_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Element by element, whether all bits are the same; False where shape or dtype differ."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return np.zeros(b.shape, bool)
    unsigned = f"u{a.dtype.itemsize}"
    return a.view(unsigned) == b.view(unsigned)


def _mark(equal: Any) -> Text:
    return Text("✓", "green") if equal else Text("✗", "bold red")


def _paragraph(console: Console, text: str, style: str = "") -> None:
    lines = textwrap.fill(text, min(console.width, COLUMNS), break_on_hyphens=False)
    console.print(Text(lines, style), soft_wrap=True)
