//! Which modules had functions run, on every interpreter.

use glowplug_test::clients;
use glowplug_trace::usage;

use crate::fixtures::FILES;
use crate::support::{Function, engine};

#[test]
fn functions_count_and_bodies_do_not() {
    for python in clients() {
        let function = Function::new(&python, FILES);
        let usage = usage(engine(), &function.spec, Some(("go", b"{}".as_slice()))).unwrap();
        let version = python.version;
        assert!(usage.init.contains("lib.heavy"), "a function ran at import, Python {version}");
        assert!(!usage.init.contains("lib.other"), "class body and comprehension are body, Python {version}");
        assert!(!usage.init.contains("app"), "Python {version}");
        assert!(usage.event.contains("lib.late") && usage.event.contains("app"), "Python {version}");
        assert!(!usage.event.contains("lib.heavy") && !usage.event.contains("lib.other"), "Python {version}");
    }
}

#[test]
fn threads_natives_and_the_second_phase_count() {
    for python in clients() {
        let app = "import binascii, threading, work\nwork.both()\nsorted([2, 1], key=lambda v: v)\n\
                   def handler(event, context):\n    thread = threading.Thread(target=work.threaded)\n    thread.start()\n    thread.join()\n    work.both()\n    return binascii.hexlify(b'x').decode()\n";
        let work = "import threaded\ndef both():\n    return 1\ndef threaded():\n    globals()['thread'] = __import__('threaded').run()\n";
        let function = Function::new(
            &python,
            &[("app.py", app), ("work.py", work), ("threaded.py", "def run():\n    return 1\n")],
        );
        let usage = usage(engine(), &function.spec, Some(("go", b"{}".as_slice()))).unwrap();
        let version = python.version;
        assert!(usage.init.contains("work") && usage.event.contains("work"), "Python {version}");
        assert!(usage.event.contains("threaded") && !usage.init.contains("threaded"), "Python {version}");
        assert!(usage.event.contains("binascii") && !usage.init.contains("binascii"), "Python {version}");
        assert!(!usage.init.contains("app"), "a lambda that the body runs is body, Python {version}");
    }
}

#[test]
fn a_proxy_is_not_asked_for_what_it_stands_for() {
    for python in clients() {
        let app = "class Proxy:\n    def __getattr__(self, name):\n        raise RuntimeError('touched ' + name)\n    def __call__(self):\n        return 1\n\
                   proxy = Proxy()\ndef handler(event, context):\n    return proxy()\n";
        let function = Function::new(&python, &[("app.py", app)]);
        let usage = usage(engine(), &function.spec, Some(("go", b"{}".as_slice()))).unwrap();
        assert!(usage.event.contains("app"), "Python {}", python.version);
    }
}
