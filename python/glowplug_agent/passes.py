"""What the tracer records in passes of its own, since it costs time that the figures would show.

Joined after `phases.py` and `pages.py`, and before `work.py`. Each hook adds rows to the tracer that it is given.
"""


def _hook_files(tracer):
    """Files opened, in order, which parts of mapped ones were touched, and processes started; an audit hook stays for
    good."""
    seen = {_MAPS, _PAGEMAP}
    opened = set()
    reading = []  # threads that read headers for us

    def note(path):
        if path in seen:
            return
        seen.add(path)
        try:
            size = posix.stat(path).st_size
        except (OSError, ValueError):
            return
        tracer.file_rows.append((path, size, tracer.phases.number))

    def audit(event, arguments):
        if event == "open":
            path = arguments[0]
            if type(path) is bytes:
                path = path.decode("utf-8", "surrogateescape")
            if type(path) is not str or _ident() in reading:
                return
            opened.add(path)
            note(path)
        elif event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.fork"):
            what = arguments[0] if arguments else "fork"
            tracer.process_rows.append((event, str(what), tracer.phases.number))

    sys.addaudithook(audit)
    collect = tracer._collect

    def _collect():
        # Native libraries are mapped by the linker, which tells nobody; where it puts them differs from start to start.
        ident = _ident()
        reading.append(ident)
        try:
            mapped = _mapped()
            parts = _touched({path: mapped[path] for path in mapped if path not in opened})
        finally:
            reading.remove(ident)
        for path in sorted(mapped):
            note(path)
        # What was read too is needed whole.
        tracer.part_rows.extend((path, None if path in opened else parts.get(path)) for path in sorted(mapped))
        return collect()

    tracer.phases._collect = _collect


def _hook_cached(tracer):
    """Imports of what is loaded already: they cost next to nothing, and show who needs what."""
    builtins = sys.modules["builtins"]
    original = builtins.__import__
    seen = set()

    def __import__(name, globals=None, locals=None, fromlist=(), level=0):
        frame = sys._getframe(1)
        place = (frame.f_code, frame.f_lineno)
        if place not in seen:
            target = name
            if level and globals is not None:
                package = (globals.get("__package__") or "").split(".")
                base = ".".join(package[: len(package) - level + 1])
                target = base + "." + name if name else base
            wanted = [target] + [target + "." + part for part in fromlist or () if type(part) is str]
            for module in wanted:
                if module in sys.modules:
                    seen.add(place)
                    tracer.cached_rows.append((
                        module, frame.f_code.co_filename, frame.f_lineno,
                        frame.f_globals.get("__name__") or "", tracer.phases.number,
                        "MainThread" if _ident() == tracer.main else _thread_name(),
                    ))  # fmt: skip
        del frame, place
        try:
            return original(name, globals, locals, fromlist, level)
        except BaseException as error:
            _erase(error)
            raise

    builtins.__import__ = __import__
