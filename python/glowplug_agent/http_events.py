"""Requests as events, and results as responses, by the rules of function URLs (payload format 2.0).

Joined after `http_wire.py` and before `http_entry.py`. The same rules in Rust: `glowplug-lambda/src/http/url.rs`.
"""

# Types of content that are text beside `text/…`; all others go to the function in base64.
_TEXTUAL = ("application/json", "application/xml", "application/javascript", "application/x-www-form-urlencoded")


def _decode(text):
    """Percent-encoded UTF-8 with `+` for spaces."""
    first, *rest = text.replace("+", " ").encode().split(b"%")
    parts = [first]
    for part in rest:
        try:
            parts.append(binascii.unhexlify(part[:2]) + part[2:])
        except binascii.Error:
            parts.append(b"%" + part)
    return b"".join(parts).decode("utf-8", "replace")


def _kind(request):
    return request.header("content-type").split(";")[0].strip().lower()


def _is_text(kind):
    return kind.startswith("text/") or kind.endswith(("+json", "+xml")) or kind in _TEXTUAL


def _base64(data):
    return binascii.b2a_base64(data, newline=False).decode()


def url_event(request, request_id):
    """The event of a function URL."""
    headers, query, cookies = {}, {}, []
    for name, value in request.headers:
        if name == "cookie":
            cookies += value.split("; ")
        else:
            headers[name] = headers[name] + "," + value if name in headers else value
    for pair in filter(None, request.query.split("&")):
        key, _, value = pair.partition("=")
        key, value = _decode(key), _decode(value)
        query[key] = query[key] + "," + value if key in query else value
    now = time.time()
    at = time.gmtime(now)
    name = function_name()
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": dict(sorted(headers.items())),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": name,
            "domainName": request.header("host"),
            "domainPrefix": name,
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.peer,
                "userAgent": request.header("user-agent"),
            },
            "requestId": request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": "{:02d}/{}/{:04d}:{:02d}:{:02d}:{:02d} +0000".format(
                at.tm_mday, _MONTHS[at.tm_mon - 1], at.tm_year, at.tm_hour, at.tm_min, at.tm_sec
            ),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = dict(sorted(query.items()))
    if request.body:
        text = _plain_text(request.body, _kind(request))
        event["isBase64Encoded"] = text is None
        event["body"] = _base64(request.body) if text is None else text
    return event


def raw_event(request):
    """The CloudEvent that a request is, or carries; else what its body holds."""
    kind = _kind(request)
    attributes = {name[3:]: _decode_attribute(value) for name, value in request.headers if name.startswith("ce-")}
    is_json = kind == "application/json" or kind.endswith("+json")
    if "specversion" not in attributes or kind == "application/cloudevents+json":
        if is_json or not kind:
            return _parse(request.body)
        text = _plain_text(request.body, kind)
        return _base64(request.body) if text is None else text
    if kind:
        attributes["datacontenttype"] = request.header("content-type")
    if request.body:
        # JSON is what data are that do not say.
        if is_json or not kind:
            attributes["data"] = _parse(request.body)
        else:
            text = _plain_text(request.body, kind)
            attributes.update({"data_base64": _base64(request.body)} if text is None else {"data": text})
    return attributes


def _decode_attribute(value):
    """Attributes have what is not plain ASCII percent-encoded (HTTP binding of CloudEvents, section 3.1.3.2)."""
    return _decode(value.replace("+", "%2B"))


def _parse(body):
    try:
        return json.loads(body) if body else None
    except ValueError as error:
        raise Refused(400, "The body is not JSON: {}".format(error)) from None


def _plain_text(body, kind):
    """A body as text; `None` where it is none."""
    try:
        return body.decode() if _is_text(kind) else None
    except UnicodeDecodeError:
        return None


def marshal(result):
    """The result as JSON text, with what the runtime client takes besides what `json` does: decimals, bytes, named tuples."""
    numbers = []
    mark = binascii.hexlify(os.urandom(16)).decode()

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            as_dict = getattr(value, "_asdict", None)
            return plain(as_dict()) if callable(as_dict) else [plain(item) for item in value]
        return value

    def other(value):
        if isinstance(value, bytes):
            return value.decode()
        decimal = sys.modules.get("decimal")
        if decimal and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            numbers.append(str(value))
            return mark
        raise TypeError("Object of type {} is not JSON serializable".format(type(value).__name__))

    try:
        # As for the runtimes from 3.12 on, and those before.
        text = json.dumps(plain(result), default=other, ensure_ascii=sys.version_info < (3, 12))
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: {}".format(error)) from None
    first, *rest = text.split('"' + mark + '"')
    return first + "".join(number + part for number, part in zip(numbers, rest))


def message(status, text):
    return Response(status, json.dumps({"Message": text}, separators=(",", ":")).encode())


def failed():
    """What a caller gets where the function fails."""
    return Response(502, b"Internal Server Error")


def response(payload):
    """The response that a payload, JSON as text or bytes, means; a failure where it means none."""
    try:
        return _response(payload.encode() if isinstance(payload, str) else payload)
    except (ValueError, TypeError, RecursionError):
        return failed()


def _strict(constant):
    raise ValueError(constant)


def _response(payload):
    value = json.loads(payload.decode(), parse_constant=_strict)
    if b"\\ud" in payload or b"\\uD" in payload:
        # Halves of pairs are no text: an error here, before anything is sent.
        json.dumps(value, ensure_ascii=False).encode()
    if not isinstance(value, dict) or "statusCode" not in value:
        return Response(200, value.encode() if isinstance(value, str) else payload)
    status = value["statusCode"]
    if isinstance(status, str) and status.isascii() and status.isdigit():
        status = int(status)
    if type(status) is not int or not 200 <= status <= 999:
        return failed()
    body = value.get("body")
    body = "" if body is None else _text(body)
    if value.get("isBase64Encoded") is True:
        data = binascii.a2b_base64(body)
        if _base64(data) != body:
            return failed()
    else:
        data = body.encode()
    made = Response(status, data)
    headers = value.get("headers")
    for name, item in headers.items() if isinstance(headers, dict) else ():
        if name.lower() in _FRAMING:
            continue
        item = _text(item)
        if not name or not _TOKEN.issuperset(name) or not _visible(item):
            return failed()
        made.headers[name.lower()] = item
    cookies = value.get("cookies")
    for cookie in cookies if isinstance(cookies, list) else ():
        if not isinstance(cookie, str) or not _visible(cookie):
            return failed()
        made.cookies.append(cookie)
    return made


def _text(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _visible(text):
    return all(char >= " " and char != "\x7f" or char == "\t" for char in text)
