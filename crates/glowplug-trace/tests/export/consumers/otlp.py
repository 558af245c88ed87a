"""Reads a file of OTLP, as protobuf or JSON, with OpenTelemetry's own classes, and prints what they hold."""

import json
import sys
from pathlib import Path

path = Path(sys.argv[1])


def check_known(message):
    """Nothing in the message is of a field that the classes do not know."""
    from google.protobuf.unknown_fields import UnknownFieldSet

    assert len(UnknownFieldSet(message)) == 0, f"unknown fields in {message.DESCRIPTOR.name}"
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        for part in value if descriptor.is_repeated else [value]:
            check_known(part)


def plain(value):
    """An `AnyValue` as a value of Python."""
    for kind in ("string_value", "int_value", "double_value"):
        held = getattr(value, kind)
        if (value.WhichOneof("value") == kind) if hasattr(value, "WhichOneof") else held is not None:
            return held
    if hasattr(value, "WhichOneof"):
        return value.bool_value if value.WhichOneof("value") == "bool_value" else [
            plain(v) for v in value.array_value.values
        ]
    return value.bool_value if value.bool_value is not None else [plain(v) for v in value.array_value.values]


if path.suffix == ".json":
    from opentelemetry.proto_json.collector.trace.v1.trace_service import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.from_json(path.read_text())
    # What its own writer makes of it is what was read: no field was left out, or written in another way. It writes
    # no empty list of values.
    text = path.read_text().replace('{"values":[]}', "{}")
    assert json.loads(request.to_json()) == json.loads(text), "another document"
else:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(path.read_bytes())
    check_known(request)

(resource,) = request.resource_spans
(scope,) = resource.scope_spans
print(
    json.dumps(
        {
            "resource": {pair.key: plain(pair.value) for pair in resource.resource.attributes},
            "spans": [
                {
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": (span.parent_span_id or b"").hex(),
                    "name": span.name,
                    "kind": int(span.kind or 0),
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "error": span.status is not None and int(span.status.code or 0) == 2,
                    "attributes": {pair.key: plain(pair.value) for pair in span.attributes},
                }
                for span in scope.spans
            ],
        }
    )
)
