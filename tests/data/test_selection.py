"""`select`: areas, groups, seeded draws, masks from boxes and noise; what is left is what was asked for."""

import dataclasses
import pickle

import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.data import DataOptions, open_arrays, open_camvid, open_folder, open_voc, select
from loce_jax.data.noise import add_gaussian_noise, add_salt_and_pepper
from loce_jax.data.samples import Fault, Problem, check_dataset, check_reading
from loce_jax.data.selection import group_of, options_from
from tests.support.tiny import Boxes
from tests.support.trees import made_up_frames, write_camvid, write_masks, write_voc


def squares(sizes, size=(20, 20)):
    """A data set of one concept, a square of a given side in each image."""
    masks = np.zeros((len(sizes), *size), bool)
    for mask, side in zip(masks, sizes, strict=True):
        mask[:side, :side] = True
    return open_arrays(np.zeros((*masks.shape, 3), np.uint8) + 100, masks=masks, concepts=["square"])


def images(dataset):
    return [item.image for item in dataset.items]


def test_the_defaults_change_nothing():
    data = squares([3, 5])
    assert select(data, DataOptions()) is data


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (dict(min_area=0.0625), [5, 10]),
        (dict(max_area=0.0625), [2, 5]),
        (dict(min_area=0.0625, max_area=0.0625), [5]),
        (dict(min_pixels=25), [5, 10]),
        (dict(min_pixels=26), [10]),
    ],
    ids=str,
)
def test_area_limits_include_their_ends(options, left):
    data = select(squares([2, 5, 10]), DataOptions(**options))
    assert [int(np.sqrt(data.read(item).masks[0].sum())) for item in data.items] == left


def test_a_mask_that_cannot_be_read_is_never_left_out_for_its_area():
    data = select(Boxes(), DataOptions(min_pixels=400))
    assert [item.image for item in data.items if item.image == "3"] == ["3"]
    assert {len(item.pairs) for item in data.items if item.image != "3"} == {2}


@pytest.mark.parametrize("seed", range(3))
def test_draws_depend_on_seed_and_name_alone(seed):
    data = Boxes(40)
    few = select(data, DataOptions(max_images=10, seed=seed))
    assert len(few.items) == 10 and images(few) == sorted(images(few), key=int)
    more = Boxes(60)
    more.items = more.items[::-1]
    again = select(more, DataOptions(max_images=10, seed=seed))
    kept = set(images(again)) & {item.image for item in data.items}
    assert kept <= set(images(few)), "images that are added push others out, and let none in"
    assert images(select(data, DataOptions(max_images=10, seed=seed + 1))) != images(few)


def test_the_draw_is_no_head_of_the_list():
    drawn = [int(name) for name in images(select(Boxes(200), DataOptions(max_images=50)))]
    assert 70 < np.mean(drawn) < 130 and max(drawn) > 150


def test_each_concept_has_its_own_draw():
    data = select(Boxes(30), DataOptions(max_per_concept=7))
    named = [pair.concept for item in data.items for pair in item.pairs]
    assert named.count("left") == named.count("right") == 7
    assert any(len(item.pairs) == 1 for item in data.items)
    for item in data.items:
        if item.image != "3":
            assert len(check_reading(item, data.read(item)).masks) == len(item.pairs)


def test_groups_are_the_data_sets_or_made_from_names(tmp_path):
    write_camvid(tmp_path, made_up_frames(4))
    data = open_camvid(tmp_path)
    assert images(select(data, DataOptions(groups=("seq1",)))) == ["train/seq1_002.png", "train/seq1_003.png"]
    made = select(data, DataOptions(group_by=r"_(\d+)", groups=("001",)))
    assert images(made) == ["train/seq0_001.png"] and group_of(made.items[0]) == "001"
    assert group_of(select(data, DataOptions(group_by="folder")).items[0]) == "train"
    with pytest.raises(InputError, match="unknown group 'seq2'. Did you mean 'seq"):
        select(data, DataOptions(groups=("seq2",)))
    with pytest.raises(InputError, match="`groups` can be given for data with groups"):
        select(Boxes(), DataOptions(groups=("a",)))


@pytest.mark.parametrize("shape", ["rectangle", "ellipse"])
def test_masks_without_annotations_become_the_box_around_them(shape, tmp_path):
    data = open_folder(write_masks(tmp_path, made_up_frames(1)), concepts=["car"])
    drawn = select(data, DataOptions(masks=shape))
    mask = check_reading(drawn.items[0], drawn.read(drawn.items[0])).masks[0]
    assert isinstance(mask, np.ndarray)
    box = np.zeros_like(mask)
    box[24:40, 10:30] = True
    if shape == "rectangle":
        np.testing.assert_array_equal(mask, box)
    else:
        assert mask.sum() == pytest.approx(np.pi / 4 * 320, rel=0.02) and not (mask & ~box).any()


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("noise", ["gaussian", "salt-and-pepper"])
def test_noise_is_that_of_the_function(noise, paper):
    function = {"gaussian": add_gaussian_noise, "salt-and-pepper": add_salt_and_pepper}[noise]
    data = squares([3, 5])
    noisy = select(data, DataOptions(noise=noise, noise_percent=7.0, seed=4, paper=paper))
    first, second = (noisy.read(item).photo for item in noisy.items)
    plain = data.read(data.items[0]).photo
    assert (first != plain).any() and np.array_equal(first, second) == paper, "the paper's is the same in every photo"
    if paper:
        np.testing.assert_array_equal(first, function(plain, 7.0, seed=4, paper=True))
    np.testing.assert_array_equal(noisy.read(noisy.items[0]).photo, first)


def test_the_fingerprint_follows_the_options_and_the_source_names_them(tmp_path):
    write_voc(tmp_path, made_up_frames(3), {0: 1, 1: 6, 2: 7})
    data = open_voc(tmp_path)
    choices = [dict(max_images=2), dict(max_images=2, seed=5), dict(masks="ellipse"), dict(noise="gaussian")]
    chosen = [select(data, DataOptions(**choice)) for choice in choices]
    assert len({data.fingerprint, *(one.fingerprint for one in chosen)}) == 5
    assert chosen[0].source == {"kind": "voc", "path": str(tmp_path), "options": {"max_images": 2}}
    assert options_from(chosen[1].source["options"]) == DataOptions(max_images=2, seed=5)
    check_dataset(pickle.loads(pickle.dumps(chosen[0])))


def test_problems_are_those_of_the_images_that_are_left():
    data = squares([3, 5])
    assert select(data, DataOptions(max_images=1)).problems == ()


def test_problems_of_files_that_could_not_be_used_stay_and_those_of_images_left_out_go():
    problems = [
        Problem(file, "label map", "", "mask_unreadable", "it is torn.") for file in ("torn.png", "000000", "000001")
    ]
    data = dataclasses.replace(squares([3, 5]), problems=tuple(problems))
    (kept,) = select(data, DataOptions(max_images=1)).items
    assert [one.file for one in select(data, DataOptions(max_images=1)).problems] == ["torn.png", kept.image]


BAD = {
    "area": (dict(min_area=0.5, max_area=0.1), "`min_area` and `max_area` must be shares"),
    "percent": (dict(min_area=5), "`min_area` and `max_area` must be shares"),
    "nan": (dict(min_area=float("nan")), "`min_area` and `max_area` must be shares"),
    "none": (dict(max_images=0), "`max_images` must be 1 or more"),
    "no pairs": (dict(max_per_concept=0), "`max_per_concept` must be 1 or more"),
    "seed": (dict(seed=-1), "`seed` must be 0 or more"),
    "no group": (dict(group_by="seq"), "a regular expression with a group"),
    "no expression": (dict(group_by="("), "a regular expression, but"),
    "noise": (dict(noise="pink"), "`noise` must be one of .* but got 'pink'. Give one of these"),
    "masks": (dict(masks="circle"), "`masks` must be one of .* but got 'circle'"),
    "less than no noise": (dict(noise="gaussian", noise_percent=-3), "`noise_percent` must be from 0 to 1e"),
    "more than all pixels": (dict(noise="salt-and-pepper", noise_percent=101), "`noise_percent` must be from 0 to 100"),
    "nothing left": (dict(min_pixels=10**6), "must leave an image with a concept"),
}


@pytest.mark.wrong_types
@pytest.mark.parametrize("case", BAD)
def test_options_that_make_no_sense_are_refused(case):
    values, message = BAD[case]
    with pytest.raises(InputError, match=message):
        select(squares([3]), dataclasses.replace(DataOptions(), **values))


@pytest.mark.wrong_types
@pytest.mark.parametrize("record", [{"best": 1}, {"max_images": 0}, {"max_images": "3"}, {"paper": 1}], ids=str)
def test_options_of_a_plan_are_checked(record):
    with pytest.raises(InputError):
        options_from(record)


def test_crowds_are_chosen_when_a_data_set_is_opened():
    with pytest.raises(InputError, match="`crowd` is chosen when a data set is opened, but got 'own'"):
        select(Boxes(), DataOptions(crowd="own"))


def test_faults_are_handed_on():
    data = select(Boxes(), DataOptions(noise="gaussian"))
    with pytest.raises(Fault, match="never taken"):
        data.read(next(item for item in data.items if item.image == "3"))
