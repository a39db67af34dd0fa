// Coefficients of a cubic spline -> levels at another size, cut to whole numbers, and their range.
//
// Cutting makes a level hang on the last bit where the spline meets a whole number, as it does
// wherever a picture is flat. There it is computed again, in the order of edgesam_kernels/spline.py
// (and of scipy, whose spline runs along the three channels as well); elsewhere any order will do.
//
//   -DPLANES=1, 3   of coefficients; the levels have three in any case, since the order of sums
//                   along the channels may make one of three equal ones differ
#ifndef PLANES
#define PLANES 1
#endif

#include "prepare_keep.cuh"
#include "prepare_spline.cuh"

// The four coefficients of one axis that a level is made of.
struct Axis {
  const int *cells;       // (4, size)
  const double *weights;  // (4, size)
  int size;

  __device__ int cell(int tap, int target) const { return cells[tap * size + target]; }
  __device__ double weight(int tap, int target) const { return weights[tap * size + target]; }
};

struct Coefficients {
  const double *values;  // (PLANES, rows, columns)
  long long plane_size;
  int columns;

  __device__ double at(int plane, int y, int x) const {
    return values[(PLANES == 3 ? plane : 0) * plane_size + (long long)y * columns + x];
  }
};

// To 1e-11 or better, however it is summed up: products and sums may be fused.
__device__ inline double estimate(Coefficients c, Axis down, Axis across, int plane, int y, int x) {
  double total = 0;
  for (int j = 0; j < 4; ++j) {
    double sum = 0;
    for (int i = 0; i < 4; ++i)
      sum += c.at(plane, down.cell(j, y), across.cell(i, x)) * across.weight(i, x);
    total += sum * down.weight(j, y);
  }
  return total;
}

// All three channels at once. ``through`` are the weights (4,) along the channels.
__device__ inline void exact(Coefficients c, Axis down, Axis across, const double *through,
                             double across_channels, int y, int x, double *total) {
  total[0] = total[1] = total[2] = 0;
  for (int j = 0; j < 4; ++j)
    for (int i = 0; i < 4; ++i) {
      double line[3];
      for (int channel = 0; channel < 3; ++channel)
        line[channel] = c.at(channel, down.cell(j, y), across.cell(i, x));
      to_coefficients(line, 3, 1, across_channels);
      for (int channel = 0; channel < 3; ++channel) {
        line[channel] = __dmul_rn(line[channel], down.weight(j, y));
        line[channel] = __dmul_rn(line[channel], across.weight(i, x));
      }
      for (int tap = 0; tap < 4; ++tap)
        for (int channel = 0; channel < 3; ++channel) {
          const double part = line[mirrored(channel + tap - 1, 3)];
          total[channel] = __dadd_rn(total[channel], __dmul_rn(part, through[tap]));
        }
    }
}

// Threads: x and y of the resized picture.
extern "C" __global__ void prepare_blend(
    const double *coefficients,  // (PLANES, source_rows, source_columns)
    int source_rows, int source_columns, const int *row_cells, const double *row_weights,
    const int *column_cells, const double *column_weights, const double *through,
    double across_channels,
    const int *source_range,  // of the levels that the spline goes through: prepare_keep.cuh
    int rows, int columns,
    unsigned char *levels,  // (3, rows, columns)
    int *range) {           // (2,), zeros: prepare_keep.cuh
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  const bool inside = y < rows && x < columns;
  double values[3] = {0, 0, 0};
  const double least = 255 - source_range[0], greatest = source_range[1];
  if (inside) {
    const Coefficients c = {coefficients, (long long)source_rows * source_columns, source_columns};
    const Axis down = {row_cells, row_weights, rows};
    const Axis across = {column_cells, column_weights, columns};
    bool doubtful = false;
    for (int plane = 0; plane < 3; ++plane) {
      if (PLANES == 3 || plane == 0) values[plane] = estimate(c, down, across, plane, y, x);
      else values[plane] = values[0];
      const double whole = rint(values[plane]);
      const bool near = fabs(values[plane] - whole) < 1e-9;  // the estimate is off by less
      doubtful |= near && whole > least && whole <= greatest;
    }
    if (doubtful) exact(c, down, across, through, across_channels, y, x, values);
  }
  for (int plane = 0; plane < 3; ++plane) {
    const int level = (int)fmin(fmax(values[plane], least), greatest);
    keep(inside, level, levels + ((long long)plane * rows + y) * columns + x, range);
  }
}
