"""One seed, one result: whatever the threads, the hash seed, and what else is compared in the same run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
import torch

from compare import environment
from compare.cases import select
from compare.cases.inputs import fortran, strided
from compare.component import Case, copy_with_strides
from compare.experiments import drawn, figures

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(folder: Path, only: str, threads: int, hash_seed: str) -> dict:
    """The report of a process of its own."""
    surroundings = {**os.environ, **dict.fromkeys(THREADS, str(threads)), "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "compare", "--only", only, "--dtype", "float32", "--out", str(folder)]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_neither_threads_nor_hashes_nor_the_order_of_names_change_a_byte(tmp_path):
    names = "linear,mse_loss,breast_cancer"  # on two threads their sums would come out otherwise
    first = run(tmp_path / "1", names, threads=1, hash_seed="0")
    run(tmp_path / "3", names, threads=3, hash_seed="1")
    files = [path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.*")]
    assert {"report.json", "index.html", "agreement.html"} <= {*map(str, files)}
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "3" / file).read_bytes()
    assert first["environment"]["NumPy's threads"] == first["environment"]["PyTorch's threads"] == 1
    some = run(tmp_path / "2", "mse_loss,linear", threads=2, hash_seed="random")
    assert some["components"] == [c for c in first["components"] if c["name"] in ("linear", "mse_loss")]


def test_components_come_in_teaching_order():
    assert select("adam,relu,momentum") == select("momentum,adam,relu,adam")
    assert [component.name for component in select("adam,relu")] == ["relu", "adam"]


def threads() -> list[int]:
    pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return [torch.get_num_threads(), *pools]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with threadpoolctl.threadpool_limits(2):
        yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_one_thread_while_comparing_and_as_many_as_before_it_afterwards():
    before = threads()
    assert before[0] == 2
    with environment.one_thread():
        assert set(threads()) == {1}
        described = environment.describe("cpu")
        assert (described["NumPy's threads"], described["PyTorch's threads"]) == (1, 1)
    assert threads() == before


@environment.one_thread()
def failing():
    raise KeyError


@pytest.mark.usefixtures("two_threads")
def test_an_error_gives_the_threads_back_too():
    before = threads()
    with pytest.raises(KeyError):
        failing()
    assert threads() == before


@pytest.mark.parametrize("layout", [np.ascontiguousarray, fortran, strided])
@pytest.mark.parametrize("shape", [(3, 5), (7, 1), (0, 4)])
def test_tensors_lie_where_pytorch_would_have_put_them(layout, shape):
    array = layout(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    kept = []
    for size in range(1, 20):  # whatever came before
        kept.append(bytearray(size))
        copy = copy_with_strides(array)
        np.testing.assert_array_equal(copy, array)
        assert copy.strides == array.strides
        kept.append(copy)
        tensor = Case("", {"x": array}, dtype=np.float32).for_torch("cpu")["x"]
        assert tensor.data_ptr() % 64 == 0
        assert not tensor.numel() or copy.ctypes.data % 64 == 0


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_drawing_is_the_same_file(kind):
    files = []
    for _ in range(2):
        with figures.drawing() as (drawing, axes):
            figures.curves(axes, {"cost": {"scratch": [2.0, 1.0], "torch": [2.0, 1.0]}})
        files.append(drawn._drawn(drawing, kind))
    assert files[0] == files[1]
