import { afterEach, describe, expect, test } from "@jest/globals";
import { RuntimeClient } from "../../../../src/haproxy/runtime/client.ts";
import { systemClock } from "../../../../src/support/clock.ts";
import { silentLogger } from "../../../../src/support/logger.ts";
import { eventually } from "../../../support/eventually.ts";
import { type FakeAnswer, type FakeRuntimeSocket, fakeRuntimeSocket } from "../../../support/fake-runtime-socket.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

const info = (pid: number, version = "3.0.11") => `Version: ${version}\nPid: ${pid}\nUptime_sec: 5\nStopping: 0\n\n`;

async function client(
  answer: (line: string, payload: readonly string[]) => FakeAnswer | undefined,
): Promise<{ readonly runtime: RuntimeClient; readonly socket: FakeRuntimeSocket }> {
  const socket = await fakeRuntimeSocket({
    answer: (line, payload) => {
      const own = answer(line, payload);
      if (own !== undefined) return own;
      if (line === "show info") return info(7);
      return line === "help" ? "  wait <x> : y\n\n" : "\n";
    },
  });
  const runtime = new RuntimeClient({ socketPath: socket.path, clock: systemClock, logger: silentLogger });
  opened.push(socket, runtime);
  return { runtime, socket };
}

const weight = (server: string) => ({ kind: "set-weight", backend: "b", server, weight: 1 }) as const;
const line = (server: string) => `set server b/${server} weight 1`;

describe("the warm connection", () => {
  test("is made once, and operations go over it in one piece", async () => {
    const { runtime, socket } = await client(() => undefined);
    expect(runtime.capabilities()).toBeUndefined();
    expect(await runtime.reconnect()).toMatchObject({ versionText: "3.0.11", wait: true });
    expect(runtime.capabilities()).toMatchObject({ versionText: "3.0.11" });
    const before = socket.chunks.length;
    expect(await runtime.apply([weight("x"), weight("y")])).toEqual([{ ok: true }, { ok: true }]);
    expect(await runtime.apply([])).toEqual([]);
    expect(socket.chunks.slice(before)).toEqual([`${line("x")}\n${line("y")}\n`]);
    expect(socket.connections()).toBe(1);
  });

  test("is made on demand by the first operation", async () => {
    const { runtime, socket } = await client(() => undefined);
    expect(await Promise.all([runtime.apply([weight("x")]), runtime.apply([weight("y")])])).toEqual([
      [{ ok: true }],
      [{ ok: true }],
    ]);
    expect(socket.connections()).toBe(1);
  });

  test("is made again by itself when HAProxy closes it, and listeners are told", async () => {
    const { runtime, socket } = await client(() => undefined);
    let closes = 0;
    const forget = runtime.onClose(() => {
      closes += 1;
    });
    await runtime.reconnect();
    socket.hangUp();
    await eventually(() => socket.connections() === 2 && socket.lines.length === 3, "another connection");
    expect(closes).toBe(1);
    // The version is the same: its commands are not asked for again.
    expect(socket.lines).toEqual(["show info", "help", "show info"]);
    expect(await runtime.apply([weight("x")])).toEqual([{ ok: true }]);
    expect(socket.connections()).toBe(2);
    forget();
    socket.hangUp();
    await eventually(() => socket.connections() === 3, "another connection");
    expect(closes).toBe(1);
  });

  test("another version is probed anew", async () => {
    let version = "2.6.12";
    const { runtime } = await client((asked) => (asked === "show info" ? info(7, version) : undefined));
    expect(await runtime.reconnect()).toMatchObject({ needsPoolKeywords: true });
    version = "3.2.0";
    expect(await runtime.reconnect()).toMatchObject({ needsPoolKeywords: false, version: [3, 2, 0] });
  });

  test("breaks in the middle: what was not answered failed, nothing is assumed", async () => {
    const { runtime } = await client((asked) => (asked === line("y") ? { kind: "close", after: "" } : undefined));
    await runtime.reconnect();
    const results = await runtime.apply([weight("x"), weight("y"), weight("z")]);
    expect(results).toEqual([
      { ok: true },
      { ok: false, command: line("y"), answer: expect.stringMatching(/^connection lost/) },
      { ok: false, command: line("z"), answer: expect.stringMatching(/^connection lost/) },
    ]);
    expect(await runtime.apply([weight("x")])).toEqual([{ ok: true }]);
  });

  test("nobody there", async () => {
    const runtime = new RuntimeClient({ socketPath: "/nowhere/r.sock", clock: systemClock, logger: silentLogger });
    await expect(runtime.apply([weight("x")])).rejects.toMatchObject({
      code: "ERR_HAPROXY_UNREACHABLE",
      retryable: true,
    });
    await expect(runtime.reconnect()).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE" });
    await expect(runtime.observe()).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE" });
    await expect(runtime.deleteServer("b", "s", false)).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE" });
    runtime.close();
  });

  test("nobody there, and nobody waits any more: the failure is nobody's, not the process's", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", note);
    try {
      const runtime = new RuntimeClient({ socketPath: "/nowhere/r.sock", clock: systemClock, logger: silentLogger });
      await expect(runtime.reconnect(AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
      // Over a connection of its own, begun later: the one that was given up has failed by then.
      await expect(runtime.observe()).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE" });
      await systemClock.sleep(10);
      expect(unhandled).toEqual([]);
      runtime.close();
    } finally {
      process.off("unhandledRejection", note);
    }
  });

  test("too old a HAProxy is refused", async () => {
    const { runtime } = await client((asked) => (asked === "show info" ? info(7, "2.4.1") : undefined));
    await expect(runtime.reconnect()).rejects.toMatchObject({ code: "ERR_HAPROXY_TOO_OLD" });
    expect(runtime.capabilities()).toBeUndefined();
  });

  test("is not made again once the client is closed", async () => {
    const { runtime, socket } = await client(() => undefined);
    let closes = 0;
    runtime.onClose(() => {
      closes += 1;
    });
    await runtime.reconnect();
    runtime.close();
    await expect(runtime.apply([weight("x")])).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE" });
    expect(socket.connections()).toBe(1);
    expect(closes).toBe(0);
  });

  test("abort", async () => {
    const { runtime } = await client((asked) => (asked === line("x") ? { kind: "silence" } : undefined));
    await runtime.reconnect();
    const abort = new AbortController();
    const applying = runtime.apply([weight("x")], abort.signal);
    abort.abort(new Error("enough"));
    await expect(applying).rejects.toThrow("enough");
    await expect(runtime.apply([weight("y")], abort.signal)).rejects.toThrow("enough");
    expect(await runtime.apply([weight("y")])).toEqual([{ ok: true }]);
  });
});

describe("maps", () => {
  const replace = (file: string) => ({ kind: "replace-map", file, entries: [{ key: "/a", value: "b" }] }) as const;

  test("are committed in their place behind their entries", async () => {
    const { runtime, socket } = await client((asked) =>
      asked.startsWith("prepare") ? "New version created: 4\n\n" : undefined,
    );
    await runtime.reconnect();
    expect(await runtime.apply([weight("x"), replace("/m"), weight("y"), replace("/n")])).toEqual(
      Array(4).fill({ ok: true }),
    );
    const sent = socket.lines.filter((text) => !/^(show info|help)$/.test(text));
    expect(sent).toEqual([
      line("x"),
      "prepare map /m",
      "add map @4 /m",
      "commit map @4 /m",
      line("y"),
      "prepare map /n",
      "add map @4 /n",
      "commit map @4 /n",
    ]);
  });

  const edit = {
    kind: "edit-map",
    file: "/m",
    add: [
      { key: "/a", value: "b c" },
      { key: "/#", value: "d" },
    ],
    set: [{ key: "/x;y", value: "e f" }],
    delete: ["/b\\1", "/c"],
  } as const;

  test("are edited entry by entry", async () => {
    const { runtime, socket } = await client(() => undefined);
    await runtime.reconnect();
    expect(await runtime.apply([edit])).toEqual([{ ok: true }]);
    expect(socket.lines.slice(2)).toEqual([
      "add map /m",
      "set map /m /x\\;y e\\ f",
      "del map /m /b\\\\1",
      "del map /m /c",
    ]);
    expect(socket.chunks.join("")).toContain("add map /m <<\n/a b c\n/# d\n\n");
  });

  test("an answer that is not silence is a refusal, and what stands behind it of maps is not sent", async () => {
    const { runtime, socket } = await client((asked) =>
      asked.startsWith("set map") ? "entry not found.\n\n" : undefined,
    );
    await runtime.reconnect();
    expect(await runtime.apply([edit, weight("y"), replace("/n"), { ...edit, file: "/o" }])).toEqual([
      { ok: false, command: "set map /m /x\\;y e\\ f", answer: "entry not found." },
      { ok: true },
      { ok: false, command: expect.any(String), answer: expect.stringContaining("not sent") },
      { ok: false, command: expect.any(String), answer: expect.stringContaining("not sent") },
    ]);
    expect(socket.lines.filter((text) => /\/[no]$/.test(text))).toEqual([]);
  });

  test.each([
    { add: [{ key: "a b", value: "c" }] },
    { set: [{ key: "a", value: "" }] },
    { set: [{ key: "a", value: "x".repeat(9_000) }] },
    { delete: [""] },
  ])("what no command carries is not sent: %j", async (more) => {
    const { runtime, socket } = await client(() => undefined);
    await runtime.reconnect();
    expect(await runtime.apply([{ kind: "edit-map", file: "/m", add: [], set: [], delete: [], ...more }])).toEqual([
      { ok: false, command: "edit map /m", answer: expect.stringContaining("not sent") },
    ]);
    expect(socket.lines.filter((text) => text.includes("map"))).toEqual([]);
  });

  test("whose entries are refused are cleared, not committed", async () => {
    const { runtime, socket } = await client((asked) => {
      if (asked.startsWith("prepare")) return "New version created: 4\n\n";
      return asked.startsWith("add map") ? "Out of memory error.\n\n" : undefined;
    });
    expect(await runtime.apply([replace("/m"), weight("y")])).toEqual([
      { ok: false, command: "add map @4 /m", answer: "Out of memory error." },
      { ok: true },
    ]);
    expect(socket.lines).toContain("clear map @4 /m");
    expect(socket.lines).not.toContain("commit map @4 /m");
  });

  test("whose path cannot be carried, whose version or commit fails", async () => {
    const { runtime } = await client((asked) => {
      if (asked === "prepare map /a") return "Some other words\n\n";
      if (asked.startsWith("prepare")) return "New version created: 4\n\n";
      return asked.startsWith("commit") ? "Version number out of range.\n\n" : undefined;
    });
    const wrong = async (file: string) => (await runtime.apply([replace(file)]))[0];
    expect(await wrong("/a")).toEqual({ ok: false, command: "prepare map /a", answer: "Some other words" });
    const range = "Version number out of range.";
    expect(await wrong("/b")).toEqual({ ok: false, command: "commit map @4 /b", answer: range });
    expect(await wrong("/c\nd")).toMatchObject({ ok: false, answer: expect.stringContaining("not sent") });
  });

  test("a connection that breaks between the steps", async () => {
    const { runtime } = await client((asked) => {
      if (asked.startsWith("prepare")) return "New version created: 4\n\n";
      return asked.startsWith("add map") ? { kind: "close", after: "" } : undefined;
    });
    const results = await runtime.apply([weight("x"), replace("/m"), weight("y")]);
    expect(results).toMatchObject([
      { ok: true },
      { ok: false, answer: expect.stringMatching(/^connection lost/) },
      { ok: false, answer: expect.stringMatching(/^connection lost/) },
    ]);
  });
});

describe("backends", () => {
  const operations = [
    { kind: "add-backend", backend: "api", defaults: "sluice_backend_http" },
    {
      kind: "add-server",
      backend: "api",
      server: "s",
      address: "10.0.0.1",
      port: 80,
      weight: 1,
      options: [],
      check: false,
    },
    { kind: "publish-backend", backend: "api" },
    { kind: "edit-map", file: "/m", add: [{ key: "/a", value: "api" }], set: [], delete: [] },
    { kind: "unpublish-backend", backend: "old" },
  ] as const;
  // As 3.4.0 gave them.
  const good: Readonly<Record<string, string>> = {
    "add backend api from sluice_backend_http": "New backend registered.\n\n",
    "add server api/s 10.0.0.1:80 weight 1": "New server registered.\n\n",
    "publish backend api": "Backend published.\n\n",
    "unpublish backend old": "Backend unpublished.\n\n",
  };

  test("are made, filled, published, and only then led to", async () => {
    const { runtime, socket } = await client((asked) => good[asked]);
    await runtime.reconnect();
    expect(await runtime.apply(operations)).toEqual(operations.map(() => ({ ok: true })));
    expect(socket.lines.slice(2)).toEqual([
      ...Object.keys(good).slice(0, 2),
      "set server api/s state ready",
      "publish backend api",
      "add map /m",
      "unpublish backend old",
    ]);
  });

  test.each([
    ["add backend api from sluice_backend_http", "Cannot find default proxy 'sluice_backend_http'."],
    [
      "add backend api from sluice_backend_http",
      "Error during backend creation : name is already used by other proxy 'backend api'.",
    ],
    ["publish backend api", "No such backend."],
    ["publish backend api", ""],
    ["publish backend api", "Unknown command: 'publish', but maybe one of the following ones is a better match:"],
  ])("%j: %j means that nothing is led there, and nothing taken away", async (line, answer) => {
    const { runtime, socket } = await client((asked) => (asked === line ? `${answer}\n\n` : good[asked]));
    await runtime.reconnect();
    const results = await runtime.apply(operations);
    const unpublished = { ok: false, command: "publish-backend api", answer: expect.stringContaining("not sent") };
    expect(results.filter(({ ok }) => !ok)).toEqual([
      { ok: false, command: line, answer },
      ...(line.startsWith("add") ? [unpublished] : []),
      { ok: false, command: "edit-map /m", answer: expect.stringContaining("not sent") },
      { ok: false, command: "unpublish-backend old", answer: expect.stringContaining("not sent") },
    ]);
    expect(socket.lines).not.toContain("add map /m");
    expect(socket.lines).not.toContain("unpublish backend old");
  });

  test.each([
    ["Done.", "Backend deleted.", { kind: "deleted" }],
    ["Done.", "backend 'api' has no server available!\nServer deleted.\nBackend deleted.", { kind: "deleted" }],
    ["Wait delay expired.", undefined, { kind: "busy" }],
    ["Wait delay expired. Backend still has streams.", undefined, { kind: "busy" }],
    ["Failed. No such backend.", undefined, { kind: "refused", answer: "Failed. No such backend." }],
    [
      "Done.",
      "Only a backend without server can be deleted.",
      { kind: "refused", answer: "Only a backend without server can be deleted." },
    ],
    ["Unknown command: 'wait'", undefined, { kind: "refused", answer: "Unknown command: 'wait'" }],
  ] as const)("that carry nothing any more are deleted: %j, %j", async (waited, deleted, result) => {
    const { runtime, socket } = await client((asked) => {
      if (asked.startsWith("wait")) return `${waited}\n\n`;
      return asked.startsWith("del backend") ? `${deleted}\n\n` : undefined;
    });
    expect(await runtime.deleteBackend("api")).toEqual(result);
    expect(socket.lines).toEqual(["wait 20ms be-removable api", ...(deleted === undefined ? [] : ["del backend api"])]);
  });
});

describe("deleting", () => {
  test.each([
    ["Server deleted.\n", { kind: "deleted" }],
    ["Server deleted.\n\n", { kind: "deleted" }],
    ["No such server.\n\n", { kind: "gone" }],
    ["Server still has connections attached to it, cannot remove it.\n\n", { kind: "busy" }],
    ["Proxy is disabled.\n\n", { kind: "refused", answer: "Proxy is disabled." }],
  ])("%j", async (answer, result) => {
    const { runtime, socket } = await client((asked) => (asked.startsWith("del server") ? answer : undefined));
    expect(await runtime.deleteServer("b", "s", false)).toEqual(result);
    expect(await runtime.deleteServer("b", "s", true)).toEqual(result);
    const sent = socket.lines.filter((text) => !/^(show info|help)$/.test(text));
    expect(sent).toEqual(["del server b/s", "shutdown sessions server b/s", "del server b/s"]);
  });

  test("an answer that is lost leaves it unknown", async () => {
    const { runtime } = await client((asked) =>
      asked.startsWith("del server") ? { kind: "close", after: "" } : undefined,
    );
    await expect(runtime.deleteServer("b", "s", false)).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE" });
  });
});

describe("reading back", () => {
  const header = "# be_name srv_name srv_addr srv_port srv_op_state srv_admin_state srv_uweight srv_check_result";
  const answers: Readonly<Record<string, string>> = {
    "show env SLUICE_STRUCTURE": "SLUICE_STRUCTURE=abc\n\n",
    "show servers state": `1\n${header}\nb s 10.0.0.1 80 2 0 1 0\n\n`,
    "show servers state b": `1\n${header}\nb s 10.0.0.1 80 2 0 1 0\n\n`,
    "show servers state gone": "Can't find backend.\n\n",
    "show map /m": "0x1 /a b c\n\n",
    "show map /none": "Unknown map identifier. Please use #<id> or <file>.\n\n",
  };

  test("comes over connections of its own", async () => {
    const { runtime, socket } = await client((asked) => answers[asked]);
    await runtime.reconnect();
    const server = expect.objectContaining({ backend: "b", name: "s", port: 80 });
    expect(await runtime.observe()).toEqual({
      worker: expect.objectContaining({ pid: 7 }),
      structure: "abc",
      servers: [server],
    });
    expect((await runtime.observe(["b", "gone"])).servers).toEqual([server]);
    expect((await runtime.observe([])).servers).toEqual([]);
    expect(await runtime.readMap("/m")).toEqual([{ key: "/a", value: "b c" }]);
    expect(await runtime.readMap("/none")).toBeUndefined();
    expect(socket.connections()).toBe(6);
  });

  test("an answer that is not understood is an error", async () => {
    const { runtime } = await client((asked) =>
      asked === "show servers state" ? "Permission denied\n\n" : answers[asked],
    );
    await expect(runtime.observe()).rejects.toMatchObject({ code: "ERR_HAPROXY_ANSWER" });
  });
});
