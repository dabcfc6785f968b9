import { chmod, mkdtemp, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { type BinaryChange, BinaryWatch } from "../../../../src/haproxy/process/binary-watch.ts";
import { systemClock } from "../../../../src/support/clock.ts";

let directory: string;
let binary: string;
let changes: string[];
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "sluice-binary-"));
  binary = path.join(directory, "haproxy");
  changes = [];
});
afterEach(() => rm(directory, { recursive: true }));

/** Puts a program in a file's place as a package manager does. It counts how often it was asked. */
async function install(version: string, file = binary): Promise<void> {
  const fresh = `${file}.new`;
  await writeFile(fresh, `#!/bin/sh\necho x >> ${file}.asked\necho "HAProxy version ${version} 2026/10/17"\n`);
  await chmod(fresh, 0o755);
  await rename(fresh, file);
}

function watch(called = binary): BinaryWatch {
  const onChange = ({ now, was }: BinaryChange) => changes.push(`${was.text} → ${now.text}`);
  return new BinaryWatch({
    binary: called,
    version: { text: "2.6.12", version: [2, 6, 12] },
    clock: systemClock,
    onChange,
  });
}

describe("a binary", () => {
  test("that stays is not asked again", async () => {
    await install("2.6.12");
    const watched = watch();
    await watched.look();
    await watched.look();
    expect(changes).toEqual([]);
    await expect(rm(`${binary}.asked`)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("that was replaced is asked once, however many look at once", async () => {
    await install("2.6.12");
    const watched = watch();
    await install("3.0.11");
    await Promise.all([watched.look(), watched.look()]);
    await watched.look();
    expect(changes).toEqual(["2.6.12 → 3.0.11"]);
    expect(watched.version).toEqual({ text: "3.0.11", version: [3, 0, 11] });
  });

  test("that was built again says so, of the same version", async () => {
    await install("2.6.12");
    const watched = watch();
    await utimes(binary, 1, 1);
    await watched.look();
    expect(changes).toEqual(["2.6.12 → 2.6.12"]);
  });

  test("behind a link that leads elsewhere now is another", async () => {
    await install("2.6.12", path.join(directory, "old"));
    await install("3.2.0", path.join(directory, "new"));
    await symlink("old", binary);
    const watched = watch();
    await symlink("new", `${binary}.new`);
    await rename(`${binary}.new`, binary);
    await watched.look();
    expect(changes).toEqual(["2.6.12 → 3.2.0"]);
  });

  test("that is gone is an error until it is back", async () => {
    await install("2.6.12");
    const watched = watch();
    await rm(binary);
    await expect(watched.look()).rejects.toMatchObject({ code: "ERR_HAPROXY_MISSING" });
    await expect(watched.look()).rejects.toMatchObject({ code: "ERR_HAPROXY_MISSING" });
    expect(watched.version.text).toBe("2.6.12");
    await install("2.6.13");
    await watched.look();
    expect(changes).toEqual(["2.6.12 → 2.6.13"]);
  });

  test("that is too old is an error each time", async () => {
    await install("2.6.12");
    const watched = watch();
    await install("2.2.9");
    await expect(watched.look()).rejects.toMatchObject({ code: "ERR_HAPROXY_TOO_OLD" });
    await expect(watched.look()).rejects.toMatchObject({ code: "ERR_HAPROXY_TOO_OLD" });
    expect(changes).toEqual([]);
  });

  test("that is named without a path is the one PATH leads to", async () => {
    const before = process.env["PATH"];
    process.env["PATH"] = `${directory}:${before}`;
    try {
      await install("2.6.12", path.join(directory, "haproxy-of-path"));
      const watched = watch("haproxy-of-path");
      await install("3.0.11", path.join(directory, "haproxy-of-path"));
      await watched.look();
      expect(changes).toEqual(["2.6.12 → 3.0.11"]);
    } finally {
      process.env["PATH"] = before;
    }
  });
});
