"""What people see of a running server, in a browser and in the document behind that."""

import http.client
import json
import urllib.parse

from checked import call, create

APP = "def handler(e, c):\n    if e.get('fail'):\n        raise ValueError('no')\n    return e\n"


def status(client, endpoint):
    create(client, "f", APP, Publish=True, Environment={"Variables": {"STAGE": "secret"}})
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    client.create_function_url_config(FunctionName="f", Qualifier="live", AuthType="AWS_IAM")
    call(client, "f", {}, LogType="Tail")
    failed = call(client, "f:live", {"fail": 1}, LogType="Tail")[2]
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    try:
        call(client, "f", {})
        raise AssertionError("there was room")
    except client.exceptions.TooManyRequestsException:
        pass
    code, headers, body = ask(endpoint, "/_glowplug/status")
    shown = json.loads(body)
    assert (code, headers["content-type"], shown["schema"]) == (200, "application/json", "glowplug.status/1"), shown
    (f,) = shown["functions"]
    assert f["invokes"] == {"total": 2, "cold": 2, "errors": 1, "throttles": 1, "provisioned": 0, "spillover": 0}, f
    assert f["provisioned_utilization"] is None, f
    assert (f["environments"]["busy"], f["versions"], f["reserved"]) == (0, [1], 0), f
    assert f["aliases"] == {"live": {"version": "1", "weights": {}}}, f
    assert f["urls"] == [{"qualifier": "live", "url": endpoint + "/lambda-url/f:live/", "signed": True}], f
    assert f["variables"] == ["STAGE"] and b"secret" not in body
    last, first = shown["last"]
    assert (last["request_id"], last["status"], last["version"]) == (failed["ResponseMetadata"]["RequestId"], "error", "1"), last
    assert (first["status"], first["version"]) == ("success", "$LATEST") and first["init_ms"] > 0 < first["duration_ms"], first
    code, headers, body = ask(endpoint, "/")
    assert (code, headers["content-type"]) == (200, "text/html; charset=utf-8") and b"glowplug serve" in body
    # Nobody else may show it in a frame, or read it.
    assert "frame-ancestors 'none'" in headers["content-security-policy"] and "access-control-allow-origin" not in headers
    # Nor may a page have a visitor's browser change something here, or call a function.
    for origin in ["https://evil.example", "null", endpoint.replace("127.0.0.1", "evil.example")]:
        invoke = "/2015-03-31/functions/f/invocations"
        assert ask(endpoint, invoke, method="POST", headers={"Origin": origin})[0] == 403, origin
    assert ask(endpoint, "/2015-03-31/functions", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert ask(endpoint, "/2015-03-31/functions", headers={"Sec-Fetch-Site": "none"})[0] == 200, "somebody at the address bar"
    for path in ["/", "/_glowplug/status"]:
        assert ask(endpoint, path, host="evil.example")[0] == 403
        assert ask(endpoint, path, method="POST")[0] == 404


def ask(endpoint, path, method="GET", host=None, headers=()):
    """Status, headers by their names in lower case, body."""
    there = urllib.parse.urlsplit(endpoint).netloc
    connection = http.client.HTTPConnection(there)
    connection.request(method, path, headers={"Host": host or there, **dict(headers)})
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
