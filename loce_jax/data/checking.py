"""Check a data set before it is used: counts, sizes, and every problem with the file and the annotation it is about.

Shapes: H x W pixels of an image.
"""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from loce_jax.data.samples import Dataset, Fault, Item, Pair, Problem, check_reading
from loce_jax.data.selection import group_of


@dataclass(frozen=True)
class ConceptCount:
    """One concept of a data set.

    Attributes:
        concept: its name.
        images: number of images with a usable mask.
        annotations: number of annotations in these masks; None where masks are not made of annotations.
        problems: number of problems that name it.
        median_share: median of the mask's share of the image, 0 to 1; NaN without a usable mask.
        smallest: pixels of the smallest usable mask; 0 without one.
    """

    concept: str
    images: int
    annotations: int | None
    problems: int
    median_share: float
    smallest: int


@dataclass(frozen=True)
class DataReport:
    """What `check_data` found.

    Attributes:
        concepts: counts, in the data set's order.
        sizes: number of images by size ``(H, W)``, the commonest first.
        groups: number of images by group; empty where there are none.
        problems: each with file and annotation.
        notes: what is no problem, but may be a mistake, such as values of label maps that are no class.
    """

    concepts: tuple[ConceptCount, ...]
    sizes: tuple[tuple[tuple[int, int], int], ...]
    groups: tuple[tuple[str, int], ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


def check_data(dataset: Dataset, progress: Callable[[int, int], None] = lambda done, total: None) -> DataReport:
    """Open every image and every mask of a data set, one after the other, and report.

    Args:
        dataset: any data set; problems that it met when it was opened are part of the report.
        progress: called with the number of images opened and of all images.

    >>> from loce_jax.data.scenes import Scenes
    >>> report = check_data(Scenes(count=1))
    >>> report.sizes, report.problems
    ((((240, 320), 1),), ())
    """
    areas: dict[str, list[tuple[int, float]]] = {name: [] for name in dataset.concepts}
    annotations: Counter[str] = Counter()
    whole = getattr(dataset, "base", dataset)
    is_known = getattr(whole, "is_without_area", lambda pair: False)  # whether the problems say so already
    place_of = getattr(whole, "place_of", _numbers)
    has_annotations = any(pair.annotation_ids for item in dataset.items for pair in item.pairs)
    problems_of = getattr(whole, "problems_of", lambda item: ())  # those that only reading an item shows
    problems = _problems_of(dataset)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda item: _look_at(dataset, item, is_known, place_of), dataset.items)
        for done, (item, (seen, met)) in enumerate(zip(dataset.items, found, strict=True), start=1):
            problems += [*met, *problems_of(item)]
            for pair in item.pairs:
                if pair.concept in seen:
                    areas[pair.concept].append((seen[pair.concept], seen[pair.concept] / (item.size[0] * item.size[1])))
                    annotations[pair.concept] += len(pair.annotation_ids)
            progress(done, len(dataset.items))
    named = Counter(problem.concept for problem in problems)
    counts = [
        ConceptCount(
            concept=name,
            images=len(found),
            annotations=annotations[name] if has_annotations else None,
            problems=named[name],
            median_share=float(np.median([share for _, share in found])) if found else float("nan"),
            smallest=min((pixels for pixels, _ in found), default=0),
        )
        for name, found in areas.items()
    ]
    sizes = Counter(item.size for item in dataset.items)
    groups = Counter(group for item in dataset.items if (group := group_of(item)) is not None)
    return DataReport(
        concepts=tuple(counts),
        sizes=tuple(sizes.most_common()),
        groups=tuple(sorted(groups.items())),
        problems=tuple(problems),
        notes=tuple(getattr(dataset, "notes", ())),
    )


def _problems_of(dataset: Dataset) -> list[Problem]:
    """What the data set met when it was opened; of a selection, also the entries that are of no image."""
    found: list[Problem] = list(getattr(dataset, "problems", ()))
    whole = getattr(getattr(dataset, "base", None), "problems", ())
    return found + [one for one in whole if one.status == "entry_unusable" and one not in found]


def _look_at(
    dataset: Dataset, item: Item, is_known: Callable[[Pair], bool], place_of: Callable[[Pair], str]
) -> tuple[dict[str, int], list[Problem]]:
    """Pixels of each usable mask of an item, and its problems."""
    try:
        reading = check_reading(item, dataset.read(item))
    except Fault as fault:
        return {}, [Problem(item.image, "", "", fault.status, fault.reason)]
    seen, met = {}, []
    for pair, mask in zip(item.pairs, reading.masks, strict=True):
        if isinstance(mask, Fault) and mask.status == "mask_empty" and is_known(pair):
            continue
        if isinstance(mask, Fault):
            met.append(Problem(item.image, place_of(pair), pair.concept, mask.status, mask.reason))
        else:
            seen[pair.concept] = int(mask.sum())
    return seen, met


def _numbers(pair: Pair) -> str:
    return f"annotation {', '.join(map(str, pair.annotation_ids))}" if pair.annotation_ids else ""
