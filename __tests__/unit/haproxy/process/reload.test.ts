import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { HaproxyLog } from "../../../../src/haproxy/process/haproxy-log.ts";
import { reloadMaster } from "../../../../src/haproxy/process/reload.ts";
import { systemClock } from "../../../../src/support/clock.ts";
import { type FakeRuntimeSocket, fakeRuntimeSocket } from "../../../support/fake-runtime-socket.ts";

let directory: string;
let masterSocket: string;
let log: HaproxyLog;
let master: Server;
let worker: FakeRuntimeSocket;
let pid: number;
/** Whether the worker answers what it is asked. */
let answers: boolean;
/** What `show proc` tells behind the master, instead of the worker alone. */
let listed: string | undefined;
let alive: boolean;
/** Whether the master closes what it is asked on without a word, as when it is killed just then. */
let speechless: boolean;
let state: { reloads: number; failed: number };
/** What the fake master does when it is told to reload; the text is its answer. */
let onReload: () => Promise<string> | string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "sluice-rel-"));
  masterSocket = path.join(directory, "m.sock");
  log = new HaproxyLog(path.join(directory, "haproxy.log"), path.join(directory, "haproxy.cfg"));
  await writeFile(log.path, "[ALERT]    (1) : an older error\n");
  pid = 100;
  alive = true;
  answers = true;
  listed = undefined;
  speechless = false;
  state = { reloads: 3, failed: 0 };
  worker = await fakeRuntimeSocket({
    answer: () =>
      answers ? `Version: 3.0.11\nPid: ${pid}\nUptime_sec: 1\nStopping: 0\n\n` : { kind: "close", after: "" },
  });
  master = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.setEncoding("utf8").on("data", (line: string) => void answer(socket, line));
  });
  await new Promise<void>((resolve) => master.listen(masterSocket, resolve));
});

afterEach(async () => {
  await new Promise((resolve) => master.close(resolve));
  await worker.close();
  await rm(directory, { recursive: true, force: true });
});

async function answer(socket: Socket, line: string): Promise<void> {
  if (speechless) socket.end();
  else if (line === "reload\n") socket.end(await onReload());
  else if (line === "show proc;quit\n") {
    const counters = `${state.reloads} [failed: ${state.failed}]`;
    socket.end(
      `#<PID> <type> <reloads> <uptime> <version>\n50   master  ${counters}   0d00h00m01s  3.0.11\n${listed ?? `# workers\n${pid}  worker 0 0d00h00m01s 3.0.11\n`}\n`,
    );
  } else socket.end("Unknown command\n");
}

const reload = (signal?: AbortSignal) =>
  reloadMaster(
    {
      configPath: path.join(directory, "haproxy.cfg"),
      masterSocket,
      runtimeSocket: worker.path,
      log,
      clock: systemClock,
      masterAlive: () => alive,
    },
    signal,
  );

describe("3.0 and newer answer", () => {
  test("Success=1, and the new worker is waited for", async () => {
    onReload = () => {
      setTimeout(() => {
        pid = 101;
      }, 30);
      return "Success=1\n--\n[NOTICE]   (50) : Loading success.\n";
    };
    expect(await reload()).toMatchObject({ pid: 101, stopping: false });
  });

  test("Success=0, and the logs behind it", async () => {
    onReload = () =>
      `Success=0\n--\n[NOTICE]   (50) : haproxy version is 3.0.11\n[ALERT]    (50) : config : parsing [${directory}/haproxy.cfg:7] : unknown keyword 'x'\n[ALERT]    (50) : config : Fatal errors found in configuration.\n`;
    await expect(reload()).rejects.toMatchObject({
      code: "ERR_HAPROXY_RELOAD",
      message:
        "HAProxy did not take the new configuration; worker 100 goes on with the old one: line 7: unknown keyword 'x'",
    });
  });
});

describe("2.6 closes without an answer", () => {
  test("a new worker answers", async () => {
    onReload = () => {
      state = { reloads: 4, failed: 0 };
      setTimeout(() => {
        pid = 101;
      }, 30);
      return "";
    };
    expect((await reload()).pid).toBe(101);
  });

  test("the counter of failures rises: the words are those written since", async () => {
    onReload = async () => {
      await appendFile(log.path, `[ALERT]    (50) : config : parsing [${directory}/haproxy.cfg:9] : bad\n`);
      setTimeout(() => {
        state = { reloads: 4, failed: 1 };
      }, 30);
      return "";
    };
    await expect(reload()).rejects.toMatchObject({
      code: "ERR_HAPROXY_RELOAD",
      message: expect.stringMatching(/worker 100 goes on with the old one: line 9: bad$/),
    });
  });

  test("an older failure is no failure of this reload", async () => {
    state = { reloads: 3, failed: 2 };
    onReload = () => {
      setTimeout(() => {
        state = { reloads: 4, failed: 0 };
        pid = 101;
      }, 60);
      return "";
    };
    expect((await reload()).pid).toBe(101);
  });

  test("the master ends over it", async () => {
    onReload = () => {
      alive = false;
      return "";
    };
    await expect(reload()).rejects.toMatchObject({ code: "ERR_HAPROXY_RELOAD", details: { outcome: "master-ended" } });
  });
});

describe("a worker that was slow to answer before the reload", () => {
  const was = (section: string) => `# workers\n${section}100  worker 1 0d00h00m01s 3.0.11\n`;

  test.each([
    ["current", was("")],
    // Where 3.2 and newer list the one that serves after a reload that failed.
    ["old", was("# old workers\n")],
  ])("and listed as %s is not taken for a new one", async (_, text) => {
    listed = text;
    answers = false;
    onReload = () => {
      answers = true;
      setTimeout(() => {
        pid = 101;
      }, 60);
      return "Success=1\n--\n";
    };
    expect((await reload()).pid).toBe(101);
    expect(worker.lines.length).toBeGreaterThan(2);
  });
});

test("no master: nothing was asked", async () => {
  await new Promise((resolve) => master.close(resolve));
  alive = false;
  onReload = () => "never";
  await expect(reload()).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE" });
  master = createServer();
  await new Promise<void>((resolve) => master.listen(masterSocket, resolve));
});

test("abort in the middle", async () => {
  const abort = new AbortController();
  onReload = () => {
    abort.abort(new Error("enough"));
    return "";
  };
  await expect(reload(abort.signal)).rejects.toThrow("enough");
});

test("a master that ends before it has answered was asked nothing: that is no word on the configuration", async () => {
  speechless = true;
  alive = false;
  await expect(reload()).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE", retryable: true });
});
