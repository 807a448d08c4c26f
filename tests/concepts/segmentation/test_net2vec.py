"""Net2Vec against slow twins, planted directions, and what must not change it."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.concepts.blocks import as_blocks
from loce_jax.concepts.segmentation.minibatches import minibatches
from loce_jax.concepts.segmentation.net2vec import fit_net2vec, net2vec_f
from loce_jax.concepts.segmentation.net2vec_options import PAPER, RAW, Net2VecOptions
from loce_jax.concepts.segmentation.occurrences import find_occurrences
from loce_jax.concepts.segmentation.pair_loss import foreground_weights, pair_derivatives, pair_loss
from loce_jax.concepts.segmentation.published_net2vec import initial_weights
from loce_jax.solver.solution import Status
from tests.concepts.planted import C, cosine, planted
from tests.concepts.twins import alpha_of, net2vec_gradient, net2vec_loss

RNG = np.random.default_rng(1)


def test_loss_and_derivative_match_the_twin():
    cells, mask, vector = RNG.normal(size=(4, 5, 3)), RNG.random((9, 8)) < 0.3, RNG.normal(size=3)
    response, alpha = jnp.asarray(cells @ vector, jnp.float32), jnp.float32(0.8)
    expected = net2vec_loss(vector, [cells], [mask], 0.8)
    np.testing.assert_allclose(pair_loss(response, jnp.asarray(mask), alpha), expected, rtol=1e-5)  # float32 sums
    derivatives = pair_derivatives(response[None], jnp.asarray(mask)[None], alpha[None])[0]
    gradient = np.einsum("yx,yxc->c", derivatives, cells)
    np.testing.assert_allclose(gradient, net2vec_gradient(vector, [cells], [mask], 0.8), atol=1e-5)
    step = 1e-6
    numeric = [
        (net2vec_loss(vector + e, [cells], [mask], 0.8) - net2vec_loss(vector - e, [cells], [mask], 0.8)) / (2 * step)
        for e in step * np.eye(3)
    ]
    np.testing.assert_allclose(net2vec_gradient(vector, [cells], [mask], 0.8), numeric, atol=1e-7)  # differences


def test_the_published_steps_match_a_loop_over_one_concept_at_a_time():
    activations = RNG.normal(size=(9, 10, 12, 5)).astype("f4")  # 1080 cells, of which 5 exceed each threshold
    masks = (RNG.random((9, 2, 6, 7)) < 0.3) & (RNG.random((9, 2, 1, 1)) < 0.8)
    options = Net2VecOptions("paper", epochs=2, learning_rate=0.05, batch_size=3, seed=4)
    found = fit_net2vec(activations, masks, options=options)
    inputs = (activations > np.array(found.thresholds)).astype(float)
    images, concepts = np.nonzero(masks.any(axis=(2, 3)))
    start = initial_weights(2, 5, 4).astype(float)
    epochs = [epoch for epoch in minibatches(concepts, batch_size=3, epochs=2, seed=4)]
    for concept in range(2):
        alpha = alpha_of([mask for mask in masks[:, concept] if mask.any()])
        vector, momentum = start[concept], np.zeros(5)
        for step in np.concatenate(epochs):
            batch = [images[pair] for pair in step if pair >= 0 and concepts[pair] == concept]
            if batch:
                momentum = 0.9 * momentum + net2vec_gradient(vector, inputs[batch], masks[batch, concept], alpha)
                vector = vector - 0.05 * momentum
        np.testing.assert_allclose(found.vectors[concept], vector, atol=1e-5)  # float32 sums of 42 pixels


def test_raw_steps_match_a_loop():
    activations = RNG.normal(size=(5, 3, 4, 5)).astype("f4")
    masks = RNG.random((5, 6, 7)) < 0.3
    found = fit_net2vec(activations, masks, options=Net2VecOptions(epochs=4))
    vector, first, second = np.zeros((3, 5))
    for step in range(4):
        gradient = net2vec_gradient(vector, activations.astype(float), masks, alpha_of(masks))
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        change = first / (1 - 0.9 ** (step + 1)) / (np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8)
        rate = 0.1 * (1 + np.cos(np.pi * step / 4)) / 2
        vector = vector - rate * (change + 0.01 * vector)
    np.testing.assert_allclose(found.vectors[0], vector, atol=1e-5)  # float32


def test_every_pair_is_in_one_minibatch_of_its_concept_per_epoch():
    concepts = np.repeat([0, 1, 2, 4], [37, 3, 16, 1])
    for steps in minibatches(concepts, batch_size=16, epochs=3, seed=0):
        assert sorted(steps[steps >= 0]) == list(range(len(concepts)))
        assert len(steps) == 3  # of the 37 images of concept 0: 16, 16, 5
        sizes = [np.bincount(concepts[step[step >= 0]], minlength=5) for step in steps]
        assert sorted(size[0] for size in sizes) == [5, 16, 16]
        assert all(max(size[concept] for size in sizes) == count for concept, count in ((1, 3), (2, 16), (4, 1)))


def test_planted_directions_are_found_and_what_is_absent_has_a_status():
    activations, masks = planted()
    found = fit_net2vec(activations, masks, names=["all", "half", "absent"])
    assert found.status.tolist() == [Status.OK, Status.OK, Status.MASK_EMPTY]
    assert min(cosine(found.vectors[0]), cosine(found.vectors[1])) >= 0.99
    assert np.isnan(found.vectors[2]).all()
    assert np.isnan(found.offsets[2])


def test_thresholded_inputs_point_the_same_way():
    # inputs are bits, and half of a direction's channels are below their thresholds where the concept is: what is
    # found is the sign and order of its weights, which a cosine of 0.9 shows, not the direction itself
    activations, masks = planted(n=96)
    options = Net2VecOptions("paper", learning_rate=0.03, epochs=60)
    assert cosine(fit_net2vec(activations, masks[:, 0], options=options).vectors[0]) > 0.9


def test_filters_are_the_largest_of_all():
    activations, masks = planted()
    full, few = fit_net2vec(activations, masks[:, 0]).vectors[0], net2vec_f(activations, masks[:, 0], filters=3)
    assert set(np.flatnonzero(few.vectors[0])) == set(np.argsort(-np.abs(full))[:3])
    assert (net2vec_f(activations, masks[:, 0], filters=C).vectors[0] == full).all()
    assert np.count_nonzero(net2vec_f(activations, masks[:, 0], filters=2, options=PAPER).vectors) == 2
    with pytest.raises(InputError, match="`filters` must be from 1 to the layer's 8"):
        net2vec_f(activations, masks, filters=9)


@pytest.mark.slow  # fits of every form, each compiled for its shapes
@pytest.mark.parametrize("options", [RAW, PAPER])
def test_blocks_that_come_one_after_the_other_give_what_arrays_give(options):
    activations, masks = planted()
    blocks = [next(iter(as_blocks(activations[part], masks[part]))) for part in (slice(5), slice(5, 6), slice(6, None))]
    whole, parts = fit_net2vec(activations, masks, options=options), fit_net2vec(blocks, options=options)
    np.testing.assert_allclose(parts.vectors, whole.vectors, atol=1e-5 if options is RAW else 0)  # order of sums


def test_order_of_images_and_other_concepts_do_not_matter():
    activations, masks = planted()
    order, whole = RNG.permutation(len(activations)), fit_net2vec(activations, masks).vectors
    np.testing.assert_allclose(fit_net2vec(activations[order], masks[order]).vectors, whole, atol=1e-5)  # order of sums
    np.testing.assert_allclose(fit_net2vec(activations, masks[:, 1]).vectors[0], whole[1], atol=1e-5)


def test_images_that_are_not_finite_are_left_out():
    activations, masks = planted()
    activations[1] = np.nan
    alone = np.zeros_like(masks[:, :1])
    alone[1] = True
    found = fit_net2vec(activations, np.concatenate([masks, alone], axis=1))
    assert found.status.tolist() == [Status.OK, Status.OK, Status.MASK_EMPTY, Status.NONFINITE]
    kept = np.delete(np.arange(len(masks)), 1)
    expected = fit_net2vec(activations[kept], masks[kept]).vectors
    np.testing.assert_allclose(found.vectors[:3], expected, atol=1e-5)


@pytest.mark.parametrize("options", [RAW, PAPER])
def test_constant_activations_have_a_status(options):
    _, masks = planted()
    found = fit_net2vec(np.ones((*masks.shape[:1], 6, 7, C), "f4"), masks, options=options)
    assert found.status.tolist() == [Status.DEGENERATE, Status.DEGENERATE, Status.MASK_EMPTY]
    assert np.isnan(found.vectors).all()


@pytest.mark.parametrize("options", [RAW, PAPER])
@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_a_vector_that_says_nothing_has_a_status(options, scale):
    activations, masks = planted(12)
    found = fit_net2vec(np.float32(scale) * activations, masks, options=replace(options, epochs=3))
    if options.form == "paper":  # whether an activation exceeds its threshold has no scale
        assert found.ok.tolist() == [True, True, False]
    else:
        assert (found.status[:2] == (Status.NONFINITE if scale > 1 else Status.DEGENERATE)).all()
        assert np.isnan(found.vectors).all()


def test_a_few_filters_are_not_chosen_by_a_fit_that_overflows():
    activations, masks = planted(12)
    activations[..., -1] *= 1e30
    few = net2vec_f(activations, masks, filters=3, options=Net2VecOptions(epochs=3))
    assert few.status.tolist() == [Status.NONFINITE, Status.NONFINITE, Status.MASK_EMPTY]


def test_labels_of_whole_images_have_no_background():
    assert foreground_weights(np.array([0.0, 0.25, 1.0])).tolist() == [1, 0.75, 1]
    activations, masks = np.abs(planted()[0]), np.ones((24, 1, 3, 3), bool)
    assert (np.asarray(fit_net2vec(activations, masks).maps(activations, (3, 3))) > 0.5).all()


def test_seeds_change_the_published_form():
    activations, masks = planted()
    one, two, other = (fit_net2vec(activations, masks, options=Net2VecOptions("paper", seed=s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.vectors, two.vectors)
    assert not np.allclose(one.vectors[:2], other.vectors[:2])


@pytest.mark.wrong_types
def test_options_that_make_no_sense_are_refused():
    for name, value, words in (("epochs", 0, "`epochs`"), ("form", "x", "one of"), ("learning_rate", -1.0, "above 0")):
        with pytest.raises(InputError, match=words):
            replace(RAW, **{name: value})


def test_blocks_must_fit_together():
    activations, masks = planted()
    (first,) = as_blocks(activations, masks)
    with pytest.raises(InputError, match="as the first block has"):
        find_occurrences([first, next(iter(as_blocks(activations, masks[:, :2])))])
    with pytest.raises(InputError, match="`names` must have shape"):
        find_occurrences([first], ["a"])
    with pytest.raises(InputError, match="must hold a block"):
        find_occurrences([])
