"""Puts the parts together: what is made once, and what for each event."""

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Callable, Iterator

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from model import Account, Base, Kind
from repository import Clock, SqlLedger


class FixedClock:
    def __init__(self, day: date):
        self._day = day

    def today(self) -> date:
        return self._day


def memory_engine() -> Engine:
    return create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


@dataclass
class Container:
    clock: Clock
    make_engine: Callable[[], Engine] = memory_engine
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = self.make_engine()
        Base.metadata.create_all(self.engine)
        with Session(self.engine) as session, session.begin():
            session.add_all([
                Account(code="bank", kind=Kind.asset), Account(code="loan", kind=Kind.liability),
                Account(code="sales", kind=Kind.income),
            ])

    @contextmanager
    def ledger(self) -> Iterator[SqlLedger]:
        with self.engine.connect() as connection:
            outer = connection.begin()
            with Session(bind=connection, join_transaction_mode="create_savepoint") as session:
                yield SqlLedger(session)
            outer.rollback()


container = Container(clock=FixedClock(date.fromisoformat(os.environ.get("TODAY", "2026-03-31"))))
