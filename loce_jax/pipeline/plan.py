"""What work a run consists of: the options, and the images in chunks that can be done in any order."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from loce_jax.batch_sizes import IMAGES_PER_CHUNK
from loce_jax.checks import InputError, check_known, counted
from loce_jax.data.samples import Dataset, Item, check_dataset, name_of
from loce_jax.foreign_text import logger
from loce_jax.models.base import Network
from loce_jax.pipeline.sources import Source
from loce_jax.recipes import Projection, Recipe, recipe_record
from loce_jax.store.files import FORMAT

MAX_TARGET = 4096
WITHOUT_PARTNER = ("no_label", "image_missing")
log = logger(__name__)


@dataclass(frozen=True)
class Plan:
    """A run's work.

    Attributes:
        network: the frozen network.
        layers: canonical names of the layers, in the requested order.
        dataset: the images and masks.
        recipe: the solver's recipe.
        target: height and width of the grid that masks are resized to.
        iou: what the IoU with a mask at its own size is measured on: the ``"probability"`` map, the same truncated to
            8 bits (``"uint8"``, as the paper's code does), or the ``"logit"`` map.
    """

    network: Network
    layers: tuple[str, ...]
    dataset: Dataset
    recipe: Recipe
    target: tuple[int, int]
    iou: Projection

    @property
    def chunks(self) -> dict[str, Sequence[Item]]:
        """Chunk names and their items; the same for the same data set, whatever was done before."""
        items = self.dataset.items
        starts = range(0, len(items), IMAGES_PER_CHUNK)
        return {f"{number:05d}": items[start : start + IMAGES_PER_CHUNK] for number, start in enumerate(starts)}

    def record(self) -> dict[str, Any]:
        """The plan as plain values, for ``plan.json``."""
        return {
            "format": FORMAT,
            "model": {
                "name": self.network.name,
                "fingerprint": self.network.fingerprint,
                "dtype": self.network.dtype,
                "preprocess": _plain(asdict(self.network.preprocess)),
            },
            "layers": self._layer_records(),
            "data": {
                "name": name_of(self.dataset),
                "fingerprint": self.dataset.fingerprint,
                "concepts": list(self.dataset.concepts),
            },
            "recipe": recipe_record(self.recipe),
            "target": list(self.target),
            "iou": self.iou,
            "images": len(self.dataset.items),
            "pairs": sum(len(item.pairs) for item in self.dataset.items),
            "chunks": list(self.chunks),
        }

    def _layer_records(self) -> dict[str, dict[str, Any]]:
        """By name, what `loce_jax.layer_names.LayerRecord` says of a layer."""
        every = self.network.layers()
        numbers = {layer.name: number - len(every) for number, layer in enumerate(every)}
        return {
            layer.name: {
                "aliases": list(layer.aliases),
                "index": numbers[layer.name],
                "channels": layer.channels,
                "grid": list(layer.grid),
                "stride": layer.stride,
                "kind": layer.kind,
            }
            for layer in self.network.resolve(self.layers)
        }


def _plain(entries: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in entries.items()}


def make_plan(
    network: Network,
    layers: Sequence[str],
    data: Dataset | Source,
    recipe: Recipe,
    *,
    target: tuple[int, int] = (100, 100),
    iou: Literal["recipe"] | Projection = "recipe",
) -> Plan:
    """Decide everything that can be decided before the work begins.

    Args:
        network: the frozen network.
        layers: names of its layers, as `Network.resolve` takes them.
        data: a data set, or where to open one.
        recipe: the solver's recipe.
        target: height and width of the grid that masks are resized to.
        iou: see `Plan`; ``"recipe"`` is what the recipe's source does.

    Raises:
        InputError: an unknown layer, a data set that cannot be used or is empty, a recipe that ties samples together.
    """
    if recipe.couples_batch:
        raise InputError(
            "`penalty` of the recipe must be 'sample' in a run, whose chunks are independent, but got 'batch'. Give "
            "`penalty` the value 'sample'."
        )
    check_known("iou", [iou], ("recipe", *get_args(Projection)))
    if len(target) != 2 or min(target) < 1 or max(target) > MAX_TARGET:
        raise InputError(
            f"`target` must be a height and a width from 1 to {MAX_TARGET}, because every mask is resized to it and "
            f"solved on it, but got {target}. The paper's is (100, 100)."
        )
    names = tuple(layer.name for layer in network.resolve(layers))
    dataset = check_dataset(data.open() if isinstance(data, Source) else data)
    return Plan(network, names, dataset, recipe, target, recipe.projection if iou == "recipe" else iou)


def heed_problems(plan: Plan, *, strict: bool) -> None:
    """Say what the data set left out for want of a partner; with `strict`, refuse whatever it left out.

    Parts of an annotation that have no area are left out in any case: the rest of it is used.

    Raises:
        InputError: `strict`, and something was left out.
    """
    left_out = [problem for problem in getattr(plan.dataset, "problems", ()) if problem.status != "no_area"]
    if not left_out:
        return
    first = left_out[0]
    where = ", ".join(filter(None, (repr(first.file), first.annotation, first.concept)))
    if strict:
        raise InputError(
            f"`strict` refuses {where}: {first.status} ({first.reason}). It is the first of {len(left_out)} that the "
            "data set leaves out; `loce data check` lists them. Mend the data, or run without `strict`."
        )
    if alone := [problem for problem in left_out if problem.status in WITHOUT_PARTNER]:
        log.warning(
            "%s: left out %s without a partner, such as %r; `loce data check` lists all.",
            name_of(plan.dataset),
            counted(len(alone), "file"),
            alone[0].file,
        )
