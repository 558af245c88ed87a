"""HTTP/1.1 as far as a function needs it: a request read in full, a response written whole.

Joined after `http_function.py` and before `http_events.py`.
"""

# Longest line, and all lines together, of a request's head; what other servers allow.
_MOST_LINE, _MOST_HEAD, _MOST_HEADERS = 16 * 1024, 64 * 1024, 200
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# Headers that tell where a message ends: they are the server's own.
_FRAMING = ("content-length", "transfer-encoding", "connection")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_REASONS = {
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 301: "Moved Permanently", 302: "Found",
    303: "See Other", 304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    413: "Payload Too Large", 422: "Unprocessable Entity", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable",
}  # fmt: skip


class Refused(Exception):
    """A request that never comes to the handler."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Request:
    """A request, read in full. `headers` are names in lower case with values, in the order in which they came."""

    def __init__(self, method, target, headers, body, peer, alive):
        self.method, self.headers, self.body, self.peer, self.alive = method, headers, body, peer, alive
        if "://" in target.split("?")[0]:
            rest = target.split("://", 1)[1]
            at = min((rest + "/?").index(sign) for sign in "/?")
            target = rest[at:]
        path, _, self.query = target.partition("?")
        self.path = path or "/"

    def header(self, name):
        return next((value for key, value in self.headers if key == name), "")


class Response:
    """Status, headers with names as they are sent, and body."""

    def __init__(self, status, body=b"", kind="application/json"):
        self.status, self.body = status, body
        self.headers = {"content-type": kind}
        self.cookies = []


def read_request(stream, peer, limit, go_on):
    """The next request of a connection; `None` at its end. `go_on` tells a client that waits to send its body."""
    line = _line(stream)
    while line == b"\r\n":
        line = _line(stream)
    if not line:
        return None
    words = line.decode("latin-1").rstrip("\r\n").split(" ")
    if len(words) != 3 or not words[0] or not _TOKEN.issuperset(words[0]) or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise Refused(400, "The request line is not one of HTTP/1.1")
    headers = list(_headers(stream))
    values = {name: [value for key, value in headers if key == name] for name in (*_FRAMING, "expect")}
    coding, lengths = values["transfer-encoding"], set(values["content-length"])
    if (coding and lengths) or len(lengths) > 1:
        raise Refused(400, "The request has two lengths")
    if coding and [name.lower() for name in coding] != ["chunked"]:
        raise Refused(501, "The transfer coding is not known")
    length = lengths.pop() if lengths else "0"
    if not (length.isascii() and length.isdigit()):
        raise Refused(400, "The length is not a number")
    if len(length) > 18 or int(length) > limit:
        raise Refused(413, "Request body is too large")
    if words[2] == "HTTP/1.1" and [value.lower() for value in values["expect"]] == ["100-continue"]:
        go_on()
    body = _chunks(stream, limit) if coding else _exactly(stream, int(length))
    options = {option.strip().lower() for value in values["connection"] for option in value.split(",")}
    alive = "close" not in options if words[2] == "HTTP/1.1" else "keep-alive" in options
    target = words[1].encode("latin-1").decode("utf-8", "replace")
    return Request(words[0], target, headers, body, peer, alive)


def _line(stream):
    line = stream.readline(_MOST_LINE + 1)
    if len(line) > _MOST_LINE:
        raise Refused(431, "A line of the request is too long")
    return line


def _headers(stream):
    size = 0
    for count in range(_MOST_HEADERS + 1):
        line = _line(stream)
        if line in (b"\r\n", b"\n"):
            return
        size += len(line)
        name, colon, value = line.partition(b":")
        if not line.endswith(b"\n"):
            raise ConnectionError("the request ends in its head")
        if not colon or not name or not _TOKEN.issuperset(name.decode("latin-1")):
            raise Refused(400, "A line of the head is no header")
        if size > _MOST_HEAD or count == _MOST_HEADERS:
            break
        value = value.strip(b" \t\r\n")
        if b"\r" in value or b"\0" in value:
            raise Refused(400, "A header has a character that none may have")
        yield name.decode("latin-1").lower(), value.decode("utf-8", "replace")
    raise Refused(431, "The request has too many headers")


def _exactly(stream, length):
    body = stream.read(length)
    if len(body) < length:
        raise ConnectionError("the request ends in its body")
    return body


def _chunks(stream, limit):
    body = bytearray()
    while True:
        digits = _line(stream).split(b";")[0].strip()
        if not digits or len(digits) > 16 or digits.strip(b"0123456789abcdefABCDEF"):
            raise Refused(400, "A chunk has no length")
        length = int(digits, 16)
        if len(body) + length > limit:
            raise Refused(413, "Request body is too large")
        if not length:
            break
        body += _exactly(stream, length)
        if _exactly(stream, 2) != b"\r\n":
            raise Refused(400, "A chunk is longer than it says")
    # What follows the last chunk are headers that nobody asked for.
    list(_headers(stream))
    return bytes(body)


def write_response(connection, answer, head, alive):
    """Sends a response; without its body where only the head was asked for, or the status has none."""
    at = time.gmtime()
    lines = ["HTTP/1.1 {} {}".format(answer.status, _REASONS.get(answer.status, ""))]
    lines += ["{}: {}".format(name, value) for name, value in answer.headers.items()]
    lines += ["set-cookie: " + cookie for cookie in answer.cookies]
    bare = answer.status in (204, 304)
    # The length of what is not sent is told only where there is something.
    if not bare and (answer.body or not head):
        lines.append("content-length: {}".format(len(answer.body)))
    if "date" not in answer.headers:
        lines.append("date: {}, {:02d} {} {} {:02d}:{:02d}:{:02d} GMT".format(
            _DAYS[at.tm_wday], at.tm_mday, _MONTHS[at.tm_mon - 1], at.tm_year, at.tm_hour, at.tm_min, at.tm_sec
        ))  # fmt: skip
    lines.append("connection: " + ("keep-alive" if alive else "close"))
    text = ("\r\n".join(lines) + "\r\n\r\n").encode()
    connection.sendall(text if head or bare else text + answer.body)
