"""Makes model.joblib from sample applications. Run it with the packages of requirements.txt installed."""

from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FEATURES = ["age", "income", "debt", "months_employed", "late_payments"]


def sample(count, random):
    """Invented applications with a plausible relation between the features and a default."""
    age = random.integers(19, 75, count)
    income = random.lognormal(10.4, 0.5, count)
    debt = random.lognormal(9.0, 1.0, count)
    months_employed = random.integers(0, 240, count)
    late_payments = random.poisson(0.8, count)
    risk = 1.4 * debt / income + 0.6 * late_payments - months_employed / 120 - (age - 19) / 80
    defaulted = risk + random.normal(0, 0.5, count) > 0.6
    return np.column_stack([age, income, debt, months_employed, late_payments]).astype(float), defaulted


def main():
    random = np.random.default_rng(20260301)
    features, defaulted = sample(4000, random)
    train_x, test_x, train_y, test_y = train_test_split(features, defaulted, random_state=0)
    model = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        RandomForestClassifier(n_estimators=40, max_depth=7, random_state=0),
    )
    model.fit(train_x, train_y)
    print(f"area under the curve: {roc_auc_score(test_y, model.predict_proba(test_x)[:, 1]):.3f}")
    joblib.dump({"features": FEATURES, "model": model}, Path(__file__).with_name("model.joblib"), compress=3)


if __name__ == "__main__":
    main()
