"""A traced function as a list of steps that can be changed in the middle, and cut in two.

Built on JAX's own jaxprs, whose jitted parts are laid out flat; parts with a derivative of their own stay whole.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jax
from jax.extend import core

JITTED = ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint")


@dataclass(frozen=True)
class Step:
    """One primitive operation; values are numbers of a program's, or literals."""

    equation: core.JaxprEqn
    inputs: tuple[Any, ...]
    outputs: tuple[int, ...]

    def reads(self) -> set[int]:
        """The values it needs."""
        return {value for value in self.inputs if isinstance(value, int)}

    def run(self, values: Mapping[int, Any]) -> Sequence[Any]:
        """What it computes from `values`."""
        primitive, given = self.equation.primitive, [_value(one, values) for one in self.inputs]
        with self.equation.ctx.manager:
            found = primitive.bind(*given, **primitive.get_bind_params(self.equation.params))
        return found if primitive.multiple_results else [found]


@dataclass(frozen=True)
class Program:
    """Steps in order.

    Attributes:
        inputs: the numbers of its arguments' values, one a leaf.
        constants: values by number that the function holds itself.
        steps: each reads only values of inputs, constants and earlier steps.
        outputs: the numbers of its results, or literals, one a leaf.
    """

    inputs: tuple[int, ...]
    constants: Mapping[int, Any]
    steps: tuple[Step, ...]
    outputs: tuple[Any, ...]

    def run(self, *arguments: Any) -> list[Any]:
        """The results for `arguments`, each a leaf."""
        return self.run_edited(arguments, {})

    def run_edited(self, arguments: Iterable[Any], edits: Mapping[int, Callable[[Any], Any]]) -> list[Any]:
        """The same; a value whose number is in `edits` goes on as the function makes it."""
        values = {**self.constants, **dict(zip(self.inputs, arguments, strict=True))}
        values |= {number: edit(values[number]) for number, edit in edits.items() if number in values}
        for step in self.steps:
            for number, value in zip(step.outputs, step.run(values), strict=True):
                values[number] = edits[number](value) if number in edits else value
        return [_value(one, values) for one in self.outputs]

    def part(self, inputs: Sequence[int], outputs: Sequence[Any]) -> "Program":
        """The steps that lead from the values `inputs` to the values `outputs`."""
        needed, steps = {one for one in outputs if isinstance(one, int)}, []
        for step in reversed(self.steps):
            if needed.intersection(step.outputs) - set(inputs):
                steps.append(step)
                needed |= step.reads()
        return Program(tuple(inputs), self.constants, tuple(reversed(steps)), tuple(outputs))

    def depends_on(self, inputs: Iterable[int]) -> set[int]:
        """The values that cannot be had without the values `inputs`, which are among them."""
        found = set(inputs)
        for step in self.steps:
            if found & step.reads():
                found.update(step.outputs)
        return found


def to_program(function: Callable, *arguments: Any) -> tuple[Program, Any]:
    """What `function` does with arguments of these shapes, and the structure of what it returns."""
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    return flattened(closed), jax.tree.structure(shapes)


def flattened(closed: core.ClosedJaxpr) -> Program:
    """The steps of a traced function."""
    numbers, constants, steps = iter(range(2**62)), {}, []

    def lay_out(jaxpr: core.Jaxpr, held: Iterable[Any], given: Sequence[Any]) -> list[Any]:
        known = dict(zip(jaxpr.invars, given, strict=True))
        for var, value in zip(jaxpr.constvars, held, strict=True):
            known[var] = next(numbers)
            constants[known[var]] = value

        def named(var: Any) -> Any:
            return var if isinstance(var, core.Literal) else known[var]

        for equation in jaxpr.eqns:
            inputs, inner = tuple(map(named, equation.invars)), _inner(equation)
            if inner is None:
                found = [next(numbers) for _ in equation.outvars]
                steps.append(Step(equation, inputs, tuple(found)))
            else:
                found = lay_out(inner.jaxpr, inner.consts, inputs)
            known |= dict(zip(equation.outvars, found, strict=True))
        return list(map(named, jaxpr.outvars))

    inputs = [next(numbers) for _ in closed.jaxpr.invars]
    outputs = lay_out(closed.jaxpr, closed.consts, inputs)
    return Program(tuple(inputs), constants, tuple(steps), tuple(outputs))


def find_dead_ends(
    starts: Mapping[str, Any], ends: Mapping[str, Any], links: Sequence[tuple[Iterable[int], Iterable[int]]]
) -> tuple[str, ...]:
    """The names in `starts` on which nothing else that is named in `ends` depends.

    Args:
        starts: the value that goes on, by name.
        ends: the values that can be read, by name.
        links: in order, the values that a step makes, and those that it reads.
    """
    behind: dict[Any, set[str]] = {}  # which ends depend on a value; of more than two, two: one is not the start itself

    def note(value: Any, names: Iterable[str]) -> None:
        known = behind.setdefault(value, set())
        known.update(islice((name for name in names if name not in known), 2 - len(known)))

    for name, value in ends.items():
        note(value, [name])
    for made, read in reversed(links):
        names = set[str]().union(*(behind.get(value, ()) for value in made))
        for value in read if names else ():
            note(value, names)
    return tuple(name for name, value in starts.items() if not behind[value] - {name})


def _inner(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """The jitted part that an equation calls."""
    inner = equation.params.get("jaxpr")
    return inner if equation.primitive.name in JITTED and isinstance(inner, core.ClosedJaxpr) else None


def _value(one: Any, values: Mapping[int, Any]) -> Any:
    return values[one] if isinstance(one, int) else one.val
