import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "@jest/globals";
import { dockerEndpoint } from "../../../../src/registration/docker/endpoint.ts";
import { ownContainerId } from "../../../../src/registration/docker/own-container.ts";

test.each([
  [undefined, {}, { baseUrl: "http://localhost", socketPath: "/var/run/docker.sock" }],
  [undefined, { DOCKER_HOST: "" }, { baseUrl: "http://localhost", socketPath: "/var/run/docker.sock" }],
  [undefined, { DOCKER_HOST: "unix:///x/d.sock" }, { baseUrl: "http://localhost", socketPath: "/x/d.sock" }],
  ["/y.sock", { DOCKER_HOST: "tcp://h:1" }, { baseUrl: "http://localhost", socketPath: "/y.sock" }],
  ["unix:///y.sock", {}, { baseUrl: "http://localhost", socketPath: "/y.sock" }],
  ["tcp://10.0.0.1:2375", {}, { baseUrl: "http://10.0.0.1:2375" }],
  ["tcp://[fd00::1]:2375/", {}, { baseUrl: "http://[fd00::1]:2375" }],
  ["http://proxy:2375/docker/", {}, { baseUrl: "http://proxy:2375/docker" }],
])("%j with %j", (socket, env, endpoint) => {
  expect(dockerEndpoint(socket, env)).toEqual(endpoint);
});

test.each(["docker.sock", "ssh://host", "npipe:////./pipe/x", "tcp://user:secret@h:1", "tcp://", ""])(
  "%j is refused, and not repeated",
  (socket) => {
    expect(() => dockerEndpoint(socket, {})).toThrow(expect.objectContaining({ code: "ERR_USAGE" }));
    expect(() => dockerEndpoint(socket, {})).not.toThrow("secret");
  },
);

test("TLS is by the files of DOCKER_CERT_PATH", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "sluice-docker-"));
  const env = { DOCKER_HOST: "tcp://h:2376", DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: directory };
  try {
    expect(() => dockerEndpoint(undefined, env)).toThrow("ca.pem cannot be read");
    for (const name of ["ca", "cert", "key"]) writeFileSync(path.join(directory, `${name}.pem`), name);
    expect(dockerEndpoint(undefined, env)).toEqual({
      baseUrl: "https://h:2376",
      tls: { ca: Buffer.from("ca"), cert: Buffer.from("cert"), key: Buffer.from("key") },
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

const id = "0123456789abcdef".repeat(4);

test("a process in a container knows which", () => {
  const inside = [
    "620 619 0:50 / / rw - overlay overlay rw",
    `631 620 254:0 /var/lib/docker/containers/${id}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda rw`,
    `632 620 254:0 /var/lib/docker/containers/${id}/hostname /etc/hostname rw - ext4 /dev/vda rw`,
  ];
  expect(ownContainerId(inside.join("\n"))).toBe(id);
});

test("a process on the host is in none, although the containers' mounts are there", () => {
  const host = [
    "20 1 254:0 / / rw - ext4 /dev/vda rw",
    `99 20 0:40 / /var/lib/docker/containers/${id}/mounts/shm rw - tmpfs shm rw`,
  ];
  expect(ownContainerId(host.join("\n"))).toBeUndefined();
  expect(ownContainerId("")).toBeUndefined();
});
