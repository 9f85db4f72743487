"""What a caller may have set, and a comparison must not hang on: set aside, and put back."""

import ctypes
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

DEFAULT = ctypes.c_void_p(-1)  # FE_DFL_ENV of glibc and musl
ROOM = 512  # bytes: more than any fenv_t


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within, floating-point arithmetic and PyTorch are as at the start of a process; then as before

    Subnormal numbers are numbers, and results are rounded to nearest: a library may have set the processor
    otherwise, and so may `torch.set_flush_denormal(True)`, for NumPy too. (This is a setting of each thread;
    a comparison computes in its own alone, see `environment.one_thread`.) NumPy's warnings, PyTorch's default
    dtype and device, gradients, autocast, anomaly detection and the precision of its float32 products are the
    usual ones. What the global generators of PyTorch and Python draw next is what they would have drawn.
    """
    with ExitStack() as stack:
        stack.enter_context(_arithmetic())
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autograd.set_detect_anomaly(False))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_pytorch())
        yield


@contextmanager
def _arithmetic() -> Iterator[None]:
    if sys.platform == "linux":
        library: Any = ctypes.CDLL(None)
        before = ctypes.create_string_buffer(ROOM)
        library.fegetenv(before)
        library.fesetenv(DEFAULT)
        try:
            yield
        finally:
            library.fesetenv(before)
        return
    smallest = np.array([5e-324])
    flushed = not (smallest + smallest > 0)[0]
    torch.set_flush_denormal(False)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


@contextmanager
def _pytorch() -> Iterator[None]:
    dtype, draws, of_python = torch.get_default_dtype(), torch.get_rng_state(), random.getstate()
    torch.set_default_dtype(torch.float32)
    newer: Any = getattr(torch.backends.mkldnn, "matmul", None)  # PyTorch 2.9; not to be mixed with the older
    precision = newer.fp32_precision if newer else torch.get_float32_matmul_precision()
    _set_precision(newer, "ieee" if newer else "highest")
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_rng_state(draws)
        random.setstate(of_python)  # which some modules draw from when they are imported
        _set_precision(newer, precision)


def _set_precision(newer: Any, precision: str) -> None:
    if newer:
        newer.fp32_precision = precision
    else:
        torch.set_float32_matmul_precision(precision)
