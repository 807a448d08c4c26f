"""Time the analysis of many vectors: ``python benchmarks/bench_analysis.py COMMAND [--quick]``.

Prints JSON lines, each number of vectors (or concepts) in a process of its own:

    distances   precision@{1,5,10,20,30,40}, then interclass distances, overlap and pairwise separation, of 256-d
                float32 vectors in 20 overlapping concepts; at 3,000 also the plain float64 form and the
                largest difference from it; at the end the exponent of n that time grows with from each number
                to the next
    clusters    adaptive clusters (ward, euclidean, strict) of 256-d float32 vectors in 20 concepts, exactly and after
                merging near ones into 3,000 means
    concepts    a run of 10,000 LoCEs of 256 channels in 1,200 concepts (`many_concepts.py`), photographs of 640 x 480
                pixels with three concepts each: `loce analyze` with every step, and the page, with its size
    plot        draws the lines of analysis.jsonl beside this file as analysis.png

`first_s` holds compilation, at a few thousand vectors; `growth_mb` is what the measured part adds to the resident
memory at its peak, without vectors and warm-up, and `resident_mb` is the total.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from machine import machine

CHANNELS, CONCEPTS = 256, 20
SIZES = (3_000, 10_000, 30_000, 100_000)
TREES = (1_000, 3_000, 10_000, 20_000)
MANY = (60, 1_200)  # concepts
PARTS = 3_000
PLAIN = 3_000  # vectors up to which the plain form is measured too
WARM = 2_500  # vectors that compile everything: more than the limit for computing without tiles
KS = (1, 5, 10, 20, 30, 40)


def make_vectors(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian concepts with Gaussian centers, a scale per dimension; they overlap."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CONCEPTS, n)
    spread = np.exp(rng.normal(size=CHANNELS)).astype(np.float32)
    centers = 0.5 * rng.normal(size=(CONCEPTS, CHANNELS)).astype(np.float32)
    return (centers[labels] + rng.standard_normal((n, CHANNELS), np.float32)) * spread, labels


def resident_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def analyze(vectors: np.ndarray, labels: np.ndarray) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Seconds of each part, and what is compared with the plain form."""
    from loce_jax.analysis.metrics.overlap import overlap_ratio  # noqa: PLC0415
    from loce_jax.analysis.metrics.retrieval import precision_at  # noqa: PLC0415
    from loce_jax.analysis.metrics.separation import pairwise_separation  # noqa: PLC0415
    from loce_jax.analysis.neighbors.interclass import interclass_distances  # noqa: PLC0415 - timed in the child process only

    start = time.perf_counter()
    retrieval = precision_at(vectors, labels, KS)
    retrieved = time.perf_counter()
    interclass = interclass_distances(vectors, labels)
    separation = pairwise_separation(vectors, labels, interclass=interclass)
    overlap = overlap_ratio(vectors, labels, interclass=interclass)
    end = time.perf_counter()
    seconds = {"retrieval_s": retrieved - start, "contacts_s": end - retrieved, "total_s": end - start}
    found = {
        "precision": retrieval.precision.per_query,
        "average_precision": retrieval.average_precision.per_query,
        "separation": separation.matrix,
        "overlap": overlap.matrix,
    }
    return seconds, found


def analyze_plainly(vectors: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The same numbers from whole float64 matrices, written from the definitions."""
    from scipy.spatial.distance import cdist  # noqa: PLC0415 - in the child process only

    points, n = vectors.astype(np.float64), len(vectors)
    cosine = cdist(points, points, "cosine")
    np.fill_diagonal(cosine, np.inf)
    hits = labels[np.argsort(cosine, axis=1, kind="stable")[:, : max(KS)]] == labels[:, None]
    precision_at_rank = np.cumsum(hits, axis=1) / np.arange(1, max(KS) + 1)
    others = np.bincount(labels)[labels] - 1
    average = [(precision_at_rank * hits)[:, :k].sum(axis=1) / np.minimum(k, others) for k in KS]
    distances = cdist(points, points)
    apart = np.where(np.eye(n, dtype=bool), np.inf, distances)
    separation, overlap = np.zeros((2, CONCEPTS, CONCEPTS))
    for i in range(CONCEPTS):
        for j in set(range(CONCEPTS)) - {i}:
            mine, other = labels == i, labels == j
            both = mine | other
            separation[i, j] = distances[mine][:, other].min() / (distances[both][:, both].max() + 1e-6)
            overlap[i, j] = np.mean(apart[mine][:, other].min(axis=1) < apart[mine][:, mine].min(axis=1))
    precision = precision_at_rank[:, np.array(KS) - 1]
    return {
        "precision": precision,
        "average_precision": np.stack(average, axis=1),
        "separation": separation,
        "overlap": overlap,
    }


def measure_distances(n: int) -> dict:
    """One number of vectors, in this process."""
    warm = make_vectors(WARM)
    start = time.perf_counter()
    analyze(*warm)
    first = time.perf_counter() - start
    vectors = make_vectors(n)
    before = resident_mb()
    seconds, found = analyze(*vectors)
    row = {"n": n, "first_s": first, **seconds, "growth_mb": resident_mb() - before, "resident_mb": resident_mb()}
    if n <= PLAIN:
        start = time.perf_counter()
        expected = analyze_plainly(*vectors)
        row["plain_s"] = time.perf_counter() - start
        row["largest_difference"] = max(float(np.abs(found[name] - expected[name]).max()) for name in found)
    return {key: value if key in ("n", "largest_difference") else round(value, 3) for key, value in row.items()}


def measure_clusters(n: int) -> dict:
    """One number of vectors, in this process; the parts first, for they take less memory."""
    from loce_jax.analysis.clustering.cut import STRICT, cluster, cut_counts, max_cluster_size  # noqa: PLC0415 - in the child only
    from loce_jax.analysis.clustering.linkage import link  # noqa: PLC0415
    from loce_jax.analysis.clustering.precluster import precluster  # noqa: PLC0415
    from loce_jax.analysis.metrics.purity import cluster_purity  # noqa: PLC0415

    def by_parts(vectors, labels, parts):
        merged = precluster(vectors, labels, parts)
        size = max_cluster_size(STRICT.share, len(vectors))
        cut = cut_counts(link(merged.centroids), merged.counts, size=size, purity=STRICT.purity)
        return cut.labels[merged.labels]

    vectors, labels = make_vectors(n)
    cluster(vectors[:50], labels[:50])  # imports
    by_parts(vectors[:50], labels[:50], 10)
    before, row = resident_mb(), {"n": n}
    ways = {"parts": lambda: by_parts(vectors, labels, PARTS)} if n > PARTS else {}
    for name, way in (ways | {"exact": lambda: cluster(vectors, labels).labels}).items():
        start = time.perf_counter()
        found = way()
        row |= {
            f"{name}_s": round(time.perf_counter() - start, 3),
            f"{name}_growth_mb": round(resident_mb() - before),
            f"{name}_purity": round(cluster_purity(found, labels), 4),
            f"{name}_clusters": int(found.max()) + 1,
        }
    return row


def run_sizes(command: str, sizes: Sequence[int], seconds: str) -> None:
    """Every size in a process of its own, then the exponents that `seconds` grows with."""
    rows = []
    for n in sizes:
        child = [sys.executable, __file__, command, "--job", str(n)]
        done = subprocess.run(child, stdout=subprocess.PIPE, check=True, text=True)
        rows.append(json.loads(done.stdout))
        print(json.dumps({"bench": command} | rows[-1] | machine()), flush=True)
    for small, large in zip(rows, rows[1:], strict=False):
        exponent = math.log(large[seconds] / small[seconds]) / math.log(large["n"] / small["n"])
        print(json.dumps({"bench": command, "from": small["n"], "to": large["n"], "exponent": round(exponent, 2)}))


def plot() -> None:
    """Seconds over the number of vectors, from the recorded lines."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - nothing else needs it

    here = Path(__file__).parent
    rows = [json.loads(line) for line in (here / "analysis.jsonl").read_text().splitlines()]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    curves = {
        "retrieval": ("distances", "retrieval_s"),
        "separation and overlap": ("distances", "contacts_s"),
        "clusters": ("clusters", "exact_s"),
        f"clusters of {PARTS:,} parts": ("clusters", "parts_s"),
    }
    for label, (bench, name) in curves.items():
        points = [(row["n"], row[name]) for row in rows if row["bench"] == bench and name in row]
        axes.loglog(*zip(*points, strict=True), marker="o", label=label)
    axes.set(xlabel="vectors (256 channels)", ylabel="seconds")
    axes.legend(frameon=False)
    figure.savefig(here / "analysis.png", dpi=110)


def measure_concepts(concepts: int) -> dict:
    """A run of that many concepts, in this process."""
    import tempfile  # noqa: PLC0415 - in the child only

    from many_concepts import SCALE, Photographs, write_run  # noqa: PLC0415

    from loce_jax.cli import main as loce  # noqa: PLC0415
    from loce_jax.report.page import write_report  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        photographs = Photographs(concepts, concepts * SCALE)
        run, row = write_run(Path(folder) / "run", photographs), {"n": concepts, "loces": concepts * SCALE}
        start, processor = time.perf_counter(), time.process_time()
        with open(Path(folder) / "printed.txt", "w", encoding="utf-8") as printed, redirect_stdout(printed):
            assert loce(["analyze", str(run.path), "--out", str(Path(folder) / "analysis")]) == 0
        row |= {"analyze_s": time.perf_counter() - start, "analyze_cpu_s": time.process_time() - processor}
        size = sum(path.stat().st_size for path in (Path(folder) / "analysis").rglob("*"))
        start, processor = time.perf_counter(), time.process_time()
        page = write_report(run, photographs, Path(folder) / "page.html")
        row |= {"page_s": time.perf_counter() - start, "page_cpu_s": time.process_time() - processor}
        row |= {"page_mb": page.stat().st_size / 1e6, "analysis_mb": size / 1e6, "resident_mb": resident_mb()}
    return {key: round(value, 2) for key, value in row.items()}


# What can be measured: sizes, one of them in a process of its own, and the number that grows.
COMMANDS: dict[str, tuple[Sequence[int], Callable[[int], dict], str]] = {
    "distances": (SIZES, measure_distances, "total_s"),
    "clusters": (TREES, measure_clusters, "exact_s"),
    "concepts": (MANY, measure_concepts, "page_s"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=[*COMMANDS, "plot"])
    parser.add_argument("--quick", action="store_true", help="the smallest size only, as a test")
    parser.add_argument("--job", type=int, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.command == "plot":
        plot()
        return
    sizes, measure, seconds = COMMANDS[flags.command]
    if flags.job:
        print(json.dumps(measure(flags.job)))
    else:
        run_sizes(flags.command, sizes[:1] if flags.quick else sizes, seconds)


if __name__ == "__main__":
    main()
