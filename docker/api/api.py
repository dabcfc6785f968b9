"""World B's service: GET /hostname says which container answers, as JSON."""

import json
import signal
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An idle connection is the balancer's to close.
    timeout = 60

    def do_GET(self):
        if self.path == "/hostname":
            self.answer(200, {"hostname": socket.gethostname()})
        else:
            self.answer(404, {"error": "there is only /hostname"})

    def answer(self, status, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """No line per request."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_):
        """No traceback for a connection that was reset: the balancer's checks end so."""


server = Server(("", 5000), Handler)
signal.signal(signal.SIGTERM, lambda *_: exit(0))
server.serve_forever()
