"""Who may use a function or a layer: kept, shown, removed."""

import json

import checked
from checked import create, refused

APP = "def handler(e, c):\n    return e\n"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:l"


def permissions(client, endpoint):
    create(client, "f", APP, Publish=True)
    of_functions(client)
    of_versions_and_aliases(client)
    of_layers(client)


def of_functions(client):
    nothing = "ResourceNotFoundException"
    refused(lambda: client.get_policy(FunctionName="f"), nothing)
    bucket = dict(StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                  SourceArn="arn:aws:s3:::bucket", SourceAccount="123456789012")
    before = client.get_function_configuration(FunctionName="f")["RevisionId"]
    added = json.loads(client.add_permission(FunctionName="f", **bucket)["Statement"])
    assert added == {
        "Sid": "s3", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "lambda:InvokeFunction",
        "Resource": FUNCTION,
        "Condition": {"StringEquals": {"AWS:SourceAccount": "123456789012"}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}},
    }, added
    assert "already exists" in refused(lambda: client.add_permission(FunctionName="f", **bucket), "ResourceConflictException")
    got = client.get_policy(FunctionName="f")
    assert json.loads(got["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [added]}
    assert got["RevisionId"] == client.get_function_configuration(FunctionName="f")["RevisionId"] != before
    public = dict(FunctionName="f", StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    stale = dict(public, RevisionId=before)
    refused(lambda: client.add_permission(**stale), "PreconditionFailedException")
    added = json.loads(client.add_permission(**dict(public, RevisionId=got["RevisionId"]))["Statement"])
    assert (added["Principal"], added["Condition"]) == ("*", {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}), added
    wrong = dict(public, StatementId="x", Action="lambda:InvokeFunction")
    refused(lambda: client.add_permission(**wrong), "InvalidParameterValueException")
    rest = dict(StatementId="org", Action="lambda:*", Principal="123456789012", PrincipalOrgID="o-1234567890", EventSourceToken="token")
    added = json.loads(client.add_permission(FunctionName=FUNCTION, **rest)["Statement"])
    assert added["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}, added
    assert added["Condition"]["StringEquals"] == {"aws:PrincipalOrgID": "o-1234567890", "lambda:EventSourceToken": "token"}
    for bad, code in [
        (dict(bucket, StatementId="a b"), "ValidationException"),
        (dict(bucket, StatementId="n", Action="s3:GetObject"), "ValidationException"),
        (dict(bucket, StatementId="n", Principal="nobody"), "InvalidParameterValueException"),
    ]:
        refused(lambda: client.add_permission(FunctionName="f", **bad), code)
    refused(lambda: client.add_permission(FunctionName="nope", **bucket), nothing)
    refused(lambda: client.remove_permission(FunctionName="f", StatementId="none"), nothing)
    assert "No policy" in refused(lambda: client.remove_permission(FunctionName="nope", StatementId="s3"), nothing)
    old = dict(FunctionName="f", StatementId="s3", RevisionId=before)
    refused(lambda: client.remove_permission(**old), "PreconditionFailedException")
    for id in ["s3", "url", "org"]:
        client.remove_permission(FunctionName="f", StatementId=id)
    refused(lambda: client.get_policy(FunctionName="f"), nothing)


def of_versions_and_aliases(client):
    """Each has a policy of its own, which goes with it."""
    allow = dict(FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="events.amazonaws.com")
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    client.add_permission(**allow)
    for qualifier in ["1", "live"]:
        added = json.loads(client.add_permission(Qualifier=qualifier, **allow)["Statement"])
        assert added["Resource"] == FUNCTION + ":" + qualifier, added
    policy = client.get_policy(FunctionName="f", Qualifier="live")
    assert policy["RevisionId"] == client.get_alias(FunctionName="f", Name="live")["RevisionId"]
    assert client.get_policy(FunctionName="f:1")["RevisionId"] == client.get_function(FunctionName="f:1")["Configuration"]["RevisionId"]
    refused(lambda: client.add_permission(Qualifier="$LATEST", **allow), "InvalidParameterValueException")
    refused(lambda: client.add_permission(Qualifier="9", **allow), "ResourceNotFoundException")
    assert "alias" in refused(lambda: client.add_permission(Qualifier="no", **allow), "ResourceNotFoundException")
    client.delete_alias(FunctionName="f", Name="live")
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    refused(lambda: client.get_policy(FunctionName="f", Qualifier="live"), "ResourceNotFoundException")


def of_layers(client):
    client.publish_layer_version(LayerName="l", Content={"ZipFile": checked.zipped("", "python/shared.py")})
    version = dict(LayerName="l", VersionNumber=1)
    refused(lambda: client.get_layer_version_policy(**version), "ResourceNotFoundException")
    allow = dict(version, StatementId="s", Action="lambda:GetLayerVersion", Principal="*")
    added = client.add_layer_version_permission(OrganizationId="o-1234567890", **allow)
    assert json.loads(added["Statement"]) == {
        "Sid": "s", "Effect": "Allow", "Principal": "*", "Action": "lambda:GetLayerVersion", "Resource": LAYER + ":1",
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}},
    }
    refused(lambda: client.add_layer_version_permission(**allow), "ResourceConflictException")
    more = dict(allow, StatementId="t", LayerName=LAYER)
    refused(lambda: client.add_layer_version_permission(RevisionId="old", **more), "PreconditionFailedException")
    client.add_layer_version_permission(RevisionId=added["RevisionId"], **more)
    got = client.get_layer_version_policy(**version)
    assert [s["Sid"] for s in json.loads(got["Policy"])["Statement"]] == ["s", "t"]
    wrong = dict(allow, StatementId="u", Action="lambda:InvokeFunction")
    refused(lambda: client.add_layer_version_permission(**wrong), "ValidationException")
    missing = dict(allow, VersionNumber=9)
    refused(lambda: client.add_layer_version_permission(**missing), "ResourceNotFoundException")
    client.remove_layer_version_permission(StatementId="s", RevisionId=got["RevisionId"], **version)
    refused(lambda: client.remove_layer_version_permission(StatementId="s", **version), "ResourceNotFoundException")
    client.remove_layer_version_permission(StatementId="t", **version)
    refused(lambda: client.get_layer_version_policy(**version), "ResourceNotFoundException")
