"""The most float32 arithmetic that this machine was seen to do. Knows no model, one graph.

python -m edgesam_bench.speed.probe BUNDLE ENGINE DEVICE THREADS

Large matrix products, by numpy's BLAS and by the engine itself: either library may be badly tuned
for a processor, so the better one counts as the peak. The engine gets them as an image encoder, in
the place of the bundle's own, so that any engine of edgesam can be asked.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgesam.embedding import finished
from edgesam.errors import EdgeSamError, ParityError

_SIDE = 1024
_PRODUCTS = 8  # of the engine's graph, one after the other: its overhead is per run
_SECONDS = 0.8
_LEAST_RUNS = 3

BLAS, ENGINE = "numpy", "engine"


def probed(bundle: Path, engine: str, device: str, threads: int | None) -> dict[str, Any]:
    """In a process of its own: ``numpy`` and ``engine``, GFLOP/s each or why there is no figure.

    Raises:
        ParityError: neither could be measured.
    """
    number = "default" if threads is None else str(threads)
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    blas = {} if threads is None else dict.fromkeys(names, number)
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(bundle), engine, device, number],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **blas},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ParityError(f"the machine's peak cannot be measured: {last}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Command line."""
    bundle, engine, device, number = sys.argv[1:]
    found: dict[str, Any] = {BLAS: _numpy()}
    try:
        threads = None if number == "default" else int(number)
        found[ENGINE] = _engine(Path(bundle), engine, device, threads)
    except EdgeSamError as error:
        found["reason"] = str(error)
    print(json.dumps(found))
    return 0


def _numpy() -> float:
    left = np.random.default_rng(0).standard_normal((_SIDE, _SIDE)).astype(np.float32)
    result = np.empty_like(left)
    return _gflops(lambda: np.matmul(left, left, out=result), 1)


def _engine(bundle: Path, engine: str, device: str, threads: int | None) -> float:
    from edgesam.bundle import open_bundle
    from edgesam.engines import Graphs, choose

    opened = open_bundle(bundle)
    _, variant = opened.variant("fp32")
    with tempfile.TemporaryDirectory(prefix="edgesam-", ignore_cleanup_errors=True) as folder:
        probe = Path(folder) / "products.onnx"
        write_products(probe)
        session = choose(engine).open(
            Graphs(
                image_encoder=probe,
                image_side=opened.verified(variant.image_side),
                mask_decoder=opened.verified(variant.mask_decoder),
            ),
            precision="fp32",
            device=device,
            threads=threads,
        )
        image = np.random.default_rng(1).standard_normal((1, 1, _SIDE, _SIDE)).astype(np.float32)
        speed = _gflops(lambda: finished(session.encode(image)), _PRODUCTS)
        session.close()
    return speed


def write_products(path: Path) -> None:
    """A graph that multiplies ``image`` (1, 1, N, N) by one constant again and again."""
    import onnx_ir as ir

    # Of this size its product keeps the values' size: no overflow, no denormal numbers.
    factor = np.random.default_rng(2).standard_normal((_SIDE, _SIDE)) / math.sqrt(_SIDE)
    tensor = ir.Tensor(factor.astype(np.float32), name="factor")
    shape, kind = ir.Shape((1, 1, _SIDE, _SIDE)), ir.TensorType(ir.DataType.FLOAT)
    constant = ir.Value(name="factor", type=kind, shape=tensor.shape, const_value=tensor)
    value = image = ir.Value(name="image", type=kind, shape=shape)
    nodes = []
    for number in range(_PRODUCTS):
        last = number == _PRODUCTS - 1
        result = ir.Value(
            name="image_embeddings" if last else f"product_{number}", type=kind, shape=shape
        )
        nodes.append(ir.Node("", "MatMul", [value, constant], outputs=[result]))
        value = result
    graph = ir.Graph(
        [image], [value], nodes=nodes, initializers=[constant], opset_imports={"": 20}, name="peak"
    )
    ir.save(ir.Model(graph, ir_version=9), path)


def _gflops(run: Callable[[], object], products: int) -> float:
    """Of the fastest run: a peak is what the machine can do, not what it does at times."""
    run()
    fastest, runs, end = math.inf, 0, time.perf_counter() + _SECONDS
    while runs < _LEAST_RUNS or time.perf_counter() < end:
        started = time.perf_counter()
        run()
        fastest, runs = min(fastest, time.perf_counter() - started), runs + 1
    return 2e-9 * products * _SIDE**3 / fastest


if __name__ == "__main__":
    sys.exit(main())
