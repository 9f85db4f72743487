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
