"""The formula of each docstring of scratch/, typed in as a reader would: right, however it rounds."""

import math

import numpy as np


def zeros(shape, generator=None, *, dtype=np.float32):
    return np.zeros(shape, dtype)


def large_random(shape, generator, *, dtype=np.float32):
    return generator.normal(shape, 0, 10, dtype)


def gain_of(nonlinearity, a):
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "leaky_relu": math.sqrt(2 / (1 + a**2))}
    return gains.get(nonlinearity, 1)


def kaiming_normal(shape, generator, *, mode="fan_in", nonlinearity="relu", a=0.0, dtype=np.float32):
    fan = shape[1] if mode == "fan_in" else shape[0]
    return generator.normal(shape, 0, gain_of(nonlinearity, a) / math.sqrt(fan), dtype)


def kaiming_uniform(shape, generator, *, mode="fan_in", nonlinearity="relu", a=0.0, dtype=np.float32):
    fan = shape[1] if mode == "fan_in" else shape[0]
    b = math.sqrt(3) * gain_of(nonlinearity, a) / math.sqrt(fan)
    return generator.uniform(shape, -b, b, dtype)


def xavier_normal(shape, generator, *, gain=1.0, dtype=np.float32):
    return generator.normal(shape, 0, gain * math.sqrt(2 / sum(shape)), dtype)


def xavier_uniform(shape, generator, *, gain=1.0, dtype=np.float32):
    b = math.sqrt(3) * gain * math.sqrt(2 / sum(shape))
    return generator.uniform(shape, -b, b, dtype)


def standardize(x, mean, std):
    return (x - mean) / std


def relu_forward(x):
    y = np.maximum(x, 0)
    return y, y


def relu_backward(dy, y):
    return dy * (y > 0)


def leaky_relu_forward(x, negative_slope=0.01):
    return np.where(x > 0, x, negative_slope * x), (x, negative_slope)


def leaky_relu_backward(dy, cache):
    x, slope = cache
    return np.where(x > 0, dy, slope * dy)


def tanh_forward(x):
    y = np.tanh(x)
    return y, y


def tanh_backward(dy, y):
    return dy * (1 - y**2)


def sigmoid_forward(x):
    y = 1 / (1 + np.exp(-x))
    return y, y


def sigmoid_backward(dy, y):
    return dy * y * (1 - y)


ERF = np.vectorize(math.erf, otypes=[np.float64])


def normal_cdf(x):
    return ((1 + ERF(x / math.sqrt(2))) / 2).astype(x.dtype)


def gelu_forward(x, approximate="none"):
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), (x, approximate)
    return x * normal_cdf(x), (x, approximate)


def gelu_backward(dy, cache):
    x, approximate = cache
    if approximate == "tanh":
        t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        return dy / 2 * (1 + t + x * (1 - t**2) * du)
    return dy * (normal_cdf(x) + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))


def silu_forward(x):
    return x / (1 + np.exp(-x)), x


def silu_backward(dy, x):
    sigmoid = 1 / (1 + np.exp(-x))
    return dy * sigmoid * (1 + x * (1 - sigmoid))


def softplus_forward(x, beta=1, threshold=20):
    z = beta * x
    return np.where(z > threshold, x, np.log1p(np.exp(np.minimum(z, threshold))) / beta), (z, threshold)


def softplus_backward(dy, cache):
    z, threshold = cache
    return np.where(z > threshold, dy, dy / (1 + np.exp(-z)))


def softmax_forward(x, dim=-1):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    y = e / e.sum(axis=dim, keepdims=True)
    return y, (y, dim)


def softmax_backward(dy, cache):
    y, dim = cache
    return y * (dy - (dy * y).sum(axis=dim, keepdims=True))


def log_softmax_forward(x, dim=-1):
    z = x - x.max(axis=dim, keepdims=True)
    y = z - np.log(np.exp(z).sum(axis=dim, keepdims=True))
    return y, (y, dim)


def log_softmax_backward(dy, cache):
    y, dim = cache
    return dy - np.exp(y) * dy.sum(axis=dim, keepdims=True)


def linear_forward(x, weight, bias):
    y = x @ weight.T
    return (y if bias is None else y + bias), (x, weight)


def linear_backward(dy, cache, *, out=(None, None), input_gradient=True):
    x, weight = cache
    dweight, dbias = dy.T @ x, dy.sum(axis=0)
    for array, value in zip(out, (dweight, dbias), strict=True):
        if array is not None:
            array[...] = value
    return dy @ weight if input_gradient else None, dweight, dbias


def binary_cross_entropy_with_logits_forward(logits, targets, reduction="mean"):
    log_sigmoid = np.minimum(logits, 0) - np.log(1 + np.exp(-np.abs(logits)))
    losses = (1 - targets) * logits - log_sigmoid
    n = logits.size if reduction == "mean" else 1
    return losses.sum() / n, (logits, targets, n)


def binary_cross_entropy_with_logits_backward(dloss, cache):
    x, y, n = cache
    return (1 / (1 + np.exp(-x)) - y) * dloss / n


def binary_cross_entropy_forward(probabilities, targets, reduction="mean"):
    p, y = probabilities, targets
    losses = -y * np.maximum(np.log(p), -100) - (1 - y) * np.maximum(np.log(1 - p), -100)
    n = p.size if reduction == "mean" else 1
    return losses.sum() / n, (p, y, n)


def binary_cross_entropy_backward(dloss, cache):
    p, y, n = cache
    return (p - y) / np.maximum(p * (1 - p), 1e-12) * dloss / n


def cross_entropy_forward(logits, targets, reduction="mean"):
    z = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets]
    m = len(logits) if reduction == "mean" else 1
    return losses.sum() / m, (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), targets, m)


def cross_entropy_backward(dloss, cache):
    p, y, m = cache
    return (p - np.eye(p.shape[1], dtype=p.dtype)[y]) * dloss / m


def mse_loss_forward(input, targets, reduction="mean"):
    n = input.size if reduction == "mean" else 1
    return ((input - targets) ** 2).sum() / n, (input, targets, n)


def mse_loss_backward(dloss, cache):
    x, t, n = cache
    return 2 * (x - t) * dloss / n


def l2_penalty(weights, l2, m):
    return l2 / (2 * m) * sum((w**2).sum() for w in weights)


def l2_gradient(weight, l2, m):
    return l2 / m * weight


def sgd_step_with_l2(parameters, gradients, *, lr, l2, m):
    return {
        name: value - lr * (gradients[name] + (l2 / m * value if value.ndim == 2 else 0))
        for name, value in parameters.items()
    }


def dropout_forward(x, p, generator, training=True):
    if not training or p in (0, 1):
        return (x, None) if p != 1 or not training else (0 * x, 0 * x)
    mask = generator.dropout_mask(x, p)
    return x * mask / (1 - p), mask / (1 - p)


def dropout_backward(dy, cache):
    return dy if cache is None else dy * cache


def batch_norm_forward(x, gamma, beta, eps=1e-5):
    mean, variance = x.mean(axis=0), x.var(axis=0)
    x_hat = (x - mean) / np.sqrt(variance + eps)
    y = x_hat if gamma is None else gamma * x_hat + beta
    return y, (x_hat, np.sqrt(variance + eps), gamma), (mean, variance)


def batch_norm_backward(dy, cache):
    x_hat, s, gamma = cache
    dgamma, dbeta, m = (dy * x_hat).sum(axis=0), dy.sum(axis=0), len(dy)
    dx = (1 if gamma is None else gamma) / s * (dy - dbeta / m - x_hat * dgamma / m)
    return dx, dgamma, dbeta


def batch_norm_inference_forward(x, gamma, beta, running_mean, running_var, eps=1e-5):
    x_hat = (x - running_mean) / np.sqrt(running_var + eps)
    y = x_hat if gamma is None else gamma * x_hat + beta
    return y, (x_hat, np.sqrt(running_var + eps), gamma)


def batch_norm_inference_backward(dy, cache):
    x_hat, s, gamma = cache
    return (1 if gamma is None else gamma) / s * dy, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def layer_norm_forward(x, gamma, beta, eps=1e-5):
    s = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    x_hat = (x - x.mean(axis=-1, keepdims=True)) / s
    y = x_hat if gamma is None else gamma * x_hat
    return (y if beta is None else y + beta), (x_hat, s, gamma)


def layer_norm_backward(dy, cache):
    x_hat, s, gamma = cache
    examples = tuple(range(dy.ndim - 1))
    d = dy if gamma is None else gamma * dy
    mean, slope = d.mean(axis=-1, keepdims=True), (d * x_hat).mean(axis=-1, keepdims=True)
    return 1 / s * (d - mean - x_hat * slope), (dy * x_hat).sum(axis=examples), dy.sum(axis=examples)


def rms_norm_forward(x, gamma, eps=None):
    r = np.sqrt((x**2).mean(axis=-1, keepdims=True) + (np.finfo(x.dtype).eps if eps is None else eps))
    return (x / r if gamma is None else gamma * x / r), (x / r, r, gamma)


def rms_norm_backward(dy, cache):
    x_hat, r, gamma = cache
    d = dy if gamma is None else gamma * dy
    slope = (d * x_hat).mean(axis=-1, keepdims=True)
    return 1 / r * (d - x_hat * slope), (dy * x_hat).sum(axis=tuple(range(dy.ndim - 1)))


def clip_grad_norm_(gradients, max_norm, norm_type=2, error_if_nonfinite=False):
    every = np.concatenate([gradient.ravel() for gradient in gradients])
    norm = np.linalg.norm(every, norm_type)
    for gradient in gradients:
        gradient *= np.minimum(1, max_norm / (norm + 1e-6))
    return norm


def clip_grad_value_(gradients, clip_value):
    for gradient in gradients:
        gradient[...] = np.minimum(np.maximum(gradient, -clip_value), clip_value)


def exponentially_weighted_average(x, beta, bias_correction=True):
    v, averages = 0 * x[:1].sum(), np.empty_like(x)
    for t in range(1, len(x) + 1):
        v = beta * v + (1 - beta) * x[t - 1]
        averages[t - 1] = v / (1 - beta**t) if bias_correction else v
    return averages


def sgd_step(param, grad, *, lr, weight_decay=0):
    param -= lr * (grad + weight_decay * param)


def momentum_step(param, grad, velocity, *, lr, beta):
    velocity[...] = beta * velocity + (1 - beta) * grad
    param -= lr * velocity


def sgd_momentum_step(param, grad, b, *, step, lr, momentum, dampening=0, weight_decay=0):
    g = grad + weight_decay * param
    b[...] = g if step == 1 else momentum * b + (1 - dampening) * g
    param -= lr * b


def nesterov_step(param, grad, b, *, step, lr, momentum, weight_decay=0):
    g = grad + weight_decay * param
    b[...] = g if step == 1 else momentum * b + g
    param -= lr * (g + momentum * b)


def adagrad_step(param, grad, s, *, step, lr, eps, lr_decay=0, weight_decay=0):
    g = grad + weight_decay * param
    s[...] = s + g**2
    param -= lr / (1 + (step - 1) * lr_decay) * g / (np.sqrt(s) + eps)


def rmsprop_step(param, grad, s, a=None, b=None, *, lr, alpha, eps, weight_decay=0, momentum=0):
    g = grad + weight_decay * param
    s[...] = alpha * s + (1 - alpha) * g**2
    variance = s
    if a is not None:
        a[...] = alpha * a + (1 - alpha) * g
        variance = s - a**2
    update = g / (np.sqrt(variance) + eps)
    if b is not None:
        b[...] = momentum * b + update
        update = b
    param -= lr * update


def adam_step(param, grad, m, v, largest=None, *, step, lr, betas, eps, weight_decay=0):
    g = grad + weight_decay * param
    m[...] = betas[0] * m + (1 - betas[0]) * g
    v[...] = betas[1] * v + (1 - betas[1]) * g**2
    if largest is not None:
        largest[...] = np.maximum(largest, v)
        v = largest
    param -= lr * m / (1 - betas[0] ** step) / (np.sqrt(v) / np.sqrt(1 - betas[1] ** step) + eps)


def adamw_step(param, grad, m, v, largest=None, *, step, lr, betas, eps, weight_decay):
    param[...] = (1 - lr * weight_decay) * param
    adam_step(param, grad, m, v, largest, step=step, lr=lr, betas=betas, eps=eps)


def nadam_step(
    param, grad, m, v, product, *, step, lr, betas, eps, momentum_decay,
    weight_decay=0, decoupled_weight_decay=False,
):  # fmt: skip
    g = grad
    if decoupled_weight_decay:
        param[...] = (1 - lr * weight_decay) * param
    else:
        g = grad + weight_decay * param
    mu, after = (betas[0] * (1 - 0.96 ** (t * momentum_decay) / 2) for t in (step, step + 1))
    product[...] = product * mu
    m[...] = betas[0] * m + (1 - betas[0]) * g
    v[...] = betas[1] * v + (1 - betas[1]) * g**2
    ahead = (1 - mu) * g / (1 - product) + after * m / (1 - product * after)
    param -= lr * ahead / (np.sqrt(v / (1 - betas[1] ** step)) + eps)


def lion_step(param, grad, m, *, lr, betas, weight_decay=0):
    param[...] = (1 - lr * weight_decay) * param - lr * np.sign(betas[0] * m + (1 - betas[0]) * grad)
    m[...] = betas[1] * m + (1 - betas[1]) * grad


def inverse_time(lr, epoch, *, decay_rate):
    return 1 / (1 + decay_rate * epoch) * lr


def fixed_interval(lr, epoch, *, decay_rate, interval):
    return 1 / (1 + decay_rate * math.floor(epoch / interval)) * lr


def exponential(lr, epoch, *, gamma):
    return gamma**epoch * lr


def inverse_sqrt(lr, epoch, *, k):
    return k / math.sqrt(epoch + 1) * lr


def staircase(lr, epoch, *, step_size, gamma):
    return gamma ** math.floor(epoch / step_size) * lr


def milestones(lr, epoch, *, milestones, gamma):
    return gamma ** len([milestone for milestone in milestones if milestone <= epoch]) * lr


def cosine_with_warmup(lr, epoch, *, warmup_epochs, total_epochs, lr_min=0.0):
    if epoch < warmup_epochs:
        return (epoch + 1) / warmup_epochs * lr
    angle = math.pi * (epoch - warmup_epochs) / (total_epochs - warmup_epochs)
    return lr_min + 0.5 * (lr - lr_min) * (1 + math.cos(angle))


def cosine_with_restarts(lr, epoch, *, T_0, T_mult=1, eta_min=0.0):
    since, length = 0, T_0
    for _ in range(epoch):
        since += 1
        if since == length:
            since, length = 0, length * T_mult
    return eta_min + 0.5 * (lr - eta_min) * (1 + math.cos(math.pi * since / length))


def one_cycle(
    lr, epoch, *, total_steps, pct_start=0.3, anneal_strategy="cos", div_factor=25.0,
    final_div_factor=1e4, three_phase=False,
):  # fmt: skip
    first, peak, back = lr / div_factor, pct_start * total_steps - 1, 2 * pct_start * total_steps - 2
    last = total_steps - 1
    if epoch <= peak:
        a, b, p = first, lr, epoch / peak
    elif three_phase and epoch <= back:
        a, b, p = lr, first, (epoch - peak) / (back - peak)
    else:
        begin = back if three_phase else peak
        a, b, p = first if three_phase else lr, first / final_div_factor, (epoch - begin) / (last - begin)
    return a + (b - a) * (p if anneal_strategy == "linear" else (1 - math.cos(math.pi * p)) / 2)
