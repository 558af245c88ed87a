"""How the tracer gets between the steps of an import.

Joined after `work.py` and before `tracer.py`, whose names it uses. Each hook replaces one function of the import machinery
by one that looks the same from outside, and leaves what it takes itself out of the times.
"""

def _hook_locks(tracer):
    """The entry and the exit of an import's lock, both included, are its start and its end."""
    manager = _bootstrap._ModuleLockManager
    enter, leave = manager.__enter__, manager.__exit__
    on_load = tracer.on_load

    open_record, close_record = tracer.open_record, tracer.close_record

    def __enter__(self):
        begun = _clock()
        enter(self)
        name = self._name
        self.glowplug = None
        if name not in _modules:
            # The caller's caller is mostly the one who asks: frames in between would be made objects by looking.
            self.glowplug = open_record(name, _getframe(2), begun, _clock())

    def __exit__(self, failed, error, trace):
        record = self.glowplug
        if record is None:
            return leave(self)
        name = self._name
        if name in on_load and failed is None:
            began = _clock()
            on_load[name](_modules[name])
            record.on.skew += _clock() - began
        leave(self)
        ended = _clock()
        close_record(record, failed is not None, ended)
        record.on.skew += _clock() - ended

    manager.__enter__ = __enter__
    manager.__exit__ = __exit__


_CALL = """
def _call_with_frames_removed(f, *args, **kwds):
    if f not in watched:
        return f(*args, **kwds)
    with step(tracer, watched[f], f, args) as (f, args):
        return f(*args, **kwds)
"""


def _on_line(code, line):
    """The code with all of it on one line. By its table: a syntax tree would have the collector count its types."""
    units = len(code.co_code) // 2
    if _NEW:
        # Locations without columns, kind 13, for eight instructions at most (Objects/locations.md).
        table = b"".join(bytes((0xE8 | (min(units - at, 8) - 1), 0)) for at in range(0, units, 8))
        return code.replace(co_firstlineno=line, co_linetable=table)
    if hasattr(code, "co_linetable"):
        table = b"".join(bytes((2 * min(units - at, 127), 0)) for at in range(0, units, 127))
        return code.replace(co_firstlineno=line, co_linetable=table)
    return code.replace(co_firstlineno=line, co_lnotab=b"")


def _hook_calls(tracer):
    """Replaces the function through which the importer calls out, keeping its line."""
    tracer.watched = {exec: "exec", compile: "compile"}
    for name, kind in (
        ("create_builtin", "native"), ("exec_builtin", "native"), ("create_dynamic", "native"),
        ("exec_dynamic", "native"), ("get_frozen_object", "unmarshal"),
    ):  # fmt: skip
        tracer.watched[getattr(_imp, name)] = kind
    code = _bootstrap._call_with_frames_removed.__code__
    if hasattr(code, "co_lines"):
        line = max(number for _, _, number in code.co_lines() if number)
    else:
        steps = code.co_lnotab[1::2]
        line = code.co_firstlineno + sum(step - 256 if step > 127 else step for step in steps)
    space = {"step": _step, "tracer": tracer, "watched": tracer.watched, "__name__": "importlib._bootstrap"}
    exec(_CALL, space)
    call = space["_call_with_frames_removed"]
    call.__code__ = _on_line(call.__code__, line)
    _name_as_importer(space)
    _bootstrap._call_with_frames_removed = call


def _hook_find(tracer):
    find = _bootstrap._find_spec
    start, plain = tracer.start, tracer.plain

    def _find_spec(name, path, target=None):
        entered = _clock()
        thread = _threads.get(_ident())
        record = thread.stack[-1] if thread is not None and thread.stack else None
        if record is None or record.name != name or record.state != _WAITING:
            record = None
        else:
            if plain:
                record.state = _LOADING
            else:
                start(record, thread)
            begin = _clock()
            skew = thread.skew = thread.skew + begin - entered
            begin -= skew
        try:
            spec = find(name, path, target)
        except BaseException as error:
            _erase(error)
            raise
        if record is not None:
            now = _clock()
            record.find = now - thread.skew - begin - record.child
            record.origin = getattr(spec, "origin", None)
            thread.skew += _clock() - now
        return spec

    _bootstrap._find_spec = _find_spec


# The next two look for the import under way in the same way, each by itself: a call for it would cost every import.


def _hook_reads():
    """The read, for whichever loader inherits the standard one."""
    files = _external.FileLoader
    get = files.get_data

    def get_data(self, path):
        begin = _clock()
        try:
            data = get(self, path)
        except BaseException as error:
            _erase(error)
            raise
        ended = _clock()
        thread = _threads.get(_ident())
        record = thread.stack[-1] if thread is not None and thread.stack else None
        if record is not None and record.state == _LOADING:
            record.read = (record.read or 0) + ended - begin
            record.bytes = (record.bytes or 0) + len(data)
            if path[-4:] == ".pyc":
                record.stale = True  # unless it is unmarshalled
            thread.skew += _clock() - ended
        return data

    files.get_data = get_data


def _hook_unmarshal():
    unmarshal = _external._compile_bytecode

    def _compile_bytecode(data, name=None, bytecode_path=None, source_path=None):
        begin = _clock()
        try:
            code = unmarshal(data, name, bytecode_path, source_path)
        except BaseException as error:
            _erase(error)
            raise
        ended = _clock()
        thread = _threads.get(_ident())
        record = thread.stack[-1] if thread is not None and thread.stack else None
        if record is not None and record.state == _LOADING:
            record.unmarshal = ended - begin
            record.stale = False
            thread.skew += _clock() - ended
        return code

    _external._compile_bytecode = _compile_bytecode


def _hook_collector():
    begun = 0

    def collected(step, details):
        nonlocal begun
        thread = _threads.get(_ident())
        if thread is None or not thread.stack:
            return
        if step == "start":
            begun = _clock()
        elif begun:
            thread.stack[-1].gc += _clock() - begun
            begun = 0

    _gc.callbacks.append(collected)


def _hook_lazy(tracer):
    """The support module calls `sys.modules["_glowplug_observer"]` right before it loads what was deferred."""

    class Observer(type(sys)):
        """A module, as everybody expects who walks through `sys.modules`."""

        def __call__(self, module, name):
            frame = _outside(_getframe(1))
            place = (frame.f_code.co_filename, frame.f_lineno or 0) if frame is not None else ("", 0)
            number = tracer.phases.number
            tracer.lazy_rows.append((module, name, number, *place, _clock() - _current_thread().skew))

    _modules["_glowplug_observer"] = Observer("_glowplug_observer")
