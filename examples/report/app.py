"""Sales reports: answers health checks, and summarises a day's sales by region and product."""

import json
import logging
import os

import boto3
import pandas as pd

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

BUCKET = os.environ.get("REPORT_BUCKET", "sales-reports")

_s3_client = None


def get_s3_client():
    """The S3 client, made once per execution environment."""
    global _s3_client
    if _s3_client is None:
        _s3_client = boto3.client("s3")
    return _s3_client


def respond(status, body):
    return {"statusCode": status, "body": json.dumps(body)}


def summarise(rows):
    """Revenue by region, the best-selling products and the trend over the days."""
    sales = pd.DataFrame(rows)
    sales["date"] = pd.to_datetime(sales["date"])
    sales["units"] = sales["units"].fillna(0).astype(int)
    sales["unit_price"] = sales["unit_price"].fillna(0.0)
    sales["revenue"] = sales["units"] * sales["unit_price"]

    regions = sales.groupby("region")["revenue"].agg(["sum", "mean", "count"]).round(2)
    products = sales.groupby("product")["units"].sum().sort_values(ascending=False, kind="stable")
    daily = sales.set_index("date")["revenue"].resample("D").sum().round(2)
    return {
        "regions": regions.reset_index().to_dict(orient="records"),
        "products": {name: int(units) for name, units in products.items()},
        "daily": {day.strftime("%Y-%m-%d"): float(revenue) for day, revenue in daily.items()},
        "revenue": round(float(sales["revenue"].sum()), 2),
    }


def store(name, summary):
    """Keeps the summary for the dashboard."""
    key = f"reports/{name}.json"
    get_s3_client().put_object(
        Bucket=BUCKET, Key=key, Body=json.dumps(summary).encode(), ContentType="application/json"
    )
    return key


def handler(event, context):
    action = event.get("action", "health")
    if action == "health":
        return respond(200, {"status": "ok"})
    if action == "process_data":
        rows = event.get("rows", [])
        logger.info("processing %d rows", len(rows))
        summary = summarise(rows)
        if event.get("store"):
            summary["stored"] = store(event["report"], summary)
        return respond(200, summary)
    return respond(400, {"error": f"unknown action: {action}"})
