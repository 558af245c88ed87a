from typing import Annotated, Literal, Union

from pydantic import BaseModel, Field, PositiveInt, computed_field, model_validator


class Card(BaseModel):
    method: Literal["card"]
    last_four: Annotated[str, Field(pattern=r"^\d{4}$")]


class Invoice(BaseModel):
    method: Literal["invoice"]
    vat_id: str


Payment = Annotated[Union[Card, Invoice], Field(discriminator="method")]


class Item(BaseModel):
    sku: str = Field(min_length=3)
    quantity: PositiveInt = 1
    price_cents: int = Field(ge=0)


class Order(BaseModel):
    order_id: str
    items: list[Item]
    payment: Payment
    coupon: str | None = None

    @computed_field
    @property
    def total_cents(self) -> int:
        total = sum(item.quantity * item.price_cents for item in self.items)
        return total * 9 // 10 if self.coupon == "SPRING" else total

    @model_validator(mode="after")
    def has_items(self) -> "Order":
        if not self.items:
            raise ValueError("an order needs items")
        return self
