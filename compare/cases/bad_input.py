"""What PyTorch does by itself with bad input, which scratch refuses: it raises, or takes it, and gives what.

The record is `torch_on_bad_input.json`, with the versions that it was made with; `python -m compare edges
--record` writes it anew. Other versions may do something else, which is news and no failure.
"""

import json
import math
import platform
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from compare.component import DTYPES, Case, Component, Results
from compare.environment import undisturbed
from compare.files import write_whole
from compare.measure import to_numpy
from compare.run import refused_of, run_both

FILE = Path(__file__).with_name("torch_on_bad_input.json")
CASES, PROBES = "bad input", "edge values"
TOLD = ("output", "loss", "cost")  # results that say more than the others
SHOWN = 3  # numbers of an array
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")  # and not that of float32 or step1
NEARLY = 0.01  # of the largest number: what the kernels of another processor may make of all of them
LONGEST = 200  # characters of a message

Entry = Mapping[str, str]  # raises; or takes, and warns if it does
ByDtype = Mapping[str, Entry]


@contextmanager
def listening() -> Iterator[list[warnings.WarningMessage]]:
    """Collect what is warned of, all of it: PyTorch says most of it once in a process."""
    often = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    finally:
        torch.set_warn_always(often)


def entry(found: Results | Exception, caught: Sequence[warnings.WarningMessage], case: Case) -> Entry:
    """What came of PyTorch's attempt, in words."""
    if isinstance(found, Exception):
        return {"raises": _first_line(found)}
    warned = {"warns": _first_line(caught[0].message)} if caught else {}
    return {"takes": _summary(found, case), **warned}


def _first_line(error: Any) -> str:
    """The type and the first sentence, without what is another one in every process or build."""
    first, *more = str(error).splitlines() or [""]
    if more and more[0].startswith("\t"):  # of a list of errors, the first one
        first += f" {more[0].strip()}"
    first = re.sub(r" \(Triggered internally at .*", "", first).partition(". ")[0]
    first = re.sub(r"\b0x[0-9a-f]{6,}", "0x…", first)
    return f"{type(error).__name__}: {first if len(first) <= LONGEST else first[:LONGEST] + '…'}"


def _summary(results: Results, case: Case) -> str:
    """The first numbers of the array that says most, and of the first one that is odd beside it."""
    if not results:
        return "and returns nothing"
    mixed = len({array.dtype for array in case.arrays.values() if array.dtype.kind == "f"}) > 1
    arrays = {name: to_numpy(array) for name, array in results.items()}
    first = next((name for name in TOLD if name in arrays), next(iter(arrays)))

    def odd(array: np.ndarray) -> bool:
        other_dtype = mixed and array.dtype != arrays[first].dtype
        return not np.isfinite(array).all() or other_dtype or (not array.size and arrays[first].size > 0)

    others = [name for name, array in arrays.items() if name != first and odd(array)]
    return "; ".join(f"{name} {_numbers(arrays[name], mixed)}" for name in (first, *others[:1]))


def _numbers(array: np.ndarray, with_dtype: bool) -> str:
    if not array.size:
        return f"of shape {array.shape}"
    shown, later = array.reshape(-1)[:SHOWN], array.reshape(-1)[SHOWN:]
    texts = [f"{value:.3g}" for value in shown]
    if later.size:
        odd = later[~np.isfinite(later)] if np.isfinite(shown).all() else []
        texts += ["…", *(f"{value:.3g}" for value in odd[:1]), "…"][: 1 if not len(odd) else 3]
    return ", ".join(texts) + (f" in {array.dtype}" if with_dtype else "")


# The record


def versions() -> dict[str, str]:
    """What the messages depend on."""
    return {
        "torch": torch.__version__.partition("+")[0],
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def same_versions() -> bool:
    """Whether the record was made with what is installed."""
    return all(record()[name] == version for name, version in versions().items())


@cache
def record() -> Mapping[str, Any]:
    """The file: versions, and for bad input and edge values component → case → what PyTorch does."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def recorded(kind: str, component: str) -> dict[str, ByDtype]:
    """Case → dtype → what PyTorch did."""
    entries = record()[kind].get(component, {})
    return {
        case: entry if entry.keys() <= DTYPES.keys() else dict.fromkeys(DTYPES, entry)
        for case, entry in entries.items()
    }


def same(one: Entry, other: Entry) -> bool:
    """Whether two entries say the same, but for the last digits of what is given."""
    if {**one, "takes": ""} != {**other, "takes": ""} or ("takes" in one) != ("takes" in other):
        return False
    ours, theirs = one.get("takes", ""), other.get("takes", "")
    pairs = [(float(a), float(b)) for a, b in zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=False)]
    largest = max((abs(a) for a, _ in pairs), default=0.0)
    near = all(math.isclose(a, b, rel_tol=NEARLY, abs_tol=NEARLY * largest) for a, b in pairs)
    return near and NUMBER.sub("", ours) == NUMBER.sub("", theirs)


@undisturbed()
def examine(component: Component) -> dict[str, ByDtype]:
    """Case → dtype → what PyTorch does, of every bad input of a component."""
    found: dict[str, dict[str, Entry]] = {}
    for name, dtype in DTYPES.items():
        for case in refused_of(component, 0, dtype):
            shared = replace(case, draws="shared")
            with listening() as caught:
                outcome = run_both(component, shared)
            found.setdefault(case.name, {})[name] = entry(outcome.torch, caught, shared)
    return {**found}


def write(kinds: Mapping[str, Mapping[str, Mapping[str, ByDtype]]]) -> Path:
    """Write the record anew: kind → component → case → dtype → what PyTorch does; a case a line."""

    def line(case: str, by_dtype: ByDtype) -> str:
        one, *others = by_dtype.values()
        entry: Any = one if len(by_dtype) == len(DTYPES) and all(same(one, o) for o in others) else by_dtype
        return f"   {_json(case)}: {_json(entry)}"

    sections = [f" {_json(name)}: {_json(value)}" for name, value in versions().items()]
    for kind, components in kinds.items():
        blocks = [
            f"  {_json(name)}: {{\n" + ",\n".join(line(*item) for item in cases.items()) + "\n  }"
            for name, cases in components.items()
            if cases
        ]
        sections.append(f" {_json(kind)}: {{\n" + ",\n".join(blocks) + "\n }")
    write_whole({FILE.name: ("{\n" + ",\n".join(sections) + "\n}\n").encode()}, FILE.parent)
    record.cache_clear()
    return FILE


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# In words


def news(components: Iterable[Component]) -> list[str]:
    """What the installed PyTorch does otherwise than the recorded one did, a line each."""
    lines = []
    for component in components:
        before = recorded(CASES, component.name)
        for case, by_dtype in examine(component).items():
            for dtype, entry in by_dtype.items():
                old = before.get(case, {}).get(dtype, {})
                if not same(entry, old):
                    was = f"it was: {_plain(old)}" if old else "not in the record"
                    lines.append(f"{component.name}, {case}, {dtype}: {_plain(entry)}; {was}")
    return lines


def headline(lines: Sequence[str]) -> str:
    """The news in one line."""
    before = f"PyTorch {record()['torch']} with Python {record()['python']}"
    count = f"{len(lines)} bad input{'s' * (len(lines) != 1)}"
    return f"News, and no failure: PyTorch does otherwise with {count} than {before} did"


def _plain(entry: Entry) -> str:
    return ", ".join(f"{does} {what}" for does, what in entry.items())


def taken(component: str) -> dict[str, str]:
    """Bad input of a component that PyTorch takes → what it gives, as a sentence."""
    return {
        case: _sentence(case, by_dtype)
        for case, by_dtype in recorded(CASES, component).items()
        if any("takes" in entry for entry in by_dtype.values())
    }


def refused_too(component: str) -> dict[str, str]:
    """Bad input of a component that PyTorch refuses too → what it raises."""
    return {
        case: next(iter(by_dtype.values()))["raises"]
        for case, by_dtype in recorded(CASES, component).items()
        if all("raises" in entry for entry in by_dtype.values())
    }


def _sentence(case: str, by_dtype: ByDtype) -> str:
    takes = [dtype for dtype, entry in by_dtype.items() if "takes" in entry]
    entry = by_dtype[takes[-1]]
    where = "" if len(takes) == len(by_dtype) else f" in {' and '.join(takes)}"
    how = f"with a warning ({entry['warns']})" if "warns" in entry else "without a word"
    return f"PyTorch takes “{case}”{where} {how}: {entry['takes']}"
