"""What code spends its time on besides importing: regular expressions, connections, waiting.

Joined after `passes.py` and before `hooks.py`. Each hook waits for the module that it wraps a function of, so that
nothing is imported that the function would not import; a wrapper takes itself out of tracebacks.
"""

_REGEX = "re._compiler" if _NEW else "sre_compile"


def _queued(thread):
    """Nanoseconds for which the thread was ready and had to wait for a processor; 0 where the kernel does not say."""
    if thread.schedule is None:
        try:
            thread.schedule = posix.open("/proc/thread-self/schedstat", posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            thread.schedule = -1
    if thread.schedule < 0:
        return 0
    try:
        return int(posix.pread(thread.schedule, 96, 0).split()[1])
    except (OSError, ValueError, IndexError):  # the function has closed the descriptor, or taken its number
        thread.schedule = -1
        return 0


def _forget(thread):
    """Its number may go to another thread: what is open belongs to this one."""
    if thread.schedule >= 0:
        try:
            posix.close(thread.schedule)
        except OSError:
            pass
    thread.schedule = None


def _when_loaded(tracer, name, hook):
    """Once: a module that is thrown away and loaded again finds what it shares with others wrapped already."""

    def first(module):
        tracer.on_load.pop(name, None)
        hook(module)

    module = sys.modules.get(name)
    if module is None:
        tracer.on_load[name] = first
    else:
        hook(module)


def _hook_regex(tracer):
    """The time in which patterns are compiled, by the module whose body asks for it."""

    def hook(module):
        original = module.compile

        def compile(p, flags=0):
            begin = _clock()
            try:
                return original(p, flags)
            except BaseException as error:
                _erase(error)
                raise
            finally:
                thread = _threads.get(_ident())
                if thread is not None and thread.stack:
                    thread.stack[-1].regex += _clock() - begin

        module.compile = compile

    _when_loaded(tracer, _REGEX, hook)


def _address(address):
    if type(address) is tuple and len(address) >= 2:
        return "%s:%s" % address[:2]
    if type(address) is bytes:
        return address.decode("utf-8", "replace")
    return str(address)


def _hook_connections(tracer):
    """Names looked up and connections opened from Python, but the runtime client's own."""
    own = posix.environ.get(b"AWS_LAMBDA_RUNTIME_API", b"").decode("utf-8", "replace")

    def note(kind, address, begin):
        took = _clock() - begin
        where = _address(address)
        if where != own:
            row = (kind, where, tracer.phases.number, begin, took, _ident() == tracer.main)
            tracer.connection_rows.append(row)

    def connecting(original):
        def connect(self, address):
            begin = _clock()
            try:
                return original(self, address)
            except BaseException as error:
                _erase(error)
                raise
            finally:
                note("connect", address, begin)

        return connect

    def hook(module):
        kind = module.socket
        for name in ("connect", "connect_ex"):
            method = connecting(getattr(kind, name))
            method.__code__ = method.__code__.replace(co_name=name)
            method.__name__ = name
            method.__qualname__ = "socket." + name
            method.__doc__ = getattr(kind, name).__doc__
            setattr(kind, name, method)
        low = sys.modules["_socket"]
        look_up = low.getaddrinfo

        def getaddrinfo(host, port, *arguments, **keywords):
            begin = _clock()
            try:
                return look_up(host, port, *arguments, **keywords)
            except BaseException as error:
                _erase(error)
                raise
            finally:
                note("resolve", (host, port), begin)

        low.getaddrinfo = getaddrinfo

    _when_loaded(tracer, "socket", hook)
