"""Generated scenes: exact masks, true attributes, the same whoever reads them and when."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.data import scenes
from loce_jax.data.cutouts import CONCEPTS, PHOTOGRAPHS, cutout, photograph
from loce_jax.data.samples import Fault
from loce_jax.data.scenes import MOST_HIDDEN, SMALLEST_SHARE, Scenes, draw, outline

SCENES = Scenes()


def attributes(pair) -> dict[str, Any]:
    return dict(pair.attributes)


def masks_of(item):
    masks = SCENES.read(item).masks
    assert not any(isinstance(mask, Fault) for mask in masks)
    return [np.asarray(mask) for mask in masks]


def pairs():
    return [pair for item in SCENES.items for pair in item.pairs]


def test_there_is_enough_of_everything():
    assert len(SCENES.items) == 160 and len(pairs()) >= 400
    assert min(Counter(pair.concept for pair in pairs()).values()) >= 50
    assert set(SCENES.concepts) == {pair.concept for pair in pairs()} == set(CONCEPTS)
    assert list(SCENES.concepts) == sorted(SCENES.concepts)
    for name, least in (("scale", 200), ("light", 200), ("background", 50)):
        assert min(Counter(attributes(pair)[name] for pair in pairs()).values()) >= least
    together = Counter((pair.concept, attributes(pair)["scale"], attributes(pair)["light"]) for pair in pairs())
    assert len(together) == 4 * len(CONCEPTS) and min(together.values()) >= 5
    assert {tuple(attributes(pair)) for pair in pairs()} == {("scale", "light", "background", "occluded")}


def test_images_have_different_names_and_each_concept_once():
    assert len({item.image for item in SCENES.items}) == 160 and SCENES.items[7].image == "scene_0007.png"
    assert all(2 <= len(item.pairs) == len({pair.concept for pair in item.pairs}) <= 4 for item in SCENES.items)


@pytest.mark.parametrize("index", range(0, 160, 8))
def test_masks_are_disjoint_and_neither_empty_nor_full(index):
    item = SCENES.items[index]
    reading = SCENES.read(item)
    masks = masks_of(item)
    assert reading.photo.shape == (240, 320, 3) and reading.photo.dtype == np.uint8
    assert np.sum(masks, axis=0).max() == 1
    assert all(mask.dtype == bool and mask.mean() >= SMALLEST_SHARE for mask in masks)
    assert all(attributes(pair)["occluded"] <= MOST_HIDDEN for pair in item.pairs)


@pytest.mark.parametrize("index", range(0, 160, 8))
def test_a_mask_is_where_its_object_makes_up_more_than_half_of_the_pixel(index, monkeypatch):
    """Paint one object white and everything else black: the photo is then the share of that object."""
    spec, item = SCENES._specs[index]
    masks = dict(zip((pair.concept for pair in item.pairs), masks_of(item), strict=True))
    placements = tuple(replace(placement, brightness=1.0) for placement in spec.placements)
    reduced = scenes._reduced
    monkeypatch.setattr(scenes, "_ground", lambda spec, size: np.zeros((*size, 3), np.float32))
    for painted in masks:

        def paint(concept, level, part, painted=painted):
            alpha = reduced(concept, level, "alpha")
            white = alpha if concept == painted else Image.new("L", alpha.size)
            return alpha if part == "alpha" else Image.merge("RGB", [white] * 3)

        monkeypatch.setattr(scenes, "_reduced", paint)
        share = draw(replace(spec, light="day", placements=placements), SCENES.size)[0][..., 0]
        sure = abs(share - 127.5) > 1
        np.testing.assert_array_equal(masks[painted][sure], (share > 127.5)[sure])


@pytest.mark.parametrize("index", range(0, 160, 8))
def test_hidden_share_is_what_the_object_loses_to_the_others(index):
    spec, item = SCENES._specs[index]
    masks, _ = outline(spec, SCENES.size)
    for pair in item.pairs:
        (alone,) = (p for p in spec.placements if p.concept == pair.concept)
        whole, hidden = outline(replace(spec, placements=(alone,)), SCENES.size)
        assert hidden[pair.concept] == 0 and not (masks[pair.concept] & ~whole[pair.concept]).any()
        lost = 1 - masks[pair.concept].sum() / whole[pair.concept].sum()
        assert attributes(pair)["occluded"] == pytest.approx(lost, abs=6e-4)


@pytest.mark.slow
def test_near_objects_are_larger_and_stand_lower_than_far_ones():
    sizes = {concept: {"near": [], "far": []} for concept in CONCEPTS}
    feet = {"near": [], "far": []}
    for item in SCENES.items:
        for pair, mask in zip(item.pairs, masks_of(item), strict=True):
            rows = np.flatnonzero(mask.any(axis=1))
            feet[attributes(pair)["scale"]].append(rows[-1])
            if attributes(pair)["occluded"] < 0.02:
                sizes[pair.concept][attributes(pair)["scale"]].append(mask.sum())
    assert all(min(size["near"]) > 1.2 * max(size["far"]) for size in sizes.values())
    assert min(feet["near"]) > np.median(feet["far"]) and np.median(feet["near"]) > max(feet["far"])


@pytest.mark.slow
def test_dusk_is_darker_than_day_in_every_place():
    light = {}
    for item in SCENES.items:
        seen = attributes(item.pairs[0])
        light.setdefault((seen["background"], seen["light"]), []).append(SCENES.read(item).photo.mean())
    for place in {place for place, _ in light}:
        assert max(light[place, "dusk"]) < np.median(light[place, "day"])
        assert np.mean(light[place, "dusk"]) < 0.75 * np.mean(light[place, "day"])


@pytest.mark.slow
def test_reading_is_the_same_in_any_order_and_on_any_thread():
    expected = [SCENES.read(item) for item in SCENES.items[:12]]
    again = Scenes()
    with ThreadPoolExecutor(4) as pool:
        readings = list(pool.map(again.read, reversed(again.items[:12])))
    for one, other in zip(expected, reversed(readings), strict=True):
        np.testing.assert_array_equal(one.photo, other.photo)
        np.testing.assert_array_equal(np.array(one.masks), np.array(other.masks))


def test_more_scenes_begin_with_the_same_ones():
    assert Scenes(count=5).items == SCENES.items[:5]
    assert Scenes(count=5, seed=1).items != SCENES.items[:5]


def test_fingerprint_follows_the_parameters():
    assert Scenes().fingerprint == SCENES.fingerprint
    others = {Scenes(count=5).fingerprint, Scenes(seed=1).fingerprint, Scenes(size=(120, 160)).fingerprint}
    assert len(others | {SCENES.fingerprint}) == 4


@pytest.mark.slow
@pytest.mark.parametrize("size", [(96, 96), (200, 400), (480, 640)])
def test_other_sizes(size):
    few = Scenes(count=3, size=size)
    for item in few.items:
        reading = few.read(item)
        assert reading.photo.shape == (*size, 3) and item.size == size
        assert all(not isinstance(mask, Fault) and 0 < mask.sum() < mask.size for mask in reading.masks)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"seed": -1}, {"size": (40, 40)}, {"size": (400, 100)}])
def test_impossible_parameters_are_named(wrong):
    with pytest.raises(InputError, match=f"`{next(iter(wrong))}` must be"):
        Scenes(**wrong)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_cutouts_are_one_solid_piece_with_a_soft_edge(concept):
    alpha = np.asarray(cutout(concept).getchannel("A"))
    edge = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    assert edge.max() == 0 and (alpha == 255).mean() > 0.3
    assert 0.003 < ((alpha > 0) & (alpha < 255)).mean() < 0.2


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_in_color_channels(name):
    assert photograph(name).shape[2] == 3
