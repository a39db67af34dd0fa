// A smooth picture -> the coefficients of its cubic spline along one axis, in place.
#include "prepare_spline.cuh"

// Threads: x a line. Line i begins at (i / group) * group_step + (i % group) * line_step; all
// columns of all planes: group = columns, group_step = rows * columns, line_step = 1.
extern "C" __global__ void prepare_spline(
    double *samples, int lines, int group, long long group_step, long long line_step,
    int size,        // samples in a line
    long long step,  // from sample to sample
    double across_all) {
  const int line = blockIdx.x * blockDim.x + threadIdx.x;
  if (line >= lines) return;
  double *first = samples + line / group * group_step + line % group * line_step;
  to_coefficients(first, size, step, across_all);
}
