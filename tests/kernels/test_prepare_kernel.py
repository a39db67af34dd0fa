"""*Prepare* on a device: kernels on the host double, held to the bit against the CPU's own path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam.window import Window
from edgesam_kernels.cpu import Preparation, prepare
from edgesam_kernels.device import DeviceError
from edgesam_kernels.device.prepare import Prepare
from edgesam_kernels.grey import GreyTable, as_stored, grey_table
from edgesam_kernels.prepare import Normalization, Resize
from edgesam_kernels.taps import pillow_goes_down_first

from .host_cuda import why_not
from .host_device import HostDevice
from .test_cuda import compile_cuda

on_host = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
WINDOW = Window(40, 300)
# Written by bench/reference/make_kernel_golden.py: scikit-image's own results.
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "spline.npz")
RULES: tuple[Resize, ...] = ("pil-bilinear", "area", "spline-cubic")
NORMALIZATIONS: tuple[Normalization, ...] = ("mean-std", "min-max")

# (rows, columns) to (rows, columns): both ways, odd, thin, one pixel, whole factors, unchanged.
SIZES = [
    ((40, 30), (64, 48)),
    ((71, 53), (64, 47)),
    ((128, 96), (32, 48)),
    ((100, 200), (32, 64)),
    ((33, 61), (64, 20)),
    ((60, 21), (35, 15)),
    ((1, 9), (7, 64)),
    ((1, 1), (64, 64)),
    ((301, 1), (64, 1)),
    ((1, 300), (1, 64)),
    ((37, 64), (37, 64)),
    ((37, 64), (37, 23)),
]


@cache
def table_of(dtype: str, kind: str = "window") -> GreyTable:
    """Shared, so that every test has the same few kernels."""
    if kind == "stored":
        return as_stored()
    if kind == "three":
        windows = WINDOW, Window(10, 90), Window(200, 900)
        return grey_table(dtype, lambda x: np.stack([w.apply(x) for w in windows], axis=-1))
    if kind == "inverted":
        return grey_table(dtype, lambda x: np.uint8(255) - WINDOW.apply(x))
    return grey_table(dtype, WINDOW.apply)


def draw(dtype: str, shape: tuple[int, ...], seed: int = 0) -> NDArray[Any]:
    """Noise around a window, over the whole range of bytes; in its middle a flat region."""
    rng = np.random.default_rng(seed)
    if dtype == "uint8":
        pixels = rng.integers(0, 256, shape).astype(dtype)
    elif dtype == "int8":
        pixels = rng.integers(-128, 128, shape).astype(dtype)
    else:
        pixels = (
            rng.normal(40, 150, shape).clip(0 if dtype == "uint16" else -900, 900).astype(dtype)
        )
    rows, columns = shape[0] // 3, shape[1] // 3
    pixels[rows : 2 * rows, columns : 2 * columns] = 100
    return pixels


def rule_of(
    resize: Resize, normalization: Normalization, size: tuple[int, int], square: int = 64
) -> Preparation:
    return Preparation(resize, *size, square, normalization, MEAN, STD)


def on_device(
    device: HostDevice, pixels: NDArray[Any], grey: GreyTable, rule: Preparation, apart: int = 0
) -> NDArray[Any]:
    """What a plan makes of pixels, between whose rows are ``apart`` others."""
    stream = device.stream()
    plan = Prepare(device, pixels.shape, grey, rule, stream)
    rows = np.full((len(pixels), pixels.shape[1] + apart, *pixels.shape[2:]), 77, pixels.dtype)
    rows[:, : pixels.shape[1]] = pixels
    source, result = device.memory(rows.nbytes), np.empty((1, 3, *[rule.square] * 2), rule.dtype)
    network = device.memory(result.nbytes)
    device.upload(source.pointer, rows, stream)
    plan(stream, source.pointer, rows[0].nbytes, network.pointer)
    device.download(result, network.pointer, stream)
    for memory in (plan, source, network):
        memory.close()
    device.close()
    return result


def check(
    pixels: NDArray[Any], grey: GreyTable, rule: Preparation, apart: int = 0, **options: bool
) -> list[str]:
    """Every element is the CPU's, to the bit; the kernels that did it."""
    device = HostDevice(**options)
    found, expected = on_device(device, pixels, grey, rule, apart), prepare(pixels, grey, rule)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    differing = np.count_nonzero(found != expected)
    assert differing == 0, f"{differing} of {found.size} differ"
    return device.launches


@on_host
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("resize", RULES)
@pytest.mark.parametrize("size", SIZES, ids=lambda s: "{}x{}-to-{}x{}".format(*s[0], *s[1]))
def test_every_rule_at_every_size(
    size: tuple[tuple[int, int], tuple[int, int]], resize: Resize, normalization: Normalization
) -> None:
    source, target = size
    check(
        draw("uint8", (*source, 3)),
        table_of("uint8", "stored"),
        rule_of(resize, normalization, target),
    )


@on_host
@pytest.mark.parametrize("kind", ["window", "inverted", "three"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "float32"])
def test_every_type_of_pixel(dtype: str, kind: str) -> None:
    pixels = draw(dtype, (40, 31))
    check(pixels, table_of(dtype, kind), rule_of("area", "mean-std", (64, 50)), apart=5)


@on_host
@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("resize", RULES)
def test_grey_pictures_with_rows_apart(resize: Resize, dtype: str) -> None:
    check(draw(dtype, (70, 52)), table_of(dtype), rule_of(resize, "min-max", (64, 48)), apart=3)


@on_host
def test_colour_of_sixteen_bits() -> None:
    check(draw("uint16", (50, 64, 3)), table_of("uint16"), rule_of("area", "min-max", (25, 32)))


@on_host
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("level", [-1000, 40, 1000])
@pytest.mark.parametrize("resize", RULES)
def test_a_flat_picture(resize: Resize, level: int, normalization: Normalization) -> None:
    flat = np.full((70, 52), level, np.int16)
    check(flat, table_of("int16"), rule_of(resize, normalization, (64, 48)))


@on_host
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_halves(normalization: Normalization) -> None:
    rule = replace(rule_of("area", normalization, (30, 64)), dtype="float16")
    check(draw("uint8", (37, 80, 3)), table_of("uint8", "stored"), rule)


@on_host
@pytest.mark.parametrize("name", ["flats", "grey-flats"])
def test_flats_of_a_spline_hang_on_the_last_bit(name: str) -> None:
    """Without the exact sums of ``prepare_blend.cu`` some levels are one less or more."""
    picture, expected = GOLDEN[f"{name}/picture"], GOLDEN[f"{name}/resized"]
    side = max(expected.shape)
    rule = Preparation("spline-cubic", *expected.shape[:2], side, "mean-std")  # levels as floats
    found = on_device(HostDevice(), picture, table_of("uint8", "stored"), rule)
    levels = found[0, :, : rule.rows, : rule.columns].transpose(1, 2, 0)
    np.testing.assert_array_equal(levels, expected)


@on_host
@pytest.mark.parametrize("resize", RULES)
def test_no_thread_needs_another_that_comes_later(resize: Resize) -> None:
    picture, table = draw("uint8", (70, 52, 3)), table_of("uint8", "stored")
    check(picture, table, rule_of(resize, "min-max", (64, 48)), backwards=True)


@on_host
def test_passes_over_memory() -> None:
    picture, table = draw("int16", (70, 52)), table_of("int16")
    one = ["prepare_resize"]
    two = [*one, "prepare_normalize"]
    spline = [*one, "prepare_smooth", "prepare_smooth", *["prepare_spline"] * 2, "prepare_blend"]
    spline.append("prepare_normalize")
    for resize in ("pil-bilinear", "area"):
        assert check(picture, table, rule_of(resize, "mean-std", (64, 48))) == one
        assert check(picture, table, rule_of(resize, "min-max", (64, 48))) == two
    assert check(picture, table, rule_of("spline-cubic", "min-max", (35, 26))) == spline
    spline.remove("prepare_smooth")  # across: nothing to smooth where nothing shrinks
    assert check(picture, table, rule_of("spline-cubic", "min-max", (35, 64))) == spline
    assert check(picture[:64], table, rule_of("spline-cubic", "mean-std", (64, 52))) == one


@on_host
def test_a_plan_serves_picture_after_picture_and_may_be_captured() -> None:
    device = HostDevice()
    stream = device.stream()
    rule, table = rule_of("area", "min-max", (64, 48)), table_of("int16")
    plan = Prepare(device, (70, 52), table, rule, stream)
    assert plan.nbytes > 64 * 48 + 65536 + 4 * 256 * 256  # levels kept, and two of the tables
    source, network = device.memory(70 * 52 * 2), device.memory(4 * 3 * 64 * 64)
    graph = device.capture(stream, lambda: plan(stream, source.pointer, 104, network.pointer))
    result = np.empty((1, 3, 64, 64), np.float32)
    for seed, grey in [(1, table), (2, table), (3, table_of("int16", "inverted"))]:
        pixels = draw("int16", (70, 52), seed) // seed  # other ranges
        device.upload(source.pointer, pixels, stream)
        if seed == 3:
            plan.show(grey, stream)
        graph.launch(stream)
        device.download(result, network.pointer, stream)
        np.testing.assert_array_equal(result, prepare(pixels, grey, rule))


@on_host
def test_a_plan_refuses_what_it_was_not_made_for() -> None:
    device = HostDevice()
    stream, rule = device.stream(), rule_of("area", "mean-std", (64, 48))
    with pytest.raises(ValueError, match=r"found \(70, 52, 4\)"):
        Prepare(device, (70, 52, 4), table_of("int16"), rule, stream)
    plan = Prepare(device, (70, 52), table_of("int16"), rule, stream)
    with pytest.raises(ValueError, match=r"1 table\(s\) of int16 pixels; found 1 of uint8"):
        plan.show(as_stored(), stream)
    with pytest.raises(ValueError, match="1 table"):
        plan.show(table_of("int16", "three"), stream)
    for pixels, pitch in [(1024, 102), (1024, 105), (1025, 104)]:
        with pytest.raises(ValueError, match="rows of 104 bytes cannot lie"):
            plan(stream, pixels, pitch, 0)
    plan.close()
    device.close()


@on_host
def test_the_double_sees_a_network_that_is_too_small() -> None:
    device = HostDevice()
    stream, rule = device.stream(), rule_of("area", "mean-std", (64, 48))
    plan = Prepare(device, (70, 52), table_of("int16"), rule, stream)
    source, network = device.memory(70 * 104), device.memory(4 * 3 * 64 * 64 - 4)
    plan(stream, source.pointer, 104, network.pointer)
    with pytest.raises(DeviceError, match="beside an allocation"):
        stream.synchronize()


class CompilingDevice(HostDevice):
    """Compiles what plans ask for as a card would, and runs nothing."""

    class Nothing:
        def kernel(self, name: str) -> None:
            return None

    def module(self, source: str, name: str, options: Sequence[str] = ()) -> Any:
        check_with_nvrtc(source, name, tuple(options))
        return self.Nothing()


@cache
def check_with_nvrtc(source: str, name: str, options: tuple[str, ...]) -> None:
    for architecture in ("sm_75", "sm_120"):
        assert compile_cuda(source, architecture, " ".join(options)).startswith(b"\x7fELF")
    fused = b"fma.rn" in compile_cuda(source, "compute_90", " ".join(options))
    assert fused == (name == "prepare_blend"), "only the estimate does not mind"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("resize", RULES)
def test_nvrtc_compiles_every_variant(
    resize: Resize, normalization: Normalization, dtype: Any
) -> None:
    device = CompilingDevice()
    for source, target in SIZES:
        rule = replace(rule_of(resize, normalization, target), dtype=dtype)
        for pixels, kind, shape in [
            ("uint8", "stored", (*source, 3)),
            ("int16", "window", source),
            ("float32", "window", source),
            ("int16", "three", source),
        ]:
            Prepare(device, shape, table_of(pixels, kind), rule, device.stream()).close()


def test_both_orders_of_pillows_passes_are_tried_here() -> None:
    """With Pillow 13; an older one has one order, but for very tall pictures."""
    import PIL

    if int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip(f"Pillow {PIL.__version__} goes across first")
    assert {pillow_goes_down_first(*size) for size in SIZES} == {True, False}
