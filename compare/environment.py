"""The machine: set up so that two right answers can be equal, and described so that a report can be read."""

import ctypes
import functools
import gc
import importlib
import importlib.metadata
import multiprocessing
import os
import platform
import random
import re
import signal
import subprocess
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
import torch

from compare.component import higher_precision

# Other libraries, SciPy for one, load a BLAS of their own, which nothing here computes with.
NUMPY_BLAS = {pool["filepath"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}
DEFAULT = ctypes.c_void_p(-1)  # FE_DFL_ENV of glibc and musl
ROOM = 512  # bytes: more than any fenv_t
FORKS = sys.platform == "linux"  # elsewhere the system's own libraries do not survive it
FEW = 8  # parts of a whole: below that, processes take longer to start than they save
MKL_KERNELS = ("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")  # MKL says what was asked for, not what it took


def check_device(device: str) -> None:
    """Raise ValueError unless `device` is cpu, or a CUDA GPU (cuda, cuda:N) that this PyTorch sees.

    The message is what the command line prints.
    """
    if device == "cpu":
        return
    if not re.fullmatch(r"cuda(:\d+)?", device, re.ASCII):
        raise ValueError(f"--device {device}: expected cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise ValueError(f"--device {device}: this PyTorch ({torch.__version__}) sees no CUDA GPU")
    if int(device.partition(":")[2] or 0) >= count:
        names = "cuda:0 alone" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise ValueError(f"--device {device}: this PyTorch sees {names}")


def prepare(device: str) -> None:
    """Make PyTorch deterministic and its float32 a float32; then check that the device is there.

    Tensor cores would round the factors of a float32 product to TF32's ten bits: a thousand times the
    rounding unit. cuBLAS is deterministic only with a workspace fixed before CUDA starts.

    Raises:
        ValueError: no such device; see `check_device`.

    https://docs.pytorch.org/docs/stable/notes/randomness.html
    https://docs.pytorch.org/docs/stable/notes/cuda.html#tensorfloat-32-tf32-on-ampere-and-later-devices
    """
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    if device != "cpu":  # where one thread adds in one order: what this imports takes a second
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # PyTorch 2.9; not to be mixed with the older
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        torch.backends.cudnn.fp32_precision = "ieee"  # type: ignore[attr-defined, unused-ignore]
    else:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    check_device(device)


def leave_out_compiler() -> None:
    """Keep PyTorch's compiler from being imported, until somebody compiles

    Every optimizer of PyTorch imports it, which takes about as long as `import torch`: to ask it not to
    compile `add_param_group`, and to end the graph that `step` may be in. Here nothing is compiled. PyTorch's
    tests ask it for the kinds of GPU that there are, and every `backward` that is given a gradient whether
    that has the right shape, which for a compiler may be a formula, of SymPy. Who asks for anything else of
    it gets the compiler itself.
    """

    def disable(fn: Callable, *_: object, **__: object) -> Callable:
        return fn

    def graph_break(*_: object, **__: object) -> None:
        pass

    def sym_eq(x: Any, y: Any) -> bool:
        return x == y

    def expect_true(a: bool, skip: int = 0) -> bool:
        return a

    shapes = {"sym_eq": sym_eq, "expect_true": expect_true}
    for stand_in in (
        _StandIn("torch._dynamo", is_package=True, disable=disable, graph_break=graph_break),
        _StandIn("torch._inductor.utils", is_package=False, GPU_TYPES=["cuda", "mps", "xpu", "mtia"]),
        _StandIn("torch.fx.experimental.symbolic_shapes", is_package=False, **shapes),
    ):
        stand_in.install()


class _StandIn(types.ModuleType):
    """A module of which something is known without importing it; all else is its own."""

    def __init__(self, name: str, is_package: bool, **known: Any) -> None:
        super().__init__(name)
        self.is_package = is_package
        self._package, _, self._own_name = name.rpartition(".")
        vars(self).update(known)

    def install(self) -> None:
        """Whoever imports the module from now on gets this one, unless it has been imported."""
        if sys.modules.setdefault(self.__name__, self) is self and self._package in sys.modules:
            # Where every step of an optimizer looks for it.
            vars(sys.modules[self._package])[self._own_name] = self

    def __getattr__(self, name: str) -> Any:
        submodules = name == "__path__" and self.is_package  # are found by it
        if name.startswith("__") and not submodules:
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
            vars(sys.modules.get(self._package, self)).pop(self._own_name, None)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep both libraries to one thread, and give them back what they had.

    Several threads add up a sum in several parts, so that its last bits depend on how many there are. Nor is
    there time to win: on small networks, two pools that wake each other cost more than they give.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within, floating-point arithmetic and PyTorch are as at the start of a process; then as before

    Subnormal numbers are numbers, and results are rounded to nearest: a library may have set the processor
    otherwise, and so may `torch.set_flush_denormal(True)`, for NumPy too. (This is a setting of each thread;
    a comparison computes in its own alone, see `one_thread`.) NumPy's warnings, PyTorch's default
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


@functools.cache
def _c_library() -> Any:
    return ctypes.CDLL(None)


@contextmanager
def _arithmetic() -> Iterator[None]:
    if sys.platform == "linux":
        library = _c_library()
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


@contextmanager
def starting_workers() -> Iterator[None]:
    """Processes that are started in here leave Ctrl-C to their parent, who ends them."""
    with warnings.catch_warnings():
        # Python 3.12 warns of other threads: those of a BLAS wait, and the library starts them anew.
        warnings.simplefilter("ignore", DeprecationWarning)
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            yield
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this process when the one that started it does, even if that was killed."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def workers(prepare: Callable[..., Any], *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """A process for each core, with one thread; all of them end with this process, however that ends

    Where the system can, they are copies of this one, which have nothing to import.

    Raises:
        OSError: one of them was killed.
    """
    given = (prepare, *arguments)
    with ProcessPoolExecutor(os.cpu_count(), processes(), _begin, given) as pool:
        try:
            yield pool
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.kill()
            if isinstance(error, BrokenProcessPool):
                raise OSError("one of the processes was killed, for its memory perhaps") from None
            raise


def processes() -> Any:
    """How processes are started here, as `multiprocessing` has it."""
    return multiprocessing.get_context("fork" if FORKS else "spawn")


def _begin(prepare: Callable[..., Any], *arguments: Any) -> None:
    gc.freeze()  # what there is stays: a search for garbage would write to its memory, and so copy it
    end_with_parent()
    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1)
    prepare(*arguments)


def spread(
    parts: Sequence[Callable[[], Any]], device: str = "cpu", progress: Callable[[int], None] = lambda i: None
) -> list[Any]:
    """What all parts return when they are called; `progress` is told the number of each that is done

    On several cores copies of this process, made by `fork`, take part after part, in their order: whatever is
    set here, or replaced, is so there. Without `fork`, with a GPU, which does not survive it, or for few
    parts, they are called here.
    """
    if not (FORKS and device == "cpu" and (os.cpu_count() or 1) > 1) or len(parts) < FEW:
        found = []
        for i, part in enumerate(parts):
            found.append(part())
            progress(i)
        return found
    with workers(_take, parts) as pool:
        with starting_workers():
            futures = {pool.submit(_call, i): i for i in range(len(parts))}
        for future in as_completed(futures):
            future.result()  # or what it raised, at once
            progress(futures[future])
        return [future.result() for future in futures]


_parts: Sequence[Callable[[], Any]] = ()


def _take(parts: Sequence[Callable[[], Any]]) -> None:
    global _parts
    _parts = parts


def _call(i: int) -> Any:
    return _parts[i]()


def describe(device: str) -> dict[str, Any]:
    """What a reader of a report must know of the machine; nothing that says whose it is."""
    return {
        "scratch-vs-torch": _version("scratch-vs-torch"),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "PyTorch": torch.__version__,
        "platform": " ".join([platform.system(), platform.machine(), *filter(None, platform.libc_ver())]),
        "processor": _processor(),
        "NumPy's BLAS": _numpy_blas(),
        "NumPy's threads": _numpy_threads(),
        "PyTorch's BLAS": _torch_blas(),
        "PyTorch's vector instructions": torch.backends.cpu.get_cpu_capability(),
        "PyTorch's threads": torch.get_num_threads(),
        "arbiter of float64": "longdouble" if higher_precision(np.float64) else "none on this platform",
        **(_describe_gpu(device) if device.startswith("cuda") else {}),
    }


def _describe_gpu(device: str) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(torch.device(device))
    return {
        "GPU": properties.name,
        "compute capability": f"{properties.major}.{properties.minor}",
        "driver": _driver(),
        "CUDA": torch.version.cuda,
    }


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _numpy_blas() -> str:
    blas: Any = np.show_config(mode="dicts")
    blas = blas.get("Build Dependencies", {}).get("blas", {})
    kernels = {pool.get("architecture", "") for pool in threadpoolctl.threadpool_info()} - {""}
    return " ".join(filter(None, [blas.get("name", "unknown"), blas.get("version", ""), *sorted(kernels)]))


def _numpy_threads() -> Any:
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["filepath"] in NUMPY_BLAS]
    return max((pool["num_threads"] for pool in pools), default="unknown")


def _torch_blas() -> str:
    found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    asked = [f"{name}={os.environ[name]}" for name in MKL_KERNELS if name in os.environ]
    return " ".join([found[1] if found else "unknown", *asked])


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return answer.stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"
