"""The server: connections in threads, the handler where its concurrency has it.

Joined last, after `http_function.py`, `http_wire.py` and `http_events.py`: together they are one program.
"""

# Seconds for which a connection may be idle: longer than load balancers keep theirs, so that they close them and not we.
_IDLE_SECONDS = 620
# Seconds for which a client may be silent in the middle of a request, or not take its response.
_STALL_SECONDS = 60
# What ends the server: these signals, and 0 where the function ends its process.
_ENDS = frozenset((signal.SIGTERM, signal.SIGINT, 0))
# Connections at once; a platform stays far below.
_MOST_CONNECTIONS = 1000


class Server:
    """Connections in threads; events through a queue to where the handler runs."""

    def __init__(self, handler, variable):
        self.handler = handler
        self.concurrency = _number(variable, "GLOWPLUG_CONCURRENCY", 1)
        self.seconds = _number(variable, "GLOWPLUG_TIMEOUT", 300)
        self.limit = _number(variable, "GLOWPLUG_REQUEST_LIMIT", 6 * 1024 * 1024)
        self.health = variable("GLOWPLUG_HEALTH_PATH")
        self.raw = variable("GLOWPLUG_HTTP_EVENT") == "raw"
        self.status = 0
        self.draining = False
        # The function's own handler for the signal that ends it.
        self.previous = None
        self.tasks = queue.SimpleQueue()
        self.lock = threading.Lock()
        # Connections by whether a request is on its way in them.
        self.connections = {}
        self.signals, self.wake = socket.socketpair()
        self.wake.setblocking(False)

    def catch_signals(self):
        """Has signals end the server in order, from before anybody can connect."""
        self.previous = signal.getsignal(signal.SIGTERM)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: self._wake(number))
        # Written as the signal comes, and so also while the handler sits in native code; the function may take it away.
        signal.set_wakeup_fd(self.wake.fileno(), warn_on_full_buffer=False)

    def run(self, listener):
        """Serves until a signal; the exit status."""
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        if self.concurrency == 1:
            self._work()
        else:
            workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self.concurrency)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        if callable(self.previous):
            self.previous(signal.SIGTERM, None)
        return self.status

    def _wake(self, number):
        try:
            self.wake.send(bytes([number]))
        except OSError:
            # As many are there as fit: it has woken long ago.
            pass

    def _accept(self, listener):
        watched = [listener, self.signals]
        while not self.draining:
            ready = select.select(watched, [], [])[0]
            if self.signals in ready and _ENDS.intersection(self.signals.recv(64)):
                break
            if listener not in ready:
                continue
            try:
                connection, address = listener.accept()
            except OSError:
                # Gone already, or no descriptors left: the next one may do better.
                time.sleep(0.01)
                continue
            with self.lock:
                full = len(self.connections) >= _MOST_CONNECTIONS
                if not full:
                    self.connections[connection] = False
            if full:
                connection.close()
            else:
                threading.Thread(target=self._serve, args=(connection, address[0]), daemon=True).start()
        listener.close()
        with self.lock:
            self.draining = True
            for connection, busy in self.connections.items():
                if not busy:
                    _end(connection)
        self._done()

    def _done(self):
        """Ends the workers where all is answered."""
        with self.lock:
            if self.draining and not any(self.connections.values()):
                for _ in range(self.concurrency):
                    self.tasks.put(None)

    def _serve(self, connection, peer):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection.makefile("rb") as stream:
                while self._one(connection, stream, peer):
                    pass
        except OSError:
            # The client went away.
            pass
        finally:
            with self.lock:
                del self.connections[connection]
            _end(connection)
            connection.close()
            self._done()

    def _one(self, connection, stream, peer):
        """Answers one request; whether there may be another."""
        connection.settimeout(_IDLE_SECONDS)
        if not stream.peek(1):
            return False
        connection.settimeout(_STALL_SECONDS)
        with self.lock:
            self.connections[connection] = True
        request = None
        try:
            request = read_request(
                stream, peer, self.limit, lambda: connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            )
            if request is None:
                return False
            answer = self._answer(request)
        except Refused as error:
            answer = message(error.status, str(error))
        with self.lock:
            alive = request is not None and request.alive and not self.draining
        write_response(connection, answer, request is not None and request.method == "HEAD", alive)
        if not alive:
            # Bytes that are not read would have the response thrown away.
            connection.shutdown(socket.SHUT_WR)
            _drop(connection)
            return False
        with self.lock:
            self.connections[connection] = False
            return not self.draining

    def _answer(self, request):
        if self.health and request.path == self.health and request.method in ("GET", "HEAD"):
            return Response(503 if self.draining else 200, b"", "text/plain")
        request_id = _uuid()
        whole = self.raw or _kind(request) == "application/cloudevents+json"
        event = raw_event(request) if whole else url_event(request, request_id)
        answers = queue.SimpleQueue()
        self.tasks.put((event, request_id, request.header("x-amzn-trace-id"), whole, answers))
        answer = answers.get()
        answer.headers.setdefault("x-amzn-requestid", request_id)
        return answer

    def _work(self):
        while True:
            task = self.tasks.get()
            if task is None:
                return
            *task, answers = task
            answers.put(self._call(*task))

    def _call(self, event, request_id, trace, whole):
        _current.request_id = request_id
        if self.concurrency == 1:
            # The process has one such variable: with several events at once it would be another's.
            os.environ.pop("_X_AMZN_TRACE_ID", None)
            if trace:
                os.environ["_X_AMZN_TRACE_ID"] = trace
        try:
            result = self.handler(event, Context(request_id, self.seconds))
            if whole and result is None:
                return Response(204)
            answer = response(result if isinstance(result, bytes) else marshal(result))
            if whole and isinstance(result, dict) and "specversion" in result:
                answer.headers["content-type"] = "application/cloudevents+json; charset=utf-8"
            return answer
        except Exception as error:
            log_error(error, request_id)
            return failed()
        except BaseException as error:
            # The function ends its process: it may, when what is under way is answered.
            log_error(error, request_id)
            code = error.code if isinstance(error, SystemExit) else 1
            self.status = code if isinstance(code, int) else int(code is not None)
            self._wake(0)
            return failed()
        finally:
            _current.request_id = ""


def _end(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _drop(connection):
    connection.settimeout(1)
    for _ in range(64):
        if not connection.recv(65536):
            return


def _uuid():
    digits = bytearray(os.urandom(16))
    digits[6], digits[8] = digits[6] & 0x0F | 0x40, digits[8] & 0x3F | 0x80
    text = binascii.hexlify(digits).decode()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _number(variable, name, default):
    text = variable(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise Fault("Runtime.InvalidVariable", "{} is '{}', which is not a number above 0".format(name, text))
    return int(text)


def main():
    variable = os.environ.get
    root = variable("LAMBDA_TASK_ROOT") or "/var/task"
    # In the place of this file's own folder, as on Lambda; layers after it.
    sys.path[0:1] = [root, "/opt/python"] if os.path.isdir("/opt/python") else [root]
    set_up_logging()
    try:
        if os.path.isdir(root):
            os.chdir(root)
        handler = find(variable("HANDLER") or variable("_HANDLER") or "")
        server = Server(handler, variable)
        server.catch_signals()
        port = _number(variable, "PORT", 8080)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", port))
        listener.listen(1024)
    except Exception as error:
        log_error(error)
        return 1
    return server.run(listener)


if __name__ == "__main__":
    sys.exit(main())
