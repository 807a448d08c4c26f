"""Finding a network by name, and the cache that makes the second start faster to trust than to convert."""

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import huggingface_hub
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax.checks import InputError
from loce_jax.models import catalog as catalog
from loce_jax.models.catalog import NAMES, load_network
from loce_jax.models.checkpoints import cache as weights_cache
from loce_jax.models.networks import efficientnet_lite0
from tests.support.selection import further


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_conversion(monkeypatch):
    def forbid():
        def refuse(path):
            raise AssertionError("converted again")

        monkeypatch.setattr(efficientnet_lite0, "convert", refuse)

    return forbid


@pytest.mark.slow
def test_every_embedded_name_loads_and_runs(cache):
    for name in NAMES:
        network = load_network(name, size=(64, 96))
        assert network.name == name
        (layer,) = network.resolve(["-1"])
        images = jnp.zeros((1, 64, 96, 3), jnp.uint8)
        assert network.activations(network.params, images, (layer.name,))[layer.name].shape[1:3] == layer.grid


@pytest.mark.slow
def test_a_folder_loads_and_is_not_taken_for_a_hub_name(shared, monkeypatch, cache):
    folder = shared("weights", "dinov2-small")
    monkeypatch.chdir(folder.parents[1])
    network = load_network("weights/dinov2-small", size=(28, 28))
    assert network.name == "dinov2-small"


@pytest.mark.slow
def test_a_hub_name_is_fetched_without_code_or_pickles(shared, monkeypatch, cache):
    folder, asked = shared("weights", "dinov2-small"), []

    def fetch(name, *, allow_patterns):
        asked.append((name, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert load_network("facebook/dinov2-small").name == "facebook/dinov2-small"
    ((name, patterns),) = asked
    assert name == "facebook/dinov2-small"
    assert all(pattern.endswith((".json", ".safetensors")) for pattern in patterns)


def test_a_failing_hub_is_one_input_error(monkeypatch):
    def fail(name, *, allow_patterns):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(InputError, match=r"no folder is called 'a/b'.*ConnectionError: no route to host"):
        load_network("a/b")


@pytest.mark.slow
def test_offline_means_offline(tmp_path):
    code = "from loce_jax.models.catalog import load_network; load_network('nobody/nothing')"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert "InputError: no folder is called 'nobody/nothing'" in result.stderr


@pytest.mark.parametrize("name", ["eficientnet-lite0", "", "resnet 50", "../none", "/none/such", "a/b/c", "~nobody/x"])
def test_unknown_names_say_what_is_possible(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="efficientnet-lite0.*[Ff]older|folder"):
        load_network(name)


def test_the_nearest_name_is_offered():
    with pytest.raises(InputError, match="Did you mean 'efficientnet-lite0'"):
        load_network("eficientnet-lite0")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "nothing is there.*save_pretrained"),
        ("{", "must be JSON"),
        ("[]", "JSON object"),
        ("[" * 100_000, "must be JSON"),
        ("{}", "is None.*Known: .*dinov2"),
        ('{"model_type": "dinov3"}', "is 'dinov3'.*Did you mean .*'dinov2'"),
        ('{"model_type": ["dinov2"]}', "is \\['dinov2'\\]"),
        ('{"model_type": "' + "x" * 5000 + '"}', r"^.*config.json' must .{,80}x{70,80}\.\.\.\. .{,2000}$"),
    ],
)
def test_a_folder_that_is_no_network_is_an_input_error(tmp_path, content, words):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=words):
        load_network(str(tmp_path))


@pytest.mark.parametrize("size", [(0, 224), (224, -1)])
def test_impossible_sizes_are_input_errors(size):
    with pytest.raises(InputError, match="at least 1 pixel"):
        load_network("efficientnet-lite0", size=size)


@pytest.mark.slow
def test_the_second_start_does_not_convert(cache, no_conversion):
    first = load_network("efficientnet-lite0")
    no_conversion()
    second = load_network("efficientnet-lite0")
    assert first.fingerprint == second.fingerprint
    assert first.params.keys() == second.params.keys()
    for key, value in first.params.items():
        np.testing.assert_array_equal(second.params[key], value)


@pytest.mark.parametrize("damage", ["flip", *further("checksum", "cut", "remove", "empty")])
def test_a_damaged_entry_is_made_again(cache, no_conversion, caplog, damage):
    first = load_network("efficientnet-lite0")
    (entry,) = (cache / "weights").iterdir()
    largest = max((path for path in entry.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    match damage:
        case "flip":
            largest.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        case "cut":
            largest.write_bytes(content[: len(content) // 2])
        case "remove":
            largest.unlink()
        case "checksum":
            (entry / "sha256").unlink()
        case "empty":
            entry.rename(cache / "aside")
            entry.mkdir()
    with caplog.at_level(logging.WARNING):
        again = load_network("efficientnet-lite0")
    assert "damaged" in caplog.text
    np.testing.assert_array_equal(again.params["_fc.weight"], first.params["_fc.weight"])
    no_conversion()
    load_network("efficientnet-lite0")


def test_an_entry_of_another_network_is_not_used(cache, caplog):
    abstract_module = efficientnet_lite0.abstract_module()
    weights_cache._write(cache / "weights" / f"x-v{weights_cache.CONVERSION}-abc", {"other": np.zeros(3, "f4")})
    right = {key: np.ones(p.shape, "f4") for key, p in abstract_module.parameters.items()}
    with caplog.at_level(logging.WARNING):
        assert weights_cache.cached_weights("x", "abc", abstract_module, lambda: right) is right
    assert "not this network's" in caplog.text


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("LOCE_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert load_network("efficientnet-lite0").params
    assert "cannot keep converted weights" in caplog.text


@pytest.mark.slow
def test_writers_at_the_same_time_leave_one_whole_entry(cache, no_conversion, caplog):
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(3) as pool:
        networks = list(pool.map(load_network, ["efficientnet-lite0"] * 3))
    assert len({network.fingerprint for network in networks}) == 1
    assert [path.name[0] for path in (cache / "weights").iterdir()] == ["e"]  # no draft is left
    assert not caplog.records
    no_conversion()
    load_network("efficientnet-lite0")


def test_the_cache_moves_with_the_environment(monkeypatch):
    monkeypatch.setenv("LOCE_CACHE", "/a")
    assert weights_cache.cache_folder() == Path("/a")
    monkeypatch.delenv("LOCE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert weights_cache.cache_folder() == Path("/b/loce_jax")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights_cache.cache_folder() == Path.home() / ".cache/loce_jax"


@pytest.mark.slow
def test_the_contract_and_the_tables_import_nothing_heavy():
    code = (
        "import json, sys, loce_jax.models.base, loce_jax.models.catalog; "
        "heavy = {'flax', 'orbax', 'torch', 'transformers', 'huggingface_hub'}; "
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == []
    assert catalog.NAMES == ("efficientnet-lite0",)
