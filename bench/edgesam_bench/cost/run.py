"""A bundle loaded, a picture embedded twice and clicked on, as a program of its own would.

python run.py PICTURE BUNDLE
"""

from __future__ import annotations

import json
import sys
import time

import edgesam
from edgesam_bench.cost.protocol import box, measured


def main(picture: str, bundle: str) -> None:
    started = time.perf_counter()
    sam = edgesam.load(bundle)
    image = edgesam.read(picture)
    embedding: edgesam.Embedding | None = None

    def encode() -> None:
        nonlocal embedding
        embedding = sam.embed(image)
        embedding.wait()

    def click(shift: int) -> None:
        assert embedding is not None
        sam.segment(embedding, edgesam.Prompt.box(*box(shift)))

    print(json.dumps(measured(started, encode, click)))


if __name__ == "__main__":
    main(*sys.argv[1:])
