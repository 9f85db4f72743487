"""What an experiment asks for: trainings that can run side by side."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from compare.component import higher_precision
from compare.environment import processes, starting_workers, workers
from compare.experiments.recipe import Recipe
from compare.experiments.train import SIDES, Run, train
from compare.training.data import Data


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    sides: tuple[str, ...] = SIDES
    quick: bool = False
    data: Path | None = None  # the reader's own file for the regularization experiment

    def shortened(self, recipe: Recipe, by: int = 20) -> Recipe:
        """The recipe, or so manieth a part of its epochs for a first look."""
        return replace(recipe, epochs=recipe.epochs // by) if self.quick else recipe


@dataclass(frozen=True)
class Task:
    """One training: of `recipe` on `side`, on what `data()` makes; `options` go to `train`."""

    key: str  # what the experiment finds the result by, beside the side
    recipe: Recipe
    side: str
    data: Callable[[], Data]  # a module-level function, or a partial of one: it travels to another process
    options: Mapping[str, Any] = field(default_factory=dict)


Results = Mapping[tuple[str, str], Run]  # (key, side) → what the training gave


def tasks_of(
    recipes: Mapping[str, Recipe], data: Callable[[], Data], options: Options, by: int = 20, **train: Any
) -> list[Task]:
    """A task for each recipe on each side, shortened where that is asked for; `train` goes to `train`."""
    return [
        Task(key, options.shortened(recipe, by), side, data, train)
        for key, recipe in recipes.items()
        for side in options.sides
    ]


def arbiter_tasks(key: str, recipe: Recipe, data: Callable[[], Data]) -> list[Task]:
    """The training in the precision beyond float64, where the platform has one."""
    dtype = higher_precision(np.float64)
    return [Task(key, recipe, "arbiter", data, {"dtype": dtype})] if dtype else []


def run_tasks(tasks: Sequence[tuple[str, Task]], progress: Progress) -> dict[str, dict[tuple[str, str], Run]]:
    """Train everything, a process for each core, one thread in each: tiny networks gain nothing from more.

    Args:
        tasks: (name of the experiment, task)
        progress: gets a bar for each experiment

    Returns:
        experiment → (key, side) → run
    """
    names = list(dict.fromkeys(name for name, _ in tasks))
    totals = [sum(task.recipe.epochs for owner, task in tasks if owner == name) for name in names]
    bars = [progress.add_task(name, total=total) for name, total in zip(names, totals, strict=True)]
    done: Any = processes().Array("q", len(names))  # epochs, of each experiment
    results: dict[str, dict[tuple[str, str], Run]] = {name: {} for name in names}
    for data in dict.fromkeys(task.data for _, task in tasks):
        data()  # what is remembered of it no process has to make again
    with workers(_count_in, done) as pool:
        with starting_workers():
            waiting = {pool.submit(_train, names.index(name), task): (name, task) for name, task in tasks}
        while waiting:
            for future in wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED).done:
                name, task = waiting.pop(future)
                results[name][task.key, task.side] = future.result()
            for bar, count in zip(bars, done, strict=True):
                progress.update(bar, completed=count)
    return results


_done: Any = None  # in a worker: the counters of `run_tasks`


def _count_in(done: Any) -> None:
    global _done
    _done = done


def _train(experiment: int, task: Task) -> Run:
    def count(epochs: int) -> None:
        with _done.get_lock():
            _done[experiment] += epochs

    return train(task.recipe, task.side, task.data(), progress=count, **task.options)
