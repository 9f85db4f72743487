"""What the tests share."""

import gc
import os
import sys

import hypothesis
import pytest
import threadpoolctl
import torch

from compare.cases import all_components
from compare.component import Component
from compare.environment import prepare

COMPONENTS = all_components()

# As the comparison itself: on arrays this small, two pools that wake each other cost more than they give.
torch.set_num_threads(1)
ONE_THREAD = threadpoolctl.threadpool_limits(1)

# The same examples every time, however slow the machine is; `make fuzz` draws others.
hypothesis.settings.register_profile("ordinary", derandomize=not os.environ.get("FUZZ"), deadline=None)
hypothesis.settings.load_profile("ordinary")


# What is imported and collected stays: nobody need look through it for garbage, test after test.
gc.set_threshold(100_000, 50, 100)


def pytest_collection_finish() -> None:
    # Hypothesis looks for whoever holds its generator, and finds nobody who has been frozen.
    hypothesis.find(hypothesis.strategies.none(), lambda x: True)
    gc.freeze()


@pytest.fixture(autouse=True)
def path_of_its_own(monkeypatch):
    """What a test adds to it, by loading files, ends with the test: processes are told the whole of it."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(scope="session")
def cuda() -> str:
    if not torch.cuda.is_available():
        pytest.skip(f"needs a CUDA GPU, and this PyTorch ({torch.__version__}) sees none")
    prepare("cuda")
    return "cuda"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the tests of a component that the installed PyTorch computes differently by design."""
    for value in (getattr(item, "callspec", None) and item.callspec.params.values()) or ():
        component = value if isinstance(value, Component) else COMPONENTS.get(str(value))
        if component and component.not_here:
            pytest.skip(component.not_here)


def pytest_terminal_summary(terminalreporter) -> None:
    """How many random cases passed, in all processes together; what a sweep found."""
    counts = [
        count
        for report in terminalreporter.getreports("passed")
        for name, count in report.user_properties
        if name == "examples"
    ]
    if counts:
        terminalreporter.write_line(f"{sum(counts)} random cases in {len(counts)} tests")
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, line in report.user_properties:
            if name == "sweep":
                terminalreporter.write_line(line)
