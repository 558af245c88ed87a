"""Cleans a row of samples and says what is in it."""

import logging
import warnings

import numpy as np

from analysis import fields, summarise
from filters import Filter

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)
np.seterr(divide="raise")


def handler(event, context):
    if event.get("help"):
        return {"filters": sorted(Filter.known), "fields": fields()}
    samples = np.asarray(event["samples"], dtype=float)
    for description in event.get("filters", []):
        samples = Filter.read(description)(samples)
        log.info("%s: %d samples", description["kind"], len(samples))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        summary = summarise(samples)
    answer = summary.as_json()
    if caught:
        answer["warnings"] = [str(warning.message) for warning in caught]
    return answer
