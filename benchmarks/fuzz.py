"""Feed damaged and hostile inputs to everything that parses, and count what should not happen.

``python benchmarks/fuzz.py KIND --inputs N [--seed S]`` prints one JSON line: how many inputs of the kind were refused
with one clear error, or accepted, and how many ended in a traceback, a hang, the death of the process, or a wrong
result; with the numbers of the first few of these.  ``all`` does every kind, a line each.  An input is made from the
seed and its number alone, so ``--first NUMBER --inputs 1`` repeats one.  With ``--guided`` (extra ``fuzz``), Atheris
makes them instead, and prefers what runs lines of the package that none has run yet.  Inputs run in a process of
limited memory (``--memory`` GB of address space); ``fuzzing/`` says what each kind is and when its result is wrong.
"""

import argparse
import json
import os
import queue
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable

from fuzzing import KINDS, open_kind

SECONDS_AN_INPUT, SECONDS_TO_START = 10, 300
BAD = ("traceback", "hang", "crash", "wrong")


class _TooLong(BaseException):
    """An input has not ended in time; no `OSError`, as `TimeoutError` is, which readers of files refuse."""


def too_long(*_: object) -> None:
    """What the alarm calls in the middle of an input."""
    raise _TooLong


class _Drawn(random.Random):
    """What is drawn are the bits of a content; zeros when they have ended."""

    def __init__(self, content: bytes):
        super().__init__()
        self._content = content

    def getrandbits(self, k: int) -> int:
        length = (k + 7) // 8
        taken, self._content = self._content[:length], self._content[length:]
        return int.from_bytes(taken, "little") & ((1 << k) - 1)

    def random(self) -> float:
        return self.getrandbits(53) / 2**53


def run_inputs(kind: str, seed: int, first: int, last: int, gigabytes: float, guided: bool) -> None:
    """In the process of limited memory: a line for each input when it has ended."""
    most = int(gigabytes * 1e9)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())

    signal.signal(signal.SIGALRM, too_long)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if guided:
            _run_guided(kind, seed, first, last, answers)
            return
        run = open_kind(kind)
        print("ready", file=answers, flush=True)
        for number in range(first, last):
            print(number, outcome_of(run, random.Random(f"{seed} {number}")), file=answers, flush=True)


def outcome_of(run: Callable[[random.Random], None], rng: random.Random) -> str:
    """What became of one input: a word, and where it is a bad one, what is known of it."""
    from fuzzing.damage import Refused, WrongResult  # noqa: PLC0415 - only once the package may be imported

    signal.setitimer(signal.ITIMER_REAL, SECONDS_AN_INPUT)
    try:
        run(rng)
        outcome = "accepted"
    except Refused:
        outcome = "refused"
    except _TooLong as error:
        *_, frame, _ = traceback.extract_tb(error.__traceback__)  # the last one is the alarm's
        outcome = f"hang at {frame.filename}:{frame.lineno}"
    except WrongResult as error:
        outcome = f"wrong {error}"
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is counted
        outcome = f"traceback {type(error).__name__}: {error}"
    signal.setitimer(signal.ITIMER_REAL, 0)
    return " ".join(outcome.split())[:200]


def _run_guided(kind, seed, first, last, answers):
    """Atheris makes the inputs, from which `_Drawn` draws; it ends the process."""
    import atheris  # noqa: PLC0415 - optional

    with atheris.instrument_imports(include=["loce_jax"]):  # pyright: ignore[reportAttributeAccessIssue] - untyped
        run = open_kind(kind)
    numbers = iter(range(first, last))

    def one(content):
        number = next(numbers, None)
        if number is not None:
            print(number, outcome_of(run, _Drawn(content)), file=answers, flush=True)

    print("ready", file=answers, flush=True)
    atheris.Setup([sys.argv[0], f"-runs={last - first}", f"-seed={seed + first + 1}", "-rss_limit_mb=0"], one)
    atheris.Fuzz()


def fuzz(kind: str, inputs: int, seed: int, first: int, gigabytes: float, guided: bool) -> dict:
    """The counts of one kind; a process that dies or hangs is followed by another one, at the next input."""
    counts, examples, number, start = Counter(), [], first, time.perf_counter()
    while number < first + inputs:
        child = [sys.executable, __file__, kind, "--seed", str(seed), "--first", str(number)]
        child += ["--inputs", str(first + inputs - number), "--memory", str(gigabytes), "--child"]
        child += ["--guided"] * guided
        process = subprocess.Popen(child, stdout=subprocess.PIPE, text=True)
        lines: queue.Queue = queue.Queue()
        threading.Thread(target=_forward, args=(process.stdout, lines), daemon=True).start()
        waiting = SECONDS_TO_START
        while True:
            try:
                line = lines.get(timeout=waiting)
            except queue.Empty:
                line = "hang"
            if line == "ready\n":
                waiting = 3 * SECONDS_AN_INPUT
                continue
            if line in (None, "hang"):
                break
            number, outcome = int(line.split()[0]) + 1, line.split(maxsplit=1)[1].strip()
            counts[outcome.split()[0]] += 1
            if outcome.split()[0] in BAD and len(examples) < 8:
                examples.append([number - 1, outcome])
        process.kill()
        process.wait()
        if number < first + inputs:  # the input after the last that has ended
            counts["hang" if line == "hang" else "crash"] += 1
            examples.append([number, "hang" if line == "hang" else f"crash {process.returncode}"])
            number += 1
    done = {name: counts[name] for name in ("refused", "accepted", *BAD)}
    return {
        "kind": kind,
        "inputs": inputs,
        **done,
        "seed": seed,
        "guided": guided,
        "seconds": round(time.perf_counter() - start, 1),
        "examples": examples[:8],
    }


def _forward(stream, lines):
    for line in stream:
        lines.put(line)
    lines.put(None)


def main() -> None:
    """Read the flags, and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kind", choices=[*KINDS, "all"])
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--memory", type=float, default=16.0)
    parser.add_argument("--guided", action="store_true", help="inputs by Atheris, which looks at what they run")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_inputs(given.kind, given.seed, given.first, given.first + given.inputs, given.memory, given.guided)
        return
    for kind in KINDS if given.kind == "all" else [given.kind]:
        print(json.dumps(fuzz(kind, given.inputs, given.seed, given.first, given.memory, given.guided)), flush=True)


if __name__ == "__main__":
    main()
