import { createServer, type Server } from "node:net";
import { afterEach, expect, test } from "@jest/globals";
import { anyPort, findPort } from "../../../../docker/demo/ports.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

test("a port that is free is taken, and not given twice", async () => {
  const taken = new Set<number>();
  const wanted = await anyPort(new Set());
  expect(await findPort("traffic", wanted, taken)).toEqual({ port: wanted });
  const second = await findPort("the stats page", wanted, taken);
  expect(second.port).toBeGreaterThan(wanted);
  expect(taken).toEqual(new Set([wanted, second.port]));
});

test.each(["127.0.0.1", "0.0.0.0"])("one that is in use on %s is passed over, and that is said", async (host) => {
  const port = await listen(host);
  const found = await findPort("Consul", port, new Set());
  expect(found.port).toBeGreaterThan(port);
  expect(found.note).toBe(`Port ${port} is in use; Consul takes ${found.port}.`);
});

test("a privileged port that cannot be had gives way to 8000 and more", async () => {
  const { port } = await findPort("traffic", 80, new Set([80]));
  expect(port).toBeGreaterThanOrEqual(8080);
});

function listen(host: string): Promise<number> {
  const server = createServer();
  servers.push(server);
  return new Promise((resolve) => {
    server.listen(0, host, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}
