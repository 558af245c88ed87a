"""Scenarios of functions that are images of OCI layouts."""

import os
import shutil

from checked import ROLE, call, log, refused

INVALID = "InvalidParameterValueException"
MACHINE = {"x86_64": "x86_64", "aarch64": "arm64"}[os.uname().machine]
OTHER = {"x86_64": "arm64", "arm64": "x86_64"}[MACHINE]


def uri(name):
    return "oci:%s/%s" % (os.environ["IMAGES"], name)


def make(client, name, image, **more):
    more = {"PackageType": "Image", "Architectures": [MACHINE], "Timeout": 20, "MemorySize": 256, **more}
    return client.create_function(FunctionName=name, Role=ROLE, Code={"ImageUri": image}, **more)


def images(client, endpoint):
    made = make(client, "f", uri("one"), Publish=True)
    assert (made["PackageType"], made["Version"]) == ("Image", "1"), made
    assert not {"Runtime", "Handler", "ImageConfigResponse"} & set(made), made
    got = client.get_function(FunctionName="f")["Code"]
    assert (got["RepositoryType"], got["ImageUri"]) == ("ECR", uri("one")), got
    assert got["ResolvedImageUri"] == "%s@sha256:%s" % (uri("one"), made["CodeSha256"]), got

    status, seen, whole = call(client, "f", "see", LogType="Tail")
    assert status == 200 and "FunctionError" not in whole, log(whole)
    assert (seen["cwd"], seen["own"], seen["python"]) == ("/var/task", True, "/usr/local/bin/python3"), seen
    assert (seen["runtime"], seen["of_image"], seen["handler"]) == (None, "yes", "app.handler"), seen
    # Nothing of the host's root but what a container gets.
    assert seen["tmp"] == [] and not {"home", "boot", "run"} & set(seen["root"]), seen
    lines = log(whole)
    assert "INIT_START" not in lines and "Init Duration" in lines, lines
    assert call(client, "f", "write")[1] == [2, "Read-only file system"]

    changed(client)
    refusals(client)
    failing(client)


def changed(client):
    config = {"Command": ["app.other"]}
    shown = client.update_function_configuration(FunctionName="f", ImageConfig=config)
    assert shown["ImageConfigResponse"] == {"ImageConfig": config}, shown
    assert call(client, "f", 1)[1] == "other"
    elsewhere = dict(FunctionName="f", ImageConfig={"WorkingDirectory": "/none"})
    refused(lambda: client.update_function_configuration(**elsewhere), INVALID)
    client.update_function_configuration(FunctionName="f", ImageConfig={})
    new = client.update_function_code(FunctionName="f", ImageUri=uri("two") + ":two", Publish=True)
    assert new["Version"] == "2", new
    assert call(client, "f", 1)[1][0] == "two"
    assert call(client, "f:1", 1)[1][0] == "one", "a version keeps its image"
    by_digest = "%s@sha256:%s" % (uri("two"), new["CodeSha256"])
    assert client.update_function_code(FunctionName="f", ImageUri=by_digest)["CodeSha256"] == new["CodeSha256"]


def refusals(client):
    def message(image, **more):
        return refused(lambda: make(client, "g", image, **more), INVALID)

    assert "skopeo copy" in message("123456789012.dkr.ecr.us-east-1.amazonaws.com/f:1")
    assert "this is no OCI layout" in message("oci:/nowhere")
    assert "no image `other`" in message(uri("one") + ":other")
    assert "neither an entry point nor a command" in message(uri("empty"))
    assert make(client, "e", uri("empty"), ImageConfig={"EntryPoint": ["/none"]})["FunctionName"] == "e"
    assert "images run on their own machine alone" in message(uri("one"), Architectures=[OTHER])
    assert "/none is not in the image" in message(uri("one"), ImageConfig={"WorkingDirectory": "/none"})
    assert "PackageType is Image" in message(uri("one"), Handler="a.b", Runtime="python3.12")
    assert "SnapStart" in message(uri("one"), SnapStart={"ApplyOn": "PublishedVersions"})
    refused(lambda: client.update_function_code(FunctionName="f", ZipFile=b"x"), INVALID)
    # A layout that lacks a layer, of an image that is not there yet.
    broken = os.environ["IMAGES"] + "/broken"
    shutil.copytree(os.environ["IMAGES"] + "/layout", broken)
    blobs = os.path.join(broken, "blobs/sha256")
    largest = max(os.listdir(blobs), key=lambda name: os.path.getsize(os.path.join(blobs, name)))
    os.remove(os.path.join(blobs, largest))
    told = message("oci:" + broken, ImageConfig={"EntryPoint": ["/usr/local/bin/python3"]})
    assert "a blob of the layout is missing" in told, told


def failing(client):
    """What cannot be started, and what starts no runtime client, are the function's errors."""
    answer = call(client, "e", 1)
    assert answer[1]["errorType"] == "Runtime.InvalidEntrypoint", answer
    client.update_function_configuration(FunctionName="e", ImageConfig={"EntryPoint": ["/usr/local/bin/python3", "-c", "0"]})
    answer = call(client, "e", 1)
    assert answer[1]["errorType"] == "Runtime.ExitError", answer


def images_later(client, endpoint):
    assert call(client, "f:1", 1)[1][0] == "one"
    assert client.get_function(FunctionName="f", Qualifier="1")["Code"]["ImageUri"] == uri("one")


def image_of_a_path(client, endpoint):
    assert call(client, "titled", 1)[1] == ["one", 1, "titled"]
    published = client.publish_version(FunctionName="titled")
    assert published["PackageType"] == "Image", published
    assert call(client, "titled:1", 1)[1][0] == "one"
