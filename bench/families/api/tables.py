"""Tickets and their comments, and the database that holds them."""

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Optional

from sqlalchemy import JSON, ForeignKey, String, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker


class Base(DeclarativeBase):
    pass


class Ticket(Base):
    __tablename__ = "tickets"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120))
    body: Mapped[str] = mapped_column(default="")
    priority: Mapped[str] = mapped_column(String(10), default="normal")
    open: Mapped[bool] = mapped_column(default=True)
    opened_at: Mapped[datetime]
    assignee: Mapped[Optional[str]] = mapped_column(String(40))
    labels: Mapped[list[str]] = mapped_column(JSON, default=list)

    comments: Mapped[list["Comment"]] = relationship(back_populates="ticket", order_by="Comment.id")


class Comment(Base):
    __tablename__ = "comments"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    author: Mapped[str] = mapped_column(String(40))
    text: Mapped[str]

    ticket: Mapped[Ticket] = relationship(back_populates="comments")


engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:////tmp/tickets.db"))
SessionLocal = sessionmaker(bind=engine, expire_on_commit=False)


def create_schema() -> None:
    Base.metadata.create_all(engine)
    with SessionLocal() as session:
        if session.scalar(select(func.count(Ticket.id))):
            return
        printer = Ticket(
            title="Printer on the second floor", priority="high", assignee="ada", labels=["office"],
            opened_at=datetime(2026, 3, 2, 8, 15),
        )
        printer.comments = [Comment(author="ada", text="Toner is ordered."), Comment(author="linus", text="Thanks!")]
        laptop = Ticket(title="New laptop", opened_at=datetime(2026, 3, 3, 14, 0), labels=["hr", "it"])
        session.add_all([printer, laptop])
        session.commit()


def get_session() -> Iterator[Session]:
    with SessionLocal() as session:
        yield session
