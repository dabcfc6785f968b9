import { afterEach, describe, expect, test } from "@jest/globals";
import { RuntimeConnection } from "../../../../src/haproxy/runtime/connection.ts";
import { systemClock } from "../../../../src/support/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import {
  type FakeRuntimeOptions,
  type FakeRuntimeSocket,
  fakeRuntimeSocket,
} from "../../../support/fake-runtime-socket.ts";
import { TestClock } from "../../../support/test-clock.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function connected(options: FakeRuntimeOptions, clock = systemClock) {
  const socket = await fakeRuntimeSocket(options);
  const connection = await RuntimeConnection.open({ path: socket.path, clock });
  opened.push(socket, connection);
  return { socket, connection };
}

const lines = (...texts: string[]) => texts.map((line) => ({ line }));

describe("framing", () => {
  // What HAProxy sends before the next prompt, and what was said.
  const quirks: readonly (readonly [string, string, string])[] = [
    ["set server b/s weight 3", "\n", ""],
    ["del server b/s on 2.6", "Server deleted.\n", "Server deleted."],
    ["del server b/s", "Server deleted.\n\n", "Server deleted."],
    ["show servers state", "1\n# be_id\n3 b\n\n", "1\n# be_id\n3 b"],
    ["show map", "0x1 k > v\n0x2 >k v\n\n", "0x1 k > v\n0x2 >k v"],
    ["unknown", "Unknown command.\n  help   : this\n\n", "Unknown command.\n  help   : this"],
  ];

  test.each(quirks)("%s", async (line, sent, said) => {
    const { connection } = await connected({ answer: () => sent });
    expect(await connection.ask(line)).toBe(said);
  });

  test("an answer cut at every byte is the same answer", async () => {
    const said = new Map(quirks.map(([line, sent]) => [line, sent]));
    const { connection } = await connected({
      answer: (line) => said.get(line) ?? "é\n\n",
      cut: (bytes) => Array.from(bytes, (_, index) => bytes.subarray(index, index + 1)),
    });
    const { answers, failure } = await connection.execute(lines(...quirks.map(([line]) => line), "other"));
    expect(failure).toBeUndefined();
    expect(answers).toEqual([...quirks.map(([, , meant]) => meant), "é"]);
  });

  test.each([1, 2, 3, 5])("answers glued together and cut into pieces of %d bytes", async (size) => {
    let glued: Buffer[] = [];
    const { connection } = await connected({
      answer: (line) => `${line}\n\n`,
      cut: (bytes) => {
        const all = Buffer.concat([...glued, bytes]);
        const whole = all.length - (all.length % size);
        // The rest goes with the next answer; the prompt's and the last one's at once.
        const last = all.toString().endsWith("last\n\n> ") || all.toString() === "\n> ";
        glued = last ? [] : [all.subarray(whole)];
        const sent = last ? all : all.subarray(0, whole);
        return Array.from({ length: Math.ceil(sent.length / size) }, (_, i) => sent.subarray(i * size, (i + 1) * size));
      },
    });
    const { answers } = await connection.execute(lines("a", "bc", "def", "last"));
    expect(answers).toEqual(["a", "bc", "def", "last"]);
  });

  test("the echo of a payload is not part of the answer, with and without", async () => {
    for (const payloadEcho of [true, false]) {
      const { connection } = await connected({
        answer: (_line, payload) => (payload.length === 2 ? "\n" : "wrong\n\n"),
        dialect: { payloadEcho },
      });
      const { answers } = await connection.execute([
        { line: "add map @1 /m", payload: ["/a b", "/c d e"] },
        { line: "add map @1 /m", payload: ["/a b"] },
      ]);
      expect(answers).toEqual(["", "wrong"]);
    }
  });

  test("5,000 commands in one write get 5,000 answers in order", async () => {
    const { connection, socket } = await connected({ answer: (line) => (line.endsWith("7") ? "\n" : `${line}\n\n`) });
    const commands = Array.from({ length: 5_000 }, (_, index) => `set server b/s${index} weight ${index}`);
    const { answers, failure } = await connection.execute(lines(...commands));
    expect(failure).toBeUndefined();
    expect(answers).toEqual(commands.map((line) => (line.endsWith("7") ? "" : line)));
    expect(socket.lines).toEqual(commands);
  });

  test("batches that overlap are answered in order", async () => {
    const { connection } = await connected({ answer: (line) => `${line}!\n` });
    const [one, two, none] = await Promise.all([
      connection.execute(lines("a", "b")),
      connection.execute(lines("c")),
      connection.execute([]),
    ]);
    expect([one.answers, two.answers, none.answers]).toEqual([["a!", "b!"], ["c!"], []]);
  });

  test("a small batch arrives as one piece, written before execute returns", async () => {
    const { connection, socket } = await connected({ answer: () => "\n" });
    const done = connection.execute(lines("a", "b", "c"));
    await done;
    expect(socket.chunks.slice(1)).toEqual(["a\nb\nc\n"]);
  });
});

describe("failures", () => {
  test("the end in the middle of an answer leaves it and the rest unanswered", async () => {
    const { connection } = await connected({
      answer: (line) => (line === "b" ? { kind: "close", after: "half an ans" } : "\n"),
    });
    let closes = 0;
    connection.onClose(() => {
      closes += 1;
    });
    const { answers, failure } = await connection.execute(lines("a", "b", "c"));
    expect(answers).toEqual([""]);
    expect(failure).toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE", retryable: true });
    expect(connection.open).toBe(false);
    expect(closes).toBe(1);
    expect((await connection.execute(lines("d"))).failure?.message).toContain("connection lost");
    await expect(connection.ask("d")).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE" });
  });

  test("an answer that does not come in time is a failure, and closes the connection", async () => {
    const clock = new TestClock();
    const { connection } = await connected({ answer: (line) => (line === "b" ? { kind: "silence" } : "\n") }, clock);
    const batch = connection.execute(lines("a", "b"));
    await eventually(() => clock.pending().length === 1, "the deadline");
    clock.advance(4_999);
    expect(connection.open).toBe(true);
    clock.advance(1);
    const { answers, failure } = await batch;
    expect(answers.length).toBeLessThan(2);
    expect(failure?.message).toContain("no answer within 5000 ms");
    expect(connection.open).toBe(false);
    expect(clock.pending()).toEqual([]);
  });

  test("an answer nobody asked for closes the connection", async () => {
    const { connection } = await connected({ answer: () => "\n> \n" });
    let closed = false;
    connection.onClose(() => {
      closed = true;
    });
    expect((await connection.execute(lines("a"))).answers).toEqual([""]);
    await eventually(() => closed, "the close");
  });

  test("abort rejects with its reason and closes: what was sent may have been done", async () => {
    const { connection } = await connected({ answer: () => ({ kind: "silence" }) });
    const abort = new AbortController();
    const batch = connection.execute(lines("a"), abort.signal);
    abort.abort(new Error("enough"));
    await expect(batch).rejects.toThrow("enough");
    expect(connection.open).toBe(false);
    await expect(connection.execute(lines("a"), abort.signal)).rejects.toThrow("enough");
  });

  test.each(["a\nb", "a\rb", "a\0b", "a;b", "a\\\\;b", "a\\", "", "add map @1 /m <<", `set ${"x".repeat(8_192)}`])(
    "%j is refused before anything is sent",
    async (line) => {
      const { connection, socket } = await connected({ answer: () => "\n" });
      await expect(connection.execute(lines("first", line))).rejects.toMatchObject({ code: "ERR_VALUE_UNSAFE" });
      expect(await connection.ask("second")).toBe("");
      expect(socket.lines).toEqual(["second"]);
    },
  );

  test("payload lines that would end the payload are refused", async () => {
    const { connection } = await connected({ answer: () => "\n" });
    for (const row of ["", "a\nb", "a\r"]) {
      await expect(connection.execute([{ line: "add map @1 /m", payload: [row] }])).rejects.toMatchObject({
        code: "ERR_VALUE_UNSAFE",
      });
    }
  });

  test("nobody there, and nobody who answers", async () => {
    await expect(RuntimeConnection.open({ path: "/nowhere/r.sock", clock: systemClock })).rejects.toMatchObject({
      code: "ERR_HAPROXY_UNREACHABLE",
      details: { code: "ENOENT" },
    });
    const socket: FakeRuntimeSocket = await fakeRuntimeSocket({ answer: () => "\n", cut: () => [] });
    opened.push(socket);
    const clock = new TestClock();
    const opening = RuntimeConnection.open({ path: socket.path, clock, deadlineMs: 300 });
    await eventually(() => clock.pending().length === 1, "the deadline");
    clock.advance(300);
    await expect(opening).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE" });
  });
});
