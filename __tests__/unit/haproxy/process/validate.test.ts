import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { checkBinary, validateConfig } from "../../../../src/haproxy/process/validate.ts";
import { systemClock } from "../../../../src/support/clock.ts";
import { haproxyBinary } from "../../../support/binaries.ts";
import { eventually } from "../../../support/eventually.ts";
import { TestClock } from "../../../support/test-clock.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "sluice-val-"));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** A program that stands in for haproxy. */
async function script(body: string): Promise<string> {
  const file = path.join(directory, "fake-haproxy");
  await writeFile(file, `#!/bin/sh\n${body}\n`);
  await chmod(file, 0o755);
  return file;
}

async function validate(text: string, binary = haproxyBinary) {
  const file = path.join(directory, "haproxy.cfg.candidate");
  await writeFile(file, text);
  return validateConfig({ binary, file, clock: systemClock });
}

const good =
  "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nfrontend f\n  bind 127.0.0.1:1\n";

describe("haproxy -c", () => {
  test("a good file", async () => {
    expect(await validate(good)).toEqual({ ok: true, warnings: [] });
  });

  test("warnings come with it", async () => {
    const verdict = await validate("frontend f\n  mode http\n  bind 127.0.0.1:1\n");
    expect(verdict).toEqual({ ok: true, warnings: [expect.stringContaining("missing timeouts")] });
  });

  test("errors with their lines", async () => {
    const verdict = await validate(`${good}  nonsense here\nbackend b\n  server s 127.0.0.1:1 chekc\n`);
    expect(verdict).toMatchObject({
      ok: false,
      stage: "validate",
      problems: [
        { line: 8, message: expect.stringContaining("unknown keyword 'nonsense'") },
        { line: 10, message: expect.stringContaining("chekc") },
      ],
    });
  });

  test("nothing to listen on", async () => {
    expect(await validate("backend b\n  mode http\n  timeout connect 1s\n  timeout server 1s\n")).toMatchObject({
      ok: false,
      problems: [{ message: expect.any(String) }],
    });
  });

  test("a program that ends without a word", async () => {
    expect(await validate(good, await script("exit 7"))).toMatchObject({
      problems: [{ message: expect.stringContaining("exit code 7") }],
    });
  });

  test("one that a signal ended has judged nothing, whatever it wrote before", async () => {
    const binary = await script('echo "[ALERT] (1) : half a word" >&2; kill -KILL $$');
    await expect(validate(good, binary)).rejects.toMatchObject({
      code: "ERR_HAPROXY_CHECK_FAILED",
      retryable: true,
      message: expect.stringMatching(/SIGKILL.*half a word/),
    });
  });

  test("one that crashed has refused: it would crash again", async () => {
    const binary = await script('echo "[ALERT] (1) : parsing [x:3] : half a word" >&2; kill -SEGV $$');
    expect(await validate(good, binary)).toMatchObject({
      ok: false,
      stage: "validate",
      problems: [{ message: expect.stringContaining("half a word") }, { message: expect.stringMatching(/SIGSEGV/) }],
    });
  });

  test("one that takes too long is killed, and has judged nothing", async () => {
    const clock = new TestClock();
    const binary = await script("exec sleep 600");
    const verdict = validateConfig({ binary, file: "/x", clock });
    await eventually(() => clock.pending().length === 1, "the limit");
    expect(clock.pending()).toEqual([30_000]);
    clock.advance(30_000);
    await expect(verdict).rejects.toMatchObject({
      code: "ERR_HAPROXY_CHECK_FAILED",
      retryable: true,
      message: expect.stringContaining("did not end within 30000 ms"),
    });
  });

  test("abort kills it", async () => {
    const binary = await script("exec sleep 600");
    const abort = new AbortController();
    const verdict = validateConfig({ binary, file: "/x", clock: systemClock, signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(verdict).rejects.toThrow("enough");
  });

  test("the environment it is given", async () => {
    const binary = await script('echo "[ALERT] (1) : $COLOUR $PWD" >&2; exit 1');
    const environment = { ...process.env, COLOUR: "blue" };
    expect(await validateConfig({ binary, file: "/x", clock: systemClock, environment, directory })).toMatchObject({
      problems: [{ message: `blue ${directory}` }],
    });
  });
});

describe("the binary", () => {
  test("its version", async () => {
    const { text, version } = await checkBinary(haproxyBinary);
    expect(text).toMatch(/^[0-9]+\.[0-9]+/);
    expect(text.startsWith(`${version[0]}.${version[1]}`)).toBe(true);
  });

  test("missing, not executable, something else, too old", async () => {
    const missing = { code: "ERR_HAPROXY_MISSING" };
    await expect(checkBinary("/nowhere/haproxy")).rejects.toMatchObject({
      ...missing,
      message: expect.stringContaining("install"),
    });
    const file = await script("exit 0");
    await expect(checkBinary(file)).rejects.toMatchObject(missing);
    await chmod(file, 0o644);
    await expect(checkBinary(file)).rejects.toMatchObject({ ...missing, message: expect.stringContaining("EACCES") });
    const old = await script('echo "HA-Proxy version 2.2.9-2+deb11u5 2023/04/10 - https://haproxy.org/"');
    await expect(checkBinary(old)).rejects.toMatchObject({ code: "ERR_HAPROXY_TOO_OLD" });
    await expect(validateConfig({ binary: "/nowhere/haproxy", file: "/x", clock: systemClock })).rejects.toMatchObject(
      missing,
    );
  });
});
