"""ONNX Runtime by IO binding: the code that runs on CUDA, run for real on the CPU's device."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import BundleError, OutOfMemory
from edgesam.cancel import Cancel, Cancelled
from edgesam.embedding import on_host
from edgesam.engines import Graphs, MaskPrompts, Prompts, Session
from edgesam.engines.ort import OnnxRuntime
from edgesam.engines.ort_arrays import Arrays, DeviceArray, fetch, fill
from edgesam.engines.ort_copying import Copier, identity
from edgesam.engines.ort_gate import Gate
from edgesam.engines.ort_resident import ResidentSession

Noise = Callable[..., NDArray[np.uint8]]
ROLES = ("image_encoder", "image_side", "mask_decoder")


def started(source: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(source, options, providers=providers)


@pytest.fixture(scope="module")
def sessions(lite_graphs: Graphs) -> list[Any]:
    return [started(getattr(lite_graphs, role)) for role in ROLES]


@pytest.fixture
def resident(sessions: list[Any]) -> Iterator[ResidentSession]:
    session = ResidentSession(*sessions, copier=started(identity()), device="cpu")
    yield session
    session.close()


@pytest.fixture(scope="module")
def plain(lite_graphs: Graphs) -> Session:
    return OnnxRuntime().open(lite_graphs, precision="fp32", device="cpu", threads=1)


def picture(noise: Noise, seed: int = 0) -> NDArray[np.float32]:
    return noise(1, 3, 256, 256, seed=seed).astype(np.float32) / 255


def click(x: float = 90.0, count: int = 1, points: int = 2) -> Prompts:
    coords = np.linspace(x, 200, count * points * 2, dtype=np.float32)
    return Prompts(coords.reshape(count, points, 2), np.ones((count, points), np.int32))


def masks(noise: Noise, count: int) -> MaskPrompts:
    logits = noise(count, 1, 256, 256).astype(np.float32) / 20 - 5
    return MaskPrompts(logits, np.ones(count, np.float32))


class TestAgainstArrays:
    """Bit for bit what the same graphs give through ``run``."""

    def test_clicks(self, resident: ResidentSession, plain: Session, noise: Noise) -> None:
        nothing = MaskPrompts.none(256)
        for seed in (0, 1):  # the second writes over the first one's fixed arrays
            image = picture(noise, seed)
            wanted, found = plain.encode(image), resident.encode(image)
            assert isinstance(found, DeviceArray)
            assert found.shape == wanted.shape
            assert (found.nbytes, found.dtype) == (wanted.nbytes, wanted.dtype)
            np.testing.assert_array_equal(found.host(), on_host(wanted))
            sides = plain.image_side(wanted, nothing), resident.image_side(found, nothing)
            for ours, theirs in zip(sides[1], sides[0], strict=True):
                assert isinstance(ours, DeviceArray)
                np.testing.assert_array_equal(ours.host(), on_host(theirs))
            for tokens in ((0,), (2,), (1, 2, 3), (0, 1, 2, 3)):
                for prompts in (click(), click(30), click(count=3), click(points=5)):
                    these = plain.decode(sides[0], prompts, tokens)
                    those = resident.decode(sides[1], prompts, tokens)
                    for one, other in zip(these, those, strict=True):
                        np.testing.assert_array_equal(other, one)
                        assert other.flags.owndata, "the next click would write over it"

    @pytest.mark.parametrize("count", [1, 2])
    def test_mask_prompts(
        self, resident: ResidentSession, plain: Session, noise: Noise, count: int
    ) -> None:
        embedding = on_host(plain.encode(picture(noise)))
        for given in (embedding, resident.encode(picture(noise))):
            sides = (
                plain.image_side(embedding, masks(noise, count)),
                resident.image_side(given, masks(noise, count)),
            )
            these, those = (
                one.decode(side, click(count=2), (0,))[0]
                for one, side in zip((plain, resident), sides, strict=True)
            )
            np.testing.assert_array_equal(those, these)

    def test_tensors_of_the_other_session(
        self, resident: ResidentSession, plain: Session, noise: Noise
    ) -> None:
        nothing = MaskPrompts.none(256)
        mine = resident.image_side(resident.encode(picture(noise)), nothing)
        theirs = plain.image_side(plain.encode(picture(noise)), nothing)
        wanted, _ = plain.decode(theirs, click(), (0,))
        for session, side in ((resident, theirs), (plain, mine), (resident, mine)):
            np.testing.assert_array_equal(session.decode(side, click(), (0,))[0], wanted)


class TestKept:
    def test_an_embedding_outlives_the_next_one(
        self, resident: ResidentSession, noise: Noise
    ) -> None:
        nothing = MaskPrompts.none(256)
        first = resident.encode(picture(noise))
        side = resident.image_side(first, nothing)
        before = [on_host(part).copy() for part in (first, *side)]
        resident.image_side(resident.encode(picture(noise, 1)), nothing)
        for part, kept in zip((first, *side), before, strict=True):
            np.testing.assert_array_equal(on_host(part), kept)

    def test_clicks_on_one_picture_load_its_side_once(
        self, resident: ResidentSession, noise: Noise, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copies: list[int] = []
        real = Copier.copy

        def counted(self: Copier, pairs: list[Any]) -> None:
            copies.append(len(pairs))
            real(self, pairs)

        nothing = MaskPrompts.none(256)
        sides = [
            resident.image_side(resident.encode(picture(noise, seed)), nothing) for seed in (0, 1)
        ]
        monkeypatch.setattr(Copier, "copy", counted)
        for side, loads in ((sides[0], 4), (sides[0], 4), (sides[1], 8), (sides[0], 12)):
            resident.decode(side, click(), (0,))
            resident.decode(side, click(), (1, 2, 3))
            assert sum(copies) == loads

    def test_arrays_that_nobody_has_are_used_again(self) -> None:
        arrays = Arrays("cpu")
        first = arrays.resident((2, 3))
        value = first.value
        assert arrays.resident((2, 3)).value is not value, "it is in use"
        del first
        other = arrays.resident((3, 2))
        assert other.value is not value
        assert any(arrays.resident((2, 3)).value is value for _ in range(2))
        held = arrays.resident((2, 3))
        arrays.forget()
        del held
        assert arrays._spare == {}, "after that nothing is kept"

    def test_a_copy_on_the_host_is_the_callers(self) -> None:
        array = Arrays("cpu").resident((4,))
        array.value.update_inplace(np.arange(4, dtype=np.float32))
        copy = array.host()
        array.value.update_inplace(np.zeros(4, np.float32))
        np.testing.assert_array_equal(copy, np.arange(4))

    def test_no_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import onnxruntime

        class Full:
            @staticmethod
            def ortvalue_from_shape_and_type(*_: Any) -> Any:
                raise RuntimeError("Failed to allocate memory for requested buffer of size 4194304")

        monkeypatch.setattr(onnxruntime, "OrtValue", Full)
        with pytest.raises(OutOfMemory, match=r"\(1, 1048576\) on cuda \(4 MiB more"):
            Arrays("cuda").resident((1, 1048576))


class TestThreads:
    def test_many_at_once(self, resident: ResidentSession, noise: Noise) -> None:
        nothing = MaskPrompts.none(256)
        sides = [
            resident.image_side(resident.encode(picture(noise, seed)), nothing) for seed in (0, 1)
        ]
        wanted = [resident.decode(side, click(), (0,))[0] for side in sides]
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(resident.decode, sides[i % 2], click(), (0,)) for i in range(12)]
            again = pool.submit(resident.encode, picture(noise))
            for i, one in enumerate(asked):
                np.testing.assert_array_equal(one.result()[0], wanted[i % 2])
        np.testing.assert_array_equal(
            on_host(again.result()), on_host(resident.encode(picture(noise)))
        )

    def test_runs_of_a_graph_are_made_on_one_thread(
        self, sessions: list[Any], noise: Noise, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A CUDA graph belongs to the thread that recorded it."""
        seen: dict[str, set[str]] = {}
        graphs: dict[str, set[str]] = {}
        real = type(sessions[0]).run_with_iobinding

        def watched(self: Any, binding: Any, options: Any = None) -> None:
            name = self.get_outputs()[0].name
            if name != "to":
                seen.setdefault(name, set()).add(threading.current_thread().name)
                number = options.get_run_config_entry("gpu_graph_id")
                graphs.setdefault(name, set()).add(number)
            real(self, binding, options)

        monkeypatch.setattr(type(sessions[0]), "run_with_iobinding", watched)
        session = ResidentSession(*sessions, copier=started(identity()), device="cpu")
        with ThreadPoolExecutor(3) as pool:
            embeddings = list(pool.map(session.encode, [picture(noise)] * 3))
            nothing = MaskPrompts.none(256)
            sides = list(pool.map(lambda e: session.image_side(e, nothing), embeddings))
            list(pool.map(lambda side: session.decode(side, click(), (0,)), sides))
        session.decode(sides[0], click(count=2), (0,))
        session.close()
        assert seen == {
            "image_embeddings": {"edgesam encoder_0"},
            "keys": {"edgesam decoder_0"},
            "low_res_masks": {"edgesam decoder_0"},
        }
        assert graphs == {
            "image_embeddings": {"1"},
            "keys": {"1"},
            "low_res_masks": {"1", "2", "-1"},
        }

    def test_what_was_cancelled_is_not_begun(self, resident: ResidentSession, noise: Noise) -> None:
        cancel = Cancel()
        cancel.tell()
        with pytest.raises(Cancelled):
            resident.encode(picture(noise), cancel)

    def test_a_failed_run_says_what_failed(self, resident: ResidentSession, noise: Noise) -> None:
        side = resident.image_side(resident.encode(picture(noise)), MaskPrompts.none(256))
        with pytest.raises(BundleError, match="onnxruntime cannot run the graph"):
            resident.decode(side, click(), (7,))
        assert resident.decode(side, click(), (0,))[0].shape == (1, 1, 256, 256)

    def test_a_copy_that_the_device_fails(self) -> None:
        class Lost:
            def update_inplace(self, _: Any) -> None:
                raise RuntimeError("CUDA failure 719: unspecified launch failure\nmore")

            def numpy(self) -> Any:
                raise RuntimeError("CUDA failure 2: out of memory")

        with pytest.raises(BundleError, match="copying an array to the device: CUDA failure 719"):
            fill(Lost(), np.zeros(1, np.float32))
        with pytest.raises(OutOfMemory, match="while copying an array from the device"):
            fetch(Lost())

    def test_closed_threads_end(self, sessions: list[Any], noise: Noise) -> None:
        session = ResidentSession(*sessions, copier=started(identity()), device="cpu")
        embedding = session.encode(picture(noise))
        session.close()
        names = [thread.name for thread in threading.enumerate()]
        assert not [name for name in names if name.startswith(("edgesam enc", "edgesam dec"))]
        assert on_host(embedding).shape == (1, 256, 64, 64)


def test_whoever_is_alone_waits_and_is_waited_for() -> None:
    gate, order = Gate(), []
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with gate.shared():
            inside.set()
            assert leave.wait(10)
            order.append("shared")

    def alone() -> None:
        with gate.alone():
            order.append("alone")

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert inside.wait(10)
        with gate.shared():
            pass  # several may be inside
        two = pool.submit(alone)
        leave.set()
        one.result(10)
        two.result(10)
    assert order == ["shared", "alone"]


def test_the_graph_that_copies_does_nothing_else() -> None:
    import onnx

    model = onnx.load_from_string(identity())
    assert [node.op_type for node in model.graph.node] == ["Identity"]
