"""Damaged command lines."""

from fuzzing.damage import Refused, Run, check
from fuzzing.runs import small_run
from loce_jax.cli import main


def commands() -> Run:
    """Command lines: words that are lost, doubled, swapped or hostile."""
    root = str(small_run())
    seeds = (
        ["show", root, "--verify"],
        ["stats", root, "--layers", "a", "--concepts", "cat"],
        ["report", root, "--out", "page.html", "--coco", "none.json", "--images", "none"],
        ["fit", "--model", "none", "--layers", "-1", "--coco", "a.json", "--images", "b", "--out", "new"],
        ["fit", "--coco", "a.json", "--layers", "-1", "--out", "new", "--model", "none", "--solver.num-steps", "5"],
        ["layers", "--model", "none"],
        ["compare", root, root, "--layers", "a"],
    )
    words = ["", "-", "--", "-1", "1e999", "nan", "10000000000000", "\x00", "\ud800", "--help", "--out", "[/red]", "~"]

    def run(rng):
        given = list(rng.choice(seeds))
        for _ in range(rng.randrange(1, 4)):
            at, way = rng.randrange(len(given)) if given else 0, rng.randrange(4)
            if way == 0 and given:
                del given[at]
            elif way == 1 and given:
                given.insert(at, rng.choice(given))
            elif way == 2 and given:
                given[at] = rng.choice(words)
            else:
                given.insert(at, rng.choice(words))
        try:
            code = main(given)
        except SystemExit as end:  # the parser's way
            code = end.code or 0
        check(code in (0, 1, 2, 4), f"exit code {code}")
        if code:
            raise Refused

    return run
