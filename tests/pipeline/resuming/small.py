"""A data set of six photos in three chunks, a network of a few lines, and the run of both."""

import numpy as np
from PIL import Image

from loce_jax import PaperRecipe, RidgeRecipe
from loce_jax.activations import make_extractor
from loce_jax.pipeline import plan as plans
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.run import RunOptions, run_plan
from loce_jax.pipeline.sources import coco_source
from tests.support.tiny import tiny_network

NETWORK = tiny_network()
RECIPES = {"paper": PaperRecipe(num_steps=3), "ridge": RidgeRecipe()}
_EXTRACT = {}


def patch(monkeypatch):
    """Two images a chunk, and the network compiled once."""

    def extractor(network, layers):
        if layers not in _EXTRACT:
            _EXTRACT[layers] = make_extractor(network, layers)
        return _EXTRACT[layers]

    monkeypatch.setattr(plans, "IMAGES_PER_CHUNK", 2)
    monkeypatch.setattr("loce_jax.pipeline.run.make_extractor", extractor)


def make(folder, recipe="paper"):
    """The plan of the data in `folder`."""
    source = coco_source(str(folder / "coco.json"), str(folder / "images"))
    return make_plan(NETWORK, ("shallow",), source, RECIPES[recipe])


def fit(folder, out, recipe="paper", **options):
    """Do, or continue, the run of the data in `folder`."""
    return run_plan(make(folder, recipe), out, RunOptions(**options))


def invert(path):
    """Other pixels in a photo."""
    Image.fromarray(255 - np.array(Image.open(path))).save(path)
