"""Folders of masks, and arrays: every mask is the one that was written."""

import pickle
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.data import open_arrays, open_folder, open_npz
from loce_jax.data.samples import EmptyDataError, Fault, check_dataset, check_reading
from tests.support.trees import NAMES, made_up_frames, save, write_masks


@pytest.mark.parametrize("level", [1, 255])
def test_a_folder_of_masks_for_each_concept(level, tmp_path):
    frames = made_up_frames(2)
    data = open_folder(write_masks(tmp_path, frames, level))
    check_dataset(data)
    assert data.concepts == tuple(sorted(NAMES.values())) and data.problems == ()
    for item, (_, labels) in zip(data.items, frames.values(), strict=True):
        reading = check_reading(item, data.read(item))
        for pair, mask in zip(item.pairs, reading.masks, strict=True):
            code = next(code for code, name in NAMES.items() if name == pair.concept)
            np.testing.assert_array_equal(mask, labels == code)


def test_masks_of_one_concept_take_its_name(tmp_path):
    write_masks(tmp_path, made_up_frames(2), several=False)
    assert open_folder(tmp_path).concepts == ("foreground",)
    assert open_folder(tmp_path, concepts=["car"]).concepts == ("car",)
    with pytest.raises(InputError, match="`concepts` can be one name where"):
        open_folder(tmp_path, concepts=["car", "road"])


def test_masks_beside_folders_of_masks_are_refused(tmp_path):
    for name in ("images/a.png", "masks/a.png", "masks/car/a.png"):
        save(tmp_path / name, 255 * np.eye(6, 8, dtype="u1"))
    with pytest.raises(InputError, match="`labels` must hold .* but .* holds both: 'a.png' and the folder 'car'. Put"):
        open_folder(tmp_path)
    # images that are divided in the same way have masks of one concept
    save(tmp_path / "images/car/a.png", 255 * np.eye(6, 8, dtype="u1"))
    assert [item.image for item in open_folder(tmp_path).items] == ["a.png", "car/a.png"]


def test_gray_levels_count_from_the_middle_and_label_maps_are_refused(tmp_path):
    frames = made_up_frames(2)
    write_masks(tmp_path, frames, several=False)
    soft = np.zeros((48, 64), np.uint8)
    soft[10:20, 10:20], soft[20:30, 10:20] = 200, 100
    first, second = sorted((tmp_path / "masks").glob("*.png"))
    save(first, soft)
    save(second, frames["seq0_001"][1])
    data = open_folder(tmp_path)
    assert data.masks(data.items[0])[0].sum() == 100 and len(data.items) == 1
    assert "open label maps as `labels`" in data.problems[0].reason


def test_masks_in_a_format_that_changes_pixels_are_problems(tmp_path):
    write_masks(tmp_path, made_up_frames(2))
    mask = tmp_path / "masks" / "car" / "seq0_000.png"
    Image.open(mask).save(mask.with_suffix(".JPG"))
    assert open_folder(tmp_path).problems == (), "a picture beside the mask"
    mask.unlink()
    (problem,) = open_folder(tmp_path).problems
    assert (problem.file, problem.concept, problem.status) == ("seq0_000.JPG", "car", "mask_unreadable")
    assert problem.reason.startswith("it must be PNG, BMP, GIF or TIFF")


def test_masks_all_in_a_format_that_changes_pixels_are_refused_with_the_formats(tmp_path):
    write_masks(tmp_path, made_up_frames(2), several=False)
    for mask in list((tmp_path / "masks").iterdir()):
        Image.open(mask).convert("RGB").save(mask.with_suffix(".jpg"))
        mask.unlink()
    with pytest.raises(InputError, match="0 label files .* 2 more, such as seq0_000.jpg, must be PNG"):
        open_folder(tmp_path)


@pytest.mark.parametrize("shade", [0, 255])
@pytest.mark.parametrize("channels", [2, 4])
def test_an_alpha_channel_is_the_mask_where_it_alone_varies(channels, shade, tmp_path):
    write_masks(tmp_path, made_up_frames(1), several=False)
    alpha = np.zeros((48, 64), np.uint8)
    alpha[10:20, 5:9] = 255
    save(tmp_path / "masks" / "seq0_000.png", np.dstack([*[np.full_like(alpha, shade)] * (channels - 1), alpha]))
    data = open_folder(tmp_path)
    np.testing.assert_array_equal(data.masks(data.items[0])[0], alpha > 0)


def test_gray_levels_count_where_the_alpha_channel_varies_too(tmp_path):
    write_masks(tmp_path, made_up_frames(1), several=False)
    gray, alpha = np.zeros((48, 64), np.uint8), np.full((48, 64), 255, np.uint8)
    gray[10:20, 5:9], alpha[30:] = 255, 0
    save(tmp_path / "masks" / "seq0_000.png", np.dstack([gray, gray, gray, alpha]))
    data = open_folder(tmp_path)
    np.testing.assert_array_equal(data.masks(data.items[0])[0], gray > 0)


def test_empty_masks_are_no_pairs_and_masks_without_images_are_problems(tmp_path):
    write_masks(tmp_path, made_up_frames(2))
    save(tmp_path / "masks" / "car" / "seq0_000.png", np.zeros((48, 64), np.uint8))
    save(tmp_path / "masks" / "car" / "other.png", np.ones((48, 64), np.uint8))
    data = open_folder(tmp_path)
    assert "car" not in [pair.concept for pair in data.items[0].pairs]
    assert [(one.file, one.status) for one in data.problems] == [("other.png", "image_missing")]


def arrays(count=3):
    photos, labels = zip(*made_up_frames(count).values(), strict=True)
    labels = np.stack(labels)
    masks = np.stack([labels == code for code in (0, 1, 2)], axis=1)
    return np.stack(photos), masks, labels


@pytest.mark.parametrize("save_arrays", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("what", ["masks", "labels"])
def test_arrays_in_a_file_are_read_back(save_arrays, what, tmp_path):
    images, masks, labels = arrays()
    names = ["sky", "road", "car"]
    (tmp_path / "classes.txt").write_text("\n".join(names))
    given = {"masks": masks, "concepts": np.array(names)} if what == "masks" else {"labels": labels}
    save_arrays(tmp_path / "a.npz", images=images, **given)
    data = open_npz(tmp_path / "a.npz", classes=tmp_path / "classes.txt" if what == "labels" else None)
    check_dataset(data)
    assert set(data.concepts) == set(names) and len(data.items) == 3
    copy = pickle.loads(pickle.dumps(data))
    assert len(pickle.dumps(data)) < 10_000, "a copy for another process holds the path, not the arrays"
    for number, item in enumerate(copy.items):
        reading = check_reading(item, copy.read(item))
        np.testing.assert_array_equal(reading.photo, images[number])
        for pair, mask in zip(item.pairs, reading.masks, strict=True):
            np.testing.assert_array_equal(mask, masks[number, names.index(pair.concept)])


def test_arrays_in_memory(tmp_path):
    images, masks, labels = arrays()
    several = open_arrays(images, masks=masks, concepts=["sky", "road", "car"], names=["a", "b", "c"])
    assert [item.image for item in several.items] == ["a", "b", "c"] and several.source is None
    one = open_arrays(images, masks=masks[:, 2].astype(np.uint8))
    assert one.concepts == ("foreground",)
    np.testing.assert_array_equal(one.masks(one.items[1])[0], masks[1, 2])
    mapped = open_arrays(images, labels=labels, concepts={"car": 2})
    np.testing.assert_array_equal(mapped.masks(mapped.items[1])[0], masks[1, 2])


IMAGES, MASKS, LABELS = arrays(2)
BAD_ARRAYS = {
    "floats": (dict(images=IMAGES / 255, masks=MASKS), "`images` must be uint8"),
    "channels first": (dict(images=IMAGES.transpose(0, 3, 1, 2), masks=MASKS), "`images` must be uint8"),
    "no masks": (dict(images=IMAGES), "one of `masks` and `labels` must be given"),
    "both": (dict(images=IMAGES, masks=MASKS, labels=LABELS), "one of `masks` and `labels` must be given"),
    "another size": (dict(images=IMAGES, masks=MASKS[..., :5]), r"`masks` must have shape \(2, 3, 48, 64\)"),
    "another count": (dict(images=IMAGES, masks=MASKS[:1]), "`masks` must have shape"),
    "soft masks": (dict(images=IMAGES, masks=MASKS / 2), "`masks` must be bool"),
    "names missing": (dict(images=IMAGES, masks=MASKS, concepts=["a"]), "a name for each of the masks"),
    "names repeated": (dict(images=IMAGES, masks=MASKS, names=["a", "a"]), "2 different names"),
}


@pytest.mark.wrong_types
@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_arrays_that_do_not_fit_are_refused(case, tmp_path):
    given, message = BAD_ARRAYS[case]
    with pytest.raises(InputError, match=message):
        open_arrays(**given)
    np.savez(tmp_path / "a.npz", **given)
    as_arrays = re.sub("`(images|masks|labels)`", r"array \1", message)  # which are no options of the command line
    with pytest.raises(EmptyDataError, match=f"^in '.*a.npz', .*{as_arrays}") as caught:
        open_npz(tmp_path / "a.npz")
    (problem,) = caught.value.problems
    assert (problem.file, problem.status) == (str(tmp_path / "a.npz"), "file_unreadable")


def test_arrays_without_a_pixel_or_without_classes_are_refused(tmp_path):
    np.savez(tmp_path / "empty.npz", images=IMAGES, masks=MASKS & False)
    np.savez(tmp_path / "labels.npz", images=IMAGES, labels=LABELS)
    (tmp_path / "colors.txt").write_text("1 2 3 car")
    with pytest.raises(InputError, match="must hold a mask with a pixel"):
        open_arrays(IMAGES, masks=MASKS & False)
    with pytest.raises(InputError, match="must hold a mask with a pixel, but 'empty' has none"):
        open_npz(tmp_path / "empty.npz")
    with pytest.raises(InputError, match="`concepts` must give the number of each class"):
        open_arrays(IMAGES, labels=LABELS, concepts=["car"])
    with pytest.raises(InputError, match="`classes` must be given, since .*labels.npz"):
        open_npz(tmp_path / "labels.npz")
    with pytest.raises(InputError, match="`classes` must have numbers"):
        open_npz(tmp_path / "labels.npz", classes=tmp_path / "colors.txt")


def test_an_unknown_concept_of_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, masks=MASKS, concepts=["sky", "road", "car"])
    assert open_npz(tmp_path / "a.npz", concepts=["car"]).concepts == ("car",)
    with pytest.raises(InputError, match="unknown concept 'kar'. Did you mean 'car'"):
        open_npz(tmp_path / "a.npz", concepts=["kar"])


def spoil(file, what):
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["masks.npy"] = what(parts["masks.npy"])
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


BAD_MEMBERS = {
    "pickled objects": (lambda _: pickled(), "pickled objects"),
    "cut off": (lambda content: content[:-50], "shorter than its header says"),
    "no array": (lambda _: b"nothing", "cannot be read"),
    "a huge shape": (lambda content: content.replace(b"(2, 3, 48, 64)", b"(99, 99999999)"), "shorter than"),
}


def pickled():
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize("case", BAD_MEMBERS)
def test_bad_members_are_refused(case, tmp_path):
    what, message = BAD_MEMBERS[case]
    np.savez(tmp_path / "a.npz", images=IMAGES, masks=MASKS)
    spoil(tmp_path / "a.npz", what)
    with pytest.raises(InputError, match=f"`path` must be an .npz file, but its array 'masks' .*{message}"):
        open_npz(tmp_path / "a.npz")


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="must be an .npz file"):
        open_npz(tmp_path / "a.npz")


def test_a_size_that_differs_is_a_fault(tmp_path):
    data = open_arrays(IMAGES, masks=MASKS)
    entry = data._entries[data.items[0].image]
    with pytest.raises(Fault, match="size_mismatch"):
        entry.photo((4, 4))


def test_colored_masks_are_told_what_opens_them(tmp_path):
    save(tmp_path / "images" / "a.png", np.zeros((6, 8, 3), np.uint8))
    save(tmp_path / "masks" / "a.png", np.arange(6 * 8 * 3).reshape(6, 8, 3).astype(np.uint8))
    with pytest.raises(InputError, match="black and white, or gray.*open the folders as `labels`"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("palette", "inside"),
    [
        ([255, 255, 255, 0, 0, 0], 0),  # white is stored first
        ([0, 0, 0, 255, 255, 255], 1),
        ([0, 0, 0, 0, 0, 0], 1),  # no difference but that of the numbers
        ([255, 255, 255, 128, 0, 0], 1),  # colors, where 0 is the background
    ],
)
def test_the_levels_of_a_palette_of_grays_count_not_their_numbers(palette, inside, tmp_path):
    numbers = np.eye(6, 8, dtype=np.uint8)
    image = Image.fromarray(numbers)
    image.putpalette(palette)
    save(tmp_path / "images" / "a.png", np.zeros((6, 8, 3), np.uint8))
    (tmp_path / "masks").mkdir()
    image.save(tmp_path / "masks" / "a.png")
    data = open_folder(tmp_path)
    np.testing.assert_array_equal(data.masks(data.items[0])[0], numbers == inside)


def test_one_mask_of_another_size_costs_only_itself(tmp_path):
    save(tmp_path / "images" / "a.png", np.zeros((6, 8, 3), np.uint8))
    for concept, size in {"bus": (3, 4), "car": (6, 8), "tree": (6, 8)}.items():
        save(tmp_path / "masks" / concept / "a.png", np.eye(*size, dtype=np.uint8))
    data = open_folder(tmp_path)
    assert data.concepts == ("car", "tree")
    assert [(one.concept, one.status) for one in data.problems] == [("bus", "mask_unreadable")]


def test_numbers_with_a_class_table_of_colors_are_refused(tmp_path):
    (tmp_path / "colors.txt").write_text("1 0 0 car\n")
    np.savez(tmp_path / "a.npz", images=np.zeros((1, 6, 8, 3), np.uint8), labels=np.eye(6, 8, dtype=np.uint8)[None])
    with pytest.raises(InputError, match="must have numbers"):
        open_npz(tmp_path / "a.npz", classes=tmp_path / "colors.txt")
