"""``python -m tdfusion``: the ``tdfusion`` command, as ``accelerate launch -m tdfusion train ...`` needs it."""

import sys

from tdfusion.commands.main import main

sys.exit(main())
