"""What only a test can ask of the network: its errors, its buffers, and weights that travel."""

import contextlib
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from laws import allowed, changed, each_side, in_any_dtype, run, seeded, times
from torch import nn

import scratch.network
import torch_ref.network
import torch_ref.training
from compare.cases.network import random_case
from compare.component import Case
from compare.training.weights import convert
from scratch.activations import ACTIVATIONS
from scratch.optimizers import SGD
from scratch.random import NumpyGenerator, TorchGenerator
from scratch.training import train_step

EVERYTHING = {"widths": (5, 4, 3), "batch_norm": True, "dropout": 0.5, "l2": 0.1}


def ours(**options) -> scratch.network.Network:
    return scratch.network.Network(generator=NumpyGenerator(0), **{**EVERYTHING, **options})


def theirs(**options) -> torch_ref.network.Network:
    return torch_ref.network.Network(**{**EVERYTHING, **options})


def test_a_file_saved_on_a_gpu_can_be_read_without_one(tmp_path, monkeypatch):
    saved, loaded = theirs(), theirs(init="zeros")
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    saved.save(tmp_path / "weights.pt")
    monkeypatch.undo()
    loaded.load(tmp_path / "weights.pt")
    assert torch.equal(loaded.linear1.weight, saved.linear1.weight)


def test_weights_travel_to_pytorch_and_back(tmp_path):
    first, second, torch_network = ours(), ours(init="zeros"), theirs()
    first.save(tmp_path / "weights.npz")
    convert(tmp_path / "weights.npz", tmp_path / "weights.pt")
    torch_network.load(tmp_path / "weights.pt")
    torch_network.save(tmp_path / "again.pt")
    convert(tmp_path / "again.pt", tmp_path / "again.npz")
    second.load(tmp_path / "again.npz")
    for name, array in first.state_dict().items():
        np.testing.assert_array_equal(array, second.state_dict()[name])
        np.testing.assert_array_equal(array, torch_network.state_dict()[name])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "again.npz",
        "again.pt",
        "weights.npz",
        "weights.pt",
    ]


def test_nothing_is_left_behind_when_saving_fails(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        ours().save(tmp_path / "taken")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_convert_refuses_other_kinds(tmp_path):
    with pytest.raises(ValueError, match=r"expected .npz to .pt or .pt to .npz, got .npz to .npz"):
        convert(tmp_path / "a.npz", tmp_path / "b.npz")


@pytest.mark.parametrize(
    "change",
    [{"extra": np.ones(1)}, {"linear2.bias": np.ones(4, np.float32)}, {"linear2.bias": np.ones(3)}],
    ids=["unknown", "shape", "dtype"],
)
def test_a_state_that_does_not_fit_changes_nothing(change):
    network = ours()
    before = {name: array.copy() for name, array in network.state_dict().items()}
    with pytest.raises((ValueError, TypeError), match=r"extra|linear2\.bias"):
        network.load_state_dict({name: array + 1 for name, array in before.items()} | change)
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(("own", "other"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_a_state_of_another_dtype_is_refused_wider_or_narrower(own, other):
    message = rf"^linear1\.weight: expected {np.dtype(own)}, got {np.dtype(other)}$"
    with pytest.raises(TypeError, match=message):
        ours(dtype=own).load_state_dict(ours(dtype=other).state_dict())


def test_a_dtype_is_a_matter_of_equality_and_not_of_identity():
    network = ours()
    volts = {"unit": "volt"}
    own = network.state_dict()
    network.load_state_dict({n: np.zeros(a.shape, np.dtype(a.dtype, metadata=volts)) for n, a in own.items()})
    assert not any(array.any() for array in own.values())


def test_an_initialisation_is_a_matter_of_equality_and_not_of_identity():
    expected = ours(init="default").flat_parameters
    np.testing.assert_array_equal(ours(init="".join(["de", "fault"])).flat_parameters, expected)


def test_the_gradient_of_the_input_comes_only_when_asked_for():
    network = ours()
    network.cost(network.forward(np.ones((2, 5), np.float32)), np.zeros(2, int))
    assert network.backward() is None
    assert network.backward(input_gradient=True).shape == (2, 5)


def without(case: Case, *options: str) -> Case:
    """The same network in a plainer form, with the parameters that are left."""
    return replace(case, options={key: value for key, value in case.options.items() if key not in options})


def plain_case(choose, dtype):
    """Of these every example counts for itself, and nothing is drawn."""
    case = random_case(choose, dtype)
    choose.assume(not case.options.get("batch_norm"))
    return without(case, "dropout", "l2")


def part(case: Case, rows: slice) -> Case:
    return replace(case, arrays={**case.arrays, **{key: case[key][rows] for key in ("x", "targets")}})


def assert_close(case: Case, key: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Within what the component may use, on either side of the equation."""
    assert (np.abs(found - expected) <= 2 * allowed("network", case, key)).all(), key


@each_side
@seeded
@given(case=in_any_dtype(plain_case))
def test_the_gradient_of_two_batches_is_the_mean_of_theirs(side, case):
    """Weighted by their sizes; so are the costs, while logits stand below each other"""
    m, k = len(case["x"]), len(case["x"]) // 2
    assume(k > 0)
    parts = [part(case, slice(k)), part(case, slice(k, None))]
    whole, first, second = (run(side, "network", c) for c in (case, *parts))
    for key, found in whole.items():
        if key == "logits":
            assert_close(case, key, found, np.concatenate([first[key], second[key]]))
        elif key == "cost" or (key.startswith("grad.") and key != "grad.x"):
            errors = [allowed("network", c, key) for c in (case, *parts)]
            expected = (k * first[key] + (m - k) * second[key]) / m
            assert (np.abs(found - expected) <= sum(errors)).all(), key


@each_side
@seeded
@given(case=in_any_dtype(random_case).map(lambda case: without(case, "dropout")))
def test_the_order_of_the_examples_does_not_matter(side, case):
    backwards = part(case, slice(None, None, -1))
    there, back = run(side, "network", case), run(side, "network", backwards)
    for key, found in back.items():
        if key in ("logits", "grad.x"):
            assert_close(backwards, key, found, there[key][::-1])
        elif key == "cost" or key.startswith("grad."):
            assert_close(backwards, key, found, there[key])


@each_side
@seeded
@given(case=in_any_dtype(plain_case), power=st.integers(-3, 3))
def test_without_biases_a_network_of_relus_is_homogeneous(side, case, power):
    """c times the input, c times the logits, for c > 0

    Where c is a power of two, to the last bit, were it not for BLAS: the order in which it adds may depend on
    where in memory an array lies.
    """
    assume(case.options.get("activation", "relu") in ("relu", "leaky_relu"))
    case = changed(case, **{key: 0 * case[key] for key in case.arrays if key.endswith("bias")})
    results = run(side, "network", case)
    scaled = run(side, "network", changed(case, x=times(2.0**power, case["x"])))
    assert_close(case, "logits", scaled["logits"] / 2.0**power, results["logits"])


@each_side
@seeded
@given(case=in_any_dtype(plain_case))
def test_the_gradients_of_the_last_biases_add_up_to_0_for_classes(side, case):
    """A constant added to all logits changes no probability."""
    assume(case.options.get("loss", "cross_entropy") == "cross_entropy")
    key = f"grad.linear{len(case.options['widths']) - 1}.bias"
    assert abs(run(side, "network", case)[key].sum()) <= allowed("network", case, key).sum()


@each_side
@seeded
@given(case=in_any_dtype(random_case))
def test_a_network_without_a_penalty_costs_less_by_the_penalty(side, case):
    """P = λ/(2m)·Σ‖W‖², and the gradients of weights by λ/m·W; all others stay"""
    l2, m = case.options.get("l2", 0.0), len(case["x"])
    free, penalised = run(side, "network", without(case, "l2")), run(side, "network", case)
    weights = {
        key.removeprefix("state."): array
        for key, array in case.arrays.items()
        if key.startswith("state.linear") and key.endswith("weight")
    }
    for key in penalised:
        if key == "cost":
            extra = l2 / (2 * m) * sum((w.astype(np.float64) ** 2).sum() for w in weights.values())
        elif key.startswith("grad."):
            extra = l2 / m * weights.get(key.removeprefix("grad."), 0)
        else:
            continue
        assert_close(case, key, penalised[key], free[key] + extra)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_both_sides_have_the_same_layers(dropout, batch_norm):
    options = {"widths": (1,) * 301, "dropout": dropout, "batch_norm": batch_norm}
    assert list(ours(**options).layers) == [name for name, _ in theirs(**options).named_children()]
    options |= {"widths": (5, 4, 4, 3), "dropout": [0.0, 0.5]}
    assert list(ours(**options).layers) == [name for name, _ in theirs(**options).named_children()]


def test_the_slope_of_pytorch_is_a_matter_of_the_name_and_not_of_its_identity():
    network = theirs(activation="".join(["leaky", "_relu"]), negative_slope=0.3)
    assert network.leaky_relu1.negative_slope == 0.3


@pytest.mark.parametrize(
    ("targets", "options", "counted"),
    [
        (torch.tensor([0, -100, 2, 1]), {}, 3),
        (torch.tensor([0, -100, 2, 1]), {"weight": torch.tensor([1.0, 2.0, 4.0])}, 7.0),
        (torch.full((4, 3), 1 / 3), {}, 4),
    ],
)
def test_pytorch_counts_the_examples_of_a_batch_or_what_their_classes_weigh(targets, options, counted):
    found = theirs(loss_options=options).counted(targets)
    assert found == counted
    assert type(found) is type(counted)


def test_the_answer_of_pytorch_to_one_example_is_a_row_of_integers():
    network = theirs(widths=(5, 4, 1), loss="binary_cross_entropy_with_logits")
    answer = network.predict(torch.ones(1, 5))
    assert answer.shape == (1,)
    assert answer.dtype == torch.int64


def test_all_of_a_network_of_pytorch_is_on_the_device_that_was_asked_for():
    assert all(tensor.is_meta for tensor in theirs(device="meta").state_dict().values())


def test_an_initialisation_of_pytorch_is_a_matter_of_equality_and_not_of_identity():
    torch.manual_seed(0)
    network = theirs(init="".join(["de", "fault"]))
    torch.manual_seed(0)
    assert torch.equal(network.linear1.weight, torch.nn.Linear(5, 4, bias=False).weight)


@pytest.mark.parametrize("options", [{}, {"init": "default"}, {"batch_norm": False, "init": "xavier_normal"}])
def test_a_generator_draws_all_initial_weights_of_pytorch_and_nothing_else_does(options):
    before = torch.get_rng_state()
    network = torch_ref.network.Network(
        generator=torch.Generator().manual_seed(3), **{**EVERYTHING, **options}
    )
    twin = scratch.network.Network(generator=TorchGenerator(3), **{**EVERYTHING, **options})
    assert torch.equal(torch.get_rng_state(), before)
    for name, array in twin.state_dict().items():
        np.testing.assert_array_equal(network.state_dict()[name], array, err_msg=name)


@pytest.mark.parametrize("init", ["kaiming_normal", "kaiming_uniform"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_he_has_the_gain_of_the_activation(activation, init):
    """That of relu where PyTorch names none."""
    weights = [
        np.asarray(network.state_dict()["linear1.weight"])
        for network in (
            ours(widths=(300, 300, 2), activation=activation, init=init),
            theirs(widths=(300, 300, 2), activation=activation, init=init),
        )
    ]
    named = activation not in ("gelu", "silu", "softplus")
    gain = nn.init.calculate_gain(activation if named else "relu")
    for weight in weights:
        assert weight.std() == pytest.approx(gain / np.sqrt(300), rel=0.02)


def test_widths_may_be_integers_of_numpy():
    expected = ours(widths=(5, 4, 3)).flat_parameters
    for widths in ([np.int64(5), np.int32(4), 3], np.array([5, 4, 3])):
        np.testing.assert_array_equal(ours(widths=widths).flat_parameters, expected)


@pytest.mark.parametrize("method", ["forward", "predict", "__call__"])
def test_an_input_of_another_dtype_is_what_is_to_blame(method):
    with pytest.raises(TypeError, match="x: expected float32 like parameters, got float64"):
        getattr(ours(), method)(np.ones((2, 5)))
    with pytest.raises(TypeError, match="x: expected float64 like parameters, got float32"):
        getattr(ours(dtype=np.float64), method)(np.ones((2, 5), np.float32))
    with pytest.raises(TypeError, match="x: expected a floating-point array, got list"):
        getattr(ours(), method)([[1.0] * 5] * 2)


def test_a_gradient_for_each_parameter_that_an_optimizer_has_in_its_order():
    network = ours()
    network.cost(network.forward(np.ones((2, 5), np.float32)), np.zeros(2, int))
    network.backward()
    names, params = zip(*reversed(list(network.named_parameters())), strict=True)
    expected = network.named(network.flat_gradients)
    for name, gradient in zip(names, network.gradients(params), strict=True):
        np.testing.assert_array_equal(gradient, expected[name])
    assert network.gradients()[0] is network.gradients(network.parameters())[0] is network.flat_gradients
    with pytest.raises(ValueError, match=r"params\[1\]: expected one of network\.named_parameters\(\)"):
        network.gradients([params[0], params[1].copy()])


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy_with_logits"])
def test_probabilities_are_those_of_evaluation_on_both_sides(loss, outputs):
    options = {**EVERYTHING, "widths": (5, 4, outputs), "loss": loss}
    one, other = ours(**options), theirs(**options)
    other.load_state_dict({name: torch.from_numpy(a) for name, a in one.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((6, 5), np.float32)
    probabilities = one.predict_proba(x)
    np.testing.assert_allclose(probabilities, other.predict_proba(torch.from_numpy(x)), rtol=1e-5)
    assert probabilities.shape == (6, outputs)
    if loss == "cross_entropy":
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_array_equal(one.predict(x), probabilities.argmax(axis=1))
    else:
        np.testing.assert_array_equal(one.predict(x).reshape(6, -1), probabilities > 0.5)
    assert one.training
    assert other.training


def test_there_are_no_probabilities_of_a_squared_error():
    with pytest.raises(
        ValueError, match="predict_proba: expected a network that tells classes, got one with"
    ):
        ours(loss="mse_loss").predict_proba(np.ones((2, 5), np.float32))


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy_with_logits", "mse_loss"])
def test_a_loss_is_a_matter_of_equality_and_not_of_identity(loss):
    """A word that is put together is another object than the one in the code."""
    one, other = ours(loss=loss), ours(loss="".join(list(loss)))
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    np.testing.assert_array_equal(other.predict(x), one.predict(x))
    if loss == "mse_loss":
        with pytest.raises(ValueError, match=r"^predict_proba: expected a network that tells classes"):
            other.predict_proba(x)
    else:
        np.testing.assert_array_equal(other.predict_proba(x), one.predict_proba(x))


def test_a_layer_of_dropout_stands_where_there_is_something_to_drop():
    def layers(*widths, **options):
        return [*ours(widths=widths, batch_norm=False, **options).layers]

    assert layers(2, 3, 4, 1, dropout=[0.0, 0.5]) == [
        "linear1", "relu1", "linear2", "relu2", "dropout2", "linear3",
    ]  # fmt: skip
    assert "dropout1" in layers(2, 3, 4, 1, dropout=[0.5, 0.0])
    assert layers(2, 3, 1, dropout=0.0) == layers(2, 3, 1, dropout=[0]) == ["linear1", "relu1", "linear2"]
    assert layers(*[1] * 301, dropout=0.0)[-2:] == ["relu299", "linear300"], "the last has no activation"


@pytest.mark.parametrize(
    ("dropout", "message"),
    [
        ([0.5], "dropout: expected 2 numbers, one for each hidden layer, got 1"),
        ([0.5] * 3, "dropout: expected 2 numbers, one for each hidden layer, got 3"),
        ([0.5, 1.5], "dropout: expected a probability from 0 to 1, got 1.5"),
    ],
)
def test_there_is_a_probability_for_each_hidden_layer(dropout, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        ours(widths=(2, 3, 4, 1), dropout=dropout)
    many = [0.5] * 300
    assert len(ours(widths=[1] * 302, batch_norm=False, dropout=many).layers) == 3 * 300 + 1


@pytest.mark.parametrize("widths", [(2, 0), (2, 0, 3), (0, 2), (2,), (), (2, 1.5), (2, -1), (True, 2.0)])
def test_a_width_is_an_integer_of_at_least_one(widths):
    with pytest.raises(ValueError, match=r"^widths: expected at least two integers >= 1, got \("):
        ours(widths=widths)


@pytest.mark.parametrize("widths", ["12", 5, None, {2: 3}, {2, 3}])
def test_widths_are_a_sequence(widths):
    with pytest.raises(TypeError, match=r"^widths: expected at least two integers >= 1, got "):
        ours(widths=widths)


def test_what_a_mean_divides_by_is_the_examples_or_the_weights_of_their_classes():
    classes, floats = np.array([0, 1, -100, 3, 1, -200, 100]), np.ones((7, 4), np.float32)
    assert ours().counted(floats) == 7
    assert ours().counted(classes[:5]) == 4
    assert ours(loss_options={"ignore_index": 1}).counted(classes[[0, 1, 3, 4]]) == 2
    weight = np.array([1, 10, 100, 1000], np.float32)
    assert ours(loss_options={"weight": weight}).counted(classes[:5]) == 1021
    assert ours().counted(classes) == 6
    assert ours(loss="mse_loss").counted(floats[:3]) == 3


def test_backward_wants_the_cost_of_the_last_forward_pass_and_says_which_it_got():
    x, targets, network = np.ones((2, 5), np.float32), np.array([0, 2]), ours()
    with pytest.raises(RuntimeError, match=r"^backward: expected a cost before it, got none$"):
        network.backward()
    other = "^backward: expected the cost of the last forward pass, got that of other logits or weights "
    network.cost(np.ones((2, 3), np.float32), targets)
    with pytest.raises(RuntimeError, match=other):
        network.backward()
    logits = network(x)
    network.cost(logits, targets)
    assert network.backward() is None
    assert network.backward(input_gradient=True).shape == x.shape
    network.load_state_dict(network.state_dict())
    with pytest.raises(RuntimeError, match=other):
        network.backward()
    network.cost(network(x), targets)
    with pytest.raises(ValueError, match=r"^x: expected shape \(any, 5\), got \(2, 4\)$"):
        network(x[:, :4])
    assert network.backward() is None, "what was refused has changed nothing"


@pytest.mark.parametrize("method", ["forward", "predict", "predict_proba"])
@pytest.mark.parametrize("shape", [(2, 4), (2, 6), (5, 4), (5,), (2, 5, 5), ()])
def test_an_input_is_one_row_of_features_for_each_example(method, shape):
    with pytest.raises(ValueError, match=rf"^x: expected shape \(any, 5\), got {re.escape(str(shape))}$"):
        getattr(ours(), method)(np.ones(shape, np.float32))


def test_a_training_step_copies_nothing(monkeypatch):
    network, x, seen = ours(), np.ones((2, 5), np.float32), []
    backward = network._loss_backward
    monkeypatch.setattr(
        network,
        "_loss_backward",
        lambda *cost: (seen.append(network.layers["linear1"].cache[0] is x), backward(*cost))[1],
    )
    network.cost_and_gradients(x, np.array([0, 2]))
    assert seen == [True]


def test_the_gradient_of_some_parameters_is_not_that_of_all():
    network = ours()
    network.cost_and_gradients(np.ones((2, 5), np.float32), np.array([0, 2]))
    named, whole = dict(network.named_parameters()), network.flat_parameters
    (gradient,) = network.gradients([named["linear2.weight"]])
    np.testing.assert_array_equal(gradient, network.named(network.flat_gradients)["linear2.weight"])
    for params, i in (([whole, named["linear2.weight"]], 0), ([named["linear2.weight"], whole], 1)):
        with pytest.raises(
            ValueError, match=rf"^params\[{i}\]: expected one of network\.named_parameters\(\), "
        ):
            network.gradients(params)


def test_a_file_of_another_network_is_named(tmp_path):
    path = tmp_path / "weights.npz"
    for options, error, message in (
        ({"widths": (5, 3, 3)}, ValueError, "linear1.weight: expected shape (4, 5), got (3, 5)"),
        ({"dtype": np.float64}, TypeError, "linear1.weight: expected float32, got float64"),
    ):
        ours(**options).save(path)
        with pytest.raises(error, match=f"^{re.escape(f'{path}: {message}')}$"):
            ours().load(path)


def test_a_forward_pass_that_breaks_off_is_none_to_go_back_through():
    network, x = ours(), np.ones((4, 5), np.float32)
    network.cost(network(x), np.zeros(4, int))
    with pytest.raises(ValueError, match=r"^x: expected batch >= 2, got 1$"):
        network(x[:1])  # one example has no variance
    with pytest.raises(RuntimeError, match=r"^backward: expected the cost of the last forward pass, got "):
        network.backward()


@pytest.mark.parametrize("targets", [np.array([0, 2]), np.array([0, 3]), np.array([0.5, 1])])
def test_a_step_at_one_go_leaves_nothing_to_go_back_through_whatever_comes_of_it(targets):
    network, x = ours(), np.ones((2, 5), np.float32)
    with contextlib.suppress(TypeError, ValueError):
        network.cost_and_gradients(x, targets)
    assert all(layer.cache is NotImplemented for layer in network.layers.values())
    with pytest.raises(RuntimeError, match=r"^backward: expected a cost before it, got none$"):
        network.backward()


@pytest.mark.parametrize(("asked", "layers"), [(True, 1), ({}, 1), (np.True_, 1), (False, 0), (np.False_, 0)])
def test_batch_norm_is_asked_for_with_a_truth_or_with_options(asked, layers):
    for network in (ours(batch_norm=asked).layers, dict(theirs(batch_norm=asked).named_children())):
        assert sum(name.startswith("batch_norm") for name in network) == layers


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("cross_entropy", {"weight": [0.5, 2.0, 1.0], "label_smoothing": 0.1, "ignore_index": 1}),
        ("cross_entropy", {"label_smoothing": 0.3}),
        ("binary_cross_entropy_with_logits", {"pos_weight": [3.0, 0.5, 1.0]}),
        ("binary_cross_entropy_with_logits", {"weight": [3.0, 0.5, 1.0]}),
    ],
)
def test_a_network_trains_with_the_options_of_its_loss_as_in_pytorch(loss, options):
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((12, 5)), rng.integers(0, 3, 12)
    if loss != "cross_entropy":
        targets = rng.random((12, 3))
    arrays = {n: np.array(value) if isinstance(value, list) else value for n, value in options.items()}
    tensors = {
        n: torch.tensor(value) if isinstance(value, np.ndarray) else value for n, value in arrays.items()
    }
    plain = {"widths": (5, 4, 3), "activation": "tanh", "loss": loss}
    one = scratch.network.Network(generator=NumpyGenerator(0), loss_options=arrays, dtype=np.float64, **plain)
    other = torch_ref.network.Network(loss_options=tensors, dtype=torch.float64, **plain)
    other.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in one.state_dict().items()})
    optimizers = SGD(one.parameters(), lr=0.5), torch.optim.SGD(other.parameters(), lr=0.5)
    for _ in range(5):
        costs = (
            train_step(one, optimizers[0], x, targets),
            torch_ref.training.train_step(other, optimizers[1], torch.tensor(x), torch.tensor(targets)),
        )
        assert costs[0] == pytest.approx(costs[1], rel=1e-12)
    without = ours(**plain, batch_norm=False, dropout=0, l2=0, dtype=np.float64)
    without.load_state_dict(one.state_dict())
    assert without.cost(without.forward(x), targets) != one.cost(one.forward(x), targets)
    np.testing.assert_array_equal(without.predict(x), one.predict(x))


def test_options_that_the_loss_has_not_are_named():
    with pytest.raises(ValueError, match=r"loss_options: expected some of .*, got reduction, smoothing"):
        ours(loss_options={"smoothing": 0.1, "reduction": "sum"})
