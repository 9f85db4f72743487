"""What the tests share."""

import os

import hypothesis
import pytest
import torch

from compare.environment import prepare

# The same examples every time, however slow the machine is; `make fuzz` draws others.
hypothesis.settings.register_profile("ordinary", derandomize=not os.environ.get("FUZZ"), deadline=None)
hypothesis.settings.load_profile("ordinary")


@pytest.fixture(scope="session")
def cuda() -> str:
    if not torch.cuda.is_available():
        pytest.skip(f"needs a CUDA GPU, and this PyTorch ({torch.__version__}) sees none")
    prepare("cuda")
    return "cuda"


def pytest_terminal_summary(terminalreporter) -> None:
    """How many random cases passed, in all processes together."""
    counts = [
        count
        for report in terminalreporter.getreports("passed")
        for name, count in report.user_properties
        if name == "examples"
    ]
    if counts:
        terminalreporter.write_line(f"{sum(counts)} random cases in {len(counts)} tests")
