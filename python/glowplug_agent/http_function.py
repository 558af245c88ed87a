"""Makes a Lambda handler an HTTP server: the entry point of images for Knative and Cloud Run.

    HANDLER=app.handler PORT=8080 python http_entry.py

This is the first of four parts, which are joined: the handler, found, called and logged as the runtime client does it.
A request becomes the event of a function URL (payload format 2.0), the handler's result a response by the same rules.
The handler's module is loaded before the port is open, so that who can connect finds it initialised. With a concurrency
of one, as on Lambda, the handler runs in the main thread; connections are read and written by threads of their own.

Variables: `PORT`; `HANDLER` or `_HANDLER`; `LAMBDA_TASK_ROOT`; `GLOWPLUG_CONCURRENCY`, handlers at once (1);
`GLOWPLUG_TIMEOUT`, seconds that the context tells (300); `GLOWPLUG_REQUEST_LIMIT`, bytes of a body (6 MB);
`GLOWPLUG_HEALTH_PATH`, a path that is answered without the handler; `GLOWPLUG_HTTP_EVENT=raw`, bodies and CloudEvents
are the events themselves.

Standard library only, and of that what starts fast: no `http.server`, whose imports take longer than all of this.
"""

import binascii
import importlib
import json
import logging
import os
import queue
import select
import signal
import socket
import sys
import threading
import time

_current = threading.local()


class Fault(Exception):
    """What the runtime client reports under a name of its own."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind, self.trace = kind, trace or []


def find(handler):
    """The function that `module.name` names, with the runtime client's errors."""
    module_name, dot, name = handler.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName",
            "Bad handler '{}': not enough values to unpack (expected 2, got 1)".format(handler),
        )
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = "Cannot use built-in module {} as a handler module".format(module_name)
        raise Fault("Runtime.BuiltInModuleConflict", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = "Unable to import module '{}': {}".format(module_name, error)
        raise Fault("Runtime.ImportModuleError", message) from None
    except SyntaxError as error:
        trace = ['  File "{}" Line {}\n    {}'.format(error.filename, error.lineno, error.text)]
        message = "Syntax error in module '{}': {}".format(module_name, error)
        raise Fault("Runtime.UserCodeSyntaxError", message, trace) from None
    try:
        return getattr(module, name)
    except AttributeError:
        message = "Handler '{}' missing on module '{}'".format(name, module_name)
        raise Fault("Runtime.HandlerNotFound", message) from None


def describe(error):
    """Type, message and trace of an error, without the frames of this file before the user's."""
    if isinstance(error, Fault):
        return error.kind, str(error), error.trace
    import traceback

    # As tuples, which have no carets under their lines.
    frames = [(item.filename, item.lineno, item.name, item.line) for item in traceback.extract_tb(error.__traceback__)]
    while frames and frames[0][0] == __file__:
        frames = frames[1:]
    return type(error).__name__, str(error), traceback.format_list(frames)


def log_error(error, request_id=None):
    """Writes an error as the runtime client does; a line a line, where that writes one record with returns in it."""
    kind, message, trace = describe(error)
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = json.dumps(
            {"timestamp": now, "level": "ERROR", "errorMessage": message, "errorType": kind,
             "requestId": request_id or "", "stackTrace": trace}
        )  # fmt: skip
    else:
        text = "[ERROR] " + kind + (": " + message if message else "") + "\nTraceback (most recent call last):\n"
        text += "".join(line.rstrip("\n") + "\n" for line in trace)
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()


class _RequestId(logging.Filter):
    def filter(self, record):
        record.aws_request_id = getattr(_current, "request_id", "")
        return True


def set_up_logging():
    """The root logger's handler, in the runtime client's format."""
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    handler.setFormatter(logging.Formatter(form, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(_RequestId())
    logging.getLogger().addHandler(handler)


class _Identity:
    cognito_identity_id = cognito_identity_pool_id = None


class Context:
    """What a handler gets beside the event, from the variables that Lambda would set."""

    def __init__(self, request_id, seconds):
        variable = os.environ.get
        self.aws_request_id = request_id
        self.log_group_name = variable("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = variable("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = function_name()
        self.memory_limit_in_mb = variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = variable("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        region = variable("AWS_REGION", "us-east-1")
        self.invoked_function_arn = "arn:aws:lambda:{}:123456789012:function:{}".format(region, self.function_name)
        self.tenant_id = self.client_context = None
        self.identity = _Identity()
        self._deadline = time.time() + seconds

    def get_remaining_time_in_millis(self):
        return max(0, int((self._deadline - time.time()) * 1000))

    def w3c(self):
        return {}

    def log(self, message):
        sys.stdout.write(str(message))


def function_name():
    """By Lambda's variable, else by that of Knative and Cloud Run."""
    return os.environ.get("AWS_LAMBDA_FUNCTION_NAME") or os.environ.get("K_SERVICE") or "function"
