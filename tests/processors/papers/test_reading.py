"""From files to the texts of papers."""

import io

import pytest
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from processors.papers import reading
from processors.papers.reading import Text, Unreadable, read

SENTENCE = "Honeybees that are given caffeine remember the scent of a flower for three days."


def pdf(lines: list[str], pages: int = 1, title: str = "", password: str = "") -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file, encrypt=StandardEncryption(password) if password else None)
    canvas.setTitle(title)
    for _ in range(pages):
        for number, line in enumerate(lines):
            canvas.drawString(40, 800 - number * 14, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def test_a_text_keeps_its_paragraphs_and_its_first_line_is_its_title() -> None:
    content = "Bees on caffeine\r\n\r\n\r\nThey  remember\tbetter.\nFor three days.".encode("utf-8-sig")
    assert read(content) == Text("Bees on caffeine", "Bees on caffeine\n\nThey remember better.\nFor three days.")


def test_a_text_may_have_any_language_and_wide_letters() -> None:
    assert read("Мёд und Bienenstöcke".encode("utf-16")).text == "Мёд und Bienenstöcke"


def test_what_no_reader_sees_is_left_out() -> None:
    assert read("co\xadworkers of a hive\x07 and\u200b bees".encode()).text == "coworkers of a hive and bees"


def test_a_pdf_is_read_page_by_page() -> None:
    found = read(pdf([SENTENCE] * 4, pages=2, title="Bees  on caffeine"))
    assert found.title == "Bees on caffeine"
    assert found.text.count(SENTENCE) == 8


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "neither a PDF nor text in UTF-8"),
        ("naïve".encode("latin-1"), "neither a PDF nor text in UTF-8"),
        (b"MZ\0\0", "neither a PDF nor text in UTF-8"),
        (b"\xff\xfea", "neither a PDF nor text in UTF-8"),
        (b"%PDF-1.7 and then nothing", "is damaged"),
        (pdf(["Page 1"]), "has no text in it"),
        (pdf([SENTENCE] * 4, password="sesame"), "is protected by a password"),
        (b"x" * (10 * 1024 * 1024 + 1), "is larger than 10 MB"),
        (b"word " * 400_001, "has 2,000,004 characters, more than 2,000,000"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_paper_is_refused_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(content)


def test_a_pdf_that_says_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_CHARACTERS", 500)
    with pytest.raises(Unreadable, match="more than 500"):
        read(pdf([SENTENCE] * 10, pages=50))


@pytest.mark.parametrize(
    ("limit", "most", "why"), [("PDF_MEMORY", 1, "is damaged"), ("PDF_SECONDS", 0, "takes longer than 0 s")]
)
def test_a_pdf_that_takes_more_than_it_may_is_refused(
    monkeypatch: pytest.MonkeyPatch, limit: str, most: int, why: str
) -> None:
    monkeypatch.setattr(reading, limit, most)
    with pytest.raises(Unreadable, match=why):
        read(pdf([SENTENCE] * 4))


def test_few_bytes_that_unpack_to_very_many_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    canvas = Canvas(file, pageCompression=1)
    canvas._code.append(" " * 150 * 1024**2)
    canvas.showPage()
    canvas.save()
    monkeypatch.setattr(reading, "PDF_MEMORY", 100 * 1024**2)
    with pytest.raises(Unreadable, match="cannot be read"):
        read(file.getvalue())
