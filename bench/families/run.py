#!/usr/bin/env python3
"""Builds the function families, each on events that use its library, and sets them against what is promised.

    python3 bench/families/run.py [--runs N] [--only s3,api] [--keep DIR]
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import functions  # noqa: E402

# No cold start of any event may be above this.
COLD_LIMIT = 1.02

# Family -> event -> limit of its cold start; None stands for every event.
LIMITS = {
    "s3": {None: 0.80},
    "api": {None: 0.95},
    "predict": {None: 0.72},
    "thumbnail": {None: 0.95},
    "scrape": {None: 0.90},
    "report": {"health": 0.15},
    "report_s3": {"health": 0.20},
}

# With all its files and bytecode this one is over the 262 MB that Lambda takes.
TRIMMED = {"predict"}

if __name__ == "__main__":
    functions.main(HERE, __doc__.splitlines()[0], LIMITS, COLD_LIMIT, list(LIMITS), TRIMMED)
