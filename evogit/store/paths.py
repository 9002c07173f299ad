"""Which paths may stand in a candidate's tree: one check for edits, and for trees that others wrote."""

from __future__ import annotations

import unicodedata

_MAX_BYTES = 4096
_MAX_NAME = 255
_IGNORED_BY_HFS = {
    *range(0x200C, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x206A, 0x2070),
    0xFEFF,
}


def refusal(path: bytes) -> str | None:
    """Return why this path may not be written to a disk, or None when it may.

    Refused are empty and dot parts, absolute paths, and every spelling of `.git` that some file system takes for it:
    other case, NTFS short names and trailing dots, and characters that HFS+ leaves out (what `git fsck` knows as
    hasDotgit). libgit2's own checks miss some of these.
    """
    if not path or len(path) > _MAX_BYTES:
        return f"a path has 1 to {_MAX_BYTES} bytes"
    if path.startswith(b"/"):
        return "it is absolute"
    if b"\0" in path:
        return "it holds control characters"
    for part in path.split(b"/"):
        if part in (b"", b".", b".."):
            return f"it has an empty or dot part {part.decode()!r}"
        if len(part) > _MAX_NAME:
            return f"a name is longer than {_MAX_NAME} bytes"
        if _is_dot_git(part):
            return "it names a .git folder"
    return None


def has_control(path: bytes) -> bool:
    """Return whether it holds control characters: a user's own file may, an edit does not make new ones."""
    return any(sign < 0x20 or sign == 0x7F for sign in path)


def _is_dot_git(part: bytes) -> bool:
    if not part.startswith((b".", b"g", b"G", b"\xe2", b"\xef")):
        return False
    text = unicodedata.normalize("NFC", part.decode("utf-8", "replace"))
    plain = "".join(sign for sign in text if ord(sign) not in _IGNORED_BY_HFS).lower()
    plain = plain.partition(":")[0].partition("\\")[0].rstrip(". ")
    return plain in (".git", "git~1")
