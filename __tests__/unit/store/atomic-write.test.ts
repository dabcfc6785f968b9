import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { atomicWrite, removeLeftovers, type WriteSteps } from "../../../src/store/atomic-write.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "sluice-write-"));
  file = path.join(directory, "haproxy.cfg");
});
afterEach(() => rmSync(directory, { recursive: true }));

const modeOf = (one: string) => statSync(one).mode & 0o7777;

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** Writes half and fails; or writes all and fails to rename. */
function failing(step: "fill" | "rename", code: string): WriteSteps {
  return {
    fill: async (handle, bytes) => {
      await handle.writeFile(bytes.subarray(0, step === "fill" ? bytes.length / 2 : bytes.length));
      if (step === "fill") throw systemError(code);
    },
    rename: async () => {
      throw systemError(code);
    },
  };
}

describe("an atomic write", () => {
  test("makes a new file that only its owner may read", async () => {
    expect(await atomicWrite(file, "global\n")).toBe(true);
    expect(readFileSync(file, "utf8")).toBe("global\n");
    expect(modeOf(file)).toBe(0o600);
    expect(readdirSync(directory)).toEqual(["haproxy.cfg"]);
  });

  test("makes it with the permissions asked for, whatever the umask", async () => {
    await atomicWrite(file, "x", { mode: 0o666 });
    expect(modeOf(file)).toBe(0o666);
  });

  test("keeps the permissions of a file that exists", async () => {
    writeFileSync(file, "old");
    chmodSync(file, 0o640);
    expect(await atomicWrite(file, "new")).toBe(true);
    expect(readFileSync(file, "utf8")).toBe("new");
    expect(modeOf(file)).toBe(0o640);
  });

  test("leaves a file alone that holds these bytes already", async () => {
    writeFileSync(file, "grün\n");
    const before = statSync(file).ino;
    expect(await atomicWrite(file, "grün\n")).toBe(false);
    expect(statSync(file).ino).toBe(before);
    expect(await atomicWrite(file, "grün\n\n")).toBe(true);
    expect(statSync(file).ino).not.toBe(before);
  });

  test.each([
    ["fill", "ENOSPC", true, "free some space"],
    ["fill", "EIO", true, "check it"],
    ["rename", "EROFS", false, "read-only"],
    ["rename", "EACCES", false, "chown"],
    ["rename", "EWHATEVER", false, "EWHATEVER"],
  ] as const)(
    "that fails at %s with %s leaves the old content and nothing else",
    async (step, code, retryable, advice) => {
      writeFileSync(file, "old");
      await expect(atomicWrite(file, "newer", { steps: failing(step, code) })).rejects.toMatchObject({
        code: "ERR_STATE_UNUSABLE",
        retryable,
        message: expect.stringMatching(new RegExp(`cannot write ${file} .*${code}.*${advice}`)),
        details: { path: file, system: code },
      });
      expect(readFileSync(file, "utf8")).toBe("old");
      expect(readdirSync(directory)).toEqual(["haproxy.cfg"]);
    },
  );

  test("says what stands in its way", async () => {
    mkdirSync(file);
    await expect(atomicWrite(file, "x")).rejects.toMatchObject({
      code: "ERR_STATE_UNUSABLE",
      details: { system: "EISDIR" },
    });
    await expect(atomicWrite(path.join(directory, "gone", "x"), "x")).rejects.toMatchObject({
      code: "ERR_STATE_UNUSABLE",
      details: { system: "ENOENT" },
    });
    writeFileSync(path.join(directory, "plain"), "");
    await expect(atomicWrite(path.join(directory, "plain", "x"), "x")).rejects.toMatchObject({
      details: { system: "ENOTDIR" },
    });
  });

  test("several at once leave one of them whole", async () => {
    const texts = Array.from({ length: 8 }, (_, n) => String(n).repeat(20_000));
    await Promise.all(texts.map((text) => atomicWrite(file, text)));
    expect(texts).toContain(readFileSync(file, "utf8"));
    expect(readdirSync(directory)).toEqual(["haproxy.cfg"]);
  });

  test("a reader sees the old content until the rename", async () => {
    writeFileSync(file, "old");
    const seen: string[] = [];
    await atomicWrite(file, "new", {
      steps: {
        fill: async (handle, bytes) => {
          await handle.writeFile(bytes);
          seen.push(readFileSync(file, "utf8"));
        },
        rename: async (from, to) => {
          seen.push(readFileSync(file, "utf8"));
          await rename(from, to);
        },
      },
    });
    expect([...seen, readFileSync(file, "utf8")]).toEqual(["old", "old", "new"]);
  });

  test("killed before the rename it leaves the old content, and a temporary file that is cleaned up later", async () => {
    writeFileSync(file, "old");
    const program = `
      import { atomicWrite } from ${JSON.stringify(path.join(root, "src/store/atomic-write.ts"))};
      await atomicWrite(${JSON.stringify(file)}, "new", { steps: {
        fill: (handle, bytes) => handle.writeFile(bytes),
        rename: () => new Promise(() => { setInterval(() => undefined, 1000); process.stdout.write("written"); }),
      } });`;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exit = once(child, "exit");
    await Promise.race([once(child.stdout, "data"), exit]);
    child.kill("SIGKILL");
    expect(await exit).toEqual([null, "SIGKILL"]);

    expect(readFileSync(file, "utf8")).toBe("old");
    expect(readdirSync(directory)).toHaveLength(2);
    expect(await removeLeftovers(directory)).toHaveLength(1);
    expect(readdirSync(directory)).toEqual(["haproxy.cfg"]);
  }, 30_000);
});

describe("cleaning up", () => {
  test("touches nothing but temporary files", async () => {
    for (const name of ["a.map", ".hidden", "x.sluice-tmp", ".a.map.0123456789ab.sluice-tmp"]) {
      writeFileSync(path.join(directory, name), "");
    }
    expect(await removeLeftovers(directory)).toEqual([path.join(directory, ".a.map.0123456789ab.sluice-tmp")]);
    expect(readdirSync(directory).sort()).toEqual([".hidden", "a.map", "x.sluice-tmp"]);
  });

  test("of what is not there is an error", async () => {
    await expect(removeLeftovers(path.join(directory, "gone"))).rejects.toMatchObject({ code: "ERR_STATE_UNUSABLE" });
  });
});
