"""How long one waits for a command, as a whole process, in units of `import torch` on the same machine."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROOT = Path(__file__).parents[2]
MINE = """import numpy as np

def relu_forward(x):
    y = np.maximum(0, x)
    return y, y

def relu_backward(dy, cache):
    return dy * (cache > 0)
"""
COMMANDS = {  # what follows python -m compare → the ratio to reach
    "list": 0.5,
    "--help": 0.5,
    "exercise adam": 0.5,
    "show adam": 1.5,
    "check mine.py": 2.0,
    "--only relu": 2.0,
    "": 10.0,
    "experiments --quick": 20.0,
}
ROUNDS, LONG = 5, 10.0  # what takes as long as that runs once


def run_bench_tools(console: Console) -> None:
    """Time the commands, and print how long each takes."""
    rounds = {command: 1 if aim >= LONG else ROUNDS for command, aim in COMMANDS.items()}
    imports: list[float] = []
    times: dict[str, list[float]] = {command: [] for command in COMMANDS}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("commands", total=sum(rounds.values()))
        for i in range(ROUNDS):
            imports.append(seconds("-c", "import torch"))
            for command in (command for command, many in rounds.items() if i < many):
                times[command].append(seconds("-m", "compare", *command.split()))
                bar.advance(task)
    table = Table(title="Waiting for a command")
    table.add_column("python -m compare …")
    for column in ("time", "÷ import torch", "aim"):
        table.add_column(column, justify="right")
    unit = statistics.median(imports)
    for command, aim in COMMANDS.items():
        took = statistics.median(times[command])
        table.add_row(command, f"{took:.2f} s", f"{took / unit:.2f}", f"{aim:g}")
    console.print(table)
    console.print(f"import torch: {unit:.2f} s; medians of {ROUNDS} rounds, of the two longest one")


def seconds(*arguments: str) -> float:
    """A Python process in a folder with `mine.py`, from its start to its end, all modules compiled before

    Raises:
        ClickException: it fails.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "mine.py").write_text(MINE, encoding="utf-8")
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, check=False, capture_output=True
        )
        took = time.perf_counter() - start
    if done.returncode:
        raise click.ClickException(f"python {' '.join(arguments)}: ended with status {done.returncode}")
    return took
