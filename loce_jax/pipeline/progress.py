"""How far a run is, in images."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from loce_jax.pipeline.plan import Plan

Progress = Callable[[int, int], None]


def report_chunks(
    plan: Plan,
    names: Sequence[str],
    left: Sequence[str],
    finished: Generator[str, None, None],
    progress: Progress | None,
) -> None:
    """Wait for `finished`, the chunks of `left` as they end; `progress` gets the images done and those of `names`.

    A `progress` that raises ends the work after what it has in hand.
    """
    report = progress or (lambda done, total: None)
    sizes = {name: len(items) for name, items in plan.chunks.items()}
    total = sum(sizes[name] for name in names)
    done = total - sum(sizes[name] for name in left)
    with closing(finished):
        report(done, total)
        for name in finished:
            done += sizes[name]
            report(done, total)


def offset_progress(progress: Progress | None, *, before: int = 0, after: int = 0) -> Progress | None:
    """`progress` for a stage that comes after `before` other images and ahead of `after` more.

    >>> offset_progress(lambda done, total: print(done, "of", total), before=40, after=7)(1, 3)
    41 of 50
    """
    return progress and (lambda done, total: progress(before + done, before + total + after))
