"""A cost that can be drawn: linear regression with two weights, and the way gradient descent takes on it.

    J(w) = 1/m Σ (xᵢ·w − yᵢ)²,  with the Hessian H = 2/m XᵀX

The contours of J are ellipses. Their axes are the eigenvectors of H, their lengths go as 1/√λ of its
eigenvalues. Gradient descent multiplies its distance from the minimum by 1 − lr·λ along each axis: it
diverges for lr > 2/λ_max, it is fastest for lr = 2/(λ_max + λ_min), and even then it shrinks the distance by
no more than (κ − 1)/(κ + 1) a step, with κ = λ_max/λ_min, the condition number.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

import scratch.optimizers
import torch_ref.linear
import torch_ref.losses
import torch_ref.optimizers
from scratch.linear import linear_backward, linear_forward
from scratch.losses import mse_loss_backward, mse_loss_forward


@dataclass(frozen=True)
class TwoWeights:
    """The cost of two weights and no bias, on x (examples, 2) and targets (examples, 1)."""

    x: np.ndarray
    targets: np.ndarray

    @property
    def curvatures(self) -> np.ndarray:
        """λ_min and λ_max of the Hessian."""
        return np.linalg.eigvalsh(2 / len(self.x) * self.x.T @ self.x)

    @property
    def condition(self) -> float:
        """κ = λ_max/λ_min"""
        smallest, largest = self.curvatures
        return float(largest / smallest)

    @property
    def best_rate(self) -> float:
        """2/(λ_max + λ_min), the learning rate of the fastest descent."""
        return float(2 / self.curvatures.sum())

    @property
    def largest_rate(self) -> float:
        """2/λ_max, beyond which gradient descent diverges."""
        return float(2 / self.curvatures[1])

    @property
    def minimum(self) -> np.ndarray:
        """The weights (2,) of the lowest cost."""
        return np.linalg.lstsq(self.x, self.targets[:, 0])[0]

    def cost(self, weights: np.ndarray) -> np.ndarray:
        """J of weights (…, 2)"""
        return ((weights @ self.x.T - self.targets[:, 0]) ** 2).mean(axis=-1)

    def excess(self, weights: np.ndarray) -> np.ndarray:
        """How far J is above its minimum, as a share of what it is above it at w = 0."""
        lowest = self.cost(self.minimum)
        return (self.cost(weights) - lowest) / (self.cost(np.zeros(2)) - lowest)


def path_on_scratch(model: TwoWeights, lr: float, iterations: int) -> np.ndarray:
    """The weights (iterations + 1, 2) that gradient descent goes through from 0."""
    weight = np.zeros((1, 2))
    optimizer = scratch.optimizers.SGD([weight], lr)
    path = [weight[0].copy()]
    for _ in range(iterations):
        prediction, linear = linear_forward(model.x, weight, None)
        _, loss = mse_loss_forward(prediction, model.targets)
        _, gradient, _ = linear_backward(mse_loss_backward(1.0, loss), linear, input_gradient=False)
        optimizer.step([gradient])
        path.append(weight[0].copy())
    return np.array(path)


def path_on_torch(model: TwoWeights, lr: float, iterations: int) -> np.ndarray:
    """The same by autograd and `torch.optim.SGD`."""
    x, targets = torch.from_numpy(model.x), torch.from_numpy(model.targets)
    weight = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch_ref.optimizers.SGD([weight], lr)
    path = [weight.detach().numpy()[0].copy()]
    for _ in range(iterations):
        optimizer.zero_grad()
        torch_ref.losses.mse_loss(torch_ref.linear.linear(x, weight, None), targets).backward()
        optimizer.step()
        path.append(weight.detach().numpy()[0].copy())
    return np.array(path)


PATHS: dict[str, Callable[[TwoWeights, float, int], np.ndarray]] = {
    "scratch": path_on_scratch,
    "torch": path_on_torch,
}
