"""Reads price lists out of workbooks, whatever the order of their columns."""

import base64
import io
from datetime import date, datetime
from decimal import Decimal
from typing import Iterator, NamedTuple, Optional

from openpyxl import load_workbook
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

NAMES = {"article": "sku", "sku": "sku", "name": "name", "price": "price", "valid from": "valid_from"}


class Row(NamedTuple):
    sku: str
    name: str
    price: Decimal
    valid_from: Optional[date] = None


class BadSheet(ValueError):
    """A sheet without the columns that it must have."""


def columns(sheet: Worksheet) -> dict[str, int]:
    found = {}
    for cell in next(sheet.iter_rows(max_row=1)):
        name = NAMES.get(str(cell.value or "").strip().lower())
        if name:
            found[name] = cell.column
    missing = {"sku", "name", "price"} - found.keys()
    if missing:
        last = get_column_letter(sheet.max_column)
        raise BadSheet(f"{sheet.title}: no column {', '.join(sorted(missing))} in A to {last}")
    return found


def read_rows(data: str) -> Iterator[Row]:
    book = load_workbook(io.BytesIO(base64.b64decode(data)), data_only=True)
    for sheet in book.worksheets:
        places = columns(sheet)
        for cells in sheet.iter_rows(min_row=2, values_only=True):
            value = {name: cells[column - 1] for name, column in places.items()}
            if value["sku"] is None:
                continue
            since = value.get("valid_from")
            yield Row(
                str(value["sku"]), str(value["name"]), Decimal(str(value["price"])),
                since.date() if isinstance(since, datetime) else since,
            )
