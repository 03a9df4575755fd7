"""The documents say what is there: links lead somewhere, calls and settings exist."""

import re
from pathlib import Path

import pytest
from django.urls import resolve

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], key=str)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_to_files_that_exist(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    files = {link.partition("#")[0] for link in links if not link.startswith(("http:", "https:", "mailto:", "#"))}
    assert [file for file in sorted(files) if not (document.parent / file).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_into_a_document_find_their_heading(document: Path) -> None:
    wrong = []
    for file, heading in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", document.read_text()):
        target = (document.parent / file) if file else document
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
        anchors = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
        if heading not in anchors:
            wrong.append(f"{file}#{heading}")
    assert wrong == []


@pytest.mark.parametrize("document", ["docs/migrating.md", "docs/troubleshooting.md", "docs/api.md", "README.md"])
def test_calls_that_are_named_exist(document: str) -> None:
    calls = re.findall(r"`(?:GET|POST|PATCH|DELETE) (/api/[^\s`?]*)", (ROOT / document).read_text())
    for call in calls:
        if "/cron/" in call:
            continue  # a product line's own
        address = re.sub(r"\{[^}]*\}", "01890000-0000-7000-8000-000000000000", call)
        assert resolve(address).func.__name__ != "nothing_here", call
