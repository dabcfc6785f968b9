import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { main } from "../../src/cli/main.ts";
import { settingFlags } from "../../src/settings/describe.ts";
import { loadSettings } from "../../src/settings/load.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const readme = readFileSync(path.join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)].map(([, language = "", text = ""]) => ({
  language,
  text,
}));
const lines = blocks.filter(({ language }) => language === "sh").flatMap(({ text }) => text.trim().split("\n"));
const words = lines.map((line) => line.replace(/\s+#.*/, "").trim());

describe("what the README says is so", () => {
  test("its settings file is valid", () => {
    const yaml = blocks.filter(({ language }) => language === "yaml");
    expect(yaml).toHaveLength(1);
    const directory = mkdtempSync(path.join(tmpdir(), "sluice-readme-"));
    const file = path.join(directory, "sluice.yaml");
    writeFileSync(file, yaml[0]?.text ?? "");
    const { settings, origins } = loadSettings({ file, env: {}, flags: {} });
    rmSync(directory, { recursive: true });
    expect(settings.stats.password).toBe("change-me");
    expect(origins.get("http.domain")).toBe("file");
  });

  const commands = words.filter((line) => line.startsWith("node dist/main.js "));
  test("it shows the commands", () => expect(commands.length).toBeGreaterThanOrEqual(4));
  test.each(commands)("%s", async (line) => {
    const [command = "", ...rest] = line.split(" ").slice(2);
    let help = "";
    const terminal = { out: (text: string) => (help += text), err: () => undefined, env: {} };
    expect(await main([command, "--help"], terminal as never)).toBe(0);
    if (help.includes("Commands:")) {
      help = "";
      expect(await main([command, rest[0] ?? "", "--help"], terminal as never)).toBe(0);
    }
    for (const flag of rest.filter((word) => word.startsWith("--"))) expect(help).toContain(flag);
    expect(help).toContain("Example:");
  });

  test.each(words.flatMap((line) => [...line.matchAll(/npm (?:run )?(\w[\w:]*)/g)].map(([, name = ""]) => name)))(
    "npm script %s",
    (name) => {
      const { scripts } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
        scripts: Record<string, string>;
      };
      expect([...Object.keys(scripts), "ci"]).toContain(name);
    },
  );

  test("its table of settings has names and defaults that are", () => {
    const flags = new Map(settingFlags().map((flag) => [flag.key, flag]));
    const rows = [...readme.matchAll(/^\| ((?:`[a-z]+(?:\.[A-Za-z]+)?`(?:, )?)+) \| (.*?) \|/gm)];
    expect(rows.length).toBeGreaterThanOrEqual(8);
    for (const [, names = "", defaults = ""] of rows) {
      const keys = [...names.matchAll(/`([^`]+)`/g)].map(([, key = ""]) => key);
      const said = [...defaults.matchAll(/`([^`]+)`/g)].map(([, value = ""]) => value);
      for (const [index, key] of keys.entries()) {
        const flag = flags.get(key);
        expect(flag).toBeDefined();
        // A secret's default is not told by the flags; the password of a demo is the one there is.
        if (said[index] !== undefined && flag?.default !== undefined) expect(said[index]).toBe(flag.default);
      }
    }
  });

  test("the tests and documents it names are there", () => {
    const all = new Set(
      readdirSync(path.join(root, "__tests__"), { recursive: true }).map((name) => path.basename(String(name))),
    );
    for (const [, name = ""] of readme.matchAll(/`(?:[\w/]*\/)?([\w-]+\.test\.ts)`/g)) expect(all).toContain(name);
    for (const [, target = ""] of readme.matchAll(/\]\(([^)#]+)\)/g))
      expect(existsSync(path.join(root, target))).toBe(true);
  });
});
