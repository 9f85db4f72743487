"""Where the conventions differ: every word by which a textbook and PyTorch mean two things.

A row has both formulas, a number in which they differ, and the way from one to the other: the texts stand in
conventions.toml, and the numbers are not typed in but computed, in convention_numbers.py.

`textbook` stands for whoever has the other convention: a course, a paper, NumPy, Keras; `who` names them.
"""

import functools
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compare.environment import one_thread, undisturbed
from compare.report import convention_numbers
from compare.report.convention_numbers import Numbers


@dataclass(frozen=True, eq=False)
class Convention:
    """One word that means two things.

    Args:
        word: what both sides say
        who: has the textbook's convention
        textbook, pytorch: their formulas
        quantity: what the numbers are of
        numbers: computes them
        mapping: how to say in PyTorch what the textbook means
        components: to which it matters
        mistakes: those of the components that are no mistakes in the textbook's convention
        source: where PyTorch's side is documented (or the other one, where that is the rarer)
    """

    word: str
    who: str
    textbook: str
    pytorch: str
    quantity: str
    numbers: Callable[[], Numbers]
    mapping: str
    components: Sequence[str]
    source: str
    mistakes: Sequence[str] = ()


def of_component(name: str) -> list[Convention]:
    """The rows that matter to a component."""
    return [convention for convention in CONVENTIONS if name in convention.components]


def of_mistake(component: str, mistake: str) -> Convention | None:
    """The row in whose other convention a mistake is none."""
    return next((row for row in of_component(component) if mistake in row.mistakes), None)


@functools.cache
def numbers(convention: Convention) -> Numbers:
    """The numbers of a row, computed once; on one thread, so that they are the same everywhere."""
    with one_thread(), undisturbed():
        return convention.numbers()


def number_texts(found: Numbers) -> tuple[str, str]:
    """The textbook's number and PyTorch's, with six digits, or as many as tell one from the other."""
    for digits in range(6, 18):
        textbook, pytorch = (
            value if isinstance(value, str) else f"{value:.{digits}g}".replace("-", "−")
            for value in (found.textbook, found.pytorch)
        )
        if textbook != pytorch:
            break
    return textbook, pytorch


with open(Path(__file__).with_name("conventions.toml"), "rb") as file:
    CONVENTIONS = [
        Convention(**texts, numbers=getattr(convention_numbers, name))
        for name, texts in tomllib.load(file).items()
    ]
