#!/usr/bin/env python3
"""
quotes: an application that registers itself with Consul, under the port that Docker published for it.

    GET /hello/api/v1    about 200 kB of JSON with this instance's UUID
    GET /health          for Consul's check

It works on one request at a time, as something with one connection to a slow database does: each takes it WORK_SECONDS of
waiting, so one instance answers 30 requests a second and no more. Who sends it more waits for its turn. That the waiting
is done at the balancer, where the next instance that is free takes the next request, is what the tags ask for: with
`haproxy.maxconn=2` an instance has one request at work and the next at hand, `haproxy.balance=leastconn` finds the one
with the least to do, and `haproxy.timeout.queue` says for how long it is worth to wait.

Environment:
    DOCKERPORT         the port Docker published for port 8000 of this container (entrypoint.sh asks Docker for it)
    DOCKERHOST         an address at which the balancer and Consul reach published ports
    CONSUL_HTTP_ADDR   Consul's address, http://127.0.0.1:8500 where it is not given
    PORT               where it listens, 8000 where it is not given
    QUEUE_TIMEOUT      how long a request may wait for its turn at the balancer, 10s where it is not given

On SIGTERM it deregisters, answers what still comes, and ends when nothing came for a second, or after ten.
"""

import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ.get("PORT", "8000"))
WORK_SECONDS = 0.033
ANSWER_BYTES = 200_000
LOOK_AGAIN_SECONDS = 5
QUIET_SECONDS = 1
DRAIN_SECONDS = 10

CONSUL = os.environ.get("CONSUL_HTTP_ADDR", "http://127.0.0.1:8500")
PUBLISHED_PORT = int(os.environ["DOCKERPORT"])
# Consul and the balancer take addresses, not names.
ADDRESS = socket.gethostbyname(os.environ["DOCKERHOST"])
# Several on one host, as in the demo, tell themselves apart by the variable; a container has it from Docker.
HOSTNAME = os.environ.get("HOSTNAME") or socket.gethostname()
UUID = str(uuid.uuid4())
SERVICE_ID = f"quotes-{HOSTNAME}"

SAYINGS = [
    "A watched pot never boils.",
    "Many hands make light work.",
    "Too many cooks spoil the broth.",
    "Festina lente.",
]


def answer():
    """The same for every request: it is the waiting that makes this application slow, not the writing."""
    quotes = []
    while len(quotes) * 100 < ANSWER_BYTES:
        number = len(quotes)
        # Each is 100 bytes long with the comma behind it.
        bare = len(json.dumps({"number": number, "quote": SAYINGS[number % len(SAYINGS)], "more": ""}))
        quotes.append({"number": number, "quote": SAYINGS[number % len(SAYINGS)], "more": "." * (98 - bare)})
    return json.dumps({"uuid": UUID, "hostname": HOSTNAME, "quotes": quotes}).encode()


ANSWER = answer()
at_work = threading.Lock()


class Traffic:
    """How many requests are under way, and when the last one ended."""

    def __init__(self):
        self.lock = threading.Lock()
        self.under_way = 0
        self.last = time.monotonic()

    def __enter__(self):
        with self.lock:
            self.under_way += 1

    def __exit__(self, *_):
        with self.lock:
            self.under_way -= 1
            self.last = time.monotonic()

    def quiet_for(self, seconds):
        with self.lock:
            return self.under_way == 0 and time.monotonic() > self.last + seconds


traffic = Traffic()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: the second must not wait until the first is acknowledged.
    disable_nagle_algorithm = True

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/health":
            self.reply(200, b'{"status": "ok"}')
        elif path.rstrip("/") == "/hello/api/v1":
            with traffic:
                with at_work:
                    time.sleep(WORK_SECONDS)
                self.reply(200, ANSWER)
        else:
            self.reply(404, b'{"error": "not found"}')

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


def put(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{CONSUL}{path}", method="PUT", data=data)
    urllib.request.urlopen(request, timeout=5).close()


def is_registered():
    try:
        urllib.request.urlopen(f"{CONSUL}/v1/agent/service/{SERVICE_ID}", timeout=5).close()
        return True
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        raise


def register():
    tags = ["urlprefix-/hello/api/v1", "haproxy.maxconn=2", "haproxy.balance=leastconn"]
    tags.append("haproxy.timeout.queue=" + os.environ.get("QUEUE_TIMEOUT", "10s"))
    put(
        "/v1/agent/service/register?replace-existing-checks=true",
        {
            "ID": SERVICE_ID,
            "Name": "quotes",
            "Address": ADDRESS,
            "Port": PUBLISHED_PORT,
            "Tags": tags,
            "Check": {
                "HTTP": f"http://{ADDRESS}:{PUBLISHED_PORT}/health",
                "Interval": "5s",
                "Timeout": "2s",
                # It listens already; else it would be critical until the first check.
                "Status": "passing",
                "DeregisterCriticalServiceAfter": "1m",
            },
        },
    )
    print(f"registered {SERVICE_ID} at {ADDRESS}:{PUBLISHED_PORT}", flush=True)


def stay_registered(stopping):
    """Consul may start later than its applications, and forgets them where it starts again without its data."""
    # What an earlier run of this container registered had another port, so the first time it is replaced.
    known = False
    while not stopping.is_set():
        try:
            if not known or not is_registered():
                register()
                known = True
            stopping.wait(LOOK_AGAIN_SECONDS)
        except OSError as error:
            print(f"Consul at {CONSUL}: {error}; trying on", flush=True)
            stopping.wait(1)


def leave():
    """Who still has our address gets answers, until nobody comes any more."""
    try:
        put(f"/v1/agent/service/deregister/{SERVICE_ID}")
    except OSError as error:
        print(f"Consul at {CONSUL}: {error}; it will find out by its check", flush=True)
    end = time.monotonic() + DRAIN_SECONDS
    time.sleep(QUIET_SECONDS)
    while not traffic.quiet_for(QUIET_SECONDS) and time.monotonic() < end:
        time.sleep(0.05)


def main():
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    server = Server(("", PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stay_registered(stopping)
    leave()


if __name__ == "__main__":
    main()
