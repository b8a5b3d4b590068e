"""``python -m vacuagym``: the same as the command ``vacuagym``."""

import sys

from vacuagym.cli import main

sys.exit(main())
