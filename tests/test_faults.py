"""Faults of meaning, put into scratch/ and torch_ref/ one at a time: a law of `test_objects` notices each.

A stale state, a shared buffer, a schedule that stops: one call still returns what it should, so that the
components' cases may see nothing. Each fault of faults.toml changes one file; all modules are loaded anew
with it, and the law, which passes without it, must fail.
"""

import builtins
import importlib
import inspect
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import pytest

OURS = ("scratch", "torch_ref", "compare", "test_objects")
NOTICED = (AssertionError, pytest.fail.Exception)  # the latter: what should have been refused was not


class Fault(NamedTuple):
    """One thing that somebody could get wrong."""

    says: str
    module: str
    before: str  # occurs exactly once in it
    after: str
    law: str  # in test_objects
    given: Mapping[str, Any] = {}
    error: str = ""  # the builtin exception that the law ends in, where it is no assertion


with open(Path(__file__).with_name("faults.toml"), "rb") as file:
    FAULTS = [Fault(says, **fault) for says, fault in tomllib.load(file).items()]


@cache
def compiled(text: str, path: str) -> CodeType:
    return compile(text, path, "exec")


class Loader(SourceFileLoader):
    """A module of ours, with its fault if it has one."""

    fault: Fault | None = None

    def get_code(self, fullname: str) -> CodeType:
        text = self.get_data(self.path).decode("utf-8")
        if self.fault and self.fault.module == fullname:
            assert text.count(self.fault.before) == 1, f"{fullname} has changed: adapt the fault to it"
            text = text.replace(self.fault.before, self.fault.after)
        return compiled(text, self.path)


class Finder:
    """Where our modules come from."""

    def __init__(self, fault: Fault | None) -> None:
        self.fault = fault

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in OURS:
            return None
        spec = PathFinder.find_spec(name, path)
        assert spec is not None
        spec.loader = Loader(name, str(spec.origin))
        spec.loader.fault = self.fault
        return spec


@contextmanager
def loaded_anew(fault: Fault | None = None) -> Iterator[ModuleType]:
    """The laws, and all that they are about, as modules of their own."""
    known = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in OURS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "meta_path", [Finder(fault), *sys.meta_path])
        for name in known:
            del sys.modules[name]
        try:
            if fault:
                importlib.import_module(fault.module)
            yield importlib.import_module("test_objects")
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
                del sys.modules[name]
            sys.modules.update(known)


def obey(laws: ModuleType, name: str, given: Mapping[str, Any], fixtures: Mapping[str, Any]) -> None:
    """Ask one law, of what is given."""
    law = getattr(laws, name)
    arguments = {key: value for key, value in fixtures.items() if key in inspect.signature(law).parameters}
    arguments |= given
    if "component" in given:
        arguments["component"] = laws.all_components()[given["component"]]
    law(**arguments)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.says)
def test_a_law_notices(fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fixtures = {"tmp_path": tmp_path, "monkeypatch": monkeypatch}
    ends_in = getattr(builtins, fault.error) if fault.error else NOTICED
    with loaded_anew(fault) as laws, pytest.raises(ends_in):
        obey(laws, fault.law, fault.given, fixtures)


@pytest.mark.filterwarnings("ignore")
def test_loaded_anew_without_a_fault_the_laws_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each once; `test_objects` itself asks them all, of everything."""
    with loaded_anew() as laws:
        for law, given in {fault.law: fault.given for fault in FAULTS}.items():
            (tmp_path / law).mkdir()
            obey(laws, law, given, {"tmp_path": tmp_path / law, "monkeypatch": monkeypatch})


def test_every_fault_is_another_one():
    assert len({fault[1:4] for fault in FAULTS}) == len(FAULTS)
