"""Accounts, and the entries that move money between them."""

from __future__ import annotations

import enum
from datetime import date
from decimal import Decimal
from typing import List

from sqlalchemy import CheckConstraint, Enum, ForeignKey, Numeric, String, event
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, validates


class Kind(enum.Enum):
    asset = "asset"
    liability = "liability"
    income = "income"


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(8), unique=True)
    kind: Mapped[Kind] = mapped_column(Enum(Kind))
    entries: Mapped[List[Entry]] = relationship(back_populates="account", cascade="all, delete-orphan")

    @validates("code")
    def check_code(self, key: str, code: str) -> str:
        if not code.isalnum():
            raise ValueError(f"bad account code {code!r}")
        return code.upper()


class Entry(Base):
    __tablename__ = "entry"
    __table_args__ = (CheckConstraint("amount <> 0", name="not_zero"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    booked: Mapped[date]
    text: Mapped[str] = mapped_column(String(60))
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    account: Mapped[Account] = relationship(back_populates="entries")

    @hybrid_property
    def is_debit(self) -> bool:
        return self.amount > 0


@event.listens_for(Entry, "before_insert")
def tidy_text(mapper, connection, entry: Entry) -> None:
    entry.text = " ".join(entry.text.split())
