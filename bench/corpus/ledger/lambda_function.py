"""A small ledger: books what the event holds, and answers with balances or a statement."""

from datetime import date
from decimal import Decimal, InvalidOperation

from sqlalchemy.exc import IntegrityError, NoResultFound, SQLAlchemyError

from container import Container, container as default_container


def book_all(ledger, bookings, today):
    for booking in bookings:
        booked = date.fromisoformat(booking["date"]) if "date" in booking else today
        amounts = {code: Decimal(amount) for code, amount in booking["amounts"].items()}
        ledger.book(booked, booking["text"], amounts)


def lambda_handler(event, context, container: Container = default_container):
    with container.ledger() as ledger:
        try:
            book_all(ledger, event.get("bookings", []), container.clock.today())
        except IntegrityError as error:
            return {"error": "refused", "constraint": str(error.orig)}
        except NoResultFound:
            return {"error": "no such account"}
        except (SQLAlchemyError, InvalidOperation) as error:
            return {"error": type(error).__name__}
        if "statement" in event:
            return {"statement": ledger.statement(event["statement"].upper())}
        balances = {code: {"kind": kind.value, "amount": f"{amount:.2f}"} for code, kind, amount in ledger.balances()}
        return {"balances": balances}
