"""`python -m trainer.plan`: the same as `python -m trainer plan`, where no torch is installed."""

import sys

from trainer.plan.command import main

sys.exit(main())
