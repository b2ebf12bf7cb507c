"""The encoding of a file of text, found by all of it, a piece at a time."""

from __future__ import annotations

from codecs import BOM_UTF8, getincrementaldecoder
from typing import BinaryIO, NamedTuple

from noria.connectors.failures import Failure
from noria.messages import Message

_PIECE = 1024 * 1024
# A text in GB18030 looks like UTF-8 for a few characters at most; with so many bytes of characters beyond ASCII it is
# UTF-8, and what comes after them is damaged.
_SURE = 32


class Fault(NamedTuple):
    """The first place where a file is not in an encoding: its line, and how many bytes more than characters there are
    before it."""

    line: int
    wide: int


def encoding_of(name: str, file: BinaryIO) -> str:
    """UTF-8 where all of the file is, else GB18030; raises `Failure` where it is neither, or is UTF-8 that is damaged:
    as GB18030, that would often pass, with other characters."""
    fault = fault_in(file, "utf-8")
    if fault is None:
        return "utf-8-sig"
    marked = file.read(len(BOM_UTF8)) == BOM_UTF8
    if marked or fault.wide >= _SURE:
        raise misencoded(name, fault, "UTF-8")
    fault = fault_in(file, "gb18030")
    if fault is not None:
        raise misencoded(name, fault, "UTF-8, GB18030")
    return "gb18030"


def misencoded(name: str, fault: Fault, encoding: str) -> Failure:
    """What to say of a file that is not in an encoding."""
    return Failure("permanent", Message("files.misencoded", {"name": name, "line": fault.line, "encoding": encoding}))


def fault_in(file: BinaryIO, encoding: str) -> Fault | None:
    """Where a file is not in an encoding; None where all of it is. It is at its start afterwards."""
    decoder = getincrementaldecoder(encoding)()
    line, wide, piece = 1, 0, b"\n"
    file.seek(0)
    while piece:
        piece = file.read(_PIECE)
        try:
            text = decoder.decode(piece, not piece)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode(encoding, "replace")
            file.seek(0)
            return Fault(line + good.count("\n"), wide + error.start - len(good))
        line += text.count("\n")
        wide += len(piece) - len(text)
    file.seek(0)
    return None
