"""Names that are almost ours, and what they are called here."""

import difflib
import re
from collections.abc import Iterable

CLOSE = 0.84  # of difflib: relu_forwrd and relu_forward have 0.96, tanh_forward and relu_forward 0.75
OTHER_WORDS = {
    "adagrad": "adagrad_step",
    "adam": "adam_step",
    "adamw": "adamw_step",
    "affine": "linear",
    "batchnorm": "batch_norm",
    "bce": "binary_cross_entropy",
    "bn": "batch_norm",
    "ce": "cross_entropy",
    "dense": "linear",
    "fc": "linear",
    "fullyconnected": "linear",
    "glorot": "xavier_normal",
    "glorotnormal": "xavier_normal",
    "glorotuniform": "xavier_uniform",
    "gradcheck": "gradient_check",
    "he": "kaiming_normal",
    "henormal": "kaiming_normal",
    "heuniform": "kaiming_uniform",
    "kaiming": "kaiming_normal",
    "l2": "l2_penalty",
    "logloss": "binary_cross_entropy",
    "lion": "lion_step",
    "lrelu": "leaky_relu",
    "mse": "mse_loss",
    "minibatch": "minibatches",
    "normalise": "standardize",
    "normalize": "standardize",
    "nadam": "nadam_step",
    "nag": "nesterov_step",
    "numgrad": "numerical_gradient",
    "randommini": "minibatches",
    "randomminibatches": "minibatches",
    "sgd": "sgd_step",
    "sigmoidcrossentropy": "binary_cross_entropy_with_logits",
    "softmaxloss": "cross_entropy",
    "swish": "silu",
    "xavier": "xavier_normal",
}
FILLERS = {
    "fn",
    "func",
    "function",
    "init",
    "initialise",
    "initialization",
    "initialize",
    "my",
    "np",
    "numpy",
}
FILLERS |= {"optimiser", "optimizer", "own", "scratch", "the", "update", "updates"}
DIRECTIONS = {
    "forward": "forward",
    "forwards": "forward",
    "fwd": "forward",
    "fprop": "forward",
    "backward": "backward",
    "backwards": "backward",
    "bwd": "backward",
    "bprop": "backward",
    "backprop": "backward",
    "derivative": "backward",
    "deriv": "backward",
    "grad": "backward",
    "prime": "backward",
}


def close_name(name: str, ours: Iterable[str]) -> str:
    """Which of our names somebody's probably means; "" where none is close enough to ask

    close_name("reluForward", ["relu_forward", "relu_backward"]) == "relu_forward"
    """
    ours = list(ours)
    if name in ours:
        return ""
    plain = {_plain(known): known for known in reversed(ours)}
    *_, direction = ["", *(DIRECTIONS[word] for word in _words(name) if word in DIRECTIONS)]
    stem = "".join(word for word in _words(name) if word not in FILLERS and word not in DIRECTIONS)
    meant = _plain(OTHER_WORDS.get(stem, stem))
    for candidate in (meant + direction, meant + "forward", meant, meant + "step", stem):
        if candidate in plain:
            return plain[candidate]
    if len(meant) < 4:  # of short names all are close
        return ""
    found = difflib.get_close_matches(meant + direction, plain, 1, CLOSE)
    return plain[found[0]] if found and (not direction or found[0].endswith(direction)) else ""


def _words(name: str) -> list[str]:
    """batchNorm_forward2 → batch, norm, forward."""
    found = re.findall(r"[A-Z]?[a-z]+\d?(?=$|[A-Z_\d])|[A-Z]+\d?(?![a-z])|[a-z]+\d*", name)
    return [word.lower() for word in found]


def _plain(name: str) -> str:
    return "".join(_words(name))
