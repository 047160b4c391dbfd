"""Tuning of the C library's memory allocator."""

import ctypes

# Parameters of mallopt(3) in glibc, and their values. In glibc, the heap of a thread has at most 64 MiB.
# M_TRIM_THRESHOLD is set to 64 MiB; a higher value would not help. M_MMAP_THRESHOLD is set to 32 MiB,
# because glibc accepts at most half of the maximum heap size.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_TRIM_THRESHOLD_BYTES = 64 << 20
_MMAP_THRESHOLD_BYTES = 32 << 20


def retain_freed_memory() -> None:
    """Keep freed buffers in the process instead of returning them to the kernel after each request.

    The kernel fills each page with zeros before it hands the page out again. This takes longer than
    evaluating the events that fit into the page. The function does nothing if the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
