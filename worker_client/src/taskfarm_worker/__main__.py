"""`python -m taskfarm_worker` is `taskfarm`."""

import sys

from .cli._main import main

sys.exit(main())
