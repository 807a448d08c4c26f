"""Images that several runs have in common: found, and refused where no comparison can be made of them."""

import pytest

from loce_jax import InputError
from loce_jax.concepts.comparison.references import other_images
from loce_jax.concepts.evaluation.split import fit_on_halves
from loce_jax.feature_spaces.common_images import ImageList, common_images
from loce_jax.feature_spaces.gathering import gather
from loce_jax.feature_spaces.options import HeldOut, resampled
from tests.support.bars import NETWORK, Bars


def listed(groups, images=None, concepts=("cat",)):
    return ImageList(tuple(images or map(str, range(len(groups)))), tuple(groups), concepts)


def test_a_data_set_lists_what_is_gathered_of_it():
    assert ImageList.of(Bars(6)) == ImageList.of_gathered(gather(NETWORK, ["cells"], Bars(6), size=(8, 8)))


def test_common_images_are_in_the_first_ones_order():
    one, two = listed("uuvvww", "abcdef"), listed("xxxxxx", "fbcdeg")
    found = common_images({"one": one, "two": two}, HeldOut(test_groups=("v",)))
    assert [rows.tolist() for rows in found.rows] == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 0]]
    assert found.groups == tuple("uvvww") and found.compared == ("v", "v")


def test_other_concepts_are_refused():
    with pytest.raises(InputError, match="must have the same concepts, .* 'a' has cat and 'b' dog"):
        common_images({"a": listed("uvw"), "b": listed("uvw", concepts=("dog",))}, HeldOut())


@pytest.mark.parametrize(
    ("groups", "held_out", "said"),
    [
        ("", HeldOut(), "but have 0 images. Fit"),
        ("u", HeldOut(), "but have 1 image. Fit"),
        ("uuuuuu", HeldOut(), "but have 6 images of 1 group. Fit"),
        ("uv", HeldOut(), "but have 2 images, 1 to find concepts on and 1 to compare them on"),
        ("uvwx", HeldOut(), "but have 4 images, 3 to find concepts on and 1 to compare them on"),
        ("uuuvvv", HeldOut(test_groups=("v",)), "but have 6 images of 2 groups, 3 to find concepts on and 3 to"),
        ("uvwxyz", HeldOut(share=0.1), "5 to find concepts on and 1 to compare"),
    ],
)
def test_too_few_common_images_are_told_with_their_number(groups, held_out, said):
    with pytest.raises(InputError, match="`runs` must have at least 4 images in common.*") as error:
        common_images({"a": listed(groups), "b": listed(groups)}, held_out)
    assert said in str(error.value)
    apart = {"a": listed("uvwxyz", "abcdef"), "b": listed("uvwxyz", "ghijkl")}
    with pytest.raises(InputError, match="but have 0 images"):
        common_images(apart, held_out)


def test_an_unknown_group_is_told_with_those_known():
    with pytest.raises(InputError, match="unknown group 'z'. Known: u, v, w"):
        common_images({"a": listed("uvwuvw")}, HeldOut(test_groups=("z",)))


def test_a_group_of_most_compared_images_is_refused():
    groups = [*"uuvv", *"aaaaaaaaabcde"]
    with pytest.raises(InputError, match=r"'a' has 9 of 13. Hold out others \(`test_groups`, `seed`\)"):
        common_images({"a": listed(groups)}, HeldOut(test_groups=tuple("abcde")))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("groups", ["uvwxy", "uuvwwxyyyzab", "uuuvvvwwwxxx", "abcdefgh"])
def test_what_is_let_through_can_be_halved_and_shuffled(groups, seed):
    try:
        found = common_images({"a": listed(groups)}, HeldOut(seed=seed))
    except InputError:
        return
    fit_on_halves(len, [groups[row] for row in found.parts.train])
    other_images(resampled(found.compared).units)
