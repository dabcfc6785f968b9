import { expect, test } from "@jest/globals";
import { engineSocket } from "../../support/docker-socket.ts";

test.each([
  [{}, "/var/run/docker.sock"],
  [{ DOCKER_HOST: "" }, "/var/run/docker.sock"],
  [{ DOCKER_HOST: "unix:///x/d.sock" }, "/x/d.sock"],
])("with %j the engine's socket is %s", (env, socket) => {
  expect(engineSocket(env)).toBe(socket);
});

test.each(["tcp://127.0.0.1:2375", "ssh://h", "unix://", "/x/d.sock"])("%s has no socket, which is said", (host) => {
  expect(() => engineSocket({ DOCKER_HOST: host })).toThrow(`DOCKER_HOST is ${host}; these tests need`);
});
