"""Forms in which courses and books have our components written; one module for each of them."""

from typing import Any

from compare.learner.forms import coursera, cs231n, deep_learning_from_scratch
from compare.learner.forms.form import Form, is_named_as

FORMS: tuple[Form, ...] = (*coursera.FORMS, *cs231n.FORMS, *deep_learning_from_scratch.FORMS)

NOT_COMPARED = {  # functions of courses that no component of ours is → why
    "rel_error(x, y)": "CS231n's is the largest error of an element, ours a ratio of two norms: not compared",
    "gradient_check(x, theta, epsilon)": "J = θ·x of one number is not compared; gradient_check_n is",
    "linear_activation_forward(A_prev, W, b, activation)": "not compared; the functions that it calls are",
    "linear_activation_backward(dA, cache, activation)": "not compared; the functions that it calls are",
}


def why_not_compared(name: str, function: Any) -> str:
    """The reason; empty of what is none of these."""
    return next((why for text, why in NOT_COMPARED.items() if is_named_as(text, name, function)), "")
