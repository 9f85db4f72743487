"""What there is, by name, in teaching order: for whoever does not want to wait until PyTorch is imported.

The components say the same of themselves, and a test holds these names against them.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from compare.cases.close_names import close_name


@dataclass(frozen=True)
class Entry:
    """The names of a component.

    Args:
        name, topic: the component's
        functions: its functions and classes in `scratch.<topic>`
        reference: those in `torch_ref.<topic>`
    """

    name: str
    topic: str
    functions: tuple[str, ...]
    reference: tuple[str, ...]


_NAMES = {
    "activations": {
        "relu": ("relu_forward relu_backward", "relu"),
        "leaky_relu": ("leaky_relu_forward leaky_relu_backward", "leaky_relu"),
        "tanh": ("tanh_forward tanh_backward", "tanh"),
        "sigmoid": ("sigmoid_forward sigmoid_backward", "sigmoid"),
        "gelu": ("gelu_forward gelu_backward", "gelu"),
        "silu": ("silu_forward silu_backward", "silu"),
        "softplus": ("softplus_forward softplus_backward", "softplus"),
    },
    "linear": {"linear": ("linear_forward linear_backward", "linear")},
    "softmax": {
        "softmax": ("softmax_forward softmax_backward", "softmax"),
        "log_softmax": ("log_softmax_forward log_softmax_backward", "log_softmax"),
    },
    "losses": {
        "binary_cross_entropy_with_logits": (
            "binary_cross_entropy_with_logits_forward binary_cross_entropy_with_logits_backward",
            "binary_cross_entropy_with_logits",
        ),
        "binary_cross_entropy": (
            "binary_cross_entropy_forward binary_cross_entropy_backward",
            "binary_cross_entropy",
        ),
        "cross_entropy": ("cross_entropy_forward cross_entropy_backward", "cross_entropy"),
        "mse_loss": ("mse_loss_forward mse_loss_backward", "mse_loss"),
    },
    "initializers": {
        "zeros": ("zeros", "zeros"),
        "large_random": ("large_random", "large_random"),
        "kaiming_normal": ("kaiming_normal", "kaiming_normal"),
        "kaiming_uniform": ("kaiming_uniform", "kaiming_uniform"),
        "xavier_normal": ("xavier_normal", "xavier_normal"),
        "xavier_uniform": ("xavier_uniform", "xavier_uniform"),
    },
    "standardization": {"standardization": ("standardize_fit standardize", "standardize_fit standardize")},
    "regularization": {
        "l2_penalty": ("l2_penalty l2_gradient", "l2_penalty"),
        "weight_decay": ("sgd_step_with_l2", "sgd_with_weight_decay"),
        "dropout": ("dropout_forward dropout_backward", "dropout"),
    },
    "batch_norm": {
        "batch_norm": (
            "batch_norm_forward batch_norm_backward update_running_statistics"
            " batch_norm_inference_forward batch_norm_inference_backward",
            "BatchNorm1d",
        ),
    },
    "layer_norm": {
        "layer_norm": ("layer_norm_forward layer_norm_backward", "LayerNorm"),
        "rms_norm": ("rms_norm_forward rms_norm_backward", "RMSNorm"),
    },
    "clipping": {
        "clip_grad_norm": ("clip_grad_norm_", "clip_grad_norm_"),
        "clip_grad_value": ("clip_grad_value_", "clip_grad_value_"),
    },
    "optimizers": {
        "sgd": ("sgd_step", "SGD"),
        "momentum": ("momentum_step sgd_momentum_step", "Momentum SGD"),
        "nesterov": ("nesterov_step", "SGD"),
        "adagrad": ("adagrad_step", "Adagrad"),
        "rmsprop": ("rmsprop_step", "RMSprop"),
        "adam": ("adam_step", "Adam"),
        "adamw": ("adamw_step", "AdamW"),
        "nadam": ("nadam_step", "NAdam"),
        "lion": ("lion_step", "Lion"),
    },
    "schedules": {
        "inverse_time": ("inverse_time", "inverse_time"),
        "fixed_interval": ("fixed_interval", "fixed_interval"),
        "exponential": ("exponential", "exponential"),
        "inverse_sqrt": ("inverse_sqrt", "inverse_sqrt"),
        "staircase": ("staircase", "staircase"),
        "milestones": ("milestones", "milestones"),
        "cosine_with_warmup": ("cosine_with_warmup", "cosine_with_warmup"),
        "cosine_with_restarts": ("cosine_with_restarts", "cosine_with_restarts"),
        "one_cycle": ("one_cycle", "one_cycle"),
        "reduce_lr_on_plateau": ("ReduceLROnPlateau", "ReduceLROnPlateau"),
    },
    "gradient_check": {
        "gradient_check": (
            "numerical_gradient relative_error gradient_check",
            "numerical_gradient relative_error gradient_check gradcheck",
        ),
    },
    "network": {"network": ("Network", "Network")},
    "training": {"minibatches": ("minibatches", "minibatches"), "train": ("train", "train")},
    "early_stopping": {"early_stopping": ("EarlyStopping", "EarlyStopping")},
    "averages": {
        "exponentially_weighted_average": (
            "exponentially_weighted_average",
            "exponentially_weighted_average",
        ),
        "averaged_model": ("AveragedModel", "AveragedModel"),
        "update_bn": ("update_bn", "update_bn"),
    },
    "random": {
        "rand": ("TorchGenerator", "rand"),
        "uniform": ("TorchGenerator", "uniform"),
        "randn": ("TorchGenerator", "randn"),
        "normal": ("TorchGenerator", "normal"),
        "bernoulli": ("TorchGenerator", "bernoulli"),
        "dropout_mask": ("TorchGenerator", "dropout_mask as_default"),
        "randint": ("TorchGenerator", "randint"),
        "randperm": ("TorchGenerator", "randperm"),
        "epoch_order": ("TorchGenerator", "epoch_order as_default"),
        "generator_state": ("TorchGenerator", "as_default"),
    },
}
STUDY_DAY = tuple(_NAMES)
RUNS = {  # of training in lockstep
    "digits": "1797 images of handwritten digits, ten classes",
    "breast_cancer": "569 patients, benign or malignant",
}


def entries() -> dict[str, Entry]:
    """Name → entry; where there is a topic that has no names here, from the components themselves."""
    from compare import cases

    if not {*cases.TOPICS} <= {*STUDY_DAY}:
        return {
            c.name: Entry(c.name, c.topic, tuple(top_level(c.functions)), c.reference)
            for c in cases.all_components().values()
        }
    return {
        name: Entry(name, topic, tuple(functions.split()), tuple(reference.split()))
        for topic, components in _NAMES.items()
        for name, (functions, reference) in components.items()
    }


def named(name: str) -> list[Entry]:
    """The component, or those of the topic, of this name; none for another name."""
    return [entry for entry in entries().values() if name in (entry.name, entry.topic)]


def component_or_topic() -> list[str]:
    """All names that `named` knows."""
    return list(dict.fromkeys(name for e in entries().values() for name in (e.name, e.topic)))


def top_level(functions: Iterable[str]) -> list[str]:
    """The functions and classes behind names that may be Class.method, each once."""
    return list(dict.fromkeys(name.partition(".")[0] for name in functions))


def names_of(component: Any) -> list[str]:
    """What may be written for a component, or an entry, in either library."""
    return [*top_level(component.functions), *component.reference]


def suggestion(name: str, names: Iterable[str]) -> str:
    """What somebody may have meant who wrote a name that there is not."""
    names = list(names)
    functions = {
        function: e.name for e in entries().values() if e.topic != "random" for function in e.functions
    }
    meant = functions.get(close_name(name, functions), "")
    close = [meant] if meant in names else difflib.get_close_matches(name, sorted(names))
    return f"did you mean {' or '.join(close)}?" if close else "`python -m compare list` names them all"
