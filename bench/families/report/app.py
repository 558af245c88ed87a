"""Warehouse reports: answers health checks, and says what runs out within the week."""

import json
import logging
import os
from typing import Any

import boto3
import pandas as pd

logger = logging.getLogger()
logger.setLevel(logging.INFO)

BUCKET = os.environ.get("STOCK_BUCKET", "warehouse-stock")


def read_table(key: str) -> pd.DataFrame:
    """The stock table of a day, as the warehouse uploads it."""
    body = boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"]
    return pd.read_csv(body, parse_dates=["counted_at"])


def to_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    table["counted_at"] = pd.to_datetime(table["counted_at"])
    return table


def running_out(stock: pd.DataFrame, days: int = 7) -> pd.DataFrame:
    latest = stock.sort_values("counted_at").groupby("product", as_index=False).last()
    latest["days_left"] = (latest["units"] / latest["sold_per_day"]).round(1)
    return latest[latest["days_left"] < days].sort_values("days_left")


def summarise(stock: pd.DataFrame) -> dict[str, Any]:
    soon = running_out(stock)
    by_hall = stock.groupby("hall")["units"].agg(["sum", "max"])
    return {
        "running_out": json.loads(soon[["product", "units", "days_left"]].to_json(orient="records")),
        "halls": {hall: {"units": int(row["sum"]), "largest": int(row["max"])} for hall, row in by_hall.iterrows()},
    }


def respond(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "body": json.dumps(body)}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    action = event.get("action", "health")
    if action == "health":
        return respond(200, {"status": "ok", "bucket": BUCKET})
    if action == "report":
        stock = to_table(event["rows"]) if "rows" in event else read_table(event["key"])
        logger.info("%d counts", len(stock))
        return respond(200, summarise(stock))
    return respond(400, {"error": f"unknown action: {action}"})
