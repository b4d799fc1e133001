"""Seals of Parquet files: a SHA-256 in the file's own metadata, so that one byte changed anywhere is found.

The checksum is that of the whole file with its own 64 digits read as zeros.
"""

import hashlib
import re
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

BLANK = b"0" * 64
KEY = "atb.checksum"
_CHECKSUM = re.compile(rb"atb\.checksum[^0-9a-f]{1,8}?([0-9a-f]{64})", re.DOTALL)


def sealed(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """Return a table as the bytes of a Parquet file that carries these pairs and its checksum; equal arguments give equal bytes."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd", store_schema=False, write_statistics=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({**metadata, KEY: BLANK.decode()})
    return seal(bytes(sink.getvalue()))


def seal(content: bytes) -> bytes:
    """Write the checksum into a file that holds 64 zeros in its place."""
    at = checksum_at(content)
    assert content[at : at + 64] == BLANK, "the writer put the checksum's place elsewhere"
    return content[:at] + hashlib.sha256(content).hexdigest().encode() + content[at + 64 :]


def unbroken(content: bytes) -> bool | None:
    """Tell whether a file is as it was sealed; None if it has no seal."""
    at = checksum_at(content)
    if at < 0:
        return None
    blanked = content[:at] + BLANK + content[at + 64 :]
    return hashlib.sha256(blanked).hexdigest().encode() == content[at : at + 64]


def checksum_at(content: bytes) -> int:
    """Return where the checksum's digits begin: in the footer, so near the end; -1 if there are none."""
    start = content.rfind(KEY.encode())
    match = _CHECKSUM.match(content, start) if start >= 0 else None
    return match.start(1) if match else -1
