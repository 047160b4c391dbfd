"""What the C library does with memory that was freed."""

import ctypes

# mallopt(3), glibc's parameters and what they may be at most (M_MMAP_THRESHOLD: half of a heap's 64 MiB).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_TRIM_THRESHOLD_BYTES = 64 << 20
_MMAP_THRESHOLD_BYTES = 32 << 20


def retain_freed_memory() -> None:
    """Do not give buffers back to the system after each request, to be asked for with the next one.

    Each page that comes anew is cleared first, which takes longer than to find the events in it. Does
    nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
