"""Makes ``edgesam_bench`` importable here without installing edgesam. Knows nothing else."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
