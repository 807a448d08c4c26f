"""Time adaptive clustering on made-up clouds: each size in a process of its own, so that its peak memory is its own."""

import multiprocessing
import resource
import time
from collections.abc import Iterator

import numpy as np

SIZES = (1_000, 3_000, 10_000, 20_000)
CHANNELS, CONCEPTS = 256, 20
PARTS = 3_000


def cluster(quick: bool) -> Iterator[dict]:
    """One row per size: seconds, peak memory beyond the vectors' own, purity and number of clusters."""
    spawn = multiprocessing.get_context("spawn")
    for n in SIZES[:2] if quick else SIZES:
        for parts in (None, PARTS) if n > PARTS else (None,):
            with spawn.Pool(1) as pool:
                yield pool.apply(_measure, (n, parts))


def _measure(n, parts):
    from loce_jax.analysis.clustering import STRICT, cluster, cut_counts, group_size  # noqa: PLC0415
    from loce_jax.analysis.linkage import link  # noqa: PLC0415
    from loce_jax.analysis.precluster import precluster  # noqa: PLC0415
    from loce_jax.analysis.purity import cluster_purity  # noqa: PLC0415

    rng = np.random.default_rng(0)
    labels = np.arange(n) % CONCEPTS
    vectors = rng.normal(size=(n, CHANNELS)).astype(np.float32)
    vectors += 0.6 * rng.normal(size=(CONCEPTS, CHANNELS)).astype(np.float32)[labels]
    cluster(vectors[:50], labels[:50])  # imports
    precluster(vectors[:50], labels[:50], 10)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    if parts is None:
        found = cluster(vectors, labels).labels
    else:
        merged = precluster(vectors, labels, parts)
        size = group_size(STRICT.share, n)
        found = cut_counts(link(merged.centroids), merged.counts, size=size, purity=STRICT.purity).labels[merged.labels]
    seconds = time.perf_counter() - start
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kB on Linux
    row = {"part": "clustering", "n": n, "channels": CHANNELS, "concepts": CONCEPTS, "parts": parts}
    row |= {"seconds": seconds, "peak_growth_gb": growth * 1024 / 1e9}
    return row | {"purity": cluster_purity(found, labels), "clusters": int(found.max()) + 1}


if __name__ == "__main__":
    import json
    import sys

    for row in cluster("--quick" in sys.argv):
        print(json.dumps(row), flush=True)
