"""What distinguishes one plain vision transformer from another: numbers in `Architecture`, key names in `Names`."""

from dataclasses import asdict, dataclass
from typing import Any

from loce_jax.models.checkpoints.weights import Rules

OLD_ATTENTION: Rules = (  # what checkpoints call the four maps that newer files, and `Attention`, call *_proj
    (r"\.attention\.q_proj\.", ".attention.attention.query."),
    (r"\.attention\.k_proj\.", ".attention.attention.key."),
    (r"\.attention\.v_proj\.", ".attention.attention.value."),
    (r"\.attention\.o_proj\.", ".attention.output.dense."),
)


@dataclass(frozen=True)
class Names:
    """What one spelling calls the layers; ``{}`` is a block's number, and "" a layer that it has no name for."""

    patches: str = "embeddings.patch_embeddings.projection"
    embeddings: str = "embeddings"
    pre_norm: str = ""
    block: str = "encoder.layer.{}"
    norm: str = "layernorm"

    def under(self, prefix: str) -> "Names":
        """The same names behind a task's prefix."""
        return Names(**{part: name and prefix + name for part, name in asdict(self).items()})

    @property
    def rules(self) -> Rules:
        """From `VisionTransformer`'s keys to keys that begin with these names."""
        return (
            (r"^embeddings\.patch_embeddings\.", f"{self.patches}."),
            (r"^embeddings\.", f"{self.embeddings}."),
            (r"^pre_norm\.", f"{self.pre_norm}."),
            (r"^layer\.(\d+)\.", self.block.format(r"\1") + "."),
            (r"^norm\.", f"{self.norm}."),
        )


@dataclass(frozen=True)
class Architecture:
    """What distinguishes one plain vision transformer from another.

    Attributes:
        names: of the layers, as the checkpoint has them.
        width: channels of a token; `hidden`: of the MLP inside a block.
        grid: rows and columns of patches that the stored position embeddings are for; empty without them.
        antialias: whether these are smoothed when they are resampled to a smaller grid.
        leading: learned tokens before the patches, each with a position.
        registers: how many learned tokens follow those, without positions.
        detection: how many learned tokens come after the patches, each with a position.
        flat: whether the first token and the positions are stored without a leading axis of length 1.
        mid_positions: whether positions are added between blocks again.
        rope_theta: the longest wavelength of rotary positions; None without them.
        gated: whether the MLP has a gate.
        layer_scale: whether each branch of a block is scaled before it is added.
        unbiased: the linear maps that have no bias: ``q_proj``, ``k_proj``, ``v_proj``, ``o_proj``, ``mlp``,
            ``patches``.
        pooler: activation function of the pooler, where there is one.
    """

    names: Names
    width: int
    depth: int
    heads: int
    hidden: int
    patch: int
    epsilon: float
    activation: str
    grid: tuple[int, ...] = ()
    antialias: bool = False
    leading: tuple[str, ...] = ("cls_token",)
    registers: int = 0
    detection: int = 0
    flat: bool = False
    mid_positions: bool = False
    rope_theta: float | None = None
    gated: bool = False
    layer_scale: bool = False
    unbiased: frozenset[str] = frozenset()
    pooler: str = "tanh"

    @classmethod
    def of(cls, config: Any, names: Names, **own: Any) -> "Architecture":
        """From the entries that every configuration has under the same name, and what is a family's `own`."""
        size = getattr(config, "image_size", ())
        size = (size, size) if isinstance(size, int) else size
        common = {
            "width": config.hidden_size,
            "depth": config.num_hidden_layers,
            "heads": config.num_attention_heads,
            "hidden": getattr(config, "intermediate_size", None),
            "patch": config.patch_size,
            "epsilon": config.layer_norm_eps,
            "activation": config.hidden_act,
            "grid": tuple(n // config.patch_size for n in size),
        }
        return cls(names, **common | own)

    @property
    def prefix(self) -> int:
        """How many tokens come before the patches."""
        return len(self.leading) + self.registers

    def faults(self) -> list[str]:
        """What is wrong with it, in the words of ``config.json``."""
        faults = {
            "`mlp_ratio` leaves no hidden unit": self.hidden < 1,
            "`hidden_size` is not a multiple of `num_attention_heads`": self.width % self.heads,
            "`image_size` is below `patch_size`": self.grid and min(self.grid) < 1,
            "`image_size` is not one number, or two": self.grid and len(self.grid) != 2,
            "`hidden_size` is not a multiple of 4 * `num_attention_heads`": self.rope_theta
            and self.width % (4 * self.heads),
        }
        return [fault for fault, is_so in faults.items() if is_so]
