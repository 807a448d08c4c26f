"""What the plain vision transformers share: positions on any grid, layer names of several libraries, input sizes."""

import json

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.models.catalog import load_network
from loce_jax.models.nn.positions import bicubic_matrix, rotations
from tests.support.native_cases import CASES
from tests.support.parity import make_model, save


@pytest.fixture(scope="module")
def folder_of(torch, tmp_path_factory):
    """``folder_of(case name)``: a folder with random weights."""
    return lambda name: save(make_model(CASES[name]), tmp_path_factory.mktemp("vit") / "tiny")


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("n_in", "n_out"), [(37, 16), (37, 37), (37, 50), (5, 1), (1, 4), (2, 7), (16, 5)])
def test_bicubic_matrix_is_torchs(torch, n_in, n_out, antialias):
    impulses = torch.eye(n_in, dtype=torch.float64)[None, None]  # column i: what the unit impulse i becomes
    expected = torch.nn.functional.interpolate(
        impulses, size=(n_out, n_in), mode="bicubic", align_corners=False, antialias=antialias
    )  # the second axis keeps its length, so it is left alone
    # float64 on both sides; only the last digits of the positions differ
    np.testing.assert_allclose(bicubic_matrix(n_in, n_out, antialias=antialias), expected[0, 0], atol=1e-12)


def test_rotations_turn_pairs_by_angles_along_rows_and_columns():
    rows, columns, channels, theta = 2, 3, 8, 100.0
    found = rotations((rows, columns), channels, theta, prefix=1)
    x = np.random.default_rng(0).normal(size=(1 + rows * columns, channels))
    turned = x * found[0] + np.roll(x, channels // 2, axis=-1) * found[1]
    np.testing.assert_array_equal(turned[0], x[0])
    for token in range(rows * columns):
        y, x_at = (2 * (token // columns) + 1) / rows - 1, (2 * (token % columns) + 1) / columns - 1
        for pair in range(channels // 2):
            where, step = (y, pair) if pair < 2 else (x_at, pair - 2)
            # a complex number times exp(i angle), as in Su et al., "RoFormer", 2021
            expected = complex(x[1 + token, pair], x[1 + token, pair + 4]) * np.exp(
                2j * np.pi * where / theta ** (4 * step / channels)
            )
            np.testing.assert_allclose(turned[1 + token, [pair, pair + 4]], [expected.real, expected.imag])


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("vit", {"conv_proj": 0, "encoder.layers.encoder_layer_1": 3, "encoder.ln": 4, "vit.layers.0": 2}),
        ("vit", {"stem": 1, "stage2": 3, "vit.encoder.layer.1": 3, "layers.1": 3, "patch_embeddings.projection": 0}),
        ("deit", {"stem": 1, "deit.encoder.layer.1": 3, "deit.layernorm": 4}),
        ("yolos", {"vit.encoder.layer.2": 4, "vit.layernorm": 5}),
        ("dinov2", {"dinov2.encoder.layer.0": 2, "stage1": 2, "layernorm": 4}),
        ("dinov3", {"layer.1": 3, "model.layer.1": 3, "norm": 4, "embeddings": 1}),
        ("clip", {"vision_model.encoder.layers.1": 4, "encoder.layers.1": 4, "pre_layrnorm": 2, "stem": 1, "-1": 4}),
        ("siglip", {"encoder.layers.0": 2, "post_layernorm": 4, "embeddings.patch_embedding": 0}),
    ],
)
def test_layers_are_found_by_the_names_of_several_libraries(folder_of, case, names):
    network = load_network(str(folder_of(case)))
    for name, place in names.items():
        assert network.resolve([name]) == (network.layers()[place],), name


def test_no_alias_means_two_layers(folder_of):
    for case in ("vit", "deit", "yolos", "dinov2", "dinov2 registers", "dinov3", "clip", "siglip"):
        known = [name for layer in load_network(str(folder_of(case))).layers() for name in (layer.name, *layer.aliases)]
        assert len(known) == len(set(known)), case


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"height": 38, "width": 47}, (32, 40)),
        ({"shortest_edge": 50, "longest_edge": 80}, (48, 64)),  # 3:4 for photographs
        ({"height": 3, "width": 8}, (8, 8)),
    ],
)
def test_a_checkpoints_own_size_is_rounded_down_to_whole_patches(folder_of, size, expected):
    folder = folder_of("yolos")
    edit(folder / "preprocessor_config.json", size=size)
    assert load_network(str(folder)).preprocess.size == expected


def test_the_section_that_transformers_follows_is_read(folder_of):
    folder = folder_of("clip")
    section = json.loads((folder / "config.json").read_text())["vision_config"]
    edit(folder / "config.json", vision_config=section | {"hidden_size": 48}, vision_config_dict=section)
    assert load_network(str(folder)).layers()[0].channels == 24
    edit(folder / "config.json", vision_config_dict=None)
    with pytest.raises(
        InputError, match=r"patch_embedding.weight has shape \(24, 3, 8, 8\) instead of \(48, 3, 8, 8\)"
    ):
        load_network(str(folder))


@pytest.mark.parametrize(
    ("case", "changes", "words"),
    [
        ("vit", {"num_attention_heads": 5}, "`hidden_size` is not a multiple of `num_attention_heads`"),
        ("vit", {"image_size": 7}, "`image_size` is below `patch_size`"),
        ("vit", {"hidden_act": "swish"}, "`hidden_act` is 'swish', and only 'gelu'"),
        ("yolos", {"image_size": [32]}, r"`image_size` is \(32,\)"),
        ("yolos", {"image_size": 32}, "2 of its tensors do not fit"),
        ("dinov3", {"num_attention_heads": 4}, r"not a multiple of 4 \* `num_attention_heads`"),
        ("dinov3", {"num_register_tokens": -1}, "`num_register_tokens` is -1"),
    ],
)
def test_wrong_configurations_are_input_errors(folder_of, case, changes, words):
    folder = folder_of(case)
    edit(folder / "config.json", **changes)
    with pytest.raises(InputError, match=words):
        load_network(str(folder))
