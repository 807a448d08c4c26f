"""What holds for a network cut at a layer: its rest computes what the whole network does."""

import jax.numpy as jnp
import numpy as np

from tests.support.compiled import compiled_quickly

CLOSE = 1e-6  # of the largest value: the same float32 operations, which XLA may fuse in another way


def photos(network, count=2):
    return np.random.default_rng(0).integers(0, 256, (count, *network.preprocess.size, 3), np.uint8)


def ends_of(network):
    """All outputs, and the last layer."""
    return (*(output.name for output in network.outputs), network.layers()[-1].name)


def assert_same(found, expected, names):
    for name in names:
        scale = float(jnp.abs(expected[name]).max())
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=CLOSE * scale, err_msg=name)


def assert_resumes(network, *layers):
    """The rest of a layer's own map is the plain forward; the rest of its half is the forward with it halved.

    All in one program, which takes less time to compile than its parts.  Returned are the contexts.
    """
    names = {layer: tuple(end for end in ends_of(network) if end != layer) for layer in layers}

    def compute(params, images, _):
        plain = network.edit({}, tuple({*layers, *ends_of(network)}))(params, images)
        resumed, halved, edited, contexts = {}, {}, {}, {}
        for layer, ends in names.items():
            rest = network.rest(layer, ends)
            contexts[layer] = context = rest.context(params, images)
            resumed[layer] = rest(params, plain[layer], context)
            halved[layer] = rest(params, plain[layer] / 2, context)
            edited[layer] = network.edit({layer: lambda x: x / 2}, ends)(params, images)
        return plain, resumed, halved, edited, contexts

    plain, resumed, halved, edited, contexts = compiled_quickly(compute)(network.params, photos(network), None)
    for layer, ends in names.items():
        assert_same(resumed[layer], plain, ends)
        assert_same(halved[layer], edited[layer], ends)
        assert any(float(jnp.abs(edited[layer][end] - plain[end]).max()) > 0 for end in ends)
    return [contexts[layer] for layer in layers]
