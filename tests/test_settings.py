"""What a caller has set in his process changes no comparison, and is still set afterwards."""

import ctypes
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compare import assert_matches, cli
from compare.cases import select
from compare.run import cases_of, refused_of, run_case, run_refused
from compare.training.lockstep import train_in_lockstep
from scratch.losses import binary_cross_entropy_backward, binary_cross_entropy_forward

LINUX_X86 = sys.platform == "linux" and os.uname().machine == "x86_64"
TINY, ONE = np.array([5e-324]), np.array([1.0])
UPWARD = 0x800  # FE_UPWARD on x86


@contextmanager
def flushing() -> Iterator[None]:
    assert torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def rounding_up() -> Iterator[None]:
    library = ctypes.CDLL(None)
    assert library.fesetround(UPWARD) == 0
    try:
        yield
    finally:
        library.fesetround(0)


@contextmanager
def float64_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def device_by_default() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def bfloat16_products() -> Iterator[None]:
    newer: Any = getattr(torch.backends.mkldnn, "matmul", None)
    before = newer.fp32_precision if newer else torch.get_float32_matmul_precision()
    if newer:
        newer.fp32_precision = "bf16"
    else:
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        if newer:
            newer.fp32_precision = before
        else:
            torch.set_float32_matmul_precision(before)


SETTINGS = {
    "subnormals flushed": flushing,
    "rounding up": rounding_up,
    "float64 by default": float64_by_default,
    "another device by default": device_by_default,
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu"),
    "products of bfloat16": bfloat16_products,
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "NumPy raises": lambda: np.errstate(all="raise"),
    "NumPy prints in another way": lambda: np.printoptions(legacy="1.13", precision=2),
}
if not LINUX_X86:
    del SETTINGS["rounding up"]


def now() -> dict[str, Any]:
    """What can be seen of it all."""
    newer: Any = getattr(torch.backends.mkldnn, "matmul", None)
    with np.errstate(all="ignore"):
        flushed, up = bool((TINY * ONE == 0)[0]), bool((ONE + 1e-30 > 1)[0])
    return {
        "flushed": flushed,
        "up": up,
        "NumPy's warnings": np.geterr(),
        "NumPy's print": np.get_printoptions()["legacy"],
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "anomaly": torch.is_anomaly_enabled(),
        "precision": newer.fp32_precision if newer else torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
        "draws": torch.random.default_generator.get_state().numpy().tobytes(),
        "NumPy's draws": str(np.random.get_state()),  # noqa: NPY002
        "Python's draws": random.getstate(),
    }


def unequal() -> list[str]:
    """What a comparison of a few components finds."""
    found = []
    for component in select("binary_cross_entropy,linear,kaiming_normal,minibatches"):
        for dtype in (np.float32, np.float64):
            cases = cases_of(component, 0, dtype)
            results = [run_case(component, case, draws=d) for d in ("own", "shared") for case in cases]
            results += [run_refused(component, case) for case in refused_of(component, 0, dtype)]
            found += [f"{component.name}, {r.case}, {r.dtype}: {r.error}" for r in results if not r.equal]
    return found


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_comparison_does_not_hang_on_what_its_caller_has_set(setting):
    usual = now()
    with SETTINGS[setting]():
        before = now()
        found = unequal()
        assert_matches(binary_cross_entropy_forward, binary_cross_entropy_backward)
        after = now()
    assert found == []
    assert after == before != usual
    assert now() == usual


def test_nor_does_training_or_the_command_line(tmp_path, capsys):
    with flushing(), np.errstate(all="raise"), torch.no_grad(), float64_by_default():
        before = now()
        result = train_in_lockstep("breast_cancer", "float32", "cpu", 0)
        after = now()
        arguments = ["--only", "binary_cross_entropy,kaiming_normal", "--out", str(tmp_path)]
        status = cli.main(arguments)
        afterwards = now()
        edges = cli.main(["edges", "sgd"])
    assert result.equal
    assert (status, edges) == (0, 0), capsys.readouterr().out
    assert before == after == afterwards


def test_an_error_puts_it_back_too():
    def binary_cross_entropy_forward(probabilities, targets, *, reduction="mean"):
        raise KeyError

    with flushing():
        before = now()
        with pytest.raises(AssertionError, match="KeyError"):
            assert_matches(binary_cross_entropy_forward)
        assert now() == before


SURROUNDINGS = {
    "no docstrings, no asserts": {"PYTHONOPTIMIZE": "2"},
    "warnings are errors, another locale": {"PYTHONWARNINGS": "error", "LC_ALL": "C", "PYTHONUTF8": "0"},
    "a stack of C++ in every message": {
        "TORCH_SHOW_CPP_STACKTRACES": "1",
        "TORCH_DISABLE_ADDR2LINE": "1",
        "MKL_VERBOSE": "1",
        "ONEDNN_DEFAULT_FPMATH_MODE": "ANY",
    },
    "NumPy without vector instructions": {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX AVX2 FMA3"},
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_nor_on_its_environment(tmp_path, surroundings):
    command = [sys.executable, "-m", "compare", "--only", "tanh,cross_entropy,kaiming_normal"]
    done = subprocess.run(
        [*command, "--dtype", "float32", "--out", str(tmp_path)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **SURROUNDINGS[surroundings]},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    assert b"\nequal: 3 components" in done.stdout
