"""Makes model.joblib from invented customers. Run it with the packages of requirements.txt installed."""

from pathlib import Path

import joblib
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

PLANS = ["basic", "family", "business"]


def sample(count: int, random: np.random.Generator):
    """Columns: months a customer, calls to support, gigabytes a month, plan."""
    months = random.integers(1, 120, count)
    calls = random.poisson(1.5, count)
    usage = random.lognormal(2.0, 0.8, count)
    plan = random.integers(0, len(PLANS), count)
    leaves = 0.5 * calls - months / 30 - 0.02 * usage + 0.4 * (plan == 0) + random.normal(0, 1, count) > 0
    table = np.empty((count, 4), dtype=object)
    table[:, 0], table[:, 1], table[:, 2] = months, calls, usage
    table[:, 3] = [PLANS[index] for index in plan]
    return table, leaves


def main() -> None:
    features, leaves = sample(2000, np.random.default_rng(20260314))
    columns = ColumnTransformer([
        ("numbers", StandardScaler(), [0, 1, 2]),
        ("plan", OneHotEncoder(categories=[PLANS], handle_unknown="ignore"), [3]),
    ])
    model = Pipeline([("columns", columns), ("classifier", LogisticRegression(C=0.7))])
    model.fit(features, leaves)
    print(f"accuracy on its own sample: {model.score(features, leaves):.3f}")
    joblib.dump(model, Path(__file__).with_name("model.joblib"), compress=3)


if __name__ == "__main__":
    main()
