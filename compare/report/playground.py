"""The playground: figures that follow what their reader sets, by the formulas of `scratch/` in JavaScript.

Every widget is one file of `static/`, beside what they share: the controls, the drawing and the formulas.
Where scripts are off, each has a still figure, which `scratch/` computes when the page is made.
"""

import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from compare.component import Component, Definition, definitions
from compare.report.listings import listing
from compare.report.rendering import static
from compare.run import in_words

ADDRESS = "playground.html"


@dataclass(frozen=True)
class Widget:
    """One of the things to play with.

    Attributes:
        name: its anchor, its file in `static/` and its figure in `stills`
        sentence: what it is, in one sentence
        look: what to look for
        sources: what computes the same: "module: names"
        steps: lines that the widget points at: its word for one, the function as in `sources`, and the code
    """

    name: str
    title: str
    sentence: str
    look: str
    sources: tuple[str, ...]
    steps: tuple[tuple[str, str, str], ...] = ()

    @property
    def definitions(self) -> Iterator[Definition]:
        """The functions of both packages that its formulas stand in."""
        for source in self.sources:
            module, _, names = source.partition(": ")
            found = definitions(importlib.import_module(module))
            yield from (found[name] for name in names.split(", "))

    def shows(self, component: Component) -> bool:
        """Whether one of the component's functions is among them."""
        paths = (f"scratch/{component.topic}.py", f"scratch/{component.topic}/__init__.py")
        names = {definition.name for definition in self.definitions if definition.path in paths}
        names |= {name.partition(".")[0] for name in names}  # a class, of whose methods some are shown
        return bool(names & {*component.functions})

    @property
    def lines(self) -> Iterator[tuple[str, str, int, str]]:
        """The lines of `steps`: word, file, number and code; one that somebody has broken is left out."""
        for word, source, code in self.steps:
            module, _, name = source.partition(": ")
            definition = definitions(importlib.import_module(module))[name]
            lines = definition.code.splitlines()
            for at, line in enumerate(lines):
                if line.strip().startswith(code):
                    yield word, definition.path, definition.first + at, line.strip().partition("  #")[0]


WIDGETS = (
    Widget(
        "optimizers",
        "Optimizers on a valley",
        "Gradient descent, momentum, Nesterov, RMSProp, Adam and AdamW race from the same start.",
        "Where one direction is steep and the other flat, gradient descent must choose: a rate that is safe"
        " for the steep one is slow along the flat one. Momentum averages the zigzag away; RMSProp and Adam"
        " divide it by its own size, `√v̂`.",
        (
            "scratch.optimizers: sgd_step, sgd_momentum_step, momentum_step, nesterov_step, rmsprop_step,"
            " adam_step, adamw_step",
            "torch_ref.optimizers: SGD, Momentum, RMSprop, Adam, AdamW",
        ),
    ),
    Widget(
        "start",
        "How weights start",
        "Zeros, large, He, Xavier or your own standard deviation, in a network as deep and wide as you like,"
        " trained in the page.",
        "Each layer multiplies the size of the signal by a factor. To the power of the depth, a factor a"
        " little below 1 is nothing and one a little above it is everything."
        " He and Xavier choose it to be 1.",
        (
            "scratch.initializers: zeros, large_random, kaiming_normal, xavier_normal, calculate_gain",
            "torch_ref.initializers: kaiming_normal, xavier_normal",
        ),
    ),
    Widget(
        "schedules",
        "Learning-rate schedules",
        "All schedules under your parameters, over epochs and over the steps of the optimizer, and what one"
        " network makes of each.",
        "The curves differ in when the rate falls, far more than in how far. The mistake to know by sight is"
        " a schedule in epochs that is stepped after every batch.",
        (
            "scratch.schedules: inverse_time, fixed_interval, exponential, inverse_sqrt, staircase,"
            " milestones, cosine_with_warmup, cosine_with_restarts, one_cycle",
            "scratch.optimizers: sgd_momentum_step",
            "torch_ref.schedules: cosine_with_warmup, one_cycle",
        ),
    ),
    Widget(
        "regularization",
        "Against overfitting",
        "L2 penalty, dropout and early stopping for too large a network on forty noisy examples.",
        "The gap between the two costs. The training cost can always be made smaller; where the validation"
        " cost turns, the network begins to learn the noise.",
        (
            "scratch.regularization: l2_penalty, l2_gradient, dropout_forward, dropout_backward",
            "scratch.early_stopping: EarlyStopping.improves, EarlyStopping.step",
            "torch_ref.regularization: sgd_with_weight_decay, dropout",
        ),
    ),
    Widget(
        "batch_norm",
        "Batch normalization",
        "A batch of one feature to push and stretch, and the running statistics that evaluation uses.",
        "In training the result does not depend on where the batch lies, and does depend on its other"
        " examples; in evaluation it is the other way round.",
        (
            "scratch.batch_norm: batch_norm_forward, update_running_statistics, batch_norm_inference_forward",
            "torch_ref.batch_norm: BatchNorm1d",
        ),
    ),
    Widget(
        "seed",
        "One seed",
        "What `torch.randn` draws after `torch.manual_seed`, made in the page from the words of the Mersenne"
        " Twister: equal to PyTorch's numbers on x86-64 to the last bit of float32.",
        "Random numbers are a computation. Sixteen numbers take another way than fifteen, and a seed has 32"
        " bits, although 64 are accepted.",
        (
            "scratch.random: TorchGenerator._normal_blocks, TorchGenerator._normal_block,"
            " TorchGenerator._normal_pairs, TorchGenerator._unit",
            "scratch.random.box_muller: normal_block, normal_pairs, log_avx, sincos_avx",
            "torch_ref.random: randn",
        ),
    ),
    Widget(
        "backward",
        "Backward, step by step",
        "One small network with numbers in it: forward, then backward, each gradient with its line of"
        " `scratch/`.",
        "A gradient has the shape of what it belongs to, and needs what the forward pass has kept. Put a"
        " mistake in: what was computed before it stays right, and what is made of it goes wrong.",
        (
            "scratch.linear: linear_forward, linear_backward",
            "scratch.losses: binary_cross_entropy_with_logits_forward,"
            " binary_cross_entropy_with_logits_backward",
            "scratch.activations: tanh_forward, tanh_backward, sigmoid_forward, sigmoid_backward",
            "torch_ref.linear: linear",
        ),
        (
            ("linear", "scratch.linear: linear_forward", "y = np.matmul(x, weight.T)"),
            ("activation-tanh", "scratch.activations: tanh_forward", "y = np.tanh(x)"),
            ("activation-sigmoid", "scratch.activations: sigmoid_forward", "y = np.where(x < 0"),
            ("activation-relu", "scratch.activations: relu_forward", "y = np.maximum(0, x)"),
            ("loss", "scratch.losses: binary_cross_entropy_with_logits_forward", "losses = (1 - targets)"),
            ("dloss", "scratch.losses: binary_cross_entropy_with_logits_backward", "difference = sigmoid -"),
            ("dweight", "scratch.linear: linear_backward", "dweight = np.matmul"),
            ("dbias", "scratch.linear: linear_backward", "dbias = rows.sum"),
            ("dx", "scratch.linear: linear_backward", "dx = np.matmul"),
            ("dactivation-tanh", "scratch.activations: tanh_backward", "return dy * (1 - y * y)"),
            ("dactivation-sigmoid", "scratch.activations: sigmoid_backward", "return dy * (1 - y) * y"),
            ("dactivation-relu", "scratch.activations: relu_backward", "return _zero_where"),
        ),
    ),
    Widget(
        "gradient_check",
        "Gradient check",
        "The error of the difference quotient for every step size, in float64 and in float32.",
        "A valley: to its right the quotient is too coarse, to its left rounding is divided by ever smaller"
        " steps. A right gradient goes down into it, a wrong one stays on its floor at any step size.",
        (
            "scratch.gradient_check: numerical_gradient, relative_error, gradient_check",
            "torch_ref.gradient_check: gradcheck",
        ),
    ),
    Widget(
        "floating_point",
        "Floating point",
        "A number, its neighbours and its rounding unit; and one sum in several orders.",
        "The unit in which everything here is compared: it grows with the number. Two right programs that add"
        " in another order differ by some of them: a comparison has to allow for that, and for no more.",
        ("scratch.random.box_muller: _two_sum", "compare.measure: _in_units, sum_units"),
    ),
)
# each uses those before it
SHARED = ("controls", "core", "plot", "arrows", "math", "random", "network", "training")
SCRIPTS = [f"{name}.js" for name in (*SHARED, *(widget.name for widget in WIDGETS))]


@functools.cache
def values() -> dict[str, Any]:
    """What the page's template is rendered with, and the scripts that run in it."""
    from compare.report.stills import STILLS  # with matplotlib, which takes half as long as PyTorch

    def still(name: str) -> Markup:
        try:
            return STILLS[name]()
        except Exception as error:  # of whoever breaks a line to see the comparison catch it
            return Markup("<p><code>scratch/</code> raises {}</p>").format(in_words(error))

    stills = {widget.name: still(widget.name) for widget in WIDGETS}
    look = static("playground.css")
    return {"widgets": WIDGETS, "stills": stills, "look": look, "listing": listing, "scripts": SCRIPTS}
