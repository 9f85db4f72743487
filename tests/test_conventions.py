"""Where the conventions differ: they do, by a number, and the way from one to the other leads there."""

import io
import math

import pytest

from compare.cases import all_components
from compare.environment import one_thread
from compare.learner.show import print_component
from compare.report.conventions import CONVENTIONS, Convention, number_texts, numbers, of_component
from compare.report.terminal import Terminal


@pytest.fixture(params=CONVENTIONS, ids=lambda convention: convention.word)
def convention(request) -> Convention:
    return request.param


def test_the_two_mean_different_things(convention):
    found = numbers(convention)
    assert math.isfinite(found.textbook)
    if isinstance(found.pytorch, str):
        assert found.pytorch.endswith("Error")
    else:
        assert not math.isclose(found.textbook, found.pytorch, rel_tol=1e-9, abs_tol=1e-12)
    textbook, pytorch = number_texts(found)
    assert textbook != pytorch


def test_pytorch_gives_the_textbooks_number_once_it_is_told_what_is_meant(convention):
    found = numbers(convention)
    assert math.isclose(found.mapped, found.textbook, rel_tol=1e-12, abs_tol=1e-15)


def test_numbers_do_not_hang_on_what_was_computed_before(convention):
    with one_thread():
        assert convention.numbers() == numbers(convention) == convention.numbers()


def test_a_row_lacks_nothing(convention):
    assert all((convention.who, convention.textbook, convention.pytorch, convention.quantity))
    assert convention.mapping.endswith((".", ")"))
    assert convention.source.startswith("https://")
    assert convention.textbook != convention.pytorch
    assert convention.components
    assert set(convention.components) <= set(all_components())


def test_every_word_stands_once():
    words = [convention.word for convention in CONVENTIONS]
    assert len(words) == len(set(words))


def test_show_has_the_rows_of_the_component_and_no_others():
    adam = all_components()["adam"]
    console = Terminal(width=200, file=io.StringIO())
    print_component(console, adam)
    text = " ".join(console.file.getvalue().split())
    for row in CONVENTIONS:
        assert (f"• {row.word}: {row.quantity}" in text) == (row in of_component("adam"))
    assert "To map: eps = ε̂/√(1−β₂ᵗ), at step t." in text
