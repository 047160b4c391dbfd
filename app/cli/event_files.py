"""Reading of events from a file or stdin, for the commands `replay` and `explain`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from select import select

from app.domain.text import escape_invisible
from app.ingest.decompress import CHUNK_BYTES, DecompressionError, decompress_auto
from app.ingest.events import ContentTooLarge, UnreadableBody
from app.ingest.split import RawEventBlock, split_stream
from app.settings import Settings

STDIN = "-"
# Maximum size of a JSON array, or of an object that spans several lines. Such a document needs about
# three times its size in memory.
MAX_DOCUMENT_BYTES = 256 << 20


@dataclass(slots=True)
class ByteCounts:
    """Bytes read from files, before and after decompression."""

    read: int = 0
    decompressed: int = 0


@dataclass(slots=True)
class EventFile:
    """A file with events as NDJSON, a JSON array or one JSON object. The name `-` means stdin.

    The file may be compressed with gzip or zstd. `problem` is set if the file could not be read completely or
    contains no events. It is a phrase such as "contains no events", which follows the file name in a message.
    `byte_counts` is updated while blocks are read.
    """

    name: str
    settings: Settings
    byte_counts: ByteCounts = field(default_factory=ByteCounts)
    problem: str | None = None

    @property
    def display_name(self) -> str:
        return "stdin" if self.name == STDIN else escape_invisible(self.name)

    def blocks(self) -> Iterator[RawEventBlock]:
        """Yield the events of the file in blocks.

        If the file cannot be read to its end, the iterator stops early. `problem` then describes the reason.
        If the file contains no events, the iterator yields nothing and `problem` says so.
        """
        try:
            # The file is unbuffered, so that data from a slow producer is available immediately.
            file = FileIO(0, closefd=False) if self.name == STDIN else FileIO(self.name)
        except OSError as error:
            self.problem = _describe_os_error(error)
            return
        with file:
            try:
                yield from split_stream(
                    self._decompressed_chunks(file),
                    max_document_bytes=max(MAX_DOCUMENT_BYTES, self.settings.max_body_bytes),
                    max_event_bytes=self.settings.max_event_bytes,
                )
            except UnreadableBody:
                self.problem = self.problem or "contains no events"
            except ContentTooLarge as error:
                self.problem = f"cannot be read: {error}"

    def _decompressed_chunks(self, file: FileIO) -> Iterator[bytes]:
        """Yield the decompressed contents until the end or a read error."""
        try:
            for part in decompress_auto(self._read_chunks(file)):
                self.byte_counts.decompressed += len(part)
                yield part
        except DecompressionError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = _describe_os_error(error)

    def _read_chunks(self, file: FileIO) -> Iterator[bytes]:
        """Yield available data in chunks of up to CHUNK_BYTES; wait only while no data is available."""
        handle = file.fileno()
        while chunk := os.read(handle, CHUNK_BYTES):
            chunks = [chunk]
            size = len(chunk)
            # One read from a pipe returns little data, and many small chunks are slow to process. Therefore
            # all available data is collected into one chunk of up to CHUNK_BYTES.
            while chunk and size < CHUNK_BYTES and select([handle], [], [], 0)[0]:
                chunk = os.read(handle, CHUNK_BYTES - size)
                chunks.append(chunk)
                size += len(chunk)
            self.byte_counts.read += size
            yield b"".join(chunks)
            if not chunk:
                return  # on a terminal, reading again would require a second Ctrl-D


def _describe_os_error(error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return "is a directory; name the files in it"
    return f"cannot be read: {error.strerror}"
