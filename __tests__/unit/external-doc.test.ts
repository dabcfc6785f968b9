import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { main } from "../../src/cli/main.ts";
import { settingsSchema } from "../../src/settings/schema.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const document = readFileSync(path.join(root, "docs/external.md"), "utf8");
const script = readFileSync(path.join(root, "docker/sluice/haproxy.sh"), "utf8");
const blocks = [...document.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, text = ""]) => text.trim());

describe("docs/external.md", () => {
  test("has the command of the script that ships", () => {
    const exec = /^exec (.*)$/m.exec(script)?.[1] ?? "";
    const { binary, directory } = settingsSchema.parse({}).haproxy;
    expect(exec.replaceAll("$binary", binary).replaceAll("$directory", directory).replaceAll('"', "")).toBe(blocks[0]);
  });

  test("calls sluice as it can be called", async () => {
    const [, command = "", option = ""] = blocks[1]?.split(" ") ?? [];
    let help = "";
    const terminal = { out: (text: string) => (help += text), err: () => undefined, env: {} };
    expect(await main([command, "--help"], terminal as never)).toBe(0);
    expect(help).toContain(option);
  });

  test("names settings as they are", () => {
    for (const [, key = ""] of document.matchAll(/`((?:haproxy|reload)\.\w+)(?::[^`]*)?`/g)) {
      if (key === "haproxy.cfg" || key === "haproxy.sh") continue;
      const [section = "", name = ""] = key.split(".");
      expect(settingsSchema.parse({})[section as "haproxy"]).toHaveProperty(name);
    }
  });
});

test("the script is one for any POSIX shell", () => {
  execFileSync("sh", ["-n", path.join(root, "docker/sluice/haproxy.sh")]);
  expect(script.startsWith("#!/bin/sh\n")).toBe(true);
  expect(script).toContain("set -eu");
});
