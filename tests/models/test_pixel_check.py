"""Wrong pixels are doubted: planted cases on a small network, real networks fed with right and with wrong numbers."""

import logging
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from loce_jax import load_network
from loce_jax.models.adapters import from_function
from loce_jax.models.preprocess.check import (
    MIN_BIAS_SHARE,
    MIN_CONFIDENCE,
    MIN_CONTRAST,
    doubt_pixels,
    first_response,
)
from loce_jax.models.preprocess.description import Preprocess
from loce_jax.models.preprocess.options import read_options
from loce_jax.pipeline.pixels import doubting

SIZE = (16, 24)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of ImageNet
PHOTOS = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), np.uint8)


def network(preprocess, *, bias=1.0):
    """Cells of 4 x 4 pixels, weighted and shifted, then rectified; made for numbers from 0 to 1."""
    rng = np.random.default_rng(1)
    params = {"w": rng.normal(size=(48, 8)).astype(np.float32), "b": bias * rng.normal(size=8).astype(np.float32)}

    def f(params, images):
        cells = images.reshape(len(images), 4, 4, 6, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(len(images), 4, 6, 48)
        first = cells @ params["w"] + params["b"]
        return {"first": first, "second": jax.nn.relu(first)}

    return from_function(f, params, preprocess=preprocess, name="small")


def given(text):
    return read_options(text).apply(None, size=SIZE, what="it")


@pytest.mark.parametrize("text", ["unit", "imagenet", "signed", "unit,channels=bgr"])
def test_right_pixels_are_not_doubted(text):
    assert doubt_pixels(network(given(text)), PHOTOS) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("range=0..0.004,channels=rgb", "'small' give nearly the same .* too small.*0..0.004"),
        ("bytes", "biases of the first layers of 'small' vanish .* too large.* RGB, 0..255"),
    ],
)
def test_planted_wrong_pixels_are_doubted(text, words):
    assert re.search(words, doubt_pixels(network(given(text)), PHOTOS) or "")


def test_what_says_nothing_is_not_doubted():
    assert doubt_pixels(network(given("bytes"), bias=0), PHOTOS) is None
    assert doubt_pixels(network(given("bytes")), np.full_like(PHOTOS, 90)) is None


@pytest.mark.parametrize(("classes", "sharpness", "doubted"), [(120, 0.1, True), (120, 9, False), (50, 0.1, False)])
def test_a_classifier_that_recognizes_little_is_doubted(classes, sharpness, doubted):
    def f(params, images):
        cells = images.reshape(len(images), 4, 4, 6, 4, 3).mean((2, 4))
        return {"cells": cells, "logits": sharpness * cells.reshape(len(images), -1) @ params}

    weights = np.random.default_rng(2).normal(size=(72, classes)).astype(np.float32)
    found = doubt_pixels(from_function(f, weights, preprocess=given("imagenet"), name="small"), PHOTOS)
    assert (found is not None and "recognizes little" in found) == doubted
    means = PHOTOS.reshape(3, 4, 4, 6, 4, 3).mean((2, 4)) / 255  # the twin, from the pixels
    logits = sharpness * ((means - MEAN) / STD).reshape(3, -1) @ weights
    sure = np.mean([np.exp(row - row.max()).max() / np.exp(row - row.max()).sum() for row in logits])
    assert (sure < MIN_CONFIDENCE) == (sharpness == 0.1)


@pytest.mark.slow
def test_measures_against_a_slow_twin():
    net = network(given("imagenet"))
    numbers = net.preprocess.normalize(jnp.asarray(PHOTOS))
    seen, empty = (net.forward(net.params, x, ("first", "second")) for x in (numbers, 0 * numbers[:1]))
    contrasts, shares = [], []
    for name in seen:
        x, e = (np.asarray(one[name], np.float64).reshape(-1, 8) for one in (seen, empty))
        square = np.mean(np.sum(x**2, 1))
        contrasts.append(np.trace(np.cov(x.T, bias=True)) / square)
        shares.append(np.mean(np.sum(e**2, 1)) / square)
    found = first_response(net, PHOTOS)
    assert found.contrast == pytest.approx(min(contrasts), rel=1e-4)
    assert found.bias_share == pytest.approx(min(shares), rel=1e-4)


@pytest.mark.wrong_types
def test_a_run_warns_once_and_only_of_what_people_said(caplog):
    asked = []

    def extract(images):
        asked.append(len(images))
        return images

    wrong = network(given("bytes"))
    with caplog.at_level(logging.WARNING):
        look = doubting(extract, wrong)
        for images in (np.zeros_like(PHOTOS), PHOTOS, PHOTOS):
            look(images)
        declared = network(replace(wrong.preprocess, declared=True))
        doubting(extract, declared)(PHOTOS)
    assert asked == [3, 3, 3, 3]
    assert [record.getMessage()[:13] for record in caplog.records] == ["wrong pixels?"]


def photographs(shared, preprocess):
    files = sorted(shared("data", "coco_open", "images").glob("*.jpg"))[:6]
    return np.stack([preprocess.resize(np.asarray(Image.open(file).convert("RGB"))) for file in files])


def scaled(preprocess, factor):
    return replace(preprocess, std=tuple(value / factor for value in preprocess.std))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dinov2-small", "efficientnet-lite0"])
def test_real_networks_tell_right_from_wrong(shared, name):
    """Slow, since the networks are real; the limits are far from either side.  The detectors are in test_onnx.py."""
    net = load_network(str(shared("weights", name)) if name.startswith("dino") else name, size=(224, 224))
    images = photographs(shared, net.preprocess)
    right = first_response(net, images)
    assert right.contrast > 10 * MIN_CONTRAST
    assert right.bias_share is not None and right.bias_share > 20 * MIN_BIAS_SHARE
    small = first_response(replace(net, preprocess=scaled(net.preprocess, 1 / 255)), images)
    assert small.contrast < MIN_CONTRAST / 10
    large = first_response(replace(net, preprocess=scaled(net.preprocess, 255)), images)
    assert large.bias_share is not None
    if name == "efficientnet-lite0":
        assert right.confidence is not None and right.confidence > 1.2 * MIN_CONFIDENCE
        assert small.confidence is not None and small.confidence < 0.01
    assert (large.bias_share < MIN_BIAS_SHARE / 2) == (name == "dinov2-small")  # clipping at 6 hides it in the other


def test_a_plain_description_is_not_doubted():
    assert Preprocess(SIZE).declared and not given("unknown").declared
