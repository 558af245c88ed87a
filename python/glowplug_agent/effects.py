"""Loads every deferred import once, after init, and records what that changed outside of what it loaded.

Run as an agent of its own pass on a tree with lazy imports. An import whose load changes nothing that
the modules already there could see may happen later without anybody noticing: that is what the
planner asks. Output: one JSON object, {"effects": [{"module", "name", "effects": [sentence, ...],
"log": [line, ...]}, ...], "error": sentence or null}, where `log` is what the load wrote to the standard
streams. `force` is in the order in which the loads happen; what is in `alone` is also loaded in a copy of the process, as
the first of all.

This file is joined behind `pictures.py`.
"""

import posix
import sys

# Copies of the process in which something is loaded alone: how many at a time, for how many seconds, and how much of an
# error they tell, which fits into a pipe.
_COPIES, _PATIENCE, _MESSAGE = 2, 20, 2000
# Values of one module that are made in a copy of the process first, all together: mostly nobody sees any of them.
_TOGETHER = 64


class _Heard:
    """A standard stream that keeps what is written to it."""

    encoding, errors = "utf-8", "replace"

    def __init__(self):
        self.parts = []

    def write(self, text):
        self.parts.append(text)
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return False


class _Warned:
    """Names of the categories of what is warned of meanwhile, unless a filter of its own decides what becomes of it."""

    def __init__(self, matters):
        self.categories = []
        self.module = sys.modules.get("warnings") if matters else None

    def __enter__(self):
        if self.module is None:
            return self
        import re

        module, self.shows = self.module, self.module._showwarnmsg
        # The pattern tells it from what `simplefilter` makes.
        self.filter = "always", re.compile(""), Warning, None, 0

        def decides(known, message):
            _, text, category, where, line = known
            fits = (text is None or text.match(str(message.message))) and issubclass(message.category, category)
            return known is self.filter or fits and where is None and line in (0, message.lineno)

        def showwarnmsg(message):
            first = next((known for known in module.filters if decides(known, message)), self.filter)
            if first is self.filter:
                self.categories.append(message.category.__name__)
            self.shows(message)

        module._showwarnmsg = showwarnmsg
        module.filters.insert(0, self.filter)
        module._filters_mutated()
        return self

    def __exit__(self, *error):
        if self.module is not None:
            self.module._showwarnmsg = self.shows
            self.module.filters[:] = [known for known in self.module.filters if known is not self.filter]
            self.module._filters_mutated()


def _loader(module, name):
    """What loads a deferred name, if it is there and has not been loaded yet."""
    namespace = getattr(sys.modules.get(module), "__dict__", None)
    load = namespace.get("__gp_load__") if namespace else None
    return None if load is None or name in namespace else load


def _bring(modules):
    """Loads modules that hold deferred imports and that no event has loaded yet."""
    streams = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = _Heard()
    try:
        for module in modules:
            try:
                __import__(module)
            except BaseException:
                pass  # what it holds is not compared then
    finally:
        sys.stdout, sys.stderr = streams


def _try(load, name, output):
    """In a copy of the process: loads a name, and writes down how that failed."""
    sys.stdout = sys.stderr = _Heard()
    try:
        load(name)
    except BaseException as error:
        posix.write(output, ("%s: %s" % (type(error).__name__, error)).encode("utf-8", "replace")[:_MESSAGE])
    finally:
        posix._exit(0)


def _fails_alone(pairs):
    """Name -> how its load fails as the first of all, for those that do: modules that import each other may have to be
    begun at the right end. What loads then loads after others, too: they can only have loaded some of it already.
    Each is loaded in a copy of the process, several at a time; one that hangs says nothing."""
    import time

    failures, running, waiting = {}, {}, [pair for pair in pairs if _loader(*pair)]
    while waiting or running:
        while waiting and len(running) < _COPIES:
            pair = waiting.pop(0)
            output, inside = posix.pipe()
            posix.set_blocking(output, False)  # a process that the load has left behind may hold the other end
            child = posix.fork()
            if child == 0:
                _try(_loader(*pair), pair[1], inside)
            posix.close(inside)
            running[child] = pair, output, time.monotonic() + _PATIENCE
        for child, (pair, output, end) in list(running.items()):
            ended = posix.waitpid(child, posix.WNOHANG)[0]
            if not ended and time.monotonic() < end:
                continue
            if not ended:
                posix.kill(child, 9)
                posix.waitpid(child, 0)
            try:
                said = posix.read(output, _MESSAGE)
            except BlockingIOError:
                said = b""
            posix.close(output)
            del running[child]
            if said:
                failures[pair] = said.decode("utf-8", "replace")
        time.sleep(0.002)
    return failures


def _measure(force, alone, about):
    """What each load changes: first of what is deferred in the modules that are there, then in those that only events
    load."""
    for path in _UNSEEN:
        _count(path)
    later, later_alone = ([pair for pair in pairs if pair[0] not in sys.modules] for pairs in (force, alone))
    results = _compare([pair for pair in force if pair not in later], alone, about)
    if later or later_alone:
        _bring(dict.fromkeys(module for module, _ in later + later_alone))
        results += _compare(later, later_alone, about)
    return results


class _About:
    """What is known of the tree: pairs of modules and names that are deferred, those whose values are made, the name of
    the support module, and the user's own modules."""

    def __init__(self, config):
        self.deferred = {tuple(pair) for pair in config["deferred"]}
        self.values = {tuple(pair) for pair in config["values"]}
        self.support = config["support"]
        self.user = set(config["user"])
        # Whether it matters what a load warns of.
        self.warnings = config["warnings"]


class _Load:
    """One load of a deferred name: how it failed, what it wrote and what it warned of."""

    def __init__(self, load, name, about):
        self.error = None
        streams = sys.stdout, sys.stderr
        heard, warned = _Heard(), _Warned(about.warnings)
        sys.stdout, sys.stderr = heard, heard
        try:
            with warned:
                load(name)
        except BaseException as error:
            self.error = "%s: %s" % (type(error).__name__, error)
        finally:
            # A stream that the load itself has put there stays, and is told.
            if sys.stdout is heard:
                sys.stdout = streams[0]
            if sys.stderr is heard:
                sys.stderr = streams[1]
        self.log = "".join(heard.parts).splitlines()
        self.warnings = list(dict.fromkeys(warned.categories))

    def is_silent(self):
        return not (self.error or self.log or self.warnings)


class _Seen:
    """The process as the last load left it, which is what the next one finds."""

    def __init__(self, about, last=None):
        self.modules, self.process = set(sys.modules), _process()
        self.picture = _picture(last.picture if last else {}, about.support)

    def changes(self, now, about):
        found = _sentences(self.picture, now.picture, now.modules - self.modules, about)
        return found + _differences(self.process, now.process)


def _groups(force, failing, about):
    """The loads in their order; values of one module together."""
    groups, joins = [], False
    for pair in force:
        is_value = pair in about.values and pair not in failing
        if joins and is_value and groups[-1][0][0] == pair[0] and len(groups[-1]) < _TOGETHER:
            groups[-1].append(pair)
        else:
            groups.append([pair])
        joins = is_value
    return groups


def _are_unseen(group, seen, about):
    """Whether a copy of the process that makes these values looks the same afterwards."""
    import time

    child = posix.fork()
    if child == 0:
        unseen = False
        try:
            loads = [(_loader(module, name), name) for module, name in group]
            silent = all(_Load(load, name, about).is_silent() for load, name in loads if load is not None)
            unseen = silent and set(sys.modules) == seen.modules and not seen.changes(_Seen(about, seen), about)
        finally:
            posix._exit(0 if unseen else 1)
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        ended, status = posix.waitpid(child, posix.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.002)
    posix.kill(child, 9)
    posix.waitpid(child, 0)
    return False


def _compare(force, alone, about):
    failing = {pair: ["fails when loaded alone: " + error] for pair, error in _fails_alone(alone).items()}
    results = [
        {"module": pair[0], "name": pair[1], "effects": failure, "log": []}
        for pair, failure in failing.items()
        if pair not in force
    ]
    seen = _Seen(about)
    waiting, told = {pair for pair in force if pair in about.values and _loader(*pair)}, False
    for group in _groups(force, failing, about):
        unseen = len(group) > 1 and _are_unseen(group, seen, about)
        for module, name in group:
            load = _loader(module, name)
            if load is None:
                # Another one has made it, and nobody saw that.
                if (module, name) in waiting and not told:
                    results.append({"module": module, "name": name, "effects": [], "log": []})
                continue
            failure = failing.get((module, name), [])
            made, found = _Load(load, name, about), []
            if made.error:
                failure = ["fails when loaded alone: " + made.error]
            # An import of what is there runs nothing.
            is_value = (module, name) in about.values and not unseen
            if is_value or failure or set(sys.modules) != seen.modules:
                now = _Seen(about, seen)
                found = ["warns of a %s" % category for category in made.warnings] + seen.changes(now, about)
                seen = now
            told = told or bool(failure or found)
            results.append({"module": module, "name": name, "effects": failure or found[:8], "log": made.log})
        if unseen:
            seen = _Seen(about, seen)
    return results


def install(config):
    output = open(config["output"], "w", encoding="utf-8")
    from awslambdaric import lambda_runtime_client

    client = lambda_runtime_client.LambdaRuntimeClient
    original = client.wait_next_invocation

    def wait_next_invocation(self):
        original(self)
        import json

        # A load may replace `json.dumps` itself.
        encode = json.JSONEncoder().encode
        if config["warnings"]:
            import re, warnings  # noqa: E401, F401  # are there then
        try:
            force, alone = ([tuple(pair) for pair in config[name]] for name in ("force", "alone"))
            results = _measure(force, alone, _About(config))
            told = {"effects": results, "error": None}
        except Exception as error:
            told = {"effects": [], "error": "%s: %s" % (type(error).__name__, error)}
        output.write(encode(told))
        output.close()
        # What the copies of this process have closed may be half closed here: it serves nothing any more.
        posix._exit(0)

    client.wait_next_invocation = wait_next_invocation
