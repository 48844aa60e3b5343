"""Lets glibc's malloc keep freed memory for the next step; mapping it again takes longer than computing with it."""

import ctypes
import os
import platform

# Options of mallopt(3), which glibc also reads from $GLIBC_TUNABLES. The numbers of the options are those of malloc.h.
_OPTIONS = {
    -4: 0,  # M_MMAP_MAX: also large blocks come from the heap, where they can be kept
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: the end of the heap is not given back
    -2: 2**28,  # M_TOP_PAD: the heap grows in pieces of 256 MiB
    -8: 1,  # M_ARENA_MAX: all threads share one heap, as the others cannot hold large blocks
}


def keep_freed_memory() -> None:
    """Sets malloc for this process.

    A malloc that $GLIBC_TUNABLES sets stays as it is, and so do the C libraries of other systems.
    """
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in _OPTIONS.items():
        mallopt(option, value)
