"""An HTTP server that misbehaves on demand."""

import contextlib
import hashlib
import http.server

CONTENT = hashlib.shake_256(b"content").digest(3_000_000)
HASHES = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "md5": hashlib.md5(CONTENT).hexdigest()}
WRONG = hashlib.shake_256(b"wrong").digest(len(CONTENT))


def dribble(text, released):
    """A text without end, a byte at a time."""
    yield text
    while not released.wait(0.05):
        yield b"x"


def endless(released):
    yield b"HTTP/1.0 200 OK\r\n\r\n"
    while not released.is_set():
        yield bytes(2**16)


def ok(content, *headers):
    """A whole answer of a server that knows no ranges, or the beginning of one."""
    lines = ("HTTP/1.0 200 OK", *headers, "", "")
    return lambda _: ["\r\n".join(lines).encode(), content]


LENGTH = f"Content-Length: {len(CONTENT)}"
# How some servers answer any request, by the name that stands in the path.
ODD_ANSWERS = {
    "dribbles": lambda released: dribble(f"HTTP/1.0 200 OK\r\n{LENGTH}\r\n\r\n".encode(), released),
    "dribbles-headers": lambda released: dribble(b"HTTP/1.0 200 OK\r\nX: ", released),
    "dribbles-chunks": lambda released: dribble(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", released
    ),
    "endless": endless,
    "missing": lambda _: [b"HTTP/1.0 404 Not Found\r\n\r\n"],
    "other": ok(b"something else entirely"),
    "web-page": ok(b"<html>Log in first</html>", "Content-Type: text/html; charset=utf-8"),
    "wrong": ok(WRONG, LENGTH),
    "half-wrong": ok(WRONG[: len(WRONG) // 2], LENGTH),
    "half": ok(CONTENT[: len(CONTENT) // 2]),
    "short": ok(CONTENT[:100_000], "Content-Length: 100000"),
    "long": ok(CONTENT + b"x", f"Content-Length: {len(CONTENT) + 1}"),
    "circle": lambda _: [b"HTTP/1.0 302 Found\r\nLocation: /circle/file.tar.gz\r\n\r\n"],
    "elsewhere": lambda _: [b"HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"],
    "no-http": lambda _: [b"220 ftp.example.org ready\r\n"],
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the path says how badly, and `requests` logs (path, Range header, bytes sent)."""

    def do_GET(self):
        way = self.path.split("/")[1]
        if way in ODD_ANSWERS:
            self.server.requests.append((self.path, self.headers.get("Range"), 0))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in ODD_ANSWERS[way](self.server.released):
                    self.wfile.write(piece)
            return
        asked = self.headers.get("Range") if way != "no-range" else None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        seen = sum(path == self.path for path, _, _ in self.server.requests)
        status, content, stop = 206 if asked else 200, CONTENT, len(CONTENT)
        if (way == "busy" and seen < 2) or (way == "dies" and seen > 0):
            status, content, start = 503, b"later", 0
        elif start >= len(CONTENT):
            status, content, start = 416, b"", 0
        elif (way == "drops" and seen < 3) or way in ("always-drops", "dies"):
            stop = start + 700_000
        elif way == "stalls":
            stop = start if seen else 700_000
        stop = min(stop, len(content))
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.server.requests.append((self.path, self.headers.get("Range"), stop - start))
        self.end_headers()
        self.wfile.write(content[start:stop])
        if way == "stalls":
            self.server.released.wait(10)

    def log_message(self, *_):
        pass
