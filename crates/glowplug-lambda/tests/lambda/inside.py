"""Scenarios of what goes on inside environments: what functions reach, and other runtimes than Python's."""

import os

from checked import call, create

KNOCK = """
import os, urllib.error, urllib.request
def handler(event, context):
    found = []
    for path in event["files"]:
        try:
            found.append(sorted(os.listdir(path)))
        except OSError as error:
            found.append(error.errno)
    try:
        with urllib.request.urlopen(event["url"] + "/2015-03-31/functions", timeout=5) as answer:
            return ["reached", answer.status, found]
    except urllib.error.URLError as error:
        return ["refused", error.reason.errno, found]
"""


def kept_apart(client, endpoint):
    state = os.environ["STATE"]
    create(client, "f", KNOCK)
    create(client, "trusted", KNOCK, Environment={"Variables": {"AWS_ENDPOINT_URL_LAMBDA": endpoint}})
    event = {"url": endpoint, "files": [state, state + "/code"]}
    assert call(client, "f", event)[1] == ["refused", 111, [[], 2]]
    assert call(client, "trusted", event)[1] == ["reached", 200, [[], 2]]
    # Nobody else is kept away.
    assert len(client.list_functions()["Functions"]) == 2
