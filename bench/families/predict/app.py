"""Churn: the probability that a customer leaves, for one customer or for many."""

import json
import logging
import os
from typing import Any

import joblib
import numpy as np
from sklearn.pipeline import Pipeline

logger = logging.getLogger()
logger.setLevel(logging.INFO)

MODEL_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "model.joblib")
THRESHOLD = float(os.environ.get("CHURN_THRESHOLD", "0.5"))


def load_model(path: str) -> Pipeline:
    return joblib.load(path)


model = load_model(MODEL_PATH)


def to_table(customers: list[dict[str, Any]]) -> np.ndarray:
    table = np.empty((len(customers), 4), dtype=object)
    for row, customer in enumerate(customers):
        table[row] = [customer["months"], customer["calls"], customer["gigabytes"], customer.get("plan", "basic")]
    return table


def predict(customers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    probabilities = model.predict_proba(to_table(customers))[:, 1]
    return [
        {"id": customer["id"], "churn": round(float(value), 4), "call": bool(value > THRESHOLD)}
        for customer, value in zip(customers, probabilities)
    ]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    customers = event.get("customers") or [event["customer"]]
    predictions = predict(customers)
    logger.info("%d of %d customers are to be called", sum(p["call"] for p in predictions), len(predictions))
    return {"statusCode": 200, "body": json.dumps({"predictions": predictions})}
