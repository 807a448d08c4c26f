"""What `solve` accepts, and what it refuses: axes of other libraries, lists, wrong types; and NaN rows when JAX looks
for NaN."""

import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError, PaperRecipe, RidgeRecipe, Statistics, Status, mask_iou, solve
from loce_jax.arrays import as_array, has_channels_first
from loce_jax.solver.inputs import check_inputs
from loce_jax.solver.solve import is_traced

QUICK = PaperRecipe(num_steps=3)
unchecked: Any = getattr(solve, "__wrapped__", solve)  # users run without the tests' own shape checker
statistics_of = getattr(Statistics.of.__func__, "__wrapped__", Statistics.of.__func__)


def make_batch(grid=(4, 3), channels=5, target=None, n=2):
    rng = np.random.default_rng(0)
    masks = (rng.random((n, *(target or grid))) < 0.4).astype("float32")
    masks[:, 0, 0], masks[:, 1, 1] = 1, 0
    return rng.normal(size=(n, *grid, channels)).astype("float32"), masks


def check(activations, masks, recipe=QUICK, *, channels_last=None, **options):
    options = {"valid": None, "initial": None, "statistics": None} | options
    return check_inputs(activations, masks, recipe, options, channels_last=channels_last)


def first(activations):
    return activations.transpose(0, 3, 1, 2)


def test_channels_first_is_refused_where_the_masks_show_it():
    activations, masks = make_batch()
    with pytest.raises(InputError, match=r"channels last, but shape \(2, 5, 4, 3\) is \[n c h w\], as the masks show"):
        check(first(activations), masks)
    with pytest.raises(InputError, match="as the masks show"):
        check(first(activations), np.stack([masks, masks], axis=1))


@pytest.mark.parametrize("declared", ["statistics", "initial"])
def test_channels_first_is_refused_where_the_channels_show_it(declared):
    activations, masks = make_batch(target=(9, 8))
    given: dict[str, Any]
    if declared == "statistics":
        given = {"recipe": RidgeRecipe(), "statistics": Statistics.of(activations)}
    else:
        given = {"initial": np.zeros((2, 5), "float32")}
    with pytest.raises(InputError, match="as the channels show. Say `channels_last=False`"):
        check(first(activations), masks, **given)
    check(activations, masks, **given)


def test_channels_first_is_refused_where_masks_of_another_size_show_it():
    activations, masks = np.zeros((2, 32, 7, 7), "float32"), np.zeros((2, 60, 60), "float32")
    with pytest.raises(InputError, match="as the masks show. Say `channels_last=False`"):
        check(activations, masks)
    assert check(activations, masks, channels_last=False)[0].shape == (2, 7, 7, 32)
    check(np.zeros((2, 7, 7, 32), "float32"), masks)
    check(np.zeros((2, 25, 34, 34), "float32"), masks)
    assert not has_channels_first((2, 14, 14, 14), grid=(60, 60))


def test_what_nothing_shows_is_taken_as_it_is():
    activations, masks = make_batch(target=(9, 8))
    assert check(first(activations), masks)[0].shape == (2, 5, 4, 3)
    assert not has_channels_first((2, 4, 4, 4), grid=(4, 4), channels=4)


@pytest.mark.wrong_types
def test_the_hint_decides():
    activations, masks = make_batch()
    expected = np.asarray(solve(activations, masks, QUICK).vectors)
    for array in (first(activations), jnp.asarray(first(activations))):
        np.testing.assert_array_equal(solve(array, masks, QUICK, channels_last=False).vectors, expected)
    assert check(first(activations), masks, channels_last=True)[0].shape == (2, 5, 4, 3)
    np.testing.assert_array_equal(
        Statistics.of(first(activations), channels_last=False).scatter, Statistics.of(activations).scatter
    )
    with pytest.raises(InputError, match="`channels_last` must be True, False or None, but got 'yes'"):
        check(activations, masks, channels_last="yes")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 4, 3, 1), r"ends with an axis of length 1.*Drop it: `masks\[..., 0\]`"),
        ((2, 9, 8, 1), r"ends with an axis of length 1"),
        ((2, 4, 3, 7), r"has them last. Move them: `masks.transpose\(0, 3, 1, 2\)`"),
    ],
)
def test_masks_with_other_axes_are_refused(shape, message):
    activations, _ = make_batch()
    with pytest.raises(InputError, match=message):
        check(activations, np.zeros(shape, "float32"))


def test_masks_one_pixel_wide_fit_a_grid_one_cell_wide():
    check(make_batch(grid=(4, 1), target=(4, 3))[0], np.zeros((2, 3, 4, 1), "float32"))


NOT_ARRAYS = {
    "a list": lambda activations, masks: (activations, masks.tolist()),
    "a list of arrays": lambda activations, masks: (list(activations), masks),
    "None": lambda activations, masks: (activations, None),
    "a number": lambda activations, masks: (3.0, masks),
    "a text": lambda activations, masks: (activations, "masks"),
}


@pytest.mark.parametrize("change", NOT_ARRAYS.values(), ids=NOT_ARRAYS)
def test_what_is_no_array_is_refused(change):
    with pytest.raises(InputError, match=r"must be an array, but got a \w+. Make it one: `np.asarray"):
        unchecked(*change(*make_batch()), QUICK)


WRONG_TYPES = {
    "recipe": ({"recipe": "ridge"}, "`recipe` must be a `PaperRecipe` or a `RidgeRecipe`, but got 'ridge'"),
    "recipe class": ({"recipe": RidgeRecipe}, "`recipe` must be a `PaperRecipe`"),
    "statistics": ({"recipe": RidgeRecipe(), "statistics": {"count": 3}}, "`statistics` must be `Statistics`"),
    "valid": ({"valid": [[True]]}, "`valid` must be an array, but got a list"),
    "initial": ({"initial": [1.0]}, "`initial` must be an array, but got a list"),
    "scalar initial": ({"initial": np.float32(1)}, r"`initial` must have shape \(2, 5\)"),
}


@pytest.mark.wrong_types
@pytest.mark.parametrize(("given", "message"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_options_of_other_types_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        unchecked(*make_batch(), **given)


@pytest.mark.parametrize("dtype", ["U3", "object", "complex64"])
def test_masks_of_other_types_are_refused(dtype):
    activations, masks = make_batch()
    with pytest.raises(InputError, match="`masks` must be numbers or booleans"):
        check(activations, masks.astype(dtype))


class Tensor:
    """What `as_array` needs of a tensor of PyTorch, on a device and with a gradient."""

    def __init__(self, array, dtype="torch.float32"):
        self.array, self.dtype, self.ndim, self.shape = array, dtype, array.ndim, array.shape

    def detach(self):
        return types.SimpleNamespace(cpu=lambda: Host(self.array, self.dtype))

    cpu = numpy = detach


class Host:
    def __init__(self, array, dtype):
        self.array, self.dtype = array, dtype

    def float(self):
        return Host(self.array.astype("float32"), "torch.float32")

    def numpy(self):
        assert "bfloat16" not in self.dtype, "NumPy has no such numbers"
        return self.array


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_tensors_are_read(dtype):
    activations, masks = make_batch()
    found = unchecked(Tensor(activations, dtype), Tensor(masks, dtype), QUICK)
    np.testing.assert_array_equal(found.vectors, solve(activations, masks, QUICK).vectors)
    with pytest.raises(InputError, match="as the masks show"):
        unchecked(Tensor(first(activations), dtype), masks, QUICK)
    found = statistics_of(Statistics, Tensor(activations, dtype))
    np.testing.assert_array_equal(found.mean, Statistics.of(activations).mean)


@pytest.mark.torch
def test_tensors_of_pytorch_are_read(torch):
    activations, masks = make_batch()
    for tensor in (torch.tensor(activations, requires_grad=True), torch.tensor(activations).bfloat16()):
        found = as_array("activations", tensor)
        np.testing.assert_allclose(found, activations, rtol=1e-2)
    found = unchecked(torch.tensor(activations), torch.tensor(masks > 0), QUICK)
    np.testing.assert_array_equal(found.vectors, solve(activations, masks, QUICK).vectors)


@pytest.mark.parametrize("recipe", [QUICK, RidgeRecipe()], ids=lambda one: one.name)
def test_rows_that_are_nan_by_design_pass_the_search_for_nan(recipe):
    activations, masks = make_batch(grid=(6, 5), channels=4, target=(13, 11))  # compiled by other tests, too
    masks[1] = 0
    statistics = Statistics.of(activations) if recipe.needs_statistics else None
    with jax.debug_nans(True):
        found = solve(activations, masks, recipe, statistics=statistics)
        assert found.status.tolist() == [Status.OK, Status.MASK_EMPTY]
        assert np.isnan(np.asarray(found.vectors)[1]).all()
        assert np.isfinite(np.asarray(found.project((13, 11)))[0]).all()
        assert np.isnan(found.raw_filters()[0][1]).all()
        with pytest.raises(FloatingPointError):  # it still searches elsewhere
            jnp.log(-jnp.ones(1)).block_until_ready()


def test_values_are_not_looked_at_inside_a_users_jit():
    activations, masks = make_batch()
    assert jax.jit(lambda a, m: jnp.float32(is_traced([a]) and check(a, m)[0].shape[3]))(activations, masks) == 5


@pytest.mark.parametrize("name", ["activations", "masks", "valid", "initial"])
@pytest.mark.wrong_types
def test_masked_arrays_are_refused_since_nothing_heeds_their_masks(name):
    arrays = {
        "activations": np.ones((2, 3, 3, 4), "float32"),
        "masks": np.eye(3, dtype="float32")[None, None].repeat(2, 0),
        "valid": np.ones((2, 1), bool),
        "initial": np.zeros((2, 1, 4), "float32"),
    }
    arrays[name] = np.ma.masked_array(arrays[name], mask=False)
    with pytest.raises(InputError, match=rf"`{name}` must be a plain array, .*`{name}.filled\(0\)`"):
        solve(**arrays)


@pytest.mark.parametrize("function", [Statistics.of, lambda array: mask_iou(array, np.ones((2, 2)))])
@pytest.mark.wrong_types
def test_other_functions_refuse_masked_arrays_too(function):
    with pytest.raises(InputError, match="masked one"):
        function(np.ma.masked_array(np.ones((1, 2, 2, 1))))
