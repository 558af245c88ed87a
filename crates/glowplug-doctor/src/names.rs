//! Names that the rules know: modules of the standard library, what the Lambda runtime brings, backports, tools of
//! development.

use glowplug_core::PythonVersion;

/// Modules that a file of the same name would hide, in every version from 3.9 to 3.13: `sys.stdlib_module_names`
/// without those built into the interpreter, which are found before any file, and without toys.
const STANDARD: &str = "abc argparse array ast asyncio base64 bdb binascii bisect bz2 cProfile calendar cmath cmd code \
    codecs codeop collections colorsys compileall concurrent configparser contextlib contextvars copy copyreg csv \
    ctypes curses dataclasses datetime dbm decimal difflib dis doctest email encodings ensurepip enum fcntl filecmp \
    fileinput fnmatch fractions ftplib functools genericpath getopt getpass gettext glob graphlib grp gzip hashlib \
    heapq hmac html http imaplib importlib inspect io ipaddress json keyword linecache locale logging lzma mailbox \
    math mimetypes mmap modulefinder multiprocessing netrc ntpath nturl2path numbers opcode operator optparse os \
    pathlib pdb pickle pickletools pkgutil platform plistlib poplib posixpath pprint profile pstats pty py_compile \
    pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource rlcompleter runpy sched secrets \
    select selectors shelve shlex shutil signal site smtplib socket socketserver sqlite3 sre_compile sre_constants \
    sre_parse ssl stat statistics string stringprep struct subprocess symtable sysconfig syslog tabnanny tarfile \
    tempfile termios textwrap threading timeit tkinter token tokenize trace traceback tracemalloc tty turtle types \
    typing unicodedata unittest urllib uuid venv warnings wave weakref webbrowser wsgiref xml xmlrpc zipapp zipfile \
    zipimport zlib zoneinfo";
/// Built into the interpreter.
const BUILT_IN: &str = "atexit builtins errno faulthandler gc itertools marshal posix pwd sys time";
/// Removed with 3.12 (PEP 594 and others), and with 3.13.
const UNTIL_3_11: &str = "asynchat asyncore distutils imp smtpd";
const UNTIL_3_12: &str = "aifc audioop cgi cgitb chunk crypt imghdr mailcap nis nntplib ossaudiodev pipes sndhdr spwd \
    sunau telnetlib uu xdrlib";

fn among(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == name)
}

/// Whether a file could hide a module of the standard library of this name.
pub(crate) fn can_be_hidden(name: &str, python: PythonVersion) -> bool {
    among(STANDARD, name)
        || (name == "tomllib" && python >= PythonVersion::new(3, 11))
        || (python < PythonVersion::new(3, 12) && among(UNTIL_3_11, name))
        || (python < PythonVersion::new(3, 13) && among(UNTIL_3_12, name))
}

/// Whether the standard library has a top-level module of this name.
pub fn is_standard(name: &str, python: PythonVersion) -> bool {
    name.starts_with('_') || among(BUILT_IN, name) || can_be_hidden(name, python)
}

/// The AWS SDK as the managed Python runtimes bring it: "Runtime-included SDK versions",
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html>.
pub(crate) const RUNTIME_SDK: &[&str] = &["boto3", "botocore", "jmespath", "s3transfer"];
/// The runtime client of the managed Python runtimes.
pub(crate) const RUNTIME_CLIENT: &[&str] = &["awslambdaric", "snapshot-restore-py"];
/// What those two need, and the runtime therefore has too: of use to nobody else who cares for the version.
pub(crate) const RUNTIME_NEEDS: &[&str] = &["python-dateutil", "simplejson", "six", "urllib3"];

/// A distribution that brings an older Python what a newer one has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backport {
    /// Normalised name.
    pub(crate) key: &'static str,
    /// The first version that does not need it.
    pub(crate) since: PythonVersion,
    /// What takes its place.
    pub(crate) instead: &'static str,
}

const fn backport(key: &'static str, minor: u8, instead: &'static str) -> Backport {
    Backport { key, since: PythonVersion::new(3, minor), instead }
}

/// Known backports. Those that go on where the standard library stops (`typing-extensions`, `importlib-metadata`'s and
/// `importlib-resources`' newer features aside) are not among them.
pub(crate) const BACKPORTS: &[Backport] = &[
    backport("aiocontextvars", 7, "contextvars"),
    backport("argparse", 2, "argparse"),
    backport("async-timeout", 11, "asyncio.timeout"),
    backport("asyncio", 4, "asyncio"),
    backport("backports-cached-property", 8, "functools.cached_property"),
    backport("backports-datetime-fromisoformat", 11, "datetime.fromisoformat"),
    backport("backports-strenum", 11, "enum.StrEnum"),
    backport("backports-zoneinfo", 9, "zoneinfo"),
    backport("configparser", 2, "configparser"),
    backport("contextvars", 7, "contextvars"),
    backport("dataclasses", 7, "dataclasses"),
    backport("enum34", 4, "enum"),
    backport("exceptiongroup", 11, "ExceptionGroup"),
    backport("functools32", 2, "functools"),
    backport("futures", 2, "concurrent.futures"),
    backport("graphlib-backport", 9, "graphlib"),
    backport("hashlib", 2, "hashlib"),
    backport("importlib-metadata", 10, "importlib.metadata"),
    backport("importlib-resources", 12, "importlib.resources"),
    backport("ipaddress", 3, "ipaddress"),
    backport("multiprocessing", 2, "multiprocessing"),
    backport("ordereddict", 2, "collections.OrderedDict"),
    backport("pathlib", 4, "pathlib"),
    backport("pathlib2", 4, "pathlib"),
    backport("pickle5", 8, "pickle"),
    backport("selectors2", 4, "selectors"),
    backport("singledispatch", 4, "functools.singledispatch"),
    backport("statistics", 4, "statistics"),
    backport("subprocess32", 2, "subprocess"),
    backport("taskgroup", 11, "asyncio.TaskGroup"),
    backport("tomli", 11, "tomllib"),
    backport("typing", 5, "typing"),
    backport("unittest2", 2, "unittest"),
    backport("uuid", 2, "uuid"),
    backport("wsgiref", 2, "wsgiref"),
    backport("zipp", 12, "zipfile.Path"),
];

/// Tools that develop, test, check, build and document a program, by normalised name.
const TOOLS: &[&str] = &[
    "autopep8",
    "bandit",
    "black",
    "build",
    "bump2version",
    "commitizen",
    "coverage",
    "cython-lint",
    "debugpy",
    "docformatter",
    "factory-boy",
    "flake8",
    "flit",
    "hatch",
    "hatchling",
    "ipdb",
    "ipykernel",
    "ipython",
    "isort",
    "jedi",
    "jupyter",
    "jupyter-client",
    "jupyter-core",
    "jupyterlab",
    "line-profiler",
    "memory-profiler",
    "moto",
    "mypy",
    "mypy-extensions",
    "nbconvert",
    "nbformat",
    "nose",
    "notebook",
    "nox",
    "pdm",
    "pip",
    "pip-tools",
    "pipenv",
    "poetry",
    "poetry-core",
    "pre-commit",
    "py-spy",
    "pycodestyle",
    "pydocstyle",
    "pyflakes",
    "pylint",
    "pyright",
    "pytest",
    "responses",
    "ruff",
    "safety",
    "setuptools",
    "snakeviz",
    "sphinx",
    "tox",
    "twine",
    "uv",
    "vulture",
    "watchdog",
    "wheel",
    "yapf",
];
/// Beginnings and endings of names of such tools' plugins and of packages of type stubs.
const TOOL_PREFIXES: &[&str] = &["flake8-", "mypy-boto3", "pylint-", "pytest-", "sphinxcontrib-", "types-"];
const TOOL_SUFFIXES: &[&str] = &["-stubs"];

/// Whether a distribution is a tool of development.
pub(crate) fn is_tool(key: &str) -> bool {
    TOOLS.contains(&key)
        || TOOL_PREFIXES.iter().any(|start| key.starts_with(start))
        || TOOL_SUFFIXES.iter().any(|end| key.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(minor: u8) -> PythonVersion {
        PythonVersion::new(3, minor)
    }

    #[test]
    fn the_standard_library_shrinks_and_grows() {
        assert!(
            can_be_hidden("email", at(13)) && can_be_hidden("cgi", at(12)) && can_be_hidden("imp", at(11))
        );
        assert!(
            !can_be_hidden("cgi", at(13))
                && !can_be_hidden("imp", at(12))
                && !can_be_hidden("tomllib", at(10))
        );
        assert!(!can_be_hidden("sys", at(12)) && is_standard("sys", at(12)) && is_standard("_thread", at(9)));
        assert!(!is_standard("requests", at(12)));
    }

    #[test]
    fn tools_and_their_plugins_are_known_and_libraries_are_not() {
        for key in ["pytest", "pytest-cov", "mypy-boto3-s3", "boto3-stubs", "types-requests"] {
            assert!(is_tool(key), "{key}");
        }
        for key in ["requests", "typing-extensions", "pytz", "mypy-like", "packaging"] {
            assert!(!is_tool(key), "{key}");
        }
    }

    #[test]
    fn tables_are_sorted_so_that_nothing_stands_in_them_twice() {
        assert!(BACKPORTS.is_sorted_by(|a, b| a.key < b.key));
        assert!(TOOLS.is_sorted_by(|a, b| a < b));
    }
}
