import { createServer } from "node:net";
import { expect, test } from "@jest/globals";
import { probeTcp } from "../../../src/support/tcp-probe.ts";

const timeoutMs = 2_000;

test("what listens accepts, and refuses once it is gone", async () => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  expect(await probeTcp("127.0.0.1", port, timeoutMs)).toBe("accepts");
  await new Promise((resolve) => server.close(resolve));
  expect(await probeTcp("127.0.0.1", port, timeoutMs)).toBe("refuses");
});

// As Consul tells it, which takes anything for a port; the operator is not to end by it.
test.each([70_000, -1, 0, 1.5, Number.NaN])("nobody listens on port %p", async (port) => {
  expect(await probeTcp("127.0.0.1", port, timeoutMs)).toBe("refuses");
});

test.each(["localhost", "x\nbackend evil", "", "127.0.0.1:80 backup", "a\0b"])(
  "nobody listens at %j, for which no name server is asked",
  async (address) => {
    expect(await probeTcp(address, 80, timeoutMs)).toBe("refuses");
  },
);
