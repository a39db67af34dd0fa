"""Measures edgesam: parity with the official PyTorch code, accuracy, passports.

Knows models, bundles and ``Sam``, no engine and no graph. Measuring needs no PyTorch: the reference
side (``bench/reference``, not installed) runs in an environment of its own, and the two sides
exchange plain files (:mod:`edgesam_bench.reference`). What both sides use imports numpy and
Pillow alone: ``cases``, ``golden``, ``objects``, ``phantoms``, ``pictures``, ``random_golden``,
``random_weights``, ``reference``.
"""
