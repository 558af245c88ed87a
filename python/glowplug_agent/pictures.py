"""Pictures of what everybody can see of a process: the modules that are there and what hangs on them, and the state of
the process itself; and what two of them say has changed between them.

`effects.py` is joined behind this file.
"""

import posix
import sys

# Standard library state that others read; other containers of the standard library are caches.
_REGISTRIES = {
    ("copyreg", "dispatch_table"),
    ("logging", "_levelToName"),
    ("mimetypes", "types_map"),
    ("shutil", "_ARCHIVE_FORMATS"),
    ("shutil", "_UNPACK_FORMATS"),
    ("sqlite3", "adapters"),
    ("sqlite3", "converters"),
    ("xml.etree.ElementTree", "_namespace_map"),
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


def _attribute(value, name):
    """An attribute, or nothing: a proxy that stands for what is not there raises whatever it likes."""
    try:
        return getattr(value, name, None)
    except Exception:
        return None


def _is_type(value):
    return issubclass(type(value), type)


def _is_cache(name):
    name = name.lower()
    return any(part in name for part in _CACHES)


class _Space:
    """A namespace as it was: its names, and which of its values are looked into."""

    __slots__ = ("key", "names", "containers", "inner")

    def __init__(self, key, namespace, place, deep, own, standard):
        self.key = key
        # Holding the values keeps their identities from being used again.
        self.names = {
            name: value
            for name, value in namespace.items()
            if isinstance(name, str) and not name.startswith("__") and name != "_abc_impl"
        }
        self.containers = []
        self.inner = []
        for name, value in self.names.items():
            kind = type(value)
            if kind.__name__ in _CONTAINERS:
                if (place + (name,) in _REGISTRIES) if standard else not _is_cache(name):
                    self.containers.append((name, value))
            elif not deep or issubclass(kind, type(sys)):  # a module is looked at by itself, of whatever kind
                continue
            elif _is_type(value):
                if value.__module__ == own:
                    self.inner.append((name, value))
            elif kind.__name__ == "function" or kind.__module__ not in ("builtins", "types"):
                self.inner.append((name, value))


def _identities(container):
    """The keys or members of a container by identity, which is quick to compare."""
    try:
        if len(container) > _COPIED:
            return len(container)
        return list(map(id, list(container)))
    except Exception:
        return None


def _contents(container):
    """Its keys with their values, or its members, by identity."""
    try:
        if len(container) > _COPIED:
            return {}
        if hasattr(container, "items"):
            return {id(key): (key, held) for key, held in list(container.items())}
        return {id(member): (member, None) for member in list(container)}
    except Exception:
        return {}


def _look(place, namespace, deep, own, standard, before, after):
    """Enters a namespace and what is in it: as it was found before, where nothing has changed."""
    namespace = dict(namespace)
    key = list(map(id, namespace.values()))
    known = before.get(place)
    if known is not None and known[0].key == key:
        space, seen = known
    else:
        space, seen = _Space(key, namespace, place, deep, own, standard), known[1] if known is not None else {}
    held = {}
    for name, container in space.containers:
        now, was = _identities(container), seen.get(name)
        held[name] = was if was is not None and was[0] == now else (now, _contents(container))
    after[place] = (space, held)
    for name, value in space.inner:
        inner = _attribute(value, "__dict__")
        if _is_type(value) or (inner and type(inner) is dict):
            _look(place + (name,), inner, False, own, standard, before, after)


def _is_another_entry(name, module):
    """Whether a module has an entry under its own name besides: what changes in it is told there."""
    own = _attribute(module, "__name__")
    return isinstance(own, str) and own != name and sys.modules.get(own) is module


def _picture(before, support):
    """What everybody can see of the modules that are there."""
    after = {}
    for name in list(sys.modules):
        module = sys.modules.get(name)
        namespace = _attribute(module, "__dict__")
        if name == support or type(namespace) is not dict or _is_another_entry(name, module):
            continue
        standard = _standard(name)
        _look((name,), namespace, not standard, name, standard, before, after)
    return after


def _serves_itself(finder):
    """Whether an entry of `sys.meta_path` is `six`'s, or a copy's, which finds nothing but its own `six.moves`."""
    known = _attribute(finder, "known_modules")
    home = type(finder).__module__ + "."
    return type(finder).__name__ == "_SixMetaPathImporter" and all(name.startswith(home) for name in known or ())


# Functions that register where nobody can look -> how often they were called.
_UNSEEN = ("codecs.register", "codecs.register_error", "sys.addaudithook")
_calls = dict.fromkeys(_UNSEEN, 0)


def _count(path):
    """Counts the calls of a function from now on."""
    module, _, name = path.partition(".")
    original = getattr(sys.modules.get(module), name, None)

    def counting(*arguments, **keywords):
        _calls[path] += 1
        return original(*arguments, **keywords)

    if original is not None:
        setattr(sys.modules[module], name, counting)


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
        usual = (logging.Logger, logging.PlaceHolder, logging.getLoggerClass())
        made = list(root.manager.loggerDict.items())
        state["loggers of a kind of their own"] = sorted(name for name, log in made if type(log) not in usual)
    state.update(("what `%s` keeps" % path, calls) for path, calls in _calls.items())
    encoder = sys.modules.get("json.encoder")
    if encoder is not None:
        state["json.JSONEncoder.default"] = id(encoder.JSONEncoder.default)
    decimal = sys.modules.get("_decimal")
    if decimal is not None:
        # Its flags say what was computed, and nobody computes otherwise for them.
        context = decimal.getcontext()
        settings = context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp
        state["the context of decimal"] = settings, repr([kind for kind, on in context.traps.items() if on])
    csv = sys.modules.get("_csv")
    if csv is not None:
        state["the dialects of csv"] = sorted(csv.list_dialects())
        state["csv.field_size_limit()"] = csv.field_size_limit()
    thread = sys.modules.get("_thread")
    if thread is not None:
        state["threading.stack_size()"] = thread.stack_size()
    gc = sys.modules.get("gc")
    if gc is not None:
        state["gc"] = gc.get_threshold(), gc.isenabled()
    locale = sys.modules.get("_locale")
    if locale is not None:
        state["the locale"] = locale.setlocale(locale.LC_ALL)
    mask = posix.umask(0)
    posix.umask(mask)
    state["the file mode mask"] = mask
    state["sys.get_int_max_str_digits()"] = getattr(sys, "get_int_max_str_digits", int)()
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
    module = _attribute(value, "__module__")
    if isinstance(module, str) and module in new:
        return True
    return _attribute(type(value), "__module__") in new


def _comes_from(kind, new):
    """Whether a type is one of a newly loaded module. Native ones may claim a home that does not exist."""
    if _belongs(kind, new):
        return True
    if _attribute(kind, "__module__") in sys.modules:
        return False
    spaces = [_attribute(sys.modules.get(name), "__dict__") for name in new]
    return any(value is kind for space in spaces if type(space) is dict for value in list(space.values()))


def _plain(value):
    return value is None or isinstance(value, (str, bytes, int, float, complex))


def _grown(container, before, after, new, memo, own):
    """Whether something joined a container that anybody but the newcomers themselves could look up.

    Types of the newcomers can be looked up by nobody who has not loaded them, nor can members of a set that are
    theirs, or functions for which a library keeps others; a `memo` of plain values keeps what can be made again.
    """
    (was, before), (now, after) = before, after
    if was is None or now is None:
        return False
    if isinstance(was, int) or isinstance(now, int):
        return (was if isinstance(was, int) else len(was)) != (now if isinstance(now, int) else len(now))
    if any(key not in after for key in before):
        return True
    unordered = type(container).__name__ in ("set", "WeakSet")
    about_functions = not own and hasattr(container, "items")
    for identity, (key, held) in after.items():
        if identity in before:
            continue
        free = unordered or about_functions and type(key).__name__ == "function" and callable(held)
        theirs = _comes_from(key, new) if isinstance(key, type) else free and _belongs(key, new)
        if not theirs and not (memo and _plain(key) and _plain(held)):
            return True
    return False


def _fills_itself(name):
    """Whether a module adds names to itself when they are asked for: by its own `__getattr__`, or a type of its own."""
    module = sys.modules.get(name)
    if type(module) is not type(sys):
        return issubclass(type(module), type(sys))
    answers = vars(module).get("__getattr__")
    # An edited module answers for what is deferred in it; one that answered for something before has both, chained.
    return answers is not None and (
        "__gp_load__" not in vars(module) or getattr(answers, "__qualname__", "").startswith("chain.")
    )


def _renamed(label, place, names, old, new, standard):
    """What new and changed names of one namespace say."""
    out = []
    filled = len(place) == 1 and _fills_itself(place[0])
    for name, value in names.items():
        module = type(value).__name__ == "module"
        if name not in old:
            if module or filled or (standard and place[0] != "builtins"):
                continue
            if _belongs(value, new) or len(place) > 1 or place[0] == "builtins":
                out.append("adds `%s.%s`" % (label, name))
        elif old[name] is not value and old[name] is not None:
            if module:
                # The import system binds a submodule in its package, whatever had that name there.
                replaced = not standard and not isinstance(old[name], type(sys))
            else:
                replaced = (callable(value) or _belongs(value, new)) and (callable(value) or not standard)
            if replaced:
                out.append("replaces `%s.%s`" % (label, name))
    return out


def _is_another(place, before, after):
    """Whether the name at a place inside of a namespace has another value than it had."""
    holder, now = before.get(place[:-1]), after.get(place[:-1])
    if holder is None or now is None:
        return False
    return holder[0].names.get(place[-1]) is not now[0].names.get(place[-1])


def _sentences(before, after, new, about):
    out = []
    deferred, user = about.deferred, about.user
    for place, (space, held) in after.items():
        # A deferred name is there when it has been asked for, with all that hangs on it.
        if place[0] in new or place[:2] in deferred:
            continue
        label, standard = ".".join(place), _standard(place[0])
        was = before.get(place)
        # What another object than before holds is told with the name that holds it, or is nobody's affair (`None`).
        told = was is None and len(place) > 1 and _is_another(place, before, after)
        if not told and (was is None or was[0] is not space):
            names = space.names
            if len(place) == 1:
                names = {name: value for name, value in names.items() if (place[0], name) not in deferred}
            out += _renamed(label, place, names, was[0].names if was else {}, new, standard)
        for name, container in space.containers:
            if was is None or place[:1] + (name,) in deferred and len(place) == 1:
                continue
            known = was[1].get(name)
            if known is None or known is held[name] or was[0].names.get(name) is not container:
                continue
            memo = len(place) > 1 and name.startswith("_") and place[0] not in user
            if _grown(container, known, held[name], new, memo, place[0] in user):
                out.append("registers in `%s.%s`" % (label, name))
    return out


def _differences(old, now):
    return ["changes %s" % label for label, value in now.items() if label in old and old[label] != value]


