"""Snapshot start: an initialised process waits in its restore call, and is forked for each execution environment.

Runs in the function's process. The runtime client calls `restore_next` when init and the hooks before a snapshot are
over; the engine asks for forks by a channel, and in each fork that call goes on to the engine as the client wrote it.
What cannot be shared between forks is looked for first, and named: then nothing is forked, and the engine goes on without
this process.
"""

import os
import sys

# Flags of unshare(2), mount(2), capset(2), prctl(2).
_CLONE_NEWUSER, _CLONE_NEWNS, _MS_BIND = 0x10000000, 0x00020000, 0x1000
# The number of move_mount(2) on every machine, and its flags.
_MOVE_MOUNT, _AT_FDCWD, _MOVE_MOUNT_F_EMPTY_PATH = 429, -100, 4
_CAPABILITY_VERSION, _PR_CAPBSET_DROP = 0x20080522, 24
# CAP_DAC_OVERRIDE, which the host's root keeps to read trees of others.
_KEPT, _LAST_CAPABILITY = 0b10, 63
# Flags that mean the opening of a file and not what can be done with it.
_ONCE = os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_NOCTTY | os.O_NOFOLLOW
_LARGEST_MESSAGE, _MOST_DESCRIPTORS, _INT_BYTES = 65536, 16, 4
_GPU = ("/dev/nvidia", "/dev/dri", "/dev/kfd")


def install(descriptor, folder, empty, event):
    """Has the client's restore call wait for forks, whose files are in `folder`, which each of them sees as `empty`.
    `event` is served once before the hooks, as JSON text, or None.
    """
    from awslambdaric import lambda_runtime_client, lambda_runtime_hooks_runner

    failure = []
    if event is not None:
        hooks = lambda_runtime_hooks_runner.run_before_snapshot

        def run_before_snapshot():
            lambda_runtime_hooks_runner.run_before_snapshot = hooks
            try:
                _warm(event)
            except Exception as error:
                failure.append("the warm event failed: %s: %s" % (type(error).__name__, error))
            hooks()

        lambda_runtime_hooks_runner.run_before_snapshot = run_before_snapshot
    classes = [kind for kind in vars(lambda_runtime_client).values() if "restore_next" in getattr(kind, "__dict__", ())]
    originals = [(kind, kind.restore_next) for kind in classes]

    def restore_next(self):
        for kind, original in originals:
            kind.restore_next = original
        _wait(descriptor, (folder, empty), failure)
        return self.restore_next()

    for kind in classes:
        kind.restore_next = restore_next


def _warm(event):
    """One event through the handler, as the client would call it."""
    import importlib
    import json

    from awslambdaric.lambda_context import LambdaContext

    module, _, name = os.environ["_HANDLER"].rpartition(".")
    handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    region, function = os.environ["AWS_REGION"], os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    arn = "arn:aws:lambda:%s:123456789012:function:%s" % (region, function)
    context = LambdaContext("00000000-0000-4000-8000-000000000000", None, None, (1 << 62), arn)
    handler(json.loads(event), context)


def _speak():
    """One harmless request, as the client makes them: what that loads is then there for all forks."""
    import http.client

    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.connect()
    connection.request("GET", "/2018-06-01/ping")
    connection.getresponse().read()
    connection.close()


def _wait(descriptor, folders, refused):
    """Returns in a fork, or here where there can be none."""
    import json
    import socket

    import _signal

    channel = socket.socket(fileno=descriptor)
    _speak()
    # Forks are children, of which this process hears itself.
    handler = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    refused = refused or _unsafe(descriptor)
    if refused:
        channel.send(json.dumps({"refused": refused}).encode())
        channel.close()
        return
    # A timer of init would end all forks.
    _signal.setitimer(_signal.ITIMER_REAL, 0)
    system = _System()
    sys.stdout.flush()
    sys.stderr.flush()
    notes = _generators()
    import gc

    gc.collect()
    # A collection in a fork would write to every object that it shares.
    gc.freeze()
    channel.send(json.dumps({"ready": True, "notes": notes}).encode())
    while True:
        request, descriptors = _receive(channel)
        if not request:
            os._exit(0)
        request = json.loads(request)
        if "reap" in request:
            channel.send(json.dumps(_reap(request["reap"])).encode())
            continue
        try:
            child = os.fork()
        except OSError:
            # The engine notices: nobody says that it is there.
            child = -1
        if child == 0:
            channel.close()
            _become(request, descriptors, folders, system)
            if handler is not None:
                _signal.signal(_signal.SIGCHLD, handler)
            return
        for number in descriptors:
            os.close(number)


def _reap(child):
    """How a fork ended, which has."""
    try:
        _, status, used = os.wait4(child, 0)
    except ChildProcessError:
        return {"status": 9, "cpu_ns": 0, "peak_kib": 0}
    return {"status": status, "cpu_ns": int((used.ru_utime + used.ru_stime) * 1e9), "peak_kib": used.ru_maxrss}


def _receive(channel):
    import socket

    space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * _INT_BYTES)
    request, ancillary, _, _ = channel.recvmsg(_LARGEST_MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
    numbers = []
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            whole = len(content) - len(content) % _INT_BYTES
            numbers += memoryview(content[:whole]).cast("i").tolist()
    return request, numbers


def _become(request, descriptors, folders, system):
    """Makes a fork an environment: its own control groups, output, files, and randomness."""
    import socket

    engine = socket.socket(fileno=descriptors[0])
    try:
        disk = descriptors.pop(2) if request["disk"] else None
        for number in descriptors[2:]:
            os.write(number, b"0")
            os.close(number)
        os.setsid()
        os.dup2(descriptors[1], 1)
        os.dup2(descriptors[1], 2)
        os.close(descriptors[1])
        system.own_temporary_files(request["tmp"], disk, *folders)
        # By its name: the folder of that name may be another one now.
        os.chdir(os.getcwd())
        _reopen(engine.fileno())
    except Exception as error:
        engine.send(("failed %s" % error).encode())
        os._exit(1)
    engine.send(b"here %d" % os.getpid())
    if not engine.recv(1):
        os._exit(0)
    engine.close()
    _reseed()


def _reopen(engine):
    """Files keep their place, which forks would share; those of `/tmp` are now this process's own."""
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        path = "/proc/self/fd/%d" % number
        try:
            target = os.readlink(path)
        except OSError:
            continue
        if number <= 2 or number == engine or not target.startswith("/") or target.startswith("/dev/"):
            continue
        with open("/proc/self/fdinfo/%d" % number) as info:
            fields = dict(line.split(":", 1) for line in info.read().splitlines() if ":" in line)
        flags = int(fields["flags"], 8) & ~(_ONCE | os.O_TMPFILE & ~os.O_DIRECTORY)
        own = target == "/tmp" or target.startswith("/tmp/")
        opened = os.open(target if own else path, flags | os.O_CLOEXEC)
        try:
            os.lseek(opened, int(fields["pos"]), os.SEEK_SET)
        except OSError:
            pass
        os.dup2(opened, number, os.get_inheritable(number))
        os.close(opened)


def _reseed():
    """CPython has seeded `random` anew; the generators of others it does not know. What is not loaded has no state."""
    numpy = sys.modules.get("numpy.random.mtrand")
    if numpy is not None:
        numpy._rand.seed()
    torch = sys.modules.get("torch.random")
    if torch is not None:
        torch.seed()


def _generators():
    """Generators made at init, which are the same in all forks: the function may mean that, so they are told of only."""
    import gc

    random = sys.modules.get("random")
    kinds = (random.Random,) if random is not None else ()
    secure = (random.SystemRandom,) if random is not None else ()
    known = {id(getattr(random, "_inst", None)), id(getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None))}
    found = {}
    for thing in gc.get_objects():
        kind = type(thing)
        name = "%s.%s" % (kind.__module__, kind.__qualname__)
        numpy = name in ("numpy.random._generator.Generator", "numpy.random.mtrand.RandomState")
        plain = issubclass(kind, kinds) and not issubclass(kind, secure)
        if (plain or numpy) and id(thing) not in known:
            found[name] = found.get(name, 0) + 1
    return [
        "%d `%s` made at init: the same numbers in every environment, unless seeded anew after the restore" % (count, name)
        for name, count in sorted(found.items())
    ]


def _unsafe(channel):
    """What cannot be shared between forks, in words."""
    return _threads() + _descriptors(channel) + _shared_memory() + _children()


def _threads():
    threading = sys.modules.get("threading")
    if threading is not None:
        main = threading.main_thread()
        alive = [thread for thread in threading.enumerate() if thread is not main]
        if alive:
            return ["a live thread, `%s`" % thread.name for thread in alive]
    # Libraries end their own threads before a fork, if they know of it: those that are there after one stay.
    import time
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            os._exit(0)
    os.waitpid(child, 0)
    own = str(os.getpid())
    for _ in range(20):
        others = [task for task in os.listdir("/proc/self/task") if task != own]
        if not others:
            return []
        time.sleep(0.005)
    return ["a live thread that is not Python's, `%s`" % _name(task) for task in others]


def _name(task):
    try:
        with open("/proc/%s/comm" % task) as name:
            return name.read().strip()
    except OSError:
        return task


def _descriptors(channel):
    import socket

    found = []
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        try:
            target = os.readlink("/proc/self/fd/%d" % number)
        except OSError:
            continue
        if number <= 2 or number == channel:
            continue
        if target.startswith("socket:"):
            with socket.socket(fileno=os.dup(number)) as opened:
                network = opened.family in (socket.AF_INET, socket.AF_INET6)
                try:
                    peer = " to %s:%d" % opened.getpeername()[:2] if network else ""
                except OSError:
                    peer = ""
            found.append("an open network socket" + peer if network else "an open local socket")
        elif target.startswith("pipe:"):
            found.append("an open pipe")
        elif target.startswith("anon_inode:"):
            kind = target[len("anon_inode:") :].strip("[]")
            names = {"eventpoll": "an event loop (epoll)", "io_uring": "an io_uring"}
            found.append(names.get(kind, "an open descriptor of kind `%s`" % kind))
        elif target.startswith("/memfd:"):
            found.append("an open memory file, `%s`" % target)
        elif target.startswith(_GPU):
            found.append("a GPU, `%s`" % target)
        elif target.startswith("/tmp/") and _is_database(target):
            # It checks that its file is the one that it has opened.
            found.append("an open database, `%s`" % target)
        elif target.startswith("/tmp/") and target.endswith(" (deleted)"):
            found.append("an open file that has no name any more, `%s`" % target[: -len(" (deleted)")])
    return found


def _is_database(path):
    try:
        with open(path, "rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def _shared_memory():
    with open("/proc/self/maps") as maps:
        lines = [line.split(None, 5) for line in maps]
    paths = {parts[5].strip() if len(parts) > 5 else "" for parts in lines if parts[1][1] == "w" and parts[1][3] == "s"}
    return ["memory that is shared, `%s`" % path for path in sorted(paths)]


def _children():
    """Processes beside this one and those above it, which are children or were left behind by some."""
    above = {os.getpid()}
    at = os.getpid()
    while at > 1:
        with open("/proc/%d/stat" % at) as file:
            at = int(file.read().rpartition(")")[2].split()[1])
        above.add(at)
    others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) not in above | {1}]
    return ["another process, `%s`" % _name(other) for other in others]


class _System:
    """System calls that Python has no names for. What is loaded for them leaves no trace among the modules."""

    def __init__(self):
        before = set(sys.modules)
        import ctypes

        self.ctypes = ctypes
        self.library = ctypes.CDLL(None, use_errno=True)
        for name in set(sys.modules) - before:
            del sys.modules[name]

    def _check(self, result):
        if result != 0:
            number = self.ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def own_temporary_files(self, temporary, disk, folder, empty):
        """Another `/tmp`, a folder or the mount of a disk, in mounts of this process's own, and then no right to mount any more."""
        user, group = os.getuid(), os.getgid()
        self._check(self.library.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
        for path, text in (
            ("setgroups", "deny"),
            ("uid_map", "%d %d 1" % (user, user)),
            ("gid_map", "%d %d 1" % (group, group)),
        ):
            # The function's own `/proc` is read-only.
            with open("%s/proc/self/%s" % (folder, path), "w") as file:
                file.write(text)
        if disk is not None:
            number, here = self.ctypes.c_long(_MOVE_MOUNT), self.ctypes.c_long(_AT_FDCWD)
            self._check(self.library.syscall(number, disk, b"", here, b"/tmp", _MOVE_MOUNT_F_EMPTY_PATH))
            os.close(disk)
        for source, target in ((temporary, "/tmp"), (empty, folder))[disk is not None :]:
            self._check(self.library.mount(source.encode(), target.encode(), None, _MS_BIND, None))
        for capability in range(_LAST_CAPABILITY + 1):
            if not _KEPT >> capability & 1:
                self.library.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        kept = _KEPT if user == 0 else 0
        header = (self.ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        self._check(self.library.capset(header, (self.ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)))
