"""Looks for words wherever they may lie: in files, in every form that they may have there, and in tables."""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import asyncpg

from cli.embedded.postgres import SUPERUSER
from cli.stack.state import Stack, dsn_for

CHUNK_BYTES: Final = 16 * 1024 * 1024
OVERLAP_BYTES: Final = 4 * 1024
TABLES: Final = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""


def forms(text: str) -> set[bytes]:
    """The bytes that *text* may have become: UTF-8, as JSON in ASCII, UTF-16, GB 18030, hexadecimal, base64."""
    plain = text.encode()
    found = {plain, json.dumps(text)[1:-1].encode(), text.encode("utf-16-le"), text.encode("gb18030")}
    found |= {plain.hex().encode(), plain.hex().upper().encode()}
    # Where it begins within a group of three decides how base64 writes it; its ends depend on what is beside it.
    for before in range(3):
        coded = b64encode(bytes(before) + plain)
        start = (before * 8 + 5) // 6
        end = len(coded) - 4 if (before + len(plain)) % 3 else len(coded)
        if end - start >= 8:
            found |= {coded[start:end], coded[start:end].replace(b"+", b"-").replace(b"/", b"_")}
    return found


def found_below(folder: Path, texts: Iterable[str]) -> dict[str, set[str]]:
    """Which of *texts* stand, in whatever form, in which files below *folder*."""
    wanted = {text: forms(text) for text in texts}
    found: dict[str, set[str]] = {}
    for file in folder.rglob("*"):
        if not file.is_file() or file.is_symlink():
            continue
        for content in _pieces(file):
            for text, written in wanted.items():
                if any(form in content for form in written):
                    found.setdefault(text, set()).add(str(file.relative_to(folder)))
    return found


async def found_in_rows(stack: Stack, texts: Iterable[str]) -> dict[str, set[str]]:
    """Which of *texts* stand, in whatever form, in which tables of the database, whoever's they are."""
    wanted = {text: forms(text) for text in texts}
    found: dict[str, set[str]] = {}
    connection = await asyncpg.connect(dsn_for(stack.postgres_admin_dsn, SUPERUSER, stack.secret(SUPERUSER)))
    try:
        for table in [record[0] for record in await connection.fetch(TABLES)]:
            for row in await connection.fetch(f"SELECT t::text AS said FROM {table} AS t"):
                said = row["said"].encode()
                for text, written in wanted.items():
                    if any(form in said for form in written):
                        found.setdefault(text, set()).add(table)
    finally:
        await connection.close()
    return found


def _pieces(file: Path) -> Iterator[bytes]:
    """What is in a file, in pieces that overlap: nothing falls between two."""
    try:
        with file.open("rb") as content:
            tail = b""
            while piece := content.read(CHUNK_BYTES):
                yield tail + piece
                tail = piece[-OVERLAP_BYTES:]
    except FileNotFoundError:  # the servers go on meanwhile
        return
