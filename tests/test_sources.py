"""The code that is shown: as it stands in the files, with what it calls."""

import importlib
from pathlib import Path

import pytest

from compare.cases import all_components
from compare.component import definitions
from compare.report.sources import source_of, with_what_they_call

ROOT = Path(__file__).parent.parent
COMPONENTS = all_components()


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize("package", ["scratch", "torch_ref"])
def test_lines_are_those_of_the_file(package, name):
    component = COMPONENTS[name]
    module = importlib.import_module(f"{package}.{component.topic}")
    names = component.functions if package == "scratch" else component.reference
    found = with_what_they_call(module, names)
    assert [definition.name for definition in found][: len(names)] == list(names)
    for definition in found:
        lines = (ROOT / definition.path).read_text(encoding="utf-8").split("\n")
        shown = definition.code.split("\n")
        there = lines[definition.first - 1 : definition.last]
        assert [line.strip() for line in shown] == [line.strip() for line in there]


def test_what_a_function_calls_is_shown_with_it_but_checks_are_not():
    module = importlib.import_module("scratch.initializers")
    names = [definition.name for definition in with_what_they_call(module, ["kaiming_normal"])]
    assert names == ["kaiming_normal", "_kaiming_std", "calculate_gain", "fan_in_and_fan_out"]


def test_a_name_from_elsewhere_is_said_to_be():
    assert source_of(importlib.import_module("scratch.linear"), ["nothing"]) == "nothing: see scratch.linear"


def test_a_name_is_shown_with_the_string_that_describes_it():
    code = source_of(importlib.import_module("torch_ref.batch_norm"), ["BatchNorm1d"])
    assert code.startswith('BatchNorm1d = nn.BatchNorm1d\n"""A layer with γ')
    assert code.endswith('but takes `layer.bias = None`.\n"""')


def test_methods_are_dedented_and_imports_are_definitions_too():
    found = definitions(importlib.import_module("scratch.random"))
    assert found["TorchGenerator.rand"].code.startswith("def rand(self")
    assert found["np"].code == "import numpy as np"
