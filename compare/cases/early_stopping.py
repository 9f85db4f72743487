"""Early stopping: metrics that fall, rise, hesitate and break down, with other weights at every epoch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import scratch.network
from compare.cases.choices import any_seed, any_size, floats, some_of
from compare.cases.inputs import normal
from compare.cases.limits import at, bad
from compare.component import Budget, Case, Choose, Component, Edge, Edges, Mistake, Results
from scratch.random import NumpyGenerator
from torch_ref import early_stopping as reference
from torch_ref import network as torch_network

DESCRIPTION: dict[str, Any] = {"widths": (3, 2, 2), "batch_norm": True}
FALLS_AND_RISES = (0.9, 0.7, 0.65, 0.66, 0.6, 0.61, 0.62, 0.63, 0.59, 0.64, 0.7, 0.8)
SLOW = (1.0, 0.99, 0.985, 0.97, 0.96, 0.5, 0.499, 0.498, 0.497, 0.496, 0.495, 0.494)
HESITATES = (0.9, 0.91, 0.8, 0.81, 0.7, 0.71, 0.72, 0.6, 0.61, 0.62, 0.63, 0.5)


def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Costs, and accuracies, that are best at the end, in the middle and at the start."""

    def case(name: str, metrics: Sequence[float], patience: int, **options: Any) -> Case:
        arrays = {"metrics": np.array(metrics, dtype), **_weights(rng, len(metrics), dtype)}
        finite = np.isfinite(metrics[0]) and not np.isinf(metrics).any()  # then so is the best
        return Case(name, arrays, {"patience": patience, **options}, dtype=dtype, finite=bool(finite))

    yield case("typical", FALLS_AND_RISES, 3)
    yield case("patience of 1", FALLS_AND_RISES, 1)
    yield case("patience of 4", FALLS_AND_RISES, 4)
    yield case("never stops", FALLS_AND_RISES, 20)
    yield case("hesitates", HESITATES, 2)
    yield case("rises at once", (0.1, 0.2, 0.3, 0.4), 2)
    yield case("falls to the end", [1 - t / 8 for t in range(7)], 2)
    yield case("constant", (0.5,) * 6, 3)
    yield case("comes back to the best", (0.5, 0.6, 0.5, 0.6, 0.5, 0.4), 5)
    yield case("one epoch", (0.5,), 1)
    yield case("min_delta", SLOW, 3, min_delta=0.02)
    yield case("min_delta, on the bound", (1.0, 0.75, 0.5, 0.25, 0.25), 2, min_delta=0.25)
    yield case("accuracy", (0.5, 0.6, 0.61, 0.7, 0.69, 0.68, 0.67, 0.9), 2, mode="max")
    yield case(
        "accuracy, min_delta", (0.5, 0.6, 0.61, 0.7, 0.71, 0.715, 0.72, 0.9), 2, mode="max", min_delta=0.05
    )
    yield case("negative costs", (-1.0, -2.0, -2.5, -2.4, -2.3, -3.0), 2, min_delta=0.1)
    yield case("values of 1e3", (3e3, 2e3, 2.1e3, 2.2e3, 1e3), 2)
    yield case("nan", (0.9, 0.8, np.nan, 0.7, 0.75, 0.76, 0.77), 3)
    yield case("nan at once", (np.nan, 0.8, 0.7), 2)
    yield case("infinity", (np.inf, np.inf, 0.8, np.inf, np.inf), 4)
    yield case("minus infinity", (0.3, -np.inf, 0.2, 0.1, 0.0), 3)


def _weights(rng: np.random.Generator, epochs: int, dtype: Any) -> dict[str, np.ndarray]:
    network = scratch.network.Network(generator=NumpyGenerator(0), dtype=dtype, **DESCRIPTION)
    return {
        f"epochs.{name}": normal(rng, (epochs, *array.shape), dtype) if array.ndim else 5 * np.arange(epochs)
        for name, array in network.state_dict().items()
    }


def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """No patience, a min_delta below 0, and modes that there are none of."""
    good = next(cases(rng, dtype))
    for patience in (0, -1, 1.5):
        yield good.but(f"patience {patience}", patience=patience)
    for min_delta in (-0.1, np.nan, np.inf):
        yield good.but(f"min_delta {min_delta}", min_delta=min_delta)
    yield good.but("mode auto", mode="auto")


def random_case(choose: Choose, dtype: Any) -> Case:
    """Metrics of any size, ties among them."""
    epochs = any_size(choose, 1, 12)
    rng = np.random.default_rng(any_seed(choose))
    options = some_of(
        choose,
        min_delta=lambda choose: choose.number(0, 1),
        mode=lambda choose: choose.one_of(("min", "max")),
    )
    arrays = {"metrics": floats(choose, (epochs,), dtype), **_weights(rng, epochs, dtype)}
    return Case("random", arrays, {"patience": choose.integer(1, 6), **options}, dtype=dtype)


def edges(base: Case) -> Iterator[Edge]:
    """No patience and too much of it, and improvements that nothing is large enough for."""
    yield from at(base, "patience", 0, 1, 10**9)
    yield from at(base, "min_delta", 0.0, 5e-324, 1e308, -0.1)
    yield from bad(base, "min_delta")


def run_scratch(case: Case, f: Any) -> Results:
    """Epoch after epoch, until it says stop; then the best weights come back."""
    network = scratch.network.Network(generator=case.generator(), dtype=case.dtype, **DESCRIPTION)
    return _run(case, network, f.EarlyStopping(**case.options))


def run_torch(case: Case) -> Results:
    """The same with tensors."""
    network = torch_network.Network(dtype=case.dtype, device=case.device, **DESCRIPTION)
    return _run(case, network, reference.EarlyStopping(**case.options))


def _run(case: Case, network: Any, stopping: Any) -> Results:
    best, waits = [], []
    for t, metric in enumerate(case["metrics"]):
        weights = {n.removeprefix("epochs."): a[t] for n, a in case.arrays.items() if n != "metrics"}
        network.load_state_dict(weights)
        stop = stopping.step(float(metric), network)
        best.append(stopping.best)
        waits.append(stopping.wait)
        if stop:
            break
    stopping.restore(network)
    told = {"best": np.array(best), "wait": np.array(waits), "best_epoch": np.array(stopping.best_epoch)}
    kept = {f"kept.{name}": array for name, array in (stopping.best_weights or {}).items()}
    return told | {"stopped": np.array(bool(stopping.stopped))} | kept | network.state_dict()


MIN, MAX = "metric < self.best - self.min_delta", "metric > self.best + self.min_delta"
STOPPED = "self.wait >= self.patience or math.isnan(metric)"
COPIES = "{name: array.copy() for name, array in network.state_dict().items()}"
BEST = "self.best, self.best_epoch, self.wait = metric, self.epoch, 0"

COMPONENTS = (
    Component(
        name="early_stopping",
        topic="early_stopping",
        source="https://keras.io/api/callbacks/early_stopping/",
        functions=("EarlyStopping",),
        reference=("EarlyStopping",),
        cases=cases,
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        refused=refused,
        edges=Edges(("typical",), ("metrics",), others=edges),
        budget=Budget(0, "numbers are compared and kept, not computed with"),
        mistakes=(
            Mistake(
                "an epoch too late",
                "wait > patience: the run goes on for one more epoch than it should.",
                [(STOPPED, STOPPED.replace(">=", ">"))],
                convention="ReduceLROnPlateau and scikit-learn",
            ),
            Mistake(
                "an epoch too early",
                "The best epoch itself is counted as one without an improvement.",
                [(STOPPED, STOPPED.replace("self.wait >=", "self.wait + 1 >="))],
            ),
            Mistake(
                "no patience",
                "The first epoch that is not better ends the run.",
                [(STOPPED, STOPPED.replace("self.patience", "1"))],
            ),
            Mistake(
                "never forgets",
                "An improvement does not set the count back: all epochs without one are added up.",
                [(BEST, "self.best, self.best_epoch = metric, self.epoch")],
            ),
            Mistake(
                "against the epoch before",
                "The best so far is forgotten: a metric that swings goes on for ever.",
                [("        self.epoch += 1\n", "        self.epoch += 1\n        self.best = metric\n")],
            ),
            Mistake(
                "best weights not restored",
                "The network is left with the weights of the last epoch, `patience` epochs beyond the best.",
                [("            network.load_state_dict(self.best_weights)", "            return")],
            ),
            Mistake(
                "best weights not copied",
                "state_dict() holds the arrays themselves: what was kept changes with the network.",
                [(COPIES, "network.state_dict()")],
            ),
            Mistake(
                "running statistics left behind",
                "Only the parameters come back: batch normalisation has the statistics of another epoch.",
                [
                    (COPIES, COPIES.replace("network.state_dict().items()", "network.named_parameters()")),
                    ("(self.best_weights)", "({**network.state_dict(), **self.best_weights})"),
                ],
            ),
            Mistake(
                "min_delta not looked at",
                "However little better: an epoch that hardly changes anything sets the count back.",
                [(MIN, "metric < self.best"), (MAX, "metric > self.best")],
            ),
            Mistake(
                "min_delta the wrong way round",
                "An epoch that is a little worse is an improvement.",
                [(MIN, MIN.replace(" - ", " + ")), (MAX, MAX.replace(" + ", " - "))],
            ),
            Mistake(
                "min_delta as a share",
                "Of the best metric: small where that is small, and reversed where it is below 0.",
                [
                    (MIN, "metric < self.best * (1 - self.min_delta)"),
                    (MAX, "metric > self.best * (1 + self.min_delta)"),
                ],
                convention="ReduceLROnPlateau's threshold_mode rel",
            ),
            Mistake(
                "best follows small improvements",
                "They do not set the count back, but the next one has to be better than they are.",
                [
                    (
                        "            self.wait += 1\n",
                        "            self.wait += 1\n"
                        "            smaller, larger = sorted((metric, self.best))\n"
                        "            self.best = smaller if self.mode == 'min' else larger\n",
                    )
                ],
                convention="ignite's min_delta, without cumulative_delta",
            ),
            Mistake(
                "as good is better",
                "<= for <: a metric that never changes is an improvement each time.",
                [(MIN, MIN.replace("<", "<=")), (MAX, MAX.replace(">", ">="))],
            ),
            Mistake(
                "mode not looked at",
                "An accuracy that rises is taken for a cost that does.",
                [('if self.mode == "min":', "if True:")],
            ),
            Mistake(
                "NaN waited for",
                "A NaN is an epoch without an improvement, and nobody comes back from it.",
                [(STOPPED, "self.wait >= self.patience")],
                convention="Keras",
            ),
            Mistake(
                "NaN the best",
                "Not >= is taken for <: a NaN is an improvement, and after it everything is.",
                [(MIN, f"not {MIN.replace('<', '>=')}"), (MAX, f"not {MAX.replace('>', '<=')}")],
            ),
        ),
        arbiter=False,
    ),
)
