import { once } from "node:events";
import { createServer } from "node:http2";
import { type AddressInfo, connect } from "node:net";
import { expect, test } from "@jest/globals";
import { grpcHealthCheck } from "../../../src/render/grpc-health.ts";

/** What a server of HTTP/2 makes of these bytes. */
async function heard(hex: string): Promise<{ readonly headers: object; readonly body: string }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  try {
    socket.on("error", () => undefined).write(Buffer.from(hex, "hex"));
    const [stream, headers] = await once(server, "stream");
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    return { headers: { ...headers }, body: Buffer.concat(parts).toString("hex") };
  } finally {
    socket.destroy();
    server.close();
  }
}

test("a server hears the call of Health/Check", async () => {
  const { headers, body } = await heard(grpcHealthCheck("", "web.service.local"));
  expect(headers).toMatchObject({
    ":method": "POST",
    ":scheme": "http",
    ":path": "/grpc.health.v1.Health/Check",
    ":authority": "web.service.local",
    "content-type": "application/grpc",
    te: "trailers",
  });
  expect(body).toBe("0000000000");
});

test.each(["shop.Orders", "a".repeat(126), "a".repeat(127), "a".repeat(128), "a".repeat(253)])(
  "for the service %s",
  async (service) => {
    const { headers, body } = await heard(grpcHealthCheck(service, service));
    expect(headers).toMatchObject({ ":authority": service });
    const message = Buffer.from(body, "hex");
    expect(message.readUInt32BE(1)).toBe(message.length - 5);
    expect(message.subarray(service.length > 127 ? 8 : 7).toString()).toBe(service);
  },
);

test("it fits on a line of haproxy.cfg, or is refused", () => {
  expect(grpcHealthCheck("a".repeat(253), "b".repeat(253)).length).toBeLessThan(1_900);
  expect(() => grpcHealthCheck("a".repeat(500), "b".repeat(500))).toThrow(
    expect.objectContaining({ code: "ERR_VALUE_UNSAFE" }),
  );
  expect(() => grpcHealthCheck(undefined, "b")).toThrow(expect.objectContaining({ code: "ERR_TEMPLATE_FAILED" }));
});
