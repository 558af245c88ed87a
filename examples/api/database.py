"""The database: SQLite in the function's own /tmp, filled with the catalogue on the first start."""

import os
from decimal import Decimal

from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from models import Base, Product

DATABASE_URL = os.environ.get("DATABASE_URL", "sqlite:////tmp/shop.db")

CATALOGUE = [
    ("Desk lamp", Decimal("39.90"), 12),
    ("Standing desk", Decimal("249.00"), 3),
    ("Office chair", Decimal("119.50"), 7),
    ("Shelf", Decimal("79.00"), 0),
]

engine = create_engine(DATABASE_URL)
SessionLocal = sessionmaker(bind=engine, expire_on_commit=False)


def create_schema():
    Base.metadata.create_all(engine)
    with SessionLocal() as session:
        if session.scalar(select(Product).limit(1)) is None:
            session.add_all(Product(name=name, price=price, stock=stock) for name, price, stock in CATALOGUE)
            session.commit()


def get_session():
    session: Session = SessionLocal()
    try:
        yield session
    finally:
        session.close()
