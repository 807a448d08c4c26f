"""Look once at whether the first photographs of a run enter its network as it expects them."""

import numpy as np
from jaxtyping import UInt8

from loce_jax.activations import Activations, Extract
from loce_jax.foreign_text import logger
from loce_jax.models.base import Network
from loce_jax.models.preprocess.check import MOST_IMAGES, doubt_pixels

log = logger(__name__)


def doubting(extract: Extract, network: Network) -> Extract:
    """`extract`, which warns once if the first photographs do not look as `network` expects them.

    What a checkpoint declares itself is not doubted: only what a person says, or nobody.  Images that are all black,
    as unread ones are, do not count.
    """
    done = network.preprocess.declared

    def look_and_extract(images: UInt8[np.ndarray, "m h w 3"]) -> Activations:
        nonlocal done
        shown = [] if done else [image for image in images if image.any()][:MOST_IMAGES]
        if shown:
            done = True
            if doubt := doubt_pixels(network, np.stack(shown)):
                log.warning("%s", doubt)
        return extract(images)

    return look_and_extract
