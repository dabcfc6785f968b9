import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";

const docker = fileURLToPath(new URL("../../../docker/sluice/", import.meta.url));

describe("haproxy.sh", () => {
  let directory: string;
  const place = (name: string) => path.join(directory, name);
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), "sluice-entry-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** Runs it, with a `sluice` and a `haproxy` of these lines. */
  function start({ sluice, haproxy }: { readonly sluice: string; readonly haproxy: string }) {
    for (const [name, text] of Object.entries({ sluice, haproxy })) {
      writeFileSync(place(name), `#!/bin/sh\n${text}\n`);
      chmodSync(place(name), 0o755);
    }
    const child = spawn("sh", [path.join(docker, "haproxy.sh")], {
      env: { PATH: `${directory}:${process.env["PATH"]}`, SLUICE_HAPROXY_DIRECTORY: directory },
      stdio: ["ignore", "pipe", "inherit"],
    });
    return { child, output: child.stdout.setEncoding("utf8"), ended: once(child, "exit") };
  }

  for (const signal of ["SIGTERM", "SIGUSR1"] as const) {
    test(`${signal} while the first configuration is written ends both`, async () => {
      const { child, output, ended } = start({ sluice: "echo begun; exec sleep 60", haproxy: "echo started" });
      let said = "";
      output.on("data", (text) => {
        said += text;
      });
      await once(output, "data");
      // Its output ends when nobody has it any more: the bootstrap neither.
      const closed = once(output, "close");
      child.kill(signal);
      // By itself, as process 1 has to: of a signal without a trap only others die.
      expect(await ended).toEqual([143, null]);
      await closed;
      expect(said).toBe("begun\n");
    });
  }

  test("a first configuration that cannot be written ends it with the same status; HAProxy is not started", async () => {
    const { output, ended } = start({ sluice: "exit 3", haproxy: "echo started" });
    let said = "";
    output.on("data", (text) => {
      said += text;
    });
    expect(await ended).toEqual([3, null]);
    expect(said).toBe("");
  });

  test("HAProxy's signals are its own", async () => {
    const { child, output, ended } = start({ sluice: "exit 0", haproxy: "echo started; exec sleep 60" });
    await once(output, "data");
    child.kill("SIGUSR1");
    expect(await ended).toEqual([null, "SIGUSR1"]);
  });
});

describe("supervisord.conf", () => {
  const text = readFileSync(path.join(docker, "supervisord.conf"), "utf8");
  const program = /^\[program:operator\]\n([^[]*)/m.exec(text)?.[1] ?? "";

  test("the operator is tried for ever, and not more and more seldom", () => {
    // With startsecs = 0 no start fails, so that supervisord's growing wait between those is never begun.
    expect(program).toMatch(/^autorestart = true$/m);
    expect(program).toMatch(/^startsecs = 0$/m);
    expect(program).not.toContain("startretries");
    expect(program).toMatch(/sleep 1; exec sluice run"$/m);
  });
});
