"""A program that takes the text out of one PDF, in a process of its own that may take so much memory and time.

Whoever uploads a PDF decides what happens in the library that reads it: it may crash, unpack a few bytes to gigabytes,
or never come to an end. Run by `reading` as `pdf.py <bytes of memory> <seconds> <characters>`, with the file on its
standard input; writes JSON: the title and the pages, or why there are none.
"""

import json
import resource
import sys
from contextlib import suppress
from typing import Any


def text_of(content: bytes, enough: int) -> dict[str, Any]:
    """Title and pages; the last ones are left out once there are more characters than `enough`."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(content)
        pages, length = [], 0
        for page in document:
            text = page.get_textpage()
            pages.append(text.get_text_range())
            text.close()
            page.close()
            length += len(pages[-1])
            if length > enough:
                break
        return {"title": document.get_metadata_value("Title"), "pages": pages}
    except pypdfium2.PdfiumError as error:
        return {"locked": "password" in str(error).lower()}


def limit(memory: int, seconds: int) -> None:
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # not every system has all of them
            resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    memory, seconds, enough = map(int, sys.argv[1:])
    limit(memory, seconds)
    json.dump(text_of(sys.stdin.buffer.read(), enough), sys.stdout)
