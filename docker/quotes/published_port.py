#!/usr/bin/env python3
"""
Prints the port of the host that Docker published for a port of this container.

    published_port.py 8000

Docker's socket is to be mounted at /var/run/docker.sock. The container is found by its host name, which is the beginning
of its id unless somebody chose another (Docker Engine API, "Inspect a container").
"""

import http.client
import json
import socket
import sys
import time

SOCKET = "/var/run/docker.sock"
TRIES = 20


class DockerConnection(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("docker", timeout=5)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def published(port):
    connection = DockerConnection()
    connection.request("GET", f"/containers/{socket.gethostname()}/json")
    response = connection.getresponse()
    body = json.load(response)
    if response.status != 200:
        raise OSError(f"Docker answered with {response.status}: {body.get('message')}")
    bindings = body["NetworkSettings"]["Ports"].get(f"{port}/tcp") or []
    return bindings[0]["HostPort"] if bindings else None


def main():
    port = sys.argv[1]
    problem = f"port {port} of this container is not published"
    for _ in range(TRIES):
        try:
            found = published(port)
            if found is not None:
                print(found)
                return
        except (OSError, ValueError) as error:
            problem = f"{SOCKET}: {error}"
        time.sleep(0.5)
    sys.exit(f"{problem}; set DOCKERPORT, or mount Docker's socket and publish the port")


if __name__ == "__main__":
    main()
