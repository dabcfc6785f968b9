import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { alive, type SetupMachine, setupMachine } from "../support/setup-machine.ts";

// Each test runs dozens of small programs, on a machine that may be busy.
jest.setTimeout(60_000);

/** One for each test. */
let made: SetupMachine;
let machine: string;
let tree: string;
let bin: string;
let cache: string;

beforeEach(() => {
  made = setupMachine(["setup.sh", "setup-parts.sh"]);
  ({ directory: machine, tree, bin, cache } = made);
  mkdirSync(join(tree, "docker", "consul"));
  writeFileSync(join(tree, "package-lock.json"), "{}\n");
  writeFileSync(join(tree, "docker", "consul", "go.mod"), "module example.invalid/consul\n");
  writeFileSync(join(tree, "docker", "consul", "go.sum"), "example.invalid/consul v1.0.0 h1:abc=\n");
  program("node", "echo v20.19.0");
  program("npm", `echo "npm $*" >>"${machine}/calls"; mkdir -p node_modules`);
});

afterEach(() => made.remove());

describe("what is missing is said", () => {
  test("neither HAProxy nor Consul, and no way to get them: both are named with what to install", () => {
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain("HAProxy 2.6 or newer is needed and was not found. Install it: ");
    expect(stderr).toMatch(/Consul is needed and was not found\. Put a "consul" binary on PATH, or install Go 1\.22/);
    expect(existsSync(join(cache, "env"))).toBe(false);
  });

  test("the advice is the platform's own command", () => {
    program("dnf", "exit 1");
    expect(setup().stderr).toMatch(/Install it: (sudo )?dnf install -y haproxy/);
  });

  test("no Node.js", () => {
    rmSync(join(bin, "node"));
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain('Node.js 20.19 or newer is needed and "node" is not on PATH');
  });

  test.each([
    ["v18.20.4", false],
    ["v20.18.9", false],
    ["v20.19.0", true],
    ["v22.1.0", true],
    ["v100.0.0", true],
  ])("Node.js %s is new enough: %s", (version, enough) => {
    program("node", `echo ${version}`);
    const { stderr } = setup();
    expect(stderr.includes("Node.js 20.19 or newer is needed")).toBe(!enough);
  });

  test.each([
    ["HA-Proxy version 2.2.9-2 2021/01/01", "is 2.2"],
    ["HAProxy version 2.5.14 2023/05/02", "is 2.5"],
    ["something else", "does not answer like HAProxy"],
  ])("a HAProxy that says %s is refused", (answer, reason) => {
    program("haproxy", `echo "${answer}"`);
    program("consul");
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain(reason);
  });

  test("a Go that is too old is named", () => {
    program("haproxy", "echo 'HAProxy version 2.6.12'");
    program("go", "echo go1.19.8");
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain("is go1.19.8");
  });
});

describe("what is there is used", () => {
  beforeEach(() => {
    program("haproxy", "echo 'HAProxy version 3.0.1-1 2024/06/10'");
    program("consul");
  });

  test("programs on PATH; the result is written down and printed", () => {
    const { status, stdout } = setup("--print-env");
    const expected = `SLUICE_HAPROXY='${bin}/haproxy'\nSLUICE_CONSUL='${bin}/consul'\n`;
    expect({ status, stdout }).toEqual({ status: 0, stdout: expected });
    expect(readFileSync(join(cache, "env"), "utf8")).toBe(expected);
  });

  test("a program beyond PATH, where the platform keeps it", () => {
    rmSync(join(bin, "haproxy"));
    const sbin = join(machine, "sbin");
    mkdirSync(sbin);
    program("haproxy", "echo 'HAProxy version 2.6.12'", sbin);
    const { stdout } = setup("--print-env", { SETUP_SEARCH_DIRS: `/nowhere:${sbin}` });
    expect(stdout).toContain(`SLUICE_HAPROXY='${sbin}/haproxy'`);
  });

  test("what the environment names decides, and must be runnable", () => {
    program("other", "echo 'HAProxy version 3.2.0'");
    expect(setup("--print-env", { SLUICE_HAPROXY: join(bin, "other") }).stdout).toContain(`'${bin}/other'`);
    const { status, stderr } = setup("--print-env", { SLUICE_CONSUL: "/nowhere/consul" });
    expect(status).toBe(1);
    expect(stderr).toContain("SLUICE_CONSUL names /nowhere/consul, which cannot be run");
  });

  test("npm packages are installed once, and again when the lock file changed", () => {
    expect(setup().status).toBe(0);
    expect(setup().status).toBe(0);
    expect(calls()).toHaveLength(1);
    expect(calls()[0]).toMatch(/^npm ci --ignore-scripts/);
    writeFileSync(join(tree, "package-lock.json"), '{ "changed": true }\n');
    expect(setup().status).toBe(0);
    expect(calls()).toHaveLength(2);
  });

  test("an installation that fails is shown and tried again", () => {
    program("npm", `echo "npm $*" >>"${machine}/calls"; mkdir -p node_modules; echo the disk is full; exit 7`);
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain("| the disk is full");
    expect(stderr).toContain("exit code 7");
    setup();
    expect(calls()).toHaveLength(2);
  });

  test("the lock of a set-up that is gone is taken over", () => {
    lockedBy(spawnSync("true").pid);
    expect(setup().status).toBe(0);
    expect(readdirSync(cache).sort()).toEqual(["bin", "env"]);
  });

  test("a lock that a living process has for too long is taken over, and that is said", () => {
    lockedBy(process.pid);
    const { status, stderr } = setup("", { SETUP_LOCK_PATIENCE: "1" });
    expect(status).toBe(0);
    expect(stderr).toContain(`another set-up (process ${process.pid}) is at work; waiting`);
    expect(stderr).toMatch(/\.lock has been held for \d+ s by process \d+, .*; taking it over/);
    expect(readdirSync(cache).sort()).toEqual(["bin", "env"]);
  });

  test("a lock that was taken over meanwhile stays with its new owner", () => {
    const lock = lockedBy(spawnSync("true").pid);
    program("npm", `mkdir -p node_modules; echo ${process.pid} >"${join(lock, "pid")}"`);
    expect(setup().status).toBe(0);
    expect(readFileSync(join(lock, "pid"), "utf8")).toBe(`${process.pid}\n`);
  });

  test("a lock of another user's living process is waited for", async () => {
    // Process 1 is root's; a root that runs this test becomes somebody else for it.
    const lock = lockedBy(1);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) spawnSync("chown", ["-R", "65534:65534", machine]);
    const child = spawn(join(bin, "sh"), [join(tree, "docker", "setup.sh")], {
      env: environment({}),
      stdio: ["ignore", "ignore", "pipe"],
      ...(isRoot && { uid: 65534, gid: 65534 }),
    });
    const ended = once(child, "close");
    try {
      let said = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
      await until(() => said.includes("(process 1) is at work; waiting") || child.exitCode !== null);
      expect(said).toContain("another set-up (process 1) is at work; waiting");
      expect(readFileSync(join(lock, "pid"), "utf8")).toBe("1\n");
      rmSync(lock, { recursive: true });
      expect((await ended)[0]).toBe(0);
    } finally {
      child.kill("SIGTERM");
      await ended;
    }
  });
});

describe("Consul is built where there is none", () => {
  /** Writes what it was called with, and a "consul" to where `-o` says. */
  const goodGo = (machine: string) => `
    if [ "$1" = env ]; then echo go1.22.5; exit; fi
    echo "go $*" >>"${machine}/calls"
    while [ $# -gt 0 ]; do if [ "$1" = -o ]; then out=$2; fi; shift; done
    printf '#!/bin/sh\\necho Consul\\n' >"$out"
    chmod 755 "$out"`;

  beforeEach(() => {
    program("haproxy", "echo 'HAProxy version 2.6.12'");
    program("npm", "mkdir -p node_modules");
  });

  test("once, in a copy of docker/consul; the next set-up uses it", () => {
    program("go", goodGo(machine));
    const { status, stdout, stderr } = setup("--print-env");
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining("building Consul") });
    const built = join(cache, "bin", "consul-1.19.2");
    expect(stdout).toContain(`SLUICE_CONSUL='${built}'`);
    expect(spawnSync(built, { encoding: "utf8" }).stdout).toBe("Consul\n");
    expect(calls()[0]).toMatch(/^go build -mod=mod -trimpath -ldflags -s -w -o \S+ github\.com\/hashicorp\/consul$/);
    setup();
    expect(calls()).toHaveLength(1);
    expect(readdirSync(join(tree, "docker", "consul")).sort()).toEqual(["go.mod", "go.sum"]);
    expect(readdirSync(cache).sort()).toEqual(["bin", "env"]);
  });

  test("a build that fails leaves nothing that could pass for Consul", () => {
    program("go", 'if [ "$1" = env ]; then echo go1.22.5; exit; fi; echo no space left; exit 2');
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain("| no space left");
    expect(readdirSync(join(cache, "bin"))).toEqual([]);
    expect(readdirSync(cache)).toEqual(["bin"]);
  });

  test("a build with modules that go.sum does not vouch for is not used", () => {
    program("go", `${goodGo(machine)}\n    if [ -f go.sum ]; then echo surprise >>go.sum; fi`);
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain("does not name");
    expect(readdirSync(join(cache, "bin"))).toEqual([]);
  });

  test("an interrupted build ends its compiler and leaves nothing", async () => {
    program("go", `if [ "$1" = env ]; then echo go1.22.5; exit; fi; echo $$ >"${machine}/go.pid"; exec sleep 600`);
    const child = spawn("sh", [join(tree, "docker", "setup.sh")], { env: environment({}), stdio: "ignore" });
    const ended = once(child, "exit");
    try {
      await until(() => existsSync(join(machine, "go.pid")) && readFileSync(join(machine, "go.pid"), "utf8") !== "");
      const compiler = Number(readFileSync(join(machine, "go.pid"), "utf8"));
      expect(alive(compiler)).toBe(true);
      child.kill("SIGTERM");
      expect((await ended)[0]).toBe(143);
      expect(alive(compiler)).toBe(false);
      expect(readdirSync(cache)).toEqual(["bin"]);
    } finally {
      child.kill("SIGTERM");
    }
  });
});

function setup(argument = "", env: Record<string, string> = {}) {
  return made.run("setup.sh", argument, env);
}

function environment(env: Record<string, string>): Record<string, string> {
  return made.environment(env);
}

/** Has the lock of the npm packages held by this process. Returns the lock's path. */
function lockedBy(pid: number): string {
  const checksum = spawnSync("cksum", { input: tree, encoding: "utf8" }).stdout.trim().replaceAll(" ", "-");
  const lock = join(cache, `npm-${checksum}.lock`);
  mkdirSync(lock, { recursive: true });
  writeFileSync(join(lock, "pid"), `${pid}\n`);
  return lock;
}

function program(name: string, body?: string, directory?: string): void {
  made.program(name, body, directory);
}

function calls(): string[] {
  return made.calls();
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}
