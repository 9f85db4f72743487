"""What the tests share."""

import pytest
import torch

from compare.environment import prepare


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
