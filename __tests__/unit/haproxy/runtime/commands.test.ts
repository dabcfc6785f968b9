import { describe, expect, test } from "@jest/globals";
import type { ServerOperation } from "../../../../src/haproxy/plan/types.ts";
import { judge, serverScript } from "../../../../src/haproxy/runtime/commands.ts";
import type { Capabilities } from "../../../../src/haproxy/runtime/types.ts";

const newer: Capabilities = {
  versionText: "3.0.11",
  version: [3, 0, 11],
  wait: true,
  dynamicBackends: false,
  needsPoolKeywords: false,
};
const old: Capabilities = {
  ...newer,
  versionText: "2.6.12",
  version: [2, 6, 12],
  wait: false,
  needsPoolKeywords: true,
};

function add(over: Partial<Extract<ServerOperation, { kind: "add-server" }>> = {}): ServerOperation {
  return {
    kind: "add-server",
    backend: "b",
    server: "s",
    address: "10.0.0.1",
    port: 80,
    weight: 5,
    options: [],
    check: false,
    ...over,
  };
}

function linesOf(operation: ServerOperation, capabilities = newer): readonly string[] {
  const script = serverScript(operation, capabilities);
  if (!script.ok) throw new Error(script.answer);
  return script.steps.map(({ line }) => line);
}

describe("commands of an operation", () => {
  test.each<readonly [string, ServerOperation, readonly string[]]>([
    ["a server", add(), ["add server b/s 10.0.0.1:80 weight 5", "set server b/s state ready"]],
    [
      "a server with checks, which begin before traffic does",
      add({ options: ["check", "inter", "2s"], check: true, weight: 0 }),
      ["add server b/s 10.0.0.1:80 check inter 2s weight 0", "enable health b/s", "set server b/s state ready"],
    ],
    [
      "a server with a dynamic cookie, which it has before traffic",
      add({ makeCookies: true }),
      ["add server b/s 10.0.0.1:80 weight 5", "enable dynamic-cookie backend b", "set server b/s state ready"],
    ],
    ["IPv6", add({ address: "::1" }), ["add server b/s [::1]:80 weight 5", "set server b/s state ready"]],
    [
      "values with blanks and semicolons",
      add({ options: ["sni", "str(a b);"] }),
      ["add server b/s 10.0.0.1:80 sni str(a\\ b)\\; weight 5", "set server b/s state ready"],
    ],
    [
      "one that comes back",
      { kind: "revive-server", backend: "b", server: "s", weight: 7, check: true },
      ["set server b/s weight 7", "enable health b/s", "set server b/s state ready"],
    ],
    ["one that leaves", { kind: "retire-server", backend: "b", server: "s" }, ["set server b/s state maint"]],
    ["a weight", { kind: "set-weight", backend: "b", server: "s", weight: 256 }, ["set server b/s weight 256"]],
    ["a state", { kind: "set-state", backend: "b", server: "s", state: "ready" }, ["set server b/s state ready"]],
  ])("%s", (_what, operation, lines) => {
    expect(linesOf(operation)).toEqual(lines);
  });

  test("2.6 gets the pool keywords that are not there", () => {
    expect(linesOf(add(), old)[0]).toBe("add server b/s 10.0.0.1:80 pool-max-conn -1 pool-purge-delay 5s weight 5");
    expect(linesOf(add({ options: ["pool-max-conn", "9"] }), old)[0]).toBe(
      "add server b/s 10.0.0.1:80 pool-max-conn 9 pool-purge-delay 5s weight 5",
    );
  });

  test("64 words are sent, 65 are a failure: up to 3.0 HAProxy drops them silently", () => {
    const options = Array.from({ length: 58 }, (_, index) => `o${index}`);
    // add, server, b/s, address, 58 options, weight and its value
    expect(linesOf(add({ options }))[0]?.split(" ").length).toBe(64);
    expect(serverScript(add({ options: [...options, "more"] }), newer)).toEqual({
      ok: false,
      command: "add-server b/s",
      answer: expect.stringContaining("65 words"),
    });
  });

  test.each([
    ["a newline in an option", add({ options: ["check", "a\nshutdown frontend f"] })],
    ["a newline in a name", add({ server: "s\ndel server b/x" })],
    ["a weight out of range", add({ weight: 257 })],
    ["a fraction", { kind: "set-weight", backend: "b", server: "s", weight: 1.5 } as const],
    ["a line beyond 8 kB", add({ options: ["sni", "x".repeat(9_000)] })],
    ["a payload", add({ options: ["<<"] })],
  ])("%s is a failure before it is sent", (_what, operation) => {
    expect(serverScript(operation, newer)).toEqual({
      ok: false,
      command: expect.any(String),
      answer: expect.stringMatching(/^not sent: /),
    });
  });
});

describe("judging", () => {
  const script = serverScript(add({ options: ["check"], check: true }), newer);
  const steps = script.ok ? script.steps : [];

  test("all answers as they should be", () => {
    expect(judge(steps, ["New server registered.", "", ""], "x")).toEqual({ ok: true });
    expect(judge(steps, ["[NOTICE] something\nNew server registered.", "", ""], "x")).toEqual({ ok: true });
  });

  test.each([
    [["Already exists a server with the same name in backend.", "", ""], 0],
    [["", "", ""], 0],
    [["New server registered. Or so.", "", ""], 0],
    [["New server registered.", "Health check was not configured on this server, cannot enable.", ""], 1],
    [["New server registered.", "", "No such server."], 2],
    [["New server registered.", "", "Unknown command: 'set', but maybe…"], 2],
  ])("%j fails at step %d", (answers, at) => {
    expect(judge(steps, answers, "x")).toEqual({ ok: false, command: steps[at]?.line, answer: answers[at] });
  });

  test("an answer that is missing is a failure that says why", () => {
    expect(judge(steps, ["New server registered."], "connection lost")).toEqual({
      ok: false,
      command: "enable health b/s",
      answer: "connection lost",
    });
  });
});
