#!/usr/bin/env python3
"""Shows its host name on port 80. It knows nothing of Consul, HAProxy or Docker."""

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    # Head and body leave in one write: who is killed has answered whole, or not at all, and then HAProxy asks another.
    wbufsize = -1

    def do_GET(self):
        body = f"{socket.gethostname()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    # How many connections may wait to be accepted. Python's 5 drops some where many come at once.
    request_queue_size = 128


Server(("", 80), Handler).serve_forever()
