import { mkdtemp, rename, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { ExternalProcess, type OtherVersion } from "../../../../src/haproxy/process/external-process.ts";
import { systemClock } from "../../../../src/support/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { type FakeRuntimeSocket, fakeRuntimeSocket } from "../../../support/fake-runtime-socket.ts";

let directory: string;
let paths: { readonly config: string; readonly masterSocket: string; readonly runtimeSocket: string };
let master: Server | undefined;
let worker: FakeRuntimeSocket | undefined;
let workers: FakeRuntimeSocket[];
let haproxy: ExternalProcess;
let versions: OtherVersion[];
/** What the master does when it is told to reload; the text is its answer. */
let onReload: () => Promise<string>;
/** What the worker and the master say. */
let said: { pid: number; stopping: number; files: string; listed: number };

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "sluice-ext-"));
  const below = (name: string) => path.join(directory, name);
  paths = { config: below("haproxy.cfg"), masterSocket: below("master.sock"), runtimeSocket: below("runtime.sock") };
  said = { pid: 7, stopping: 0, files: `/etc/base.cfg;${paths.config}`, listed: 7 };
  versions = [];
  onReload = async () => "Success=0\n--\n";
  workers = [];
  haproxy = new ExternalProcess({
    binary: "haproxy",
    paths,
    clock: systemClock,
    binaryWatch: { version: { text: "2.6.12", version: [2, 6, 12] }, look: async () => undefined } as never,
    onOtherVersion: (found) => versions.push(found),
    patienceMs: 50,
  });
});
afterEach(async () => {
  haproxy.release();
  await endMaster();
  for (const one of workers) await one.close().catch(() => undefined);
  await rm(directory, { recursive: true });
});

async function startMaster(): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", async (line) =>
      socket.end(
        String(line) === "reload\n"
          ? await onReload()
          : String(line).startsWith("@!")
            ? `CurrConns: 1\nStopping: ${said.stopping}\n\n`
            : `#<PID> <type> <reloads> <uptime> <version>\n1 master 0 [failed: 0] 0d00h00m01s 3.0.11\n# workers\n${said.listed} worker 0 0d00h00m01s 3.0.11\n\n`,
      ),
    );
  });
  master = server;
  await new Promise<void>((resolve) => server.listen(paths.masterSocket, resolve));
}

async function endMaster(): Promise<void> {
  const server = master;
  master = undefined;
  if (server !== undefined) await new Promise((resolve) => server.close(resolve));
}

/** Its socket takes the place of the one of before, as HAProxy's does. */
async function startWorker(): Promise<void> {
  worker = await fakeRuntimeSocket({
    answer: (line) =>
      line.startsWith("show env")
        ? `HAPROXY_CFGFILES=${said.files}\n\n`
        : `Version: 3.0.11\nPid: ${said.pid}\nUptime_sec: 1\nStopping: ${said.stopping}\n\n`,
  });
  workers.push(worker);
  await rename(worker.path, paths.runtimeSocket);
}

const missing = async () => {
  const thrown = await haproxy.adoptOrStart().then(
    () => undefined,
    (error) => error,
  );
  expect(thrown).toMatchObject({ code: "ERR_HAPROXY_AWAITED", retryable: true });
  return thrown.message as string;
};

describe("it is never started, only waited for", () => {
  test("nobody there: how to start it", async () => {
    const message = await missing();
    expect(message).toContain(`haproxy -W -S ${paths.masterSocket},mode,600 -f ${paths.config}`);
    // The same words each time: they are said once.
    expect(await missing()).toBe(message);
    expect(await haproxy.running()).toBe(false);
  });

  test("a master without a worker that answers, and a worker without a master", async () => {
    await startMaster();
    expect(await missing()).toContain("no worker of it");
    expect(await haproxy.running()).toBe(true);
    await endMaster();
    await startWorker();
    expect(await missing()).toContain("waiting for HAProxy's master");
  });

  test("a worker that is another master's, one that is ending, one on another file", async () => {
    await startMaster();
    await startWorker();
    said.listed = 8;
    expect(await missing()).toContain("two of them");
    said = { ...said, listed: 7, stopping: 1 };
    expect(await missing()).toContain("is ending");
    said = { ...said, stopping: 0, files: "/etc/haproxy/haproxy.cfg" };
    expect(await missing()).toContain("runs on /etc/haproxy/haproxy.cfg");
  });

  test("all is well: adopted, and another version is told once", async () => {
    await startMaster();
    await startWorker();
    expect(await haproxy.adoptOrStart()).toMatchObject({ adopted: true, worker: { pid: 7 } });
    // A relative path may be the one that is meant.
    said.files = "./haproxy.cfg";
    expect(await haproxy.adoptOrStart()).toMatchObject({ adopted: true });
    expect(versions).toEqual([{ running: "3.0.11", binary: "2.6.12" }]);
  });
});

test("a worker that serves and whose socket leads nowhere: a reload makes the socket anew", async () => {
  await startMaster();
  onReload = async () => {
    said.pid = 9;
    await startWorker();
    return "Success=1\n--\n";
  };
  expect(await haproxy.adoptOrStart()).toMatchObject({ adopted: true, worker: { pid: 9 } });
});

describe("a worker that was told to finish what it has (SIGUSR1) is not brought back to life", () => {
  let reloads: number;
  beforeEach(async () => {
    reloads = 0;
    onReload = async () => {
      reloads += 1;
      said = { ...said, pid: 9, stopping: 0 };
      await startWorker();
      return "Success=1\n--\n";
    };
    await startMaster();
    said.stopping = 1;
  });

  test("when it is looked for: it is ending", async () => {
    expect(await missing()).toBe("waiting for HAProxy, which is ending; it has to be started again");
    expect(reloads).toBe(0);
  });

  test("by a reload that was on its way", async () => {
    await expect(haproxy.reload()).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE", retryable: true });
    expect(reloads).toBe(0);
  });
});

describe("its end", () => {
  let ends: string[];
  beforeEach(async () => {
    ends = [];
    haproxy.onExit((how) => ends.push(how));
    await startMaster();
    await startWorker();
    await haproxy.adoptOrStart();
  });

  test("is seen when nobody listens any more, also where nothing broke", async () => {
    await endMaster();
    await worker?.close();
    await eventually(() => ends.length > 0, "the end is seen");
    expect(ends).toEqual(["nobody listens on its sockets"]);
  });

  test("is seen when it takes no more connections and its master still answers", async () => {
    await worker?.close();
    haproxy.suspect();
    await eventually(() => ends.length > 0, "the end is seen");
    expect(ends).toEqual(["its worker takes no more connections"]);
  });

  test("is seen when its sockets are another's, who has the same pid", async () => {
    await startWorker();
    haproxy.suspect();
    await eventually(() => ends.length > 0, "the end is seen");
    expect(ends).toEqual(["another HAProxy has made the sockets anew"]);
    expect(await haproxy.adoptOrStart()).toMatchObject({ adopted: true, worker: { pid: 7 } });
  });

  test("is not taken for one while it lives, nor told once it was let go", async () => {
    for (let round = 0; round < 3; round += 1) haproxy.suspect();
    await systemClock.sleep(300);
    expect(ends).toEqual([]);
    await haproxy.stop();
    await endMaster();
    await worker?.close();
    await systemClock.sleep(700);
    expect(ends).toEqual([]);
  });
});
