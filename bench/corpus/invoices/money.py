"""Amounts as decimals, and how they are written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import ClassVar

CENT = Decimal("0.01")
SYMBOLS = {"EUR": "€", "USD": "$", "SEK": "kr"}


def rounded(value: Decimal | float | int | str) -> Decimal:
    return Decimal(str(value)).quantize(CENT, ROUND_HALF_UP)


def money(value: Decimal | float, currency: str = "EUR") -> str:
    text = f"{rounded(value):,}"
    return f"{text} {SYMBOLS[currency]}" if currency in SYMBOLS else f"{text} {currency}"


@dataclass(frozen=True)
class Line:
    text: str
    quantity: int
    unit_price: Decimal
    rate: Decimal

    limit: ClassVar[int] = 1000

    @property
    def net(self) -> Decimal:
        return rounded(self.quantity * self.unit_price)


@dataclass
class Totals:
    net: Decimal = Decimal(0)
    vat: dict[Decimal, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    known: ClassVar[list[str]] = ["net", "vat"]

    def add(self, line: Line) -> Totals:
        self.net += line.net
        self.vat[line.rate] += rounded(line.net * line.rate)
        return self

    @property
    def gross(self) -> Decimal:
        return self.net + sum(self.vat.values())
