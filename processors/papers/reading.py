"""From an uploaded file to the text of a paper: plain text or PDF, checked, cleaned, and refused with the reason."""

import json
import re
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Final

from . import pdf

MAX_BYTES: Final = 10 * 1024 * 1024
MAX_CHARACTERS: Final = 2_000_000  # a book of 800 pages
FEWEST_CHARACTERS: Final = 200  # with less, a PDF is pictures of pages
MAX_TITLE: Final = 200
PDF_MEMORY: Final = 512 * 1024**2  # bytes, for the program that reads one
PDF_SECONDS: Final = 20
_PDFS: Final = BoundedSemaphore(2)  # at once, so that many uploads do not take so many times the memory


class Unreadable(Exception):
    """The file is no paper that can be analysed; says why, for the one who uploaded it."""


@dataclass(frozen=True)
class Text:
    """What a file says. `title` may be empty."""

    title: str
    text: str


def read(content: bytes) -> Text:
    """The text of a file, whatever its name claims. Raises Unreadable."""
    check_size(len(content))
    if b"%PDF-" in content[:1024]:
        title, text = _read_pdf(content)
        if len(text) < FEWEST_CHARACTERS:
            raise Unreadable(
                "The PDF has no text in it, probably scanned pages. Run it through text recognition first."
            )
    else:
        title, text = "", _clean(_decode(content))
    if not text:
        raise Unreadable("The file is empty.")
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"The text has {len(text):,} characters, more than {MAX_CHARACTERS:,}.")
    return Text((title or _first_line(text))[:MAX_TITLE], text)


def check_size(size: int) -> None:
    """Raises Unreadable for a file that is too large, before anybody reads it."""
    if size > MAX_BYTES:
        raise Unreadable(f"The file is larger than {MAX_BYTES // 1024**2} MB.")


def _decode(content: bytes) -> str:
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("The file is neither a PDF nor text in UTF-8.") from error
    if "\0" in text:
        raise Unreadable("The file is neither a PDF nor text in UTF-8.")
    return text


def _read_pdf(content: bytes) -> tuple[str, str]:
    limits = [str(limit) for limit in (PDF_MEMORY, PDF_SECONDS, MAX_CHARACTERS)]
    program = [sys.executable, "-I", pdf.__file__, *limits]
    with _PDFS:
        try:
            ended = subprocess.run(program, input=content, capture_output=True, timeout=PDF_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise Unreadable(f"The PDF takes longer than {PDF_SECONDS} s to read.") from error
    found = json.loads(ended.stdout) if ended.returncode == 0 else {}
    if "pages" not in found:
        why = "is protected by a password" if found.get("locked") else "is damaged and cannot be read"
        raise Unreadable(f"The PDF {why}.")
    return " ".join(_clean(found["title"]).split()), _clean("\n\n".join(found["pages"]))


def _clean(text: str) -> str:
    """Without what no reader sees; words that a line's end divides are whole again."""
    text = re.sub("[\ufffe\xad]\\s*", "", text)  # how pdfium tells of a hyphen at a line's end
    text = re.sub(r"\r\n?", "\n", text)
    text = "".join(sign for sign in text if sign in "\n\t" or unicodedata.category(sign)[0] != "C")
    text = re.sub(r"[ \t\xa0]+", " ", text)
    return re.sub(r" ?\n ?(?:\n ?)+", "\n\n", text).strip()


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0].strip()
