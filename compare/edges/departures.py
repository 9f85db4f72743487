"""Where scratch departs from PyTorch on purpose, and why.

The sign and the payload of a NaN are nobody's promise and are not compared.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from compare.edges.probe import Probe


@dataclass(frozen=True)
class Departure:
    """Probes of one component on which the two sides differ, and the reason, as one sentence.

    Args:
        component: its name
        edges: the rows of the table
        what: patterns of what stands at the edge
        reason: why
        dtypes: where it is not both
        depends_on: what of the kernels of processor and libraries decides which of the probes depart, if any
            do: ADDITION or FUSION; empty where every one departs with every kernel
    """

    component: str
    edges: tuple[str, ...]
    what: tuple[str, ...]
    reason: str
    dtypes: tuple[str, ...] = ("float32", "float64")
    depends_on: str = ""

    def covers(self, probe: Probe) -> bool:
        """Whether it speaks of this probe."""
        return (
            probe.component.name == self.component
            and probe.edge in self.edges
            and probe.dtype in self.dtypes
            and any(fnmatchcase(probe.what, pattern) for pattern in self.what)
        )


ADDITION = "the order in which the kernel of a matrix product adds"
FUSION = "whether PyTorch's kernel multiplies and adds in one operation"

SUBNORMAL = ("smallest subnormal", "−smallest subnormal")
LARGEST = ("largest float", "−largest float")
INFINITE = ("+∞", "−∞")
FLOAT32, FLOAT64 = ("float32",), ("float64",)

ZEROS = (
    "Every product of a sum is below the smallest number, and whether the sum is +0 or −0 depends on where"
    " the kernel of a matrix product starts to add, and on whether it rounds each product."
)
OVERFLOW = (
    "Partial sums overflow to +∞ and −∞ in the order in which a kernel adds, and ∞ − ∞ is NaN: each library"
    " has its own order."
)
FUSED = (
    "PyTorch multiplies and adds in one operation that is rounded once: a product below the smallest number"
    " leaves −0 in a sum with 0, where two roundings leave +0."
)
FUSED_SQUARE = (
    "PyTorch subtracts a² from s in one operation, in which a² does not overflow; by itself it does, and"
    " ∞ − ∞ is NaN."
)
BEYOND = "The number is beyond float32: PyTorch refuses to convert it, NumPy makes it infinite."
FOLDED = (
    "PyTorch computes x·α + (β − μ·α) with α = γ/s, ours γ·(x − μ)/s + β: where α or μ·α is infinite, or"
    " x − μ is 0, the two forms part."
)
LAST_FACTOR = (
    "PyTorch multiplies Σ dy·(x − μ) by 1/s, ours adds up dy·((x − μ)/s): where a factor is 0 or infinite,"
    " the order of the factors shows."
)
THREE_FACTORS = "dy, 1/s and γ are multiplied in another order, and one of the orders overflows on the way."
AUTOGRAD = "Autograd multiplies λ/2m, dloss and 2·W in another order than (λ/m)·W, and overflows elsewhere."
TEXTBOOK = (
    "PyTorch's buffer, from which the textbook's velocity is read off, is 1/(1 − β) times as large: it"
    " overflows first, and is a zero later."
)
RATE = (
    "γⁿ overflows in Python with an exception, where PyTorch multiplies on with an infinite rate: an error is"
    " the better answer."
)
HALVED = "Below the smallest normal number PyTorch rounds at every epoch, γⁿ·lr is rounded once."
COUNTER = (
    "PyTorch counts steps in a float32, which stops at 2²⁴ = 16 777 216; ours counts on, which shows while βᵗ"
    " is not yet 0."
)

OTHER_SCALE = (
    "A variance overflows in float32, but not in the higher precision that the scale is computed in: the two"
    " sides are equal to a few digits less than all, and counted in the rounding units of another network."
)

DEPARTURES: tuple[Departure, ...] = (
    Departure(
        "normal",
        ("std the smallest subnormal",),
        ("",),
        "The addition of a mean of 0 is left out of the fused multiply-add, since it shows only here: PyTorch"
        " has −0 where z·std is below the smallest number.",
        FLOAT32,
        depends_on=FUSION,
    ),
    Departure("leaky_relu", ("negative_slope = 1e308",), ("",), BEYOND, FLOAT32),
    Departure("linear", SUBNORMAL, ("x",), ZEROS, depends_on=ADDITION),
    Departure("linear", LARGEST, ("x", "weight", "dy"), OVERFLOW, depends_on=ADDITION),
    Departure(
        "cross_entropy",
        ("no classes",),
        ("no examples",),
        "NumPy knows no largest of no logits, and says so; PyTorch's loss is NaN.",
    ),
    Departure("l2_penalty", LARGEST, ("weight1", "one of weight1"), AUTOGRAD),
    Departure("l2_penalty", ("l2 = 1e308",), ("",), AUTOGRAD, FLOAT64),
    Departure("weight_decay", ("l2 = 1e308",), ("",), BEYOND, FLOAT32),
    Departure("batch_norm", INFINITE, ("gamma", "one of gamma"), FOLDED),
    Departure("batch_norm", ("+∞",), ("not affine: running_var",), FOLDED),
    Departure("batch_norm", ("−0",), ("not affine: x", "not affine: next_x"), FOLDED),
    Departure(
        "batch_norm",
        ("−smallest subnormal",),
        ("not affine: x", "not affine: next_x"),
        FOLDED,
        depends_on=FUSION,
    ),
    Departure(
        "batch_norm",
        LARGEST,
        ("gamma", "one of gamma", "running_mean", "not affine: one of x", "not affine: one of next_x"),
        FOLDED,
    ),
    Departure("batch_norm", ("+∞",), ("running_var",), LAST_FACTOR),
    Departure("batch_norm", ("eps = 1e308",), ("",), LAST_FACTOR, FLOAT32),
    Departure("batch_norm", ("−largest float",), ("one of x",), LAST_FACTOR),
    Departure("batch_norm", ("largest float",), ("one of next_x",), LAST_FACTOR),
    Departure("batch_norm", LARGEST, ("one of running_mean",), LAST_FACTOR, depends_on=FUSION),
    Departure(
        "batch_norm",
        LARGEST,
        ("dy", "one of dy", "not affine: dy", "not affine: one of dy"),
        THREE_FACTORS,
    ),
    *(
        Departure(
            name, ("smallest subnormal",), ("grads.0", "weight decay: grads.0"), FUSED, depends_on=FUSION
        )
        for name in ("sgd", "nesterov")
    ),
    Departure("momentum", LARGEST, ("grads.0",), TEXTBOOK),
    Departure("momentum", ("−smallest subnormal",), ("grads.0",), TEXTBOOK),
    Departure(
        "momentum",
        ("smallest subnormal",),
        ("grads.0", "PyTorch: weight decay: grads.0"),
        FUSED,
        depends_on=FUSION,
    ),
    *(
        Departure(name, ("lr = 1e308", "weight_decay = 1e308"), ("",), BEYOND, FLOAT32)
        for name in ("sgd", "nesterov", "rmsprop")
    ),
    Departure("momentum", ("lr = 1e308",), ("",), BEYOND, FLOAT32),
    Departure("rmsprop", ("−smallest subnormal",), ("all: grads.0",), FUSED, depends_on=FUSION),
    Departure("rmsprop", LARGEST, ("all: *",), FUSED_SQUARE, depends_on=FUSION),
    Departure("adam", ("−smallest subnormal",), ("grads.0", "eps 0: grads.0"), FUSED, depends_on=FUSION),
    Departure("adamw", ("−smallest subnormal",), ("grads.0", "no decay: grads.0"), FUSED, depends_on=FUSION),
    Departure("adam", ("weight_decay = 1e308",), ("",), BEYOND, FLOAT32),
    Departure("adam", ("step 2²⁴ + 10⁶",), ("betas *",), COUNTER),
    Departure("exponential", ("gamma = 1e308", "rate overflows"), ("", "gamma 10"), RATE),
    Departure("exponential", ("rate underflows",), ("gamma 0.5",), HALVED),
    Departure("staircase", ("rate overflows",), ("gamma 10",), RATE),
    Departure("milestones", ("rate overflows",), ("gamma 10",), RATE),
    Departure(
        "gradient_check",
        ("no examples",),
        ("",),
        "Of a function of no numbers the gradient is empty; PyTorch can not stack no differences.",
        FLOAT64,
    ),
    Departure(
        "network", LARGEST, ("x", "state.linear1.weight", "everything: x"), OVERFLOW, depends_on=ADDITION
    ),
    Departure("network", ("largest float",), ("state.linear1.bias",), OVERFLOW, depends_on=ADDITION),
    Departure("network", LARGEST, ("everything: one of x",), OTHER_SCALE, FLOAT32),
    Departure("train", LARGEST, ("x",), OVERFLOW, depends_on=ADDITION),
)
