"""What to do with files that are not read here: pickles of PyTorch, graphs of other libraries, weights alone."""

from pathlib import Path

ONNX_WAY = "export it to ONNX, `torch.onnx.export(model.eval(), images, 'model.onnx')`, then `loce convert model.onnx`"
STATE_DICT_WAY = (
    "write its weights, `safetensors.torch.save_file(model.state_dict(), 'model.safetensors')`, and give them as "
    "`--weights` of `loce convert timm:NAME` or `torchvision:NAME`"
)
PICKLE = (
    "a pickle of PyTorch, which can run code and holds no network without its Python code, so it is not read. Load it "
    f"where you trust it, then either {ONNX_WAY}; or {STATE_DICT_WAY}; or call `loce_jax.models.convert(model, ...)`"
)
FORMATS = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".tar", ".torchscript", ".pt2"), PICKLE),
    **dict.fromkeys(
        (".h5", ".keras", ".pb", ".tflite"),
        "a network of TensorFlow, which is not read. Export it to ONNX with `tf2onnx`, then `loce convert model.onnx`",
    ),
    **dict.fromkeys(
        (".engine", ".trt", ".mlmodel", ".mlpackage", ".xml", ".caffemodel"),
        "a network compiled for another runtime, which is not read. Export the original one to ONNX, then "
        "`loce convert model.onnx`",
    ),
}
WEIGHTS_ALONE = (
    "weights without the network that they belong to. Give the folder that holds them with its `config.json`; or give "
    "the file as `--weights` of `loce convert timm:NAME` or `torchvision:NAME`"
)


def explain_format(name: str, *, converting: bool = False) -> str | None:
    """One line for a file whose format is not read, by its ending; None for any other name.

    `converting` is for ``loce convert``, which reads ONNX files; where a network is loaded they are to be converted.

    >>> explain_format("a/b.h5")
    "'a/b.h5' is a network of TensorFlow, which is not read. Export it to ONNX with `tf2onnx`, then `loce convert \
model.onnx`."
    >>> explain_format("facebook/dinov2-small") is None
    True
    """
    ending = Path(name).suffix.lower()
    if ending == ".onnx" and not converting:
        return f"{name!r} is an ONNX network, which is converted once: `loce convert {name} --out NEW_FOLDER`."
    told = WEIGHTS_ALONE if ending == ".safetensors" else FORMATS.get(ending)
    return told and f"{name!r} is {told}."
