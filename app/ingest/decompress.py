"""Gzip and zstd decompression of request bodies and files.

The Content-Encoding header determines the format of a body. The first bytes of a file determine its format.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol

import zstandard
from isal import isal_zlib
from isal.igzip_lib import IsalError

from app.domain.errors import DeckwatchError
from app.ingest.events import ContentTooLarge, UnreadableBody

# Approximate size of a decompressed part; a part is smaller when no more data is available.
CHUNK_BYTES = 1 << 18
# The zlib parameter `wbits`, 16 + 15: 16 makes zlib expect a gzip header (RFC 1952), and 15 selects the
# largest window.
_GZIP_WBITS = 31
# One call of isal gets at most this many bytes. After each gzip member, isal copies all remaining input of
# the call. Without this limit, a large input of many small members would take quadratic time.
_GZIP_SLICE_BYTES = 64 << 10
# RFC 8878 section 3.1.1.1.2 recommends that decoders support windows of up to 8 MiB. Larger windows are
# refused because they need more memory.
_ZSTD_MAX_WINDOW = 8 << 20
# The largest window that zstd(1) accepts by default; used for local files.
_ZSTD_FILE_MAX_WINDOW = 128 << 20
# One call of the zstd library gets at most this many bytes. This limits the memory, because each call returns
# its whole output at once. A zstd block of 4 bytes can represent 128 KiB of one repeated byte (RFC 8878
# section 3.1.1.2.2). The output of a call with 512 bytes is therefore at most 16 MiB.
_ZSTD_SLICE_BYTES = 512

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# Bytes 2 to 4 of a skippable frame (RFC 8878 section 3.1.2); its first byte is 0x50 to 0x5f. pzstd(1) writes
# such a frame at the start of its output.
_ZSTD_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"


class UnsupportedEncoding(DeckwatchError):
    """HTTP status 415: a Content-Encoding that is not supported, or a form with a wrong Content-Type."""


class DecompressionError(Exception):
    """Compressed data is damaged or incomplete.

    The message is a sentence without its subject, for example "holds damaged gzip data". The caller adds the
    subject, such as "The body".
    """


class Decompressor(Protocol):
    """Incremental decompressor; both methods raise DecompressionError for invalid data."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the decompressed parts of `chunk`."""
        ...

    def end(self) -> None:
        """Check that the compressed data is complete."""
        ...


class BodyDecompressor:
    """Incremental decompressor for a request body with the Content-Encoding `encoding`.

    `max_bytes` limits the size of the decompressed body. The constructor raises UnsupportedEncoding if
    `encoding` is not supported.
    """

    def __init__(self, encoding: str, max_bytes: int) -> None:
        try:
            self._decompressor = _DECOMPRESSORS[encoding.strip().lower()]()
        except KeyError:
            raise UnsupportedEncoding(
                f"Content-Encoding “{encoding}” is not supported; send identity, gzip or zstd."
            ) from None
        self.is_identity = isinstance(self._decompressor, IdentityDecompressor)
        self._max_bytes = max_bytes
        self.decompressed_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the decompressed parts of `chunk`.

        Raises UnreadableBody if the data is damaged, or ContentTooLarge if the decompressed body exceeds
        `max_bytes`.
        """
        try:
            for part in self._decompressor.feed(chunk):
                self.decompressed_bytes += len(part)
                if self.decompressed_bytes > self._max_bytes:
                    raise ContentTooLarge(
                        f"The body decompresses to more than {self._max_bytes} bytes; "
                        "send fewer events per request."
                    )
                yield part
        except DecompressionError as error:
            raise UnreadableBody(f"The body {error}.") from None

    def end(self) -> None:
        """Check that the compressed data is complete; raises UnreadableBody if it is not."""
        try:
            self._decompressor.end()
        except DecompressionError as error:
            raise UnreadableBody(f"The body {error}.") from None


def decompress_auto(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress gzip or zstd data, which is detected by its first bytes; return other data unchanged.

    DecompressionError is raised while the caller iterates over the result.
    """
    rest = iter(chunks)
    start = b""
    while len(start) < len(_ZSTD_MAGIC) and (chunk := next(rest, b"")):
        start += chunk
    all_chunks = chain([start], rest)
    if start.startswith(_GZIP_MAGIC):
        return _decompress_all(GzipDecompressor(), all_chunks)
    if start.startswith(_ZSTD_MAGIC) or (
        start[1:4] == _ZSTD_SKIPPABLE_MAGIC and start[0] >> 4 == 5
    ):
        return _decompress_all(ZstdDecompressor(_ZSTD_FILE_MAX_WINDOW), all_chunks)
    return all_chunks


def _decompress_all(decompressor: Decompressor, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from decompressor.feed(chunk)
    decompressor.end()


class IdentityDecompressor:
    def feed(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def end(self) -> None:
        pass


class GzipDecompressor:
    """Decompressor for gzip data (RFC 1952), which may have several members (section 2.2)."""

    def __init__(self) -> None:
        self._member: isal_zlib.Decompress | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        for piece in _slices(chunk, _GZIP_SLICE_BYTES):
            rest = piece
            # Zero bytes between members are padding, for example from a tape. gzip(1) ignores them too.
            while rest := rest if self._member else rest.lstrip(b"\0"):
                member = self._member or isal_zlib.decompressobj(_GZIP_WBITS)
                self._member = member
                try:
                    yield from _decompress_member(member, rest)
                except IsalError as error:  # type: ignore[misc]  # its type stub declares an int
                    raise DecompressionError(
                        f"holds damaged gzip data: {_error_message(error)}"
                    ) from None
                if not member.eof:
                    break
                rest, self._member = member.unused_data, None

    def end(self) -> None:
        if self._member is not None:
            raise DecompressionError("ends in the middle of its gzip data")


def _decompress_member(member: "isal_zlib.Decompress", data: bytes) -> Iterator[bytes]:
    part = member.decompress(data, CHUNK_BYTES)
    while part:
        yield part
        if member.eof:
            return
        part = member.decompress(member.unconsumed_tail, CHUNK_BYTES)


class ZstdDecompressor:
    """Decompressor for zstd data (RFC 8878), which may have several frames.

    Raises DecompressionError for a frame with a window larger than `max_window` bytes.
    """

    def __init__(self, max_window: int = _ZSTD_MAX_WINDOW) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=max_window)
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        pieces: list[bytes] = []
        size = 0
        try:
            for piece in self._decompress_frames(chunk):
                pieces.append(piece)
                size += len(piece)
                if size >= CHUNK_BYTES:
                    yield b"".join(pieces)
                    pieces, size = [], 0
        except DecompressionError:
            yield b"".join(pieces)
            raise
        if pieces:
            yield b"".join(pieces)

    def _decompress_frames(self, chunk: bytes) -> Iterator[bytes]:
        for piece in _slices(chunk, _ZSTD_SLICE_BYTES):
            rest = piece
            while rest:
                frame = self._frame or self._decompressor.decompressobj()
                self._frame = frame
                try:
                    decompressed = frame.decompress(rest)
                except zstandard.ZstdError as error:
                    raise DecompressionError(
                        f"holds damaged zstd data: {_error_message(error)}"
                    ) from None
                if decompressed:
                    yield decompressed
                if not frame.eof:
                    break
                rest, self._frame = frame.unused_data, None

    def end(self) -> None:
        if self._frame is not None:
            raise DecompressionError("ends in the middle of its zstd data")


_DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "": IdentityDecompressor,
    "identity": IdentityDecompressor,
    "gzip": GzipDecompressor,
    "x-gzip": GzipDecompressor,  # RFC 9110 section 8.4.1.3: an alias of gzip
    "zstd": ZstdDecompressor,
}


def _slices(chunk: bytes, size: int) -> Iterator[bytes]:
    return (chunk[start : start + size] for start in range(0, len(chunk), size))


def _error_message(error: Exception) -> str:
    """Return the message of a library error, without the library's name and the error number."""
    message = re.sub(r"^(Error -?\d+ |zstd decompress\w* error: )", "", str(error))
    return message[:1].lower() + message[1:]
