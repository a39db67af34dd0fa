// A resized picture of levels, whose range is known by now -> normalised, padded, NCHW.
//
//   -DWORD_BYTES=4, 2   floats or halves, read from a table
//   -DMIN_MAX           the table is (256, 256): of each range that a picture can have, what
//                       becomes of a level less the smallest. Without it (3, 256): of each
//                       channel, what becomes of a level
#ifndef WORD_BYTES
#define WORD_BYTES 4
#endif
#if WORD_BYTES == 4
typedef unsigned int Word;
#else
typedef unsigned short Word;
#endif

// Threads: x and y of the square, and z a plane; one plane stands for three that are the same.
extern "C" __global__ void prepare_normalize(
    const unsigned char *levels,  // (planes, rows, columns)
    const int *range,             // {255 - least, greatest}
    int rows, int columns, const Word *words,
    Word *network,  // (3, square, square)
    int square) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  const int plane = blockIdx.z;
  if (y >= square || x >= square) return;
  const bool inside = y < rows && x < columns;
  const int level = inside ? levels[((long long)plane * rows + y) * columns + x] : 0;
  const int last = gridDim.z == 1 ? 2 : plane;
  for (int channel = plane; channel <= last; ++channel) {
#ifdef MIN_MAX
    const int least = 255 - range[0], extent = range[1] - least;
    const int entry = extent * 256 + level - least;
#else
    const int entry = channel * 256 + level;
#endif
    network[((long long)channel * square + y) * square + x] = inside ? words[entry] : (Word)0;
  }
}
