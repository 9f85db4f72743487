"""Standardisation: features of very different scales, nearly constant ones, and constant ones."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.cases.choices import any_size, floats, laid_out, near_zero
from compare.cases.inputs import SIZES, fortran, normal, other, strided, subnormals
from compare.cases.limits import edge
from compare.component import Budget, Case, Choose, Component, Edge, Edges, Mistake, Results
from scratch.standardization import Standardizer
from torch_ref import standardization as reference


def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """The test set is drawn elsewhere than the training set, so that its own statistics would show."""

    def case(name: str, train: np.ndarray, test: np.ndarray, **kwargs: Any) -> Case:
        arrays = {"x_train": train.astype(dtype, copy=False), "x_test": test.astype(dtype, copy=False)}
        return Case(name, arrays, dtype=dtype, **kwargs)

    def spread(name: str, center: Any, scale: Any, examples: int = 13, **kwargs: Any) -> Case:
        train = center + scale * rng.standard_normal((examples, 7))
        test = center + scale * (0.5 + 2 * rng.standard_normal((5, 7)))
        return case(name, train, test, **kwargs)

    for name, (batch, features) in SIZES.items():
        train, test = normal(rng, (batch, features), dtype), normal(rng, (5, features), dtype)
        yield case(name, 2 * train + 3, 5 * test + 1)
    yield spread("mixed scales", np.logspace(-4, 4, 7), np.logspace(-4, 4, 7), examples=569)
    yield spread("tiny variances", 0.0, np.logspace(-12, -4, 7))
    yield spread("mean far larger than spread", np.array([1, -10, 1e2, -1e2, 1e3, -1e3, 1e3]), 1.0)
    yield spread("squares under- and overflow", 0.0, np.array([1e-30, 1e-25, 1e-20, 1.0, 1e20, 1e25, 1e30]))
    one_step = np.ones((4, 3), dtype)
    one_step[0] += np.finfo(dtype).eps
    yield case("two neighbouring numbers", one_step, one_step[:2])
    yield case(
        "subnormal", np.array([subnormals(dtype)] * 3) * [[1], [2], [4]], np.array([subnormals(dtype)])
    )
    constants = np.array([0.1, 1 / 3, -1e4 / 3, 0.0, np.pi, 1e-9 / 7, 7.0])
    yield case("constant features", np.tile(constants, (13, 1)), constants + normal(rng, (5, 7), dtype))
    mixed = normal(rng, (13, 7), dtype)
    mixed[:, ::2] = constants[::2]
    yield case("some constant features", mixed, normal(rng, (5, 7), dtype))
    yield case("zeros of both signs", np.array([[0.0, -0.0, -0.0], [-0.0, 0.0, -0.0]]), np.zeros((1, 3)))
    yield case("one example", normal(rng, (1, 3), dtype), normal(rng, (2, 3), dtype))
    train, test = 3 + normal(rng, (13, 7), dtype), normal(rng, (5, 7), dtype)
    yield case("fortran order", fortran(train), fortran(test))
    yield case("not contiguous", strided(train), strided(test))
    broken = test.copy()
    broken[0, 1], broken[1, 2], broken[2, 0] = np.nan, np.inf, -np.inf
    yield case("nan and infinity in the test set", train, broken, finite=False)
    yield case("empty test set", train, test[:0])


def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """A training set without examples or whose numbers are none, and a test set that does not fit it."""
    good = next(iter(cases(rng, dtype)))
    train, test = good["x_train"], good["x_test"]
    yield good.but("no examples", {"x_train": train[:0]})
    for value in (np.nan, np.inf):
        broken = train.copy()
        broken[2, 1] = value
        yield good.but(f"{value} in the training set", {"x_train": broken})
    yield good.but("one dimension", {"x_train": train[0]})
    yield good.but("integers", {"x_train": train.astype(np.int64)})
    yield good.but("test set of fewer features", {"x_test": test[:, 1:]})
    yield good.but("test set of one dimension", {"x_test": test[0]})
    yield good.but("test set of another dtype", {"x_test": test.astype(other(dtype))})
    yield good.but("transform before fit", unfitted=True)


def random_case(choose: Choose, dtype: Any) -> Case:
    """Sets whose mean may be far larger than their spread, with some features that are constant in training

    At least one feature: of an empty table, PyTorch's std warns.
    """
    features = any_size(choose, 1, 20)
    train = floats(choose, (any_size(choose), features), dtype)
    test = floats(choose, (any_size(choose, 0), features), dtype)
    center = 10.0 ** near_zero(choose, -3, 3) * choose.one_of((0, 1, -1))
    train[...] += np.array(center, dtype)
    test[...] += np.array(center, dtype)
    constant = [choose.integer(0, features - 1) for _ in range(choose.integer(0, 3))]
    train[:, constant] = train[:1, constant]
    return Case("random", {"x_train": train, "x_test": laid_out(choose, test)}, dtype=dtype)


def edges(base: Case) -> Iterator[Edge]:
    """No variance, and no features."""
    train, test = base["x_train"], base["x_test"]
    for value in (0.0, 0.1, float(np.finfo(base.dtype).max)):
        yield edge(base, "zero variance", f"all {value:.3g}", {"x_train": np.full_like(train, value)})
    yield edge(base, "no features", arrays={"x_train": train[:, :0], "x_test": test[:, :0]})


def run_scratch(case: Case, f: Any) -> Results:
    """Fitted once, applied to both sets."""
    if "unfitted" in case.options:
        Standardizer().transform(case["x_test"])
    mean, std = f.standardize_fit(case["x_train"])
    return {
        "mean": mean,
        "std": std,
        "train": f.standardize(case["x_train"], mean, std),
        "test": f.standardize(case["x_test"], mean, std),
    }


def run_torch(case: Case) -> Results:
    """The same with tensors."""
    if "unfitted" in case.options:
        reference.Standardizer().transform(case["x_test"])
    mean, std = reference.standardize_fit(case["x_train"])
    return {
        "mean": mean,
        "std": std,
        "train": reference.standardize(case["x_train"], mean, std),
        "test": reference.standardize(case["x_test"], mean, std),
    }


def magnitude(case: Case) -> dict[str, Any]:
    """The condition of mean and spread, feature by feature, with ρ = √(1/m Σ x²) = √(μ² + σ²)

    μ adds numbers of size ρ, whatever they cancel to: ρ.

    σ: a relative error ε of every x moves σ by up to 1/(mσ) Σ |x − μ|·|x|·ε ≤ ρ·ε (Cauchy–Schwarz): ρ.

    y = (x − μ)/σ: the numerator is a difference of x and of a μ with an error of ρ, and the relative error
    of σ is ρ/σ: (|x| + ρ + |y|·ρ)/σ.

    Below the smallest normal number rounding units no longer shrink, so ρ is at least that.
    """
    x = case["x_train"].astype(np.longdouble)
    constant = (x == x[0]).all(axis=0)
    mean = x.mean(axis=0)
    span = np.where(constant, 1, np.abs(x - mean).max(axis=0))  # where longdouble is no longer than float64
    std = np.where(constant, 1, span * (((x - mean) / span) ** 2).mean(axis=0) ** 0.5)
    rho = np.maximum((x**2).mean(axis=0) ** 0.5, np.finfo(case.dtype).tiny)

    def scale(x: np.ndarray) -> np.ndarray:
        x = np.where(np.isfinite(x), x, 0).astype(np.longdouble)
        return (np.abs(x) + rho + np.abs((x - mean) / std) * rho) / std

    return {"mean": rho, "std": rho, "train": scale(case["x_train"]), "test": scale(case["x_test"])}


SPREAD = "span * ((scaled * scaled).sum(axis=0) / len(x)) ** 0.5"
UNBIASED = "(scaled * scaled).sum(axis=0) / max(len(x) - 1, 1)"
OWN = "mean, std = standardize_fit(x) if len(x) else (mean, std)"

COMPONENTS = (
    Component(
        name="standardization",
        topic="standardization",
        source="https://scikit-learn.org/stable/modules/generated/sklearn.preprocessing.StandardScaler.html",
        functions=("standardize_fit", "standardize"),
        reference=("standardize_fit", "standardize"),
        cases=cases,
        rare={
            "two neighbouring numbers": "hardly any spread",
            "constant features": "constant features",
            "some constant features": "constant features",
            "zeros of both signs": "constant features",
            "one example": "one example",
        },
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        magnitude=magnitude,
        budget=Budget(
            lambda case: max(32, 2 * len(case["x_train"]) ** 0.5),
            "sums over m examples in another order: max(32, 2√m) units of the condition of mean and spread",
        ),
        refused=refused,
        edges=Edges(rows=("x_train", "x_test"), others=edges),
        mistakes=(
            Mistake(
                "test set by its own statistics",
                "Mean and spread of the set at hand where those of the training set belong.",
                [("return (x - mean) / std", f"{OWN}\n    return (x - mean) / std")],
            ),
            Mistake(
                "unbiased standard deviation",
                "Divided by m − 1 instead of m: seen with few examples only.",
                [("(scaled * scaled).sum(axis=0) / len(x)", UNBIASED)],
                convention="torch.std, pandas and R; not NumPy, not scikit-learn",
            ),
            Mistake(
                "divided by the variance",
                "(x − μ)/σ², a slip of many lecture notes: small scales become large ones.",
                [("(x - mean) / std", "(x - mean) / std / std")],
            ),
            Mistake(
                "variance for the spread",
                "The root of σ² is forgotten when the statistics are taken.",
                [("std = span *", "std = span**2 *"), ("/ len(x)) ** 0.5", "/ len(x)) ** 1")],
            ),
            Mistake(
                "mean not subtracted",
                "x/σ: spread 1, and the mean where it was, which every first unit must unlearn.",
                [("(x - mean) / std", "x / std")],
            ),
            Mistake(
                "spread not divided out",
                "x − μ: mean 0, and scales as different as before.",
                [("(x - mean) / std", "x - mean")],
            ),
            Mistake(
                "scaled to [0, 1]",
                "(x − min)/(max − min) is another method: two outliers decide it, and the mean is not 0.",
                [
                    ("x.sum(axis=0) / len(x))", "x.min(axis=0))"),
                    (SPREAD, "np.ptp(x, axis=0)"),
                ],
            ),
            Mistake(
                "spread about zero",
                "√(1/m Σ x²) of the numbers as they came, before the mean is subtracted.",
                [(SPREAD, "(x * x).mean(axis=0) ** 0.5")],
            ),
            Mistake(
                "one mean for all features",
                "Mean and spread of the whole table: features keep their different scales.",
                [("x.sum(axis=0) / len(x)", "x.sum() / x.size"), (SPREAD, "np.full_like(mean, x.std())")],
            ),
            Mistake(
                "ε added to the spread",
                "σ + 10⁻⁸ saves constant features from 0/0, and flattens those of a small spread.",
                [(SPREAD, f"{SPREAD} + 1e-8")],
            ),
            Mistake(
                "constant features divided by zero",
                "Their σ is 0, or what rounding left of it: NaN or huge numbers go into the network.",
                [("np.where(constant, one, std)", "std")],
            ),
            Mistake(
                "constant features known by σ = 0",
                "The rounded mean of equal numbers may be another one: σ is then 10⁻¹⁷, and 0/0 becomes ±1.",
                [
                    ("np.where(constant, x[0], x.sum(axis=0) / len(x))", "x.sum(axis=0) / len(x)"),
                    ("np.where(constant, one, std)", "np.where(std == 0, one, std)"),
                ],
            ),
        ),
    ),
)
