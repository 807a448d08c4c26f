"""Options of wrong types end in one clear error, wherever they are given."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from loce_jax import PaperRecipe, RidgeRecipe
from loce_jax.analysis.clustering.cut import ClusteringOptions
from loce_jax.checks import CheckedOptions, InputError, check_known, check_types
from loce_jax.study.options import Clustering, RetrievalOptions, Selection, StudyOptions

WRONG = {
    "text for a number": (lambda: plain(PaperRecipe, num_steps="50"), "`num_steps` must be int, but got '50'"),
    "fraction for a number": (lambda: plain(PaperRecipe, num_steps=2.5), "`num_steps` must be int, but got 2.5"),
    "flag for a number": (lambda: plain(PaperRecipe, seed=True), "`seed` must be int, but got True"),
    "nothing": (lambda: plain(RidgeRecipe, l2=None), "`l2` must be float, but got None"),
    "list for a text": (
        lambda: plain(PaperRecipe, objective=["bce"]),
        r"unknown objective \['bce'\]. Did you mean 'bce'",
    ),
    "text for several": (
        lambda: plain(Selection, layers="late"),
        r"`layers` must be tuple\[str, ...\], but got",
    ),
    "list": (lambda: plain(Selection, concepts=["cat"]), r"`concepts` must be tuple\[str, ...\], but got \['cat'\]"),
    "numbers": (lambda: plain(RetrievalOptions, ks=(1, "5")), r"`ks` must be tuple\[int, ...\]"),
    "other word": (lambda: plain(Clustering, cut="deep"), "`cut` must be one of 'adaptive', 'size', 'height'"),
    "none of two": (lambda: plain(Clustering, precluster="x"), "`precluster` must be int or None, but got 'x'"),
    "other options": (lambda: plain(StudyOptions, clusters=3), "`clusters` must be ClusterOptions, but got 3"),
    "options of the cut": (lambda: plain(ClusteringOptions, share="a"), "`share` must be float, but got 'a'"),
}


def plain(kind, **values):
    """Options as users make them, without the tests' type checker."""
    options = object.__new__(kind)
    for name in kind.__dataclass_fields__:
        field = kind.__dataclass_fields__[name]
        default = field.default_factory() if callable(field.default_factory) else field.default
        object.__setattr__(options, name, values.get(name, default))
    options.__post_init__()
    return options


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_options_of_wrong_types_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@dataclass(frozen=True)
class Odd(CheckedOptions):
    number: float = 1.0
    whole: int = 1
    pair: tuple[int, float] = (1, 2.0)
    word: Literal["a", 1] = "a"
    anything: Any = None
    either: int | str | None = None


def test_what_fits_is_kept_and_numbers_of_numpy_become_plain():
    odd = plain(Odd, number=np.float32(0.5), whole=np.int64(3), pair=(2, 3), word=1, anything=object(), either="x")
    assert type(odd.number) is float and type(odd.whole) is int and odd.whole == 3
    for values in ({"pair": (1,)}, {"word": True}, {"word": "b"}, {"either": 1.5}, {"number": "1"}):
        with pytest.raises(InputError, match=f"`{next(iter(values))}` must be"):
            plain(Odd, **values)
    with pytest.raises(InputError, match=r"^`whole` must be int, but got 'a{70,80}\.\.\.\. Give it as that type\.$"):
        plain(Odd, whole="a" * 10_000)
    check_types(Odd())


def test_names_that_are_no_texts_are_unknown():
    with pytest.raises(InputError, match="unknown layer 3. Known: a"):
        check_known("layer", [3], ["a"])  # pyright: ignore[reportArgumentType] - no texts


def test_a_long_name_is_cut():
    with pytest.raises(InputError, match=r"^unknown layer 'b{190,200}\.\.\.\. Known: a"):
        check_known("layer", ["b" * 10_000], ["a"])
