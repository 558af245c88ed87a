//! What is known of the standard library and a few other distributions: which calls, base classes and decorators
//! act on nobody else.
//!
//! Names are dotted as they are imported; `module.*` stands for everything in a module. Built-in names are under
//! `builtins`. What is not here is taken to have an effect.

use super::value::{Handle, Value};
use crate::EffectKind::{self, Patches, Registers, Runs, Starts, Warns};
use crate::Way;

/// Calls that change nothing outside what they give back, an object that nobody else holds.
const PURE: &str = "
    abc.* array.array ast.literal_eval attr.* attrs.* base64.* binascii.* bisect.* calendar.* codecs.getdecoder
    codecs.getencoder codecs.lookup collections.* collections.abc.* contextlib.nullcontext contextlib.suppress
    copy.copy copy.deepcopy ctypes.sizeof dataclasses.field dataclasses.fields dataclasses.is_dataclass
    datetime.* decimal.Context decimal.Decimal difflib.* enum.* fractions.Fraction functools.cached_property
    functools.cache functools.cmp_to_key functools.lru_cache functools.partial functools.partialmethod
    functools.singledispatch functools.singledispatchmethod functools.total_ordering functools.wraps hashlib.*
    html.escape html.unescape importlib.metadata.version importlib.util.find_spec inspect.Parameter
    inspect.cleandoc inspect.getdoc inspect.isclass inspect.isfunction inspect.signature io.BytesIO io.StringIO
    ipaddress.* itertools.* json.JSONDecoder json.JSONEncoder json.dumps json.load json.loads keyword.iskeyword
    locale.getpreferredencoding logging.Filter logging.Formatter logging.NullHandler math.* numbers.*
    numpy.arange numpy.array numpy.asarray numpy.dtype numpy.empty numpy.finfo numpy.float32 numpy.float64
    numpy.iinfo numpy.int32 numpy.int64 numpy.linspace numpy.ones numpy.zeros operator.* os.cpu_count
    os.environ.copy os.environ.get os.environ.items os.environ.keys os.fspath os.getcwd os.getenv os.getpid
    os.listdir os.path.* os.stat os.uname pickle.dumps pkgutil.extend_path platform.* posixpath.* pprint.pformat
    pydantic.AfterValidator pydantic.BeforeValidator pydantic.ConfigDict pydantic.Field pydantic.PlainValidator
    pydantic.StringConstraints pydantic.TypeAdapter pydantic.WrapValidator queue.LifoQueue queue.PriorityQueue
    queue.Queue queue.SimpleQueue re.compile re.escape re.findall re.fullmatch re.match re.search re.split
    reprlib.Repr reprlib.recursive_repr secrets.token_bytes secrets.token_hex shlex.quote shlex.split
    shutil.which statistics.* string.* struct.* sys.exc_info sys.getdefaultencoding sys.getfilesystemencoding
    sys.getsizeof sys.intern sysconfig.get_config_var sysconfig.get_platform tempfile.gettempdir textwrap.*
    threading.BoundedSemaphore threading.Condition threading.Event threading.Lock threading.RLock
    threading.Semaphore threading.current_thread threading.get_ident threading.local time.monotonic
    time.perf_counter time.time types.* typing.* typing_extensions.* unicodedata.* urllib.parse.* uuid.*
    warnings.catch_warnings weakref.* zoneinfo.ZoneInfo
";

/// Exceptions to the above.
const NOT_PURE: &str = "
    calendar.setfirstweekday itertools.tee platform.popen weakref.finalize struct.pack_into operator.setitem
    operator.delitem ipaddress.main base64.main calendar.main types.prepare_class types.new_class operator.iadd
    operator.iconcat operator.ior enum.global_enum
";

/// Built-in functions and classes of the same kind; exceptions are told by their names.
const PURE_BUILTINS: &str = "
    abs all any ascii bin bool bytearray bytes callable chr classmethod compile complex dict dir divmod
    enumerate filter float format frozenset getattr globals hasattr hash hex id int isinstance issubclass iter
    len list locals map max memoryview min next object oct ord pow property range repr reversed round set slice
    sorted staticmethod str sum super tuple type vars zip
";

/// Every other built-in name that a module may use.
const OTHER_BUILTINS: &str = "
    breakpoint delattr eval exec exit help input open print quit setattr __import__ NotImplemented Ellipsis
    KeyboardInterrupt SystemExit GeneratorExit StopIteration StopAsyncIteration Exception BaseException
    ExceptionGroup BaseExceptionGroup Warning __build_class__ __debug__ copyright credits license aiter anext
";

/// Calls that make a class of plain values: it can be called and derived from.
const MAKE_CLASSES: &str = "
    collections.namedtuple typing.NamedTuple typing.NewType typing.ParamSpec typing.TypeVar typing.TypeVarTuple
    typing.TypedDict typing_extensions.NamedTuple typing_extensions.NewType typing_extensions.ParamSpec
    typing_extensions.TypeVar typing_extensions.TypeVarTuple typing_extensions.TypedDict enum.Enum enum.Flag
    enum.IntEnum enum.IntFlag enum.StrEnum
";

/// Classes whose making tells nobody that they were derived from.
const BASES: &str = "
    abc.ABC argparse.Action argparse.ArgumentParser argparse.HelpFormatter ast.NodeTransformer ast.NodeVisitor
    asyncio.Protocol codecs.Codec codecs.IncrementalDecoder codecs.IncrementalEncoder collections.*
    collections.abc.* configparser.ConfigParser contextlib.AbstractAsyncContextManager
    contextlib.AbstractContextManager contextlib.ContextDecorator contextlib.ExitStack csv.Dialect datetime.date
    datetime.datetime datetime.timedelta datetime.tzinfo decimal.Decimal email.message.Message enum.*
    html.parser.HTMLParser http.client.HTTPConnection http.client.HTTPMessage http.client.HTTPResponse
    http.client.HTTPSConnection importlib.abc.Loader importlib.abc.MetaPathFinder io.BufferedIOBase io.BytesIO
    io.IOBase io.RawIOBase io.StringIO io.TextIOBase io.TextIOWrapper json.JSONDecoder json.JSONEncoder
    json.decoder.JSONDecodeError logging.Filter logging.Formatter logging.Handler logging.Logger
    logging.LoggerAdapter logging.NullHandler logging.StreamHandler numbers.* os.PathLike pathlib.Path
    pathlib.PurePath pickle.Pickler pickle.Unpickler pydantic.BaseModel pydantic.main.BaseModel queue.Queue
    string.Formatter string.Template threading.Thread threading.local types.ModuleType types.SimpleNamespace
    typing.* typing_extensions.* unittest.TestCase uuid.UUID weakref.WeakKeyDictionary weakref.WeakSet
    weakref.WeakValueDictionary weakref.ref
";

/// Metaclasses that keep no book of their classes.
const METACLASSES: &str = "
    builtins.type abc.ABCMeta enum.EnumMeta enum.EnumType typing_extensions._ProtocolMeta
";

/// Decorators that give back what they are given, or something that calls it.
const TRANSPARENT: &str = "
    abc.abstractmethod attr.attrs attr.define attr.dataclass attr.frozen attr.mutable attr.s attrs.define
    attrs.frozen attrs.mutable builtins.classmethod builtins.staticmethod dataclasses.dataclass
    enum.member enum.nonmember enum.property enum.unique enum.verify functools.cache functools.lru_cache
    functools.total_ordering functools.wraps pydantic.computed_field pydantic.field_serializer
    pydantic.field_validator pydantic.model_serializer pydantic.model_validator pydantic.with_config
    types.coroutine typing.dataclass_transform typing.final typing.no_type_check typing.overload typing.override
    typing.runtime_checkable typing_extensions.dataclass_transform typing_extensions.deprecated
    typing_extensions.final typing_extensions.overload typing_extensions.override warnings.deprecated
    typing_extensions.runtime typing_extensions.runtime_checkable typing.no_type_check_decorator
";

/// Decorators that make another object of a function, without calling it.
const MAKING: &str = "
    abc.abstractclassmethod abc.abstractproperty abc.abstractstaticmethod builtins.property
    contextlib.asynccontextmanager contextlib.contextmanager functools.cached_property functools.partial
    functools.singledispatch functools.singledispatchmethod pandas._libs.properties.cache_readonly
    reprlib.recursive_repr types.DynamicClassAttribute
";

/// Calls that run what they are given: which positional argument, if any, and which keyword.
const CALLBACKS: &[(&str, Option<usize>, &str)] = &[
    ("builtins.filter", Some(0), ""),
    ("builtins.map", Some(0), ""),
    ("builtins.max", None, "key"),
    ("builtins.min", None, "key"),
    ("builtins.sorted", None, "key"),
    ("builtins.iter", Some(0), ""),
    ("itertools.accumulate", Some(1), "func"),
    ("itertools.dropwhile", Some(0), ""),
    ("itertools.filterfalse", Some(0), ""),
    ("itertools.groupby", Some(1), "key"),
    ("itertools.starmap", Some(0), ""),
    ("itertools.takewhile", Some(0), ""),
];

/// What some calls do, in words.
const SENTENCES: &[(&str, EffectKind, &str)] = &[
    ("atexit.register", Registers, "registers with atexit"),
    ("builtins.eval", Runs, "runs code from a string"),
    ("builtins.exec", Runs, "runs code from a string"),
    ("builtins.print", Warns, "prints"),
    ("codecs.register", Registers, "registers a codec"),
    ("copyreg.pickle", Registers, "registers with copyreg"),
    ("faulthandler.enable", Patches, "installs a fault handler"),
    ("locale.setlocale", Patches, "changes the locale"),
    ("logging.basicConfig", Warns, "configures the root logger"),
    ("logging.captureWarnings", Warns, "sends warnings to the log"),
    ("multiprocessing.set_start_method", Patches, "changes how processes are started"),
    ("os.chdir", Patches, "changes the working directory"),
    ("os.putenv", Patches, "changes the environment variables"),
    ("os.register_at_fork", Registers, "registers with the fork hooks"),
    ("os.umask", Patches, "changes the file mode mask"),
    ("random.seed", Patches, "seeds the random numbers"),
    ("signal.signal", Patches, "installs a signal handler"),
    ("socket.setdefaulttimeout", Patches, "changes the default time limit of sockets"),
    ("sys.setrecursionlimit", Patches, "changes the recursion limit"),
    ("threading.Thread", Starts, "makes a thread"),
    ("time.sleep", Starts, "waits"),
    ("warnings.filterwarnings", Warns, "changes the warning filters"),
    ("warnings.simplefilter", Warns, "changes the warning filters"),
    ("warnings.resetwarnings", Warns, "changes the warning filters"),
    ("warnings.warn", Warns, "warns"),
];

/// Shared things of the process, and what changing them is called.
const SHARED: &[(&str, &str)] = &[
    ("os.environ", "changes the environment variables"),
    ("sys.meta_path", "changes `sys.meta_path`"),
    ("sys.modules", "changes `sys.modules`"),
    ("sys.path", "changes `sys.path`"),
    ("sys.path_hooks", "changes `sys.path_hooks`"),
    ("warnings.filters", "changes the warning filters"),
];

/// Methods of text, numbers and bytes: nothing else that has a method of that name changes anything by it.
const TEXT_METHODS: &str = "
    capitalize casefold decode encode endswith expandtabs isalnum isalpha isdigit isidentifier islower isspace
    isupper ljust lower lstrip partition removeprefix removesuffix rjust rpartition rsplit rstrip split
    splitlines startswith strip swapcase translate upper zfill items keys values
";

/// Methods of text that give text.
const GIVING_TEXT: &str = "
    capitalize casefold decode encode expandtabs format format_map join ljust lower lstrip removeprefix
    removesuffix replace rjust rstrip strip swapcase title translate upper zfill
";

/// Methods by which something is made known to whoever looks it up.
const REGISTERING: &str = "
    add add_command add_handler add_listener add_middleware add_typecast append attach connect extend
    include_router insert listen mount register register_adapter register_converter register_type setdefault
    subscribe update
";

/// Methods of containers that give back something new.
const FRESH: &str = "
    copy items keys values format join union difference intersection
";

/// Methods of `pathlib.Path` that change no file.
const PATH_METHODS: &str = "
    absolute as_posix as_uri exists expanduser glob is_absolute is_dir is_file iterdir joinpath match read_bytes
    read_text relative_to resolve rglob stat with_name with_stem with_suffix
";

/// Whether a method of text gives text, which cannot change.
pub(super) fn gives_text(method: &str) -> bool {
    within(GIVING_TEXT, method)
}

pub(super) fn within(list: &str, path: &str) -> bool {
    list.split_ascii_whitespace().any(|known| match known.strip_suffix(".*") {
        // A module's own contents, not those of the modules below it.
        Some(module) => path
            .strip_prefix(module)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|rest| !rest.contains('.')),
        None => known == path,
    })
}

fn is_exception(builtin: &str) -> bool {
    let named = ["Error", "Exception", "Warning", "ExceptionGroup"].iter().any(|end| builtin.ends_with(end));
    named
        || matches!(
            builtin,
            "KeyboardInterrupt" | "SystemExit" | "GeneratorExit" | "StopIteration" | "StopAsyncIteration"
        )
}

/// Whether a name that the module does not bind is a built-in one.
pub(super) fn is_builtin(name: &str) -> bool {
    within(PURE_BUILTINS, name) || within(OTHER_BUILTINS, name) || is_exception(name)
}

/// What a call of something imported or built in gives, if it is known to act on nobody else.
pub(super) fn pure_call(path: &str) -> Option<Value> {
    if within(MAKE_CLASSES, path) {
        return Some(Value::PlainClass);
    }
    if matches!(
        path,
        "pathlib.Path" | "pathlib.PurePath" | "pathlib.PosixPath" | "pathlib.Path.cwd" | "pathlib.Path.home"
    ) {
        return Some(Value::Handle(Handle::Path));
    }
    if path == "contextvars.ContextVar" {
        return Some(Value::Handle(Handle::Variable));
    }
    if let Some(name) = path.strip_prefix("builtins.") {
        let text = matches!(
            name,
            "str" | "int" | "float" | "bool" | "len" | "repr" | "bytes" | "ord" | "chr" | "hash" | "round"
        );
        let known = within(PURE_BUILTINS, name) || is_exception(name);
        return known.then_some(if text { Value::Text } else { Value::Own });
    }
    (within(PURE, path) && !within(NOT_PURE, path)).then_some(Value::Own)
}

/// Whether a class may be derived from without anybody noticing.
pub(crate) fn is_plain_base(path: &str) -> bool {
    match path.strip_prefix("builtins.") {
        Some(name) => within(PURE_BUILTINS, name) || is_exception(name),
        None => within(BASES, path),
    }
}

/// Whether both are the same thing of `typing`, one of them for interpreters that lack it.
pub(super) fn is_backport(one: &str, other: &str) -> bool {
    fn name(path: &str) -> Option<&str> {
        path.strip_prefix("typing.").or_else(|| path.strip_prefix("typing_extensions."))
    }
    name(one).is_some() && name(one) == name(other)
}

/// Whether a metaclass keeps no book of its classes.
pub(super) fn is_plain_metaclass(path: &str) -> bool {
    within(METACLASSES, path)
}

/// Whether the members of such a class are made by its metaclass while the class is.
pub(super) fn is_enum(path: &str) -> bool {
    path.starts_with("enum.")
}

/// Whether a subscript of a class is the class again, as far as deriving and calling go: `List[int]`.
pub(super) fn is_generic(path: &str) -> bool {
    path.starts_with("builtins.") || within(BASES, path)
}

/// What a decorator makes of a function or a class, if it is known to act on nobody else.
pub(super) fn decorated(path: &str, given: Value) -> Option<Value> {
    if within(TRANSPARENT, path) {
        Some(given)
    } else if within(MAKING, path) {
        Some(Value::Own)
    } else {
        None
    }
}

/// Whether a call of something outside the tree is known to act on nobody else.
pub(crate) fn is_harmless_call(path: &str, way: Way) -> bool {
    let pure = pure_call(path).is_some() && callbacks(path).is_none();
    let decorates = decorated(path, Value::Own).is_some();
    match way {
        Way::Own => pure || decorates,
        Way::Any => pure,
        Way::Decorator => decorates,
    }
}

/// Which arguments a call runs: a position and a keyword.
pub(super) fn callbacks(path: &str) -> Option<(Option<usize>, &'static str)> {
    CALLBACKS.iter().find(|(known, ..)| *known == path).map(|(_, position, keyword)| (*position, *keyword))
}

/// What a call of that path, or of a method of something shared, does, in words.
pub(super) fn sentence(path: &str) -> Option<(EffectKind, &'static str)> {
    let exact = SENTENCES.iter().find(|(known, ..)| *known == path);
    exact.map(|(_, kind, words)| (*kind, *words)).or_else(|| Some((Patches, shared(path)?)))
}

/// Whether what such a call does is there afterwards.
pub(super) fn is_lasting(path: &str) -> bool {
    !within("builtins.eval builtins.exec builtins.print time.sleep warnings.warn", path)
}

/// What changing that object, or something in it, is called.
pub(super) fn shared(path: &str) -> Option<&'static str> {
    let is_in =
        |known: &str| path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    SHARED.iter().find(|(known, _)| is_in(known)).map(|(_, words)| *words)
}

/// Whether a method of a path looks at files.
pub(super) fn is_file_method(name: &str) -> bool {
    within("exists glob is_dir is_file iterdir read_bytes read_text resolve absolute rglob stat", name)
}

/// Whether a method of that name only reads, whatever it is a method of.
pub(crate) fn is_text_method(name: &str) -> bool {
    within(TEXT_METHODS, name)
}

/// Whether a container's method of that name gives something that nobody else holds.
pub(super) fn is_fresh(name: &str) -> bool {
    within(FRESH, name) || within(TEXT_METHODS, name)
}

/// Whether a path's method of that name changes no file.
pub(super) fn is_path_method(name: &str) -> bool {
    within(PATH_METHODS, name)
}

/// Whether a method of that name mostly makes something known to others.
pub(crate) fn is_registering(name: &str) -> bool {
    within(REGISTERING, name)
}
