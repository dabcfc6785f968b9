import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { freePort } from "../support/free-port.ts";

jest.setTimeout(180_000);

const root = fileURLToPath(new URL("../..", import.meta.url));

let temporary: string;
let demo: ChildProcess | undefined;
let output: string;

beforeEach(() => {
  // The demo's own directory is made in here, so that what belongs to this demo can be told.
  temporary = mkdtempSync(join(tmpdir(), "sdt-"));
  output = "";
});

afterEach(async () => {
  if (demo !== undefined && demo.exitCode === null && demo.signalCode === null) {
    demo.kill("SIGTERM");
    await once(demo, "exit");
  }
  demo = undefined;
  rmSync(temporary, { recursive: true, force: true });
});

test("three instances answer, then five, then two; Ctrl-C leaves nothing", async () => {
  const url = await start([]);
  expect(await namesAt(url, 3)).toEqual(["web-1", "web-2", "web-3"]);

  type("scale web=5");
  await printed(/5 of web now/);
  expect(await namesAt(url, 5)).toEqual(["web-1", "web-2", "web-3", "web-4", "web-5"]);

  type("scale web=2");
  await printed(/2 of web now/);
  await printed(/web-5 has ended/);
  await printed(/web-3 has ended/);
  expect(await namesAt(url, 2)).toEqual(["web-1", "web-2"]);

  const processes = belonging();
  const kinds = processes.map(({ args }) => /instance\.mjs|src\/main\.ts|haproxy|consul/.exec(args)?.[0] ?? args);
  for (const kind of ["instance.mjs", "src/main.ts", "haproxy", "consul"]) expect(kinds).toContain(kind);

  demo?.kill("SIGINT");
  await expectCleanEnd(processes.map(({ pid }) => pid));
});

test("the stats page asks for the password it was said to have", async () => {
  await start(["--scale", "web=1"]);
  const match = /Stats page {2}(\S+) {3}user (\S+), password (\S+)/.exec(output);
  const [, page = "", user, password] = match ?? [];
  expect((await fetch(page)).status).toBe(401);
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const answer = await fetch(page, { headers: { authorization } });
  expect(answer.status).toBe(200);
  expect(await answer.text()).toContain("web-1_127.0.0.1:");
  const pids = belonging().map(({ pid }) => pid);
  type("quit");
  await expectCleanEnd(pids);
});

test("the end of a piped standard input changes nothing; an operator that dies is told; SIGTERM leaves nothing", async () => {
  const url = await start(["--scale", "web=2"]);
  demo?.stdin?.end();
  const operator = belonging().find(({ args }) => args.includes("src/main.ts"));
  expect(operator).toBeDefined();
  process.kill(operator?.pid ?? 0, "SIGKILL");
  await printed(/The operator ended unasked \(signal SIGKILL\)[\s\S]*Its last lines:\n {2}\| ./);
  // HAProxy needs no operator to serve.
  expect(await namesAt(url, 2)).toEqual(["web-1", "web-2"]);
  const pids = belonging().map(({ pid }) => pid);
  demo?.kill("SIGTERM");
  await expectCleanEnd(pids);
});

test("gRPC: one connection sees all instances come and go, and no call fails; a server that lost its wrapper goes too", async () => {
  await start(["--world", "grpc", "--scale", "hello_server=2"]);
  type("scale hello_server=4");
  await printed(/4 of hello_server now: hello_server-1, hello_server-2, hello_server-3, hello_server-4\n/);
  type("scale hello_server=2");
  await printed(/hello_server-4, hello_server-3 leave/);
  await printed(/hello_server-3 has ended/);
  await printed(/hello_server-4 has ended/);
  type("list");
  const [, answers = ""] = await printed(/pid[^|]*\nAnswers on the one connection: (.*)\n/);
  expect(answers).toMatch(
    /^hello_server-1 \d+, hello_server-2 \d+, hello_server-3 \d+, hello_server-4 \d+; failed calls: 0\.$/,
  );

  const wrapper = belonging().find(({ args }) => args.includes(" register ") && args.includes("--id hello_server-2"));
  process.kill(wrapper?.pid ?? 0, "SIGKILL");
  await printed(/hello_server-2 ended unasked \(signal SIGKILL\)/);
  const processes = belonging();
  expect(
    processes.filter(({ args }) => args.includes("docker/hello/server.js") && !args.includes(" register ")),
  ).toHaveLength(2);
  demo?.kill("SIGINT");
  await expectCleanEnd(processes.map(({ pid }) => pid));
});

test("quotes: the load's table says that all were answered", async () => {
  await start(["--world", "quotes", "--scale", "quotes=2"]);
  type("scale quotes=3");
  await printed(/3 of quotes now: quotes-1, quotes-2, quotes-3\n/);
  type("load 100");
  await printed(/\n\| 3 \| 100 \| 100 \| \d+ \| \d+ \| none \|\n/);
  const pids = belonging().map(({ pid }) => pid);
  type("quit");
  await expectCleanEnd(pids);
});

/** Starts the demo on free ports; resolves with the address of the traffic when it says that traffic flows. */
async function start(args: readonly string[]): Promise<string> {
  const ports = { traffic: await freePort(), stats: await freePort(), consul: await freePort() };
  const flags = Object.entries(ports).map(([name, port]) => `--${name}-port=${port}`);
  const child = spawn(process.execPath, ["--import", "tsx", "docker/demo/demo.ts", ...flags, ...args], {
    cwd: root,
    env: { ...process.env, TMPDIR: temporary },
    stdio: ["pipe", "pipe", "pipe"],
  });
  demo = child;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const [, url] = await printed(/Traffic flows[\s\S]*Traffic +(\S+)[\s\S]*quit/);
  // `localhost` may mean ::1, where HAProxy does not listen.
  return (url ?? "").replace("localhost", "127.0.0.1");
}

function type(line: string): void {
  demo?.stdin?.write(`${line}\n`);
}

/** Waits until what was printed so far matches; fails with the output when the demo ends before. */
async function printed(pattern: RegExp): Promise<RegExpExecArray> {
  for (;;) {
    const match = pattern.exec(output);
    if (match !== null) return match;
    if (demo?.exitCode !== null || demo.signalCode !== null) {
      throw new Error(`the demo ended before it printed ${pattern}:\n${output}`);
    }
    await sleep(50);
  }
}

/** The distinct names behind twenty requests, once there are `count` of them. */
async function namesAt(url: string, count: number): Promise<readonly string[]> {
  let names: string[] = [];
  for (let round = 0; round < 20; round += 1) {
    names = [...new Set(await Promise.all(Array.from({ length: 20 }, () => answer(url))))].sort();
    if (names.length === count) break;
    await sleep(250);
  }
  return names;
}

function answer(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve(body.replace("Hello from ", "").trim()));
    });
    request.on("error", reject);
  });
}

async function expectCleanEnd(pids: readonly number[]): Promise<void> {
  if (demo?.exitCode === null) await once(demo, "exit");
  expect({ code: demo?.exitCode, signal: demo?.signalCode }).toEqual({ code: 0, signal: null });
  expect(output).toContain("Everything has ended.");
  // A process that was killed may take a moment to be reaped by init.
  for (let round = 0; round < 100 && pids.some(lives); round += 1) await sleep(50);
  expect(pids.filter(lives)).toEqual([]);
  expect(belonging()).toEqual([]);
  expect(readdirSync(temporary).filter((name) => name.startsWith("sluice-demo-"))).toEqual([]);
}

interface Process {
  readonly pid: number;
  readonly args: string;
}

/** Processes of this test's demo, without the demo itself: what has its TMPDIR in the environment. */
function belonging(): readonly Process[] {
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === demo?.pid || pid === process.pid) return [];
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      return environment.includes(`TMPDIR=${temporary}`) || args.includes(temporary) ? [{ pid, args }] : [];
    } catch {
      return [];
    }
  });
}

function lives(pid: number): boolean {
  // A zombie that nobody has reaped yet has no command line.
  const file = `/proc/${pid}/cmdline`;
  try {
    return existsSync(file) && readFileSync(file, "utf8") !== "";
  } catch {
    return false;
  }
}
