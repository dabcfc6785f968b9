import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { lookAt } from "../../../../src/registration/register/look.ts";
import { eventually } from "../../../support/eventually.ts";
import { startGrpcHealth } from "../../../support/grpc-health.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

let clock: ManualClock;
/** Takes connections, and gives the answer to what comes; without one it says nothing. */
let server: Server;
let sockets: Socket[];
let answer: string | undefined;

beforeEach(async () => {
  clock = new ManualClock();
  sockets = [];
  answer = undefined;
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", () => answer !== undefined && socket.end(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

function look(kind: "ttl" | "http" | "grpc", path = "", port = (server.address() as AddressInfo).port) {
  const check = { kind, path, intervalMs: 5_000, timeoutMs: 2_000 };
  return lookAt({ listen: { host: "127.0.0.1", port }, check }, clock);
}

describe("whether it is ready", () => {
  test.each(["http", "grpc"] as const)(
    "%s that says nothing: no longer awaited than a check may take",
    async (kind) => {
      let is: boolean | undefined;
      const asked = look(kind, kind === "http" ? "/" : "").ready();
      void asked.then((answered) => {
        is = answered;
      });
      await eventually(() => clock.pending === 1, "it is being asked");
      await clock.advance(1_999);
      expect(is).toBeUndefined();
      await clock.advance(1);
      expect(await asked).toBe(false);
      expect(clock.pending).toBe(0);
    },
  );

  test.each([
    ["200 OK", true],
    ["302 Found", false],
    ["503 Service Unavailable", false],
  ])("http that says %s: %s", async (status, is) => {
    answer = `HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`;
    expect(await look("http", "/").ready()).toBe(is);
    expect(clock.pending).toBe(0);
  });

  test("grpc that serves, that does not, and that knows no such service", async () => {
    const health = await startGrpcHealth({ well: true, unwell: false });
    try {
      expect(await look("grpc", "well", health.port).ready()).toBe(true);
      expect(await look("grpc", "unwell", health.port).ready()).toBe(false);
      expect(await look("grpc", "unknown", health.port).ready()).toBe(false);
      expect(clock.pending).toBe(0);
    } finally {
      await health.stop();
    }
  });

  test("of a TTL the port says it", async () => {
    expect(await look("ttl").ready()).toBe(true);
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => {
      for (const socket of sockets) socket.destroy();
      server.close(resolve);
    });
    expect(await look("ttl", "", port).ready()).toBe(false);
  });
});
