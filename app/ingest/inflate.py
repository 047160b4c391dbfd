"""Gzip and zstd to plain bytes, part by part: a body can be limited, a file need not be held."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Protocol

import zstandard
from isal import isal_zlib
from isal.igzip_lib import IsalError

# A part has about so many bytes, fewer where no more were there yet.
PART = 1 << 18
# RFC 1952: a gzip member; 16 + 15 asks zlib for its header and the largest window.
_GZIP_WINDOW = 31
# What lies behind a member in its slice is copied, and a body may have very many small members.
_GZIP_SLICE = 64 << 10
# RFC 8878 section 3.1.1.1.2 recommends decoders to support 8 MiB; larger windows cost memory.
_ZSTD_WINDOW = 8 << 20
# What zstd(1) takes without being asked to: whoever reads a file of their own can spare it.
_ZSTD_FILE_WINDOW = 128 << 20
# A byte of zstd becomes 32 KiB at most (RFC 8878 section 3.1.1.2.2, a block of one byte repeated), and
# all that a slice becomes comes at once: so up to 16 MiB.
_ZSTD_SLICE = 512

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# RFC 8878 section 3.1.2: a frame to skip, as pzstd(1) begins with; its first byte is 0x50 to 0x5f.
_ZSTD_SKIPPED = b"\x2a\x4d\x18"


class Damaged(Exception):
    """The first argument says what is wrong, in words that go behind the name of what was read."""


def inflate_any(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Gzip and zstd as their first bytes say, anything else as it is. Raises Damaged."""
    rest = iter(chunks)
    start = b""
    while len(start) < len(_ZSTD_MAGIC) and (chunk := next(rest, b"")):
        start += chunk
    whole = chain([start], rest)
    if start.startswith(_GZIP_MAGIC):
        return gunzip(whole)
    if start.startswith(_ZSTD_MAGIC) or (start[1:4] == _ZSTD_SKIPPED and start[0] >> 4 == 5):
        return unzstd(whole, _ZSTD_FILE_WINDOW)
    return whole


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """RFC 1952; members may follow one another (section 2.2). Raises Damaged."""
    return _inflated(Gunzip(), chunks)


def unzstd(chunks: Iterable[bytes], window: int = _ZSTD_WINDOW) -> Iterator[bytes]:
    """RFC 8878; frames may follow one another. Raises Damaged, also for a larger window."""
    return _inflated(Unzstd(window), chunks)


class Inflater(Protocol):
    """Given chunk after chunk by whoever cannot wait for the next one. Both raise Damaged."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What the chunk becomes."""
        ...

    def end(self) -> None:
        """No chunk follows."""
        ...


class Plain:
    """Nothing to inflate."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def end(self) -> None:
        pass


class Gunzip:
    def __init__(self) -> None:
        self._inflater: isal_zlib.Decompress | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        for rest in _sliced(chunk, _GZIP_SLICE):
            while (
                rest := rest if self._inflater else rest.lstrip(b"\0")
            ):  # tape padding, as gzip(1) ignores it
                inflater = self._inflater or isal_zlib.decompressobj(_GZIP_WINDOW)
                self._inflater = inflater
                try:
                    yield from _member(inflater, rest)
                except IsalError as error:  # type: ignore[misc]  # its stub says int; it is an exception
                    raise Damaged(f"holds damaged gzip data: {_reason(error)}") from None
                if not inflater.eof:
                    break
                rest, self._inflater = inflater.unused_data, None

    def end(self) -> None:
        if self._inflater is not None:
            raise Damaged("ends in the middle of its gzip data")


def _member(inflater: "isal_zlib.Decompress", rest: bytes) -> Iterator[bytes]:
    part = inflater.decompress(rest, PART)
    while part:
        yield part
        if inflater.eof:
            return
        part = inflater.decompress(inflater.unconsumed_tail, PART)


class Unzstd:
    def __init__(self, window: int = _ZSTD_WINDOW) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=window)
        self._inflater: zstandard.ZstdDecompressionObj | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        held: list[bytes] = []
        size = 0
        try:
            for piece in self._pieces(chunk):
                held.append(piece)
                size += len(piece)
                if size >= PART:
                    yield b"".join(held)
                    held, size = [], 0
        except Damaged:
            yield b"".join(held)
            raise
        if held:
            yield b"".join(held)

    def _pieces(self, chunk: bytes) -> Iterator[bytes]:
        for rest in _sliced(chunk, _ZSTD_SLICE):
            while rest:
                inflater = self._inflater or self._decompressor.decompressobj()
                self._inflater = inflater
                try:
                    piece = inflater.decompress(rest)
                except zstandard.ZstdError as error:
                    raise Damaged(f"holds damaged zstd data: {_reason(error)}") from None
                if piece:
                    yield piece
                if not inflater.eof:
                    break
                rest, self._inflater = inflater.unused_data, None

    def end(self) -> None:
        if self._inflater is not None:
            raise Damaged("ends in the middle of its zstd data")


def _inflated(inflater: Inflater, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from inflater.feed(chunk)
    inflater.end()


def _sliced(chunk: bytes, size: int) -> Iterator[bytes]:
    return (chunk[at : at + size] for at in range(0, len(chunk), size))


def _reason(error: Exception) -> str:
    """What the library says, without its own name and numbers."""
    said = re.sub(r"^(Error -?\d+ |zstd decompress\w* error: )", "", str(error))
    return said[:1].lower() + said[1:]
