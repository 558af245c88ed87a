"""Notes which modules had functions run, and which native callables were called, by phase.

Joined after `phases.py`, in whose names it runs; `install(config)` is the entry. The bodies of
modules and classes do not count, nor do comprehensions and lambdas that a body runs itself: they
run whenever the module is imported. From Python 3.12 `sys.monitoring` reports each code object
and each call site once a phase; before, a profile function sees every call, which is slow.
"""

_BODY_HELPERS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>")
# CO_OPTIMIZED and CO_NEWLOCALS: what functions have, and bodies of modules and classes have not.
_FUNCTION = 3
_TOOLS = (4, 3, 2, 1)

_MODULE = type(sys)
_BUILTIN = type(len)
_DESCRIPTORS = (type(str.join), type(str.__add__), type("".__add__), type(dict.__dict__["fromkeys"]))
_TYPE_ATTRIBUTE = type.__getattribute__


class _Usage:
    def __init__(self, config):
        self.codes = set()
        self.natives = set()
        self.phases = _Phases(config, self._collect, self._begin)
        self.monitoring = getattr(sys, "monitoring", None)

    def _begin(self):
        self.codes.clear()
        self.natives.clear()
        if self.monitoring is not None:
            self.monitoring.restart_events()

    def _collect(self):
        codes, natives = list(self.codes), list(self.natives)
        owners = {}
        for name, module in list(sys.modules.items()):
            # Whatever stands there is not asked for attributes: it could load something, and would count as used.
            try:
                space = object.__getattribute__(module, "__dict__")
                places = space.get("__file__"), object.__getattribute__(space.get("__spec__"), "origin")
            except Exception:
                continue
            for place in places:
                if type(place) is str:
                    owners.setdefault(place, name)
        used = set()
        number = self.phases.number
        for code in codes:
            file = code.co_filename
            used.add((owners.get(file, ""), file, number))
        for name in natives:
            used.add((name, "", number))
        self.codes.clear()
        self.natives.clear()
        return {"usage": sorted(used)}

    def function(self, code, frame):
        """A code object starts; `frame` is its own."""
        if code.co_flags & _FUNCTION != _FUNCTION:
            return
        if code.co_name in _BODY_HELPERS:
            caller = frame.f_back
            if caller is not None and caller.f_code.co_flags & _FUNCTION != _FUNCTION:
                return
        self.codes.add(code)

    def native(self, call):
        """Something that is not a Python function is called. Runs no code of the callable's type:
        a proxy would load what it stands for when asked for an attribute."""
        kind = type(call)
        try:
            if kind is _BUILTIN:
                owner = call.__self__
                if type(owner) is _MODULE:
                    name = owner.__name__
                elif isinstance(owner, type):
                    name = _TYPE_ATTRIBUTE(owner, "__module__")
                else:
                    name = call.__module__ or _TYPE_ATTRIBUTE(type(owner), "__module__")
            elif kind in _DESCRIPTORS:
                name = _TYPE_ATTRIBUTE(call.__objclass__, "__module__")
            elif issubclass(kind, type):
                name = _TYPE_ATTRIBUTE(call, "__module__")
            else:
                name = object.__getattribute__(call, "__module__")
        except Exception:
            return
        if type(name) is str and name != "builtins":
            self.natives.add(name)


def _monitor(usage):
    monitoring = usage.monitoring
    tool = next((number for number in _TOOLS if monitoring.get_tool(number) is None), None)
    if tool is None:
        return
    python = type(_monitor)
    method = type(usage.native)
    disable = monitoring.DISABLE

    def started(code, offset):
        usage.function(code, sys._getframe(1))
        return disable

    def called(code, offset, call, first):
        if type(call) is not python and type(call) is not method:
            usage.native(call)
        return disable

    events = monitoring.events
    monitoring.use_tool_id(tool, "glowplug")
    monitoring.register_callback(tool, events.PY_START, started)
    monitoring.register_callback(tool, events.CALL, called)
    monitoring.set_events(tool, events.PY_START | events.CALL)


def _profile(usage):
    codes = usage.codes

    def profile(frame, event, argument):
        if event == "call":
            code = frame.f_code
            if code not in codes:
                usage.function(code, frame)
        elif event == "c_call":
            usage.native(argument)

    import threading

    threading.setprofile(profile)
    sys.setprofile(profile)


def _hook_locks(usage):
    """Only to learn when the runtime client has been loaded."""
    manager = _bootstrap._ModuleLockManager
    leave = manager.__exit__

    def __exit__(self, failed, error, trace):
        leave(self)
        if failed is None and self._name == _CLIENT and _CLIENT in sys.modules:
            usage.phases.attach(sys.modules[_CLIENT])

    manager.__exit__ = __exit__


def install(config):
    """The entry that the bootstrap calls, before the runtime client is imported."""
    usage = _Usage(config)
    _hook_locks(usage)
    if usage.monitoring is not None:
        _monitor(usage)
    else:
        _profile(usage)
