"""A function that answers its event, or by its path one of many kinds of results."""

import collections
import decimal
import logging

Point = collections.namedtuple("Point", "x y")
RESULTS = {
    "/none": None,
    "/text": "plain é",
    "/number": 1.5,
    "/list": [1, "é", None],
    "/bytes": b'{"statusCode": 202, "body": "from bytes"}',
    "/bytes/broken": b"\xff",
    "/bytes/within": {"statusCode": 200, "body": b"bytes"},
    "/decimal": {"a": decimal.Decimal("1.10"), "b": [decimal.Decimal("1E+3"), decimal.Decimal(7)]},
    "/nan": {"a": float("nan")},
    "/decimal/nan": [decimal.Decimal("NaN")],
    "/tuple": {"p": Point(1, Point(2, "é"))},
    "/keys": {1: "a", None: "b", True: "c", 1.5: "d"},
    "/set": {"a": {1}},
    "/full": {
        "statusCode": 201,
        "headers": {"Content-Type": "text/html", "X-Own": "v", "Content-Length": "99", "X-Number": 5, "x-flag": True},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": "<p>é",
    },
    "/base64": {"statusCode": 200, "headers": {"content-type": "image/png"}, "body": "/wAB", "isBase64Encoded": True},
    "/base64/broken": {"statusCode": 200, "body": "/w", "isBase64Encoded": True},
    "/base64/loose": {"statusCode": 200, "body": "/x==", "isBase64Encoded": True},
    "/base64/not": {"statusCode": 200, "body": "/wAB", "isBase64Encoded": "true"},
    "/status/text": {"statusCode": "404", "body": {"a": [1, "é"]}},
    "/status/empty": {"statusCode": 204},
    "/status/unchanged": {"statusCode": 304, "headers": {"ETag": "x"}},
    "/status/low": {"statusCode": 150},
    "/status/high": {"statusCode": 1000},
    "/status/real": {"statusCode": 200.0},
    "/status/null": {"statusCode": None, "body": "x"},
    "/header/name": {"statusCode": 200, "headers": {"a b": "c"}},
    "/header/value": {"statusCode": 200, "headers": {"a": "b\nc"}},
    "/header/letter": {"statusCode": 200, "headers": {"a": "é"}},
    "/header/tab": {"statusCode": 200, "headers": {"a": "b\tc", "x": "d\x7f"}},
    "/header/half": {"statusCode": 200, "headers": {"a": "\ud800"}},
    "/body/half": {"statusCode": 200, "body": "\udc00"},
    "/body/pair": {"statusCode": 200, "body": "\U0001f600"},
    "/header/list": {"statusCode": 200, "headers": ["a"], "cookies": "b=1", "body": "x"},
    "/cookie/number": {"statusCode": 200, "cookies": [1]},
}


def handler(event, context):
    path = event["rawPath"]
    if path == "/fail":
        logging.getLogger().warning("about to fail")
        raise ValueError("no")
    if path in RESULTS:
        return RESULTS[path]
    return event
