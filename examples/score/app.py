"""Credit scores: the probability of default for one application or for a batch."""

import json
import logging
from pathlib import Path

import joblib
import numpy as np

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

bundle = joblib.load(Path(__file__).with_name("model.joblib"))
FEATURES = bundle["features"]
model = bundle["model"]


def to_matrix(applications):
    """One row per application; a feature that is missing is filled in by the model's imputer."""
    return np.array(
        [[application.get(name, np.nan) for name in FEATURES] for application in applications], dtype=float
    )


def grade(probability):
    for limit, name in ((0.1, "A"), (0.25, "B"), (0.5, "C")):
        if probability < limit:
            return name
    return "D"


def score(applications):
    probabilities = model.predict_proba(to_matrix(applications))[:, 1]
    return [
        {"id": application.get("id"), "default": round(float(p), 4), "grade": grade(p)}
        for application, p in zip(applications, probabilities)
    ]


def handler(event, context):
    applications = event.get("applications")
    if not applications:
        return {"statusCode": 400, "body": json.dumps({"error": "no applications"})}
    logger.info("scoring %d applications", len(applications))
    return {"statusCode": 200, "body": json.dumps({"scores": score(applications)})}
