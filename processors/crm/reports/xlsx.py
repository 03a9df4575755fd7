"""A report as a workbook: the figures on the first sheet, then a sheet for each table with its chart beside it.

Every number is a number, totals are formulas, and text is text whatever it begins with.
"""

from io import BytesIO
from typing import Any, Final

import xlsxwriter

from .shapes import Chart, Column, Content, Figure, Table, Unit, Value

HEADING: Final = {"bold": True, "bottom": 1, "text_wrap": True}
TOTAL: Final = {"bold": True, "top": 1}
FORMATS: Final = {Unit.DAY: "yyyy-mm-dd", Unit.MONTH: "yyyy-mm", Unit.COUNT: "#,##0", Unit.PERCENT: '0.0" %"'}
CHART_SIZE: Final = {"width": 720, "height": 380}  # pixels


def render(content: Content) -> bytes:
    """The file."""
    file = BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        book.set_properties({"title": f"{content.title}, {content.period}"})
        _summary(book, content)
        for table in content.tables:
            _sheet(book, table)
    return file.getvalue()


def _summary(book: Any, content: Content) -> None:
    sheet = book.add_worksheet("Summary")
    sheet.set_column(0, 0, 28)
    sheet.set_column(1, 1, 16)
    sheet.write_string(0, 0, content.title, book.add_format({"bold": True, "font_size": 16}))
    sheet.write_string(1, 0, f"{content.period} (UTC)")
    for line, figure in enumerate(content.figures, start=3):
        sheet.write_string(line, 0, figure.title)
        _write(sheet, line, 1, figure.value, book.add_format(_looks(figure)))


def _sheet(book: Any, table: Table) -> None:
    sheet = book.add_worksheet(table.title)
    sheet.freeze_panes(1, 1)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)  # on paper: as wide as one
    heading, above_numbers = book.add_format(HEADING), book.add_format(HEADING | {"align": "right"})
    last = len(table.rows)  # the line of the last row: line 0 has the headings
    for place, column in enumerate(table.columns):
        is_text = column.unit is Unit.TEXT
        sheet.set_column(place, place, 28 if is_text else 14)
        sheet.write_string(0, place, column.title, heading if is_text else above_numbers)
        looks = book.add_format(_looks(column))
        for line, row in enumerate(table.rows, start=1):
            _write(sheet, line, place, row[place], looks)
    if table.total and table.rows:
        _totals(book, sheet, table)
    if table.chart and table.rows:
        sheet.insert_chart(1, len(table.columns) + 1, _chart(book, table, table.chart, last))


def _totals(book: Any, sheet: Any, table: Table) -> None:
    line = len(table.rows) + 1
    sheet.write_string(line, 0, "Total", book.add_format(TOTAL))
    for place, (column, total) in enumerate(zip(table.columns, table.sums(), strict=True)):
        if total is not None:
            letter = xlsxwriter.utility.xl_col_to_name(place)
            formula = f"=SUM({letter}2:{letter}{line})"
            sheet.write_formula(line, place, formula, book.add_format(TOTAL | _looks(column)), total)


def _chart(book: Any, table: Table, wanted: Chart, last: int) -> Any:
    chart = book.add_chart({"type": "column" if wanted.kind == "bars" else "line"})
    for place in wanted.columns:
        chart.add_series(
            {
                "name": [table.title, 0, place],
                "categories": [table.title, 1, 0, last, 0],
                "values": [table.title, 1, place, last, place],
            }
        )
    first = table.columns[0].unit
    chart.set_title({"name": table.title, "overlay": False, "name_font": {"size": 12}})
    chart.set_x_axis({"text_axis": True, "num_format": FORMATS.get(first, "General")})
    chart.set_y_axis(
        {"min": 0, "num_format": "#,##0", "major_gridlines": {"visible": True, "line": {"color": "#DDDDDD"}}}
    )
    chart.set_legend({"position": "bottom"})
    chart.set_size(CHART_SIZE)
    return chart


def _looks(of: Column | Figure) -> dict[str, str]:
    if of.unit is Unit.TEXT:
        return {}
    money = "#,##0" + ("." + "0" * of.digits if of.digits else "")
    return {"num_format": FORMATS.get(of.unit, money)}


def _write(sheet: Any, line: int, place: int, value: Value, looks: Any) -> None:
    match value:
        case None:
            sheet.write_blank(line, place, None, looks)
        case str():
            sheet.write_string(line, place, value, looks)
        case int():
            sheet.write_number(line, place, value, looks)
        case _:
            sheet.write(line, place, value, looks)  # a decimal or a date
