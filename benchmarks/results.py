"""Print finished runs as the tables of RESULTS.md: ``python benchmarks/results.py RUN [RUN ...]``.

For every layer: LoCEs, mean and median IoU, share of failures, and the pairwise separation (Euclidean, raw vectors)
of the concepts with at least `MIN_LOCES` LoCEs: mean, median, minimum and maximum over the pairs, and the
closest pairs.
"""

import sys
from itertools import combinations

import numpy as np

from loce_jax import Run, open_run
from loce_jax.analysis.metrics.iou_summary import summarize_iou
from loce_jax.analysis.metrics.separation import pairwise_separation

MIN_LOCES = 12
CLOSEST = 4


def separation_of(run: Run, layer: str) -> dict[tuple[str, str], float]:
    """The separation of every pair of common concepts."""
    rows = np.flatnonzero(run.column("status", layer) == "ok")
    names, counts = np.unique(run.table["concept"][rows], return_counts=True)
    rows = rows[np.isin(run.table["concept"][rows], names[counts >= MIN_LOCES])]
    found = pairwise_separation(run.vectors(layer)[rows], run.table["concept"][rows])
    numbered = combinations(range(len(found.concepts)), 2)
    return {(found.concepts[i], found.concepts[j]): float(found.matrix[i, j]) for i, j in numbered}


def lines_of(run: Run):
    yield f"**{run.plan['model']['name']}, {run.plan['images']} images, {run.plan['pairs']} pairs**\n"
    yield "| layer | LoCEs | mean IoU | median IoU | failures | separation: mean, median, min, max | closest pairs |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for layer in run.layers:
        overall = summarize_iou(run.column("iou", layer), run.column("status", layer), run.table["concept"])[-1]
        pairs = separation_of(run, layer)
        values = np.array(list(pairs.values()))
        spread = f"{values.mean():.3f}, {np.median(values):.3f}, {values.min():.3f}, {values.max():.3f}"
        close = "; ".join(
            f"{a} – {b} {pairs[a, b]:.2f}" for a, b in sorted(pairs, key=lambda pair: pairs[pair])[:CLOSEST]
        )
        quality = f"{overall.mean_iou:.3f} | {overall.median_iou:.3f} | {overall.failures:.1%}"
        yield f"| `{layer}` | {overall.loces} | {quality} | {spread} | {close} |"
    yield ""


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print("\n".join(lines_of(open_run(path))))
