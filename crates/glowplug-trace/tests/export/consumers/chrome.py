"""Reads trace events with `chrometrace`, and has `trace-lanefix` look for slices that Perfetto could not show."""

import contextlib
import io
import json
import os
import sys

from chrometrace import TraceEvent, TraceEventType
from trace_lanefix.core import fix_overlaps

document = json.load(open(sys.argv[1]))
events = [TraceEvent.from_dict(event) for event in document["traceEvents"]]
for event in events:
    assert TraceEventType(event.event_type) in (TraceEventType.COMPLETE, TraceEventType.METADATA)
    assert event.timestamp_us >= 0 and event.duration_us >= 0

report = io.StringIO()
with contextlib.redirect_stdout(report):
    fix_overlaps(sys.argv[1], os.devnull, snap_threshold_us=0)
assert "slice(s) moved" not in report.getvalue() and "updated" not in report.getvalue(), report.getvalue()
print(sum(event.event_type == TraceEventType.COMPLETE for event in events))
