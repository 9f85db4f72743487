"""Files that appear whole or not at all, and other people's text, which is shown and draws nothing."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path


def write_whole(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder that is there; each gets its name only when all of them are on the disk."""
    unfinished = {name: unfinished_name(folder / name) for name in files}
    try:
        for name, content in files.items():
            unfinished[name].write_bytes(content)
        for name in files:
            os.replace(unfinished[name], folder / name)
    finally:
        for path in unfinished.values():
            path.unlink(missing_ok=True)


def unfinished_name(path: Path) -> Path:
    """What a file is called while it is being written."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")  # of this writer alone


def path_text(path: Path) -> str:
    """A path as text that can be written into a file, whatever the locale made of its bytes."""
    return os.fsencode(path).decode(errors="replace")


def visible(text: str, most: int = 500) -> str:
    """Somebody else's text in one line that draws nothing: what can not be printed as an escape sequence."""
    text = str.__str__(text)  # of a subclass, the text itself
    text = text if len(text) <= most else text[:most] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
