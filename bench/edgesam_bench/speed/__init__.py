"""What ``edgesam bench`` measures: how long, how much memory, beside whom. Imports nothing itself.

Each contender, edgesam included, is a process of its own (:mod:`worker`) that answers questions
(:mod:`contender`); :mod:`rounds` asks them in turn. The rest makes figures of the answers. What a
contender's process imports (``worker``, ``prompts``, ``plain``) needs numpy and Pillow alone, so
that it runs in the environment of the official PyTorch code too.
"""
