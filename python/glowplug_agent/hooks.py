"""How the tracer gets between the steps of an import.

Joined after `work.py` and before `tracer.py`, whose names it uses. Each hook replaces one function of the import machinery
by one that looks the same from outside, and leaves what it takes itself out of the times.
"""

def _hook_locks(tracer):
    """The entry and the exit of an import's lock are its start and its end."""
    manager = _bootstrap._ModuleLockManager
    enter, leave = manager.__enter__, manager.__exit__
    on_load = tracer.on_load

    def __enter__(self):
        enter(self)
        entered = _clock()
        name = self._name
        self.glowplug = None
        if name not in _modules:
            # The caller's caller is mostly the one who asks: frames in between would be made objects by looking.
            self.glowplug = tracer.open_record(name, _current_thread(), _getframe(2), entered)

    def __exit__(self, failed, error, trace):
        ended = _clock()
        record = self.glowplug
        if record is not None:
            name = self._name
            thread = record.on
            tracer.close_record(record, failed is not None, ended)
            if failed is None and name in on_load:
                on_load[name](_modules[name])
            thread.skew += _clock() - ended
        leave(self)

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


def _loading():
    """The import under way on this thread, if its body does not run yet."""
    thread = _threads.get(_ident())
    if thread is not None and thread.stack:
        record = thread.stack[-1]
        if record.state == _LOADING:
            return record
    return None


def _hook_find(tracer):
    find = _bootstrap._find_spec

    def _find_spec(name, path, target=None):
        thread = _threads.get(_ident())
        record = thread.stack[-1] if thread is not None and thread.stack else None
        if record is None or record.name != name or record.state != _WAITING:
            record = None
        else:
            entered = _clock()
            tracer.start(record, thread)
            begin = _clock()
            thread.skew += begin - entered
            begin -= thread.skew
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


def _read(record, entered, begin):
    """The end of a read: what is around it is the agent's own."""
    ended = _clock()
    record.read = (record.read or 0) + ended - begin
    record.on.skew += begin - entered + _clock() - ended


def _hook_reads():
    """Stat and read, for whichever loader inherits the standard ones."""
    files = _external.FileLoader
    sources = _external.SourceFileLoader
    get, stats = files.get_data, sources.path_stats

    def get_data(self, path):
        entered = _clock()
        record = _loading()
        begin = _clock()
        try:
            data = get(self, path)
        except BaseException as error:
            _erase(error)
            raise
        finally:
            if record is not None:
                _read(record, entered, begin)
        if record is not None:
            record.bytes = (record.bytes or 0) + len(data)
            if path.endswith(".pyc"):
                record.stale = True  # unless it is unmarshalled
        return data

    def path_stats(self, path):
        entered = _clock()
        record = _loading()
        begin = _clock()
        try:
            return stats(self, path)
        except BaseException as error:
            _erase(error)
            raise
        finally:
            if record is not None:
                _read(record, entered, begin)

    files.get_data = get_data
    sources.path_stats = path_stats


def _hook_unmarshal():
    unmarshal = _external._compile_bytecode

    def _compile_bytecode(data, name=None, bytecode_path=None, source_path=None):
        entered = _clock()
        record = _loading()
        begin = _clock()
        try:
            return unmarshal(data, name, bytecode_path, source_path)
        except BaseException as error:
            _erase(error)
            raise
        finally:
            if record is not None:
                ended = _clock()
                record.unmarshal = ended - begin
                record.stale = False
                record.on.skew += begin - entered + _clock() - ended

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
