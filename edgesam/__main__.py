"""``python -m edgesam``: the command line where the program ``edgesam`` is not on the path."""

import sys

from edgesam.commands import main

sys.exit(main())
