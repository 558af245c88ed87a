"""Tells whoever imports a module that was left out of the package why it is not there, and how to get it back.

The module of the handler begins by calling `install`. The finder stands behind all others: it is asked only for what
nobody has found, and reads its list, which lies beside this file, only where that is of a package that lacks something.
"""

import sys


class _Absent:
    """The last entry of `sys.meta_path`."""

    def __init__(self, packages):
        self._packages = frozenset(packages)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self._packages:
            return None
        why = _reason(name)
        if why is None:
            return None
        rule, sentence = why
        text = "`%s` was left out of this package by glowplug: %s (rule `%s`). Build with `--keep %s`, or add it to `keep`" % (
            name,
            sentence,
            rule,
            name,
        )
        # Whoever catches the error takes it for a package that was never installed: the log has it in any case.
        print("glowplug: " + text, file=sys.stderr)
        raise ImportError(text, name=name)


def _reason(name):
    """The rule that left a module out, and its sentence; a package was left out with all that is in it."""
    import json

    with open(__file__[: -len(".py")] + ".json", encoding="utf-8") as file:
        absent = json.load(file)
    rule = absent["modules"].get(name)
    return None if rule is None else (rule, absent["rules"][rule])


def install(packages):
    """Watches for imports of what is absent from these top-level packages."""
    sys.meta_path.append(_Absent(packages))
