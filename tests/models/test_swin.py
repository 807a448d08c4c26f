"""What Swin transformers have beyond other families: windows against a slow twin, names, hard bounds, odd files."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from loce_jax.checks import InputError
from loce_jax.models.catalog import load_network
from loce_jax.models.nn.windows import MASKED, Windows
from tests.models.test_native import TOLERANCE
from tests.support.native_cases import TINY_SWIN
from tests.support.parity import Case, differences, hooked, make_model, save
from tests.support.selection import further

GRIDS = [(7, 10, 4, 2), (2, 3, 4, 0), *further((8, 8, 4, 2), (5, 3, 5, 0), (9, 6, 3, 1), (4, 9, 4, 1))]
SWIN = Case("Swin", "SwinModel", "SwinConfig", TINY_SWIN, ((64, 64),))
SWINV2 = Case("Swin V2", "Swinv2Model", "Swinv2Config", TINY_SWIN | {"image_size": 64}, ((64, 64),))


@pytest.mark.parametrize(("rows", "columns", "side", "shift"), GRIDS)
def test_windows_hold_what_a_slow_walk_finds(rows, columns, side, shift):
    windows = Windows((rows, columns), side, shift)
    grid = np.random.default_rng(0).normal(size=(2, rows, columns, 3)).astype("float32")
    cut = np.array(windows.cut(jnp.asarray(grid)))
    n, m = windows.counts
    for i, j, y, x in np.ndindex(n, m, side, side):
        row, column = (i * side + y + shift) % (n * side), (j * side + x + shift) % (m * side)
        expected = grid[:, row, column] if row < rows and column < columns else 0
        np.testing.assert_array_equal(cut[:, i, j, y * side + x], np.broadcast_to(expected, (2, 3)))
    np.testing.assert_array_equal(windows.join(jnp.asarray(cut)), grid)


@pytest.mark.parametrize(("rows", "columns", "side", "shift"), GRIDS)
def test_cells_from_opposite_edges_do_not_see_each_other(rows, columns, side, shift):
    windows = Windows((rows, columns), side, shift)
    n, m = windows.counts
    mask = windows.add_shift_mask(jnp.zeros((1, n, m, 1, side**2, side**2)))[0, :, :, 0]
    for i, j, a, b in np.ndindex(mask.shape):
        (ya, xa), (yb, xb) = divmod(a, side), divmod(b, side)
        wraps = [
            (count == index + 1 and shift > 0) and (first >= side - shift) != (second >= side - shift)
            for count, index, first, second in ((n, i, ya, yb), (m, j, xa, xb))
        ]
        assert mask[i, j, a, b] == MASKED * sum(wraps)


@pytest.mark.parametrize(("case", "prefix"), [(SWIN, "swin."), (SWINV2, "swinv2.")], ids=["swin", "swinv2"])
def test_a_stage_is_what_transformers_hands_on(torch, case, prefix, tmp_path):
    model = make_model(case)
    network = load_network(str(save(model, tmp_path)), size=(64, 64))
    names = ["encoder.layers.0", f"{prefix}encoder.layers.1", "layers.2"]
    layers = network.resolve(names)
    assert [layer.name for layer in layers] == [
        "encoder.layers.0.downsample",
        "encoder.layers.1.downsample",
        "encoder.layers.2.blocks.1",
    ]
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8))
    found = network.activations(network.params, images, tuple(layer.name for layer in layers))
    paths = [f"encoder.layers.{i}" for i in range(3)]
    expected, _ = hooked(model, paths, network.preprocess.normalize(images), case)
    for path, layer in zip(paths, layers, strict=True):
        truth = expected[path].numpy().reshape(found[layer.name].shape)
        assert np.abs(found[layer.name] - truth).max() < TOLERANCE * np.abs(truth).max()


def test_torchvisions_names_mean_the_same_tensors(torch, tmp_path):
    network = load_network(str(save(make_model(SWIN), tmp_path)))
    expected = {
        "features.0": "embeddings",
        "stem": "embeddings",
        "features.1.0": "encoder.layers.0.blocks.0",
        "features.1": "encoder.layers.0.blocks.1",
        "stage1": "encoder.layers.0.blocks.1",
        "features.2": "encoder.layers.0.downsample",
        "features.5": "encoder.layers.2.blocks.1",
        "stage3": "encoder.layers.2.blocks.1",
        "norm": "layernorm",
    }
    assert {name: network.resolve([name])[0].name for name in expected} == expected


def test_heads_mask_tokens_and_old_buffers_are_left_out(torch, tmp_path):
    case = Case("Swin", "SwinForMaskedImageModeling", "SwinConfig", TINY_SWIN | {"image_size": 64})
    model = make_model(case)
    folder = save(model, tmp_path)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    assert {"decoder.0.weight", "swin.embeddings.mask_token"} < set(tensors)
    buffer = "swin.encoder.layers.0.blocks.0.attention.self.relative_position_index"  # in the hub's files
    safetensors.numpy.save_file(tensors | {buffer: np.zeros((16, 16), int)}, folder / "model.safetensors")
    assert max(differences(load_network(str(folder), size=(64, 64)), model, case).values()) < TOLERANCE


def test_the_sharpness_of_cosines_is_bounded(torch, tmp_path):
    model = make_model(SWINV2)
    with torch.no_grad():
        for block in model.encoder.layers[1].blocks:
            block.attention.self.logit_scale.fill_(6.0)  # exp(6) is above the bound of 100
    network = load_network(str(save(model, tmp_path)), size=(64, 64))
    assert max(differences(network, model, SWINV2).values()) < TOLERANCE


@pytest.mark.parametrize("case", [SWIN, SWINV2], ids=["swin", "swinv2"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_heads": [1, 2]}, "`num_heads` and `depths` are not of the same length"),
        ({"num_heads": [1, 2, 5]}, "not a multiple of its `num_heads`"),
        ({"mlp_ratio": 1e-300}, "`mlp_ratio` leaves the first stage no hidden unit"),
        ({"hidden_act": "relu"}, "only 'gelu'"),
        ({"use_absolute_embeddings": True}, "only False"),
        ({"depths": [2, 0, 2]}, r"`depths` is \(2, 0, 2\)"),
    ],
)
def test_wrong_configurations_are_input_errors(torch, tmp_path, case, changes, words):
    check_refused(save(make_model(case), tmp_path), changes, words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pretrained_window_sizes": [1, 0, 0]}, "0 or a number above 1"),
        ({"pretrained_window_sizes": [8]}, "for each of `depths`"),
        ({"pretrained_window_sizes": [-8, 0, 0]}, r"`pretrained_window_sizes` is \(-8, 0, 0\)"),
        ({"image_size": 7}, "leaves no cell"),
    ],
)
def test_wrong_configurations_of_version_2_are_input_errors(torch, tmp_path, changes, words):
    check_refused(save(make_model(SWINV2), tmp_path), changes, words)


def check_refused(folder, changes, words):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=words):
        load_network(str(folder))
