"""How large each image's activations are, and whether a few images' leave nothing of the others in the statistics.

Shapes: n images, h x w grid cells, c channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.checks import InputError

MIN_TYPICAL = 0.16  # of the mean energy.  Of 208 photographs at six layers, groups of four stay above 0.5, pairs 0.25


@dataclass(frozen=True)
class ImageEnergies:
    """Mean squares of images' activations, and which image's is the largest.

    Attributes:
        energies: of each image, over its pixels and channels; an image whose activations are all 0, or not all finite,
            is left out.
        image: name of the image with the largest.
        channel: where most of it is.
    """

    energies: tuple[float, ...] = ()
    image: str = ""
    channel: int = 0

    @classmethod
    def of(cls, activations: Float[np.ndarray, "n h w c"], names: Sequence[str]) -> "ImageEnergies":
        """Those of images with these names.

        >>> ImageEnergies.of(np.array([1.0, 3.0, 2.0]).reshape(3, 1, 1, 1), ["a.jpg", "b.jpg", "c.jpg"])
        ImageEnergies(energies=(1.0, 9.0, 4.0), image='b.jpg', channel=0)
        """
        found = cls()
        for image, name in zip(activations, names, strict=True):
            pixels = image.reshape(-1, image.shape[-1]).astype(np.float64)
            by_channel = np.einsum("pc,pc->c", pixels, pixels)
            if by_channel.any() and np.isfinite(pixels).all():
                found = found.merge(cls((float(by_channel.sum() / pixels.size),), name, int(by_channel.argmax())))
        return found

    def merge(self, more: "ImageEnergies") -> "ImageEnergies":
        """Those of both groups of images.

        >>> ImageEnergies((1.0,), "a.jpg").merge(ImageEnergies((4.0,), "b.jpg", 2))
        ImageEnergies(energies=(1.0, 4.0), image='b.jpg', channel=2)
        """
        high = self if max(self.energies, default=0) >= max(more.energies, default=0) else more
        return ImageEnergies(self.energies + more.energies, high.image, high.channel)

    def check(self, where: str = "") -> None:
        """Raise `InputError` where at least half of the images have energies far below the mean.

        The ridge recipe scales activations to unit variance over the data set; of images whose activations are then
        small, its penalty leaves no vector.

        Args:
            where: words for the message, such as " at layer 'late'".
        """
        if not self.energies:
            return
        typical = sorted(self.energies)[(len(self.energies) - 1) // 2]
        if typical < MIN_TYPICAL * np.mean(self.energies):
            ratio = np.sqrt(max(self.energies) / typical)
            raise InputError(
                f"`activations` must be of one scale, but those of {self.image!r}{where} are {ratio:.3g} times those "
                f"of a typical image (root mean square), most of all in channel {self.channel}, and statistics that "
                "such images dominate leave nothing of the others. Leave it out, or see what the network makes of it."
            )
