"""Makes deferred imports happen at first use, with the semantics of PEP 810.

A module whose bytecode defers imports begins by calling `attach`. What was

    import pandas as pd

is gone from its body; each use of `pd` has become `pd if __gp_pd__ else __gp_load__("pd")`, and
the statement itself stands, with its own line, in the function `run` that `attach` is given. So does

    s3 = boto3.client("s3")

where the client is made at its first use, once.

Annotations of functions that use such a name wait too: `typed` makes the decorator that gives a
function a dictionary which evaluates them when somebody looks into it, and `variables` what gives a
class one. A class that a deferred name is used for is itself made at its first use.
"""

import _thread
import sys

_modules = sys.modules
# Names that the edits add to a module; nobody who lists it should see them.
_PREFIX, _SUFFIX = "__gp_", "__"


def attach(namespace, run, names, submodules=(), made=()):
    """The functions `__gp_load__`, `__getattr__` and `__dir__` of a module.

    `namespace` is its dictionary, `run(name)` executes the statement that binds a deferred name,
    `names` are those names, `submodules` are submodules of a package that others rely on without
    importing them, `made` are the names whose statements are no imports.
    """
    names = frozenset(names)
    # A module that is loaded again binds them anew, as its statements did.
    for name in names:
        namespace.pop(name, None)
        _values.pop((namespace["__name__"], name), None)

    def bind(name):
        # An assignment from outside wins, as it would over an import that has run.
        if name in namespace:
            return namespace[name]
        _tell(namespace, name)
        if "." in name:
            # A submodule that an import of this module no longer loads; nobody but a checker asks for it here.
            __import__(name)
            return _modules[name]
        if name in made:
            _once(namespace, run, name)
        else:
            run(name)
        namespace[_PREFIX + name + _SUFFIX] = True
        return namespace[name]

    def bring(name):
        full = namespace["__name__"] + "." + name
        new = full not in _modules
        if new:
            _tell(namespace, name)
        # It may be loading at this moment, and bound to its package only when it is done: another thread waits
        # for it in the import, this one gets it as it is.
        __import__(full)
        if new:
            _lend(full)
        return _modules[full]

    load, load_submodule = _Loader(bind, namespace), _Loader(bring, namespace)

    def __getattr__(name):
        if name in names:
            return load(name)
        if name in submodules:
            return load_submodule(name)
        raise _missing(namespace, name)

    def __dir__(as_dictionary=False):
        visible = _visible(namespace, names)
        return dict.fromkeys(visible) if as_dictionary else visible

    return load, __getattr__, __dir__


_HIGHEST_LIMIT = 2**31 - 1
# The recursion limit that could not be given back yet, and the one that is there instead.
_owed = []


class _Loader:
    """A module's `__gp_load__`. What copies a function with the names that it uses finds it by the module."""

    __slots__ = ("bind", "namespace")

    def __init__(self, bind, namespace):
        self.bind = bind
        self.namespace = namespace

    def __call__(self, name):
        # Deep in calls it gets as much of the stack as at the module's top, unless other threads run: the limit is
        # everybody's. The stack may be full, so that until then only C is called.
        limit = sys.getrecursionlimit()
        try:
            sys._getframe(limit // 4)
            deep = not _thread._count()
        except ValueError:
            deep = False
        if not deep:
            if _owed:
                _give_back(*_owed)
            return self.bind(name)
        # Whatever the depth is, it is less than the limit.
        raised = min(2 * limit, _HIGHEST_LIMIT)
        try:
            sys.setrecursionlimit(raised)
            return self.bind(name)
        finally:
            _give_back(limit, raised)

    def later(self, name):
        """Has a name bound that what has just been made may be asked for, unless this thread is about that already, or the
        module has not come so far."""
        thread = _thread.get_ident()
        if ((self.namespace["__name__"], name), thread) in _begun:
            return
        # What one of them names in turn waits in line: a long chain is no deep one.
        waiting = _waiting.get(thread)
        if waiting is not None:
            waiting.append((self, name))
            return
        _waiting[thread] = waiting = [(self, name)]
        try:
            for loader, name in waiting:
                try:
                    loader(name)
                except Exception:
                    if not _is_loading(loader.namespace):
                        raise
        finally:
            del _waiting[thread]

    def __reduce__(self):
        return _loader, (self.namespace["__name__"],)


def _give_back(limit, raised):
    """Lowers the recursion limit to what it was, unless somebody has set another one meanwhile."""
    if _owed:
        limit = _owed[0]
        del _owed[:]
    if sys.getrecursionlimit() != raised:
        return
    # It must be above the depth, in Python 3.9 by fifty.
    for more in (0, 2, 60):
        try:
            sys.setrecursionlimit(limit + more)
        except RecursionError:
            continue
        if more:
            _owed[:] = limit, limit + more
        return


def _loader(module):
    """The loader of a module, which is imported for it."""
    __import__(module)
    return _modules[module].__dict__[_PREFIX + "load" + _SUFFIX]


# The lock that the import system has for each module: a thread may take it twice, and two threads that wait for
# each other, for modules or for values, are found out.
_Lock = _modules["_frozen_importlib"]._ModuleLock
_Deadlock = _modules["_frozen_importlib"]._DeadlockError
_locks = {}
# Values that are being made: key and thread.
_begun = set()
# Thread -> loaders and names that the text in annotations of what was just made asks for.
_waiting = {}
# (module, name) -> the value that was made. `mock.patch` deletes the name and asks for it again.
_values = {}


def _once(namespace, run, name):
    """Runs the statement that makes a value, in one thread; others wait for what it makes."""
    key = namespace["__name__"], name
    if key in _values:
        namespace[name] = _values[key]
        return
    lock = _locks.setdefault(key, _Lock("%s.%s" % key))
    try:
        lock.acquire()
    except _Deadlock:
        # As with modules that import each other in two threads: better twice than never. What was there first counts.
        if name not in namespace:
            run(name)
            namespace[name] = _values.setdefault(key, namespace[name])
        return
    made = key, _thread.get_ident()
    try:
        if name not in namespace:
            _begun.add(made)
            run(name)
            namespace[name] = _values.setdefault(key, namespace[name])
    finally:
        _begun.discard(made)
        lock.release()


def _tell(namespace, name):
    """Tells a tracer, if there is one, that a deferred import is about to happen."""
    observer = _modules.get("_glowplug_observer")
    if observer is not None:
        observer(namespace["__name__"], name)


def chain(ours, theirs, names):
    """A module's own `__getattr__` behind ours, which is asked for `names` alone."""
    names = frozenset(names)

    def __getattr__(name):
        if name in names:
            return ours(name)
        return theirs(name)

    # A warning of theirs that names its caller skips frames of the import machinery.
    __getattr__.__code__ = __getattr__.__code__.replace(co_filename="<frozen importlib._bootstrap>")
    return __getattr__


# Package of the standard library -> submodules that somebody reads there without importing them.
_lent = {}


def lend(package, name):
    """Has a package of the standard library load a submodule that is read there before anybody imports it."""
    _lent.setdefault(package, set()).add(name)
    if "." not in package:
        try:
            __import__(package)
        except ImportError:
            # It is no part of the standard library, and not there.
            return
    _lend(package)


def _lend(package):
    """Gives a package that is loaded its `__getattr__`, once."""
    module = _modules.get(package)
    if module is not None and package in _lent and "__getattr__" not in module.__dict__:
        module.__getattr__ = attach(module.__dict__, None, (), _lent[package])[1]


class Annotations(dict):
    """The `__annotations__` of a function until somebody looks into them, and its equal from then on; those of a class
    for good.

    Every method works on `made`, the plain dictionary that the function has from the first look on.
    """

    # `evaluate` is called with what is `held`; without it they are somebody's own.
    __slots__ = ("evaluate", "held", "function", "made")


# C code that asks a dictionary for its size before it calls a method (`json`) must not take it for empty.
_UNREAD = {"return": None}
# Two threads may evaluate at the same time; what the first one has made is what counts. Nothing is imported
# under this lock.
_making = _thread.RLock()


def typed(evaluate):
    """The decorator that gives a function annotations which `evaluate` makes when they are first read.

    `evaluate(line, parts)` knows a function by the first line of its code; `parts` are those of its annotations that
    have been evaluated.
    """

    def wait(function):
        annotations = Annotations(_UNREAD)
        annotations.evaluate = evaluate
        annotations.held = function.__code__.co_firstlineno, function.__annotations__
        annotations.function = function
        function.__annotations__ = annotations
        return function

    return wait


def variables(evaluate):
    """What makes the `__annotations__` of a class, which `evaluate` knows by its line."""

    def waiting(line):
        annotations = Annotations(_UNREAD)
        annotations.evaluate = evaluate
        annotations.held = line, None
        return annotations

    return waiting


def named(load):
    """What makes decorators of functions whose annotations are text: who looks into them may evaluate it in the names of
    the module, so that those which it has are bound then. While the module is loading, what cannot be made yet would
    not be bound either.

    `load` is the module's loader.
    """

    def evaluate(names, text):
        try:
            for name in names:
                load(name)
        except Exception:
            if _is_loading(load.namespace):
                return None
            raise
        return _made(text) if isinstance(text, Annotations) else text

    def binding(*names):
        def wait(function):
            annotations = Annotations(_UNREAD)
            annotations.evaluate = evaluate
            annotations.held = names, function.__annotations__
            annotations.function = function
            function.__annotations__ = annotations
            return function

        return wait

    return binding


def _made(annotations):
    """The plain dictionary behind, evaluated if it has not been."""
    try:
        return annotations.made
    except AttributeError:
        pass
    evaluate = getattr(annotations, "evaluate", None)
    # `type(annotations)(pairs)` has none.
    made = dict(dict.items(annotations)) if evaluate is None else evaluate(*annotations.held)
    if made is None:
        # Too early: they are text as yet, and are looked at again.
        text = annotations.held[1]
        return _made(text) if isinstance(text, Annotations) else text
    function = getattr(annotations, "function", None)
    with _making:
        if not hasattr(annotations, "made"):
            dict.clear(annotations)
            dict.update(annotations, made)
            annotations.made = made
            if function is not None and function.__annotations__ is annotations:
                function.__annotations__ = made
    return annotations.made


def _forwarded(method, binary):
    """A method of `dict` that works on what is behind; `binary` where the other operand may be one of ours too."""

    def forward(annotations, *arguments, **keywords):
        if binary:
            arguments = [_made(other) if isinstance(other, Annotations) else other for other in arguments]
        return method(_made(annotations), *arguments, **keywords)

    forward.__name__ = method.__name__
    return forward


for _name in (
    "__contains__ __delitem__ __getitem__ __iter__ __len__ __repr__ __reversed__ __setitem__ "
    "clear copy get items keys pop popitem setdefault update values"
).split():
    setattr(Annotations, _name, _forwarded(getattr(dict, _name), False))
for _name in "__eq__ __ne__ __or__ __ror__ __ior__".split():
    setattr(Annotations, _name, _forwarded(getattr(dict, _name), True))
# Copies and pickles are plain, and so is what `fromkeys` makes.
Annotations.__reduce_ex__ = lambda annotations, protocol: (dict, (_made(annotations).copy(),))
Annotations.fromkeys = dict.fromkeys


def _visible(namespace, names):
    hidden = {"__getattr__", "__dir__"}
    return sorted(
        {name for name in namespace if not (name.startswith(_PREFIX) and name.endswith(_SUFFIX))} - hidden | names
    )


def _is_loading(namespace):
    """Whether the module's body has not come to its end."""
    return getattr(namespace.get("__spec__"), "_initializing", False)


def _missing(namespace, name):
    """The error that a module without `__getattr__` raises, in the same words."""
    module = namespace.get("__name__")
    if not isinstance(module, str):
        text = "module has no attribute %r" % (name,)
    elif _is_loading(namespace):
        text = "partially initialized module %r has no attribute %r (most likely due to a circular import)"
        text = text % (module, name)
    else:
        text = "module %r has no attribute %r" % (module, name)
    error = AttributeError(text)
    if sys.version_info >= (3, 10):
        error.name = name
        error.obj = _modules.get(module)
    return error
