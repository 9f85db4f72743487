"""Where the conventions differ: every word by which a textbook and PyTorch mean two things.

A row has both formulas, a number in which they differ, and the way from one to the other. The numbers are not
typed in: a function of the row computes them, with NumPy on the textbook's side and with PyTorch as it comes,
and it also walks the way, so that what PyTorch then gives must be the textbook's number again.

`textbook` stands for whoever has the other convention: a course, a paper, NumPy, Keras; `who` names them.
"""

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from compare.draws import OwnDraws
from compare.environment import one_thread, undisturbed


@dataclass(frozen=True)
class Numbers:
    """One quantity in both conventions; a string where one side raises an exception."""

    textbook: float
    pytorch: float | str
    mapped: float  # by PyTorch again, but told what the textbook means


@dataclass(frozen=True)
class Convention:
    """One word that means two things.

    Args:
        word: what both sides say
        who: has the textbook's convention
        textbook, pytorch: their formulas
        quantity: what the numbers are of
        numbers: computes them
        mapping: how to say in PyTorch what the textbook means
        components: to which it matters
        source: where PyTorch's side is documented (or the other one, where that is the rarer)
    """

    word: str
    who: str
    textbook: str
    pytorch: str
    quantity: str
    numbers: Callable[[], Numbers]
    mapping: str
    components: tuple[str, ...]
    source: str


def of_component(name: str) -> list[Convention]:
    """The rows that matter to a component."""
    return [convention for convention in CONVENTIONS if name in convention.components]


@functools.cache
def numbers(convention: Convention) -> Numbers:
    """The numbers of a row, computed once; on one thread, so that they are the same everywhere."""
    with one_thread(), undisturbed():
        return convention.numbers()


def number_texts(found: Numbers) -> tuple[str, str]:
    """The textbook's number and PyTorch's, with six digits, or as many as tell one from the other."""
    for digits in range(6, 18):
        textbook, pytorch = (
            value if isinstance(value, str) else f"{value:.{digits}g}".replace("-", "−")
            for value in (found.textbook, found.pytorch)
        )
        if textbook != pytorch:
            break
    return textbook, pytorch


# The tools of the functions below.


def _tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _normal(*shape: int) -> np.ndarray:
    """What PyTorch draws with seed 0, before anything is made of it."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()


def _descend(optimizer: torch.optim.Optimizer, *gradients: float) -> float:
    """Where a parameter of one number is after steps with these gradients."""
    (param,) = optimizer.param_groups[0]["params"]
    for gradient in gradients:
        param.grad = torch.full_like(param, gradient)
        optimizer.step()
    return param.item()


# One function a row.


def _seed() -> Numbers:
    generator = torch.Generator().manual_seed(42)
    state = generator.get_state().numpy().view(np.uint64)
    numpy = np.random.RandomState()
    numpy.set_state(("MT19937", state[3:627].astype(np.uint32), 624, 0, 0.0))
    return Numbers(
        np.random.RandomState(42).random_sample(),
        torch.rand(1, generator=generator, dtype=torch.float64).item(),
        numpy.random_sample(),
    )


def _bits_of_a_seed() -> Numbers:
    seeds = [42, 42 + 2**32, 42 + 2**33]
    hashed = [int(np.random.SeedSequence(seed).generate_state(1)[0]) for seed in seeds]

    def first(seed: int) -> float:
        return torch.rand(1, generator=torch.Generator().manual_seed(seed)).item()

    return Numbers(
        len({np.random.default_rng(seed).random() for seed in seeds}),
        len({first(seed) for seed in seeds}),
        len({first(seed) for seed in hashed}),
    )


def _spread_of_a_normal() -> Numbers:
    def drawn(std: float) -> float:
        x = torch.empty(1000, dtype=torch.float64)
        return x.normal_(0, std, generator=torch.Generator().manual_seed(0)).std(correction=0).item()

    return Numbers(float(np.std(math.sqrt(4) * _normal(1000))), drawn(4), drawn(math.sqrt(4)))


def _default_initialisation() -> Numbers:
    with OwnDraws(0):
        weight = nn.Linear(512, 100, dtype=torch.float64).weight.detach()
    he = math.sqrt(2 / 512) * _normal(100, 512)
    pytorch = weight.std(correction=0).item()
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=torch.Generator().manual_seed(0))
    return Numbers(float(he.std()), pytorch, weight.std(correction=0).item())


def _fan_in() -> Numbers:
    weight = torch.empty(100, 400, dtype=torch.float64)  # of a layer with 100 inputs, as Keras keeps it

    def drawn(mode: Any) -> float:
        generator = torch.Generator().manual_seed(0)
        return nn.init.kaiming_normal_(weight, mode=mode, generator=generator).std(correction=0).item()

    he = math.sqrt(2 / 100) * _normal(100, 400)
    return Numbers(float(he.std()), drawn("fan_in"), drawn("fan_out"))


def _xavier() -> Numbers:
    weight = torch.empty(100, 400, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    glorot = nn.init.xavier_normal_(weight, generator=generator).std(correction=0).item()
    generator.manual_seed(0)
    nn.init.kaiming_normal_(weight, nonlinearity="linear", generator=generator)
    one_fan = math.sqrt(1 / 400) * _normal(100, 400)
    return Numbers(float(one_fan.std()), glorot, weight.std(correction=0).item())


def _gain_of_tanh() -> Numbers:
    weight = torch.empty(100, 400, dtype=torch.float64)

    def drawn(gain: float) -> float:
        generator = torch.Generator().manual_seed(0)
        return nn.init.xavier_normal_(weight, gain, generator=generator).std(correction=0).item()

    glorot = math.sqrt(2 / (100 + 400)) * _normal(100, 400)
    return Numbers(float(glorot.std()), drawn(nn.init.calculate_gain("tanh")), drawn(1))


def _slope_of_leaky_relu() -> Numbers:
    layer = nn.LeakyReLU(0.2)
    weight = torch.empty(100, 400, dtype=torch.float64)

    def drawn(**slope: Any) -> float:
        generator = torch.Generator().manual_seed(0)
        return nn.init.kaiming_normal_(weight, **slope, generator=generator).std(correction=0).item()

    he = math.sqrt(2 / (1 + 0.2**2) / 400) * _normal(100, 400)
    return Numbers(float(he.std()), drawn(), drawn(a=layer.negative_slope))


def _standard_deviation() -> Numbers:
    x = [1.0, 2.0, 3.0, 4.0]
    return Numbers(
        float(np.std(x)), torch.std(_tensor(*x)).item(), torch.std(_tensor(*x), correction=0).item()
    )


def _default_dtype() -> Numbers:
    return Numbers(
        float(np.array([0.1])[0]), torch.tensor([0.1]).item(), torch.tensor([0.1], dtype=torch.float64).item()
    )


def _promotion() -> Numbers:
    x, scale = [1.0, 3.0], np.float64(3)
    return Numbers(
        float((np.array(x, np.float32) / scale)[0]),
        (torch.tensor(x) / torch.tensor(scale)).tolist()[0],
        (torch.tensor(x).double() / torch.tensor(scale)).tolist()[0],
    )


def _array_of_an_array() -> Numbers:
    x = np.zeros(3)
    copy, shared, own = np.array(x), torch.as_tensor(x), torch.tensor(x)
    x += 1
    return Numbers(float(copy[0]), shared[0].item(), own[0].item())


def _change_in_place() -> Numbers:
    textbook, weight = np.ones(1), cast(Any, nn.Parameter(_tensor(1)))
    textbook -= 0.1
    pytorch: float | str
    try:
        weight -= 0.1
        pytorch = weight.item()
    except RuntimeError as error:
        pytorch = type(error).__name__
    with torch.no_grad():
        weight -= 0.1
    return Numbers(float(textbook[0]), pytorch, weight.item())


def _max_at_zero() -> Numbers:
    def slope(f: Callable[[torch.Tensor], torch.Tensor]) -> float:
        x = _tensor(0).requires_grad_()
        return torch.autograd.grad(f(x).sum(), x)[0].item()

    x = np.array(0.0)
    return Numbers(float(x > 0), slope(lambda x: torch.maximum(x, torch.zeros_like(x))), slope(F.relu))


def _layout() -> Numbers:
    x, weight = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, -1.0], [0.0, 2.0]])
    columns = weight @ x
    as_tensors = torch.tensor(x), torch.tensor(weight)
    rows = F.linear(*as_tensors)
    mapped = F.linear(as_tensors[0].T, as_tensors[1]).T
    return Numbers(float(columns[0, 1]), rows[0, 1].item(), mapped[0, 1].item())


def _shape_of_the_weight() -> Numbers:
    x, kernel = np.array([[1.0, 2.0]]), np.array([[1.0, -1.0], [3.0, 2.0]])  # (inputs, outputs)
    as_tensors = torch.tensor(x), torch.tensor(kernel)
    return Numbers(
        float((x @ kernel)[0, 0]),
        F.linear(*as_tensors)[0, 0].item(),
        F.linear(as_tensors[0], as_tensors[1].T)[0, 0].item(),
    )


def _backward() -> Numbers:
    x: Any = _tensor(3).requires_grad_()
    for _ in range(2):
        (x**2).sum().backward()
    pytorch = x.grad.item()
    x.grad = None  # what optimizer.zero_grad() does
    (x**2).sum().backward()
    return Numbers(2 * 3.0, pytorch, x.grad.item())


def _cross_entropy() -> Numbers:
    logits, target = np.array([[2.0, 1.0, 0.0]]), torch.tensor([0])
    p = np.exp(logits) / np.exp(logits).sum()
    return Numbers(
        float(-np.log(p[0, 0])),
        F.cross_entropy(torch.tensor(p), target).item(),
        F.cross_entropy(torch.tensor(logits), target).item(),
    )


def _logarithm_of_zero() -> Numbers:
    p, target = 1e-60, _tensor(1)
    logit = math.log(p) - math.log1p(-p)
    return Numbers(
        -math.log(p),
        F.binary_cross_entropy(_tensor(p), target).item(),
        F.binary_cross_entropy_with_logits(_tensor(logit), target).item(),
    )


def _mean_of_the_loss() -> Numbers:
    x, target = np.array([[1.0, 2.0, 4.0], [0.0, 1.0, 1.0]]), np.zeros((2, 3))
    as_tensors = torch.tensor(x), torch.tensor(target)
    return Numbers(
        float(((x - target) ** 2).sum() / len(x)),
        F.mse_loss(*as_tensors).item(),
        F.mse_loss(*as_tensors, reduction="sum").item() / len(x),
    )


def _squared_error() -> Numbers:
    pytorch = F.mse_loss(_tensor(3), _tensor(1)).item()
    return Numbers(0.5 * (3 - 1) ** 2, pytorch, pytorch / 2)


def _weighted_mean() -> Numbers:
    logits, targets, weight = np.array([[2.0, 0.0], [1.0, 0.0]]), np.array([0, 1]), np.array([1.0, 3.0])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    losses = -np.log(p[[0, 1], targets])
    arguments = torch.tensor(logits), torch.tensor(targets), torch.tensor(weight)
    return Numbers(
        float((weight[targets] * losses).mean()),
        F.cross_entropy(*arguments).item(),
        F.cross_entropy(*arguments, reduction="sum").item() / len(logits),
    )


def _broadcast_targets() -> Numbers:
    x, targets = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 3.0])
    column, row = torch.tensor(x), torch.tensor(targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns, and goes on
        pytorch = F.mse_loss(column, row).item()
    return Numbers(
        float(np.mean([(a - t) ** 2 for a, t in zip(x[:, 0], targets, strict=True)])),
        pytorch,
        F.mse_loss(column, row.reshape(column.shape)).item(),
    )


def _weight_decay() -> Numbers:
    w, lr, l2, m = 1.0, 0.1, 0.5, 4

    def stepped(weight_decay: float) -> float:
        return _descend(torch.optim.SGD([_tensor(w)], lr, weight_decay=weight_decay), 0.0)

    return Numbers(w - lr * l2 / m * w, stepped(l2), stepped(l2 / m))


def _what_decays() -> Numbers:
    b, lr, decay = 1.0, 0.1, 0.5
    together = torch.optim.SGD([_tensor(b)], lr, weight_decay=decay)
    apart = torch.optim.SGD([{"params": [_tensor(b)], "weight_decay": 0}], lr, weight_decay=decay)
    return Numbers(b - lr * 0.0, _descend(together, 0.0), _descend(apart, 0.0))


def _half_of_the_penalty() -> Numbers:
    w, lr, l2 = 1.0, 0.1, 0.5
    return Numbers(
        w - lr * (2 * l2 * w),
        _descend(torch.optim.SGD([_tensor(w)], lr, weight_decay=l2), 0.0),
        _descend(torch.optim.SGD([_tensor(w)], lr, weight_decay=2 * l2), 0.0),
    )


def _keep_probability() -> Numbers:
    keep_prob = 0.8
    mask = np.random.default_rng(0).random(1000) < keep_prob
    with OwnDraws(0):
        pytorch, mapped = (
            F.dropout(torch.ones(1000, dtype=torch.float64), p).max().item()
            for p in (keep_prob, 1 - keep_prob)
        )
    return Numbers(float((mask / keep_prob).max()), pytorch, mapped)


def _dropout_in_evaluation() -> Numbers:
    p = 0.2
    pytorch = F.dropout(_tensor(1), p, training=False).item()
    return Numbers((1 - p) * 1.0, pytorch, (1 - p) * pytorch)


def _prediction() -> Numbers:
    layer = nn.Dropout(0.5)
    x = torch.ones(1000, dtype=torch.float64)
    with OwnDraws(0):
        pytorch = layer(x).max().item()
    return Numbers(float(np.ones(1000).max()), pytorch, layer.eval()(x).max().item())


def _running_momentum() -> Numbers:
    batch = np.array([[0.0], [2.0]])

    def running_mean(momentum: float) -> float:
        layer: Any = nn.BatchNorm1d(1, momentum=momentum, dtype=torch.float64)
        layer(torch.tensor(batch))
        return layer.running_mean.item()

    return Numbers(0.9 * 0 + (1 - 0.9) * float(batch.mean()), running_mean(0.9), running_mean(1 - 0.9))


def _running_variance() -> Numbers:
    batches = np.arange(12.0).reshape(3, 4, 1) ** 2
    layer: Any = nn.BatchNorm1d(1, momentum=0.1, dtype=torch.float64)
    textbook = 1.0
    for batch in batches:
        textbook = 0.9 * textbook + 0.1 * float(batch.var())
        layer(torch.tensor(batch))
    pytorch = layer.running_var.item()
    start = 0.9 ** len(batches)  # what is left of the 1 that it began with
    m = batches.shape[1]
    return Numbers(textbook, pytorch, start + (pytorch - start) * (m - 1) / m)


def _epsilon_of_batch_norm() -> Numbers:
    x, eps = np.array([[-1e-3], [1e-3]]), 1e-5
    std = float(x.std())

    def normalised(eps: float) -> float:
        layer = nn.BatchNorm1d(1, eps, dtype=torch.float64)
        return layer(torch.tensor(x))[1].item()

    return Numbers(float(x[1, 0]) / (std + eps), normalised(eps), normalised(2 * std * eps + eps**2))


def _momentum() -> Numbers:
    lr, beta, gradients = 0.1, 0.9, (1.0, 2.0, -1.0)
    theta = v = 0.0
    for g in gradients:
        v = beta * v + (1 - beta) * g
        theta -= lr * v
    return Numbers(
        theta,
        _descend(torch.optim.SGD([_tensor(0)], lr, momentum=beta), *gradients),
        _descend(torch.optim.SGD([_tensor(0)], lr * (1 - beta), momentum=beta), *gradients),
    )


def _dampening() -> Numbers:
    lr, beta = 0.1, 0.9
    param = _tensor(0)
    from_zero = torch.optim.SGD([param], lr, momentum=beta, dampening=beta)
    from_zero.state[param]["momentum_buffer"] = torch.zeros_like(param)
    return Numbers(
        0 - lr * (beta * 0 + (1 - beta) * 1.0),
        _descend(torch.optim.SGD([_tensor(0)], lr, momentum=beta, dampening=beta), 1.0),
        _descend(from_zero, 1.0),
    )


def _rate_inside_the_velocity() -> Numbers:
    rates, mu = (1.0, 0.1), 0.9
    theta = v = 0.0
    for lr in rates:
        v = mu * v - lr * 1.0
        theta += v

    def stepped(rescale: bool) -> float:
        param = _tensor(0)
        optimizer = torch.optim.SGD([param], rates[0], momentum=mu)
        _descend(optimizer, 1.0)
        optimizer.param_groups[0]["lr"] = rates[1]
        if rescale:
            optimizer.state[param]["momentum_buffer"] *= rates[0] / rates[1]
        return _descend(optimizer, 1.0)

    return Numbers(theta, stepped(rescale=False), stepped(rescale=True))


def _nesterov() -> Numbers:
    lr, mu, steps = 0.1, 0.9, 3  # down the parabola θ²/2, whose gradient is θ
    theta, v = 1.0, 0.0
    for _ in range(steps):
        v = mu * v - lr * (theta + mu * v)
        theta += v
    param = _tensor(1)
    optimizer = torch.optim.SGD([param], lr, momentum=mu, nesterov=True)
    for _ in range(steps):
        _descend(optimizer, param.item())
    b = optimizer.state[param]["momentum_buffer"].item()
    return Numbers(theta, param.item(), param.item() + lr * mu * b)


def _epsilon_of_rmsprop() -> Numbers:
    lr, alpha, eps, g = 0.01, 0.9, 1e-8, 1e-4
    s = (1 - alpha) * g**2

    def stepped(eps: float) -> float:
        return _descend(torch.optim.RMSprop([_tensor(0)], lr, alpha, eps), g)

    return Numbers(-lr * g / math.sqrt(s + eps), stepped(eps), stepped(math.sqrt(s + eps) - math.sqrt(s)))


def _alpha() -> Numbers:
    lr, g, eps = 0.01, 1.0, 1e-8
    return Numbers(
        -lr * g / (math.sqrt((1 - 0.9) * g**2) + eps),
        _descend(torch.optim.RMSprop([_tensor(0)], lr), g),
        _descend(torch.optim.RMSprop([_tensor(0)], lr, alpha=0.9), g),
    )


def _epsilon_of_adam() -> Numbers:
    lr, beta1, beta2, eps, g = 1e-3, 0.9, 0.999, 1e-8, 1e-7
    m, v = (1 - beta1) * g, (1 - beta2) * g**2
    rate = lr * math.sqrt(1 - beta2) / (1 - beta1)

    def stepped(eps: float) -> float:
        return _descend(torch.optim.Adam([_tensor(0)], lr, (beta1, beta2), eps), g)

    return Numbers(-rate * m / (math.sqrt(v) + eps), stepped(eps), stepped(eps / math.sqrt(1 - beta2)))


def _betas() -> Numbers:
    weight_of_new = 0.1

    def first_moment(beta1: float) -> float:
        param = _tensor(0)
        optimizer = torch.optim.Adam([param], betas=(beta1, 0.999))
        _descend(optimizer, 1.0)
        return optimizer.state[param]["exp_avg"].item()

    return Numbers(weight_of_new * 1.0, first_moment(weight_of_new), first_moment(1 - weight_of_new))


def _decay_in_adam() -> Numbers:
    lr, decay, g = 0.1, 0.5, 1.0  # the first step of Adam is lr·g/|g|
    eps = 1e-8
    return Numbers(
        1 - lr * decay * 1 - lr * g / (abs(g) + eps),
        _descend(torch.optim.Adam([_tensor(1)], lr, eps=eps, weight_decay=decay), g),
        _descend(torch.optim.AdamW([_tensor(1)], lr, eps=eps, weight_decay=decay), g),
    )


def _decay_in_adamw() -> Numbers:
    lr, decay, g, eps = 0.1, 0.05, 1.0, 1e-8
    return Numbers(
        1 - decay * 1 - lr * g / (abs(g) + eps),
        _descend(torch.optim.AdamW([_tensor(1)], lr, eps=eps, weight_decay=decay), g),
        _descend(torch.optim.AdamW([_tensor(1)], lr, eps=eps, weight_decay=decay / lr), g),
    )


def _amsgrad() -> Numbers:
    lr, beta1, beta2, g = 0.1, 0.9, 0.999, 1.0
    m, v = (1 - beta1) * g, (1 - beta2) * g**2
    rate = lr * (1 - beta1) / math.sqrt(1 - beta2)

    def stepped(lr: float) -> float:
        return _descend(torch.optim.Adam([_tensor(0)], lr, (beta1, beta2), eps=0, amsgrad=True), g)

    return Numbers(-lr * m / math.sqrt(v), stepped(lr), stepped(rate))


def _after_an_epoch(every_batch: bool, batches: int = 10) -> float:
    optimizer = torch.optim.SGD([_tensor(0)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    for _ in range(batches):
        optimizer.step()
        if every_batch:
            scheduler.step()
    if not every_batch:
        scheduler.step()
    return optimizer.param_groups[0]["lr"]


def _decay_per_epoch() -> Numbers:
    return Numbers(1.0 * 0.9**1, _after_an_epoch(every_batch=True), _after_an_epoch(every_batch=False))


def _first_epoch() -> Numbers:
    lr, k = 0.2, 1.0

    def rate(first: int) -> float:
        optimizer = torch.optim.SGD([_tensor(0)], lr)
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + k * (epoch + first)))
        return optimizer.param_groups[0]["lr"]

    return Numbers(lr / (1 + k * 1), rate(0), rate(1))


def _warm_up() -> Numbers:
    lr, w = 1.0, 5

    def rate(**options: Any) -> float:
        optimizer = torch.optim.SGD([_tensor(0)], lr)
        torch.optim.lr_scheduler.LinearLR(optimizer, **options)
        return optimizer.param_groups[0]["lr"]

    return Numbers(lr * 1 / w, rate(total_iters=w), rate(start_factor=1 / w, total_iters=w - 1))


class _SlightlyWrong(torch.autograd.Function):
    """x², with a gradient that is too large by half a thousandth."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> torch.Tensor:
        return dy * 2 * ctx.saved_tensors[0] * 1.0005


def _gradient_check() -> Numbers:
    x, eps = _tensor(1, 2, 3).requires_grad_(), 1e-6
    numerical = ((x.detach() + eps) ** 2 - (x.detach() - eps) ** 2).numpy() / (2 * eps)
    wrong = torch.autograd.grad(_SlightlyWrong.apply(x).sum(), x)[0].numpy()
    error = np.linalg.norm(wrong - numerical) / (np.linalg.norm(wrong) + np.linalg.norm(numerical))

    def passes(**tolerances: Any) -> float:
        return float(
            torch.autograd.gradcheck(_SlightlyWrong.apply, x, eps=eps, raise_exception=False, **tolerances)
        )

    return Numbers(float(error < 1e-7), passes(), passes(atol=0, rtol=2e-7))


_DOCS = "https://docs.pytorch.org/docs/stable/"
_OPTIM = _DOCS + "generated/torch.optim."
_FUNCTIONAL = _DOCS + "generated/torch.nn.functional."

CONVENTIONS = (
    Convention(
        "seed",
        "NumPy",
        "u = (⌊w₁/2⁵⌋·2²⁶ + ⌊w₂/2⁶⌋)/2⁵³",
        "u = ((2³²·w₁ + w₂) mod 2⁵³)/2⁵³",
        "the first uniform float64 after seed 42: `np.random.rand()`, `torch.rand(1)`",
        _seed,
        "The words w are the same, what is made of them is not: PyTorch's state can be handed to NumPy's"
        " `RandomState`, and `scratch.random.TorchGenerator` draws as PyTorch does.",
        ("rand", "uniform", "generator_state"),
        _DOCS + "notes/randomness.html",
    ),
    Convention(
        "seed, its bits",
        "NumPy's default_rng",
        "every bit of the seed counts",
        "seed mod 2³², on a CPU",
        "how many streams the seeds 42, 42 + 2³² and 42 + 2³³ give",
        _bits_of_a_seed,
        "Keep seeds below 2³², or hash longer ones: `np.random.SeedSequence(seed).generate_state(1)`.",
        ("rand", "randperm", "generator_state"),
        "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/core/MT19937RNGEngine.h",
    ),
    Convention(
        "normal(0, 4)",
        "textbooks: N(μ, σ²)",
        "N(0, 4): the variance is 4",
        "`normal_(0, 4)`: the standard deviation is 4",
        "the spread of 1000 draws",
        _spread_of_a_normal,
        "Give the root of the variance (NumPy wants it too).",
        ("normal", "large_random"),
        _DOCS + "generated/torch.Tensor.normal_.html",
    ),
    Convention(
        "default initialisation",
        "He et al., for ReLU",
        "std = √(2/fan_in)",
        "`nn.Linear`: uniform on ±1/√fan_in, so std = √(1/(3·fan_in))",
        "the spread of the weights of a layer with 512 inputs",
        _default_initialisation,
        '`nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")`: the name kaiming_uniform_ in'
        " `nn.Linear` comes with a = √5, which is not He's gain.",
        ("kaiming_normal", "kaiming_uniform", "linear", "network"),
        _DOCS + "generated/torch.nn.Linear.html",
    ),
    Convention(
        "fan_in",
        "Keras, CS231n",
        "W is (in, out): fan_in = number of rows",
        "W is (out, in): fan_in = number of columns",
        "He's spread for a weight of shape (100, 400)",
        _fan_in,
        'Transpose the weight, or ask for `mode="fan_out"`.',
        ("kaiming_normal", "kaiming_uniform"),
        _DOCS + "nn.init.html",
    ),
    Convention(
        "Xavier",
        "Caffe, many courses",
        "std = √(1/fan_in)",
        "std = √(2/(fan_in + fan_out)), as in the paper",
        "the spread of a weight of shape (100, 400)",
        _xavier,
        '`kaiming_normal_(weight, nonlinearity="linear")`: its gain is 1 and it looks at one fan.',
        ("xavier_normal", "xavier_uniform"),
        _DOCS + "nn.init.html",
    ),
    Convention(
        "gain of tanh",
        "Glorot and Bengio, most courses",
        "gain = 1",
        '`calculate_gain("tanh")` = 5/3',
        "Glorot's spread for a weight of shape (100, 400) before a tanh",
        _gain_of_tanh,
        "Leave the argument out: the gain of `xavier_normal_` is 1 unless told otherwise.",
        ("xavier_normal", "xavier_uniform", "tanh"),
        _DOCS + "nn.init.html",
    ),
    Convention(
        "slope of the leaky ReLU",
        "He et al.",
        "gain = √(2/(1 + a²)), with the a of the activation",
        "`kaiming_normal_`: a = 0; `nn.LeakyReLU` and `calculate_gain`: a = 0.01",
        "the spread of a weight with 400 inputs before `nn.LeakyReLU(0.2)`",
        _slope_of_leaky_relu,
        "The initialiser knows nothing of the activation: pass `a=layer.negative_slope`.",
        ("kaiming_normal", "kaiming_uniform", "leaky_relu"),
        _DOCS + "nn.init.html",
    ),
    Convention(
        "std",
        "NumPy, scikit-learn",
        "√(1/m·Σ (x − μ)²)",
        "√(1/(m − 1)·Σ (x − μ)²)",
        "std of 1, 2, 3, 4",
        _standard_deviation,
        "`torch.std(x, correction=0)`, `torch.var(x, correction=0)`.",
        ("standardization", "batch_norm"),
        _DOCS + "generated/torch.std.html",
    ),
    Convention(
        "a number without a dtype",
        "NumPy",
        "float64: 53 bits",
        "float32: 24 bits",
        "0.1 as it arrives in an array, in full: `np.array([0.1])`, `torch.tensor([0.1])`",
        _default_dtype,
        "`dtype=torch.float64`, or `torch.set_default_dtype(torch.float64)` for all of a program.",
        ("standardization", "network", "train"),
        _DOCS + "generated/torch.set_default_dtype.html",
    ),
    Convention(
        "float32 with a float64 number",
        "NumPy",
        "float32 array / float64 scalar: float64",
        "float32 tensor / float64 tensor of no dimension: float32",
        "1/3, where 1 is in a float32 array and 3 is a float64 number",
        _promotion,
        "`x.double()` first. The other way round, in NumPy: take Python numbers or `x.dtype.type(3)`.",
        ("standardization", "linear", "network"),
        _DOCS + "tensor_attributes.html",
    ),
    Convention(
        "an array of an array",
        "NumPy: np.array",
        "a copy",
        "`torch.as_tensor`, `torch.from_numpy`: the same memory",
        "what it holds after 1 was added to the first array in place",
        _array_of_an_array,
        "`torch.tensor(x)` copies, as `np.array` does; `np.asarray` shares, as `torch.as_tensor` does.",
        ("standardization", "minibatches"),
        _DOCS + "generated/torch.as_tensor.html",
    ),
    Convention(
        "in place",
        "NumPy",
        "`w -= lr * g` changes w",
        "an exception, where w is a parameter that autograd watches",
        "w = 1 after a step of 0.1",
        _change_in_place,
        "Within `torch.no_grad()`, as `optimizer.step()` does. NumPy has nobody who would notice that a value"
        " which the backward pass still needs was overwritten.",
        ("sgd", "linear", "train"),
        _DOCS + "notes/autograd.html",
    ),
    Convention(
        "max(0, x)",
        "courses, `nn.ReLU`",
        "slope 0 at x = 0",
        "`torch.maximum`: slope ½ at x = 0, half for each of two equals",
        "the slope at 0",
        _max_at_zero,
        "`F.relu` has 0 there.",
        ("relu",),
        _DOCS + "generated/torch.maximum.html",
    ),
    Convention(
        "layout of the examples",
        "courses that start from vectors",
        "Z = W X + b, an example a column",
        "Y = X Wᵀ + b, an example a row",
        "row 0, column 1 of the result for a square X",
        _layout,
        "`F.linear(X.T, W, b).T`: W is (out, in) in both.",
        ("linear", "network"),
        _DOCS + "generated/torch.nn.Linear.html",
    ),
    Convention(
        "weight of a layer",
        "Keras, CS231n",
        "Y = X W + b, W of shape (in, out)",
        "Y = X Wᵀ + b, W of shape (out, in)",
        "the first output of a layer with as many inputs as outputs",
        _shape_of_the_weight,
        "`layer.weight.copy_(kernel.T)`. A square one fits either way and raises nothing.",
        ("linear", "network"),
        _DOCS + "generated/torch.nn.Linear.html",
    ),
    Convention(
        "backward",
        "textbooks: a function",
        "g ← ∂L/∂θ",
        "g ← g + ∂L/∂θ",
        "the gradient of x² at 3 after a second backward pass",
        _backward,
        "`optimizer.zero_grad()` before each one.",
        ("network", "train"),
        _DOCS + "generated/torch.Tensor.backward.html",
    ),
    Convention(
        "cross-entropy",
        "textbooks, Keras",
        "L = −log p_y, of probabilities",
        "L = −log softmax(x)_y, of logits",
        "the loss of softmax(2, 1, 0) for class 0",
        _cross_entropy,
        "Hand over the logits and leave the softmax out, or take `F.nll_loss(log_p, y)`. With probabilities"
        " it runs without complaint, and learns slowly.",
        ("cross_entropy",),
        _FUNCTIONAL + "cross_entropy.html",
    ),
    Convention(
        "log 0",
        "textbooks",
        "L = −log p, up to ∞",
        "L = −max(log p, −100)",
        "the loss of p = 10⁻⁶⁰ for class 1",
        _logarithm_of_zero,
        "`binary_cross_entropy_with_logits` of log(p/(1 − p)): it takes no logarithm of p.",
        ("binary_cross_entropy", "binary_cross_entropy_with_logits"),
        _FUNCTIONAL + "binary_cross_entropy.html",
    ),
    Convention(
        "mean of the loss",
        "textbooks",
        "1/m·Σ over examples and outputs",
        "1/(m·outputs)·Σ over examples and outputs",
        "the squared error of 2 examples with 3 outputs; the gradient has the same factor",
        _mean_of_the_loss,
        '`reduction="sum"`, divided by the batch size; or the learning rate times the number of outputs.',
        ("mse_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"),
        _FUNCTIONAL + "mse_loss.html",
    ),
    Convention(
        "squared error",
        "textbooks",
        "L = ½(x − t)²",
        "L = (x − t)²",
        "the loss of 3 for a target of 1; the gradient has the same factor",
        _squared_error,
        "Half of it.",
        ("mse_loss",),
        _FUNCTIONAL + "mse_loss.html",
    ),
    Convention(
        "mean with class weights",
        "textbooks",
        "1/m·Σᵢ wᵢ·Lᵢ",
        "(Σᵢ wᵢ·Lᵢ)/(Σᵢ wᵢ)",
        "the cross-entropy of two examples of classes with weights 1 and 3",
        _weighted_mean,
        '`reduction="sum"`, divided by the batch size.',
        ("cross_entropy",),
        _FUNCTIONAL + "cross_entropy.html",
    ),
    Convention(
        "targets of another shape",
        "textbooks",
        "1/m·Σᵢ (xᵢ − tᵢ)², of m pairs",
        "1/m²·Σᵢⱼ (xᵢ − tⱼ)², broadcast from (m, 1) and (m,)",
        "the loss of the column 1, 2, 3 for targets 1, 2, 3",
        _broadcast_targets,
        "`targets.reshape(x.shape)`. NumPy broadcasts alike; PyTorch's loss adds a warning.",
        ("mse_loss",),
        _DOCS + "notes/broadcasting.html",
    ),
    Convention(
        "weight_decay and λ",
        "courses",
        "g ← g + (λ/m)·W",
        "g ← g + weight_decay·W",
        "W = 1 after a step without gradient: lr = 0.1, λ = 0.5, m = 4",
        _weight_decay,
        "weight_decay = λ/m.",
        ("weight_decay", "l2_penalty", "sgd"),
        _OPTIM + "SGD.html",
    ),
    Convention(
        "L2, of what",
        "textbooks",
        "weights only",
        "every parameter of the group: biases, γ and β too",
        "a bias of 1 after a step without gradient: lr = 0.1, weight_decay = 0.5",
        _what_decays,
        "Two groups of parameters, the second with weight_decay = 0.",
        ("weight_decay", "l2_penalty", "batch_norm"),
        _DOCS + "optim.html",
    ),
    Convention(
        "L2, its ½",
        "Keras: l2(λ)",
        "penalty λ·Σ W², gradient 2λ·W",
        "gradient weight_decay·W, penalty weight_decay/2·Σ W²",
        "W = 1 after a step without gradient: lr = 0.1, λ = 0.5",
        _half_of_the_penalty,
        "weight_decay = 2·λ.",
        ("l2_penalty", "weight_decay"),
        "https://keras.io/api/layers/regularizers/",
    ),
    Convention(
        "probability of dropout",
        "courses, TensorFlow 1: keep_prob",
        "kept with keep_prob, x/keep_prob",
        "zeroed with p, x/(1 − p)",
        "what is left of 1 where it is kept, both told 0.8",
        _keep_probability,
        "p = 1 − keep_prob.",
        ("dropout", "dropout_mask", "bernoulli"),
        _FUNCTIONAL + "dropout.html",
    ),
    Convention(
        "dropout in evaluation",
        "Srivastava et al.",
        "training: x·mask, evaluation: (1 − p)·x",
        "training: x·mask/(1 − p), evaluation: x",
        "what comes of 1 in evaluation with p = 0.2",
        _dropout_in_evaluation,
        "Multiply by 1 − p in both modes: the two differ by that factor everywhere.",
        ("dropout",),
        _FUNCTIONAL + "dropout.html",
    ),
    Convention(
        "prediction",
        "textbooks, Keras: predict",
        "evaluation, whatever came before",
        "in training mode, until told otherwise",
        "the largest output of `nn.Dropout(0.5)` for ones",
        _prediction,
        "`model.eval()` before predicting, `model.train()` after it; `torch.no_grad()` alone does neither.",
        ("dropout", "batch_norm", "network"),
        _DOCS + "generated/torch.nn.Module.html",
    ),
    Convention(
        "momentum of batch norm",
        "the paper, Keras, d2l.ai",
        "running ← momentum·running + (1 − momentum)·batch",
        "running ← (1 − momentum)·running + momentum·batch",
        "the running mean after one batch of mean 1, both told 0.9",
        _running_momentum,
        "Take 1 − momentum: Keras's 0.99 is 0.01.",
        ("batch_norm",),
        _DOCS + "generated/torch.nn.BatchNorm1d.html",
    ),
    Convention(
        "running variance",
        "Keras, d2l.ai, CS231n",
        "of σ² = 1/m·Σ (x − μ)²",
        "of σ²·m/(m − 1)",
        "the running variance after three batches of 4",
        _running_variance,
        "v = s + (running_var − s)·(m − 1)/m, where s = (1 − momentum)ⁿ is what n batches have left of the"
        " initial 1.",
        ("batch_norm",),
        _DOCS + "generated/torch.nn.BatchNorm1d.html",
    ),
    Convention(
        "ε of batch norm",
        "many hand-written layers",
        "(x − μ)/(σ + ε)",
        "(x − μ)/√(σ² + ε), as in the paper",
        "x̂ of a feature with σ = 0.001, ε = 10⁻⁵",
        _epsilon_of_batch_norm,
        "eps = 2σε + ε², for one feature; for several of different σ there is none.",
        ("batch_norm",),
        _DOCS + "generated/torch.nn.BatchNorm1d.html",
    ),
    Convention(
        "momentum",
        "courses",
        "v ← β·v + (1−β)·g,  θ ← θ − lr·v",
        "b ← β·b + g,  θ ← θ − lr·b",
        "θ after three steps from 0: lr = 0.1, β = 0.9",
        _momentum,
        "lr·(1−β) for lr: b = v/(1−β) at every step.",
        ("momentum", "nesterov", "sgd"),
        _OPTIM + "SGD.html",
    ),
    Convention(
        "dampening, first step",
        "textbooks: v = 0 at first",
        "v = (1−β)·g",
        "b = g, dampening or not",
        "θ after the first step from 0: lr = 0.1, β = dampening = 0.9, g = 1",
        _dampening,
        'Start from a buffer of zeros: `optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)`.',
        ("momentum",),
        _OPTIM + "SGD.html",
    ),
    Convention(
        "learning rate of momentum",
        "Sutskever et al., Keras, Caffe",
        "v ← μ·v − lr·g,  θ ← θ + v",
        "b ← μ·b + g,  θ ← θ − lr·b",
        "θ after two steps from 0 with g = 1, the rate falling from 1 to 0.1 between them",
        _rate_inside_the_velocity,
        "Where the rate changes, multiply the buffer by the old one and divide it by the new one. While it"
        " stays, the two are the same.",
        ("momentum", "nesterov", "rmsprop"),
        _OPTIM + "SGD.html",
    ),
    Convention(
        "Nesterov",
        "Nesterov, Sutskever et al.",
        "v ← μ·v − lr·∇f(θ + μ·v),  θ ← θ + v",
        "b ← μ·b + ∇f(θ),  θ ← θ − lr·(∇f(θ) + μ·b)",
        "θ after three steps from 1 down the parabola θ²/2: lr = 0.1, μ = 0.9",
        _nesterov,
        "PyTorch's θ is the point that looks ahead: add lr·μ·b and you have the textbook's.",
        ("nesterov",),
        _OPTIM + "SGD.html",
    ),
    Convention(
        "ε of RMSProp",
        "Keras, TensorFlow",
        "g/√(s + ε)",
        "g/(√s + ε)",
        "the first step for g = 0.0001: lr = 0.01, α = 0.9, ε = 10⁻⁸",
        _epsilon_of_rmsprop,
        "eps = √(s + ε) − √s, another one at each step; about √ε as long as s is much smaller than ε.",
        ("rmsprop",),
        _OPTIM + "RMSprop.html",
    ),
    Convention(
        "decay of RMSProp",
        "Hinton, Keras",
        "α = 0.9",
        "α = 0.99, unless told otherwise",
        "the first step for g = 1: lr = 0.01",
        _alpha,
        "`alpha=0.9`. (And a course's β₂ is this α.)",
        ("rmsprop",),
        _OPTIM + "RMSprop.html",
    ),
    Convention(
        "ε of Adam",
        "TensorFlow, Keras: the paper's ε̂",
        "lr·√(1−β₂ᵗ)/(1−β₁ᵗ) · m/(√v + ε̂)",
        "lr · m/(1−β₁ᵗ) / (√v/√(1−β₂ᵗ) + ε)",
        "the first step for g = 10⁻⁷: lr = 0.001, ε = 10⁻⁸",
        _epsilon_of_adam,
        "eps = ε̂/√(1−β₂ᵗ), at step t.",
        ("adam", "adamw"),
        _OPTIM + "Adam.html",
    ),
    Convention(
        "betas",
        "the first versions of the paper, and code from 2015",
        "m ← β₁·g + (1−β₁)·m, β₁ = 0.1, β₂ = 0.001",
        "m ← β₁·m + (1−β₁)·g, β₁ = 0.9, β₂ = 0.999",
        "m after a first gradient of 1, both told β₁ = 0.1",
        _betas,
        "betas = (1−β₁, 1−β₂).",
        ("adam", "adamw"),
        "https://gist.github.com/Newmu/acb738767acb4788bac3",
    ),
    Convention(
        "weight decay in Adam",
        "Loshchilov and Hutter",
        "θ ← (1 − lr·λ)·θ, apart from the gradient",
        "`Adam`: g ← g + weight_decay·θ, which √v then divides",
        "θ = 1 after a first step with g = 1: lr = 0.1, λ = 0.5",
        _decay_in_adam,
        "`torch.optim.AdamW`; its weight_decay is 0.01 unless told otherwise, Adam's is 0.",
        ("adam", "adamw"),
        _OPTIM + "AdamW.html",
    ),
    Convention(
        "λ of AdamW",
        "Loshchilov and Hutter",
        "θ ← θ − λ·θ − lr·m̂/(√v̂ + ε)",
        "θ ← θ − lr·weight_decay·θ − lr·m̂/(√v̂ + ε)",
        "θ = 1 after a first step with g = 1: lr = 0.1, λ = 0.05",
        _decay_in_adamw,
        "weight_decay = λ/lr. In the paper a schedule's factor multiplies both terms: take the initial rate.",
        ("adamw",),
        _OPTIM + "AdamW.html",
    ),
    Convention(
        "AMSGrad",
        "Reddi et al.",
        "θ ← θ − lr·m/√(max v)",
        "θ ← θ − lr · m/(1−β₁ᵗ) / (√(max v)/√(1−β₂ᵗ) + ε)",
        "the first step for g = 1: lr = 0.1, ε = 0",
        _amsgrad,
        "At step t take lr·(1−β₁ᵗ)/√(1−β₂ᵗ) for lr: the paper corrects no bias.",
        ("adam", "adamw"),
        _OPTIM + "Adam.html",
    ),
    Convention(
        "decay, per what",
        "textbooks: γ^epoch",
        "lr ← γ·lr, after an epoch",
        "lr ← γ·lr, at each `scheduler.step()`",
        "the rate after an epoch of ten mini-batches, stepped after each: lr = 1, γ = 0.9",
        _decay_per_epoch,
        "Call `scheduler.step()` once an epoch, after the last `optimizer.step()`.",
        ("exponential", "staircase", "milestones", "inverse_time", "train"),
        _DOCS + "optim.html",
    ),
    Convention(
        "first epoch",
        "courses that count from 1",
        "lr/(1 + k·epoch), epoch = 1, 2, …",
        "lr·f(epoch), epoch = 0, 1, …",
        "the rate of the first epoch: lr = 0.2, k = 1",
        _first_epoch,
        "`LambdaLR(optimizer, lambda epoch: 1 / (1 + k * (epoch + 1)))`.",
        ("inverse_time", "fixed_interval", "inverse_sqrt"),
        _DOCS + "generated/torch.optim.lr_scheduler.LambdaLR.html",
    ),
    Convention(
        "warm-up",
        "papers",
        "lr·(epoch + 1)/w",
        "`LinearLR`: from lr/3 to lr",
        "the rate of the first epoch: lr = 1, w = 5",
        _warm_up,
        "`LinearLR(optimizer, start_factor=1 / w, total_iters=w - 1)`, or a LambdaLR.",
        ("cosine_with_warmup",),
        _DOCS + "generated/torch.optim.lr_scheduler.LinearLR.html",
    ),
    Convention(
        "gradient check",
        "courses",
        "‖a − n‖/(‖a‖ + ‖n‖) < 10⁻⁷",
        "|a − n| ≤ 10⁻⁵ + 10⁻³·|n|, element by element",
        "whether a gradient that is 0.05 % too large passes (1 is yes)",
        _gradient_check,
        "`gradcheck(…, atol=0, rtol=2e-7)`: ‖a‖ + ‖n‖ is about twice ‖n‖.",
        ("gradient_check",),
        _DOCS + "generated/torch.autograd.gradcheck.gradcheck.html",
    ),
)
