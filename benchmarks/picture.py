"""Draw the README's picture from a finished run: ``python benchmarks/picture.py loce_demo benchmarks/picture.png``.

Masks and projections, the map of the LoCEs, and the separation of concepts, all at the layer with the best IoU.  It
shows numbers only, none of the photographs.
"""

import argparse

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from loce_jax import Run, open_run
from loce_jax.analysis.embedding import embed_2d
from loce_jax.analysis.metrics.separation import pairwise_separation
from loce_jax.pipeline.sources import source_from
from loce_jax.plots.examples import project
from loce_jax.plots.maps import draw_map
from loce_jax.plots.matrices import draw_separation
from loce_jax.plots.palette import concept_styles

CONCEPTS = 6


def draw_masks(axes: list[Axes], run: Run, layer: str) -> None:
    """For some concepts the pair of median IoU: the mask's outline over the projection."""
    dataset = source_from(run.plan["data"]["source"]).open()
    items = {item.image: item for item in dataset.items}
    iou = run.column("iou", layer)
    for ax, concept in zip(axes, run.concepts, strict=False):
        rows = run.select(concept=concept, status="ok")
        row = rows[np.argsort(iou[rows])[len(rows) // 2]]
        item = items[str(run.table["image"][row])]
        names = [pair.concept for pair in item.pairs]
        mask = np.asarray(dataset.read(item).masks[names.index(concept)], float)
        ax.imshow(project(run.responses(layer)[row].astype(float), mask.shape), cmap="Oranges", vmin=0, vmax=1.7)
        ax.contour(mask, [0.5], colors="black", linewidths=0.9)
        ax.set_title(f"{concept}  IoU {iou[row]:.2f}", fontsize=8, pad=3)
        ax.set(xticks=[], yticks=[])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("picture")
    flags = parser.parse_args()
    run = open_run(flags.run)
    layer = max(run.layers, key=lambda name: np.nanmean(run.column("iou", name)))
    rows = run.select(status="ok")
    vectors, labels = run.vectors(layer)[rows], run.table["concept"][rows]

    mpl.rcParams["font.size"] = 8
    figure = plt.figure(figsize=(13, 3.9), layout="constrained")
    places = figure.add_gridspec(1, 3, width_ratios=[1.0, 1.35, 1.25])
    left, middle, right = (figure.add_subfigure(places[0, column]) for column in range(3))
    draw_masks(list(left.subplots(CONCEPTS // 2, 2).ravel()), run, layer)
    draw_map(middle.subplots(), embed_2d(vectors).points, labels, styles=concept_styles(run.concepts))
    draw_separation(right.subplots(), pairwise_separation(vectors, labels))
    figure.savefig(flags.picture, dpi=130)


if __name__ == "__main__":
    main()
