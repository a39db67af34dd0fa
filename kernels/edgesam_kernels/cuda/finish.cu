// From low-resolution logits to masks of the picture: bits, and area, box and counts of each mask.
//
// The resize is bilinear, once or twice (segment-anything's 256 -> square -> picture); both times
// together each output pixel is TAPS x TAPS logits by weights that the host has computed, a table
// per axis. The resized logits are only ever in registers.
//
// A thread makes 8 columns (one byte) of ROWS rows. It goes down the picture with a window of TAPS
// low rows, already resized across, so that a low row is read once for all output rows that need
// it. Each product and each sum is rounded by itself (no fused multiply-add), columns before rows,
// tap after tap: the NumPy reference (edgesam_kernels/finish.py) does the same and gets the same
// bits.

// Set by the host: TAPS; ROWS, as it reckons the grid; PROBABILITIES, to resize tanh(x / 2) instead
// of x. Tests compile also: -DTAPS=2 -DPROBABILITIES
#ifndef TAPS
#define TAPS 3  // enough wherever the square is not smaller than the logits
#endif
#ifndef ROWS
#define ROWS 16
#endif
#define COLUMNS 8

// What is known of a mask. All 0 at first; an empty mask's last four stay 0.
enum { AREA, ABOVE, BELOW, LEFT, TOP, RIGHT, BOTTOM, ENTRIES };

#ifdef PROBABILITIES
// tanh(x / 2) = (e^x - 1) / (e^x + 1). e^x - 1 is 2^n (e^r - 1) + 2^n - 1, where x = n ln(2) + r,
// by the Taylor series of e^r - 1.
__device__ float value(float x) {
  const float a = fminf(fabsf(x), 30.0f);
  const float n = rintf(__fmul_rn(a, 1.44269504f));
  // r = a - n ln(2), ln(2) in two parts.
  const float most = __fsub_rn(a, __fmul_rn(n, 0.693359375f));
  const float r = __fsub_rn(most, __fmul_rn(n, -2.12194440e-4f));
  float s = 1.0f / 5040.0f;
  s = __fadd_rn(__fmul_rn(s, r), 1.0f / 720.0f);
  s = __fadd_rn(__fmul_rn(s, r), 1.0f / 120.0f);
  s = __fadd_rn(__fmul_rn(s, r), 1.0f / 24.0f);
  s = __fadd_rn(__fmul_rn(s, r), 1.0f / 6.0f);
  s = __fadd_rn(__fmul_rn(s, r), 1.0f / 2.0f);
  const float grown = __int_as_float(((int)n + 127) << 23);  // 2^n
  const float small = __fadd_rn(r, __fmul_rn(__fmul_rn(r, r), s));
  const float less_one = __fadd_rn(__fmul_rn(grown, small), __fsub_rn(grown, 1.0f));
  const float t = copysignf(__fdiv_rn(less_one, __fadd_rn(less_one, 2.0f)), x);
  return x == x ? t : x;  // what is no number stays none, and is in no mask
}
#else
__device__ float value(float x) { return x; }
#endif

// Eight columns of a low row, resized across.
struct Across {
  int first[COLUMNS];
  float weight[TAPS][COLUMNS];

  __device__ void load(const int* first_x, const float* weight_x, int columns, int x0) {
#pragma unroll
    for (int i = 0; i < COLUMNS; ++i) {
      const int x = min(x0 + i, columns - 1);  // past the picture: any, it is masked out below
      first[i] = first_x[x];
#pragma unroll
      for (int t = 0; t < TAPS; ++t) weight[t][i] = weight_x[t * columns + x];
    }
  }

  __device__ void blend(const float* row, float* result) const {
#pragma unroll
    for (int i = 0; i < COLUMNS; ++i) {
      float sum = 0.0f;
#pragma unroll
      for (int t = 0; t < TAPS; ++t) {
        const float part = __fmul_rn(value(row[first[i] + t]), weight[t][i]);
        sum = t == 0 ? part : __fadd_rn(sum, part);
      }
      result[i] = sum;
    }
  }
};

extern "C" __global__ void finish(
    const float* __restrict__ logits,    // (masks, low, low)
    int low,
    const int* __restrict__ first_y,     // (rows): the first low row of each, never falling
    const float* __restrict__ weight_y,  // (TAPS, rows)
    const int* __restrict__ first_x,     // (columns)
    const float* __restrict__ weight_x,  // (TAPS, columns)
    int rows, int columns,
    float offset,                        // of ABOVE and BELOW, in what is resized
    unsigned char* __restrict__ bits,    // (masks, rows, (columns + 7) / 8)
    int* __restrict__ table) {           // (masks, ENTRIES), all 0
  __shared__ int totals[ENTRIES];
  const int me = threadIdx.y * blockDim.x + threadIdx.x;
  if (me < ENTRIES) totals[me] = 0;
  __syncthreads();

  const int bytes = (columns + 7) / 8;
  const int byte = blockIdx.x * blockDim.x + threadIdx.x;
  const int y0 = (blockIdx.y * blockDim.y + threadIdx.y) * ROWS;
  const size_t mask = blockIdx.z;
  if (byte < bytes && y0 < rows) {
    const int x0 = byte * COLUMNS;
    const int inside = 0xFF00 >> min(columns - x0, COLUMNS) & 0xFF;  // bits of the picture
    const float* source = logits + mask * low * low;
    Across across;
    across.load(first_x, weight_x, columns, x0);

    float window[TAPS][COLUMNS] = {};
    int top = first_y[y0] - TAPS;  // the window's first low row: all of it is yet to come
    int area = 0, above = 0, below = 0, any = 0, highest = rows, lowest = -1;
    for (int y = y0; y < min(y0 + ROWS, rows); ++y) {
      const int wanted = first_y[y];
      top = max(top, wanted - TAPS);  // low rows that no output row needs are passed over
      for (; top < wanted; ++top) {
#pragma unroll
        for (int t = 1; t < TAPS; ++t)
#pragma unroll
          for (int i = 0; i < COLUMNS; ++i) window[t - 1][i] = window[t][i];
        across.blend(source + (top + TAPS) * low, window[TAPS - 1]);
      }
      int is = 0, is_above = 0, is_below = 0;  // a bit per column, the first one highest
#pragma unroll
      for (int i = 0; i < COLUMNS; ++i) {
        float sum = 0.0f;
#pragma unroll
        for (int t = 0; t < TAPS; ++t) {
          const float part = __fmul_rn(window[t][i], weight_y[t * rows + y]);
          sum = t == 0 ? part : __fadd_rn(sum, part);
        }
        is = is << 1 | (sum > 0.0f);
        is_above = is_above << 1 | (sum > offset);
        is_below = is_below << 1 | (sum > -offset);
      }
      is &= inside;
      bits[(mask * rows + y) * bytes + byte] = is;
      area += __popc(is);
      above += __popc(is_above & inside);
      below += __popc(is_below & inside);
      any |= is;
      if (is != 0) highest = min(highest, y), lowest = y;
    }

    if (below != 0) atomicAdd(&totals[BELOW], below);
    if (above != 0) atomicAdd(&totals[ABOVE], above);
    if (area != 0) {
      atomicAdd(&totals[AREA], area);
      const int left = x0 + __clz(any) - 24, right = x0 + 8 - __ffs(any);
      atomicMax(&totals[LEFT], columns - left);
      atomicMax(&totals[TOP], rows - highest);
      atomicMax(&totals[RIGHT], right + 1);
      atomicMax(&totals[BOTTOM], lowest + 1);
    }
  }

  __syncthreads();
  if (me < ENTRIES && totals[me] != 0) {
    int* entry = table + mask * ENTRIES + me;
    if (me <= BELOW) atomicAdd(entry, totals[me]);
    else atomicMax(entry, totals[me]);
  }
}
