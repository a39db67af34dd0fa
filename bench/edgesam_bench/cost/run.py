"""A bundle loaded, a picture embedded twice and clicked on, as a program of its own would.

python run.py PICTURE BUNDLE
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import edgesam
from edgesam_bench.cost.peak import peak_mib

CLICKS = 10


def main(picture: str, bundle: str) -> None:
    started = time.perf_counter()
    sam = edgesam.load(bundle)
    image = edgesam.read(picture)
    load = time.perf_counter() - started
    encodes = []
    for _ in range(2):
        started = time.perf_counter()
        embedding = sam.embed(image)
        encodes.append(time.perf_counter() - started)
    clicks = []
    for shift in range(CLICKS + 1):  # the first warms up
        prompt = edgesam.Prompt.box(100 + shift, 120, 300 + shift, 360)
        started = time.perf_counter()
        sam.segment(embedding, prompt)
        clicks.append(time.perf_counter() - started)
    figures = {
        "load": load,
        "encode": min(encodes),
        "click": statistics.median(clicks[1:]),
        "peak_mib": peak_mib(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
