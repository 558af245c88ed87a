"""Turns suppliers' workbooks into a feed for a market place, and back."""

import base64
import io
import os
import tempfile

import openpyxl
from lxml import etree
from openpyxl.styles import Font, PatternFill

from sheets import parse_feed, read_rows, to_feed, validate
from sheets.reader import BadSheet


def make_workbook(items):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Prices"
    sheet.append(["Article", "Name", "Price"])
    for cell in sheet[1]:
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", start_color="FFDDEEFF")
    for item in items:
        sheet.append([item["sku"], item["name"], float(item["price"])])
    sheet.append([None, "sum", f"=SUM(C2:C{sheet.max_row})"])
    return book


def export(text):
    """The feed as a workbook; what is answered is what can be read out of it again."""
    items = parse_feed(text)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "prices.xlsx")
        make_workbook(items).save(path)
        with open(path, "rb") as file:
            again = openpyxl.load_workbook(io.BytesIO(file.read()))
    sheet = again["Prices"]
    return {"dimensions": sheet.dimensions, "rows": [list(row) for row in sheet.values], "bold": sheet["A1"].font.b}


def handler(event, context):
    if "feed" in event:
        try:
            return export(event["feed"])
        except etree.XMLSyntaxError as error:
            return {"error": error.msg, "line": error.lineno}
    try:
        feed = to_feed(read_rows(event["workbook"]))
    except BadSheet as error:
        return {"error": str(error)}
    problems = validate(feed)
    if problems:
        return {"problems": problems}
    return {"feed": etree.tostring(feed, pretty_print=True).decode(), "items": len(feed)}
