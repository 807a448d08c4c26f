"""Time the opening of a COCO annotation file, and count its memory, one JSON line: python benchmarks/bench_data.py.

The file is made up: 20,000 images with 7 annotations each, outlines of 24 points, as large as COCO's own.  Besides the
time to open it, the line has that of parsing its JSON alone, the time to decode the masks of some images, and the
memory before and after.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from loce_jax.data import open_coco

POINTS, CONCEPTS, HEIGHT, WIDTH = 24, 80, 480, 640


def write_file(path, images, annotations):
    """An annotation file with `annotations` star-shaped outlines in each image."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    entries = []
    for number in range(images * annotations):
        radii = rng.uniform(20, 100, POINTS)
        x = (rng.uniform(100, WIDTH - 100) + radii * np.cos(angles)).round(2)
        y = (rng.uniform(100, HEIGHT - 100) + radii * np.sin(angles)).round(2)
        entries.append(
            {
                "id": number,
                "image_id": number // annotations,
                "category_id": int(rng.integers(CONCEPTS)),
                "iscrowd": 0,
                "segmentation": [np.stack([x, y], axis=1).ravel().tolist()],
            }
        )
    photos = [{"id": i, "file_name": f"{i:012d}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(images)]
    categories = [{"id": number, "name": f"concept {number}"} for number in range(CONCEPTS)]
    path.write_text(json.dumps({"images": photos, "annotations": entries, "categories": categories}))


def megabytes():
    """Memory of this process in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main():
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--annotations", type=int, default=7, help="of each image")
    parser.add_argument("--decoded", type=int, default=2_000, help="images whose masks are decoded")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "instances.json")
        write_file(file, flags.images, flags.annotations)
        row = {"images": flags.images, "annotations": flags.images * flags.annotations}
        row |= {"file_mb": file.stat().st_size / 1e6, "before_mb": megabytes()}
        start = time.process_time()
        json.loads(file.read_bytes())
        row |= {"json_cpu_s": time.process_time() - start}
        start, cpu = time.perf_counter(), time.process_time()
        dataset = open_coco(file, folder)
        row |= {"open_s": time.perf_counter() - start, "open_cpu_s": time.process_time() - cpu}
        row |= {"opened_mb": megabytes()}
        start = time.perf_counter()
        pairs = sum(len(dataset.masks(item)) for item in dataset.items[: flags.decoded])
        row |= {"masks": pairs, "ms_per_mask": (time.perf_counter() - start) / pairs * 1e3, "decoded_mb": megabytes()}
    row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps(row))


if __name__ == "__main__":
    main()
