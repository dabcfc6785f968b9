import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { main } from "../../src/cli/main.ts";
import { wishOf } from "../../src/registration/registrar/wanted.ts";
import { container, plainOptions } from "../support/containers.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const document = readFileSync(path.join(root, "docs/registrar.md"), "utf8");
const rows = (title: string) => {
  const [, section = ""] = document.split(`\n## ${title}\n`);
  const [body = ""] = section.split("\n## ");
  return [...body.matchAll(/^\| (.*?) \| (.*) \|$/gm)].map(([, first = "", second = ""]) => ({ first, second }));
};

async function help(): Promise<string> {
  let text = "";
  const terminal = { out: (more: string) => (text += more), err: () => undefined, env: {} };
  expect(await main(["registrar", "--help"], terminal as never)).toBe(0);
  return text;
}

describe("docs/registrar.md", () => {
  test("has every option that the help has, and no other", async () => {
    const flags = (text: string) => new Set(text.match(/--[a-z][a-z-]+/g));
    const shown = [...(await help()).matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, flag = ""]) => flag);
    const documented = flags(
      rows("Options")
        .map(({ first }) => first)
        .join("\n"),
    );
    expect(shown.filter((flag) => !["--json", "--settings"].includes(flag)).sort()).toEqual([...documented].sort());
  });

  test("names words that are known", () => {
    const words = rows("What a container says").flatMap(({ first }) => first.match(/SERVICE_[A-Z_]+/g) ?? []);
    expect(words.length).toBeGreaterThanOrEqual(14);
    for (const word of words.filter((one) => one.includes("CHECK"))) {
      const { services } = wishOf(container("c", { environment: [`${word}=x`] }), plainOptions, "h", {});
      // A word that nobody knows would be meta.
      expect(Object.keys(services[0]?.registration.meta ?? {})).toHaveLength(3);
    }
  });

  test("shows a container that is registered as it says", () => {
    const [line = ""] = /^docker run .*$/m.exec(document) ?? [];
    const environment = [...line.matchAll(/-e (\S+)/g)].map(([, word = ""]) => word);
    const wish = wishOf(container("c", { environment }), plainOptions, "h", {});
    expect(wish.problems).toEqual([]);
    expect(wish.services[0]?.registration).toMatchObject({
      name: "shop",
      tags: ["haproxy.path=/shop"],
      check: { kind: "http", url: "http://127.0.0.1:32768/health" },
    });
  });

  test("names tests and documents that are there", () => {
    for (const [, file = ""] of document.matchAll(/`([a-z0-9/-]+\.test\.ts)`/g)) {
      expect([file, existsSync(path.join(root, "__tests__", file))]).toEqual([file, true]);
    }
    for (const [, file = ""] of document.matchAll(/\]\(([a-z-]+\.md)\)/g)) {
      expect([file, existsSync(path.join(root, "docs", file))]).toEqual([file, true]);
    }
  });
});
