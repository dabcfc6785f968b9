import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { AgentClient, type ServiceCheck } from "../../../src/registration/agent-client.ts";

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly token: string | string[] | undefined;
  readonly body: string;
}

let server: Server;
let seen: Seen[];
let answer: { status: number; body: string };
let client: AgentClient;
const { signal } = new AbortController();

beforeEach(async () => {
  seen = [];
  answer = { status: 200, body: "" };
  server = createServer(async (incoming: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method, url, headers } = incoming;
    seen.push({ method, url, token: headers["x-consul-token"], body: Buffer.concat(chunks).toString() });
    response.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  client = new AgentClient({ baseUrl: `http://127.0.0.1:${port}/v1`, token: () => "s3cret" });
});

afterEach(() => new Promise((resolve) => server.close(resolve)));

describe("the agent", () => {
  test("is asked for its services", async () => {
    answer.body = JSON.stringify({
      a: { ID: "a", Service: "web", Address: "10.0.0.1", Port: 80, Meta: { k: "v" }, Tags: null },
      b: { ID: "b", Service: "api", Tags: ["t"], Meta: null },
    });
    expect(await client.services(signal)).toEqual([
      { id: "a", name: "web", address: "10.0.0.1", port: 80, tags: [], meta: { k: "v" } },
      { id: "b", name: "api", address: "", port: 0, tags: ["t"], meta: {} },
    ]);
    expect(seen).toEqual([{ method: "GET", url: "/v1/agent/services", token: "s3cret", body: "" }]);
  });

  test("is told what to register and what not any more", async () => {
    await client.register({ id: "x/1", name: "shop", port: 80, tags: ["t"], meta: { m: "1" } }, signal);
    await client.deregister("x/1", signal);
    expect(seen.map(({ method, url }) => [method, url])).toEqual([
      ["PUT", "/v1/agent/service/register?replace-existing-checks=true"],
      ["PUT", "/v1/agent/service/deregister/x%2F1"],
    ]);
    expect(JSON.parse(seen[0]?.body ?? "")).toEqual({
      ID: "x/1",
      Name: "shop",
      Port: 80,
      Tags: ["t"],
      Meta: { m: "1" },
    });
  });

  test("is asked for the checks of its services, and told what a TTL check is", async () => {
    answer.body = JSON.stringify({
      "service:a": { CheckID: "service:a", ServiceID: "a", Status: "passing", Notes: "" },
      "_service_maintenance:a": {
        CheckID: "_service_maintenance:a",
        ServiceID: "a",
        Status: "critical",
        Notes: "by hand",
      },
      node: { CheckID: "node", ServiceID: "", Status: "passing" },
    });
    expect(await client.checks(signal)).toEqual([
      { id: "service:a", serviceId: "a", status: "passing", notes: "" },
      { id: "_service_maintenance:a", serviceId: "a", status: "critical", notes: "by hand" },
    ]);
    await client.updateTtl("a", "critical", "Docker says unhealthy", signal);
    expect(seen.map(({ method, url }) => [method, url])).toEqual([
      ["GET", "/v1/agent/checks"],
      ["PUT", "/v1/agent/check/update/service%3Aa"],
    ]);
    expect(JSON.parse(seen[1]?.body ?? "")).toEqual({ Status: "critical", Output: "Docker says unhealthy" });
    answer.body = "[]";
    await expect(client.checks(signal)).rejects.toMatchObject({ code: "ERR_CONSUL_ANSWER_INVALID" });
  });

  test("is told of maintenance, and that a TTL check passes", async () => {
    await client.maintain("x/1", true, "going: drained", signal);
    await client.maintain("x/1", false, "", signal);
    await client.passTtl("x/1", "all is well", signal);
    expect(seen.map(({ method, url }) => [method, url])).toEqual([
      ["PUT", "/v1/agent/service/maintenance/x%2F1?enable=true&reason=going%3A+drained"],
      ["PUT", "/v1/agent/service/maintenance/x%2F1?enable=false&reason="],
      ["PUT", "/v1/agent/check/update/service%3Ax%2F1"],
    ]);
    expect(JSON.parse(seen[2]?.body ?? "")).toEqual({ Status: "passing", Output: "all is well" });
  });

  test.each([".", ".."])("is never given the id %j, which it could not be told to forget", async (id) => {
    const asked = [
      client.register({ id, name: "shop", port: 80, meta: {} }, signal),
      client.deregister(id, signal),
      client.maintain(id, true, "going", signal),
      client.updateTtl(id, "passing", "", signal),
    ];
    for (const one of asked) await expect(one).rejects.toMatchObject({ code: "ERR_CONSUL_ID_INVALID" });
    expect(seen).toEqual([]);
    await client.deregister("...", signal);
    expect(seen.map(({ url }) => url)).toEqual(["/v1/agent/service/deregister/..."]);
  });

  const pace = { intervalMs: 5_000, timeoutMs: 1_500 };
  const paceBody = { Interval: "5000ms", Timeout: "1500ms" };
  test.each<[ServiceCheck, object]>([
    [
      { kind: "tcp", name: "n", address: "h:1", ...pace, status: "passing", deregisterAfterMs: 90_000 },
      { TCP: "h:1", ...paceBody, Status: "passing", DeregisterCriticalServiceAfter: "90000ms" },
    ],
    [
      { kind: "http", name: "n", url: "http://h:1/", method: "HEAD", header: { Host: ["x"] }, ...pace },
      { HTTP: "http://h:1/", Method: "HEAD", Header: { Host: ["x"] }, ...paceBody },
    ],
    [
      { kind: "grpc", name: "n", address: "h:1/svc", ...pace },
      { GRPC: "h:1/svc", ...paceBody },
    ],
    [{ kind: "ttl", name: "n", ttlMs: 15_000 }, { TTL: "15000ms" }],
  ])("is told the check %j", async (check, body) => {
    await client.register({ id: "x", name: "shop", port: 80, meta: {}, check }, signal);
    expect(JSON.parse(seen[0]?.body ?? "")).toMatchObject({ Check: { CheckID: "service:x", Name: "n", ...body } });
  });
});

describe("a failure", () => {
  test("names the status, and not the token", async () => {
    answer = { status: 403, body: "Permission denied" };
    const error = await client.services(signal).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "ERR_CONSUL_STATUS", retryable: true, details: { status: 403 } });
    expect(JSON.stringify(error)).not.toContain("s3cret");
    expect((error as Error).cause).toBeUndefined();
  });

  test("is said where the answer is none of Consul's", async () => {
    answer.body = "<html>";
    await expect(client.services(signal)).rejects.toMatchObject({ code: "ERR_CONSUL_ANSWER_INVALID" });
  });

  test("is said where nobody answers", async () => {
    const nobody = new AgentClient({ baseUrl: "http://127.0.0.1:1/v1", token: () => undefined });
    await expect(nobody.services(signal)).rejects.toMatchObject({ code: "ERR_CONSUL_UNREACHABLE", retryable: true });
  });

  test("an abort ends it with its reason", async () => {
    await expect(client.services(AbortSignal.abort(new Error("over")))).rejects.toThrow("over");
  });
});
