"""What reaches each product when a network sees pictures: ranges, and rows taken at random.

The authored graph runs as it is, with a few small outputs more: no activation leaves the engine
whole, so that memory stays what an encode takes. Knows no recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgesam_export.graphs.net import FLOAT, INT64, Net
from edgesam_export.quantization.engine import EncoderRun
from edgesam_export.quantization.products import Product

ROWS = 512  # of each product, of all pictures together
_SEED = 20


@dataclass(frozen=True, eq=False)
class Seen:
    """What reached one product.

    Attributes:
        rows: (N, channels * taps) float32, what outputs at random places summed.
        lowest: (channels,) of all places of all pictures.
        highest: (channels,) likewise.
        work: multiply-accumulates of one picture.
    """

    rows: NDArray[np.float32]
    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]
    work: int


def probe(
    make: Callable[[], Net],
    products: Sequence[Product],
    pictures: Iterable[NDArray[np.float32]],
    count: int,
    folder: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Seen]:
    """Run the network on pictures and note what reaches each product.

    Args:
        make: builds the network, anew at each call.
        products: of it.
        pictures: (1, 3, S, S) float32, as the network takes them.
        count: how many there are.
        folder: for the graphs.
        progress: told how many pictures are done.
    """
    names = [product.name for product in products]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    low: dict[str, NDArray[np.float32]] = {}
    high: dict[str, NDArray[np.float32]] = {}
    random = np.random.default_rng(_SEED)
    run: EncoderRun | None = None
    for done, picture in enumerate(pictures, start=1):
        if run is None:
            sizes = EncoderRun(_with_shapes(make(), names, folder))(picture)
            shapes = {
                name: (_whole(sizes[f"in/{name}"]), _whole(sizes[f"out/{name}"])) for name in names
            }
            run = EncoderRun(_with_samples(make(), products, shapes, folder))
        places = random.random(-(-ROWS // count), np.float32)
        found = run(picture, places=places)
        for name in names:
            rows[name].append(found[f"rows/{name}"])
            lowest, highest = found[f"low/{name}"], found[f"high/{name}"]
            low[name] = np.minimum(low.get(name, lowest), lowest)
            high[name] = np.maximum(high.get(name, highest), highest)
        progress(done)
    return {
        product.name: Seen(
            rows=np.concatenate(rows[product.name]),
            lowest=low[product.name],
            highest=high[product.name],
            work=int(np.prod(shapes[product.name][1])) * len(product.weight),
        )
        for product in products
    }


def _with_shapes(net: Net, names: Sequence[str], folder: Path) -> Path:
    for name in names:
        node = _node(net, name)
        for what, value in (("in", node.inputs[0]), ("out", node.outputs[0])):
            shape = net.op("Cast", net.op("Shape", value), to=int(FLOAT))
            net.output(f"{what}/{name}", shape, ("axes",))
    return _saved(net, folder / "shapes.onnx")


def _with_samples(
    net: Net,
    products: Sequence[Product],
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]],
    folder: Path,
) -> Path:
    places = net.input("places", FLOAT, ("rows",))
    for product in products:
        node = _node(net, product.name)
        value = node.inputs[0]
        assert value is not None
        taken, given = shapes[product.name]
        convolves = node.op_type == "Conv"
        axes = (0, 2, 3) if convolves else tuple(range(len(taken) - 1))
        for what, op in (("low", "ReduceMin"), ("high", "ReduceMax")):
            extreme = net.op(op, value, net.ints(axes), keepdims=0)
            net.output(f"{what}/{product.name}", extreme, (product.channels,))
        if convolves:
            sampled = _patches(net, node, value, places, (taken[2], taken[3]), (given[2], given[3]))
        else:
            index = _index(net, places, int(np.prod(taken[:-1])))
            sampled = net.op("Gather", net.reshape(value, -1, taken[-1]), index, axis=0)
        net.output(f"rows/{product.name}", sampled, ("rows", len(product.weight)))
    return _saved(net, folder / "samples.onnx")


def _patches(
    net: Net,
    node: ir.Node,
    value: ir.Value,
    places: ir.Value,
    size: tuple[int, int],
    result: tuple[int, int],
) -> ir.Value:
    """What a convolution sums at some places of its result: (rows, channels * taps)."""
    kernel = node.attributes["kernel_shape"].as_ints()
    pad, stride = node.attributes["pads"].as_ints()[0], node.attributes["strides"].as_ints()[0]
    if pad:
        value = net.op("Pad", value, net.ints((0, 0, pad, pad, 0, 0, pad, pad)))
    width = size[1] + 2 * pad
    # Where the window of each place of the result begins, and what lies in it from there.
    y, x = np.divmod(np.arange(result[0] * result[1], dtype=np.int64), result[1])
    begins = net.constant(f"begins/{node.name}", stride * (y * width + x))
    dy, dx = np.divmod(np.arange(kernel[0] * kernel[1], dtype=np.int64), kernel[1])
    index = net.op("Gather", begins, _index(net, places, result[0] * result[1]), axis=0)
    index = net.add(net.reshape(index, -1, 1), net.constant(f"taps/{node.name}", dy * width + dx))
    found = net.op("Gather", net.reshape(value, 0, 0, -1), index, axis=2)
    channels = int(node.inputs[1].shape[1]) * len(dy)  # type: ignore[union-attr, index, arg-type]
    return net.reshape(net.transpose(found, 0, 2, 1, 3), -1, channels)


def _index(net: Net, places: ir.Value, count: int) -> ir.Value:
    """Rows of so many, from places between 0 and 1."""
    index = net.op("Cast", net.mul(places, net.scalar(float(count))), to=int(INT64))
    return net.op("Min", index, net.ints((count - 1,)))


def _whole(sizes: NDArray[np.float32]) -> tuple[int, ...]:
    return tuple(int(size) for size in sizes)


def _node(net: Net, name: str) -> ir.Node:
    node = net.node(name)
    assert node is not None
    return node


def _saved(net: Net, path: Path) -> Path:
    net.save(path)
    return path
