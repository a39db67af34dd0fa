// Keeps a level of the resized picture, and finds the range of all levels on the way.

// The picture is kept plane by plane. The range is {255 - least, greatest}, so that it starts as
// zeros. All threads of a block must come here, those beyond the picture with inside = false.
__device__ inline void keep(bool inside, int level, unsigned char *at, int *range) {
  __shared__ int block_range[2];
  const bool first = threadIdx.x == 0 && threadIdx.y == 0;
  if (first) block_range[0] = block_range[1] = 0;
  __syncthreads();
  if (inside) {
    *at = (unsigned char)level;
    atomicMax(&block_range[0], 255 - level);
    atomicMax(&block_range[1], level);
  }
  __syncthreads();
  if (first) {  // a block that holds no pixel adds zeros, which change nothing
    atomicMax(&range[0], block_range[0]);
    atomicMax(&range[1], block_range[1]);
  }
}
