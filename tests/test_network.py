"""What only a test can ask of the network: its errors, its buffers, and weights that travel."""

import numpy as np
import pytest
import torch

import scratch.network
import torch_ref.network
from compare.weights import convert, to_torch
from scratch.random import NumpyGenerator

EVERYTHING = {"widths": (5, 4, 3), "batch_norm": True, "dropout": 0.5, "l2": 0.1}


def ours(**options) -> scratch.network.Network:
    return scratch.network.Network(generator=NumpyGenerator(0), **{**EVERYTHING, **options})


def theirs(**options) -> torch_ref.network.Network:
    return torch_ref.network.Network(**{**EVERYTHING, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (5,)}, r"widths: expected at least two integers >= 1, got \(5,\)"),
        ({"widths": (5, 0)}, r"widths: expected at least two integers >= 1, got \(5, 0\)"),
        ({"activation": "swish"}, "activation: expected one of relu, .* got swish"),
        ({"dropout": 1.5}, "dropout: expected a probability from 0 to 1, got 1.5"),
        ({"init": "ones"}, "init: expected one of .* got ones"),
        ({"loss": "hinge"}, "loss: expected one of .* got hinge"),
        ({"l2": -1.0}, "l2: expected a finite number >= 0, got -1.0"),
        ({"l2": float("nan")}, "l2: expected a finite number >= 0, got nan"),
    ],
)
def test_a_bad_description_is_named_alike_on_both_sides(options, message):
    for build in (ours, theirs):
        with pytest.raises(ValueError, match=message):
            build(**options)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((3, 4), np.float32), ValueError, r"x: expected shape \(any, 5\), got \(3, 4\)"),
        (np.ones(5, np.float32), ValueError, r"x: expected shape \(any, 5\), got \(5,\)"),
        (np.ones((2, 3, 5), np.float32), ValueError, r"x: expected shape \(any, 5\), got \(2, 3, 5\)"),
        (np.ones((3, 5)), TypeError, "weight: expected float64 like x, got float32"),
        (np.ones((3, 5), np.int64), TypeError, "x: expected a floating-point array, got int64"),
    ],
)
def test_a_bad_input_is_named_alike_on_both_sides(x, error, message):
    with pytest.raises(error, match=message):
        ours().forward(x)
    with pytest.raises(error, match=message):
        theirs()(torch.from_numpy(x))


def test_a_file_saved_on_a_gpu_can_be_read_without_one(tmp_path, monkeypatch):
    saved, loaded = theirs(), theirs(init="zeros")
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    saved.save(tmp_path / "weights.pt")
    monkeypatch.undo()
    loaded.load(tmp_path / "weights.pt")
    assert torch.equal(loaded.linear1.weight, saved.linear1.weight)


def test_both_sides_have_the_same_names_and_shapes():
    assert {name: tuple(a.shape) for name, a in ours().state_dict().items()} == {
        name: tuple(t.shape) for name, t in theirs().state_dict().items()
    }


def test_parameters_and_gradients_are_views_of_one_buffer():
    network = ours()
    (flat,), (flat_gradients,) = network.parameters(), network.gradients()
    for layer in network.layers.values():
        assert all(np.shares_memory(array, flat) for array in layer.parameters.values())
        assert all(np.shares_memory(array, flat_gradients) for array in layer.gradients.values())
    flat[:] = 7
    assert all((a == 7).all() for name, a in network.state_dict().items() if "running" not in name and a.ndim)


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
    for network in (ours(), theirs()):
        with pytest.raises(OSError, match="taken"):
            network.save(tmp_path / "taken")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_convert_refuses_other_kinds(tmp_path):
    with pytest.raises(ValueError, match=r"expected .npz to .pt or .pt to .npz, got .npz to .npz"):
        convert(tmp_path / "a.npz", tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("linear1.weight"), ValueError, r"state: missing \['linear1.weight'\]"),
        (lambda s: s.update(extra=np.ones(1)), ValueError, r"unknown \['extra'\]"),
        (
            lambda s: s.update({"linear2.bias": np.ones(4, np.float32)}),
            ValueError,
            r"linear2.bias: expected shape \(3,\), got \(4,\)",
        ),
        (
            lambda s: s.update({"linear2.bias": np.ones(3)}),
            TypeError,
            "linear2.bias: expected float32, got float64",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, message, tmp_path):
    network, torch_network = ours(), theirs()
    state = {name: array + 1 for name, array in network.state_dict().items()}
    change(state)
    before = {name: array.copy() for name, array in network.state_dict().items()}
    with pytest.raises(error, match=message):
        network.load_state_dict(state)
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    torch.save(to_torch({name: np.asarray(a) for name, a in state.items()}), tmp_path / "state.pt")
    with pytest.raises(error, match=message):
        torch_network.load(tmp_path / "state.pt")


def test_prediction_does_not_depend_on_the_batch_and_leaves_the_mode_alone():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 5)).astype(np.float32)
    network = ours()
    network.forward(x)
    alone = [int(network.predict(row[np.newaxis])[0]) for row in x]
    assert network.predict(x).tolist() == alone
    assert network.training
