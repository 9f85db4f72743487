"""Flip every sign in scratch/, one at a time, and see that the comparison turns red.

    python tests/mutants.py [TOPIC …]

For each + and − of the arithmetic (binary, unary, augmented) one copy of the module is made with that
sign flipped, and the components are compared in both dtypes, those of the same topic first. Prints the first
component that noticed. A run on one machine does not reach the random streams of another one (a GPU, other
builds of PyTorch): where no component noticed, the tests of those streams are asked. Exits with 1 if a flip
went unnoticed by all of them.
"""

import ast
import importlib
import os
import sys
import types
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
FLIPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add}
STREAMS = {"random", "box_muller", "philox"}
NOT_ARITHMETIC = {"checks", "__init__"}  # error messages: the tests' business


def sites(tree: ast.AST) -> list[ast.AST]:
    """Every node that carries a sign, outside of `raise` statements."""
    messages = {id(n) for r in ast.walk(tree) if isinstance(r, ast.Raise) for n in ast.walk(r)}
    return [
        node
        for node in ast.walk(tree)
        if id(node) not in messages
        and (
            (isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in FLIPPED)
            or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub))
        )
    ]


def mutants() -> Iterator[tuple[str, int]]:
    wanted = sys.argv[1:] or sorted(p.stem for p in (ROOT / "scratch").glob("*.py"))
    for module in wanted:
        if module not in NOT_ARITHMETIC:
            tree = ast.parse((ROOT / "scratch" / f"{module}.py").read_text(encoding="utf-8"))
            yield from ((module, number) for number in range(len(sites(tree))))


def flip(module: str, number: int) -> tuple[ast.Module, str]:
    source = (ROOT / "scratch" / f"{module}.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    node = sites(tree)[number]
    if isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd()
    else:
        node.op = FLIPPED[type(node.op)]()
    return tree, f"{module}.py:{node.lineno}: {source.splitlines()[node.lineno - 1].strip()}"


def first_to_notice(mutant: tuple[str, int]) -> tuple[str, str | None]:
    """In a fresh process: install the mutant, run the comparison, name the first red component."""
    import numpy as np

    name, number = mutant
    tree, place = flip(name, number)
    mutated = types.ModuleType(f"scratch.{name}")
    package = importlib.import_module("scratch")
    sys.modules[mutated.__name__] = mutated
    setattr(package, name, mutated)
    try:
        exec(compile(tree, f"{name}.py", "exec"), mutated.__dict__)
        from compare.parity import cases_of, run_case
        from compare.registry import all_components

        components = sorted(all_components().values(), key=lambda c: c.topic != name)
        if name == "philox":  # what a GPU draws: no run on a CPU asks for it
            components = []
        for component in components:
            for dtype in (np.float64, np.float32):
                for case in cases_of(component, 0, dtype):
                    if not run_case(component, case, arbiter=False).equal:
                        return place, component.name
        if name in STREAMS:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                failed = pytest.main(
                    ["-x", "-q", "-p", "no:cacheprovider", str(ROOT / "tests/test_random.py")]
                )
            return place, "(tests/test_random.py)" if failed else None
    except Exception as error:
        return place, f"(does not even start: {type(error).__name__})"
    return place, None


def main() -> int:
    import torch  # loaded once, inherited by every process

    torch.set_num_threads(1)
    survivors = []
    chosen = list(mutants())
    with get_context("fork").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        for place, noticed in pool.imap(first_to_notice, chosen, chunksize=1):
            print(f"{'unnoticed' if noticed is None else noticed:36} {place}", flush=True)
            if noticed is None:
                survivors.append(place)
    print(f"{len(chosen)} signs flipped, {len(chosen) - len(survivors)} noticed, {len(survivors)} not")
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main())
