"""Function URLs that ask for signatures, with botocore's own signers."""

import datetime
import json
import urllib.error
import urllib.parse
import urllib.request

import botocore.auth
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from checked import call, create

# Whom `support.rs` lets the account know.
USER = Credentials("AKIDUSER", "secret")
SOURCE = """
import os
def handler(event, context):
    if "keys" in event:
        return [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
    return event
"""


def signed_urls(client, endpoint):
    create(client, "f", SOURCE)
    url = client.create_function_url_config(FunctionName="f", AuthType="AWS_IAM")["FunctionUrl"]
    signed_headers(url)
    signed_queries(url)
    of_a_function = Credentials(*call(client, "f", {"keys": 1})[1])
    status, event = ask(signed(url, of_a_function))
    assert status == 200 and event["requestContext"]["accountId"] == "123456789012", event
    assert event["requestContext"]["authorizer"]["iam"]["accessKey"] == of_a_function.access_key
    without_token = Credentials(of_a_function.access_key, of_a_function.secret_key)
    assert refused(signed(url, without_token)) == "The security token included in the request is invalid."
    # An address for everybody asks nobody who he is.
    client.update_function_url_config(FunctionName="f", AuthType="NONE")
    status, event = ask(AWSRequest("GET", url, headers={"Authorization": "Bearer x"}))
    assert status == 200 and event["requestContext"]["accountId"] == "anonymous", event
    assert "authorizer" not in event["requestContext"]


def signed_headers(url):
    more = dict(method="POST", data=b'{"a": 1}', headers={"Content-Type": "application/json", "X-Own": "a   b"})
    for path in ["", "a/b%20c/", "é", "x/../y//z", "?k=2&k=1&l=%C3%A9&m", "a%2Fb?q=a%2Bb%20c~"]:
        status, event = ask(signed(url + urllib.parse.quote(path, safe="/?&=%~."), **more))
        assert status == 200 and event["body"] == '{"a": 1}', (path, event)
    assert ask(signed(url, region="eu-west-1"))[0] == 200, "a client may believe to be elsewhere"
    wrong = "The request signature we calculated does not match the signature you provided."
    assert refused(signed(url, Credentials("AKIDUSER", "other"))).startswith(wrong)
    for change in [{"method": "PUT"}, {"url": url + "x"}, {"data": b"{}"}]:
        request = signed(url, **more)
        for name, value in change.items():
            setattr(request, name, value)
        assert refused(request).startswith(wrong), change
    assert "correct service: 'lambda'" in refused(signed(url, service="execute-api"))
    assert "security token" in refused(signed(url, Credentials("AKIDNOBODY", "secret")))
    assert refused(signed(url, at=-datetime.timedelta(minutes=6))).startswith("Signature expired: ")
    assert refused(signed(url, at=datetime.timedelta(minutes=6))).startswith("Signature not yet current: ")
    request = signed(url)
    del request.headers["X-Amz-Date"]
    assert "X-Amz-Date" in refused(request)
    status, answer = ask(AWSRequest("GET", url))
    assert status == 403 and answer["Message"].startswith("Forbidden"), answer


def signed_queries(url):
    def presigned(**more):
        return signed(url + "p?a=b", signer=lambda *of: SigV4QueryAuth(*of, expires=60), **more)

    status, event = ask(presigned())
    assert status == 200 and event["queryStringParameters"]["a"] == "b", event
    token = Credentials("AKIDUSER", "secret", "token")
    assert "security token" in refused(presigned(credentials=token))
    assert refused(presigned(at=-datetime.timedelta(minutes=2))).startswith("Signature expired: ")
    request = presigned()
    request.url = request.url.replace("a=b", "a=c")
    assert refused(request).startswith("The request signature we calculated does not match")
    request.url = request.url.replace("X-Amz-Expires=60", "X-Amz-Expires=604801")
    assert "X-Amz-Expires" in refused(request)


def signed(url, credentials=USER, method="GET", data=None, headers=(), region="us-east-1", service="lambda", signer=SigV4Auth, at=None):
    """A signed request; `at` shifts the clock of the client."""
    request = AWSRequest(method, url, headers=dict(headers), data=data)
    real = botocore.auth.get_current_datetime
    if at is not None:
        botocore.auth.get_current_datetime = lambda: real() + at
    try:
        signer(credentials, service, region).add_auth(request)
    finally:
        botocore.auth.get_current_datetime = real
    return request


def ask(request):
    prepared = request.prepare()
    wanted = urllib.request.Request(prepared.url, data=prepared.body, headers=dict(prepared.headers), method=prepared.method)
    try:
        with urllib.request.urlopen(wanted) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def refused(request):
    status, answer = ask(request)
    assert status == 403, (status, answer)
    return answer["message"]
