"""What cards have drawn, by cards.toml: no card is needed to hold the NumPy version against it."""

import copy
import tomllib
from pathlib import Path

import numpy as np
import pytest

from scratch.random.philox import BLOCK, CudaGenerator

RECORDS = {
    record["name"]: record
    for record in tomllib.loads(Path(__file__).with_name("cards.toml").read_text(encoding="utf-8"))["record"]
}
OLD = "pytorch-19013-old"  # drawn before PyTorch 1.2, by another generator
IN_FLOAT64 = "webui-docstring"  # not a card's digits, but those of a NumPy version in float64
A100 = {"multiprocessors": 108, "threads_per_multiprocessor": 2048}
T4 = {"multiprocessors": 40, "threads_per_multiprocessor": 1024}
DEPENDENT = ("pytorch-143086-H100", "pytorch-158398-machine1", "pytorch-97097-A4000", "triton-vadd-small2",
             "unpadded-half")  # fmt: skip


def cards_of(record) -> list[dict[str, int]]:
    """The one, or the two that it may be; a large and a small one where every card draws the same."""
    if "multiprocessors" not in record:
        return [A100, T4]
    threads = record["threads_per_multiprocessor"]
    return [{"multiprocessors": n, "threads_per_multiprocessor": threads} for n in record["multiprocessors"]]


def draw(generator: CudaGenerator, call: str, n: int) -> np.ndarray:
    """The call, for n elements instead of its own number."""
    method, _, *arguments = call.split()
    match method:
        case "rand" | "randn":
            return getattr(generator, method)(n, *arguments)  # a dtype
        case "randint":
            return generator.randint(*map(int, arguments), n)
        case "dropout_mask":
            return generator.dropout_mask(np.ones(n, np.float32), *map(float, arguments))
    return getattr(generator, method)(n, *map(float, arguments))


def size_of(call: str) -> int:
    return int(call.split()[1])


def elements(generator: CudaGenerator, call: str, places) -> np.ndarray:
    """Elements of a call of any size, which draws in rounds of four numbers a thread: only their rounds."""
    n = size_of(call)
    in_a_round = 4 * BLOCK * min(generator._most_blocks, -(-n // BLOCK))
    start, found = generator.offset, np.empty(len(places))
    for at in np.unique(places // in_a_round):
        generator.offset = start + 4 * int(at)
        numbers = draw(generator, call, min(n, in_a_round))
        here = places // in_a_round == at
        found[here] = numbers[places[here] % in_a_round]
    generator.offset = start + 4 * -(-n // in_a_round)
    return found


def printed_and_drawn(record, card) -> list[tuple[str, float]]:
    """Every number as it was printed, and as it is drawn for this card."""
    generator, before, pairs = CudaGenerator(record["seed"], **card), [], []
    for call in record["calls"]:
        before.append(copy.deepcopy(generator))
        elements(generator, call, np.arange(0))
    for part in record["printed"]:
        numbers = part["numbers"].split()
        calls = range(len(before)) if part["of"] == "sum" else [part["of"]]
        n = size_of(record["calls"][calls[0]])
        named = {
            "first": np.arange(len(numbers)),
            "last": np.arange(n - len(numbers), n),
            "all": np.arange(n),
        }
        places = named[part["places"]] if isinstance(part["places"], str) else np.array(part["places"])
        drawn = sum(elements(copy.deepcopy(before[i]), record["calls"][i], places) for i in calls)
        pairs += zip(numbers, [drawn.sum()] if part["places"] == "all" else drawn, strict=True)
    return pairs


def unlike(record, card) -> list[tuple[str, float]]:
    """The numbers that differ in a digit that was printed."""
    return [
        (printed, drawn)
        for printed, drawn in printed_and_drawn(record, card)
        if f"{drawn:.{len(printed.partition('.')[2])}f}" != printed
    ]


@pytest.mark.parametrize("name", [name for name in RECORDS if name not in (OLD, IN_FLOAT64, DEPENDENT[0])])
def test_scratch_draws_what_was_printed_to_the_last_digit(name):
    for card in cards_of(RECORDS[name]):
        assert unlike(RECORDS[name], card) == []


def test_an_h100_whose_kind_is_not_said_is_one_of_the_two():
    sxm, pcie = cards_of(RECORDS[DEPENDENT[0]])
    assert unlike(RECORDS[DEPENDENT[0]], sxm) == []
    assert len(unlike(RECORDS[DEPENDENT[0]], pcie)) == 3  # the last ones, of another round


@pytest.mark.parametrize("name", DEPENDENT)
def test_numbers_beyond_the_threads_of_a_card_tell_it_from_others(name):
    """So that these records test where a number is drawn, and not only what."""
    assert unlike(RECORDS[name], T4) != []
    assert unlike(RECORDS[name], A100) != []


def test_eight_digits_of_another_numpy_version_in_float64():
    for printed, drawn in printed_and_drawn(RECORDS[IN_FLOAT64], A100):
        assert abs(float(printed) - drawn) < 1e-6


def test_before_pytorch_1_2_another_generator_drew():
    """The direction of three normal numbers, up to sign, as `nn.init.orthogonal_` makes it."""
    printed = np.array(RECORDS[OLD]["printed"][0]["numbers"].split(), float)
    z = CudaGenerator(RECORDS[OLD]["seed"], **A100).randn(3)
    assert abs(printed @ printed - 1) < 1e-3
    assert abs(printed @ z / np.linalg.norm(z)) < 0.9


def test_every_record_says_where_it_is_from():
    for record in RECORDS.values():
        assert record["source"]
        assert record["found"] in ("call", "values")
