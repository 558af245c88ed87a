"""A stand-in for S3 on loopback, which `[verify] setup` starts: keeps nothing, and answers always the same."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 45660
MISSING = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>'


class Bucket(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # As S3: headers and body are two writes, and the second would wait 40 ms for the acknowledgement of the first.
    disable_nagle_algorithm = True

    def answer(self, status, headers, body):
        self.send_response_only(status)
        self.send_header("x-amz-request-id", "B4C0FFEE")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200, {"ETag": '"9b2cf535f27731c974343645a3985328"'}, b"")

    def do_GET(self):
        if "missing" in self.path:
            self.answer(404, {"Content-Type": "application/xml"}, MISSING)
        else:
            self.answer(200, {"Content-Type": "text/plain", "ETag": '"77b7"'}, b"call back on Monday")

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Bucket).serve_forever()
