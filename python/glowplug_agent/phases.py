"""Where the agent writes, and which phase of the environment's life it is in.

This file is joined with `pages.py`, `passes.py`, `work.py`, `hooks.py` and `tracer.py`, or with `usage.py`, into the agent that is
executed before any other module is imported. Its code is given the file name `<frozen importlib._bootstrap>`:
tracebacks and `warnings.warn(stacklevel=...)` then pass over its frames. Nothing is
imported that a bare interpreter has not loaded already, so that the modules the function loads
are the same with and without the agent.

The output is a sequence of chunks: `GPT1`, the length of the rest as four bytes, little endian,
and a dictionary of lists in `marshal` format 2, which is the cheapest to write; the rows of imports are packed once
more, each by itself.
"""

import _imp
import marshal
import posix
import sys
import time

_MAGIC = b"GPT1"
# Above what a function opens, below the limit of 1024 that Lambda sets.
_DESCRIPTOR = 1000
_CLIENT = "awslambdaric.lambda_runtime_client"

_FILE_NAME = "<frozen importlib._bootstrap>"

_bootstrap = sys.modules["_frozen_importlib"]
_external = sys.modules["_frozen_importlib_external"]
_NEW = sys.version_info >= (3, 11)


def _private(name):
    """A built-in module of our own: the function's own import of it still happens later."""
    known = sys.modules.get(name)
    if known is not None:
        return known
    __import__(name)
    return sys.modules.pop(name)


_gc = _private("gc")
# What the collector had counted before the agent was compiled, where the loader says it.
_counts = globals().get("_counts") or _gc.get_count()


def _restore_collector():
    """Sets the collector's counts back to where they were before the agent was loaded.

    Collections then happen in the same places as without it. What is made here is kept: it is counted.
    """
    young, middle, old = _counts
    young -= _SETTLING
    if young < 0 and middle > 0:
        young, middle = young + _gc.get_threshold()[0], middle - 1
    for generation, times in ((2, 1), (1, old), (0, middle)):
        for _ in range(times):
            _gc.collect(generation)
    _ballast.extend([] for _ in range(young - _gc.get_count()[0]))


_ballast = []
# What the agent's first imports add to the count on top: frames that were looked at, objects that free lists keep.
# Measured on 3.9 to 3.13: 62 to 128, whatever is imported.
_SETTLING = 75


def _name_as_importer(space):
    """Gives all functions of a namespace the importer's file name."""
    for value in list(space.values()):
        for function in list(vars(value).values()) if type(value) is type else (value,):
            function = getattr(function, "__func__", function)  # a static method
            if hasattr(function, "__code__"):
                _imp._fix_co_filename(function.__code__, _FILE_NAME)


def _erase(error):
    """Takes the calling wrapper out of a traceback that is about to pass through it.

    From Python 3.11 a bare `raise` hands on what is set here; before, the wrapper's own entry
    stays and takes the place of the wrapped function's, whose name it has, with another line.
    That shows only where a finder of the function's own raises under `importlib.import_module`.
    """
    entry = error.__traceback__
    if _NEW:
        error.__traceback__ = entry.tb_next
    elif entry.tb_next is not None:
        entry.tb_next = entry.tb_next.tb_next


class _Phases:
    """Counts the invocations, and has the records written between them."""

    def __init__(self, config, collect, begin=None):
        # 0 is the initialisation, 1 the first invocation.
        self.number = 0
        root = posix.environ.get(b"LAMBDA_TASK_ROOT", b"").decode("utf-8", "surrogateescape")
        self.task_root = (config.get("task_root") or root or posix.getcwd()).rstrip("/")
        self._collect = collect
        self._begin = begin
        # What the agent has taken of the thread's time so far, in ns: an agent that knows replaces it.
        self.skew = int
        self._started = time.perf_counter_ns()
        self._process = posix.getpid()
        self._output = self._open(config["output"])
        self._hello = (list(sys.version_info[:3]), self.task_root, list(sys.modules))
        # Not private: on 3.9 the interpreter only knows the callbacks of the newest copy.
        import atexit

        atexit.register(self.flush)

    @staticmethod
    def _open(path):
        if isinstance(path, int):
            return path  # a descriptor that the starter has opened
        opened = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC, 0o600)
        try:
            kept = posix.dup2(opened, _DESCRIPTOR, False)
        except OSError:
            return opened
        posix.close(opened)
        return kept

    def flush(self, over=True):
        """Writes what was seen since the last time, at the end of a phase or (not `over`) within it.

        A forked child has nothing to say.
        """
        ended = time.perf_counter_ns() - self.skew()
        if posix.getpid() != self._process or self._output is None:
            return
        chunk = self._collect()
        if over:
            chunk["phases"] = [(self.number, self._started, ended)]
        if self._hello is not None:
            chunk["hello"] = [self._hello]
            self._hello = None
        try:
            body = marshal.dumps(chunk, 2)
        except ValueError:  # something that is not what it should be: the function must not notice
            body = marshal.dumps({name: chunk[name] for name in ("phases", "hello") if name in chunk}, 2)
        data = memoryview(_MAGIC + len(body).to_bytes(4, "little") + body)
        try:
            while data:
                data = data[posix.write(self._output, data) :]
        except OSError:
            self._output = None  # the function has closed it, and must not notice

    def attach(self, module):
        """To be called with the runtime client's module once it is loaded."""
        for found in list(vars(module).values()):
            if isinstance(found, type):
                self._attach(found)

    def _attach(self, client):
        wait = vars(client).get("wait_next_invocation")
        if wait is not None:

            def wait_next_invocation(self_, *args, **keywords):
                self.flush()
                try:
                    return wait(self_, *args, **keywords)
                except BaseException as error:
                    _erase(error)
                    raise
                finally:
                    self.number += 1
                    self._started = time.perf_counter_ns() - self.skew()
                    if self._begin is not None:
                        self._begin()

            client.wait_next_invocation = wait_next_invocation
        # A process may be ended as soon as it has answered: what it did is written before.
        for name in ("post_init_error", "post_invocation_result", "post_invocation_error"):
            post = vars(client).get(name)
            if post is not None:
                setattr(client, name, self._flushing(post, name))

    def _flushing(self, post, name):
        def answer(*args, **keywords):
            self.flush()
            try:
                return post(*args, **keywords)
            except BaseException as error:
                _erase(error)
                raise

        answer.__code__ = answer.__code__.replace(co_name=name)
        return answer
