"""Faults of meaning, put into scratch/ and torch_ref/ one at a time: a law of `test_objects` notices each.

A stale state, a shared buffer, a schedule that stops: one call still returns what it should, so that the
components' cases may see nothing. Each fault changes one file; all modules are loaded anew with it, and the
law, which passes without it, must fail.
"""

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import pytest

OURS = ("scratch", "torch_ref", "compare", "test_objects")
NOTICED = (AssertionError, pytest.fail.Exception)  # the latter: what should have been refused was not


class Fault(NamedTuple):
    """One thing that somebody could get wrong."""

    says: str
    module: str
    old: str  # occurs exactly once in it
    new: str
    law: str  # in test_objects
    given: Mapping[str, Any] = {}
    error: type[Exception] | None = None  # that the law ends in, where it is no assertion


def with_a_hook(name: str, when: str, expression: str) -> str:
    """An optimizer of PyTorch that does something more before (pre) or after (post) every step."""
    return f"""
class {name}(torch.optim.{name}):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_step_{when}_hook(lambda *_: {expression})
"""


MANY_STEPS = "test_thousands_of_steps_are_like_the_first_ones"
MANY_EPOCHS = "test_a_run_of_many_epochs_is_the_same_on_both_sides"
EACH_EPOCH = "test_no_epoch_is_like_another"
TWO_RUNS = "test_a_run_of_five_epochs_is_one_of_two_and_one_of_three"
TWO_NETWORKS = "test_two_networks_and_their_optimizers_do_not_know_each_other"
SCHEDULES = "test_a_schedule_goes_on_for_hundreds_of_epochs_and_every_optimizer_has_its_own"
TRAINING_TWICE = "test_training_twice_decays_the_initial_rate"
IN_BETWEEN = "test_a_prediction_in_between_changes_nothing"
AFTER_A_PREDICTION = "test_training_after_a_prediction_is_training"
BACK_TO_TRAINING = "test_training_begins_by_switching_to_training"
EVERY_LAYER = "test_every_layer_of_a_deep_network_goes_along_into_evaluation_and_back"
PENALTY = "test_the_penalty_counts_in_evaluation_too"
AGAIN = "test_a_second_backward_pass_adds_nothing"
GRADIENTS = "test_a_step_leaves_the_gradients_alone_and_keeps_none_of_them"
DATA = "test_training_leaves_the_data_alone_and_whoever_gets_a_batch_may_write_to_it"
COPIED_RUN = "test_a_copied_run_goes_on_like_the_original_and_leaves_it_alone"
COPIED_NETWORK = "test_a_copied_network_backs_its_layers"
COPIED_SCHEDULER = "test_a_copied_scheduler_goes_on_for_the_copied_optimizer_and_leaves_the_original_alone"
COPIED_LAYER = "test_a_copied_layer_goes_on_like_the_original"
COPIED_MODES = "test_a_copy_has_every_mode_of_the_original"
COPIED_GENERATOR = "test_a_copied_generator_draws_what_the_original_draws_and_leaves_it_alone"
SAVED = "test_what_is_saved_and_loaded_is_what_it_was_to_the_bit"
LOADED = "test_a_network_that_was_loaded_has_arrays_of_its_own"
TWO_WRITERS = "test_saving_to_a_path_in_the_middle_of_saving_to_it_leaves_a_whole_file"
STANDARDIZER = "test_a_standardizer_knows_its_last_training_set_and_nothing_else"
BACKWARD = "test_a_backward_pass_leaves_what_it_was_given_alone"
INPUTS = "test_pytorchs_side_leaves_its_inputs_alone"
GROUPS = "test_parameters_of_several_groups_go_on_as_if_alone"
FROM_A_GENERATOR = "test_pytorch_goes_on_with_the_generator_that_it_is_given_and_leaves_the_default_one_alone"
DRAWN = "test_an_initializer_of_pytorch_draws_from_the_generator_that_it_is_given"

SCRATCH = {"side": "scratch"}
TORCH = {"side": "torch"}

# Lines of scratch.optimizers
BUFFER = (
    "        momentum_buffer[...] = grad\n"
    "    else:\n"
    "        momentum_buffer *= momentum\n"
    "        momentum_buffer += "
)
COUNT = '        count = {"step": self.steps} if self.counts else {}\n'
STEP = "    def step(self, grads: Sequence[np.ndarray]) -> None:\n"

FAULTS = (
    # --- scratch: state over time
    Fault(
        "Adam's averages start again at step 1000.",
        "scratch.optimizers",
        "        self.steps += 1\n",
        "        self.steps += 1\n"
        "        if self.steps == 1000:\n"
        "            self.state = {name: [0 * a for a in arrays] for name, arrays in self.state.items()}\n",
        MANY_STEPS,
        {"kind": "Adam"},
    ),
    Fault(
        "Steps are counted up to 1000.",
        "scratch.optimizers",
        "self.steps += 1",
        "self.steps = min(self.steps + 1, 1000)",
        MANY_STEPS,
        {"kind": "AMSGrad"},
    ),
    Fault(
        "The bias correction stays what it is at step 50.",
        "scratch.optimizers",
        "    beta1, beta2 = betas\n",
        "    beta1, beta2 = betas\n    step = min(step, 50)\n",
        MANY_STEPS,
        {"kind": "AdamW"},
    ),
    Fault(
        "AMSGrad's maximum is forgotten every 700 steps.",
        "scratch.optimizers",
        "    if max_exp_avg_sq is not None:\n",
        "    if max_exp_avg_sq is not None:\n        max_exp_avg_sq *= step % 700 > 0\n",
        MANY_STEPS,
        {"kind": "AMSGrad"},
    ),
    Fault(
        "The momentum buffer starts again at step 513.",
        "scratch.optimizers",
        "    if step == 1:\n" + BUFFER + "(1 - dampening) * grad\n",
        "    if step in (1, 513):\n" + BUFFER + "(1 - dampening) * grad\n",
        MANY_STEPS,
        {"kind": "momentum"},
    ),
    Fault(
        "The momentum buffer becomes the gradient every 100 steps.",
        "scratch.optimizers",
        "    if step == 1:\n" + BUFFER + "grad\n",
        "    if step % 100 == 1:\n" + BUFFER + "grad\n",
        MANY_STEPS,
        {"kind": "Nesterov"},
    ),
    Fault(
        "RMSProp's mean gradient starts again at step 2000.",
        "scratch.optimizers",
        COUNT,
        COUNT
        + "        if self.steps == 2000 and 'grad_avg' in state:\n            state['grad_avg'][...] = 0\n",
        MANY_STEPS,
        {"kind": "RMSProp"},
    ),
    Fault(
        "The textbook's momentum has none from step 1500 on.",
        "scratch.optimizers",
        COUNT,
        COUNT + "        self.hyperparameters['beta'] *= self.steps < 1500\n",
        MANY_STEPS,
        {"kind": "the textbook's momentum"},
    ),
    Fault(
        "Weights decay in the first 400 steps only.",
        "scratch.optimizers",
        COUNT,
        COUNT + "        self.hyperparameters['weight_decay'] *= self.steps < 400\n",
        MANY_STEPS,
        {"kind": "gradient descent"},
    ),
    Fault(
        "The schedule stops after the fourth epoch.",
        "scratch.schedules",
        "        self.last_epoch += 1\n",
        "        self.last_epoch = min(self.last_epoch + 1, 3)\n",
        EACH_EPOCH,
        SCRATCH,
    ),
    Fault(
        "Training steps the schedule four times at most.",
        "scratch.training",
        "        if scheduler:\n",
        "        if scheduler and len(history.accuracy) <= 4:\n",
        EACH_EPOCH,
        SCRATCH,
    ),
    Fault(
        "The exponential schedule stops at epoch 200.",
        "scratch.schedules",
        "return lr * gamma**epoch",
        "return lr * gamma ** min(epoch, 200)",
        SCHEDULES,
        {"name": "exponential"},
    ),
    Fault(
        "Only the first 255 milestones and epochs count.",
        "scratch.schedules",
        "sum(milestone <= epoch for",
        "sum(milestone <= min(epoch, 255) for",
        SCHEDULES,
        {"name": "milestones"},
    ),
    Fault(
        "Every schedule of the program starts from the first optimizer's rate.",
        "scratch.schedules",
        "            optimizer.initial_lr = optimizer.lr\n",
        "            optimizer.initial_lr = globals().setdefault('initial_lr', optimizer.lr)\n",
        SCHEDULES,
        {"name": "staircase"},
    ),
    Fault(
        "Another scheduler starts from the rate that the first one left.",
        "scratch.schedules",
        "        if optimizer.initial_lr is None:\n",
        "        if True:\n",
        TRAINING_TWICE,
        {**SCRATCH, "again": "another scheduler"},
    ),
    Fault(
        "A second run starts the schedule again.",
        "scratch.training",
        "    network.train()\n",
        "    network.train()\n    if scheduler:\n        scheduler.__init__(optimizer, scheduler.schedule)\n",
        TRAINING_TWICE,
        {**SCRATCH, "again": "the same scheduler"},
    ),
    Fault(
        "A second run starts the bias correction again.",
        "scratch.training",
        "    network.train()\n",
        "    network.train()\n    optimizer.steps = 0\n",
        TWO_RUNS,
        SCRATCH,
    ),
    Fault(
        "All runs share one history.",
        "scratch.training",
        "    history = History()\n",
        "    history = globals().setdefault('history', History())\n",
        TWO_RUNS,
        SCRATCH,
    ),
    Fault(
        "From the fifth epoch on the order repeats that of the fourth.",
        "scratch.random",
        "        return self._generator.permutation(n)\n",
        "        self.orders = [*getattr(self, 'orders', []), self._generator.permutation(n)]\n"
        "        return self.orders[:4][-1]\n",
        EACH_EPOCH,
        SCRATCH,
    ),
    Fault(
        "From the fifth epoch on the batches are those of the fourth.",
        "scratch.training",
        "        for batch_x, batch_targets in minibatches(x, targets, batch_size, generator):\n",
        "        if len(history.learning_rate) < 5:\n"
        "            batches = list(minibatches(x, targets, batch_size, generator))\n"
        "        for batch_x, batch_targets in batches:\n",
        MANY_EPOCHS,
        {"kind": "Adam"},
    ),
    Fault(
        "The running variance keeps still after the tenth batch.",
        "scratch.batch_norm",
        "    running_var[...] = (1 - momentum) * running_var + momentum * unbiased\n",
        "    if num_batches_tracked <= 10:\n"
        "        running_var[...] = (1 - momentum) * running_var + momentum * unbiased\n",
        MANY_EPOCHS,
        {"kind": "gradient descent"},
    ),
    Fault(
        "Batches are counted in the first epoch only.",
        "scratch.batch_norm",
        "    num_batches_tracked += 1\n",
        "    num_batches_tracked += num_batches_tracked < 3\n",
        MANY_EPOCHS,
        {"kind": "momentum"},
    ),
    Fault(
        "A dropout layer keeps its mask as long as the batches have one size.",
        "scratch.regularization",
        "        y, self.cache = dropout_forward(x, self.p, self.generator, self.training)\n",
        "        if self.training and getattr(self.cache, 'shape', None) == x.shape:\n"
        "            return x * self.cache\n"
        "        y, self.cache = dropout_forward(x, self.p, self.generator, self.training)\n",
        MANY_EPOCHS,
        {"kind": "gradient descent"},
    ),
    Fault(
        "γ's gradient adds up.",
        "scratch.batch_norm",
        '            self.gradients["weight"][...] = dgamma\n',
        '            self.gradients["weight"] += dgamma\n',
        AGAIN,
        SCRATCH,
    ),
    Fault(
        "A weight's gradient is written where there is none yet, and a penalty added to the old one.",
        "scratch.linear",
        "    dweight = np.matmul(dy.T, x, out=out[0])",
        "    dweight = np.matmul(dy.T, x, out=None if out[0] is not None and out[0].any() else out[0])",
        AGAIN,
        SCRATCH,
    ),
    # --- scratch: modes
    Fault(
        "Training takes the mode that it finds.",
        "scratch.training",
        "    network.train()\n",
        "",
        BACK_TO_TRAINING,
        SCRATCH,
    ),
    Fault(
        "A prediction leaves the network in evaluation.",
        "scratch.network",
        "        logits = x\n        for layer in self.layers.values():\n",
        "        logits = x\n        self.eval()\n        for layer in self.layers.values():\n",
        IN_BETWEEN,
        SCRATCH,
    ),
    Fault(
        "A prediction puts every layer back to training, also those that were not.",
        "scratch.network",
        "        return (logits[:, 0] > 0)",
        "        self.train()\n        return (logits[:, 0] > 0)",
        IN_BETWEEN,
        SCRATCH,
    ),
    Fault(
        "A prediction overwrites what the backward pass goes back through.",
        "scratch.network",
        "            logits = evaluating.forward(logits)\n",
        "            logits = evaluating.forward(logits)\n"
        "            layer.__dict__ |= {**evaluating.__dict__, 'training': self.training}\n",
        IN_BETWEEN,
        SCRATCH,
    ),
    Fault(
        "A prediction draws masks that it does not use.",
        "scratch.network",
        "            evaluating.training = False\n",
        "            evaluating.training = False\n"
        "            if hasattr(layer, 'generator'):\n"
        "                layer.generator.dropout_mask(logits, layer.p)\n",
        AFTER_A_PREDICTION,
        SCRATCH,
    ),
    Fault(
        "A prediction counts a batch.",
        "scratch.network",
        "            evaluating.training = False\n",
        "            evaluating.training = False\n"
        "            getattr(layer, 'buffers', {}).get('num_batches_tracked', np.array(0))[...] += 1\n",
        IN_BETWEEN,
        SCRATCH,
    ),
    Fault(
        "The cost has a penalty in training only.",
        "scratch.network",
        "        if self.l2:\n            weights",
        "        if self.l2 and self.training:\n            weights",
        PENALTY,
    ),
    Fault(
        "The penalty has a gradient in training only.",
        "scratch.network",
        "        if self.l2:\n            for linear",
        "        if self.l2 and self.training:\n            for linear",
        PENALTY,
    ),
    Fault(
        "Evaluation reaches three hidden layers.",
        "scratch.network",
        "        for layer in self.layers.values():\n            layer.training = mode\n",
        "        for layer in list(self.layers.values())[:12]:\n            layer.training = mode\n",
        EVERY_LAYER,
        SCRATCH,
    ),
    Fault(
        "A copy is back in training.",
        "scratch.network",
        "        self.__dict__ |= state\n",
        "        self.__dict__ |= state\n        self.train()\n",
        COPIED_MODES,
        {**SCRATCH, "way": "pickle", "frozen": 1},
    ),
    # --- scratch: what belongs to whom
    Fault(
        "Weight decay is written into the gradient of plain gradient descent.",
        "scratch.optimizers",
        "        grad = grad + weight_decay * param\n    param -= lr * grad\n",
        "        grad += weight_decay * param\n    param -= lr * grad\n",
        GRADIENTS,
        {**SCRATCH, "kind": "gradient descent"},
    ),
    Fault(
        "Adam squares the gradient in place.",
        "scratch.optimizers",
        "    _average(exp_avg, grad, beta1)\n"
        "    exp_avg_sq *= beta2\n"
        "    exp_avg_sq += (1 - beta2) * grad * grad\n",
        "    _average(exp_avg, grad, beta1)\n"
        "    exp_avg_sq *= beta2\n"
        "    grad *= grad\n"
        "    exp_avg_sq += (1 - beta2) * grad\n",
        GRADIENTS,
        {**SCRATCH, "kind": "AdamW"},
    ),
    Fault(
        "The first gradient becomes the momentum buffer itself.",
        "scratch.optimizers",
        "        self.steps += 1\n",
        "        self.steps += 1\n"
        "        if self.steps == 1 and 'momentum_buffer' in self.state:\n"
        "            self.state['momentum_buffer'] = list(grads)\n",
        GRADIENTS,
        {**SCRATCH, "kind": "Nesterov"},
    ),
    Fault(
        "Optimizers of parameters of one shape share their buffers.",
        "scratch.optimizers",
        "        self.state = {name: [np.zeros_like(param) for param in self.params] for name in buffers}\n",
        "        state = {name: [np.zeros_like(param) for param in self.params] for name in buffers}\n"
        "        self.state = globals().setdefault(f'{list(map(len, self.params))} {[*buffers]}', state)\n",
        TWO_NETWORKS,
        {**SCRATCH, "kind": "RMSProp"},
    ),
    Fault(
        "All batch normalisations of one width share their running statistics.",
        "scratch.batch_norm",
        '            "num_batches_tracked": np.array(0, np.int64),\n        }\n',
        '            "num_batches_tracked": np.array(0, np.int64),\n        }\n'
        "        self.buffers = globals().setdefault(f'of {num_features}', self.buffers)\n",
        TWO_NETWORKS,
        {**SCRATCH, "kind": "gradient descent"},
    ),
    Fault(
        "All activations share what they remember.",
        "scratch.activations",
        "        y, self.cache = self._forward(x)\n",
        "        y, Activation.cache = self._forward(x)\n",
        TWO_NETWORKS,
        {**SCRATCH, "kind": "gradient descent"},
    ),
    Fault(
        "All batch normalisations share what they remember.",
        "scratch.batch_norm",
        "            y, self.cache, statistics = batch_norm_forward",
        "            y, BatchNorm1d.cache, statistics = batch_norm_forward",
        TWO_NETWORKS,
        {**SCRATCH, "kind": "momentum"},
    ),
    Fault(
        "All dropout layers share their mask.",
        "scratch.regularization",
        "        y, self.cache = dropout_forward",
        "        y, Dropout.cache = dropout_forward",
        TWO_NETWORKS,
        {**SCRATCH, "kind": "AdamW"},
    ),
    Fault(
        "Mini-batches are shuffled in the data themselves.",
        "scratch.training",
        "    order = generator.epoch_order(len(x))\n",
        "    order = generator.epoch_order(len(x))\n"
        "    x[...], targets[...], order = x[order], targets[order], np.arange(len(x))\n",
        DATA,
        SCRATCH,
    ),
    Fault(
        "Who asks for all examples at once gets the data themselves.",
        "scratch.training",
        "    order = generator.epoch_order(len(x))\n",
        "    order = generator.epoch_order(len(x))\n"
        "    if batch_size > len(x):\n"
        "        return iter([(x, targets)])\n",
        DATA,
        SCRATCH,
    ),
    Fault(
        "The penalty's gradient is added to the weight.",
        "scratch.network",
        '                linear.gradients["weight"] += l2_gradient',
        "                weight += l2_gradient",
        AGAIN,
        SCRATCH,
    ),
    Fault(
        "Standardisation changes its input.",
        "scratch.standardization",
        "    return (x - mean) / std\n",
        "    x -= mean\n    x /= std\n    return x\n",
        STANDARDIZER,
        SCRATCH,
    ),
    Fault(
        "A standardizer is fitted once and for all.",
        "scratch.standardization",
        "        self.mean, self.std = standardize_fit(x)\n",
        "        if self.mean is None:\n            self.mean, self.std = standardize_fit(x)\n",
        STANDARDIZER,
        SCRATCH,
    ),
    Fault(
        "All standardizers share their statistics.",
        "scratch.standardization",
        "        self.mean, self.std = standardize_fit(x)\n",
        "        Standardizer.mean, Standardizer.std = standardize_fit(x)\n",
        STANDARDIZER,
        SCRATCH,
    ),
    Fault(
        "The gradient of the squared error is computed in the cache.",
        "scratch.losses",
        "    return difference / n * 2 * dloss\n",
        "    difference /= n\n    difference *= 2 * dloss\n    return difference\n",
        BACKWARD,
        {"component": "mse_loss"},
    ),
    Fault(
        "The gradient of the cross-entropy is computed in the softmax.",
        "scratch.losses",
        "    dlogits = np.zeros_like(softmax)  # (batch, classes)\n"
        "    dlogits[batch, targets] = -share\n"
        "    dlogits -= softmax * (0 - share)",
        "    dlogits = softmax\n    dlogits *= share\n    dlogits[batch, targets] -= share  #",
        AGAIN,
        SCRATCH,
    ),
    Fault(
        "tanh squares its result in place on the way back.",
        "scratch.activations",
        "    return dy * (1 - y * y)\n",
        "    y *= y\n    return dy * (1 - y)\n",
        BACKWARD,
        {"component": "tanh"},
    ),
    # --- scratch: copies and files
    Fault(
        "A copied network's layers are no views of its buffers.",
        "scratch.network",
        "        self.__dict__ |= state\n        self._make_views()\n",
        "        self.__dict__ |= state\n",
        COPIED_NETWORK,
        {"way": "deepcopy"},
    ),
    Fault(
        "The gradients of a copied network are no views of its buffer.",
        "scratch.network",
        "        self.__dict__ |= state\n        self._make_views()\n",
        "        self.__dict__ |= state\n"
        "        kept = {name: dict(layer.gradients) for name, layer in self.layers.items()}\n"
        "        self._make_views()\n"
        "        for name, layer in self.layers.items():\n"
        "            layer.gradients = kept[name]\n",
        COPIED_RUN,
        {**SCRATCH, "kind": "Adam", "way": "deepcopy"},
    ),
    Fault(
        "A copied optimizer steps the parameters of the original.",
        "scratch.optimizers",
        STEP,
        "    def __deepcopy__(self, memo):\n"
        "        duplicate = object.__new__(type(self))\n"
        "        duplicate.__dict__ |= self.__dict__\n"
        "        return duplicate\n\n" + STEP,
        COPIED_RUN,
        {**SCRATCH, "kind": "gradient descent", "way": "deepcopy"},
    ),
    Fault(
        "A pickled optimizer counts its steps from the start.",
        "scratch.optimizers",
        STEP,
        "    def __getstate__(self):\n        return self.__dict__ | {'steps': 0}\n\n" + STEP,
        COPIED_RUN,
        {**SCRATCH, "kind": "AMSGrad", "way": "pickle"},
    ),
    Fault(
        "A copied dropout layer draws from the generator of the original.",
        "scratch.regularization",
        "    def forward(self, x: np.ndarray) -> np.ndarray:\n",
        "    def __deepcopy__(self, memo):\n"
        "        duplicate = object.__new__(type(self))\n"
        "        duplicate.__dict__ |= self.__dict__\n"
        "        return duplicate\n\n"
        "    def forward(self, x: np.ndarray) -> np.ndarray:\n",
        COPIED_LAYER,
        {"way": "deepcopy"},
    ),
    Fault(
        "A copied NumPy generator is the original.",
        "scratch.random",
        "        return copy.deepcopy(self)\n",
        "        return self\n",
        COPIED_GENERATOR,
        {"kind": "NumpyGenerator", "way": "copy"},
    ),
    Fault(
        "A copied generator forgets the number that it keeps for the next call.",
        "scratch.random",
        "        self.set_state(state)\n",
        "        self.set_state(state)\n        self._cached_normal = None\n",
        COPIED_GENERATOR,
        {"kind": "TorchGenerator", "way": "pickle"},
    ),
    Fault(
        "A copied generator shares its engine with the original.",
        "scratch.random",
        "    def __reduce__(self) -> tuple:\n",
        "    def __copy__(self):\n"
        "        duplicate = object.__new__(type(self))\n"
        "        duplicate.__dict__ |= self.__dict__\n"
        "        return duplicate\n\n"
        "    def __reduce__(self) -> tuple:\n",
        COPIED_GENERATOR,
        {"kind": "TorchGenerator", "way": "copy"},
    ),
    Fault(
        "A copied optimizer takes the rate that it has come to for its initial one.",
        "scratch.optimizers",
        STEP,
        "    def __getstate__(self):\n        return self.__dict__ | {'initial_lr': self.lr}\n\n" + STEP,
        COPIED_SCHEDULER,
        {"way": "pickle"},
    ),
    Fault(
        "A copied scheduler sets the rate of the original's optimizer.",
        "scratch.schedules",
        "    def step(self) -> None:\n",
        "    def __deepcopy__(self, memo):\n"
        "        duplicate = object.__new__(type(self))\n"
        "        duplicate.__dict__ |= self.__dict__\n"
        "        return duplicate\n\n"
        "    def step(self) -> None:\n",
        COPIED_SCHEDULER,
        {"way": "deepcopy"},
    ),
    Fault(
        "A copied CUDA generator is that of another card.",
        "scratch.random.philox",
        '"multiprocessors": self._most_blocks, ',
        '"multiprocessors": 132, ',
        COPIED_GENERATOR,
        {"kind": "CudaGenerator", "way": "deepcopy"},
    ),
    Fault(
        "Threads that draw from one generator do not wait for each other.",
        "scratch.random.shared",
        "        with self._lock:\n",
        "        if True:\n",
        "test_threads_share_a_generator_piece_by_piece",
        {"kind": "TorchGenerator"},
    ),
    Fault(
        "The file has float32.",
        "scratch.files",
        "**state)",
        "**{n: a.astype(np.float32) if a.dtype.kind == 'f' else a for n, a in state.items()})",
        SAVED,
        {**SCRATCH, "dtype": "float64"},
        TypeError,
    ),
    Fault(
        "The parameters have the digits of float32 when they are loaded.",
        "scratch.network",
        "            array[...] = state[name]\n",
        "            array[...] = state[name].astype(np.float32)\n",
        SAVED,
        {**SCRATCH, "dtype": "float64"},
    ),
    Fault(
        "Running statistics are not loaded.",
        "scratch.network",
        "            array[...] = state[name]\n",
        "            if 'running' not in name:\n                array[...] = state[name]\n",
        SAVED,
        {**SCRATCH, "dtype": "float32"},
    ),
    Fault(
        "The number of batches is not loaded.",
        "scratch.network",
        "            array[...] = state[name]\n",
        "            if array.ndim:\n                array[...] = state[name]\n",
        SAVED,
        {**SCRATCH, "dtype": "float64"},
    ),
    Fault(
        "A loaded network goes on with the running statistics of the other one.",
        "scratch.network",
        "            array[...] = state[name]\n",
        "            array[...] = state[name]\n"
        "            layer, key = name.split('.')\n"
        "            if key.startswith('running'):\n"
        "                self.layers[layer].buffers[key] = state[name]\n",
        LOADED,
        SCRATCH,
    ),
    Fault(
        "All who save to a path write to one unfinished file.",
        "scratch.files",
        '{path}.{uuid.uuid4().hex}.partial"',
        '{path}.partial"',
        TWO_WRITERS,
        error=FileNotFoundError,
    ),
    # --- PyTorch's side: state over time
    Fault(
        "PyTorch: Adam's steps are counted up to 1000.",
        "torch_ref.optimizers",
        "\nAdam = torch.optim.Adam\n",
        with_a_hook("Adam", "post", "[s['step'].clamp_(max=1000) for s in self.state.values()]"),
        MANY_STEPS,
        {"kind": "Adam"},
    ),
    Fault(
        "PyTorch: RMSProp's average starts again every 513 steps.",
        "torch_ref.optimizers",
        "\nRMSprop = torch.optim.RMSprop\n",
        with_a_hook(
            "RMSprop", "post", "[s['square_avg'].mul_(s['step'] % 513 > 0) for s in self.state.values()]"
        ),
        MANY_STEPS,
        {"kind": "RMSProp"},
    ),
    Fault(
        "PyTorch: the textbook's velocity starts again at step 1000.",
        "torch_ref.optimizers",
        '        rates = [group["lr"] for group in self.param_groups]\n',
        '        rates = [group["lr"] for group in self.param_groups]\n'
        "        self.steps = getattr(self, 'steps', 0) + 1\n"
        "        for state in self.state.values():\n"
        "            state['momentum_buffer'] *= self.steps != 1000\n",
        MANY_STEPS,
        {"kind": "the textbook's momentum"},
    ),
    Fault(
        "PyTorch: the schedule stops after the fourth epoch.",
        "torch_ref.schedules",
        "lambda epoch: 1 / (1 + decay_rate * epoch))",
        "lambda epoch: 1 / (1 + decay_rate * min(epoch, 3)))",
        EACH_EPOCH,
        TORCH,
    ),
    Fault(
        "PyTorch: the exponential schedule stops at epoch 200.",
        "torch_ref.schedules",
        "ExponentialLR(optimizer, gamma)",
        "LambdaLR(optimizer, lambda epoch: gamma ** min(epoch, 200))",
        SCHEDULES,
        {"name": "exponential"},
    ),
    Fault(
        "PyTorch: a second run starts the schedule again.",
        "torch_ref.training",
        "    network.train()\n",
        "    network.train()\n"
        "    if scheduler:\n"
        "        scheduler.last_epoch = -1\n"
        "        scheduler._initial_step()\n",
        TRAINING_TWICE,
        {**TORCH, "again": "the same scheduler"},
    ),
    Fault(
        "PyTorch: the schedule steps after every batch.",
        "torch_ref.training",
        "            history.cost.append(train_step(network, optimizer, batch_x, batch_targets))\n",
        "            history.cost.append(train_step(network, optimizer, batch_x, batch_targets))\n"
        "            if scheduler:\n"
        "                scheduler.step()\n",
        EACH_EPOCH,
        TORCH,
    ),
    Fault(
        "PyTorch: every epoch has a new optimizer.",
        "torch_ref.training",
        '        history.learning_rate.append(optimizer.param_groups[0]["lr"])\n',
        '        history.learning_rate.append(optimizer.param_groups[0]["lr"])\n'
        "        optimizer.state.clear()\n",
        MANY_EPOCHS,
        {"kind": "Adam"},
    ),
    Fault(
        "PyTorch: every run has a new optimizer.",
        "torch_ref.training",
        "    network.train()\n",
        "    network.train()\n    optimizer.state.clear()\n",
        TWO_RUNS,
        TORCH,
    ),
    Fault(
        "PyTorch: all runs share one history.",
        "torch_ref.training",
        "    history = History()\n",
        "    history = globals().setdefault('history', History())\n",
        TWO_RUNS,
        TORCH,
    ),
    Fault(
        "PyTorch: from the fifth epoch on the batches are those of the fourth.",
        "torch_ref.training",
        "        for batch_x, batch_targets in loader:\n",
        "        if len(history.learning_rate) < 5:\n"
        "            batches = list(loader)\n"
        "        for batch_x, batch_targets in batches:\n",
        MANY_EPOCHS,
        {"kind": "Adam"},
    ),
    Fault(
        "PyTorch: gradients add up from step to step.",
        "torch_ref.training",
        "    optimizer.zero_grad()\n",
        "",
        MANY_EPOCHS,
        {"kind": "gradient descent"},
    ),
    Fault(
        "PyTorch: every step goes back twice.",
        "torch_ref.training",
        "    cost.backward()\n",
        "    cost.backward(retain_graph=True)\n    cost.backward()\n",
        MANY_EPOCHS,
        {"kind": "gradient descent"},
    ),
    Fault(
        "PyTorch: the factor 1 − β is the first group's.",
        "torch_ref.optimizers",
        '            group["lr"] *= 1 - group["momentum"]\n',
        '            group["lr"] *= 1 - self.param_groups[0]["momentum"]\n',
        GROUPS,
    ),
    Fault(
        "PyTorch: only the first group has the factor 1 − β.",
        "torch_ref.optimizers",
        '        for group in self.param_groups:\n            group["lr"] *= 1',
        '        for group in self.param_groups[:1]:\n            group["lr"] *= 1',
        GROUPS,
    ),
    Fault(
        "PyTorch: a step that fails leaves the factor 1 − β in the rate.",
        "torch_ref.optimizers",
        "        finally:\n            for group, rate",
        "        except ZeroDivisionError:\n            raise\n        else:\n            for group, rate",
        GROUPS,
    ),
    # --- PyTorch's side: modes
    Fault(
        "PyTorch: training takes the mode that it finds.",
        "torch_ref.training",
        "    network.train()\n",
        "",
        BACK_TO_TRAINING,
        TORCH,
    ),
    Fault(
        "PyTorch: the accuracy is that of training.",
        "torch_ref.training",
        "(network.predict(x) ==",
        "(network(x).argmax(dim=1) ==",
        MANY_EPOCHS,
        {"kind": "Nesterov"},
    ),
    Fault(
        "PyTorch: a prediction leaves the network in evaluation.",
        "torch_ref.network",
        "                module.training = training\n",
        "                pass\n",
        IN_BETWEEN,
        TORCH,
    ),
    Fault(
        "PyTorch: a prediction puts every layer back to training, also those that were not.",
        "torch_ref.network",
        "                module.training = training\n",
        "                module.training = True\n",
        IN_BETWEEN,
        TORCH,
    ),
    Fault(
        "PyTorch: a prediction that fails leaves the network in evaluation.",
        "torch_ref.network",
        "        finally:\n            for module, training",
        "        except ZeroDivisionError:\n            pass\n"
        "        else:\n            for module, training",
        IN_BETWEEN,
        TORCH,
    ),
    Fault(
        "PyTorch: a prediction draws a number.",
        "torch_ref.network",
        "        modes = {",
        "        torch.rand(1)\n        modes = {",
        IN_BETWEEN,
        TORCH,
    ),
    Fault(
        "PyTorch: a prediction keeps a graph.",
        "torch_ref.network",
        "    @torch.no_grad()\n",
        "",
        "test_a_prediction_of_pytorch_keeps_no_graph",
    ),
    Fault(
        "PyTorch: the cost has a penalty in training only.",
        "torch_ref.network",
        "        if self.l2:\n",
        "        if self.l2 and self.training:\n",
        PENALTY,
    ),
    Fault(
        "PyTorch: in evaluation the penalty has no gradient.",
        "torch_ref.network",
        "            weights = [linear.weight for",
        "            weights = [linear.weight if self.training else linear.weight.detach() for",
        PENALTY,
    ),
    Fault(
        "PyTorch: evaluation reaches three hidden layers.",
        "torch_ref.network",
        "    def linear_layers(self)",
        "    def train(self, mode=True):\n"
        "        self.training = mode\n"
        "        for layer in list(self)[:12]:\n"
        "            layer.train(mode)\n"
        "        return self\n\n"
        "    def linear_layers(self)",
        EVERY_LAYER,
        TORCH,
    ),
    Fault(
        "PyTorch: a copy is back in training.",
        "torch_ref.network",
        "    def linear_layers(self)",
        "    def __setstate__(self, state):\n"
        "        super().__setstate__(state)\n"
        "        self.train()\n\n"
        "    def linear_layers(self)",
        COPIED_MODES,
        {**TORCH, "way": "deepcopy", "frozen": 2},
    ),
    # --- PyTorch's side: what belongs to whom
    Fault(
        "PyTorch: weight decay is written into the gradient.",
        "torch_ref.optimizers",
        "\nSGD = torch.optim.SGD\n",
        with_a_hook(
            "SGD",
            "pre",
            "[p.grad.add_(p.detach(), alpha=g['weight_decay'])"
            " for g in self.param_groups for p in g['params']] and None",
        ),
        GRADIENTS,
        {**TORCH, "kind": "gradient descent"},
    ),
    Fault(
        "PyTorch: the gradient becomes the momentum buffer itself.",
        "torch_ref.optimizers",
        "\nSGD = torch.optim.SGD\n",
        with_a_hook(
            "SGD",
            "post",
            "[p.grad.copy_(s['momentum_buffer']) is s.update(momentum_buffer=p.grad)"
            " for p, s in self.state.items() if s['momentum_buffer'] is not None]",
        ),
        GRADIENTS,
        {**TORCH, "kind": "momentum"},
    ),
    Fault(
        "PyTorch: all velocities of one shape are one.",
        "torch_ref.optimizers",
        '            self.state[param]["momentum_buffer"] = torch.zeros_like(param)\n',
        '            self.state[param]["momentum_buffer"] = globals().setdefault(\n'
        "                str(param.shape), torch.zeros_like(param)\n"
        "            )\n",
        TWO_NETWORKS,
        {**TORCH, "kind": "the textbook's momentum"},
    ),
    Fault(
        "PyTorch: networks share their batch normalisation.",
        "torch_ref.network",
        "nn.BatchNorm1d(fan_out, dtype=dtype, device=device)",
        "globals().setdefault(f'of {fan_out}', nn.BatchNorm1d(fan_out, dtype=dtype, device=device))",
        TWO_NETWORKS,
        {**TORCH, "kind": "gradient descent"},
    ),
    Fault(
        "PyTorch: mini-batches are shuffled in the data themselves.",
        "torch_ref.training",
        "    return DataLoader(TensorDataset(x, targets), batch_size, shuffle=True, generator=generator)\n",
        "    order = torch.randperm(len(x), generator=generator)\n"
        "    x.copy_(x[order]), targets.copy_(targets[order])\n"
        "    return DataLoader(TensorDataset(x, targets), batch_size)\n",
        DATA,
        TORCH,
    ),
    Fault(
        "PyTorch: who asks for all examples at once gets the data themselves.",
        "torch_ref.training",
        "    return DataLoader(",
        "    if batch_size >= len(x):\n        return [(x, targets)]\n    return DataLoader(",
        DATA,
        TORCH,
    ),
    Fault(
        "PyTorch: standardisation changes its input.",
        "torch_ref.standardization",
        "    return (x - mean) / std\n",
        "    return x.sub_(mean).div_(std)\n",
        STANDARDIZER,
        TORCH,
    ),
    Fault(
        "PyTorch: fitting centres the training set itself.",
        "torch_ref.standardization",
        "    centred = x - mean\n",
        "    centred = x.sub_(mean)\n",
        INPUTS,
        {"component": "standardization"},
    ),
    Fault(
        "PyTorch: a standardizer is fitted once and for all.",
        "torch_ref.standardization",
        "        self.mean, self.std = standardize_fit(x)\n",
        "        if not hasattr(self, 'mean'):\n            self.mean, self.std = standardize_fit(x)\n",
        STANDARDIZER,
        TORCH,
    ),
    Fault(
        "PyTorch: all standardizers share their statistics.",
        "torch_ref.standardization",
        "        self.mean, self.std = standardize_fit(x)\n",
        "        Standardizer.mean, Standardizer.std = standardize_fit(x)\n",
        STANDARDIZER,
        TORCH,
    ),
    # --- PyTorch's side: whose random numbers
    *(
        Fault(
            f"PyTorch: {name} draws from the default generator.",
            "torch_ref.initializers",
            old,
            new,
            DRAWN,
            {"name": name},
        )
        for name, old, new in (
            ("large_random", "0.0, 10.0, generator=generator)", "0.0, 10.0)"),
            ("kaiming_normal", "kaiming_normal_(tensor, a, mode, nonlinearity, generator)", ""),
            ("kaiming_uniform", "kaiming_uniform_(tensor, a, mode, nonlinearity, generator)", ""),
            ("xavier_normal", "xavier_normal_(tensor, gain, generator)", "xavier_normal_(tensor, gain)"),
            ("xavier_uniform", "xavier_uniform_(tensor, gain, generator)", "xavier_uniform_(tensor, gain)"),
        )
        for new in [new or old.replace(", generator)", ")")]
    ),
    Fault(
        "PyTorch: a network draws from the default generator.",
        "torch_ref.network",
        "INITIALIZERS[init](linear.weight, generator=generator)",
        "INITIALIZERS[init](linear.weight)",
        DRAWN,
        {"name": "kaiming_normal"},
    ),
    Fault(
        "PyTorch: uniform numbers come from the default generator.",
        "torch_ref.random",
        "tensor.uniform_(low, high, generator=generator)",
        "tensor.uniform_(low, high)",
        FROM_A_GENERATOR,
        {"name": "uniform"},
    ),
    Fault(
        "PyTorch: every mask is the first one of its generator.",
        "torch_ref.random",
        "        generator.set_state(default.get_state())\n",
        "",
        FROM_A_GENERATOR,
        {"name": "dropout_mask"},
    ),
    Fault(
        "PyTorch: after an epoch's order the default generator is another.",
        "torch_ref.random",
        "        default.set_state(outer)\n",
        "        pass\n",
        FROM_A_GENERATOR,
        {"name": "epoch_order"},
    ),
    Fault(
        "PyTorch: the default generator is put back unless something fails.",
        "torch_ref.random",
        "    finally:\n",
        "    except ZeroDivisionError:\n        pass\n    else:\n",
        "test_a_generator_is_the_default_one_only_while_it_is_meant_to_be",
    ),
    Fault(
        "PyTorch: mini-batches come in the order of the default generator.",
        "torch_ref.training",
        "shuffle=True, generator=generator)",
        "shuffle=True)",
        "test_mini_batches_of_pytorch_come_in_the_order_of_the_generator_that_they_are_given",
    ),
    Fault(
        "PyTorch: a run does not hand on its generator.",
        "torch_ref.training",
        "minibatches(x, targets, batch_size, generator)\n",
        "minibatches(x, targets, batch_size)\n",
        "test_a_run_of_pytorch_has_the_order_of_the_generator_that_it_is_given",
    ),
    # --- PyTorch's side: files
    Fault(
        "PyTorch: running statistics are not loaded.",
        "torch_ref.network",
        '        self.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))\n',
        "        state, parameters = torch.load(path, weights_only=True), dict(self.named_parameters())\n"
        "        self.load_state_dict({n: state[n] for n in parameters}, strict=False)\n",
        SAVED,
        {**TORCH, "dtype": "float32"},
    ),
    Fault(
        "PyTorch: the file has parameters only.",
        "torch_ref.network",
        "torch.save(self.state_dict(), path)",
        "torch.save(dict(self.named_parameters()), path)",
        SAVED,
        {**TORCH, "dtype": "float32"},
        RuntimeError,
    ),
    Fault(
        "PyTorch: the parameters have the digits of float32 in the file.",
        "torch_ref.network",
        "torch.save(self.state_dict(), path)",
        "torch.save({n: t.float().to(t.dtype) for n, t in self.state_dict().items()}, path)",
        SAVED,
        {**TORCH, "dtype": "float64"},
    ),
    Fault(
        "PyTorch: a loaded network goes on with the arrays of the other one.",
        "torch_ref.network",
        "    def linear_layers(self)",
        "    def load_state_dict(self, state):\n"
        "        return super().load_state_dict(state, assign=True)\n\n"
        "    def linear_layers(self)",
        LOADED,
        TORCH,
    ),
)


@cache
def compiled(text: str, path: str) -> CodeType:
    return compile(text, path, "exec")


class Loader(SourceFileLoader):
    """A module of ours, with its fault if it has one."""

    fault: Fault | None = None

    def get_code(self, fullname: str) -> CodeType:
        text = self.get_data(self.path).decode("utf-8")
        if self.fault and self.fault.module == fullname:
            assert text.count(self.fault.old) == 1, f"{fullname} has changed: adapt the fault to it"
            text = text.replace(self.fault.old, self.fault.new)
        return compiled(text, self.path)


class Finder:
    """Where our modules come from."""

    def __init__(self, fault: Fault | None) -> None:
        self.fault = fault

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in OURS:
            return None
        spec = PathFinder.find_spec(name, path)
        assert spec is not None
        spec.loader = Loader(name, str(spec.origin))
        spec.loader.fault = self.fault
        return spec


@contextmanager
def loaded_anew(fault: Fault | None = None) -> Iterator[ModuleType]:
    """The laws, and all that they are about, as modules of their own."""
    known = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in OURS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "meta_path", [Finder(fault), *sys.meta_path])
        for name in known:
            del sys.modules[name]
        try:
            if fault:
                importlib.import_module(fault.module)
            yield importlib.import_module("test_objects")
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
                del sys.modules[name]
            sys.modules.update(known)


def obey(laws: ModuleType, name: str, given: Mapping[str, Any], fixtures: Mapping[str, Any]) -> None:
    """Ask one law, of what is given."""
    law = getattr(laws, name)
    arguments = {key: value for key, value in fixtures.items() if key in inspect.signature(law).parameters}
    arguments |= given
    if "component" in given:
        arguments["component"] = laws.all_components()[given["component"]]
    law(**arguments)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.says)
def test_a_law_notices(fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fixtures = {"tmp_path": tmp_path, "monkeypatch": monkeypatch}
    with loaded_anew(fault) as laws, pytest.raises((fault.error,) if fault.error else NOTICED):
        obey(laws, fault.law, fault.given, fixtures)


@pytest.mark.filterwarnings("ignore")
def test_loaded_anew_without_a_fault_the_laws_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each once; `test_objects` itself asks them all, of everything."""
    with loaded_anew() as laws:
        for law, given in {fault.law: fault.given for fault in FAULTS}.items():
            (tmp_path / law).mkdir()
            obey(laws, law, given, {"tmp_path": tmp_path / law, "monkeypatch": monkeypatch})


def test_every_fault_is_another_one():
    assert len({fault.says for fault in FAULTS}) == len({fault[1:4] for fault in FAULTS}) == len(FAULTS)
    assert all(fault.says.endswith(".") and fault.old != fault.new for fault in FAULTS)
