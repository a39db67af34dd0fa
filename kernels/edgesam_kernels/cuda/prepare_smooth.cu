// A Gaussian along one axis, against aliasing, before a spline shrinks a picture.
//
// In double, and from the outermost pair of samples inwards, as edgesam_kernels/spline.py does it.
//
//   -DSAMPLE_BYTES=1, 8   of the samples that are read: levels, or doubles
//   -DDOWN                along columns; without it along rows
#ifndef SAMPLE_BYTES
#define SAMPLE_BYTES 1
#endif
#if SAMPLE_BYTES == 1
typedef unsigned char Sample;
#else
typedef double Sample;
#endif

#include "prepare_spline.cuh"

// Threads: x and y of the picture, and z a plane.
extern "C" __global__ void prepare_smooth(
    const Sample *samples,  // (planes, rows, columns)
    int rows, int columns,
    const double *weights,  // (2 radius + 1,)
    int radius,
    double *smooth) {  // (planes, rows, columns), other memory
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  if (y >= rows || x >= columns) return;
  const long long plane = (long long)blockIdx.z * rows * columns;
#ifdef DOWN
  const Sample *line = samples + plane + x;
  const int step = columns, place = y, size = rows;
#else
  const Sample *line = samples + plane + (long long)y * columns;
  const int step = 1, place = x, size = columns;
#endif
  double total = __dmul_rn(line[(long long)place * step], weights[radius]);
  for (int tap = 0; tap < radius; ++tap) {
    const int away = radius - tap;
    const double before = line[(long long)mirrored(place - away, size) * step];
    const double after = line[(long long)mirrored(place + away, size) * step];
    total = __dadd_rn(total, __dmul_rn(__dadd_rn(before, after), weights[tap]));
  }
  smooth[plane + (long long)y * columns + x] = total;
}
