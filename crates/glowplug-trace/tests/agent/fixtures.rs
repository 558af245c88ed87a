//! Functions as source texts.

/// Imports of every kind, in init and in the event. Line numbers are part of the tests.
pub(crate) const APP: &str = r#""""A function."""
import json
import lib.heavy
from lib import other as o
try:
    import absent
except ImportError:
    absent = None
"a text that is not the docstring"
VALUE = lib.heavy.compute(
    3)


@staticmethod
def handler(event, context):
    import lib.late
    if event.get("lazy"):
        import sys
        sys.modules["_glowplug_observer"]("app", "pandas")
    return {"value": lib.late.answer(), "doc": __doc__, "before": VALUE}


handler = handler.__func__
"#;

pub(crate) const FILES: &[(&str, &str)] = &[
    ("app.py", APP),
    ("lib/__init__.py", ""),
    ("lib/heavy.py", "import colorsys\ndef compute(n):\n    return sum([i * i for i in range(n)])\n"),
    (
        "lib/other.py",
        "class Other:\n    squares = [i * i for i in range(3)]\n    def method(self):\n        pass\n",
    ),
    ("lib/late.py", "def answer():\n    return 42\n"),
];
