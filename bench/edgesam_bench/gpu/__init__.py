"""What a GPU does with edgesam: its tests, parity and speed beside PyTorch. Imports nothing itself.

``python -m edgesam_bench.gpu`` is run by hand on a machine with a card; :mod:`run` has its stages.
"""
