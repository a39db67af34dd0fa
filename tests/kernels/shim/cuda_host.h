// What CUDA C gives a kernel, in C++20 for one core of a Linux host: the same .cu file, compiled by
// g++, does the same sums in the same order. For tests only; knows no kernel.
//
// The threads of a block run one after the other, each up to the next __syncthreads(); then all of
// them up to the one after. So a run is the same every time, and a second run that takes the threads
// (and blocks) backwards gives another result where a barrier is missing. A kernel without barriers
// is a plain loop. Left out: dynamic shared memory, warp votes and shuffles, textures, cuda_fp16.h.
//
// Compile with -ffp-contract=off: what CUDA rounds apart by __fmul_rn and __fadd_rn is so here, too.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <ucontext.h>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)

struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct alignas(4) uchar4 { unsigned char x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

// ---- Arithmetic ----------------------------------------------------------------------------

inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }

template <class To, class From> To shim_bits(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}
inline int __float_as_int(float a) { return shim_bits<int>(a); }
inline unsigned __float_as_uint(float a) { return shim_bits<unsigned>(a); }
inline float __int_as_float(int a) { return shim_bits<float>(a); }
inline float __uint_as_float(unsigned a) { return shim_bits<float>(a); }
inline int __float2int_rn(float a) { return int(std::nearbyint(a)); }
inline int __float2int_rz(float a) { return int(a); }
inline int __float2int_rd(float a) { return int(std::floor(a)); }
inline int __double2int_rn(double a) { return int(std::nearbyint(a)); }
inline float __int2float_rn(int a) { return float(a); }
inline float __uint2float_rn(unsigned a) { return float(a); }
inline float __double2float_rn(double a) { return float(a); }

inline int __popc(unsigned a) { return __builtin_popcount(a); }
inline int __clz(int a) { return a ? __builtin_clz(unsigned(a)) : 32; }
inline int __ffs(int a) { return __builtin_ffs(a); }
template <class T> T __ldg(const T* at) { return *at; }

// Of two arguments of one type, as CUDA has them; fminf and fmaxf are <cmath>'s.
#define SHIM_MIN_MAX(T)                                    \
  inline T min(T a, T b) { return b < a ? b : a; }         \
  inline T max(T a, T b) { return a < b ? b : a; }
SHIM_MIN_MAX(int)
SHIM_MIN_MAX(unsigned)
SHIM_MIN_MAX(long)
SHIM_MIN_MAX(unsigned long)
SHIM_MIN_MAX(long long)
SHIM_MIN_MAX(unsigned long long)
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }

// ---- Atomics: one core, one thread at a time -------------------------------------------------

template <class T, class Make> T shim_update(T* at, Make make) {
  const T old = *at;
  *at = make(old);
  return old;
}
#define SHIM_ATOMICS(T)                                                                     \
  inline T atomicAdd(T* at, T by) { return shim_update(at, [=](T a) { return static_cast<T>(a + by); }); } \
  inline T atomicExch(T* at, T by) { return shim_update(at, [=](T) { return by; }); }
#define SHIM_INTEGER_ATOMICS(T)                                                             \
  SHIM_ATOMICS(T)                                                                           \
  inline T atomicMin(T* at, T by) { return shim_update(at, [=](T a) { return min(a, by); }); } \
  inline T atomicMax(T* at, T by) { return shim_update(at, [=](T a) { return max(a, by); }); } \
  inline T atomicOr(T* at, T by) { return shim_update(at, [=](T a) { return static_cast<T>(a | by); }); }  \
  inline T atomicAnd(T* at, T by) { return shim_update(at, [=](T a) { return static_cast<T>(a & by); }); } \
  inline T atomicCAS(T* at, T is, T by) { return shim_update(at, [=](T a) { return a == is ? by : a; }); }
SHIM_INTEGER_ATOMICS(int)
SHIM_INTEGER_ATOMICS(unsigned)
SHIM_INTEGER_ATOMICS(unsigned long long)
SHIM_ATOMICS(float)
SHIM_ATOMICS(double)
inline void __threadfence() {}
inline void __threadfence_block() {}

// ---- Threads of a block ----------------------------------------------------------------------

namespace shim {

constexpr std::size_t STACK = 64 * 1024;
constexpr unsigned MOST_THREADS = 1024;  // of a block, as on every device

struct Fiber {
  ucontext_t context;
  char* stack = nullptr;
  bool finished = false;
};

inline thread_local ucontext_t scheduler;
inline thread_local Fiber* running = nullptr;  // null in a kernel that runs as a plain loop
inline thread_local const void* work = nullptr;

template <class Work> void enter() {
  (*static_cast<const Work*>(work))();
  running->finished = true;
}

inline dim3 place(unsigned index, dim3 size) {
  return {index % size.x, index / size.x % size.y, index / size.x / size.y};
}

// All threads of a block; false if some have ended while others wait at a barrier.
template <class Work> bool run_block(const Work& body, unsigned threads, bool backwards) {
  static thread_local Fiber fibers[MOST_THREADS];
  work = &body;
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = fibers[i];
    if (!fiber.stack) fiber.stack = static_cast<char*>(std::malloc(STACK));
    fiber.finished = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, enter<Work>, 0);
  }
  for (unsigned finished = 0; finished == 0;) {
    for (unsigned turn = 0; turn < threads; ++turn) {
      const unsigned i = backwards ? threads - 1 - turn : turn;
      threadIdx = place(i, blockDim);
      running = &fibers[i];
      swapcontext(&scheduler, &running->context);
      finished += running->finished;
    }
    running = nullptr;
    if (finished != 0 && finished != threads) return false;
  }
  return true;
}

enum Outcome { DONE = 0, DIVERGED = 1 };

// Every block of a launch, one after the other.
template <class Work>
int run(const Work& body, dim3 grid, dim3 block, bool barriers, bool backwards) {
  gridDim = grid, blockDim = block;
  const unsigned threads = block.x * block.y * block.z, blocks = grid.x * grid.y * grid.z;
  for (unsigned turn = 0; turn < blocks; ++turn) {
    blockIdx = place(backwards ? blocks - 1 - turn : turn, grid);
    if (barriers) {
      if (!run_block(body, threads, backwards)) return DIVERGED;
      continue;
    }
    for (unsigned i = 0; i < threads; ++i) {
      threadIdx = place(backwards ? threads - 1 - i : i, block);
      body();
    }
  }
  return DONE;
}

template <class... Types, std::size_t... I>
int launch_with(void (*kernel)(Types...), void** arguments, std::index_sequence<I...>, dim3 grid,
                dim3 block, bool barriers, bool backwards) {
  return run([=] { kernel(*static_cast<Types*>(arguments[I])...); }, grid, block, barriers, backwards);
}

// As cuLaunchKernel: ``arguments`` are addresses of the values.
template <class... Types>
int launch(void (*kernel)(Types...), void** arguments, const unsigned* grid, const unsigned* block,
           bool barriers, bool backwards) {
  return launch_with(kernel, arguments, std::index_sequence_for<Types...>{}, {grid[0], grid[1], grid[2]},
                     {block[0], block[1], block[2]}, barriers, backwards);
}

// A parameter's kind and size as NumPy writes them ("f4", "u1"), of a pointer "p".
template <class T> void write_type(char*& at) {
  if constexpr (std::is_pointer_v<T>) {
    *at++ = 'p';
  } else {
    static_assert(std::is_arithmetic_v<T>, "kernels take pointers and numbers");
    *at++ = std::is_same_v<T, bool> ? 'b' : std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
    *at++ = char('0' + sizeof(T));
  }
  *at++ = ' ';
}

template <class... Types> void write_types(void (*)(Types...), char* at) {
  (write_type<Types>(at), ...);
  *at = 0;
}

}  // namespace shim

inline void __syncthreads() { swapcontext(&shim::running->context, &shim::scheduler); }
