"""Gzip and zstd to plain bytes, part by part: a body can be limited, a file need not be held."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Protocol

import zstandard
from isal import isal_zlib
from isal.igzip_lib import IsalError

# A part has about so many bytes, fewer where no more were there yet.
CHUNK_BYTES = 1 << 18
# RFC 1952: a gzip member; 16 + 15 asks zlib for its header and the largest window.
_GZIP_WBITS = 31
# What lies behind a member in its slice is copied, and a body may have very many small members.
_GZIP_SLICE_BYTES = 64 << 10
# RFC 8878 section 3.1.1.1.2 recommends decoders to support 8 MiB; larger windows cost memory.
_ZSTD_MAX_WINDOW = 8 << 20
# What zstd(1) takes without being asked to: whoever reads a file of their own can spare it.
_ZSTD_FILE_MAX_WINDOW = 128 << 20
# A byte of zstd becomes 32 KiB at most (RFC 8878 section 3.1.1.2.2, a block of one byte repeated), and
# all that a slice becomes comes at once: so up to 16 MiB.
_ZSTD_SLICE_BYTES = 512

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# RFC 8878 section 3.1.2: a frame to skip, as pzstd(1) begins with; its first byte is 0x50 to 0x5f.
_ZSTD_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"


class DecompressionError(Exception):
    """The first argument says what is wrong, in words that go behind the name of what was read."""


def decompress_auto(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Gzip and zstd as their first bytes say, anything else as it is. Raises DecompressionError."""
    rest = iter(chunks)
    start = b""
    while len(start) < len(_ZSTD_MAGIC) and (chunk := next(rest, b"")):
        start += chunk
    whole = chain([start], rest)
    if start.startswith(_GZIP_MAGIC):
        return decompress_gzip(whole)
    if start.startswith(_ZSTD_MAGIC) or (
        start[1:4] == _ZSTD_SKIPPABLE_MAGIC and start[0] >> 4 == 5
    ):
        return decompress_zstd(whole, _ZSTD_FILE_MAX_WINDOW)
    return whole


def decompress_gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """RFC 1952; members may follow one another (section 2.2). Raises DecompressionError."""
    return _decompress_all(GzipDecompressor(), chunks)


def decompress_zstd(chunks: Iterable[bytes], max_window: int = _ZSTD_MAX_WINDOW) -> Iterator[bytes]:
    """RFC 8878; frames may follow one another. Raises DecompressionError, also for a larger window."""
    return _decompress_all(ZstdStreamDecompressor(max_window), chunks)


class Decompressor(Protocol):
    """Given chunk after chunk by whoever cannot wait for the next one. Both raise DecompressionError."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What the chunk becomes."""
        ...

    def end(self) -> None:
        """No chunk follows."""
        ...


class IdentityDecompressor:
    """Nothing to inflate."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def end(self) -> None:
        pass


class GzipDecompressor:
    def __init__(self) -> None:
        self._decompressobj: isal_zlib.Decompress | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        for rest in _slices(chunk, _GZIP_SLICE_BYTES):
            while (
                rest := rest if self._decompressobj else rest.lstrip(b"\0")
            ):  # tape padding, as gzip(1) ignores it
                decompressor = self._decompressobj or isal_zlib.decompressobj(_GZIP_WBITS)
                self._decompressobj = decompressor
                try:
                    yield from _decompress_member(decompressor, rest)
                except IsalError as error:  # type: ignore[misc]  # its stub says int; it is an exception
                    raise DecompressionError(
                        f"holds damaged gzip data: {_error_message(error)}"
                    ) from None
                if not decompressor.eof:
                    break
                rest, self._decompressobj = decompressor.unused_data, None

    def end(self) -> None:
        if self._decompressobj is not None:
            raise DecompressionError("ends in the middle of its gzip data")


def _decompress_member(decompressor: "isal_zlib.Decompress", rest: bytes) -> Iterator[bytes]:
    part = decompressor.decompress(rest, CHUNK_BYTES)
    while part:
        yield part
        if decompressor.eof:
            return
        part = decompressor.decompress(decompressor.unconsumed_tail, CHUNK_BYTES)


class ZstdStreamDecompressor:
    def __init__(self, max_window: int = _ZSTD_MAX_WINDOW) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=max_window)
        self._decompressobj: zstandard.ZstdDecompressionObj | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        held: list[bytes] = []
        size = 0
        try:
            for piece in self._decompress_frames(chunk):
                held.append(piece)
                size += len(piece)
                if size >= CHUNK_BYTES:
                    yield b"".join(held)
                    held, size = [], 0
        except DecompressionError:
            yield b"".join(held)
            raise
        if held:
            yield b"".join(held)

    def _decompress_frames(self, chunk: bytes) -> Iterator[bytes]:
        for rest in _slices(chunk, _ZSTD_SLICE_BYTES):
            while rest:
                decompressor = self._decompressobj or self._decompressor.decompressobj()
                self._decompressobj = decompressor
                try:
                    piece = decompressor.decompress(rest)
                except zstandard.ZstdError as error:
                    raise DecompressionError(
                        f"holds damaged zstd data: {_error_message(error)}"
                    ) from None
                if piece:
                    yield piece
                if not decompressor.eof:
                    break
                rest, self._decompressobj = decompressor.unused_data, None

    def end(self) -> None:
        if self._decompressobj is not None:
            raise DecompressionError("ends in the middle of its zstd data")


def _decompress_all(decompressor: Decompressor, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from decompressor.feed(chunk)
    decompressor.end()


def _slices(chunk: bytes, size: int) -> Iterator[bytes]:
    return (chunk[at : at + size] for at in range(0, len(chunk), size))


def _error_message(error: Exception) -> str:
    """What the library says, without its own name and numbers."""
    message = re.sub(r"^(Error -?\d+ |zstd decompress\w* error: )", "", str(error))
    return message[:1].lower() + message[1:]
