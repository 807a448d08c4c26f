"""Class tables as people have them; what is none is refused in one sentence."""

import json

import pytest

from loce_jax.checks import InputError
from loce_jax.data.label_maps.class_table import read_class_table
from loce_jax.data.label_maps.codes import color_code

THREE = [{"id": 0, "name": "sky"}, {"id": "1", "name": "road"}, {"id": 7.0, "name": "car on rails"}]
BY_NUMBER = {
    "numbers.txt": "0 sky\n1 road\n# a comment\n\n7 car on rails\n",
    "colons.txt": "0: sky\n1: road\n7: car on rails",
    "commas.txt": "0,sky\n1, road\n7,car on rails",
    "equals.txt": "0 = sky\n1=road\n7 =\tcar on rails",
    "comments.txt": "0 sky # the blue\n1 road\t#\n7 car on rails  # trams",
    "comments.csv": "id,name # all\n0,sky # the blue\n1,road\n7,car on rails",
    "tabs.txt": "0\tsky\n1\troad\n7\tcar on rails",
    "table.csv": "id,name\n0,sky\n1,road\n7,car on rails\n",
    "german.csv": "name;id\nsky;0\nroad;1\ncar on rails;7\n",
    "bom.csv": "\ufeffid,name\n0,sky\n1,road\n7,car on rails\n",
    "names.json": json.dumps({"0": "sky", "1": "road", "7": "car on rails"}),
    "objects.json": json.dumps({"0": {"name": "sky", "colour": [1, 2, 3]}, "1": {"name": "road"}, "7": THREE[2]}),
    "list.json": json.dumps(THREE),
    "coco.json": json.dumps({"categories": THREE}),
}
BY_COLOR = {
    "label_colors.txt": "64 128 64\tsky\n192 0 128\troad",
    "last.txt": "sky 64 128 64\nroad 192 0 128",
    "comments.txt": "64 128 64 sky # blue\nroad 192 0 128 # red",
    "commas.txt": "64,128,64,sky\n192,0,128,road",
    "class_dict.csv": "name, r, g, b\nsky, 64, 128, 64\nroad, 192, 0, 128\n",
    "colors.json": json.dumps([{"name": "sky", "color": [64, 128, 64]}, {"name": "road", "color": [192, 0, 128]}]),
}
NAMES_ONLY = {
    "names.txt": "sky\nroad",
    "names.json": json.dumps(["sky", "road"]),
    "mapillary.json": json.dumps({"labels": [{"readable": "sky"}, {"readable": "road"}]}),
}


def table_of(folder, file, text):
    (folder / file).write_text(text, encoding="utf-8")
    return read_class_table(folder / file)


@pytest.mark.parametrize("file", BY_NUMBER)
def test_names_by_number(file, tmp_path):
    table = table_of(tmp_path, file, BY_NUMBER[file])
    assert dict(table.codes) == {"sky": (0,), "road": (1,), "car on rails": (7,)} and not table.by_color


@pytest.mark.parametrize("file", BY_COLOR)
def test_names_by_color(file, tmp_path):
    table = table_of(tmp_path, file, BY_COLOR[file])
    assert dict(table.codes) == {"sky": (color_code(64, 128, 64),), "road": (color_code(192, 0, 128),)}
    assert table.by_color


@pytest.mark.parametrize("file", NAMES_ONLY)
def test_names_alone_are_numbered_from_0(file, tmp_path):
    assert dict(table_of(tmp_path, file, NAMES_ONLY[file]).codes) == {"sky": (0,), "road": (1,)}


NAMES = {
    "0,=cmd()": "=cmd()",
    "0 =cmd()": "=cmd()",
    "1 2 3 =cmd()": "=cmd()",
    "=cmd() 1 2 3": "=cmd()",
    "0 car #2": "car #2",
    "0 lane 2": "lane 2",
    "3rd lane": "3rd lane",
}


@pytest.mark.parametrize("line", NAMES)
def test_names_keep_their_signs(line, tmp_path):
    assert list(table_of(tmp_path, "a.txt", line).codes) == [NAMES[line]]


def test_the_table_of_mapillary_vistas(tmp_path):
    labels = [
        {"name": "animal--bird", "readable": "Bird", "instances": True, "color": [165, 42, 42], "evaluate": True},
        {"name": "void--unlabeled", "readable": "Unlabeled", "color": [0, 0, 0]},
    ]
    table = table_of(tmp_path, "config_v1.2.json", json.dumps({"version": 1.1, "labels": labels}))
    assert table.by_color and table.codes["animal--bird"] == (color_code(165, 42, 42),)


def test_a_known_table_is_not_hidden_by_a_folder_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "voc").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_class_table("voc").codes == read_class_table(tmp_path / "voc").codes


def test_lines_of_one_name_are_one_class(tmp_path):
    table = table_of(tmp_path, "a.txt", "0 car\n1 road\n2 car")
    assert dict(table.codes) == {"car": (0, 2), "road": (1,)}


def test_known_tables():
    counts = {"cityscapes19": 19, "cityscapes30": 30, "voc": 20, "camvid": 11}
    assert {name: len(read_class_table(name).codes) for name in counts} == counts


BAD = {
    "empty.txt": ("", "holds no class"),
    "twice.txt": ("0 sky\n0 road", "gives the number or color of 'sky' to 'road' too"),
    "broken.json": ("{", "is none"),
    "number.json": ("3", "holds no class"),
    "deep.json": ("[" * 100_000, "is none"),
    "nameless.json": (json.dumps([{"id": 1}]), "entry 0"),
    "huge.txt": ("99999999999 sky", "entry 0"),
    "negative.json": (json.dumps([{"id": -1, "name": "plate"}]), "entry 0"),
    "same.txt": ("0 sky\n0 sky", "gives the number or color of 'sky' twice"),
    "same.json": (
        '[{"id": 1, "name": "sky"}, {"id": "1.0", "name": "road"}]',
        "gives the number or color of 'sky' to 'road' too",
    ),
    "keys.json": ('{"0": "sky", "0": "road"}', "the key '0' stands twice"),
    "name first.txt": ("Sky 0\nRoad 3", "the line 'Sky 0' ends in a number; write the number first"),
    "name first, commas.txt": ("Sky,0\nRoad,3", "the line 'Sky,0' ends in a number"),
    "name first, one.txt": ("Sky: -1", "the line 'Sky: -1' ends in a number"),
    "partly.txt": ("0 sky\nroad", "others, such as 'road', have none"),
    "partly.csv": ("id,name\n0,sky\n,road", "others, such as 'road', have none"),
    "partly.json": ('["sky", {"name": "road", "id": 4}]', "others, such as 'sky', have none"),
    "partly colors.txt": ("1 2 3 sky\nroad", "others, such as 'sky', have none"),
    "both.txt": ("0 sky\n64 128 64 road", "others, such as 'road', have none, or have a color instead"),
    "negative.txt": ("-1 plate\n0 sky", "the line '-1 plate' begins with a number that is not whole"),
    "fraction.txt": ("0 sky\n1.5 road", "the line '1.5 road' begins with a number that is not whole"),
    "nameless.txt": ("0 sky\n1", "the line '1' has a number, but no name"),
    "nameless, colon.txt": ("0: sky\n1:", "the line '1:' has a number, but no name"),
    "nameless color.txt": ("1 2 3\n4 5 6", "the line '1 2 3' has a number, but no name"),
    "color.txt": ("64 300 64 sky", "entry 0"),
}


@pytest.mark.parametrize("file", BAD)
def test_what_is_no_table_is_refused(file, tmp_path):
    text, message = BAD[file]
    with pytest.raises(InputError, match=f"`classes` must .*{message}"):
        table_of(tmp_path, file, text)


def test_a_file_of_other_letters_or_another_size_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe0 sky")
    with pytest.raises(InputError, match="is none"):
        read_class_table(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("#" * 2**21)
    with pytest.raises(InputError, match="more than 1048576 bytes"):
        read_class_table(tmp_path / "b.txt")
    with pytest.raises(InputError, match="one of camvid, cityscapes19"):
        read_class_table("cityscapes")
