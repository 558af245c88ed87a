//! Top-level modules that are there without being in the tree: the standard library's, and what Lambda's runtime brings.

/// `sys.stdlib_module_names` of Python 3.10 to 3.13, with what 3.9 still had and 3.14 has; names with an underscore in
/// front apart.
const STANDARD: &str = "
    abc aifc annotationlib antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64
    bdb binascii binhex bisect builtins bz2 cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop
    collections colorsys compileall compression concurrent configparser contextlib contextvars copy copyreg
    crypt csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest email encodings
    ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch formatter fractions ftplib functools
    gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http idlelib
    imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache locale
    logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib msvcrt multiprocessing
    netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os ossaudiodev parser pathlib
    pdb pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty
    pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource
    rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr
    socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string
    stringprep struct subprocess sunau symbol symtable sys sysconfig syslog tabnanny tarfile telnetlib
    tempfile termios textwrap this threading time timeit tkinter token tokenize tomllib trace traceback
    tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib uu uuid venv warnings wave
    weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo
";

/// What Lambda's managed runtimes have beside it, for functions that do not ship it.
const RUNTIME: &str = "
    awslambdaric boto3 botocore dateutil jmespath s3transfer simplejson six snapshot_restore_py urllib3
";

/// Whether a top-level module can be imported although the tree does not have it.
pub(crate) fn is_provided(top: &str) -> bool {
    let within = |list: &str| list.split_ascii_whitespace().any(|known| known == top);
    top.starts_with('_') || within(STANDARD) || within(RUNTIME)
}

#[cfg(test)]
mod tests {
    use super::is_provided;

    #[test]
    fn the_standard_library_and_the_runtime_are_there() {
        for top in ["os", "zoneinfo", "distutils", "_ssl", "__future__", "boto3"] {
            assert!(is_provided(top), "{top}");
        }
        assert!(!is_provided("greenlet") && !is_provided("OpenSSL"));
    }
}
