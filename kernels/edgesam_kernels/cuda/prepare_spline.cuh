// Cubic B-splines through the samples of a line, which is mirrored at its ends.

#define POLE (-0.267949192431122706472553658494127633)  // sqrt(3) - 2

// A place before or after a line of ``size`` samples, thrown back at the first and the last.
__device__ inline int mirrored(int place, int size) {
  if (size == 1) return 0;
  const int last = size - 1;
  int inside = place % (2 * last);
  if (inside < 0) inside += 2 * last;
  return last - abs(last - inside);
}

// Samples become coefficients, in place: a filter that runs to the end and back.
//
// Rounded after each product and sum, as the CPU does it. ``across_all`` is POLE to the power of
// size - 1, which the host knows to its last bit.
__device__ inline void to_coefficients(double *line, int size, long long step, double across_all) {
  if (size == 1) return;
  const double gain = (1.0 - POLE) * (1.0 - 1.0 / POLE);
  for (int i = 0; i < size; ++i) line[i * step] = __dmul_rn(line[i * step], gain);

  double first = __dadd_rn(line[0], __dmul_rn(across_all, line[(size - 1) * step]));
  double power = POLE;
  for (int i = 1; i < size - 1; ++i) {
    const double far = __dmul_rn(across_all, line[(size - 1 - i) * step]);
    first = __dadd_rn(first, __dmul_rn(power, __dadd_rn(line[i * step], far)));
    power = __dmul_rn(power, POLE);
    if (fabs(power) < 1e-60) break;  // what is left changes no level
  }
  first = __ddiv_rn(first, __dsub_rn(1.0, __dmul_rn(across_all, across_all)));

  double last = first, before = first;
  line[0] = first;
  for (int i = 1; i < size; ++i) {
    before = last;
    last = __dadd_rn(line[i * step], __dmul_rn(before, POLE));
    line[i * step] = last;
  }
  const double end = __dmul_rn(__dadd_rn(__dmul_rn(POLE, before), last), POLE);
  double next = __ddiv_rn(end, POLE * POLE - 1);
  line[(size - 1) * step] = next;
  for (int i = size - 2; i >= 0; --i) {
    next = __dmul_rn(__dsub_rn(next, line[i * step]), POLE);
    line[i * step] = next;
  }
}
