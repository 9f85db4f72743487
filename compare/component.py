"""What the harness compares: a component is two functions from the same case to the same named arrays."""

import ast
import difflib
import functools
import importlib
import inspect
import itertools
import operator
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch

from compare.draws import OwnDraws, SharedDraws, Widened
from scratch.random import Generator, NumpyGenerator, TorchGenerator

DTYPES: dict[str, Any] = {"float32": np.float32, "float64": np.float64}
Results = dict[str, Any]  # name of an array → the array (NumPy on one side, PyTorch on the other)
T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """One input of a component: named arrays, options, and the seed of every draw that it makes."""

    name: str
    arrays: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    dtype: Any = np.float64
    device: str = "cpu"  # where the PyTorch side runs
    draws: str = "shared"  # own: each side draws for itself; shared: one NumPy draw for both
    drawn_in: Any = None  # the dtype of the draws, where it is not `dtype`
    finite: bool = True  # False where overflow, NaN or infinity are the point of the case

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def but(self, name: str, arrays: Mapping[str, Any] | None = None, **options: Any) -> "Case":
        """The same case under another name, with some arrays and options replaced."""
        arrays = {**self.arrays, **(arrays or {})}
        return replace(self, name=name, arrays=arrays, options={**self.options, **options})

    def generator(self) -> Generator:
        """A fresh source of this case's draws for scratch."""
        source: Any = TorchGenerator(self.seed) if self.draws == "own" else NumpyGenerator(self.seed)
        return Widened(source, self.drawn_in) if self.drawn_in else source

    def torch_draws(self) -> OwnDraws | SharedDraws:
        """A context in which PyTorch, asked for random numbers, gives this case's draws."""
        return OwnDraws(self.seed) if self.draws == "own" else SharedDraws(NumpyGenerator(self.seed))

    def for_scratch(self) -> "Case":
        """The same case with arrays that nothing can write to: a function must not change its inputs."""
        return replace(self, arrays={name: _read_only(array) for name, array in self.arrays.items()})

    def for_torch(self, device: str) -> "Case":
        """The same case with tensors on `device`, strides kept."""
        tensors = {
            name: torch.from_numpy(copy_with_strides(array)).to(device) for name, array in self.arrays.items()
        }
        return replace(self, arrays=tensors, dtype=getattr(torch, np.dtype(self.dtype).name), device=device)

    def in_higher_precision(self, dtype: Any) -> "Case":
        """The same values in `dtype`: arrays, draws, and float options too, so that 0.9 does not limit it."""

        def widen(value: Any) -> Any:
            if isinstance(value, float):
                return np.dtype(dtype).type(value)
            if isinstance(value, tuple):
                return tuple(map(widen, value))
            return value

        arrays = {
            name: array.astype(dtype) if array.dtype.kind == "f" else array
            for name, array in self.arrays.items()
        }
        options = {name: widen(value) for name, value in self.options.items()}
        return replace(self, arrays=arrays, options=options, dtype=dtype, drawn_in=self.dtype)


class Choose(Protocol):
    """What a random case is made with: whoever chooses may look for the simplest case that fails."""

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""

    def number(self, low: float, high: float, dtype: Any = np.float64) -> float:
        """From low to high, both included: a number that is exact in the dtype."""

    def one_of(self, values: Sequence[T]) -> T:
        """One of the values, of which the first is the simplest."""

    def assume(self, condition: bool) -> None:
        """Go on with this case only if the condition is true."""


@dataclass(frozen=True)
class Budget:
    """How many rounding units two right answers may lie apart, and why.

    `units` is a number, or a function of the case where a sum of n terms makes more inevitable.
    On CUDA other reduction orders apply; where that changes the number, `cuda_units` says so.
    """

    units: float | Callable[[Case], float]
    reason: str
    cuda_units: float | None = None
    cuda_reason: str = ""

    def allowed(self, case: Case, device: str) -> float:
        """The number for one case on one device."""
        if device.startswith("cuda") and self.cuda_units is not None:
            return self.cuda_units
        return self.units(case) if callable(self.units) else self.units


class Edge(NamedTuple):
    """An input at a limit.

    Attributes:
        edge: the row of the table: what stands at its limit
        what: which of several, or with what beside it
        case: the input
        run_scratch, run_torch: where they are not the component's
    """

    edge: str
    what: str
    case: Case
    run_scratch: Callable[[Case, Any], Results] | None = None
    run_torch: Callable[[Case], Results] | None = None


@dataclass(frozen=True)
class Edges:
    """Where NaN, ±∞, ±0 and the like are put, and which shapes and settings are at their limits.

    Args:
        bases: the names of the cases that values are put into; else “odd”, “typical” or the first
        arrays: those of their arrays, where it is not all
        rows: the arrays that have a row for each example: of these no row, one, and two that are the same
        others: the first of the cases → all other edges
        prepared: such a case → the one that is taken in its place
    """

    bases: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    others: Callable[[Case], Iterable[Edge]] = lambda case: ()
    prepared: Callable[[Case], Case] = lambda case: case


@dataclass(frozen=True)
class Departure:
    """Edges at which scratch departs from PyTorch on purpose, and the reason, as one sentence

    The sign and the payload of a NaN are nobody's promise and are not compared.

    Args:
        edges: the rows of the table
        what: patterns of what stands at the edge
        reason: why
        dtypes: where it is not both
        depends_on: what of the kernels of processor and libraries decides which of the edges depart, if any
            do: of `cases.limits`; empty where every one departs with every kernel
    """

    edges: tuple[str, ...]
    what: tuple[str, ...]
    reason: str
    dtypes: tuple[str, ...] = tuple(DTYPES)
    depends_on: str = ""

    def covers(self, edge: str, what: str, dtype: str) -> bool:
        """Whether it speaks of this edge."""
        patterns = (fnmatchcase(what, pattern) for pattern in self.what)
        return edge in self.edges and dtype in self.dtypes and any(patterns)


@dataclass(frozen=True)
class Mistake:
    """A wrong version that people really write: an edit of scratch's own text.

    Args:
        name: two or three words
        explanation: what is wrong and what comes of it, in a sentence
        edits: (before, after), the one or two places that differ; each `before` stands exactly once in the
            component's functions and what they call in their file
        convention: where it is no mistake, but what others mean by the same word: who, in a few words
        text: the component's text, which the component hands to its mistakes
    """

    name: str
    explanation: str
    edits: Sequence[tuple[str, str]]
    convention: str = ""
    text: "Text | None" = None

    @property
    def functions(self) -> Mapping[str, Callable]:
        """The component's functions that it changes, by name."""
        assert self.text is not None, f"{self.name}: no component has this mistake"
        return self.text.functions(tuple(self.edits))

    @functools.cached_property
    def diff(self) -> str:
        """The right lines after −, the wrong ones after +; nothing where the right ones were changed."""
        assert self.text is not None, f"{self.name}: no component has this mistake"
        try:
            return self.text.diff(tuple(self.edits))
        except ValueError:  # as whoever breaks a line to see the comparison catch it
            return ""


SEEDED = "the same is drawn at every call: is a seed set inside the function?"
OUR_DRAWS = "the draws are ours, and what is made of them is something else"


@dataclass(frozen=True)
class Stream:
    """What is right of draws from another stream than ours.

    Args:
        method: what to draw with instead, for the same bits: "generator.epoch_order(m)"
        against: (cases, results, expected) → what speaks against these results being draws from the same
            distribution, consistent in themselves; nothing if they are
    """

    method: str
    against: Callable[[Sequence[Case], Sequence[Results], Sequence[Results]], str]


@dataclass(frozen=True)
class Definition:
    """A function, class or name, and where it stands."""

    name: str  # a method is called Class.method
    path: str  # scratch/linear.py
    first: int  # number of its first line
    code: str
    calls: frozenset[str] = frozenset()  # the names in it, a method of its own class as Class.method
    is_code: bool = False  # a function or a class

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.first + self.code.count("\n")


def path_of(module: ModuleType) -> str:
    """Where a module stands: scratch/linear.py, scratch/random/__init__.py."""
    return module.__name__.replace(".", "/") + ("/__init__.py" if hasattr(module, "__path__") else ".py")


@functools.cache
def definitions(module: ModuleType) -> Mapping[str, Definition]:
    """What a module defines or imports at its top level and in its classes, by name

    To a name that is assigned belongs the string below it, which describes it as a docstring would.
    """
    source = inspect.getsource(module)
    path = path_of(module)
    found: dict[str, Definition] = {}
    top = ast.parse(source).body
    described = {id(node): below for node, below in itertools.pairwise(top) if _describes(node, below)}
    nodes = [("", node) for node in top]
    nodes += [(f"{c.name}.", node) for _, c in nodes if isinstance(c, ast.ClassDef) for node in c.body]
    for prefix, node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined = [target.id for target in targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined = [alias.asname or alias.name for alias in node.names]
        else:
            defined = [getattr(node, "name", "")]
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        last = described.get(id(node), node).end_lineno
        code = textwrap.dedent("\n".join(source.splitlines()[first - 1 : last]))
        is_code = isinstance(node, ast.FunctionDef | ast.ClassDef)
        calls = frozenset(_called(node, prefix))
        for name in defined:
            found[prefix + name] = Definition(prefix + name, path, first, code, calls, is_code)
    return found


def _describes(node: ast.stmt, below: ast.stmt) -> bool:
    text = below.value if isinstance(below, ast.Expr) else None
    return isinstance(node, ast.Assign) and isinstance(text, ast.Constant) and isinstance(text.value, str)


def _called(node: ast.AST, prefix: str) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Name):
            yield child.id
        elif prefix and isinstance(child, ast.Attribute) and ast.unparse(child.value) == "self":
            yield prefix + child.attr


@dataclass(frozen=True)
class Text:
    """What a component is written as: its functions in scratch/, and what they call in their file."""

    topic: str
    names: tuple[str, ...]  # of the component's functions and classes

    def functions(self, edits: tuple[tuple[str, str], ...]) -> Mapping[str, Callable]:
        """Those functions that are others after the edits: they run in a copy of the file, edited."""
        return _edited(self, edits)

    def diff(self, edits: tuple[tuple[str, str], ...]) -> str:
        """The changed lines with the line around them, one change below the other."""
        before, after = self._source.splitlines(), self.edit(edits)[0].splitlines()
        hunks = difflib.unified_diff(before, after, n=1, lineterm="")
        lines = ["…" if line.startswith("@@") else line for line in list(hunks)[2:]]
        margin = min(len(line[1:]) - len(line[1:].lstrip()) for line in lines if line[1:].strip())
        shown = [f"{line[:1]} {line[1 + margin :]}" for line in lines[1:]]
        return "\n".join(line for line in shown if line.strip())

    def edit(self, edits: Sequence[tuple[str, str]], text: str = "") -> tuple[str, set[str]]:
        """The file (or a text with the same lines) after the edits, and the definitions that they are in.

        Raises:
            ValueError: a `before` that does not occur exactly once, or two that overlap.
        """
        text, own = text or self._source, self._own
        places, changed = [], set()
        for before, after in edits:
            found = []
            for match in re.finditer(re.escape(before), text):
                first, last = (text.count("\n", 0, i) + 1 for i in (match.start(), match.end() - 1))
                if around := {name for name, d in own.items() if d.first <= first and last <= d.last}:
                    found.append(_changed(match.start(), before, after))
                    changed |= around
            if len(found) != 1:
                where = f"scratch/{self.topic}: {', '.join(self.names)}"
                raise ValueError(f"{where}: expected {before!r} exactly once, found it {len(found)} times")
            places += found
        places.sort()
        if any(end > start or a == start for (a, end, _), (start, _, _) in itertools.pairwise(places)):
            raise ValueError(
                f"scratch/{self.topic}: expected edits of different places, got overlapping ones"
            )
        for start, end, after in reversed(places):
            text = text[:start] + after + text[end:]
        return text, changed

    @property
    def _module(self) -> ModuleType:
        return importlib.import_module(f"scratch.{self.topic}")

    @functools.cached_property
    def _source(self) -> str:
        return inspect.getsource(self._module)

    @functools.cached_property
    def _own(self) -> Mapping[str, Definition]:
        known = definitions(self._module)
        return {name: known[name] for name in set().union(*map(self._called, self.names))}

    @functools.cached_property
    def alone(self) -> str:
        """The file, with empty lines for the functions and classes that the component does without."""
        lines = self._source.splitlines(keepends=True)
        own = {name.partition(".")[0] for name in self._own}
        for name, other in definitions(self._module).items():
            if other.is_code and "." not in name and name not in own:
                lines[other.first - 1 : other.last] = ["\n"] * (other.last - other.first + 1)
        return "".join(lines)

    def _called(self, name: str) -> set[str]:
        """A definition and all that it calls in the same file, and so on."""
        known, reached, waiting = definitions(self._module), set(), [name]
        while waiting:
            reached.add(name := waiting.pop())
            waiting += (known[name].calls & known.keys()) - reached
        return reached


def _changed(start: int, before: str, after: str) -> tuple[int, int, str]:
    """Where an edit begins and ends, and what comes there: only what it really changes."""
    tail = _alike(before[::-1], after[::-1])
    head = _alike(before[: len(before) - tail], after[: len(after) - tail])
    return start + head, start + len(before) - tail, after[head : len(after) - tail]


def _alike(a: str, b: str) -> int:
    """How many characters two texts begin with that are the same."""
    return sum(itertools.takewhile(bool, map(operator.eq, a, b)))


@functools.cache
def _edited(text: Text, edits: tuple[tuple[str, str], ...]) -> Mapping[str, Callable]:
    source, changed = text.edit(edits, text.alone)
    module = ModuleType(f"scratch.{text.topic}")
    vars(module).update(vars(text._module))
    exec(compile(source, f"scratch/{text.topic}.py, edited", "exec"), vars(module))
    return {name: getattr(module, name) for name in text.names if text._called(name) & changed}


@dataclass(frozen=True)
class Component:
    """One ingredient, standing twice.

    Args:
        name: what the table and the command line call it
        topic: the file that it stands in, in `scratch/`, `torch_ref/` and `compare/cases/`
        source: paper or page
        functions: names in `scratch.<topic>`; what a learner writes (a method as Class.method)
        reference: names in `torch_ref.<topic>`
        cases: (rng, dtype) → the cases
        random_case: (choose, dtype) → a case of any shape, layout, scale and setting, made from choices
        run_scratch: (case, f) → named arrays, calling the scratch functions as attributes of `f`
        run_torch: case → the same named arrays, as tensors
        budget: the allowed distance in rounding units, with its reason
        magnitude: case → for each array that is a difference of larger terms, how large those are: the
            scale in which its rounding units are counted (a number, or an array that broadcasts). The
            docstring derives it. Arrays that it leaves out are measured on their largest value.
        terms: the same for arrays that are a difference of larger terms in another formula and not in ours:
            the scale that somebody's version is measured in
        mistakes: wrong versions that the cases must expose
        refused: (rng, dtype) → inputs that scratch must refuse in its own words
        edges: where values, shapes and settings are taken to their limits
        departures: the edges at which the two sides may part
        rare: cases that no course would call ordinary → what they ask, in a few words
        everyday: options of its cases that ask nothing of its functions: those of a network that is trained
        stream: what makes draws from another stream right in distribution, of a component that draws
        arbiter: False where both sides must be equal to the bit, so that there is nothing to arbitrate
        not_here: why the installed PyTorch does something else by design, so that nothing is compared
        not_on: device → why it does so on that device; empty where it does not
    """

    name: str
    topic: str
    source: str
    functions: tuple[str, ...]
    reference: tuple[str, ...]
    cases: Callable[[np.random.Generator, Any], Iterable[Case]]
    random_case: Callable[[Choose, Any], Case]
    run_scratch: Callable[[Case, Any], Results]
    run_torch: Callable[[Case], Results]
    budget: Budget
    magnitude: Callable[[Case], Mapping[str, Any]] = lambda case: {}
    terms: Callable[[Case], Mapping[str, Any]] = lambda case: {}
    mistakes: tuple[Mistake, ...] = ()
    refused: Callable[[np.random.Generator, Any], Iterable[Case]] = lambda rng, dtype: ()
    edges: Edges = Edges()
    departures: tuple[Departure, ...] = ()
    rare: Mapping[str, str] = field(default_factory=dict)
    everyday: tuple[str, ...] = ()
    stream: Stream | None = None
    arbiter: bool = True
    not_here: str = ""
    not_on: Callable[[str], str] = lambda device: ""

    def __post_init__(self) -> None:
        mistakes = tuple(replace(mistake, text=self.text) for mistake in self.mistakes)
        object.__setattr__(self, "mistakes", mistakes)

    def on(self, device: str) -> "Component":
        """Itself, on a device: with the reason if nothing is compared there."""
        return replace(self, not_here=self.not_here or self.not_on(device))

    @functools.cached_property
    def text(self) -> Text:
        """What it is written as, of a method the class."""
        return Text(self.topic, tuple(dict.fromkeys(name.partition(".")[0] for name in self.functions)))

    @property
    def docstrings(self) -> dict[str, str]:
        """What each of its functions says of itself, the formula first."""
        module = importlib.import_module(f"scratch.{self.topic}")
        return {name: inspect.getdoc(operator.attrgetter(name)(module)) or "" for name in self.functions}

    def implementation(self, replaced: Mapping[str, Callable] | None = None) -> SimpleNamespace:
        """The scratch functions that `run_scratch` calls, with some of them replaced."""
        module = importlib.import_module(f"scratch.{self.topic}")
        functions = {name: getattr(module, name) for name in self.text.names}
        return SimpleNamespace(**{**functions, **(replaced or {})})


def higher_precision(dtype: Any) -> Any | None:
    """The dtype of the arbiter: float64 for float32, longdouble for float64 where it is longer."""
    if np.dtype(dtype) == np.float32:
        return np.float64
    return np.longdouble if np.finfo(np.longdouble).eps < np.finfo(np.float64).eps else None


def copy_with_strides(array: np.ndarray) -> np.ndarray:
    """A writable copy that keeps the strides: `array.copy()` would make every layout contiguous

    The signs of strides are dropped: PyTorch has no negative ones. And it starts at a multiple of 64 bytes,
    as PyTorch's own memory does: the order in which MKL adds up depends on where an array lies, and where
    NumPy puts one depends on what was put somewhere before.
    """
    strides = tuple(map(abs, array.strides))
    extent = sum((n - 1) * stride for n, stride in zip(array.shape, strides, strict=True))
    size = extent + array.itemsize if array.size else 0
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    buffer = memory[start : start + size].view(array.dtype)
    copy = np.lib.stride_tricks.as_strided(buffer, array.shape, strides)
    copy[...] = array
    return copy


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
