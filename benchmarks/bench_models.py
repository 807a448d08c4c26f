"""Time activations: native Flax networks, the converter's, and PyTorch eager, with the same random weights.

``python benchmarks/bench_models.py [--quick]`` prints JSON lines: one per network with what converting costs, one per
network, layers and contender, and one per network and layers with the ratios.  Every contender gets a process of its
own and the same images (a batch of 8):

    native       the Flax network, through `make_extractor`
    converted    the same checkpoint after `loce convert`, likewise; no PyTorch
    torch        transformers' network with a forward hook on each layer; it runs to its end

`first_s` holds compilation and warming up, `runs_s` the calls after it, `difference` the largest relative difference
from PyTorch over the layers, so that only equally good results are compared.  `bound_s` is how long the whole network's
multiplications would take at the speed at which PyTorch multiplies large float32 matrices here: the machine's limit.
"""

import argparse
import functools as ft
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import machine

BATCH = 8
SIZE = (224, 224)
PREPROCESSOR = {
    "size": {"height": SIZE[0], "width": SIZE[1]},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
}
CONTENDERS = ("torch", "native", "converted")


@dataclass(frozen=True)
class NetworkSpec:
    """A network of transformers, and the layers to read: the last one, and what an analysis of several depths reads.

    Layers are pairs of our name and of the module's path in transformers.
    """

    model: str
    config: str
    layers: dict[str, tuple[tuple[str, str], ...]]


def vit_layers(*numbers):
    return tuple((f"encoder.layer.{i}", f"layers.{i}") for i in numbers)


def resnet_layers(*stages):
    return tuple((f"encoder.stages.{i}", f"encoder.stages.{i}") for i in stages)


NETWORKS = {
    "resnet-50": NetworkSpec(
        "ResNetModel",
        "ResNetConfig",
        {"last": resnet_layers(3), "last two": resnet_layers(2, 3), "middle": resnet_layers(2)},
    ),
    "vit-b-16": NetworkSpec(
        "ViTModel", "ViTConfig", {"last": vit_layers(11), "paper": vit_layers(3, 7, 11), "middle": vit_layers(5)}
    ),
}


@ft.cache
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (BATCH, *SIZE, 3), dtype=np.uint8)


def normalized() -> np.ndarray:
    mean, std = (np.float32(PREPROCESSOR[key]) for key in ("image_mean", "image_std"))
    return ((images() / np.float32(255) - mean) / std).astype(np.float32)


def prepare(spec: NetworkSpec, folder: Path) -> dict:
    """Write the checkpoint with random weights, and convert it."""
    from loce_jax.models.converter.torch.libraries import need  # noqa: PLC0415 - each process needs its own libraries only

    torch, transformers = need("torch"), need("transformers")
    from loce_jax.models.converter.torch.sources import convert_source  # noqa: PLC0415

    torch.manual_seed(0)
    model = getattr(transformers, spec.model)(getattr(transformers, spec.config)()).eval()
    model.save_pretrained(folder / "checkpoint")
    (folder / "checkpoint" / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    start = time.perf_counter()
    convert_source(str(folder / "checkpoint"), folder / "converted")
    convert_s = time.perf_counter() - start
    speed = matmul_flops(torch)
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.from_numpy(normalized()).permute(0, 3, 1, 2))
    bound = counter.get_total_flops() / speed
    return {"convert_s": round(convert_s, 2), "matmul_gflops": round(speed / 1e9, 1), "bound_s": round(bound, 4)}


def matmul_flops(torch) -> float:
    """Floating-point operations a second of large float32 matrix products, at best of several."""
    m, k, n = 2048, 1024, 2048
    a, b = torch.randn(m, k), torch.randn(k, n)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        torch.matmul(a, b)
        times.append(time.perf_counter() - start)
    return 2 * m * k * n / min(times)


def in_torch(spec: NetworkSpec, folder: Path, layers: str) -> Callable[[], dict[str, np.ndarray]]:
    from loce_jax.models.converter.torch.libraries import need  # noqa: PLC0415

    torch, transformers = need("torch"), need("transformers")
    model = getattr(transformers, spec.model).from_pretrained(folder / "checkpoint").eval()
    pixels, found = torch.from_numpy(normalized()).permute(0, 3, 1, 2).contiguous(), {}
    for name, path in spec.layers[layers]:

        def keep(_module, _inputs, output, name=name):
            found[name] = output[0] if isinstance(output, tuple) else output

        model.get_submodule(path).register_forward_hook(keep)

    def run():
        with torch.inference_mode():
            model(pixels)
        return {name: tensor.numpy() for name, tensor in found.items()}

    return run


def in_jax(spec: NetworkSpec, folder: Path, layers: str) -> Callable[[], dict[str, np.ndarray]]:
    import jax  # noqa: PLC0415

    from loce_jax import load_network, make_extractor  # noqa: PLC0415

    network = load_network(str(folder))
    theirs = {
        name: network.resolve([path if folder.name == "converted" else name])[0].name
        for name, path in spec.layers[layers]
    }
    extract = make_extractor(network, list(theirs.values()), batch_size=BATCH)

    def run():
        found = jax.block_until_ready(extract(images()))
        return {name: found[layer] for name, layer in theirs.items()}

    return run


def measure(network: str, layers: str, contender: str, folder: str, runs: int) -> dict:
    """Time one contender, in this process; the first call's maps go to a file."""
    root, start = Path(folder), time.perf_counter()
    if contender == "torch":
        run = in_torch(NETWORKS[network], root, layers)
    else:
        run = in_jax(NETWORKS[network], root / {"native": "checkpoint"}.get(contender, contender), layers)
    loaded = time.perf_counter()
    maps = run()
    first = time.perf_counter() - loaded
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    for number, found in enumerate(maps.values()):
        np.save(root / f"{contender}-{number}.npy", found)
    return {
        "network": network,
        "layers": layers,
        "contender": contender,
        "load_s": round(loaded - start, 3),
        "first_s": round(first, 3),
        "median_s": round(float(np.median(times)), 4),
        "runs_s": [round(t, 4) for t in times],
        "images_per_s": round(BATCH / float(np.median(times)), 2),
    }


def on_grid(found: np.ndarray, like: np.ndarray) -> np.ndarray:
    """PyTorch's ``[b c h w]`` or ``[b t c]`` as our ``[b h w c]``."""
    if found.ndim == 4:
        return np.moveaxis(found, 1, 3)
    return found[:, -like.shape[1] * like.shape[2] :].reshape(like.shape)


def difference(folder: Path, contender: str, layers: int) -> float:
    worst = 0.0
    for number in range(layers):
        own, reference = (np.load(folder / f"{who}-{number}.npy") for who in (contender, "torch"))
        expected = on_grid(reference, own)
        worst = max(worst, float(np.abs(own - expected).max() / np.abs(expected).max()))
    return worst


def in_own_process(job: dict) -> dict:
    command = [sys.executable, __file__, "--job", json.dumps(job)]
    done = subprocess.run(command, env=os.environ, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(network: str, folder: Path, *, quick: bool):
    """Every contender in a process of its own, one after the other."""
    yield {"network": network} | in_own_process({"prepare": network, "folder": str(folder)}) | machine()
    runs = 1 if quick else 7
    for layers in list(NETWORKS[network].layers)[: 1 if quick else None]:
        rows = {}
        for contender in CONTENDERS:
            job = {"network": network, "layers": layers, "contender": contender, "folder": str(folder), "runs": runs}
            row = in_own_process(job)
            if contender != "torch":
                row["difference"] = difference(folder, contender, len(NETWORKS[network].layers[layers]))
            rows[contender] = row["median_s"]
            yield row
        yield {
            "network": network,
            "layers": layers,
            "native_over_converted": round(rows["native"] / rows["converted"], 3),
            "torch_over_native": round(rows["torch"] / rows["native"], 3),
            "torch_over_converted": round(rows["torch"] / rows["converted"], 3),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one network, one layer and one run, as a test")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.job:
        job = json.loads(flags.job)
        network = job.pop("prepare", None)
        print(json.dumps(prepare(NETWORKS[network], Path(job["folder"])) if network else measure(**job)))
        return
    for network in list(NETWORKS)[:1] if flags.quick else NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            for line in compare(network, Path(folder), quick=flags.quick):
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
