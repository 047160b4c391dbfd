"""Tuning of the C library's memory allocator."""

import ctypes

# Parameters of mallopt(3) in glibc, set to the highest values it accepts or that help
# (M_MMAP_THRESHOLD: at most half of a 64 MiB heap).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_TRIM_THRESHOLD_BYTES = 64 << 20
_MMAP_THRESHOLD_BYTES = 32 << 20


def retain_freed_memory() -> None:
    """Keep freed buffers in the process instead of returning them to the kernel after each request.

    The kernel clears each page that it hands out again, which takes longer than detection takes on the
    events in that page. Does nothing if the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
