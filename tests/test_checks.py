"""Options of wrong types end in one clear error, wherever they are given."""

import os
from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from loce_jax import (
    PaperRecipe,
    Preprocess,
    RidgeRecipe,
    fit,
    load_network,
    make_extractor,
    mask_iou,
    open_run,
    project,
    quantize,
    resize_mask,
)
from loce_jax.analysis.clustering.cut import ClusteringOptions
from loce_jax.checks import CheckedOptions, InputError, check_arguments, check_known, check_types
from loce_jax.data import KINDS, DataOptions, open_arrays, select
from loce_jax.data.opening import opener, parameters
from loce_jax.models.loading import LoadOptions
from loce_jax.pipeline.distributed.ray_cluster import RayOptions
from loce_jax.pipeline.run import RunOptions
from loce_jax.study.options import Clustering, RetrievalOptions, Selection, StudyOptions
from tests.support.tiny import Boxes, tiny_network

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
    "a list of numbers for texts": (
        lambda: plain(Selection, concepts=[3]),
        r"`concepts` must be tuple\[str, ...\], but got",
    ),
    "numbers": (lambda: plain(RetrievalOptions, ks=(1, "5")), r"`ks` must be tuple\[int, ...\]"),
    "other word": (lambda: plain(Clustering, cut="deep"), "`cut` must be one of 'adaptive', 'size', 'height'"),
    "none of two": (lambda: plain(Clustering, precluster="x"), "`precluster` must be int or None, but got 'x'"),
    "other options": (lambda: plain(StudyOptions, clusters=3), "`clusters` must be ClusterOptions, but got 3"),
    "options of the cut": (lambda: plain(ClusteringOptions, share="a"), "`share` must be float, but got 'a'"),
}


WRONG_OF_A_RUN = {
    "network": ("resnet-50", "`network` must be Network, but got 'resnet-50'"),
    "layers": ("deep", "`layers` must be a sequence of str, but got 'deep'"),
    "out": (None, "`out` must be str or Path, but got None"),
    "recipe": ("ridge", "`recipe` must be PaperRecipe or RidgeRecipe, but got 'ridge'"),
    "target": (100, r"`target` must be tuple\[int, int\], but got 100"),
    "iou": (["logit"], "`iou` must be one of"),
    "strict": ("yes", "`strict` must be bool, but got 'yes'"),
    "memory": ("8", "`memory` must be float or None, but got '8'"),
    "retry_failed": (1, "`retry_failed` must be bool, but got 1"),
    "max_failures": (None, "`max_failures` must be float, but got None"),
    "repair": ("all", "`repair` must be bool"),
    "progress": (3, "`progress` must be a function or None, but got 3"),
    "dataset": ("coco.json", "`dataset` must have items, concepts, fingerprint and read, but str lacks"),
}
ARRAY = np.zeros((2, 4, 4, 3), "float32")
WRONG_CALLS = {
    "no path": (lambda: anything(open_run)(None), "`path` must be str or Path, but got None"),
    "a layer": (lambda: anything(make_extractor)(tiny_network(), "deep"), "`layers` must be a sequence of str"),
    "a number for a size": (lambda: anything(load_network)("x", size=224), r"`size` must be tuple\[int, int\] or None"),
    "an object": (
        lambda: anything(load_network)("x", preprocess=Preprocess((4, 4))),
        "`preprocess` must be str, but got Preprocess",
    ),
    "a dtype": (lambda: anything(load_network)("x", dtype=np.float32), "`dtype` must be one of 'float32', 'bfloat16'"),
    "two means": (lambda: plain(Preprocess, size=(4, 4), mean=[0, 0]), r"`mean` must be tuple\[float"),
    "a std of 0": (lambda: plain(Preprocess, size=(4, 4), std=(0.0, 0.0, 0.0)), "`std` must be above 0"),
    "a text for a number of data": (lambda: plain(DataOptions, max_images="3"), "`max_images` must be int or None"),
    "a text for texts of data": (lambda: plain(DataOptions, groups="a"), r"`groups` must be tuple\[str, ...\]"),
    "no flag": (lambda: plain(RunOptions, strict="yes"), "`strict` must be bool"),
    "no precision": (lambda: plain(LoadOptions, dtype="int8"), "`dtype` must be one of 'float32', 'bfloat16'"),
    "no count": (lambda: plain(RayOptions, cpus="all"), "`cpus` must be float"),
    "options as a dict": (lambda: anything(select)(Boxes(1), {"max_images": 3}), "`options` must be DataOptions"),
    "a path for a data set": (lambda: anything(select)("a", DataOptions()), "`dataset` must have items"),
    "lists for arrays": (
        lambda: anything(open_arrays)([[0]], masks=[[0]]),
        "`images` must be an array, but got a list",
    ),
    "a text for a mask": (lambda: anything(resize_mask)("x", (4, 4)), "`mask` must be an array"),
    "a side for a size": (lambda: anything(resize_mask)(ARRAY[0, 0] > 0, 4), r"`size` must be tuple\[int, int\]"),
    "masks for a mask": (lambda: anything(resize_mask)(ARRAY[0] > 0, (4, 4)), "`mask` must have 2 axes"),
    "a list for a mask": (lambda: anything(mask_iou)(ARRAY[0, 0], [[0]]), "`mask` must be an array"),
    "a list for a map": (lambda: anything(quantize)([[0.5]]), "`logits` must be an array"),
    "a list for filters": (lambda: anything(project)(ARRAY[0], [0, 0, 0], 0.0), "`filters` must be an array"),
}


def anything(function) -> Any:
    """The function without the tests' type checker, as users call it."""
    return function


def plain(kind, **values):
    """Options as users make them, without the tests' type checker."""
    options = object.__new__(kind)
    for name in kind.__dataclass_fields__:
        field = kind.__dataclass_fields__[name]
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        object.__setattr__(options, name, values.get(name, default))
    options.__post_init__()
    return options


@pytest.mark.wrong_types
@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_options_of_wrong_types_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.wrong_types
@pytest.mark.parametrize("name", WRONG_OF_A_RUN)
def test_arguments_of_a_run_of_wrong_types_are_refused(name, tmp_path):
    given = {"network": tiny_network(), "dataset": Boxes(1), "layers": ["deep"], "out": tmp_path / "run"}
    value, message = WRONG_OF_A_RUN[name]
    with pytest.raises(InputError, match=message):
        anything(fit)(**{**given, name: value})
    assert not (tmp_path / "run").exists()


@pytest.mark.wrong_types
@pytest.mark.parametrize(("call", "message"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_arguments_of_wrong_types_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "scenes"])
def test_a_path_that_is_none_is_refused_by_every_kind(kind):
    given = {name: None for name, needed in parameters(kind).items() if needed}
    with pytest.raises(InputError, match="`path` must be str or Path, but got None"):
        opener(kind)(**given)


def test_numbers_of_numpy_and_paths_of_other_libraries_are_taken():
    @check_arguments
    def call(path: str | Path, size: tuple[int, int], names: Sequence[str] | None = None) -> Any:
        return path, size, names

    class Elsewhere:
        def __fspath__(self):
            return "/"

    path, size, names = anything(call)(Elsewhere(), (np.int64(3), 4), names=["a"])
    assert os.fspath(path) == "/" and [type(one) for one in size] == [int, int] and names == ["a"]
    with pytest.raises(TypeError, match="missing a required argument: 'size'"):
        anything(call)("a")


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
    with pytest.raises(InputError, match="`seed` must be 0 or more, but got -1"):
        Selection(seed=-1)
    lists = plain(Odd, pair=[np.int64(1), 2.5])
    assert lists.pair == (1, 2.5) and type(lists.pair[0]) is int
    assert hash(plain(Preprocess, size=[4, 4], mean=[0, 0, 0])) == hash(Preprocess((4, 4), mean=(0, 0, 0)))


@pytest.mark.wrong_types
def test_names_that_are_no_texts_are_unknown():
    with pytest.raises(InputError, match="unknown layer 3. Known: a"):
        check_known("layer", [3], ["a"])  # pyright: ignore[reportArgumentType] - no texts


def test_a_long_name_is_cut():
    with pytest.raises(InputError, match=r"^unknown layer 'b{190,200}\.\.\.\. Known: a"):
        check_known("layer", ["b" * 10_000], ["a"])
