"""The basic recipe of bias and variance: from three errors to what to try next."""

from dataclasses import dataclass

BIAS = ("a bigger network", "training for longer", "another architecture")
VARIANCE = ("more data", "regularization (L2, dropout)", "another architecture")


@dataclass(frozen=True)
class Diagnosis:
    """What a model suffers from, and what to try, in order: bias first, since more data does not cure it."""

    high_bias: bool
    high_variance: bool

    @property
    def name(self) -> str:
        """High bias, high variance, high bias and high variance, or neither."""
        if self.high_bias and self.high_variance:
            return "high bias and high variance"
        return "high bias" if self.high_bias else "high variance" if self.high_variance else "neither"

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What to try, the first thing first; nothing where the model is good."""
        steps = (BIAS if self.high_bias else ()) + (VARIANCE if self.high_variance else ())
        return tuple(dict.fromkeys(steps))

    def __str__(self) -> str:
        steps = ", then ".join(self.next_steps)
        return f"{self.name}: {f'try {steps}' if steps else 'done'}"


def diagnose(
    train_error: float, dev_error: float, base_error: float = 0.0, margin: float = 0.05
) -> Diagnosis:
    """High bias where train − base > margin, high variance where dev − train > margin

    Args:
        train_error: share of the training set that the model gets wrong, 0 … 1
        dev_error: share of a set that it was not trained on, from the same distribution
        base_error: what the best possible model (often: a person) gets wrong. A training error is large or
            small only in comparison with this
        margin: the gap from which on to act; a matter of judgement, and of the size of the sets

    Raises:
        ValueError: an error or a margin outside 0 … 1.
    """
    arguments = {
        "train_error": train_error,
        "dev_error": dev_error,
        "base_error": base_error,
        "margin": margin,
    }
    for name, value in arguments.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: expected a share from 0 to 1, got {value}")
    return Diagnosis(_exceeds(train_error - base_error, margin), _exceeds(dev_error - train_error, margin))


def _exceeds(gap: float, margin: float) -> bool:
    return round(gap, 12) > margin  # 0.2 − 0.15 is a little more than 0.05
