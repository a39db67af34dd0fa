"""edgesam.stream over a session on a device that is none: what overlaps, what waits, what stays.

The kernels and graphs are small Python functions; the device's virtual clock says when each ran.
"""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import Embedding, EmbeddingCache, Image, ImageError, Percentiles, Sam, Window
from edgesam.bundle import Bundle
from edgesam.cancel import Cancel, Cancelled
from edgesam.embedding import on_host
from edgesam.engines import DevicePixels, Graphs
from edgesam.engines.device.session import DeviceSession
from edgesam.engines.device.tensor import OnDevice
from edgesam.engines.fake import FakeEngine
from edgesam.engines.tensorrt.flavour import CLASSIC
from edgesam.engines.tensorrt.graph import TensorRtGraph
from edgesam.prepared import prepare
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.device.fake_clock import Costs

PATIENCE = 20.0
SIDE = 256
PICTURES = [np.full((200, 320), 3 * number, np.uint8) for number in range(8)]
TENSORS = {
    "encoder": {
        "image": ("INPUT", [1, 3, SIDE, SIDE]),
        "image_embeddings": ("OUTPUT", [1, 256, 2, 2]),
    },
    "side": {
        "image_embeddings": ("INPUT", [1, 256, 2, 2]),
        "mask_input": ("INPUT", [1, 1, SIDE, SIDE]),
        "has_mask_input": ("INPUT", [1]),
        "keys": ("OUTPUT", [1, 4]),
    },
    "decoder": {"keys": ("INPUT", [1, 4]), "low_res_masks": ("OUTPUT", [1, 4])},
}


def plan(name: str) -> bytes:
    tensors = {
        tensor: {"mode": mode, "shape": shape, "from": shape, "to": shape, "type": "FLOAT"}
        for tensor, (mode, shape) in TENSORS[name].items()
    }
    return json.dumps({"name": name, "tensors": tensors, "information": {"Layers": []}}).encode()


def of_encoder(given: dict[str, Any]) -> dict[str, Any]:
    ramp = np.arange(1024, dtype=np.float32).reshape(1, 256, 2, 2)
    return {"image_embeddings": ramp + given["image"].mean()}


def of_side(given: dict[str, Any]) -> dict[str, Any]:
    return {"keys": given["image_embeddings"][:, :4, 0, 0] * 2}


def resize(device: FakeDevice, _: Any, __: Any, given: tuple[Any, ...]) -> None:
    """Every level is the sum of the levels of the first 64 pixels or colours, by the table."""
    kind = "u2" if given[1] == 2 * given[10] else "u1"
    pixels = device.view(given[0], 64 * np.dtype(kind).itemsize).view(kind)
    table = device.view(given[2], 1 << (8 * np.dtype(kind).itemsize))
    device.view(given[13], 64)[:] = table[pixels].astype(int).sum() % 251


def normalize(device: FakeDevice, _: Any, __: Any, given: tuple[Any, ...]) -> None:
    level = device.view(given[0], 64)[0]
    device.view(given[5], 3 * SIDE * SIDE * 4).view(np.float32)[:] = level


@pytest.fixture
def fake_device() -> FakeDevice:
    """A picture is copied for as long as a kernel runs."""
    device = FakeDevice(costs=Costs(bytes_per_second=PICTURES[0].nbytes / 1e-4))
    device.register("prepare_resize", resize, writes=(13, 14))
    device.register("prepare_normalize", normalize, writes=(5,))
    return device


@pytest.fixture
def sam(
    make_bundle: Callable[..., Bundle], fake_trt: Any, fake_device: FakeDevice
) -> Iterator[Sam]:
    """LiteMedSAM's profile: pictures are normalised by their own range."""
    fake_trt.compute.update(encoder=of_encoder, side=of_side)

    class Engine(FakeEngine):
        def open(self, *_: Graphs, **__: Any) -> Any:
            graphs = (
                TensorRtGraph(CLASSIC, fake_device, plan(name), name=name, precision="fp16")
                for name in TENSORS
            )
            return DeviceSession(*graphs, description="fake:cpu")

    with edgesam.load(make_bundle(model="lite-medsam").path, engine=Engine()) as found:
        yield found


def arrays(embeddings: list[Embedding]) -> list[Any]:
    return [(embedding.array, on_host(embedding.side[0])) for embedding in embeddings]


def same(ours: list[Embedding], theirs: list[Embedding]) -> None:
    assert len(ours) == len(theirs)
    for (mine, my_side), (other, other_side) in zip(arrays(ours), arrays(theirs), strict=True):
        np.testing.assert_array_equal(mine, other)
        np.testing.assert_array_equal(my_side, other_side)


def encodes(fake_trt: Any) -> int:
    return sum(call[0] == "execute_async_v3" for call in fake_trt.calls) // 2


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_it_prepares_on_the_device(sam: Sam) -> None:
    assert isinstance(sam.pixels, DevicePixels)
    made = prepare(PICTURES[1], None, sam.manifest, sam.pixels)
    assert isinstance(made.network, OnDevice)
    assert made.network.shape == (1, 3, SIDE, SIDE)
    level = 64 * 3 % 251
    assert (made.network.host() == level).all()
    ramp = np.arange(1024, dtype=np.float32).reshape(1, 256, 2, 2)
    embedding = sam.encode(made)
    np.testing.assert_array_equal(embedding.array, ramp + level)
    assert (embedding.mapping, embedding.size) == ("as stored", (200, 320))


def test_who_takes_the_time_waits(sam: Sam, fake_device: FakeDevice) -> None:
    embedding = sam.embed(PICTURES[1])
    before = fake_device.clock.host
    embedding.wait()
    assert fake_device.clock.host - before > 4e-4, "three kernels and two graphs"
    before = fake_device.clock.host
    embedding.wait()
    assert fake_device.clock.host == before


def test_levels_are_as_on_the_cpu(sam: Sam) -> None:
    """By a table of the picture's own, or as RGB where there is none."""
    for pixels, window in (
        (PICTURES[7].astype(np.int16), Window(20, 40)),
        (PICTURES[7].astype(np.int16), Percentiles()),
        (PICTURES[7].astype(np.float64), Window(20, 40)),
    ):
        image = Image(pixels, inverted=True)
        rgb, mapping = image.to_rgb8(window)
        made = prepare(image, window, sam.manifest, sam.pixels)
        assert made.mapping == mapping
        level = int(rgb.ravel()[:64].astype(int).sum() % 251)
        assert (on_host(made.network) == level).all()


def test_results_are_in_order_and_equal_to_a_loop(sam: Sam) -> None:
    wanted = [sam.embed(picture) for picture in PICTURES]
    for ahead in (1, 2, 5):
        same(list(edgesam.stream(sam, PICTURES, ahead=ahead)), wanted)


def test_nobody_waits_between_an_upload_and_its_embedding(
    sam: Sam, fake_device: FakeDevice
) -> None:
    kept = [sam.embed(PICTURES[0])]
    for picture in PICTURES[1:]:
        start = len(fake_device.calls)
        kept.append(sam.embed(picture))
        names = fake_device.names()[start:]
        after = names[names.index("upload") :]
        assert not {"synchronize", "download", "pinned"} & set(after)
        assert after.count("upload") == 1


def test_a_stream_waits_for_slots_alone(sam: Sam, fake_device: FakeDevice) -> None:
    sam.embed(PICTURES[0])
    start = len(fake_device.calls)
    kept = list(edgesam.stream(sam, PICTURES, ahead=2))
    calls = fake_device.calls[start:]
    waits = [call for call in calls if call.name == "synchronize"]
    assert {call.detail for call in waits} <= {"event"}
    assert len(waits) <= len(PICTURES), "one for the slot of each picture, two pictures later"
    assert not any(call.name == "download" for call in calls)
    assert len(kept) == len(PICTURES)


def test_copies_run_beside_the_encoder(sam: Sam, fake_device: FakeDevice, fake_trt: Any) -> None:
    """Against the loop that waits for each embedding before it takes the next picture."""
    sam.embed(PICTURES[0]).side[0].ready.synchronize()  # type: ignore[union-attr]
    clock = fake_device.clock
    before, start = clock.overlap("up", "compute"), clock.host
    for picture in PICTURES:
        sam.embed(picture).side[0].ready.synchronize()  # type: ignore[union-attr]
    serial = clock.host - start
    assert clock.overlap("up", "compute") == before
    fake_trt.calls.clear()
    start = clock.host
    with edgesam.stream(sam, PICTURES, ahead=2) as stream:
        for number, embedding in enumerate(stream):
            # The time of this host passes by what it waits for: give the threads theirs.
            wait_until(lambda n=number: encodes(fake_trt) >= min(len(PICTURES), n + 3))
            embedding.side[0].ready.synchronize()  # type: ignore[union-attr]
    streamed = clock.host - start
    overlap = clock.overlap("up", "compute") - before
    assert overlap >= (len(PICTURES) - 2) * 1e-4
    assert streamed < serial - overlap * 0.9


def test_a_slow_consumer_makes_the_source_wait(
    sam: Sam, fake_device: FakeDevice, fake_trt: Any
) -> None:
    read = []

    def source() -> Iterator[NDArray[np.uint8]]:
        for number in range(40):
            read.append(number)
            yield PICTURES[number % 8]

    with edgesam.stream(sam, source(), ahead=2) as stream:
        for number, _ in enumerate(stream):
            wait_until(lambda n=number: len(read) >= min(40, n + 3))
            time.sleep(0.002)
            assert len(read) <= number + 1 + 2 + 1, "those ahead, and the one being read"
    names = fake_device.names()
    assert names.count("pinned") == 2 * 2, "pixels and table of two slots"
    assert names.count("memory") <= 25, "of forty pictures"


def test_a_live_source_drops_the_oldest(sam: Sam, fake_trt: Any) -> None:
    wanted = [embedding.array for embedding in map(sam.embed, PICTURES)]
    gone = threading.Event()

    def source() -> Iterator[NDArray[np.uint8]]:
        yield PICTURES[0]
        wait_until(lambda: encodes(fake_trt) >= len(PICTURES) + 1)
        yield from PICTURES[1:]
        gone.set()

    with edgesam.stream(sam, source(), when_full="drop-oldest", ahead=1) as stream:
        found = []
        for embedding in stream:
            gone.wait(PATIENCE)
            found.append((stream.index, embedding.array))
    assert [index for index, _ in found][-1] == len(PICTURES) - 1
    assert len(found) + stream.dropped == len(PICTURES)
    assert stream.dropped >= len(PICTURES) - 3
    for index, array in found:
        assert index is not None
        np.testing.assert_array_equal(array, wanted[index])


@pytest.mark.parametrize("there", [False, True])
def test_the_host_runs_a_few_pictures_ahead_and_no_more(
    sam: Sam, fake_device: FakeDevice, there: bool
) -> None:
    """So a picture that is jumped to waits for few, and a click's memory is not all taken."""
    clock = fake_device.clock
    for picture in PICTURES * 3:
        sam.embed(There(picture, fake_device) if there else picture)
        ahead = [
            span for span in clock.spans if span.stream == encoder(sam) and span.end > clock.host
        ]
        assert len(ahead) <= 5


def encoder(sam: Sam) -> int:
    """Its stream's number."""
    number: int = sam._session._encoder.stream.number  # type: ignore[union-attr]
    return number


def test_nothing_is_allocated_after_the_first_pictures(sam: Sam, fake_device: FakeDevice) -> None:
    for picture in PICTURES[:4]:
        sam.embed(picture)
    start = len(fake_device.calls)
    for picture in PICTURES * 3:
        sam.embed(picture)
    assert not {"memory", "pinned", "close"} & set(fake_device.names()[start:])


def test_closing_in_the_middle_leaves_nothing_in_use(sam: Sam, fake_device: FakeDevice) -> None:
    stream = edgesam.stream(sam, PICTURES, ahead=3)
    next(stream)
    stream.close()
    sam.close()
    del stream
    gc.collect()
    assert fake_device.leaks() == []


def test_an_encoding_that_is_told_to_end_is_not_handed_out(sam: Sam, fake_trt: Any) -> None:
    made, cancel = prepare(PICTURES[1], None, sam.manifest, sam.pixels), Cancel()
    cancel.tell()
    before = encodes(fake_trt)
    with pytest.raises(Cancelled):
        sam.encode(made, cancel)
    assert encodes(fake_trt) == before
    same([sam.encode(made)], [sam.embed(PICTURES[1])])


class TestCache:
    def test_a_picture_is_known_again_and_nothing_comes_to_the_host(
        self, sam: Sam, fake_device: FakeDevice
    ) -> None:
        cache = EmbeddingCache()
        for picture in (PICTURES[1], PICTURES[2], PICTURES[1].copy()):
            cache.embed(sam, picture)
        assert (cache.hits, cache.misses) == (1, 2)
        assert "download" not in fake_device.names()
        shown = PICTURES[1].astype(np.int16)
        for window in (Window(20, 40), Window(20, 50), Window(20, 40)):
            cache.embed(sam, shown, window)
        assert (cache.hits, cache.misses) == (2, 4)

    def test_a_source_that_reads_into_one_array(self, sam: Sam) -> None:
        """The key is of the pixels that were prepared, not of those that came after."""
        wanted, cache = [sam.embed(picture) for picture in PICTURES], EmbeddingCache()
        array = PICTURES[0].copy()
        made = prepare(array, None, sam.manifest, sam.pixels)
        made.digest()
        array[:] = PICTURES[3]
        cache.encode(sam, made)
        same([cache.embed(sam, picture) for picture in PICTURES], wanted)
        assert cache.hits == 1

    def test_a_stream_takes_the_key_before_it_goes_on(
        self, sam: Sam, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = []
        original = edgesam.prepared.Prepared.digest
        monkeypatch.setattr(
            edgesam.prepared.Prepared,
            "digest",
            lambda self: (found.append(threading.current_thread().name), original(self))[1],
        )
        list(edgesam.stream(sam, PICTURES[:1], cache=EmbeddingCache()))
        assert found[0] == "edgesam step 1"


class There:
    """Somebody's picture on the device, given by the CUDA array interface."""

    def __init__(self, array: NDArray[Any], device: FakeDevice) -> None:
        self.array = array
        self.__cuda_array_interface__ = {
            "version": 3,
            "data": (device.lend(array), False),
            "shape": array.shape,
            "typestr": array.dtype.str,
            "strides": None,
            "stream": 7,
        }


class TestFramesThere:
    def test_they_are_not_copied(self, sam: Sam, fake_device: FakeDevice) -> None:
        wanted = [sam.embed(picture) for picture in PICTURES]
        windowed = sam.embed(PICTURES[3].astype(np.int16), Window(20, 40))
        start = len(fake_device.calls)
        frames = [There(picture, fake_device) for picture in PICTURES]
        found = list(edgesam.stream(sam, frames))
        assert not {"upload", "download"} & set(fake_device.names()[start:])
        same(found, wanted)
        assert (found[0].mapping, found[0].size, found[0].place) == ("as stored", (200, 320), None)
        there = There(PICTURES[3].astype(np.int16), fake_device)
        same([sam.embed(there, Window(20, 40))], [windowed])

    def test_a_cache_knows_them_again(self, sam: Sam, fake_device: FakeDevice) -> None:
        cache = EmbeddingCache()
        for picture in (PICTURES[1], PICTURES[2], PICTURES[1]):
            cache.embed(sam, There(picture, fake_device))
        assert (cache.hits, cache.misses) == (1, 2)

    @pytest.mark.parametrize(
        ("array", "window", "message"),
        [
            (np.zeros((9, 9), np.int16), None, "int16 pixels on a GPU need a window"),
            (np.zeros((9, 9), np.uint8), Percentiles(), "percentiles 0.5..99.5 needs all pixels"),
            (np.zeros((9, 9, 3), np.uint8), Window(1, 2), "in colour"),
            (np.zeros((9, 9), np.int32), Window(1, 2), "must be one of uint8, uint16, int16"),
            (np.zeros((9, 9, 4), np.uint8), None, r"must be \(height, width\)"),
        ],
    )
    def test_what_is_refused(
        self, sam: Sam, fake_device: FakeDevice, array: Any, window: Any, message: str
    ) -> None:
        with pytest.raises(ImageError, match=message):
            sam.embed(There(array, fake_device), window)

    def test_a_model_on_the_cpu_says_what_to_do(
        self, make_bundle: Callable[..., Bundle], fake_device: FakeDevice
    ) -> None:
        lite = edgesam.load(make_bundle("cpu", model="lite-medsam").path, engine=FakeEngine())
        assert lite.pixels is None
        with pytest.raises(ImageError, match="or load the model with device='cuda'"):
            lite.embed(There(PICTURES[0], fake_device))


def test_prepared_there_and_encoded_here(sam: Sam, make_bundle: Callable[..., Bundle]) -> None:
    """By a session that prepares nothing: it is brought to the host."""
    lite = edgesam.load(make_bundle("cpu", model="lite-medsam").path, engine=FakeEngine())
    made = prepare(PICTURES[1], None, sam.manifest, sam.pixels)
    assert (lite.encode(made).array == 64 * 3 % 251).all()
