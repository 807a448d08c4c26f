"""`find_label_errors`: planted wrong labels are found, a slow twin agrees, and thin data is no error."""

import numpy as np
import pytest

from loce_jax.analysis.label_errors import find_label_errors
from loce_jax.checks import InputError


def make_flipped(seed, each=50, channels=12, flips=12, spread=0.25):
    """Four concepts in cones; the labels of some rows are exchanged for another concept's."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(4), each)
    vectors = np.eye(channels)[truth] + spread * rng.normal(size=(len(truth), channels))
    flipped = rng.choice(len(truth), flips, replace=False)
    labels = truth.copy()
    labels[flipped] = (truth[flipped] + rng.integers(1, 4, flips)) % 4
    return vectors, labels, truth, flipped


def find_slowly(vectors, labels, k, share, images):
    found = {}
    for i in range(len(labels)):
        similar = []
        for j in range(len(labels)):
            if images[i] != images[j]:
                cosine = vectors[i] @ vectors[j] / np.sqrt((vectors[i] @ vectors[i]) * (vectors[j] @ vectors[j]))
                similar.append((1 - cosine, j))
        near = [labels[j] for _, j in sorted(similar)[:k]]
        for concept in set(near) - {labels[i]}:
            if len(near) == k and near.count(concept) / k >= share:
                found[i] = concept, near.count(concept) / k
    return found


@pytest.mark.parametrize("seed", range(5))
def test_finds_flipped_labels(seed):
    vectors, labels, truth, flipped = make_flipped(seed)
    found = find_label_errors(vectors, labels)
    hits = set(found.rows.tolist()) & set(flipped.tolist())
    precision, recall = len(hits) / len(found.rows), len(hits) / len(flipped)
    print(f"seed {seed}: precision {precision:.2f}, recall {recall:.2f}, {found.expected} expected by chance")
    assert precision == 1 and recall >= 0.75
    assert all(
        suggestion == truth[row] for row, suggestion in zip(found.rows, found.suggestions, strict=True) if row in hits
    )
    assert found.expected < 0.5  # a tenth of the neighbors may differ: with four concepts nearly impossible by chance


def test_a_stricter_share_suspects_fewer():
    vectors, labels, *_ = make_flipped(0, spread=0.5)
    rows = [set(find_label_errors(vectors, labels, share=share).rows.tolist()) for share in (0.6, 0.8, 1.0)]
    assert rows[0] > rows[1] > rows[2]


@pytest.mark.parametrize(("seed", "k", "share"), [(0, 10, 0.7), (1, 5, 0.6), (2, 4, 0.75)])
def test_matches_slow_twin(seed, k, share):
    vectors, labels, *_ = make_flipped(seed, each=20, spread=0.6)
    images = np.random.default_rng(seed).integers(0, 25, len(labels))
    found, expected = (
        find_label_errors(vectors, labels, k, groups=images, share=share),
        find_slowly(vectors, labels, k, share, images),
    )
    rows = found.rows.tolist()
    assert len(expected) > 0 and sorted(rows) == sorted(expected)
    assert rows == sorted(expected, key=lambda row: (-expected[row][1], row))
    assert list(found.suggestions) == [expected[row][0] for row in rows]
    np.testing.assert_allclose(found.shares, [expected[row][1] for row in rows], rtol=1e-15)


def test_expected_number_is_that_of_labels_without_meaning():
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(400, 6)), rng.permutation(np.repeat(["cat", "dog"], 200))
    found = find_label_errors(vectors, labels, 3, share=1.0)
    # A row with another concept's three neighbors: 1/8 of 400 rows, but for the row's own label, which is not there.
    assert found.expected == pytest.approx(50.5, abs=3)
    assert len(found.rows) == pytest.approx(found.expected, abs=4 * np.sqrt(50))
    assert find_label_errors(vectors, labels, 3, share=1.0, seed=1).expected != found.expected
    assert find_label_errors(vectors, labels, 3, share=1.0).expected == found.expected


def test_names_lengths_and_order_change_nothing():
    vectors, labels, *_ = make_flipped(3)
    expected = find_label_errors(vectors, labels)
    names = np.array(["dog", "ant", "cat", "bee"])
    lengths = np.random.default_rng(0).uniform(0.1, 9, (len(labels), 1))
    renamed = find_label_errors(vectors * lengths, names[labels])
    np.testing.assert_array_equal(renamed.rows, expected.rows)
    assert renamed.suggestions == tuple(names[list(expected.suggestions)])
    order = np.random.default_rng(1).permutation(len(labels))
    moved = find_label_errors(vectors[order], labels[order])
    assert sorted(order[moved.rows]) == sorted(expected.rows)


def test_neighbors_of_the_same_image_are_not_asked():
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0], [0.1, 1.0]])
    labels = ["cat", "cat", "dog", "dog", "dog"]
    assert find_label_errors(vectors, labels, 2).rows.tolist() == [2]
    assert find_label_errors(vectors, labels, 2, groups=["i", "j", "i", "k", "l"]).rows.tolist() == []


def test_thin_data_suspects_nobody():
    for vectors, labels in [(np.zeros((0, 2)), []), (np.ones((1, 2)), ["a"]), (np.ones((5, 2)), list("ababa"))]:
        found = find_label_errors(vectors, labels, 10)
        assert found.rows.shape == (0,) and found.suggestions == () and found.expected == 0
    assert find_label_errors(np.ones((30, 2)), ["a"] * 30).rows.shape == (0,)


def test_bad_calls_say_what_to_do():
    with pytest.raises(InputError, match=r"`share` must be above 0.5 and at most 1, .* but got 0.5. Try 0.9"):
        find_label_errors(np.ones((3, 2)), ["a"] * 3, share=0.5)
    with pytest.raises(InputError, match=r"`k` must be at least 1 \(neighbors\), but got 0"):
        find_label_errors(np.ones((3, 2)), ["a"] * 3, 0)
