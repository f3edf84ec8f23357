"""A child that ends when its parent does."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def die_with_parent(sent: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` after which Linux sends `sent` to the child when the parent ends, `kill -9` included.

    None elsewhere: there the warden (see `warden.py`) alone ends what a killed parent leaves.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded before the fork: after it little is safe to call
    parent = os.getpid()

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(sent), 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before the call
            os._exit(1)

    return ask_kernel
