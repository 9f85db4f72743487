"""What all optimizers share: parameters in groups, a state of each, `step`, and what is saved.

A rule is a function of `scratch.optimizers`: it changes one parameter, and its state, in place.
"""

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from scratch.checks import check_floating, check_shape, check_state, expects

BLOCK = 131072  # elements; a rule's few arrays, a block each, stay in the cache from one line to the next


class Optimizer:
    """Parameters in groups, each with its hyperparameters, and what is kept of every parameter.

    `params` is a list of arrays or, as in PyTorch, of groups: `{"params": […], "weight_decay": 0}` has
    hyperparameters of its own. `param_groups` keeps all groups whole; `lr` is the rate of the first one, and
    set for all.

    `rule` changes one block of a parameter; `takes` names the hyperparameters that it is called with. `state`
    maps PyTorch's name of each buffer to a list of arrays, one for each of `params`: they begin with 0 unless
    `starts` says otherwise, and those of `numbers` have no dimensions. `steps` counts the calls of `step`; a
    rule that `counts` is told.
    """

    kept: tuple[str, ...] = ("step",)  # of a parameter beside its buffers, in PyTorch's `state_dict`

    @expects(lr=">= 0")
    def __init__(
        self, params: Sequence[Any], lr: float, rule: Callable[..., None], buffers: Sequence[str],
        *, takes: Sequence[str], counts: bool, starts: Mapping[str, float] | None = None,
        numbers: Sequence[str] = (), **options: Any,
    ) -> None:  # fmt: skip
        self.rule, self.takes, self.counts = rule, ("lr", *takes), counts
        self.starts, self.numbers = dict.fromkeys(buffers, 0.0) | dict(starts or {}), numbers
        self.param_groups = self._groups(params, {"lr": lr, **options})
        self.params = [param for group in self.param_groups for param in group["params"]]
        self.steps = 0
        self.state = {
            name: [
                np.full((), start, param.dtype) if name in numbers else np.full_like(param, start)
                for param in self.params
            ]
            for name, start in self.starts.items()
        }

    @property
    def lr(self) -> float:
        """The learning rate of the first group; setting it sets that of all."""
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, lr: float) -> None:
        for group in self.param_groups:
            group["lr"] = lr

    def step(self, grads: Sequence[np.ndarray]) -> None:
        """Change every parameter in place, by a gradient of its shape and dtype.

        Raises:
            TypeError: a gradient that is None or of another dtype. (PyTorch skips a parameter without one.)
            ValueError: a gradient of another shape, or another number of them.
        """
        _check_gradients(grads, self.params)
        self.steps += 1
        groups = (group for group in self.param_groups for _ in group["params"])
        for group, *arrays in zip(groups, self.params, grads, *self.state.values(), strict=True):
            for param, grad, *state in _blocks(arrays):
                self.update(group, param, grad, **dict(zip(self.state, state, strict=True)))

    def update(self, group: Mapping[str, Any], param: np.ndarray, grad: np.ndarray, **state: Any) -> None:
        """Apply the rule to one block, with the hyperparameters of its group; uphill if that `maximize`s."""
        count = {"step": self.steps} if self.counts else {}
        hyperparameters = {name: group[name] for name in self.takes}
        self.rule(param, -grad if group.get("maximize") else grad, **state, **count, **hyperparameters)

    def state_dict(self) -> dict[str, Any]:
        """The state by parameter, and the groups, in PyTorch's form

            {"state": {0: {"step": 3, "exp_avg": …}, …}, "param_groups": [{"lr": 0.1, …, "params": [0, …]}]}

        Parameters are numbered through the groups; before the first step they have no state. The arrays are
        the optimizer's own, no copies.
        """
        count = dict.fromkeys(self.kept, self.steps)
        each = zip(*self.state.values(), strict=True) if self.steps else ()
        state = {i: {**count, **dict(zip(self.state, arrays, strict=True))} for i, arrays in enumerate(each)}
        number = itertools.count()
        groups = [{**group, "params": [next(number) for _ in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over hyperparameters, and copies of the arrays, and go on from there

        What only PyTorch knows of a group (foreach, fused, …) is passed over.

        Raises:
            ValueError: other groups, buffers or shapes, or a hyperparameter that is out of range.
            TypeError: another dtype. Nothing is taken over in either case.
        """
        groups, state = state_dict["param_groups"], state_dict["state"]
        sizes, own_sizes = ([len(group["params"]) for group in each] for each in (groups, self.param_groups))
        if sizes != own_sizes:
            raise ValueError(f"param_groups: expected groups of {own_sizes} parameters, got {sizes}")
        known = self.param_groups[0].keys() - {"params"} | {"initial_lr"}
        taken = [{name: value for name, value in group.items() if name in known} for group in groups]
        for i, options in enumerate(taken):
            self._check_group(i, options)
        names = [f"params[{i}]" for i in range(len(self.params))]
        arrays = {f"{b} of {n}": a for b, own in self.state.items() for n, a in zip(names, own, strict=True)}
        given, steps = buffers_and_steps(state, names)
        if given:
            check_state(given, arrays, "optimizer")
        for name, array in arrays.items():
            array[...] = given.get(name, self.starts[name.partition(" of ")[0]])
        self.steps = steps
        for group, options in zip(self.param_groups, taken, strict=True):
            group.update(options)

    def _groups(self, params: Sequence[Any], defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Each group with all its hyperparameters; raise unless those of its own are known and in range."""
        listed = isinstance(params, Iterable) and not isinstance(params, np.ndarray)
        params = list(params) if listed else params
        if not listed or not params or not all(isinstance(group, dict) for group in params):
            return [{"params": _checked(params), **defaults}]
        known = ("params", *self.takes, *(["maximize"] if "maximize" in defaults else []))
        for i, group in enumerate(params):
            if unknown := [name for name in group if name not in known]:
                raise ValueError(f"params[{i}]: expected {', '.join(known)}, got {', '.join(unknown)}")
            self._check_group(i, {**defaults, **group})
        return [{**defaults, **group, "params": _checked(group.get("params", []))} for group in params]

    def _check_group(self, i: int, options: Mapping[str, Any]) -> None:
        """Raise unless the constructor takes these hyperparameters."""
        asked = inspect.signature(type(self)).parameters.keys() - {"params"}
        try:
            type(self)([np.zeros(1)], **{name: value for name, value in options.items() if name in asked})
        except (TypeError, ValueError) as error:
            raise type(error)(f"param_groups[{i}]: {error}") from None


def buffers_and_steps(
    state: Mapping[int, Mapping[str, Any]], names: Sequence[str]
) -> tuple[dict[str, np.ndarray], int]:
    """Of a state in PyTorch's form: its arrays as "exp_avg of linear1.weight", and how many steps they saw

    PyTorch's momentum counts no steps: where there is a buffer, the first one is over.
    """
    buffers = {
        f"{buffer} of {names[i]}": array
        for i, of_one in state.items()
        for buffer, array in of_one.items()
        if buffer != "step" and array is not None
    }
    steps = {int(of_one.get("step", 1)) for of_one in state.values()} if buffers else {0}
    if len(steps) > 1:
        raise ValueError(f"state: expected one number of steps for all parameters, got {sorted(steps)}")
    return buffers, steps.pop()


def _blocks(arrays: Sequence[np.ndarray]) -> Iterator[Sequence[np.ndarray]]:
    """The same stretch of every array, one after the other, as views.

    All in one where an array is not contiguous: `ravel` would copy it, and the update would be lost. A number
    of a parameter goes with each of its blocks, and is changed by the last one only. Of no elements, there is
    one block.
    """
    if not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    shape, size = arrays[0].shape, arrays[0].size
    for start in range(0, max(size, 1), BLOCK):
        last = start + BLOCK >= size
        yield [
            array.ravel()[start : start + BLOCK] if array.shape == shape else array if last else array.copy()
            for array in arrays
        ]


def _checked(params: Sequence[np.ndarray]) -> list[np.ndarray]:
    """As a list; raise unless it is one of floating-point arrays."""
    if isinstance(params, np.ndarray):
        raise TypeError("params: expected a list of arrays, got a single one")
    if not isinstance(params, Iterable):
        raise TypeError(f"params: expected a list of arrays, got {type(params).__name__}")
    params = list(params)
    if not params:
        raise ValueError("params: expected at least one array, got an empty list")
    for i, param in enumerate(params):
        check_floating(**{f"params[{i}]": param})
    return params


def _check_gradients(grads: Sequence[np.ndarray], params: list[np.ndarray]) -> None:
    """Raise unless there is one gradient for each parameter, of its dtype and shape."""
    if not isinstance(grads, list | tuple):
        raise TypeError(f"grads: expected a list of arrays, got {type(grads).__name__}")
    if len(grads) != len(params):
        raise ValueError(f"grads: expected {len(params)}, one for each parameter, got {len(grads)}")
    for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
        if not isinstance(grad, np.ndarray) or (grad.dtype, grad.shape) != (param.dtype, param.shape):
            check_floating(**{f"params[{i}]": param, f"grads[{i}]": grad})  # names take time: only in need
            check_shape(f"grads[{i}]", grad, param.shape)
