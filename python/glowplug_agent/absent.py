"""Tells whoever imports a module that was left out of the package why it is not there, and how to get it back.

Whoever only asks whether it could be imported (`importlib.util.find_spec`) gets the answer that the whole package gives.

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
        if _reason(name) is None:
            return None
        return _Spec(name, self)

    def create_module(self, spec):
        """Nobody gets the module itself."""
        raise _error(spec.name)

    def exec_module(self, module):
        """Makes this a loader; never reached."""


class _Spec(type(__spec__)):
    """That a module can be found is still true, as it is in the package as it was; where it lies and what is in it
    is not known any more, and asking for that is a use."""

    def __init__(self, name, loader):
        super().__init__(name, loader)

    def __repr__(self):
        return "ModuleSpec(name=%r, loader=%r)" % (self.name, self.loader)

    @property
    def origin(self):
        raise _error(self.name)

    @origin.setter
    def origin(self, value):
        pass

    @property
    def submodule_search_locations(self):
        raise _error(self.name)

    @submodule_search_locations.setter
    def submodule_search_locations(self, value):
        pass


def _error(name):
    """The error that names the decision."""
    rule, sentence = _reason(name)
    text = "`%s` was left out of this package by glowplug: %s (rule `%s`). Build with `--keep %s`, or add it to `keep`" % (
        name,
        sentence,
        rule,
        name,
    )
    # Whoever catches the error takes it for a package that was never installed: the log has it in any case.
    print("glowplug: " + text, file=sys.stderr)
    return ImportError(text, name=name)


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
