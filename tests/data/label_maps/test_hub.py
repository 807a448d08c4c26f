"""Hugging Face `datasets`: saved on disk or read from files, with images and label maps in their columns."""

import pickle

import numpy as np
import pytest
from PIL import Image

from loce_jax.checks import InputError
from loce_jax.data import open_datasets
from tests.support.trees import NAMES, made_up_frames


@pytest.fixture
def saved(datasets, tmp_path):
    frames = made_up_frames(3)
    rows = {
        "image": [Image.fromarray(photo) for photo, _ in frames.values()],
        "annotation": [Image.fromarray(labels) for _, labels in frames.values()],
    }
    features = datasets.Features({"image": datasets.Image(), "annotation": datasets.Image()})
    table = datasets.Dataset.from_dict(rows, features=features)
    (tmp_path / "classes.txt").write_text("\n".join(f"{code} {name}" for code, name in NAMES.items()))
    return table, frames, tmp_path / "saved", tmp_path / "classes.txt"


def check(data, frames):
    assert data.concepts == ("sky", "road", "car") and len(data.items) == len(frames)
    data = pickle.loads(pickle.dumps(data))
    for item, (photo, labels) in zip(data.items, frames.values(), strict=True):
        reading = data.read(item)
        np.testing.assert_array_equal(reading.photo, photo)
        np.testing.assert_array_equal(reading.masks[2], labels == 2)


def test_a_saved_table_is_read(saved):
    table, frames, folder, classes = saved
    table.save_to_disk(str(folder))
    check(open_datasets(folder, classes=classes), frames)


def test_splits_are_chosen(datasets, saved):
    table, frames, folder, classes = saved
    datasets.DatasetDict({"train": table, "val": table}).save_to_disk(str(folder))
    check(open_datasets(folder, classes=classes, split="val"), frames)
    with pytest.raises(InputError, match="`split` must be given .* one of train, val"):
        open_datasets(folder, classes=classes)
    with pytest.raises(InputError, match="unknown split 'test'"):
        open_datasets(folder, classes=classes, split="test")


def test_a_folder_of_parquet_files_is_read_as_from_the_hub(saved):
    table, frames, folder, classes = saved
    folder.mkdir()
    table.to_parquet(str(folder / "train-00000.parquet"))
    check(open_datasets(folder, classes=classes), frames)


def test_columns_and_classes_must_be_known(saved):
    table, _, folder, classes = saved
    table.rename_column("annotation", "second").save_to_disk(str(folder))
    with pytest.raises(InputError, match="`labels` must name a column.*There are image, second"):
        open_datasets(folder, classes=classes)
    with pytest.raises(InputError, match="unknown column 'third'"):
        open_datasets(folder, classes=classes, labels="third")
    with pytest.raises(InputError, match="`classes` must be given"):
        open_datasets(folder, labels="second")


def test_what_is_no_data_set_is_refused(datasets, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="`path` must be a data set, but .* cannot be opened"):
        open_datasets(tmp_path, classes="voc")
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(InputError, match="`path` must be a data set"):
        open_datasets(tmp_path, classes="voc")


def test_without_the_library_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install \"loce_jax\[datasets\]\""):
        open_datasets(tmp_path, classes="voc")


def test_a_column_of_the_classes_of_whole_images_is_no_column_of_maps(saved):
    table, frames, folder, classes = saved
    table = table.rename_column("annotation", "seg").add_column("label", [0, 1, 0])
    table.save_to_disk(str(folder))
    check(open_datasets(folder, classes=classes), frames)
    with pytest.raises(InputError, match="no column of images is called"):
        table.remove_columns("seg").save_to_disk(str(folder / "none"))
        open_datasets(folder / "none", classes=classes)
