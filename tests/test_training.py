"""What only a test can ask of mini-batches and the loop: their errors, and that training learns."""

import re
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from laws import allowed, each_side, in_any_dtype, random_cases, run, seeded

import scratch.training
import torch_ref.network
import torch_ref.training
from compare.cases.training import EPOCHS, random_training
from compare.training.data import breast_cancer, digits
from scratch.early_stopping import EarlyStopping
from scratch.network import LOSSES, Network
from scratch.optimizers import SGD, Adam
from scratch.random import NumpyGenerator
from scratch.schedules import ReduceLROnPlateau, Scheduler, exponential


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_data_is_standardised_on_the_training_set(dtype):
    for data, shape in ((digits(dtype), (1437, 64)), (breast_cancer(dtype), (455, 30))):
        assert data.x_train.shape == shape
        assert data.x_train.dtype == data.x_test.dtype == dtype
        np.testing.assert_allclose(data.x_train.mean(axis=0), 0, atol=1e-5)
        spread = data.x_train.std(axis=0)
        np.testing.assert_allclose(spread[spread > 0.5], 1, rtol=1e-5)
        assert set(np.unique(spread[spread <= 0.5])) <= {0.0}  # constant pixels become exactly 0
        assert np.abs(data.x_test.mean(axis=0)).max() > 0.01  # fitted on train alone


def test_training_learns_digits():
    data = digits(np.float32)
    generator = NumpyGenerator(0)
    network = Network((64, 32, 10), generator, batch_norm=True)
    optimizer = Adam(network.parameters(), lr=0.01)
    history = scratch.training.train(
        network, optimizer, data.x_train, data.targets_train, epochs=3, batch_size=64, generator=generator
    )
    assert len(history.cost) == 3 * 23
    assert history.accuracy[-1] > 0.97
    assert scratch.training.accuracy(network, data.x_test, data.targets_test) > 0.93


def test_a_target_between_two_classes_counts_as_neither_on_both_sides():
    targets = np.array([[0.7], [0.0], [-0.3], [1.0]], np.float32)
    x = np.array([[-1.0], [-1.0], [-1.0], [1.0]], np.float32)
    options = {"widths": (1, 1), "loss": "binary_cross_entropy_with_logits"}
    network, twin = Network(generator=NumpyGenerator(0), **options), torch_ref.network.Network(**options)
    network.flat_parameters[:] = [1, 0]
    twin.load_state_dict({name: torch.from_numpy(a) for name, a in network.state_dict().items()})
    assert scratch.training.accuracy(network, x, targets) == 0.5
    assert torch_ref.training.accuracy(twin, torch.from_numpy(x), torch.from_numpy(targets)) == 0.5
    close = np.array([[-1e-12], [0.0], [0.0], [1 - 1e-12]])  # in x's float32 the last one would be 1
    assert scratch.training.accuracy(network, x, close) == 0.5
    assert torch_ref.training.accuracy(twin, torch.from_numpy(x), torch.from_numpy(close)) == 0.5


@each_side
@seeded
@given(case=random_cases("minibatches"))
def test_the_batches_of_every_epoch_are_a_partition_of_the_examples(side, case):
    """Full ones, then the rest; every row goes with its target"""
    n, size = len(case["x"]), case.options["batch_size"]
    results = run(side, "minibatches", case)
    batches = [results[f"batch {i}.targets"] for i in range(len(results) // 2)]
    per_epoch = -(-n // size)
    assert len(batches) == EPOCHS * per_epoch
    for epoch in range(EPOCHS):
        of_epoch = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        np.testing.assert_array_equal(np.sort(np.concatenate(of_epoch)), np.arange(n))
        assert [len(batch) for batch in of_epoch[:-1]] == [size] * (per_epoch - 1)
    for i, batch in enumerate(batches):
        np.testing.assert_array_equal(results[f"batch {i}.x"], case["x"][batch])


def parameters_of(results):
    return {name: array for name, array in results.items() if "linear" in name or ".weight" in name}


@each_side
@seeded
@given(case=random_cases("train"))
def test_a_rate_of_zero_learns_nothing_and_an_epoch_less_stops_where_the_longer_run_was(side, case):
    """Without epochs a run returns what it began with; the history has an entry for every step and epoch"""
    epochs = case.options["epochs"]

    def after(**options):
        return run(side, "train", replace(case, options={**case.options, **options}))

    start, still, shorter, whole = after(epochs=0), after(lr=0.0), after(epochs=epochs - 1), after()
    for name, array in parameters_of(start).items():
        np.testing.assert_array_equal(still[name], array)
    steps = -(-len(case["x"]) // case.options["batch_size"])
    assert len(whole["cost"]) == epochs * steps
    assert len(whole["learning_rate"]) == epochs
    assert len(whole["accuracy"]) == (0 if case.options.get("loss") == "mse_loss" else epochs)
    for name in ("cost", "accuracy", "learning_rate"):
        np.testing.assert_array_equal(whole[name][: len(shorter[name])], shorter[name])


def descents(choose, dtype):
    """All examples at once, a smooth network, no chance, and a rate far below 2/curvature"""
    case = random_training(choose, dtype)
    plain = {key: case.options[key] for key in ("widths", "loss") if key in case.options}
    recipe = {"activation": "tanh", "batch_size": len(case["x"]), "epochs": 5, "decay_rate": 0.0}
    arrays = {**case.arrays, "x": np.clip(case["x"], -3, 3)}
    return replace(case, arrays=arrays, options={**plain, **recipe, "lr": 1e-3, "momentum": 0.0})


@each_side
@seeded
@given(case=in_any_dtype(descents))
def test_short_steps_against_the_whole_gradient_never_raise_the_cost(side, case):
    cost = run(side, "train", case)["cost"]
    assert (np.diff(cost) <= 2 * allowed("train", case, "cost")[1:]).all()
    assert cost[-1] < cost[0]


LABELS = "binary_cross_entropy_with_logits"


@pytest.mark.parametrize(
    ("targets", "options", "share"),
    [
        ([0, -100, 2, 1], {}, 2 / 3),
        ([0, 1, 0, 2], {"loss_options": {"ignore_index": 1}}, 1 / 3),
        ([[0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.2, 0.3, 0.5], [0.6, 0.4, 0.0]], {}, 3 / 4),
        ([[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]], {"loss": LABELS}, 9 / 12),
    ],
)
def test_the_accuracy_is_the_share_of_right_answers_on_both_sides(targets, options, share):
    """They are 0, 1, 2 and 0: the network's one layer is the identity"""
    x = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    y = np.array(targets, x.dtype if np.ndim(targets) == 2 else np.int64)
    network, twin = (
        Network((3, 3), NumpyGenerator(0), **options),
        torch_ref.network.Network((3, 3), **options),
    )
    network.flat_parameters[:] = [*np.eye(3).ravel(), 0, 0, 0]
    twin.load_state_dict({name: torch.from_numpy(a) for name, a in network.state_dict().items()})
    for found in (
        scratch.training.accuracy(network, x, y),
        torch_ref.training.accuracy(twin, torch.from_numpy(x), torch.from_numpy(y)),
    ):
        assert found == pytest.approx(share, rel=1e-15)
        assert type(found) is float


def test_pytorch_takes_no_other_number_of_targets_in_micro_batches():
    network = torch_ref.network.Network((2, 3))
    with pytest.raises(ValueError, match="zip"):
        torch_ref.training.accumulate(network, torch.ones(4, 2), torch.zeros(6, dtype=torch.int64), 2)


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_for_any_number_of_outputs_with_the_metric_that_belongs_to_it(loss, outputs):
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((20, 4), np.float32), rng.random((20, outputs), np.float32).round()
    if loss == "cross_entropy":
        targets = rng.integers(0, outputs, 20)
    ours = Network((4, 6, outputs), NumpyGenerator(0), loss=loss)
    theirs = torch_ref.network.Network((4, 6, outputs), loss=loss)
    theirs.load_state_dict({name: torch.from_numpy(a) for name, a in ours.state_dict().items()})
    recipe = {"epochs": 2, "batch_size": 20}
    histories = (
        scratch.training.train(
            ours, Adam(ours.parameters()), x, targets, generator=NumpyGenerator(0), **recipe
        ),
        torch_ref.training.train(
            theirs, torch.optim.Adam(theirs.parameters()), *map(torch.from_numpy, (x, targets)), **recipe
        ),
    )
    logits = ours.eval()(x)
    right = logits.argmax(axis=1) == targets if loss == "cross_entropy" else (logits > 0) == targets
    for history in histories:
        np.testing.assert_allclose(history.cost, histories[0].cost, rtol=1e-5)
        assert history.accuracy[-1:] == ([] if loss == "mse_loss" else [np.mean(right)])


def test_there_is_no_accuracy_of_a_squared_error():
    network = Network((2, 1), NumpyGenerator(0), loss="mse_loss")
    with pytest.raises(ValueError, match="accuracy: expected a network that tells classes, got one with mse"):
        scratch.training.accuracy(network, np.ones((3, 2), np.float32), np.ones((3, 1), np.float32))


def test_a_history_of_pytorch_keeps_the_rate_of_the_first_group():
    network = torch_ref.network.Network((2, 2))
    optimizer = torch.optim.SGD([{"params": network.linear1.weight}], lr=0.1)
    optimizer.add_param_group({"params": network.linear1.bias, "lr": 0.2})
    x, targets = torch.ones(4, 2), torch.zeros(4, dtype=torch.int64)
    history = torch_ref.training.train(network, optimizer, x, targets, epochs=2, batch_size=2)
    assert history.learning_rate == [0.1, 0.1]


def both(**options):
    """The same network on both sides, and a batch."""
    rng = np.random.default_rng(0)
    ours = Network((5, 4, 3), NumpyGenerator(0), activation="tanh", dtype=np.float64, **options)
    theirs = torch_ref.network.Network((5, 4, 3), activation="tanh", dtype=torch.float64, **options)
    theirs.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in ours.state_dict().items()})
    return ours, theirs, rng.standard_normal((11, 5)), rng.integers(0, 3, 11)


def stepped(network, x, targets, **how):
    """The cost of a step of gradient descent at a rate of 1, and by how much it moves each parameter."""
    if isinstance(network, Network):
        before = network.flat_parameters.copy()
        cost = scratch.training.train_step(network, SGD(network.parameters(), 1.0), x, targets, **how)
        return cost, network.named(before - network.flat_parameters)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = torch.optim.SGD(network.parameters(), 1.0)
    cost = torch_ref.training.train_step(
        network, optimizer, torch.from_numpy(x), torch.from_numpy(targets), **how
    )
    return cost, {name: (before[name] - p.detach()).numpy() for name, p in network.named_parameters()}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 10, 11, 12])
@pytest.mark.parametrize("l2", [0.0, 3.0])
def test_micro_batches_make_the_gradient_of_the_whole_batch(size, l2):
    """However small the last one is, with the penalty once; so is the cost"""
    for side in (0, 1):
        *whole, x, targets = both(l2=l2)
        *parts, _, _ = both(l2=l2)
        cost, gradient = stepped(whole[side], x, targets)
        found, accumulated = stepped(parts[side], x, targets, micro_batch_size=size)
        assert found == pytest.approx(cost, rel=1e-13)
        for name, array in gradient.items():
            np.testing.assert_allclose(accumulated[name], array, rtol=0, atol=1e-14, err_msg=name)


def test_batch_norm_sees_the_micro_batches_so_their_gradient_is_another_one():
    """On both sides the same one; and the running statistics move once for each"""
    *networks, x, targets = both(batch_norm=True)
    ours, theirs = (stepped(network, x, targets, micro_batch_size=4)[1] for network in networks)
    whole = stepped(both(batch_norm=True)[0], x, targets)[1]
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], rtol=0, atol=1e-14, err_msg=name)
    assert np.abs(ours["linear1.weight"] - whole["linear1.weight"]).max() > 1e-3
    for network in networks:
        assert network.state_dict()["batch_norm1.num_batches_tracked"] == 3


def test_a_micro_batch_of_one_before_a_batch_norm_is_refused_before_anything_is_trained():
    network, _, x, targets = both(batch_norm=True)
    before = network.flat_parameters.copy()
    optimizer = SGD(network.parameters(), 1.0)
    recipe = {"epochs": 1, "generator": NumpyGenerator(0)}
    for batch_size, micro_batch_size in ((11, 5), (11, 1), (9, 4), (8, 2)):
        with pytest.raises(ValueError, match="expected no batch of one example, of which batch norm"):
            scratch.training.train(
                network, optimizer, x, targets, batch_size=batch_size, micro_batch_size=micro_batch_size,
                **recipe,
            )  # fmt: skip
    np.testing.assert_array_equal(network.flat_parameters, before)
    for batch_size, micro_batch_size, drop_last in ((100, 3, False), (11, 4, False), (10, 4, True)):
        scratch.training.train(
            network, optimizer, x, targets, batch_size=batch_size, micro_batch_size=micro_batch_size,
            drop_last=drop_last, **recipe,
        )  # fmt: skip
    with pytest.raises(ValueError, match="x: expected batch >= 2, got 1"):
        scratch.training.train_step(network, optimizer, x, targets, micro_batch_size=5)
    with pytest.raises(ValueError, match="x: expected at least one example, got none"):
        scratch.training.train_step(network, optimizer, x[:0], targets[:0], micro_batch_size=5)


@pytest.mark.parametrize("micro_batch_size", [None, 3])
def test_a_step_is_no_longer_than_max_norm_and_keeps_its_direction(micro_batch_size):
    for side in (0, 1):
        *networks, x, targets = both()
        *clipped, _, _ = both()
        _, free = stepped(networks[side], x, targets)
        _, short = stepped(clipped[side], x, targets, max_norm=0.1, micro_batch_size=micro_batch_size)
        free, short = (np.concatenate([a.ravel() for a in step.values()]) for step in (free, short))
        assert np.linalg.norm(free) > 0.2
        assert np.linalg.norm(short) == pytest.approx(0.1, rel=1e-4)
        np.testing.assert_allclose(short / np.linalg.norm(short), free / np.linalg.norm(free), atol=1e-12)


def test_the_norm_is_that_of_all_groups_of_an_optimizer():
    *networks, x, targets = both()
    grouped, _, _, _ = both()
    named = dict(grouped.named_parameters())
    groups = [{"params": [p for n, p in named.items() if n.endswith(end)]} for end in ("weight", "bias")]
    for network, optimizer in ((networks[0], None), (grouped, SGD(groups, 1.0))):
        optimizer = optimizer or SGD(network.parameters(), 1.0)
        scratch.training.train_step(network, optimizer, x, targets, max_norm=0.1)
    np.testing.assert_allclose(grouped.flat_parameters, networks[0].flat_parameters, rtol=1e-13)


@pytest.mark.parametrize("options", [{"weight": np.array([1.0, 5.0, 0.2])}, {"ignore_index": 1}])
def test_micro_batches_count_for_what_their_classes_weigh(options):
    for side in (0, 1):
        found = []
        for size in (None, 4):
            *networks, x, targets = both(l2=3.0)
            tensors = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
            networks[side].loss_options = tensors if side else options
            found.append(stepped(networks[side], x, targets, micro_batch_size=size))
        (cost, gradient), (accumulated_cost, accumulated) = found
        assert accumulated_cost == pytest.approx(cost, rel=1e-13)
        for name, array in gradient.items():
            np.testing.assert_allclose(accumulated[name], array, rtol=0, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("side", [0, 1])
def test_the_accuracy_of_probabilities_and_of_ignored_targets(side):
    *networks, x, targets = both()
    network = networks[side]
    told = np.asarray(networks[0].predict(x))
    ours, theirs = scratch.training.accuracy, torch_ref.training.accuracy

    def accuracy(targets):
        return (
            theirs(network, torch.from_numpy(x), torch.from_numpy(targets))
            if side
            else ours(network, x, targets)
        )

    soft = np.full((11, 3), 0.1)
    soft[np.arange(11), targets] = 0.8
    assert accuracy(soft) == accuracy(targets) == np.mean(told == targets)
    some = np.where(np.arange(11) < 4, -100, targets)
    assert accuracy(some) == pytest.approx(np.mean(told[4:] == targets[4:]))


def test_no_target_that_counts_has_no_accuracy():
    ours, _, x, targets = both()
    with pytest.raises(ValueError, match="targets: expected at least one that counts, got none"):
        scratch.training.accuracy(ours, x, np.full_like(targets, -100))


@pytest.mark.parametrize("options", [{}, {"ignore_index": 1}, {"ignore_index": -7}, {"ignore_index": 100}])
def test_the_accuracy_leaves_out_the_one_class_that_is_ignored(options):
    network = Network((2, 3), NumpyGenerator(0), loss_options=options)
    network.flat_parameters[:] = 0  # says 0 of everything
    ignored, x = options.get("ignore_index", -100), np.ones((2, 2), np.float32)
    assert scratch.training.accuracy(network, x, np.array([0, ignored])) == 1
    for other in {1, 2, 99, 100, -7, -99, -100, -101} - {ignored}:
        assert scratch.training.accuracy(network, x, np.array([0, other])) == 0.5, other


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_that_is_put_together_is_trained_like_any(loss):
    """Another object than the word in the code."""
    histories = []
    for word in (loss, "".join(list(loss))):
        network = Network((4, 2), NumpyGenerator(0), loss=word, dtype=np.float64)
        x = np.random.default_rng(0).standard_normal((6, 4))
        targets = np.array([0, 1] * 3) if loss == "cross_entropy" else np.eye(2)[[0, 1] * 3]
        stopping = EarlyStopping(patience=1, mode="".join(list("min")))
        histories.append(
            scratch.training.train(
                network, SGD(network.parameters(), 0.1), x, targets, epochs=3, batch_size=4,
                generator=NumpyGenerator(0), validation=(x, targets), early_stopping=stopping,
            )
        )  # fmt: skip
        if loss == "mse_loss":
            with pytest.raises(
                ValueError, match=r"^accuracy: expected a network that tells classes, got one "
            ):
                scratch.training.accuracy(network, x, targets)
            with pytest.raises(
                ValueError, match=r"^early_stopping: expected mode min for mse_loss, which has"
            ):
                scratch.training.train(
                    network, SGD(network.parameters(), 0.1), x, targets, epochs=1, batch_size=4,
                    generator=NumpyGenerator(0), validation=(x, targets),
                    early_stopping=EarlyStopping(patience=1, mode="".join(list("max"))),
                )  # fmt: skip
    assert histories[0] == histories[1]
    assert len(histories[0].cost) == 3 * 2, "the smaller last batch is no batch less"
    assert len(histories[0].accuracy) == (0 if loss == "mse_loss" else 3)


def test_without_early_stopping_nothing_has_stopped_and_no_epoch_is_the_best():
    network, _, x, targets = both(batch_norm=True)
    network.eval()
    optimizer = SGD(network.parameters(), 0.1)
    before = network.state_dict()["batch_norm1.running_mean"].copy()
    history = scratch.training.train(
        network, optimizer, x, targets, epochs=1, batch_size=11, generator=NumpyGenerator(0), drop_last=True
    )
    assert (history.stopped, history.best_epoch) == (False, -1)
    assert (len(history.cost), len(history.learning_rate), len(history.accuracy)) == (1, 1, 1)
    assert network.training, "whatever it was before"
    assert (network.state_dict()["batch_norm1.running_mean"] != before).any()


BATCHES = [  # examples, batch_size, drop_last, micro_batch_size, whether some batch or micro-batch has one
    (5, 4, False, None, True),
    (5, 4, True, None, False),
    (9, 4, False, None, True),
    (6, 4, False, None, False),
    (8, 4, False, None, False),
    (4, 4, False, None, False),
    (1, 4, False, None, True),
    (8, 4, False, 3, True),
    (8, 4, False, 2, False),
    (8, 4, False, 4, False),
    (8, 4, False, 1, True),
    (14, 7, False, 3, True),
    (10, 4, False, 3, True),
    (7, 4, True, 2, False),
]


@pytest.mark.parametrize(("examples", "batch_size", "drop_last", "micro", "refused"), BATCHES)
def test_no_batch_of_one_meets_a_batch_norm(examples, batch_size, drop_last, micro, refused):
    networks = [Network((2, 3, 2), NumpyGenerator(0), batch_norm=normalised) for normalised in (False, True)]
    check = partial(scratch.training.check_batches, micro_batch_size=micro)
    check(networks[0], examples, batch_size, drop_last)
    expected = (
        "^(micro_)?batch_size: expected no batch of one example, of which batch normalisation takes no "
    )
    with pytest.raises(ValueError, match=expected) if refused else nullcontext():
        check(networks[1], examples, batch_size, drop_last)


X, Y = np.ones((3, 2), np.float32), np.zeros(3, int)


@pytest.mark.parametrize(
    ("validation", "error", "given"),
    [
        (X, TypeError, "expected (x, targets), got ndarray"),
        ("xy", TypeError, "expected (x, targets), got str"),
        (3, TypeError, "expected (x, targets), got int"),
        ((X,), TypeError, "expected (x, targets), got 1 of them"),
        ([X, Y, Y], TypeError, "expected (x, targets), got 3 of them"),
        ((X[:0], Y[:0]), ValueError, "expected examples and as many targets, got 0 and 0"),
        ((X, Y[:2]), ValueError, "expected examples and as many targets, got 3 and 2"),
        ((X[:2], Y), ValueError, "expected examples and as many targets, got 2 and 3"),
    ],
)
def test_a_validation_set_is_examples_and_their_targets(validation, error, given):
    network = Network((2, 2), NumpyGenerator(0))
    with pytest.raises(error, match=f"^{re.escape('validation: ' + given)}$"):
        scratch.training.check_validation(network, validation, None, None)
    scratch.training.check_validation(network, (np.ones((300, 2)), np.zeros(300, int)), None, None)


def test_who_looks_at_a_validation_set_needs_one():
    network = Network((2, 2), NumpyGenerator(0))
    optimizer = SGD(network.parameters(), 0.1)
    check, plateau = scratch.training.check_validation, ReduceLROnPlateau(optimizer)
    with pytest.raises(
        ValueError, match=r"^validation: expected examples and targets for early_stopping, got"
    ):
        check(network, None, EarlyStopping(patience=1), None)
    with pytest.raises(
        ValueError, match=r"^validation: expected examples and targets for scheduler, got None"
    ):
        check(network, None, None, plateau)
    with pytest.raises(TypeError, match=r"^early_stopping: expected an EarlyStopping, got int$"):
        check(network, (X, Y), 3, None)
    check(network, (X, Y), EarlyStopping(patience=1), plateau)
    check(network, None, None, Scheduler(optimizer, partial(exponential, gamma=0.5)))
    squared = Network((2, 2), NumpyGenerator(0), loss="mse_loss")
    accuracy = ReduceLROnPlateau(optimizer, "max")
    with pytest.raises(
        ValueError, match=r"^scheduler: expected mode min for mse_loss, which has no accuracy"
    ):
        check(squared, (X, X), None, accuracy)
    check(squared, (X, X), EarlyStopping(patience=1), plateau)


def test_a_batch_may_be_all_of_the_examples_where_the_last_one_is_dropped():
    scratch.training.check_examples(4, 4, 4, True)
    with pytest.raises(
        ValueError, match=r"^batch_size: expected at most the 4 examples where drop_last is set, "
    ):
        scratch.training.check_examples(4, 4, 5, True)


def test_one_example_is_accumulated_and_none_is_refused():
    network, _, x, targets = both()
    cost = network.cost_and_gradients(x[:1], targets[:1])
    assert scratch.training.accumulate(network, x[:1], targets[:1], 4) == pytest.approx(cost, rel=1e-14)
    with pytest.raises(ValueError, match=r"^x: expected at least one example, got none$"):
        scratch.training.accumulate(network, x[:0], targets[:0], 4)
