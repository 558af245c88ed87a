#!/usr/bin/env python3
"""Builds twelve functions over other packages, with held-out events: none may break, gains are as they are.

    python3 bench/corpus/run.py [--runs N] [--only tokens,routes] [--keep DIR]
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import functions  # noqa: E402

if __name__ == "__main__":
    functions.main(HERE, __doc__.splitlines()[0])
