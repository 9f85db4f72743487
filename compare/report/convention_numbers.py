"""The numbers in which a textbook and PyTorch differ: a function for each row of conventions.toml.

With NumPy on the textbook's side and PyTorch as it comes on the other. `mapped` walks the way from one to the
other, so that what PyTorch then gives must be the textbook's number again.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.optim import swa_utils

from compare.draws import OwnDraws


@dataclass(frozen=True)
class Numbers:
    """One quantity in both conventions; a string where one side raises an exception."""

    textbook: float
    pytorch: float | str
    mapped: float  # by PyTorch again, but told what the textbook means


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


def seed() -> Numbers:
    generator = torch.Generator().manual_seed(42)
    state = generator.get_state().numpy().view(np.uint64)
    numpy = np.random.RandomState()
    numpy.set_state(("MT19937", state[3:627].astype(np.uint32), 624, 0, 0.0))
    return Numbers(
        np.random.RandomState(42).random_sample(),
        torch.rand(1, generator=generator, dtype=torch.float64).item(),
        numpy.random_sample(),
    )


def bits_of_a_seed() -> Numbers:
    seeds = [42, 42 + 2**32, 42 + 2**33]
    hashed = [int(np.random.SeedSequence(seed).generate_state(1)[0]) for seed in seeds]

    def first(seed: int) -> float:
        return torch.rand(1, generator=torch.Generator().manual_seed(seed)).item()

    return Numbers(
        len({np.random.default_rng(seed).random() for seed in seeds}),
        len({first(seed) for seed in seeds}),
        len({first(seed) for seed in hashed}),
    )


def spread_of_a_normal() -> Numbers:
    def drawn(std: float) -> float:
        x = torch.empty(1000, dtype=torch.float64)
        return x.normal_(0, std, generator=torch.Generator().manual_seed(0)).std(correction=0).item()

    return Numbers(float(np.std(math.sqrt(4) * _normal(1000))), drawn(4), drawn(math.sqrt(4)))


def default_initialisation() -> Numbers:
    with OwnDraws(0):
        weight = nn.Linear(512, 100, dtype=torch.float64).weight.detach()
    he = math.sqrt(2 / 512) * _normal(100, 512)
    pytorch = weight.std(correction=0).item()
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=torch.Generator().manual_seed(0))
    return Numbers(float(he.std()), pytorch, weight.std(correction=0).item())


def fan_in() -> Numbers:
    weight = torch.empty(100, 400, dtype=torch.float64)  # of a layer with 100 inputs, as Keras keeps it

    def drawn(mode: Any) -> float:
        generator = torch.Generator().manual_seed(0)
        return nn.init.kaiming_normal_(weight, mode=mode, generator=generator).std(correction=0).item()

    he = math.sqrt(2 / 100) * _normal(100, 400)
    return Numbers(float(he.std()), drawn("fan_in"), drawn("fan_out"))


def xavier() -> Numbers:
    weight = torch.empty(100, 400, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    glorot = nn.init.xavier_normal_(weight, generator=generator).std(correction=0).item()
    generator.manual_seed(0)
    nn.init.kaiming_normal_(weight, nonlinearity="linear", generator=generator)
    one_fan = math.sqrt(1 / 400) * _normal(100, 400)
    return Numbers(float(one_fan.std()), glorot, weight.std(correction=0).item())


def gain_of_tanh() -> Numbers:
    weight = torch.empty(100, 400, dtype=torch.float64)

    def drawn(gain: float) -> float:
        generator = torch.Generator().manual_seed(0)
        return nn.init.xavier_normal_(weight, gain, generator=generator).std(correction=0).item()

    glorot = math.sqrt(2 / (100 + 400)) * _normal(100, 400)
    return Numbers(float(glorot.std()), drawn(nn.init.calculate_gain("tanh")), drawn(1))


def slope_of_leaky_relu() -> Numbers:
    layer = nn.LeakyReLU(0.2)
    weight = torch.empty(100, 400, dtype=torch.float64)

    def drawn(**slope: Any) -> float:
        generator = torch.Generator().manual_seed(0)
        return nn.init.kaiming_normal_(weight, **slope, generator=generator).std(correction=0).item()

    he = math.sqrt(2 / (1 + 0.2**2) / 400) * _normal(100, 400)
    return Numbers(float(he.std()), drawn(), drawn(a=layer.negative_slope))


def standard_deviation() -> Numbers:
    x = [1.0, 2.0, 3.0, 4.0]
    return Numbers(
        float(np.std(x)), torch.std(_tensor(*x)).item(), torch.std(_tensor(*x), correction=0).item()
    )


def default_dtype() -> Numbers:
    return Numbers(
        float(np.array([0.1])[0]), torch.tensor([0.1]).item(), torch.tensor([0.1], dtype=torch.float64).item()
    )


def promotion() -> Numbers:
    x, scale = [1.0, 3.0], np.float64(3)
    return Numbers(
        float((np.array(x, np.float32) / scale)[0]),
        (torch.tensor(x) / torch.tensor(scale)).tolist()[0],
        (torch.tensor(x).double() / torch.tensor(scale)).tolist()[0],
    )


def array_of_an_array() -> Numbers:
    x = np.zeros(3)
    copy, shared, own = np.array(x), torch.as_tensor(x), torch.tensor(x)
    x += 1
    return Numbers(float(copy[0]), shared[0].item(), own[0].item())


def change_in_place() -> Numbers:
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


def max_at_zero() -> Numbers:
    def slope(f: Callable[[torch.Tensor], torch.Tensor]) -> float:
        x = _tensor(0).requires_grad_()
        return torch.autograd.grad(f(x).sum(), x)[0].item()

    x = np.array(0.0)
    return Numbers(float(x > 0), slope(lambda x: torch.maximum(x, torch.zeros_like(x))), slope(F.relu))


def layout() -> Numbers:
    x, weight = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, -1.0], [0.0, 2.0]])
    columns = weight @ x
    as_tensors = torch.tensor(x), torch.tensor(weight)
    rows = F.linear(*as_tensors)
    mapped = F.linear(as_tensors[0].T, as_tensors[1]).T
    return Numbers(float(columns[0, 1]), rows[0, 1].item(), mapped[0, 1].item())


def shape_of_the_weight() -> Numbers:
    x, kernel = np.array([[1.0, 2.0]]), np.array([[1.0, -1.0], [3.0, 2.0]])  # (inputs, outputs)
    as_tensors = torch.tensor(x), torch.tensor(kernel)
    return Numbers(
        float((x @ kernel)[0, 0]),
        F.linear(*as_tensors)[0, 0].item(),
        F.linear(as_tensors[0], as_tensors[1].T)[0, 0].item(),
    )


def backward() -> Numbers:
    x: Any = _tensor(3).requires_grad_()
    for _ in range(2):
        (x**2).sum().backward()
    pytorch = x.grad.item()
    x.grad = None  # what optimizer.zero_grad() does
    (x**2).sum().backward()
    return Numbers(2 * 3.0, pytorch, x.grad.item())


def gelu() -> Numbers:
    textbook = 0.5 * 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (2 + 0.044715 * 2**3)))
    x = _tensor(2)
    return Numbers(float(textbook), F.gelu(x).item(), F.gelu(x, approximate="tanh").item())


def quick_gelu() -> Numbers:
    x = _tensor(2)
    textbook = 2 / (1 + np.exp(-1.702 * 2))
    return Numbers(float(textbook), F.gelu(x).item(), (x * torch.sigmoid(1.702 * x)).item())


def threshold_of_softplus() -> Numbers:
    x = _tensor(20.5)
    textbook = np.exp(np.logaddexp(0, 20.5))
    return Numbers(float(textbook), F.softplus(x).exp().item(), F.softplus(x, threshold=50).exp().item())


def axis_of_a_softmax() -> Numbers:
    x = torch.zeros(2, 3, 4, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the choice of the axis is deprecated
        pytorch = F.softmax(x).max().item()
    e = np.exp(x.numpy())
    textbook = (e / e.sum(axis=-1, keepdims=True)).max()
    return Numbers(float(textbook), pytorch, F.softmax(x, dim=-1).max().item())


def cross_entropy() -> Numbers:
    logits, target = np.array([[2.0, 1.0, 0.0]]), torch.tensor([0])
    p = np.exp(logits) / np.exp(logits).sum()
    return Numbers(
        float(-np.log(p[0, 0])),
        F.cross_entropy(torch.tensor(p), target).item(),
        F.cross_entropy(torch.tensor(logits), target).item(),
    )


def logarithm_of_zero() -> Numbers:
    p, target = 1e-60, _tensor(1)
    logit = math.log(p) - math.log1p(-p)
    return Numbers(
        -math.log(p),
        F.binary_cross_entropy(_tensor(p), target).item(),
        F.binary_cross_entropy_with_logits(_tensor(logit), target).item(),
    )


def mean_of_the_loss() -> Numbers:
    x, target = np.array([[1.0, 2.0, 4.0], [0.0, 1.0, 1.0]]), np.zeros((2, 3))
    as_tensors = torch.tensor(x), torch.tensor(target)
    return Numbers(
        float(((x - target) ** 2).sum() / len(x)),
        F.mse_loss(*as_tensors).item(),
        F.mse_loss(*as_tensors, reduction="sum").item() / len(x),
    )


def squared_error() -> Numbers:
    pytorch = F.mse_loss(_tensor(3), _tensor(1)).item()
    return Numbers(0.5 * (3 - 1) ** 2, pytorch, pytorch / 2)


def weighted_mean() -> Numbers:
    logits, targets, weight = np.array([[2.0, 0.0], [1.0, 0.0]]), np.array([0, 1]), np.array([1.0, 3.0])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    losses = -np.log(p[[0, 1], targets])
    arguments = torch.tensor(logits), torch.tensor(targets), torch.tensor(weight)
    return Numbers(
        float((weight[targets] * losses).mean()),
        F.cross_entropy(*arguments).item(),
        F.cross_entropy(*arguments, reduction="sum").item() / len(logits),
    )


def smoothed_labels() -> Numbers:
    logits, targets, epsilon = np.array([[2.0, 1.0, 0.0]]), torch.tensor([0]), 0.3
    log_p = logits - np.log(np.exp(logits).sum())
    return Numbers(
        float(-((1 - epsilon) * log_p[0, 0] + epsilon / 2 * log_p[0, 1:].sum())),
        F.cross_entropy(torch.tensor(logits), targets, label_smoothing=epsilon).item(),
        F.cross_entropy(torch.tensor(logits), targets, label_smoothing=epsilon * 3 / 2).item(),
    )


def weights_of_smoothed_labels() -> Numbers:
    logits, targets, weight = np.array([[2.0, 1.0, 0.0]]), torch.tensor([0]), np.array([3.0, 1.0, 1.0])
    log_p = logits - np.log(np.exp(logits).sum())
    q = np.array([0.7 + 0.1, 0.1, 0.1])
    x, w = torch.tensor(logits), torch.tensor(weight)
    unweighted = F.cross_entropy(x, targets, reduction="none", label_smoothing=0.3)
    return Numbers(
        float(-weight[0] * (q * log_p).sum()),
        F.cross_entropy(x, targets, w, reduction="sum", label_smoothing=0.3).item(),
        (unweighted * w[targets]).sum().item(),
    )


def broadcast_targets() -> Numbers:
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


def weight_decay() -> Numbers:
    w, lr, l2, m = 1.0, 0.1, 0.5, 4

    def stepped(weight_decay: float) -> float:
        return _descend(torch.optim.SGD([_tensor(w)], lr, weight_decay=weight_decay), 0.0)

    return Numbers(w - lr * l2 / m * w, stepped(l2), stepped(l2 / m))


def what_decays() -> Numbers:
    b, lr, decay = 1.0, 0.1, 0.5
    together = torch.optim.SGD([_tensor(b)], lr, weight_decay=decay)
    apart = torch.optim.SGD([{"params": [_tensor(b)], "weight_decay": 0}], lr, weight_decay=decay)
    return Numbers(b - lr * 0.0, _descend(together, 0.0), _descend(apart, 0.0))


def half_of_the_penalty() -> Numbers:
    w, lr, l2 = 1.0, 0.1, 0.5
    return Numbers(
        w - lr * (2 * l2 * w),
        _descend(torch.optim.SGD([_tensor(w)], lr, weight_decay=l2), 0.0),
        _descend(torch.optim.SGD([_tensor(w)], lr, weight_decay=2 * l2), 0.0),
    )


def keep_probability() -> Numbers:
    keep_prob = 0.8
    mask = np.random.default_rng(0).random(1000) < keep_prob
    with OwnDraws(0):
        pytorch, mapped = (
            F.dropout(torch.ones(1000, dtype=torch.float64), p).max().item()
            for p in (keep_prob, 1 - keep_prob)
        )
    return Numbers(float((mask / keep_prob).max()), pytorch, mapped)


def dropout_in_evaluation() -> Numbers:
    p = 0.2
    pytorch = F.dropout(_tensor(1), p, training=False).item()
    return Numbers((1 - p) * 1.0, pytorch, (1 - p) * pytorch)


def prediction() -> Numbers:
    layer = nn.Dropout(0.5)
    x = torch.ones(1000, dtype=torch.float64)
    with OwnDraws(0):
        pytorch = layer(x).max().item()
    return Numbers(float(np.ones(1000).max()), pytorch, layer.eval()(x).max().item())


def running_momentum() -> Numbers:
    batch = np.array([[0.0], [2.0]])

    def running_mean(momentum: float) -> float:
        layer: Any = nn.BatchNorm1d(1, momentum=momentum, dtype=torch.float64)
        layer(torch.tensor(batch))
        return layer.running_mean.item()

    return Numbers(0.9 * 0 + (1 - 0.9) * float(batch.mean()), running_mean(0.9), running_mean(1 - 0.9))


def running_variance() -> Numbers:
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


def epsilon_of_batch_norm() -> Numbers:
    x, eps = np.array([[-1e-3], [1e-3]]), 1e-5
    std = float(x.std())

    def normalised(eps: float) -> float:
        layer = nn.BatchNorm1d(1, eps, dtype=torch.float64)
        return layer(torch.tensor(x))[1].item()

    return Numbers(float(x[1, 0]) / (std + eps), normalised(eps), normalised(2 * std * eps + eps**2))


def epsilon_of_layer_norm() -> Numbers:
    x = _tensor(0, 0.1)
    textbook = (0.1 - x.numpy().mean()) / np.sqrt(x.numpy().var() + 1e-3)
    pytorch, mapped = (F.layer_norm(x, (2,), eps=eps)[1].item() for eps in (1e-5, 1e-3))
    return Numbers(float(textbook), pytorch, mapped)


def deviation_of_layer_norm() -> Numbers:
    x = _tensor(0, 1, 2, 3)
    textbook = (3 - x.numpy().mean()) / (x.numpy().std(ddof=1) + 1e-6)
    mapped = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)
    return Numbers(float(textbook), F.layer_norm(x, (4,))[3].item(), mapped[3].item())


def epsilon_of_rms_norm() -> Numbers:
    x = _tensor(0.003, 0.004)
    textbook = 0.004 / np.sqrt((x.numpy() ** 2).mean() + 1e-5)
    return Numbers(float(textbook), F.rms_norm(x, (2,))[1].item(), F.rms_norm(x, (2,), eps=1e-5)[1].item())


def gamma_of_rms_norm() -> Numbers:
    x, weight = _tensor(3, 4), _tensor(0.5, 0.5)
    textbook = 1.5 * 4 / np.sqrt((x.numpy() ** 2).mean() + np.finfo(np.float64).eps)
    pytorch, mapped = (F.rms_norm(x, (2,), each)[1].item() for each in (weight, weight + 1))
    return Numbers(float(textbook), pytorch, mapped)


def _clipped(bound: float, *gradients: torch.Tensor) -> list[torch.Tensor]:
    parameters = [torch.zeros_like(gradient) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    nn.utils.clip_grad_norm_(parameters, bound)
    return [cast(torch.Tensor, parameter.grad) for parameter in parameters]


def norm_of_the_gradients() -> Numbers:
    three, four = _tensor(3), _tensor(4)
    mapped = three * (1 / three.norm()).clamp(max=1)
    textbook = 3 * min(1.0, 1 / float(np.linalg.norm([3])))
    return Numbers(textbook, _clipped(1, three, four)[0].item(), mapped.item())


def epsilon_of_clipping() -> Numbers:
    gradient = _tensor(3, 4)
    norm = float(np.linalg.norm(gradient.numpy()))
    textbook = np.linalg.norm(gradient.numpy() / max(norm, 1.0))
    norms = (_clipped(bound, gradient)[0].norm().item() for bound in (1, 1 + 1e-6 / gradient.norm().item()))
    return Numbers(float(textbook), *norms)


def gradient_accumulation() -> Numbers:
    x = _tensor(1, 2, 6)
    parts = x.split(2)

    def accumulated(*weights: float) -> float:
        theta = torch.ones((), dtype=torch.float64, requires_grad=True)
        for part, weight in zip(parts, weights, strict=True):
            (weight * (theta * part).mean()).backward()
        return cast(torch.Tensor, theta.grad).item()

    textbook = np.mean([part.numpy().mean() for part in parts])
    by_size = accumulated(*(len(part) / len(x) for part in parts))
    return Numbers(float(textbook), by_size, accumulated(*[1 / len(parts)] * len(parts)))


def _plateau(**options: Any) -> tuple[torch.optim.lr_scheduler.ReduceLROnPlateau, torch.optim.Optimizer]:
    optimizer = torch.optim.SGD([_tensor(0)], lr=1.0)
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options), optimizer


def patience() -> Numbers:
    def acts_after(patience: int) -> int:
        scheduler, optimizer = _plateau(patience=patience)
        epochs = 0
        while optimizer.param_groups[0]["lr"] == 1:
            scheduler.step(0.5)
            epochs += 1
        return epochs

    best, wait, epochs = math.inf, 0, 0
    while wait < 3:
        best, wait = (0.5, 0) if best > 0.5 else (best, wait + 1)
        epochs += 1
    return Numbers(epochs, acts_after(3), acts_after(3 - 1))


def threshold() -> Numbers:
    costs = (0.5, 0.45, 0.4)

    def improvements(**options: Any) -> int:
        scheduler, _ = _plateau(threshold=0.06, **options)
        waits = []
        for cost in costs:
            scheduler.step(cost)
            waits.append(scheduler.num_bad_epochs)
        return waits[1:].count(0)

    best, better = costs[0], 0
    for cost in costs[1:]:
        best, better = (cost, better + 1) if cost < best - 0.06 else (best, better)
    return Numbers(better, improvements(), improvements(threshold_mode="abs"))


def _averaged_weights(*weights: float, **options: Any) -> float:
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    averaged = swa_utils.AveragedModel(model, **options)
    for weight in weights:
        nn.init.constant_(model.weight, weight)
        averaged.update_parameters(model)
    return cast(nn.Linear, averaged.module).weight.item()


def start_of_averaged_weights() -> Numbers:
    ema = swa_utils.get_ema_multi_avg_fn(0.9)
    mapped = _averaged_weights(0, 1, multi_avg_fn=ema)
    return Numbers(0.9 * 0 + (1 - 0.9) * 1, _averaged_weights(1, multi_avg_fn=ema), mapped)


def decay_of_averaged_weights() -> Numbers:
    decay = min(0.9, (1 + 0) / (10 + 0))
    pytorch = _averaged_weights(0, 1, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
    mapped = _averaged_weights(0, 1, avg_fn=lambda a, p, n: a.lerp(p, 1 - min(0.9, int(n) / (9 + int(n)))))
    return Numbers(decay * 0 + (1 - decay) * 1, pytorch, mapped)


def momentum() -> Numbers:
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


def dampening() -> Numbers:
    lr, beta = 0.1, 0.9
    param = _tensor(0)
    from_zero = torch.optim.SGD([param], lr, momentum=beta, dampening=beta)
    from_zero.state[param]["momentum_buffer"] = torch.zeros_like(param)
    return Numbers(
        0 - lr * (beta * 0 + (1 - beta) * 1.0),
        _descend(torch.optim.SGD([_tensor(0)], lr, momentum=beta, dampening=beta), 1.0),
        _descend(from_zero, 1.0),
    )


def rate_inside_the_velocity() -> Numbers:
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


def nesterov() -> Numbers:
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


def epsilon_of_adagrad() -> Numbers:
    lr, eps, g = 0.01, 1e-7, 1e-4
    s = g**2

    def stepped(eps: float) -> float:
        return _descend(torch.optim.Adagrad([_tensor(0)], lr, eps=eps), g)

    return Numbers(-lr * g / math.sqrt(s + eps), stepped(eps), stepped(math.sqrt(s + eps) - math.sqrt(s)))


def start_of_adagrad() -> Numbers:
    lr, g, eps = 0.01, 0.1, 1e-10

    def stepped(start: float) -> float:
        return _descend(torch.optim.Adagrad([_tensor(0)], lr, initial_accumulator_value=start, eps=eps), g)

    return Numbers(-lr * g / (math.sqrt(0.1 + g**2) + eps), stepped(0), stepped(0.1))


def epsilon_of_rmsprop() -> Numbers:
    lr, alpha, eps, g = 0.01, 0.9, 1e-8, 1e-4
    s = (1 - alpha) * g**2

    def stepped(eps: float) -> float:
        return _descend(torch.optim.RMSprop([_tensor(0)], lr, alpha, eps), g)

    return Numbers(-lr * g / math.sqrt(s + eps), stepped(eps), stepped(math.sqrt(s + eps) - math.sqrt(s)))


def alpha() -> Numbers:
    lr, g, eps = 0.01, 1.0, 1e-8
    return Numbers(
        -lr * g / (math.sqrt((1 - 0.9) * g**2) + eps),
        _descend(torch.optim.RMSprop([_tensor(0)], lr), g),
        _descend(torch.optim.RMSprop([_tensor(0)], lr, alpha=0.9), g),
    )


def epsilon_of_adam() -> Numbers:
    lr, beta1, beta2, eps, g = 1e-3, 0.9, 0.999, 1e-8, 1e-7
    m, v = (1 - beta1) * g, (1 - beta2) * g**2
    rate = lr * math.sqrt(1 - beta2) / (1 - beta1)

    def stepped(eps: float) -> float:
        return _descend(torch.optim.Adam([_tensor(0)], lr, (beta1, beta2), eps), g)

    return Numbers(-rate * m / (math.sqrt(v) + eps), stepped(eps), stepped(eps / math.sqrt(1 - beta2)))


def betas() -> Numbers:
    weight_of_new = 0.1

    def first_moment(beta1: float) -> float:
        param = _tensor(0)
        optimizer = torch.optim.Adam([param], betas=(beta1, 0.999))
        _descend(optimizer, 1.0)
        return optimizer.state[param]["exp_avg"].item()

    return Numbers(weight_of_new * 1.0, first_moment(weight_of_new), first_moment(1 - weight_of_new))


def decay_in_adam() -> Numbers:
    lr, decay, g = 0.1, 0.5, 1.0  # the first step of Adam is lr·g/|g|
    eps = 1e-8
    return Numbers(
        1 - lr * decay * 1 - lr * g / (abs(g) + eps),
        _descend(torch.optim.Adam([_tensor(1)], lr, eps=eps, weight_decay=decay), g),
        _descend(torch.optim.AdamW([_tensor(1)], lr, eps=eps, weight_decay=decay), g),
    )


def decay_in_adamw() -> Numbers:
    lr, decay, g, eps = 0.1, 0.05, 1.0, 1e-8
    return Numbers(
        1 - decay * 1 - lr * g / (abs(g) + eps),
        _descend(torch.optim.AdamW([_tensor(1)], lr, eps=eps, weight_decay=decay), g),
        _descend(torch.optim.AdamW([_tensor(1)], lr, eps=eps, weight_decay=decay / lr), g),
    )


def bias_correction() -> Numbers:
    lr, beta1, beta2, eps, g = 1e-3, 0.9, 0.999, 1e-6, 1e-3
    m, v = (1 - beta1) * g, (1 - beta2) * g**2
    root = math.sqrt(1 - beta2)

    def stepped(lr: float, eps: float) -> float:
        return _descend(torch.optim.Adam([_tensor(0)], lr, (beta1, beta2), eps), g)

    return Numbers(
        -lr * m / (math.sqrt(v) + eps), stepped(lr, eps), stepped(lr * (1 - beta1) / root, eps / root)
    )


def amsgrad() -> Numbers:
    lr, beta1, beta2, g = 0.1, 0.9, 0.999, 1.0
    m, v = (1 - beta1) * g, (1 - beta2) * g**2
    rate = lr * (1 - beta1) / math.sqrt(1 - beta2)

    def stepped(lr: float) -> float:
        return _descend(torch.optim.Adam([_tensor(0)], lr, (beta1, beta2), eps=0, amsgrad=True), g)

    return Numbers(-lr * m / math.sqrt(v), stepped(lr), stepped(rate))


def _nadam(momenta: tuple[float, float, float], *gradients: float) -> float:
    """Where 0 is after two steps at lr = 0.1 with these μ₁, μ₂ and μ₃, by NumPy's side."""
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    theta = m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        product = math.prod(momenta[:t])
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        step = (1 - momenta[t - 1]) * g / (1 - product) + momenta[t] * m / (1 - product * momenta[t])
        theta -= 0.1 * step / (math.sqrt(v / (1 - beta2**t)) + eps)
    return theta


def _nadam_of_pytorch(momentum_decay: float, *gradients: float) -> float:
    param = _tensor(0)
    optimizer = torch.optim.NAdam([param], 0.1, momentum_decay=momentum_decay)
    # PyTorch begins the product of the momenta as a float32, whatever the parameters are.
    optimizer.state[param] = {
        "step": torch.tensor(0.0),
        "mu_product": torch.ones((), dtype=torch.float64),
        "exp_avg": torch.zeros_like(param),
        "exp_avg_sq": torch.zeros_like(param),
    }
    return _descend(optimizer, *gradients)


def momentum_decay() -> Numbers:
    first, second, third = (0.9 * (1 - 0.5 * 0.96**t) for t in (1, 2, 3))
    return Numbers(
        _nadam((first, second, third), 1.0, 1.0),
        _nadam_of_pytorch(4e-3, 1.0, 1.0),
        _nadam_of_pytorch(1.0, 1.0, 1.0),
    )


def constant_momentum() -> Numbers:
    return Numbers(
        _nadam((0.9, 0.9, 0.9), 1.0, -1.0),
        _nadam_of_pytorch(4e-3, 1.0, -1.0),
        _nadam_of_pytorch(1e6, 1.0, -1.0),
    )


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


def decay_per_epoch() -> Numbers:
    return Numbers(1.0 * 0.9**1, _after_an_epoch(every_batch=True), _after_an_epoch(every_batch=False))


def first_epoch() -> Numbers:
    lr, k = 0.2, 1.0

    def rate(first: int) -> float:
        optimizer = torch.optim.SGD([_tensor(0)], lr)
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + k * (epoch + first)))
        return optimizer.param_groups[0]["lr"]

    return Numbers(lr / (1 + k * 1), rate(0), rate(1))


def warm_up() -> Numbers:
    lr, w = 1.0, 5

    def rate(**options: Any) -> float:
        optimizer = torch.optim.SGD([_tensor(0)], lr)
        torch.optim.lr_scheduler.LinearLR(optimizer, **options)
        return optimizer.param_groups[0]["lr"]

    return Numbers(lr * 1 / w, rate(total_iters=w), rate(start_factor=1 / w, total_iters=w - 1))


def smallest_rate() -> Numbers:
    lr, alpha = 0.1, 0.5

    def rate(eta_min: float) -> float:
        optimizer = torch.optim.SGD([_tensor(0)], lr)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2, eta_min=eta_min)
        optimizer.step()
        scheduler.step()
        return optimizer.param_groups[0]["lr"]

    half = 0.5 * (1 + math.cos(math.pi / 2))
    return Numbers(lr * (alpha + (1 - alpha) * half), rate(alpha), rate(alpha * lr))


def last_rate_of_a_cycle() -> Numbers:
    lr, d, f, steps = 1.0, 25.0, 1e4, 10

    def rate(final_div_factor: float) -> float:
        optimizer = torch.optim.SGD([_tensor(0)], lr)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, lr, steps, div_factor=d, final_div_factor=final_div_factor, cycle_momentum=False
        )
        for _ in range(steps - 1):
            optimizer.step()
            scheduler.step()
        return optimizer.param_groups[0]["lr"]

    return Numbers(lr / f, rate(f), rate(f / d))


def _after_costs(*costs: float, **options: Any) -> float:
    optimizer = torch.optim.SGD([_tensor(0)], 1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, **options)
    for cost in costs:
        scheduler.step(cost)
    return optimizer.param_groups[0]["lr"]


def _after_costs_in_keras(*costs: float, patience: int, min_delta: float = 0, cooldown: int = 0) -> float:
    rate, best, wait, counter = 1.0, math.inf, 0, 0
    for cost in costs:
        if counter > 0:
            counter -= 1
            wait = 0
        if cost < best - min_delta:
            best, wait = cost, 0
        elif counter == 0:
            wait += 1
            if wait >= patience:
                rate, counter, wait = 0.5 * rate, cooldown, 0
    return rate


def patience_of_a_schedule() -> Numbers:
    costs = (1.0, 1.0, 1.0)
    return Numbers(
        _after_costs_in_keras(*costs, patience=2),
        _after_costs(*costs, patience=2),
        _after_costs(*costs, patience=1),
    )


def threshold_of_a_schedule() -> Numbers:
    costs = (100.0, 99.0, 98.0)
    return Numbers(
        _after_costs_in_keras(*costs, patience=1, min_delta=0.1),
        _after_costs(*costs, patience=0, threshold=0.1),
        _after_costs(*costs, patience=0, threshold=0.1, threshold_mode="abs"),
    )


def cooldown() -> Numbers:
    costs = (1.0,) * 4
    return Numbers(
        _after_costs_in_keras(*costs, patience=1, cooldown=2),
        _after_costs(*costs, patience=0, cooldown=2),
        _after_costs(*costs, patience=0, cooldown=1),
    )


class _SlightlyWrong(torch.autograd.Function):
    """x², with a gradient that is too large by half a thousandth."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> torch.Tensor:
        return dy * 2 * ctx.saved_tensors[0] * 1.0005


def gradient_check() -> Numbers:
    x, eps = _tensor(1, 2, 3).requires_grad_(), 1e-6
    numerical = ((x.detach() + eps) ** 2 - (x.detach() - eps) ** 2).numpy() / (2 * eps)
    wrong = torch.autograd.grad(_SlightlyWrong.apply(x).sum(), x)[0].numpy()
    error = np.linalg.norm(wrong - numerical) / (np.linalg.norm(wrong) + np.linalg.norm(numerical))

    def passes(**tolerances: Any) -> float:
        return float(
            torch.autograd.gradcheck(_SlightlyWrong.apply, x, eps=eps, raise_exception=False, **tolerances)
        )

    return Numbers(float(error < 1e-7), passes(), passes(atol=0, rtol=2e-7))
