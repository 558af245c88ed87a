"""Has AWS's X-Ray SDK write the same documents again, and a server of moto's take them and give them back."""

import json
import sys

import boto3
from aws_xray_sdk.core.models.segment import Segment
from aws_xray_sdk.core.models.subsegment import Subsegment
from aws_xray_sdk.core.models.throwable import Throwable
from moto import mock_aws


def thrown(exception):
    """One exception of a cause."""
    throwable = Throwable(Exception(exception["message"]), [], remote=False)
    throwable.id, throwable.type = exception["id"], exception.get("type")
    return throwable


def fill(entity, document):
    """What segments and subsegments have in common, through the SDK's own methods."""
    entity.id = document["id"]
    entity.start_time = document["start_time"]
    for key, value in document.get("annotations", {}).items():
        entity.put_annotation(key, value)
    for namespace, values in document.get("metadata", {}).items():
        for key, value in values.items():
            entity.put_metadata(key, value, namespace)
    if document.get("fault"):
        entity.add_fault_flag()
    if document.get("error"):
        entity.add_error_flag()
    if "cause" in document:
        exceptions = [thrown(exception) for exception in document["cause"]["exceptions"]]
        entity.cause = {"working_directory": document["cause"]["working_directory"], "exceptions": exceptions}
    entity.aws = document.get("aws", {})
    for part in document.get("subsegments", []):
        entity.add_subsegment(fill(Subsegment(part["name"], "local", root), part))
    entity.close(document["end_time"])
    return entity


documents = [json.loads(line) for line in open(sys.argv[1])]
for document in documents:
    root = Segment(document["name"], traceid=document["trace_id"])
    root.service, root.origin = document.get("service"), document.get("origin")
    entity = root
    if document.get("type") == "subsegment":
        entity = Subsegment(document["name"], "local", root)
        entity.parent_id = document["parent_id"]
    again = json.loads(fill(entity, document).serialize())

    def clean(part):
        """The SDK says of each part that it is over, where it is from, and to whom it belongs; that may be left out."""
        for key in ("in_progress", "namespace"):
            part.pop(key, None)
        for child in part.get("subsegments", []):
            for key in ("parent_id", "trace_id", "type"):
                child.pop(key, None)
            clean(child)

    clean(again)
    assert again == document, f"the SDK writes it otherwise:\n{again}\n{document}"

with mock_aws():
    client = boto3.client("xray", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    lines = [json.dumps(document) for document in documents]
    answer = client.put_trace_segments(TraceSegmentDocuments=lines)
    assert answer["UnprocessedTraceSegments"] == [], answer["UnprocessedTraceSegments"]
    ids = sorted({document["trace_id"] for document in documents})
    traces = client.batch_get_traces(TraceIds=ids)
    assert not traces["UnprocessedTraceIds"]
    stored = {part["Id"] for trace in traces["Traces"] for part in trace["Segments"]}
    assert stored == {document["id"] for document in documents}
print(len(documents))
