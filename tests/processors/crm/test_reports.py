"""Reports: their figures are those of SQL, and both files show them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree.ElementTree import Element
from zipfile import ZipFile

import pypdfium2
import pytest
from defusedxml import ElementTree  # type: ignore[import-untyped]
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from jobs.models import Job
from jobs.processor import enqueue
from jobs.testing import perform
from processors.crm.models import Invoice, Payment, Report, ReportFile, SentMail, Suppression
from tests.processors.crm.rows import customer, opportunity, promotion

pytestmark = pytest.mark.django_db

MARCH = {"from": "2026-03-01", "to": "2026-03-31"}
YEAR = {"from": "2026-01-01", "to": "2026-12-31"}
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def at(day: int, hour: int = 12, month: int = 3) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


@pytest.fixture
def rows() -> None:
    """Something on many days of March, something in February that does not count."""
    owners = [
        customer(f"c{n}", name=name, tier=tier)
        for n, (name, tier) in enumerate([("Zoë & Söhne", "vip"), ("=1+1", "premium"), ("Łukasz <b>", "standard")])
    ]
    days = [at(1, 0), at(31, 23), at(14), at(14, 13), at(28, month=2)]
    for n, day in enumerate(days * 3):
        currency, amount = [("usd", 12_345), ("jpy", 5000)][n % 2]
        owner = owners[n % 3]
        key = str(n)
        Invoice.objects.create(
            id=key, number=key, customer=owner, amount=amount + n, currency=currency, status="paid", paid_at=day
        )
        opportunity(f"w{n}", owner, 100 + n, status="won" if n % 3 else "lost", closed_at=day, offered_at=day, offer=90)
        mail(key, day, "sent" if n % 4 else "refused")
        Suppression.objects.create(address=f"{n}@example.com", reason="unsubscribed")
        Suppression.objects.filter(pk=f"{n}@example.com").update(at=day)
    Payment.objects.create(
        invoice_id="0", key="f", amount=1, currency="usd", status="failed", error_code="card_declined", updated_at=at(3)
    )


def mail(key: str, when: datetime, status: str) -> None:
    offered = promotion(f"p{int(key) % 2}", name=f"Promotion {int(key) % 2}") if int(key) < 2 else None
    SentMail.objects.create(
        key=key,
        kind="promotion",
        promotion=offered or promotion_of(key),
        status=status,
        address="a@b.example",
        message_id=key,
        job=uuid4(),
        run=1,
        updated_at=when,
    )


def promotion_of(key: str) -> Any:
    from processors.crm.models import Promotion

    return Promotion.objects.get(pk=f"p{int(key) % 2}")


def made(kind: str, **payload: Any) -> Job:
    job = perform(enqueue("generate_report", {"kind": kind, **MARCH, **payload}))
    assert job.status == "completed", job.failures.last()
    return job


def file_of(job: Job, format_: str) -> bytes:
    with ReportFile.objects.get(report__job=job.id, format=format_).file.open("rb") as file:
        return bytes(file.read())


def sheets(book: bytes) -> dict[str, list[list[Any]]]:
    """Each sheet's cells by row: numbers as decimals, text as text, an empty cell as None."""
    with ZipFile(BytesIO(book)) as parts:
        strings = [
            "".join(t.text or "" for t in item.iter(f"{SHEET}t"))
            for item in ElementTree.fromstring(parts.read("xl/sharedStrings.xml"))
        ]
        names = [s.attrib["name"] for s in ElementTree.fromstring(parts.read("xl/workbook.xml")).iter(f"{SHEET}sheet")]
        return {
            name: list(_lines(ElementTree.fromstring(parts.read(f"xl/worksheets/sheet{n}.xml")), strings))
            for n, name in enumerate(names, start=1)
        }


def _lines(sheet: Element, strings: list[str]) -> Iterator[list[Any]]:
    for row in sheet.iter(f"{SHEET}row"):
        cells: list[Any] = []
        for cell in row:
            value = cell.find(f"{SHEET}v")
            text = None if value is None else value.text or ""
            if text is not None and cell.get("t") == "s":
                cells.append(strings[int(text)])
            else:
                cells.append(None if text is None else Decimal(text))
        yield cells


def text_of(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return "\n".join(page.get_textpage().get_text_range() for page in document)


def sql(query: str) -> list[Any]:
    """What the database says; `%s` is March."""
    with connection.cursor() as cursor:
        cursor.execute(query.replace("%s", "%(march)s::tstzrange"), {"march": "[2026-03-01Z,2026-04-01Z)"})
        return list(cursor.fetchall())


def total_of(sheet: list[list[Any]]) -> list[Any]:
    assert sheet[-1][0] == "Total"
    return sheet[-1][1:]


def test_revenue_is_what_sql_says(rows: None) -> None:
    book = sheets(file_of(made("revenue"), "xlsx"))
    sums = dict(sql("SELECT currency, sum(amount) FROM crm_invoice WHERE paid_at <@ %s GROUP BY 1"))
    ((count,),) = sql("SELECT count(*) FROM crm_invoice WHERE paid_at <@ %s")
    assert book["By day"][0] == ["Day", "Invoices", "Revenue JPY", "Revenue USD"]
    assert total_of(book["By day"]) == [count, sums["jpy"], sums["usd"] / 100]
    assert total_of(book["By tier"]) == [count, sums["jpy"], sums["usd"] / 100]
    assert len(book["By day"]) == 31 + 2
    best = sql(
        "SELECT c.name, count(*), sum(i.amount) FROM crm_invoice i JOIN crm_customer c ON c.id = i.customer_id "
        "WHERE i.currency = 'usd' AND i.paid_at <@ %s GROUP BY c.id ORDER BY 3 DESC"
    )
    assert [(line[0], line[2], line[3] * 100) for line in book["Best customers USD"][1:]] == best
    assert book["Failed payments"][1:] == [["card_declined", 1], ["Total", 1]]


def test_opportunities_are_what_sql_says(rows: None) -> None:
    book = sheets(file_of(made("opportunities"), "xlsx"))
    ((won, value),) = sql("SELECT count(*), sum(offer) FROM crm_opportunity WHERE status = 'won' AND closed_at <@ %s")
    ((lost,),) = sql("SELECT count(*) FROM crm_opportunity WHERE status = 'lost' AND closed_at <@ %s")
    ((offers,),) = sql("SELECT count(*) FROM crm_opportunity WHERE offered_at <@ %s")
    for sheet in ("By day", "By tier"):
        assert total_of(book[sheet])[:5] == [0, offers, won, lost, value]
    figures = {line[0]: line[1] for line in book["Summary"] if len(line) == 2}
    assert round(figures["Win rate"], 6) == round(Decimal(won * 100) / (won + lost), 6)


def test_promotions_are_what_sql_says(rows: None) -> None:
    book = sheets(file_of(made("promotions"), "xlsx"))
    counts = dict(sql("SELECT status, count(*) FROM crm_sentmail WHERE updated_at <@ %s GROUP BY 1"))
    ((stopped,),) = sql("SELECT count(*) FROM crm_suppression WHERE at <@ %s")
    assert total_of(book["By day"]) == [counts["sent"], counts["refused"], 0, 0, stopped]
    by_promotion = sql(
        "SELECT p.name, count(*) FILTER (WHERE m.status = 'sent') FROM crm_sentmail m "
        "JOIN crm_promotion p ON p.id = m.promotion_id WHERE m.updated_at <@ %s GROUP BY p.id ORDER BY 1"
    )
    assert [tuple(line[:2]) for line in book["By promotion"][1:-1]] == by_promotion


@pytest.mark.parametrize("kind", list(Report.Kind))
def test_both_files_have_the_same_figures_and_charts(rows: None, kind: str) -> None:
    job = made(kind)
    book, pdf = file_of(job, "xlsx"), file_of(job, "pdf")
    words = text_of(pdf)
    for name, lines in sheets(book).items():
        if name != "Summary":
            assert name in words
            shown = [f"{cell:,}" for cell in lines[-1] if isinstance(cell, Decimal) and cell == int(cell)]
            assert [number for number in shown if number not in words] == []
    with ZipFile(BytesIO(book)) as parts:
        assert len([name for name in parts.namelist() if name.startswith("xl/charts/chart")]) >= 2
    with pypdfium2.PdfDocument(pdf) as document:
        assert len(document) >= 2


def test_names_are_shown_as_they_are(rows: None) -> None:
    job = made("revenue")
    names = {line[0] for line in sheets(file_of(job, "xlsx"))["Best customers USD"]}
    assert {"Zoë & Söhne", "=1+1", "Łukasz <b>"} <= names
    assert all(name in text_of(file_of(job, "pdf")) for name in ("Zoë & Söhne", "=1+1", "ukasz <b>"))


def test_a_long_period_is_shown_by_month(rows: None) -> None:
    book = sheets(file_of(made("revenue", **YEAR), "xlsx"))
    assert len(book["By month"]) == 12 + 2
    assert total_of(book["By month"])[0] == 15


@pytest.mark.parametrize("kind", list(Report.Kind))
def test_a_period_in_which_nothing_happened_has_a_report_too(kind: str) -> None:
    job = made(kind)
    assert "2026-03-01 to 2026-03-31" in text_of(file_of(job, "pdf"))
    assert all(
        set(total_of(sheet)) <= {0, None} for name, sheet in sheets(file_of(job, "xlsx")).items() if "By d" in name
    )


def test_without_dates_it_is_the_month_before() -> None:
    perform(enqueue("generate_report", {"kind": "revenue", "formats": ["xlsx"]}))
    report = Report.objects.get()
    first = timezone.now().date().replace(day=1)
    assert report.starts_on.day == 1
    assert (first - report.ends_on).days == 1
    assert report.starts_on.month == report.ends_on.month


def test_every_format_may_be_asked_for() -> None:
    assert enqueue("generate_report", {"kind": "revenue", "formats": list(ReportFile.Format)}).created


def test_a_second_run_puts_its_files_in_the_place_of_the_first(media: Path) -> None:
    queued = enqueue("generate_report", {"kind": "revenue", **MARCH})
    left = media / "crm" / "reports"
    left.mkdir(parents=True)
    (left / f"{queued.id}.pdf").write_bytes(b"half of a file")
    job = perform(queued)
    assert {path.name for path in left.iterdir()} == {f"{job.id}.pdf", f"{job.id}.xlsx"}
    assert file_of(job, "pdf").startswith(b"%PDF")


@pytest.mark.parametrize(
    "payload",
    [
        {"kind": "weather"},
        {"from": "2026-03-01"},
        {"from": "2026-03-02", "to": "2026-03-01"},
        {"from": "2000-01-01", "to": "2026-03-01"},
        {"formats": []},
        {"formats": ["docx"]},
    ],
)
def test_payloads_are_checked(payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="generate_report"):
        enqueue("generate_report", {"kind": "revenue", **payload})
