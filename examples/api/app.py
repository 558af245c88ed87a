"""A small shop: list the products, look at one, order it."""

from decimal import Decimal

from fastapi import Depends, FastAPI, HTTPException
from mangum import Mangum
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import create_schema, get_session
from models import Order, Product

app = FastAPI(title="Shop")
create_schema()


class ProductOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    price: Decimal
    stock: int


class OrderIn(BaseModel):
    product_id: int
    quantity: int = Field(gt=0, le=100)


class OrderOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    product_id: int
    quantity: int
    total: Decimal


@app.get("/products", response_model=list[ProductOut])
def list_products(in_stock: bool = False, session: Session = Depends(get_session)):
    query = select(Product).order_by(Product.id)
    if in_stock:
        query = query.where(Product.stock > 0)
    return session.scalars(query).all()


@app.get("/products/{product_id}", response_model=ProductOut)
def read_product(product_id: int, session: Session = Depends(get_session)):
    product = session.get(Product, product_id)
    if product is None:
        raise HTTPException(status_code=404, detail="no such product")
    return product


@app.post("/orders", response_model=OrderOut, status_code=201)
def create_order(order: OrderIn, session: Session = Depends(get_session)):
    product = session.get(Product, order.product_id)
    if product is None:
        raise HTTPException(status_code=404, detail="no such product")
    if product.stock < order.quantity:
        raise HTTPException(status_code=409, detail="not enough in stock")
    product.stock -= order.quantity
    row = Order(product_id=product.id, quantity=order.quantity, total=product.price * order.quantity)
    session.add(row)
    session.commit()
    return row


handler = Mangum(app, lifespan="off")
