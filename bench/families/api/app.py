"""A help desk: list tickets, look at one with its comments, open another."""

import os
from datetime import datetime
from typing import Annotated, Optional

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, status
from fastapi.middleware.cors import CORSMiddleware
from mangum import Mangum
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from schemas import Priority, TicketDetail, TicketIn, TicketOut
from tables import Ticket, create_schema, get_session

app = FastAPI(title="Help desk", version="1.4.0")
app.add_middleware(CORSMiddleware, allow_origins=["https://desk.example.com"], allow_methods=["GET", "POST"])
router = APIRouter(prefix="/tickets", tags=["tickets"])
create_schema()

Database = Annotated[Session, Depends(get_session)]
OPENED_AT = os.environ.get("OPENED_AT")


@router.get("", response_model=list[TicketOut])
def list_tickets(
    session: Database,
    priority: Optional[Priority] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
):
    query = select(Ticket).where(Ticket.open).order_by(Ticket.opened_at).limit(limit)
    if priority:
        query = query.where(Ticket.priority == priority)
    return session.scalars(query).all()


@router.get("/{ticket_id}", response_model=TicketDetail)
def read_ticket(ticket_id: int, session: Database):
    ticket = session.get(Ticket, ticket_id, options=[selectinload(Ticket.comments)])
    if ticket is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no such ticket")
    return ticket


@router.post("", response_model=TicketOut, status_code=status.HTTP_201_CREATED)
def open_ticket(ticket: TicketIn, session: Database):
    opened_at = datetime.fromisoformat(OPENED_AT) if OPENED_AT else datetime.now()
    row = Ticket(**ticket.model_dump(), opened_at=opened_at)
    session.add(row)
    session.commit()
    return row


app.include_router(router)
handler = Mangum(app, lifespan="off")
