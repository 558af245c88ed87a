"""What the use cases need of a store, and the one store there is."""

from abc import ABC, abstractmethod
from datetime import date
from decimal import Decimal
from typing import Iterable, Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from model import Account, Entry, Kind


class Clock(Protocol):
    def today(self) -> date: ...


class Ledger(ABC):
    @abstractmethod
    def account(self, code: str) -> Account: ...

    @abstractmethod
    def book(self, booked: date, text: str, amounts: dict[str, Decimal]) -> None: ...

    @abstractmethod
    def balances(self) -> Iterable[tuple[str, Kind, Decimal]]: ...


class SqlLedger(Ledger):
    def __init__(self, session: Session):
        self.session = session

    def account(self, code: str) -> Account:
        return self.session.execute(sa.select(Account).filter_by(code=code.upper())).scalar_one()

    def book(self, booked: date, text: str, amounts: dict[str, Decimal]) -> None:
        if sum(amounts.values()) != 0:
            raise ValueError("debit and credit differ")
        for code, amount in amounts.items():
            self.session.add(Entry(account=self.account(code), booked=booked, text=text, amount=amount))
        self.session.flush()

    def balances(self) -> Iterable[tuple[str, Kind, Decimal]]:
        total = sa.func.coalesce(sa.func.sum(Entry.amount), 0)
        query = sa.select(Account.code, Account.kind, total).outerjoin(Entry).group_by(Account.id)
        query = query.order_by(Account.code)
        return [(code, kind, Decimal(amount)) for code, kind, amount in self.session.execute(query)]

    def statement(self, code: str) -> list[dict]:
        running = sa.func.sum(Entry.amount).over(order_by=(Entry.booked, Entry.id)).label("running")
        query = sa.select(Entry.booked, Entry.text, Entry.amount, running).join(Account).where(Account.code == code)
        return [
            {"booked": row.booked.isoformat(), "text": row.text, "amount": str(row.amount), "running": str(row.running)}
            for row in self.session.execute(query)
        ]
