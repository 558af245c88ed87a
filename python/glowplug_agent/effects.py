"""Loads every deferred import once, after init, and records what that changed outside of what it loaded.

Run as an agent of its own pass on a tree with lazy imports. An import whose load changes nothing that
the modules already there could see may happen later without anybody noticing: that is what the
planner asks. Output: one JSON object, {"effects": [[module, name, [sentence, ...]], ...]}.
"""

import sys

# Standard library state that others read; other containers of the standard library are caches.
_REGISTRIES = {
    ("copyreg", "dispatch_table"),
    ("mimetypes", "types_map"),
    ("builtins", None),
}
_CONTAINERS = ("dict", "list", "set", "OrderedDict", "defaultdict", "deque", "WeakKeyDictionary", "WeakSet",
               "WeakValueDictionary")
# A container with such a name keeps what can be made again: filling it earlier or later is not seen.
_CACHES = ("cache", "memo", "instances", "interned", "seen")
# A container larger than this is compared by its length alone.
_COPIED = 5000


def _standard(name):
    top = name.partition(".")[0]
    known = getattr(sys, "stdlib_module_names", None)
    if known is not None:
        return top in known
    # Before Python 3.10: by the folder; a namespace package has a path and no file.
    module = sys.modules.get(top)
    origin = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), "")
    home = sys.modules["os"].__file__.rpartition("/")[0]
    return not origin or (origin.startswith(home + "/") and "/site-packages/" not in origin)


def _copy(value):
    """A shallow, hashable-free picture of a container: its keys with their values, or its members, by identity."""
    try:
        if len(value) > _COPIED:
            return len(value)
        if hasattr(value, "items"):
            return {id(key): (key, held) for key, held in list(value.items())}
        return {id(member): (member, None) for member in list(value)}
    except Exception:
        return None


def _is_container(value):
    return type(value).__name__ in _CONTAINERS


def _is_cache(name):
    name = name.lower()
    return any(part in name for part in _CACHES)


def _scan(place, namespace, found, deep, own, standard):
    for key, value in list(namespace.items()):
        if not isinstance(key, str) or key.startswith("__") or key == "_abc_impl":
            continue
        here = place + (key,)
        watched = _is_container(value) and (here in _REGISTRIES if standard else not _is_cache(key))
        found[here] = (value, _copy(value) if watched else None)
        if not deep:
            continue
        kind = type(value)
        if isinstance(value, type):
            if value.__module__ == own:
                _scan(here, dict(value.__dict__), found, False, own, standard)
        elif not _is_container(value) and kind.__module__ not in ("builtins", "types"):
            inner = getattr(value, "__dict__", None)
            if type(inner) is dict:
                _scan(here, inner, found, False, own, standard)
        elif kind.__name__ == "function" and value.__dict__:
            _scan(here, value.__dict__, found, False, own, standard)


def _modules(names, support):
    found = {}
    for name in names:
        if name == support:
            continue
        module = sys.modules.get(name)
        namespace = getattr(module, "__dict__", None)
        if type(namespace) is not dict:
            continue
        standard = _standard(name)
        _scan((name,), namespace, found, not standard, name, standard)
    return found


def _serves_itself(finder):
    """Whether an entry of `sys.meta_path` is `six`'s, or a copy's, which finds nothing but its own `six.moves`."""
    known = getattr(finder, "known_modules", None)
    home = type(finder).__module__ + "."
    return type(finder).__name__ == "_SixMetaPathImporter" and all(name.startswith(home) for name in known or ())


def _process():
    """State that belongs to the process: label -> comparable value."""
    state = {}
    os = sys.modules.get("os")
    if os is not None:
        state["os.environ"] = dict(os.environ)
        state["the working directory"] = os.getcwd()
    warnings = sys.modules.get("warnings")
    if warnings is not None:
        # A filter that names a message or a category of its own concerns nobody else.
        state["warnings.filters"] = [
            (f[0], str(f[1]), f[2].__name__, str(f[3]), f[4])
            for f in warnings.filters
            if f[1] is None and f[3] is None and f[2].__module__ == "builtins"
        ]
    signal = sys.modules.get("_signal")
    if signal is not None:
        state["signal handlers"] = [repr(signal.getsignal(n)) for n in range(1, 32)]
    threading = sys.modules.get("threading")
    if threading is not None:
        state["threads"] = sorted(t.name for t in threading.enumerate() if "ThreadPoolExecutor" not in t.name)
    logging = sys.modules.get("logging")
    if logging is not None:
        root = logging.root
        state["the root logger"] = (root.level, [repr(h) for h in root.handlers], root.manager.disable)
        state["logging.getLoggerClass()"] = repr(logging.getLoggerClass())
    socket = sys.modules.get("_socket")
    if socket is not None:
        state["socket.getdefaulttimeout()"] = socket.getdefaulttimeout()
    for attribute in ("path", "meta_path", "path_hooks", "argv"):
        state["sys." + attribute] = [repr(item) for item in getattr(sys, attribute) if not _serves_itself(item)]
    for attribute in ("excepthook", "displayhook", "stdout", "stderr", "unraisablehook"):
        state["sys." + attribute] = id(getattr(sys, attribute, None))
    state["sys.getrecursionlimit()"] = sys.getrecursionlimit()
    return state


def _belongs(value, new):
    """Whether a value is a type, a function or an instance that a newly loaded module defines."""
    module = getattr(value, "__module__", None)
    if isinstance(module, str) and module in new:
        return True
    return getattr(type(value), "__module__", None) in new


def _plain(value):
    return value is None or isinstance(value, (str, bytes, int, float, complex))


def _grown(container, before, after, new, memo):
    """What joined a container, if anybody but the newcomers themselves could look it up.

    Types of the newcomers can be looked up by nobody who has not loaded them, nor can members of a set that are
    theirs; a `memo` of plain values keeps what can be made again.
    """
    if before is None or after is None:
        return False
    if isinstance(before, int) or isinstance(after, int):
        size = before if isinstance(before, int) else len(before)
        return (after if isinstance(after, int) else len(after)) != size
    if any(key not in after for key in before):
        return True
    unordered = type(container).__name__ in ("set", "WeakSet")
    for identity, (key, held) in after.items():
        if identity in before:
            continue
        theirs = _belongs(key, new) and (isinstance(key, type) or unordered)
        if not theirs and not (memo and _plain(key) and _plain(held)):
            return True
    return False


def _sentences(old, now, new, deferred, user):
    out = []
    for place, (value, content) in now.items():
        # A deferred name is there when it has been asked for, with all that hangs on it.
        if place[0] in new or place[:2] in deferred:
            continue
        label = ".".join(place)
        standard = _standard(place[0])
        if place not in old:
            if type(value).__name__ == "module":
                continue
            if standard and place[0] != "builtins":
                continue
            if _belongs(value, new) or len(place) > 2 or place[0] == "builtins":
                out.append("adds `%s`" % label)
            continue
        was, had = old[place]
        if was is not value:
            if was is None or type(value).__name__ == "module":
                continue
            if standard and not callable(value):
                continue
            if callable(value) or _belongs(value, new):
                out.append("replaces `%s`" % label)
            continue
        memo = len(place) > 2 and place[-1].startswith("_") and place[0] not in user
        if content is not None and _grown(value, had, content, new, memo):
            out.append("registers in `%s`" % label)
    return out


def _differences(old, now):
    return ["changes %s" % label for label, value in now.items() if label in old and old[label] != value]


def _measure(force, deferred, support, user):
    results = []
    # What one load left is what the next one finds.
    known = set(sys.modules)
    old, process = _modules(known, support), _process()
    for module, name in force:
        holder = sys.modules.get(module)
        namespace = getattr(holder, "__dict__", None)
        load = namespace.get("__gp_load__") if namespace else None
        if load is None or name in namespace:
            continue
        failure = []
        try:
            load(name)
        except BaseException as error:
            failure = ["fails when loaded alone: %s: %s" % (type(error).__name__, error)]
        everything = set(sys.modules)
        if everything == known and not failure:
            # No module's body has run.
            results.append([module, name, []])
            continue
        now, state = _modules(everything, support), _process()
        found = _sentences(old, now, everything - known, deferred, user) + _differences(process, state)
        results.append([module, name, failure or found[:8]])
        known, old, process = everything, now, state
    return results


def install(config):
    output = open(config["output"], "w", encoding="utf-8")
    from awslambdaric import lambda_runtime_client

    client = lambda_runtime_client.LambdaRuntimeClient
    original = client.wait_next_invocation
    done = []

    def wait_next_invocation(self):
        request = original(self)
        if not done:
            done.append(True)
            import json

            # A load may replace `json.dumps` itself.
            encode = json.JSONEncoder().encode
            results = _measure(
                [tuple(pair) for pair in config["force"]],
                {tuple(pair) for pair in config["deferred"]},
                config["support"],
                set(config["user"]),
            )
            output.write(encode({"effects": results}))
            output.close()
        return request

    client.wait_next_invocation = wait_next_invocation
