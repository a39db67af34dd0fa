"""The host shim for CUDA C: it runs kernels as a device would, and shows what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from .host_cuda import HostCudaError, compile_host, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

# Without the barrier a thread reads what its neighbours have yet to write.
TURN = """
extern "C" __global__ void turn(const int* from, int* to, int count) {
  __shared__ int all[64];
  const int x = threadIdx.x;
  if (x < count) all[x] = from[blockIdx.x * count + x];
  BARRIER
  if (x < count) to[blockIdx.x * count + x] = all[count - 1 - x];
}
"""
SUM = """
extern "C" __global__ void total(const float* values, int count, float factor, float* sums) {
  __shared__ float part[128];
  const int x = threadIdx.x + blockDim.x * threadIdx.y;
  float sum = 0.0f;
  for (int i = blockIdx.x * 128 + x; i < count; i += 128 * gridDim.x)
    sum = __fadd_rn(sum, __fmul_rn(values[i], factor));
  part[x] = sum;
  for (int half = 64; half > 0; half /= 2) {
    __syncthreads();
    if (x < half) part[x] += part[x + half];
  }
  if (x == 0) atomicAdd(sums, part[0]);
}
extern "C" __global__ void scale(float* values, int count, double by, bool on, unsigned char most) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (on && i < min(count, int(most))) values[i] = float(values[i] * by);
}
"""
LEAVES = """
extern "C" __global__ void leaves(int* at) {
  if (threadIdx.x == 3) return;
  __syncthreads();
  at[threadIdx.x] = 1;
}
"""


def turned(barrier: str, backwards: bool) -> list[int]:
    kernel = compile_host(TURN.replace("BARRIER", barrier)).kernel("turn")
    source, target = np.arange(1, 129, dtype=np.int32), np.zeros(128, np.int32)
    pointers = source.ctypes.data, target.ctypes.data
    kernel.launch((2, 1, 1), (64, 1, 1), *pointers, np.int32(64), backwards=backwards)
    return target.tolist()


@pytest.mark.parametrize("backwards", [False, True])
def test_threads_meet_at_barriers(backwards: bool) -> None:
    assert turned("__syncthreads();", backwards) == [*range(64, 0, -1), *range(128, 64, -1)]


def test_a_missing_barrier_shows() -> None:
    assert turned("", False) != turned("__syncthreads();", False)
    assert turned("/* __syncthreads(); */", True) != turned("__syncthreads();", True)


def test_a_block_reduces() -> None:
    values = np.arange(1000, dtype=np.float32)
    sums = np.zeros(1, np.float32)
    arguments = values.ctypes.data, np.int32(1000), np.float32(0.5), sums.ctypes.data
    compile_host(SUM).kernel("total").launch((3, 1, 1), (32, 4, 1), *arguments)
    assert sums[0] == 999 * 1000 / 4


def test_every_kind_of_number_arrives() -> None:
    values = np.ones(300, np.float32)
    kernel = compile_host(SUM).kernel("scale")
    assert kernel.types == ("p", "i4", "f8", "b1", "u1")
    most = np.uint8(200), np.int32(300), np.float64(2.5)
    kernel.launch(
        (2, 1, 1), (256, 1, 1), values.ctypes.data, most[1], most[2], np.bool_(True), most[0]
    )
    assert values.tolist() == [2.5] * 200 + [1.0] * 100


def test_threads_that_leave_the_others_at_a_barrier_are_an_error() -> None:
    found = np.zeros(8, np.int32)
    with pytest.raises(HostCudaError, match="leaves: not all threads of a block"):
        compile_host(LEAVES).kernel("leaves").launch((1, 1, 1), (8, 1, 1), found.ctypes.data)


def test_products_and_sums_are_rounded_apart() -> None:
    source = """extern "C" __global__ void f(float a, float b, float c, float* r) {
      r[0] = __fadd_rn(__fmul_rn(a, b), c);
      r[1] = __fmaf_rn(a, b, c);
      r[2] = a * b + c;
    }"""
    a, found = np.float32(1 + 2**-12), np.zeros(3, np.float32)
    arguments = a, a, np.float32(-1), found.ctypes.data
    compile_host(source, ("-DUNUSED=1",)).kernel("f").launch((1, 1, 1), (1, 1, 1), *arguments)
    assert found.tolist() == [2**-11, 2**-11 + 2**-24, 2**-11]


def test_wrong_calls_are_errors() -> None:
    kernel = compile_host(SUM).kernel("scale")
    values = (
        np.zeros(8, np.float32).ctypes.data,
        np.int32(8),
        np.float64(2),
        np.bool_(1),
        np.uint8(9),
    )
    with pytest.raises(HostCudaError, match=r"scale takes \(p, i4, f8, b1, u1\), not \(p, i8"):
        kernel.launch((1, 1, 1), (8, 1, 1), values[0], np.int64(8), *values[2:])
    for grid, block in [
        ((0, 1, 1), (8, 1, 1)),
        ((1, 70000, 1), (8, 1, 1)),
        ((1, 1, 1), (1, 1, 65)),
    ]:
        with pytest.raises(HostCudaError, match="no device takes"):
            kernel.launch(grid, block, *values)
    with pytest.raises(HostCudaError, match="threads in a block"):
        kernel.launch((1, 1, 1), (64, 64, 1), *values)
    with pytest.raises(HostCudaError, match="no kernel none, but total, scale"):
        compile_host(SUM).kernel("none")
    with pytest.raises(HostCudaError, match=r"kernel.cu:1.*error"):
        compile_host('extern "C" __global__ void f() { nonsense; }')
