// Pixels -> grey levels -> the size that the network wants -> normalised, padded, NCHW, in one go.
//
// One thread makes one level of the result, from all pixels that it needs, and does again what its
// neighbours do with some of them: those come from the cache, while a pass of its own for each axis
// would write and read a picture more. Every sum is made in the order, and rounded where, the CPU
// does it (edgesam_kernels/area.py, and Pillow): levels are the same to the bit.
//
// What the pixels are:
//   -DPIXEL_BYTES=1, 2   integers of either sign: the table has a level for each bit pattern
//   -DPIXEL_BYTES=4      float: the table has the least value of each level from 1 to 255, and at
//                        its end 255 if levels fall while pixels rise, else 0
//   -DCHANNELS=1, 3      values of a pixel: grey, or red, green and blue side by side
//   -DTABLES=1, 3        one table, or one for each of red, green and blue
// How they are resized:
//   -DRULE=SAME          not at all
//   -DRULE=BILINEAR      Pillow's antialiased filter; with -DDOWN_FIRST columns before rows
//   -DRULE=AREA_WHOLE    OpenCV's area, whole numbers of pixels to a level: taps are the factors
//   -DRULE=AREA_SHRINKS  OpenCV's area, other factors
//   -DRULE=AREA_GROWS    what OpenCV's area does where a side grows
// Where levels go:
//   -DWORD_BYTES=4, 2    into the network's input, as floats or halves: what a level becomes is
//                        read from a table (3, 256), so that nothing here needs to know which
//   -DKEEP               into a picture of bytes, plane by plane, and their range is found
#define SAME 0
#define BILINEAR 1
#define AREA_WHOLE 2
#define AREA_SHRINKS 3
#define AREA_GROWS 4

#ifndef PIXEL_BYTES
#define PIXEL_BYTES 1
#endif
#ifndef CHANNELS
#define CHANNELS 1
#endif
#ifndef TABLES
#define TABLES 1
#endif
#ifndef RULE
#define RULE BILINEAR
#endif
#ifndef WORD_BYTES
#define WORD_BYTES 4
#endif

#ifdef KEEP
#include "prepare_keep.cuh"
#endif

#if PIXEL_BYTES == 1
typedef unsigned char Pixel;
#elif PIXEL_BYTES == 2
typedef unsigned short Pixel;
#else
typedef float Pixel;
#endif
#if PIXEL_BYTES == 4
typedef float Entry;
#else
typedef unsigned char Entry;
#endif
#if WORD_BYTES == 4
typedef unsigned int Word;
#else
typedef unsigned short Word;
#endif
#if RULE == AREA_SHRINKS
typedef float Weight;
#else
typedef int Weight;
#endif

struct Picture {
  const unsigned char *pixels;
  long long pitch;  // bytes from row to row
  const Entry *table;
  int plane;

  __device__ int level(int y, int x) const {
    const Pixel *row = (const Pixel *)(pixels + y * pitch);
    const Pixel pixel = row[x * CHANNELS + (CHANNELS == 3 ? plane : 0)];
    const int entries = PIXEL_BYTES == 2 ? 65536 : 256;
    const Entry *own = table + (TABLES == 3 ? plane * entries : 0);
#if PIXEL_BYTES == 4
    int steps = 0;  // that the pixel has reached; they are sorted: halve what is left
    for (int half = 128; half > 0; half >>= 1)
      if (pixel >= own[steps + half - 1]) steps += half;
    return steps ^ (int)own[255];
#else
    return own[pixel];
#endif
  }
};

// The pixels of one axis that a level is made of: ``taps`` of them, from ``first`` on.
struct Axis {
  const int *first;
  const Weight *weights;
  int taps, size;

  __device__ int cell(int target, int tap) const { return min(first[target] + tap, size - 1); }
  __device__ Weight weight(int target, int tap) const { return weights[target * taps + tap]; }
};

__device__ inline int clipped(int level) { return max(0, min(255, level)); }

// To the nearest whole number, halves to even.
__device__ inline int rounded(float level) { return clipped(__float2int_rn(level)); }

#if RULE == SAME
__device__ inline int resized(Picture picture, Axis down, Axis across, int y, int x) {
  return picture.level(y, x);
}
#elif RULE == BILINEAR
// Whole numbers with 22 bits after the point, rounded to a level after each axis.
#ifdef DOWN_FIRST
__device__ inline int resized(Picture picture, Axis down, Axis across, int y, int x) {
  int total = 1 << 21;
  for (int i = 0; i < across.taps; ++i) {
    int sum = 1 << 21;
    for (int j = 0; j < down.taps; ++j)
      sum += picture.level(down.cell(y, j), across.cell(x, i)) * down.weight(y, j);
    total += clipped(sum >> 22) * across.weight(x, i);
  }
  return clipped(total >> 22);
}
#else
__device__ inline int resized(Picture picture, Axis down, Axis across, int y, int x) {
  int total = 1 << 21;
  for (int j = 0; j < down.taps; ++j) {
    int sum = 1 << 21;
    for (int i = 0; i < across.taps; ++i)
      sum += picture.level(down.cell(y, j), across.cell(x, i)) * across.weight(x, i);
    total += clipped(sum >> 22) * down.weight(y, j);
  }
  return clipped(total >> 22);
}
#endif
#elif RULE == AREA_WHOLE
// The mean of a block. Blocks of 2 x 2 round halves up, others to even.
__device__ inline int resized(Picture picture, Axis down, Axis across, int y, int x) {
  unsigned int total = 0;
  for (int j = 0; j < down.taps; ++j)
    for (int i = 0; i < across.taps; ++i)
      total += picture.level(y * down.taps + j, x * across.taps + i);
  if (down.taps == 2 && across.taps == 2) return (total + 2) >> 2;
  const float share = (float)(1.0 / (down.taps * across.taps));
  return rounded(__fmul_rn((float)total, share));
}
#elif RULE == AREA_SHRINKS
// Weighted by what the level covers of each pixel; in float, rounded after each product and sum.
__device__ inline int resized(Picture picture, Axis down, Axis across, int y, int x) {
  float total = 0;
  for (int j = 0; j < down.taps; ++j) {
    float sum = 0;
    for (int i = 0; i < across.taps; ++i) {
      const int level = picture.level(down.cell(y, j), across.cell(x, i));
      sum = __fadd_rn(sum, __fmul_rn((float)level, across.weight(x, i)));
    }
    total = __fadd_rn(total, __fmul_rn(sum, down.weight(y, j)));
  }
  return rounded(total);
}
#elif RULE == AREA_GROWS
// Two neighbours on each axis, in whole numbers with 11 bits after the point.
__device__ inline int resized(Picture picture, Axis down, Axis across, int y, int x) {
  int total = 2;
  for (int j = 0; j < 2; ++j) {
    int sum = 0;
    for (int i = 0; i < 2; ++i)
      sum += picture.level(down.cell(y, j), across.cell(x, i)) * across.weight(x, i);
    total += (sum >> 4) * down.weight(y, j) >> 16;
  }
  return clipped(total >> 2);
}
#endif

// Threads: x and y of the square (of the resized picture, if kept), and z a plane. A picture with
// one plane has three channels that are the same.
extern "C" __global__ void prepare_resize(
    const unsigned char *pixels, long long pitch, const Entry *table,
    const int *first_row, const Weight *row_weights, int row_taps, int source_rows,
    const int *first_column, const Weight *column_weights, int column_taps, int source_columns,
    int rows, int columns,  // of the resized picture
#ifdef KEEP
    unsigned char *kept,  // (planes, rows, columns)
    int *range) {         // (2,), zeros: prepare_keep.cuh
#else
    const Word *words,  // (3, 256)
    Word *network,      // (3, square, square)
    int square) {
#endif
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  const int plane = blockIdx.z;
  const bool inside = y < rows && x < columns;
  int level = 0;
  if (inside) {
    const Picture picture = {pixels, pitch, table, plane};
    const Axis down = {first_row, row_weights, row_taps, source_rows};
    const Axis across = {first_column, column_weights, column_taps, source_columns};
    level = resized(picture, down, across, y, x);
  }
#ifdef KEEP
  keep(inside, level, kept + ((long long)plane * rows + y) * columns + x, range);
#else
  if (y >= square || x >= square) return;
  const int last = gridDim.z == 1 ? 2 : plane;
  for (int channel = plane; channel <= last; ++channel) {
    const Word word = inside ? words[channel * 256 + level] : (Word)0;
    network[((long long)channel * square + y) * square + x] = word;
  }
#endif
}
