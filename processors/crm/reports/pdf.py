"""A report as a PDF: the figures, then each table with its chart above it, on A4.

The font is `CRM_REPORT_FONT`, by its file; where it is not installed, the one that comes with reportlab, which has the
letters of western Europe only.
"""

from functools import cache
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

from django.conf import settings
from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.charts.legends import Legend
from reportlab.graphics.charts.linecharts import HorizontalLineChart
from reportlab.graphics.shapes import Drawing
from reportlab.lib.colors import HexColor, black
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from .shapes import Chart, Column, Content, Figure, Table, Unit, Value

FONT: Final = "report"
OTHERWISE: Final = "Vera.ttf"  # in reportlab's own folder
EDGE: Final = 18 * mm
WIDTH: Final = A4[0] - 2 * EDGE
CHART_HEIGHT: Final = 62 * mm
EMPTY: Final = "\N{EN DASH}"
SHORT: Final = 15  # rows of a table that is not split between pages
LABELS: Final = 12  # below a chart at most
COLOURS: Final = [HexColor(colour) for colour in ("#2563EB", "#F59E0B", "#059669", "#DC2626", "#7C3AED", "#0891B2")]
GREY: Final = HexColor("#555555")
RULE: Final = HexColor("#D4D4D4")


def render(content: Content) -> bytes:
    """The file."""
    _font()
    file = BytesIO()
    title = f"{content.title}, {content.period}"
    page = SimpleDocTemplate(
        file, pagesize=A4, leftMargin=EDGE, rightMargin=EDGE, topMargin=EDGE, bottomMargin=EDGE, title=title
    )
    story: list[Flowable] = [
        Paragraph(escape(content.title), _style(20)),
        Paragraph(escape(f"{content.period} (UTC)"), _style(10, colour=GREY)),
        Spacer(1, 6 * mm),
        _grid([[figure.title, _text(figure.value, figure)] for figure in content.figures], [Unit.TEXT, Unit.MONEY]),
    ]
    for table in content.tables:
        story += _section(table)

    def foot(canvas: Any, document: Any) -> None:
        canvas.setFont(FONT, 8)
        canvas.setFillColor(GREY)
        canvas.drawString(EDGE, EDGE / 2, title)
        canvas.drawRightString(A4[0] - EDGE, EDGE / 2, f"Page {document.page}")

    page.build(story, onFirstPage=foot, onLaterPages=foot)
    return file.getvalue()


@cache
def _font() -> None:
    try:
        pdfmetrics.registerFont(TTFont(FONT, settings.CRM_REPORT_FONT))
    except TTFError:
        pdfmetrics.registerFont(TTFont(FONT, OTHERWISE))


def _style(size: int, colour: Any = black, right: bool = False) -> ParagraphStyle:
    return ParagraphStyle(
        f"{size}", fontName=FONT, fontSize=size, leading=size * 1.3, textColor=colour, alignment=2 if right else 0
    )


def _section(table: Table) -> list[Flowable]:
    heading: list[Flowable] = [Spacer(1, 8 * mm), Paragraph(escape(table.title), _style(13)), Spacer(1, 2 * mm)]
    if not table.rows:
        return [KeepTogether([*heading, Paragraph("None.", _style(9, colour=GREY))])]
    if table.chart:
        heading.append(_chart(table, table.chart))
    rows = [[_text(value, column) for value, column in zip(row, table.columns, strict=True)] for row in table.rows]
    if table.total:
        sums = [
            _text(value, column) if value is not None else ""
            for value, column in zip(table.sums(), table.columns, strict=True)
        ]
        rows.append(["Total", *sums[1:]])
    grid = _grid([[c.title for c in table.columns], *rows], [c.unit for c in table.columns], table.total)
    if len(rows) <= SHORT:
        return [KeepTogether([*heading, grid])]
    return [KeepTogether(heading), grid]


def _grid(lines: list[list[str]], units: list[Unit], total: bool | None = None) -> Grid:
    """`total`: whether the last line is one; None: the lines have no headings either."""
    left, right = _style(8), _style(8, right=True)
    cells = [
        [
            Paragraph(escape(text), left if place == 0 or unit is Unit.TEXT else right)
            for place, (text, unit) in enumerate(zip(line, units, strict=True))
        ]
        for line in lines
    ]
    wide = [3 if unit is Unit.TEXT else 2 for unit in units]
    grid = Grid(cells, [WIDTH * part / sum(wide) for part in wide], repeatRows=0 if total is None else 1)
    rules: list[tuple[Any, ...]] = [("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    if total is not None:
        rules.append(("LINEBELOW", (0, 0), (-1, 0), 0.8, GREY))
    if total:
        rules.append(("LINEABOVE", (0, -1), (-1, -1), 0.8, GREY))
    grid.setStyle([*rules, ("TOPPADDING", (0, 0), (-1, -1), 1.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 2)])
    return grid


def _chart(table: Table, wanted: Chart) -> Drawing:
    drawing = Drawing(WIDTH, CHART_HEIGHT + 20 * mm)
    chart = VerticalBarChart() if wanted.kind == "bars" else HorizontalLineChart()
    chart.x, chart.y, chart.width, chart.height = 16 * mm, 18 * mm, WIDTH - 18 * mm, CHART_HEIGHT - 6 * mm
    chart.data = [[float(str(row[place] or 0)) for row in table.rows] for place in wanted.columns]
    every = -(-len(table.rows) // LABELS)
    names = [_text(row[0], table.columns[0]) for row in table.rows]
    chart.categoryAxis.categoryNames = [_short(name) if n % every == 0 else "" for n, name in enumerate(names)]
    labels = chart.categoryAxis.labels
    labels.fontName, labels.fontSize, labels.angle, labels.boxAnchor = FONT, 7, 25, "ne"
    chart.categoryAxis.visibleTicks = False
    axis = chart.valueAxis
    axis.valueMin, axis.visibleGrid, axis.gridStrokeColor = 0, True, RULE
    axis.labels.fontName, axis.labels.fontSize, axis.labelTextFormat = FONT, 7, "{:,.0f}".format
    axis.valueMax = max(map(max, chart.data)) * 1.08 or 1  # room above; without a maximum of its own 0 has no scale
    series = chart.bars if wanted.kind == "bars" else chart.lines
    for number in range(len(wanted.columns)):
        colour = COLOURS[number % len(COLOURS)]
        series[number].strokeColor = colour
        if wanted.kind == "bars":
            series[number].fillColor = colour
        else:
            series[number].strokeWidth = 1.5
    drawing.add(chart)
    drawing.add(_legend([table.columns[place].title for place in wanted.columns]))
    return drawing


def _legend(titles: list[str]) -> Legend:
    legend = Legend()
    legend.x, legend.y, legend.alignment, legend.columnMaximum = 16 * mm, CHART_HEIGHT + 17 * mm, "right", 1
    legend.fontName, legend.fontSize, legend.dx, legend.dy, legend.deltax = FONT, 8, 7, 7, 70
    legend.colorNamePairs = [(COLOURS[n % len(COLOURS)], title) for n, title in enumerate(titles)]
    return legend


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"


def _text(value: Value, of: Column | Figure) -> str:
    """As people read it: `1,250.00`, `33.3 %`, `2026-03`."""
    if value is None:
        return EMPTY
    match of.unit:
        case Unit.MONTH:
            return f"{value:%Y-%m}"
        case Unit.COUNT:
            return f"{value:,}"
        case Unit.MONEY:
            return f"{value:,.{of.digits}f}"
        case Unit.PERCENT:
            return f"{value:.1f} %"
        case _:
            return str(value)
