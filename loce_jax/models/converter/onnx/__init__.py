"""ONNX networks, translated once to the graph into which PyTorch networks are translated too.

`onnx` is needed here, and only here: what comes out runs without it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError
from loce_jax.models.base import Network
from loce_jax.models.converter import folder
from loce_jax.models.converter.graph import Graph, name_outputs
from loce_jax.models.converter.network import to_network
from loce_jax.models.converter.onnx.image_input import read_input
from loce_jax.models.converter.onnx.layers import arrange, layers_of, name_layers, outputs_of, prune
from loce_jax.models.converter.onnx.naming import name_by_path
from loce_jax.models.converter.onnx.reading import read_model
from loce_jax.models.converter.onnx.recording import Recorder
from loce_jax.models.converter.onnx.translating import translate
from loce_jax.models.converter.onnx.zoo import recognize
from loce_jax.models.preprocess.description import Preprocess
from loce_jax.models.preprocess.options import OWN, PreprocessOptions, read_options


def convert_onnx(
    path: str | Path,
    *,
    preprocess: Preprocess | PreprocessOptions | str = OWN,
    size: tuple[int, int] | None = None,
    name: str | None = None,
    out: str | Path | None = None,
) -> Network:
    """An ONNX network as a `Network`, computing as the file says; from then on without ONNX.

    Every node's output that is a feature map, or the patch tokens of one, becomes a layer under the node's name in the
    file; aliases are the output's name, a module's path, an operator's path such as ``stride8.Conv_3``, and ``stride8``
    for a backbone's last layer of that stride (`loce_jax.models.converter.onnx.naming`).  What the file returns beside
    layers, in floating point, becomes the network's outputs.

    Args:
        path: a model with one input, the images ``[b 3 h w]`` or ``[b h w 3]``, where b is 1 or free.
        preprocess: how photos become its input, which the file does not say: a `Preprocess`, or what
            `loce_jax.models.preprocess.options` reads, such as ``"imagenet"`` or ``"range=0..255,channels=bgr"``.
            Without it, what is known of a published family (`loce_jax.models.converter.onnx.zoo`) is used.
        size: ``(h, w)`` of the images where `preprocess` is no `Preprocess`; the file's own if not given.
        name: what to call it; the file's name if not given.
        out: a new folder to keep it in, for `load_converted`.

    Raises:
        UnknownPreprocess: the network is of no known family, and `preprocess` does not say what enters it.
        InputError: `onnx` is missing, or the file is damaged, or holds what cannot be converted.
    """
    model = read_model(path)
    layout = read_input(model, path)
    if isinstance(preprocess, Preprocess):
        preprocess = replace(layout.check(preprocess.of_size(size)), declared=False)
    else:
        preprocess = layout.preprocess(_options(preprocess, model, path), size, path)
    recorder = Recorder(preprocess.size)
    found = translate(model, {layout.name: layout.record(recorder)}, recorder)
    names = name_layers(found)
    values = {known: value for known, (value, _) in names.items()}
    arranged = layers_of(recorder, values)
    in_file = [replace(layer, aliases=names[layer.name][1]) for layer, _ in arranged]
    layers = tuple(name_by_path(model, found, values, in_file))
    if not layers:
        raise InputError(
            f"`path` must be a network whose nodes return feature maps, but none in {str(path)!r} does. "
            "Check that it is an image network."
        )
    taps = {
        layer.name: arrange(recorder, values[old.name], how).index
        for layer, (old, how) in zip(layers, arranged, strict=True)
    }
    others = outputs_of(
        [output.name for output in model.graph.output], found, {values[old.name].index for old, _ in arranged}
    )
    outputs = name_outputs((output for output, _ in others), layers)
    taps |= {output.name: index for output, (_, index) in zip(outputs, others, strict=True)}
    nodes, taps = prune(recorder.nodes, taps)
    graph = Graph(name or Path(path).stem, preprocess, False, nodes, layers, taps, outputs)
    tensors = {key: recorder.weights[key] for key in graph.weights()}
    network = to_network(graph, tensors)
    if out is not None:
        folder.write(out, graph, tensors)
    return network


def _options(given: PreprocessOptions | str, model: Any, path: str | Path) -> PreprocessOptions:
    """What is given of the preprocessing, completed by what is known of the model's family."""
    options = read_options(given) if isinstance(given, str) else given
    family = None if options.complete else recognize(model, path)
    if family is None:
        return options
    known = read_options(family.preset)
    source = f"{family.preset}, recognized by {family.evidence}" + (f", {options.source}" if options.source else "")
    return replace(known, given={**known.given, **options.given}, source=source)
