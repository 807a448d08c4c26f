"""Published values: what a file may hold, and which layers of ours they belong to."""

import json

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.study.published import read_published

PRECISION = {"k": [1, 5], "mean_precision_at_k": {"ViT": {"l_last": [0.6, None], "l_mid": [0.3, 0.2]}}}
SEPARATION = {
    "categories": ["cat", "dog", "emu"],
    "lower_triangle": {"DETR: m.e.ls.1": [[0, None, None], [0.2, 0, None], [None, 0.5, 0]]},
}


def written(tmp_path, content):
    path = tmp_path / "published.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_values_are_found_by_the_papers_names(tmp_path):
    found = read_published(written(tmp_path, {**PRECISION, **SEPARATION, "source": "figure 7", "layers": {"yolo": 1}}))
    assert found.source == "figure 7"
    assert found.precision_of("paper:vit", "encoder.layers.encoder_layer_11") == {1: 0.6}
    assert found.precision_of("paper:vit", "encoder.layers.encoder_layer_3") == {1: 0.3, 5: 0.2}
    for model, layer in (
        ("paper:vit", "encoder.layers.encoder_layer_7"),
        ("paper:vit (random weights)", "encoder.layers.encoder_layer_11"),
        ("someone/vit", "encoder.layers.encoder_layer_11"),
        ("paper:swin", "features.7"),
    ):
        assert found.precision_of(model, layer) == {}, (model, layer)
    matrix = found.separation_of("paper:detr", "model.encoder.layers.1", ["dog", "fox", "cat"])
    np.testing.assert_array_equal(matrix, [[0, np.nan, 0.2], [np.nan] * 3, [0.2, np.nan, 0]])
    assert found.separation_of("paper:detr", "model.encoder.layers.1", ["cat", "emu"]) is None
    assert found.separation_of("paper:detr", "model.encoder.layers.5", ["cat", "dog"]) is None


def test_networks_of_ones_own_are_found_by_their_names(tmp_path):
    content = {"k": [1], "mean_precision_at_k": {"mine": {"blocks.3": [0.5]}}}
    found = read_published(written(tmp_path, content))
    assert found.precision_of("folder/mine", "blocks.3") == found.precision_of("mine", "blocks.3") == {1: 0.5}
    assert not found.precision_of("mine", "blocks.4") and found.separation_of("mine", "blocks.3", ["cat"]) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "JSON"),
        ("[" * 100_000, "JSON"),
        ('{"k": [1], "k": [2]}', "each name once"),
        ([], "an object"),
        ({}, "an object with `mean_precision_at_k`"),
        ({**PRECISION, "source": 3}, "a text as `source`"),
        ({**PRECISION, "k": [1, 0]}, "whole numbers from 1"),
        ({**PRECISION, "k": [1, True]}, "whole numbers from 1"),
        ({**PRECISION, "k": [5, 5]}, "whole numbers from 1"),
        ({**PRECISION, "k": [1]}, "1 values in 'ViT', 'l_last'"),
        ({"k": [1], "mean_precision_at_k": {"ViT": {"l": [1.5]}}}, "numbers from 0 to 1"),
        ('{"k": [1], "mean_precision_at_k": {"ViT": {"l": [NaN]}}}', "numbers from 0 to 1"),
        ({"k": [1], "mean_precision_at_k": {"ViT": {"l": [True]}}}, "numbers from 0 to 1"),
        ({"k": [1], "mean_precision_at_k": {"ViT": {"l": ["0.5"]}}}, "numbers from 0 to 1"),
        ({"k": [1], "mean_precision_at_k": []}, "an object as `mean_precision_at_k`"),
        ({**SEPARATION, "categories": ["cat", "cat", "dog"]}, "different names"),
        ({**SEPARATION, "categories": ["cat"]}, "1 rows in 'DETR: m.e.ls.1'"),
        ({"categories": ["cat"], "lower_triangle": {"a": [[0, 1]]}}, "1 values"),
    ],
)
def test_a_file_that_is_something_else_is_refused_in_one_line(content, said, tmp_path):
    with pytest.raises(InputError, match=said) as error:
        read_published(written(tmp_path, content))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_file_that_is_too_long_or_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="at most 4194304 bytes"):
        read_published(written(tmp_path, " " * (2**22 + 1)))
    with pytest.raises(InputError, match="must be an existing file"):
        read_published(tmp_path)


def test_the_papers_digitized_figures_are_read(shared):
    found = read_published(shared("golden", "figure_map.json"))
    assert found.precision_of("paper:yolo", "14.conv")[1] == 0.692
    found = read_published(shared("golden", "figure_pairwise_separation.json"))
    for model, layer in (
        ("paper:yolo", "14.conv"),
        ("paper:mobilenet", "features.14"),
        ("paper:efficientnet", "features.7.0"),
        ("paper:detr", "model.encoder.layers.1"),
        ("paper:vit", "encoder.layers.encoder_layer_11"),
        ("paper:swin", "features.7"),
    ):
        matrix = found.separation_of(model, layer, found.concepts)
        assert (
            matrix is not None and matrix.shape == (20, 20) and np.isfinite(matrix[np.tril_indices(20, -1)]).sum() > 150
        )
