"""The network of a run is loaded again as it was, or refused."""

import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from loce_jax import InputError, load_network
from loce_jax.feature_spaces.reopening import reopen_network


def run_of(network, **changes) -> Any:
    model = {
        "name": network.name,
        "fingerprint": network.fingerprint,
        "dtype": network.dtype,
        "preprocess": asdict(network.preprocess),
    }
    return SimpleNamespace(plan=json.loads(json.dumps({"model": model | changes})), storage="there")


pytestmark = [pytest.mark.wrong_types, pytest.mark.slow]  # stand-ins for runs; loads the embedded network five times


@pytest.fixture(scope="module")
def network():
    return load_network("efficientnet-lite0", size=(64, 96), preprocess="range=0..1,channels=bgr", dtype="bfloat16")


def test_it_is_the_same_network(network):
    found = reopen_network(run_of(network))
    assert (found.fingerprint, found.preprocess, found.dtype) == (network.fingerprint, network.preprocess, "bfloat16")
    assert found.layers() == network.layers()


def test_another_place_may_be_named_but_not_another_network(network):
    assert reopen_network(run_of(network, name="gone"), "efficientnet-lite0").name == "efficientnet-lite0"
    with pytest.raises(
        InputError, match=r"'gone' of the run 'there' cannot be loaded: .* `model` says where it is now"
    ):
        reopen_network(run_of(network, name="gone"))
    with pytest.raises(InputError, match="architecture or weights differ"):
        reopen_network(run_of(network, fingerprint="0" * 64))
    with pytest.raises(InputError, match="its `preprocess` is another"):
        reopen_network(run_of(network, preprocess={"size": [64, 96], "crop": 3}))
