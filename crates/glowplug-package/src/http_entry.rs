//! The entry point of images that are asked over HTTP instead of through Lambda's Runtime API (Knative, Cloud Run).

/// Source of a program for Python 3.9 and later, standard library only: `HANDLER=app.handler PORT=8080 python FILE`
/// serves the handler of `/var/task` over HTTP, each request an event of the payload format 2.0. `docs/http-entry.md`
/// tells its variables.
pub const HTTP_ENTRY_SOURCE: &str = concat!(
    include_str!("../../../python/glowplug_agent/http_function.py"),
    "\n\n",
    include_str!("../../../python/glowplug_agent/http_wire.py"),
    "\n\n",
    include_str!("../../../python/glowplug_agent/http_events.py"),
    "\n\n",
    include_str!("../../../python/glowplug_agent/http_entry.py"),
);
