"""Measures every import, every top-level statement of the user's modules and every lazy load.

Joined after `phases.py`, `pages.py`, `passes.py`, `work.py` and `hooks.py`, whose names it uses; `install(config)` is the entry.
`config`: `output` (file to append to), `task_root`, `user_files` (relative paths), and the switches
`statements`, `memory`, `files`, `cached` and `immediate`, each a pass of its own in what it costs.

No frame of ours is ever on the stack while a module's body runs: the start and the end of an
import are the entry and the exit of `_ModuleLockManager`, and the one function through which the
importer calls out, `_call_with_frames_removed`, is replaced by one of the same shape and line.
The steps that run no module (find, stat, read, unmarshal) are wrapped, and a wrapper takes itself
out of a traceback that passes through it.

Times are nanoseconds of CLOCK_MONOTONIC, less what the agent itself has spent on the thread.
"""

_clock = time.perf_counter_ns
_cpu_clock = time.thread_time_ns
_ident = sys.modules["_thread"].get_ident
_getframe = sys._getframe
_modules = sys.modules
_Module = type(sys)

_FUTURES = 0x1FE0000  # the CO_FUTURE_* flags of 3.9 to 3.13
_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST
_SUPPORT = "_glowplug_lazy.py"
_PASSED_OVER = ("/importlib/__init__.py", _SUPPORT)  # whose frames import nothing of their own
_PAGE_KIB = 4  # 4096 bytes on both machines of Lambda
_INSIDE = 6  # calls of ours within an import that no clock of theirs sees: find, read, unmarshal, three for the body
_AROUND = 2  # and for its lock
_RECORDS = 1024  # more than most functions import
_STEPS = 64  # more than imports nest

# How far an import has come: before the search (which is false), searching and loading, running the body.
_WAITING, _LOADING, _RUNNING = 0, 1, 2

_threads = {}


class _Thread:
    """The imports under way on one thread, and the time the agent took from it."""

    __slots__ = ("stack", "name", "skew", "cpu_skew", "schedule")

    def __init__(self):
        self.stack = []
        self.name = "MainThread"
        self.skew = 0
        self.cpu_skew = 0
        self.schedule = None


def _text(value):
    """The value as `marshal` takes it; what is no text, a module's origin may be anything, is left out."""
    if type(value) is str or value is None:
        return value
    return str.__str__(value) if isinstance(value, str) else None


def _aliases():
    """Entries of `sys.modules` for modules that have one under their own names too: the entry and that name."""
    found = []
    for entry, module in list(_modules.items()):
        own = module.__dict__.get("__name__") if type(module) is _Module else None
        if type(own) is str and own != entry and type(entry) is str and _modules.get(own) is module:
            found.append((entry, own))
    return found


class _Record:
    """One import. Times but `begin` are durations; those of the steps leave out nested imports.

    Records and steps are made beforehand and used again: the collector counts what is made, and its collections
    must not move.
    """

    __slots__ = (
        "name", "phase", "on", "thread", "above", "importer", "importer_module", "line", "state", "begin",
        "begin_cpu", "child", "child_cpu", "total", "self_cpu", "gc", "regex", "child_memory", "child_wait", "find",
        "read", "unmarshal", "compile", "exec", "native", "bytes", "origin", "memory", "wait", "stale", "failed",
        "over",
    )  # fmt: skip

    def __init__(self):
        self.above = None
        self.state = _WAITING
        self.begin = self.child = self.child_cpu = self.total = 0
        self.gc = self.regex = self.child_memory = self.child_wait = 0
        self.find = self.read = self.unmarshal = self.compile = self.exec = self.native = None
        self.bytes = self.origin = self.memory = self.wait = None
        self.begin_cpu = self.self_cpu = None
        self.stale = self.failed = self.over = False

    def row(self):
        """Packed: the collector would count a tuple."""
        above = self.above
        return marshal.dumps((
            _text(self.name) or "", _text(above.name if above else "") or "", _text(self.importer) or "", self.line,
            _text(self.importer_module) or "", _text(self.thread) or "", self.phase, self.begin, self.total, self.total - self.child, self.self_cpu,
            self.find, self.read, self.unmarshal, self.compile, self.exec, self.native, self.gc,
            self.bytes, self.stale, self.memory, self.failed, _text(self.origin), self.regex, self.wait, self.over,
        ), 2)  # fmt: skip


def _current_thread():
    ident = _ident()
    thread = _threads.get(ident)
    if thread is None:
        thread = _threads[ident] = _Thread()
    return thread


def _thread_name():
    threading = _modules.get("threading")
    active = getattr(threading, "_active", None) or {}
    return getattr(active.get(_ident()), "name", "thread")


def _outside(frame):
    """The nearest frame that is neither the importer's nor the support module's."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not (file.startswith("<frozen importlib") or file.endswith(_PASSED_OVER)):
            return frame
        frame = frame.f_back
    return None


def _unseen():
    """What calling a hook takes before its first clock and after its last: the least of some tries."""

    def hook():
        return -(_clock() - _clock())

    def plain(calls):
        begin = _clock()
        for _ in calls:
            pass
        return _clock() - begin

    def hooked(calls):
        begin = _clock()
        seen = 0
        for _ in calls:
            seen += hook()
        return _clock() - begin - seen

    calls, tries = range(32), range(6)
    return max(min(hooked(calls) for _ in tries) - min(plain(calls) for _ in tries), 0) // len(calls)


class _Tracer:
    def __init__(self, config):
        self.rows = []
        self.statement_rows = []
        self.lazy_rows = []
        self.file_rows = []
        self.part_rows = []
        self.process_rows = []
        self.cached_rows = []
        self.connection_rows = []
        # Called with the module as soon as it is loaded.
        self.on_load = {_CLIENT: lambda module: self.phases.attach(module)}
        self.phases = _Phases(config, self._collect)
        self.phases.skew = lambda: _current_thread().skew
        self.immediate = config.get("immediate", False)
        self.main = _ident()
        self.statm = posix.open("/proc/self/statm", posix.O_RDONLY) if config.get("memory") else None
        # Nanoseconds that calls of ours take outside of their own clocks, within an import and in all.
        unseen = _unseen()
        self.inside, self.unseen = _INSIDE * unseen, (_INSIDE + _AROUND) * unseen
        # Nothing to be done where a search begins.
        self.plain = self.statm is None and not self.immediate
        root = self.phases.task_root
        split = config.get("statements", True) and sys.version_info < (3, 14)
        self.user_files = {root + "/" + name for name in config["user_files"]} if split else set()

    def _collect(self):
        # Other threads go on adding: each list is taken away before it is read.
        records, self.rows = self.rows, []
        statements, self.statement_rows = self.statement_rows, []
        lazy, self.lazy_rows = self.lazy_rows, []
        files, self.file_rows = self.file_rows, []
        parts, self.part_rows = self.part_rows, []
        processes, self.process_rows = self.process_rows, []
        cached, self.cached_rows = self.cached_rows, []
        connections, self.connection_rows = self.connection_rows, []
        chunk = {
            "imports": [record.row() for record in records],
            "statements": statements,
            "lazy": lazy,
            "files": files,
            "parts": parts,
            "subprocesses": processes,
            "cached": cached,
            "connections": connections,
            "aliases": [(self.phases.number,) + pair for pair in _aliases()],
        }
        _used.extend(record for record in records if record.over)
        return chunk

    def memory(self):
        """Resident memory in KiB; the function may have closed the descriptor, or taken its number."""
        try:
            return int(posix.pread(self.statm, 128, 0).split()[1]) * _PAGE_KIB
        except (OSError, ValueError, IndexError, TypeError):
            self.statm = None
            return None

    def open_record(self, name, frame, begun, entered):
        """Starts the record of an import that began at `begun`, and whose caller is `frame` or above it. The agent has
        had the word since `entered`.
        """
        ident = _ident()
        thread = _threads.get(ident)
        if thread is None:
            thread = _threads[ident] = _Thread()
        stack = thread.stack
        if ident != self.main and not stack:
            thread.name = _thread_name()
        try:  # not by asking before: another thread may take the last one in between
            record = _fresh.pop()
        except IndexError:
            try:
                record = _used.pop()
                record.__init__()
            except IndexError:
                record = _Record()
        record.name = name
        record.phase = self.phases.number
        record.on = thread
        record.thread = thread.name
        # A package imported on the way to its submodule belongs to whoever wants the submodule.
        for above in reversed(stack):
            if above.state:
                record.above = above
                break
        file = frame.f_code.co_filename
        while file[:17] == "<frozen importlib" or file.endswith(_PASSED_OVER):
            frame = frame.f_back
            if frame is None:
                break
            file = frame.f_code.co_filename
        if frame is None:
            record.importer = record.importer_module = ""
            record.line = 0
        else:
            record.importer = file
            record.line = frame.f_lineno or 0
            record.importer_module = frame.f_globals.get("__name__") or ""
        stack.append(record)
        # What the agent took is nobody's.
        now = _clock()
        skew = thread.skew = thread.skew + now - entered
        record.begin = begun + now - entered - skew
        return record

    def start(self, record, thread):
        """The search begins."""
        record.state = _LOADING
        if self.plain:
            return
        if self.statm is not None:
            record.memory = self.memory()
            record.wait = _queued(thread)
            record.begin_cpu = _cpu_clock() - thread.cpu_skew
        if self.immediate:
            self.tell(record)

    def tell(self, record):
        """Writes what is known of an import now: the process may be ended at any moment."""
        self.rows.append(record)
        self.phases.flush(over=False)

    def close_record(self, record, failed, ended):
        """Ends the record as of `ended`; what the agent takes from then on the caller makes good."""
        thread = record.on
        stack = thread.stack
        if stack and stack[-1] is record:
            stack.pop()
        elif record in stack:  # another greenlet imports on this thread
            stack.remove(record)
        record.failed = failed
        record.over = True
        if not record.state:
            # Its package loaded it, or could not be loaded: the time is the package's.
            (self.rows if failed else _used).append(record)
            return
        total = record.total = ended - thread.skew - record.begin - self.inside
        thread.skew += self.unseen
        # Those that wait for this one, their package, begin when it is there.
        for waiting in reversed(stack):
            if waiting.state:
                break
            waiting.begin += total
        above = record.above
        if above is not None:
            above.child += total
        if self.plain:
            self.rows.append(record)
            return
        if record.begin_cpu is not None:
            self._close_costs(record, thread, total)
        if self.immediate:
            self.tell(record)
        else:
            self.rows.append(record)

    def _close_costs(self, record, thread, total):
        """What a memory pass tells besides times."""
        cpu = _cpu_clock() - thread.cpu_skew - record.begin_cpu
        record.self_cpu = cpu - record.child_cpu
        # Neither running nor ready to run.
        wait = total - cpu - (_queued(thread) - record.wait)
        record.wait = max(wait - record.child_wait, 0)
        before, now = record.memory, self.memory() if self.statm is not None else None
        grown = 0 if before is None or now is None else now - before
        record.memory = None if before is None or now is None else grown - record.child_memory
        above = record.above
        if above is not None:
            above.child_cpu += cpu
            above.child_memory += grown
            above.child_wait += wait
        if not thread.stack and thread.schedule is not None and _ident() != self.main:
            _forget(thread)


class _Step:
    """What `_call_with_frames_removed` does around its one call."""

    __slots__ = (
        "tracer", "call", "arguments", "kind", "record", "opened", "unusual", "statements", "begin", "child",
        "entered",
    )  # fmt: skip

    def __init__(self):
        self.record = self.statements = None
        self.opened = self.unusual = False

    def __enter__(self):
        kind = self.kind
        thread = _threads.get(_ident()) or _current_thread()
        skew = thread.skew
        stack = thread.stack
        record = stack[-1] if stack else None
        if kind == "exec":
            code, space = self.arguments[:2]
            name = space.get("__name__")
            if record is None or record.state != _LOADING or record.name != name:
                # Somebody loads by hand: `spec.loader.exec_module(module)`.
                record = self.tracer.open_record(name, _getframe(1), self.entered, self.entered)
                self.opened = self.unusual = True
                self.tracer.start(record, thread)
            file = code.co_filename
            if record.origin is None:
                record.origin = file
            if file in self.tracer.user_files:
                self._split(record, thread, space)
            record.state = _RUNNING
        elif record is None or not record.state or (kind == "compile" and record.state == _RUNNING):
            self.kind = None
            return self.call, self.arguments
        self.record = record
        self.child = record.child
        now = _clock()
        skew = thread.skew = skew + now - self.entered  # what was added in between is in it
        self.begin = now - skew
        return self.call, self.arguments

    def _split(self, record, thread, space):
        """Has the module run statement by statement, from C, so that no frame of ours is between."""
        wall, cpu = _clock(), _cpu_clock()
        codes = _statement_codes(self.arguments[0], space)
        if codes:
            self.unusual = True
            self.statements = _timed(self.tracer, record, self.arguments[0].co_filename, codes)
            self.call = any
            self.arguments = (map(exec, self.statements, [space] * len(codes)),)
        thread.cpu_skew += _cpu_clock() - cpu
        thread.skew += _clock() - wall

    def __exit__(self, failed, error, trace):
        kind = self.kind
        if kind is not None:
            now = _clock()
            record = self.record
            thread = record.on
            skew = thread.skew
            took = now - skew - self.begin - (record.child - self.child)
            if kind == "exec" and record.exec is None:
                record.exec = took
            else:
                setattr(record, kind, (getattr(record, kind) or 0) + took)
            if self.unusual:
                self._end(record, failed, now)
            thread.skew = skew + _clock() - now
        self.arguments = None
        _steps.append(self)

    def _end(self, record, failed, now):
        if self.statements is not None:
            self.statements.close()
        if self.opened:
            self.tracer.close_record(record, failed is not None, now)
        self.opened = self.unusual = False
        self.statements = None


_fresh = [_Record() for _ in range(_RECORDS)]
_used = []
_steps = [_Step() for _ in range(_STEPS)]


def _step(tracer, kind, call, arguments):
    entered = _clock()
    try:
        step = _steps.pop()
    except IndexError:
        step = _Step()
    step.entered = entered
    step.tracer = tracer
    step.kind = kind
    step.call = call
    step.arguments = arguments
    return step


def _timed(tracer, record, file, codes):
    """Gives each statement's code to `exec` and measures until it is asked for the next."""
    thread = _current_thread()
    for code, line, last in codes:
        child, child_cpu, cpu = record.child, record.child_cpu, None
        if tracer.statm is not None:
            cpu = _cpu_clock() - thread.cpu_skew
        begin = _clock() - thread.skew
        try:
            yield code
        finally:
            imports = record.child - child
            took = _clock() - thread.skew - begin - imports
            if cpu is not None:
                cpu = _cpu_clock() - thread.cpu_skew - cpu - (record.child_cpu - child_cpu)
            tracer.statement_rows.append((file, line, last, record.phase, begin, took, cpu, record.name, imports))


def _annotates(node):
    """Whether a statement, not counting functions and classes in it, annotates a name."""
    kind = type(node).__name__
    if kind == "AnnAssign":
        return True
    if kind in ("FunctionDef", "AsyncFunctionDef", "ClassDef"):
        return False
    inner = [part for name in ("body", "orelse", "finalbody", "handlers", "cases") for part in getattr(node, name, None) or ()]
    return any(map(_annotates, inner))


def _statement_codes(code, space):
    """The module's top-level statements as code objects at their places; `None`: run it whole."""
    warnings = _modules["_warnings"]
    filters = getattr(_modules.get("warnings"), "filters", warnings.filters)
    quiet = ("ignore", None, Warning, None, 0)
    flags = code.co_flags & _FUTURES
    try:
        filters.insert(0, quiet)
        warnings._filters_mutated()
        source = posix.open(code.co_filename, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            text = b""
            while True:
                part = posix.read(source, 1 << 20)
                if not part:
                    break
                text += part
        finally:
            posix.close(source)
        tree = compile(text, code.co_filename, "exec", _ONLY_AST | flags, True)
        made = []
        annotated = False
        for number, node in enumerate(tree.body):
            value = getattr(node, "value", None)
            if number and type(node).__name__ == "Expr" and type(value).__name__ == "Constant":
                continue  # alone it would become the docstring
            annotated = annotated or _annotates(node)
            part = compile(type(tree)([node], []), code.co_filename, "exec", flags, True)
            made.append((part, node.lineno, node.end_lineno))
        if annotated:  # is there from the first statement on
            space.setdefault("__annotations__", {})
        return made
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    finally:
        if quiet in filters:
            filters.remove(quiet)
        warnings._filters_mutated()


def install(config):
    """The entry that the bootstrap calls, before the runtime client is imported."""
    _name_as_importer(globals())
    tracer = _Tracer(config)
    _hook_calls(tracer)
    _hook_find(tracer)
    _hook_reads()
    _hook_unmarshal()
    _hook_collector()
    _hook_lazy(tracer)
    _hook_regex(tracer)
    _hook_connections(tracer)
    if config.get("files"):
        _hook_files(tracer)
    if config.get("cached"):
        _hook_cached(tracer)
    _hook_locks(tracer)
    if tracer.user_files:
        compile("", "", "exec", _ONLY_AST)  # its types are made once
    _restore_collector()
