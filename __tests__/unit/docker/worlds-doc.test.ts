import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const page = readFileSync(path.join(root, "docs/worlds.md"), "utf8");
const { services } = parse(readFileSync(path.join(root, "compose.yml"), "utf8"), { merge: true }) as {
  readonly services: Readonly<
    Record<string, { readonly profiles?: readonly string[]; readonly environment?: Readonly<Record<string, string>> }>
  >;
};
const commands = [...page.matchAll(/docker compose [^`\n]+/g)].map(([command]) => command);

describe("docs/worlds.md says what compose.yml has", () => {
  test("it has a command for each world and for each change", () => expect(commands.length).toBeGreaterThan(8));

  test.each(commands)("%s", (command) => {
    const [, profile] = /--profile (\S+)/.exec(command) ?? [];
    const scaled = [...command.matchAll(/--scale (\w+)=\d+/g)].map(([, service = ""]) => service);
    const followed = [...(/logs -f (\w+)/.exec(command)?.slice(1) ?? [])];
    for (const service of [...scaled, ...followed]) {
      expect(Object.keys(services)).toContain(service);
      expect(services[service]?.profiles ?? [undefined]).toContain(profile);
    }
    expect(scaled.length + followed.length).toBe(1);
  });

  test("the tests it names are there", () => {
    const tests = [...page.matchAll(/__tests__\/e2e\/[\w-]+\.test\.ts/g)].map(([file]) => file);
    expect(new Set(tests).size).toBe(5);
    for (const file of tests) expect(existsSync(path.join(root, file))).toBe(true);
  });

  test("hello_server's environment is as it is shown", () => {
    const environment = services["hello_server"]?.environment ?? {};
    const rows = [...page.matchAll(/^\| ((?:`[A-Z_]+`(?:, )?)+) \| ((?:`[^`]+`(?:, )?)+) \|/gm)];
    const words = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word);
    const shown = rows.flatMap(([, names = "", values = ""]) =>
      words(names).map((name, at) => [name, words(values)[at]]),
    );
    expect(shown.length).toBe(6);
    for (const [name = "", value] of shown) expect([name, environment[name]]).toEqual([name, value]);
  });

  test("the tags of quotes are as they are shown", () => {
    const source = readFileSync(path.join(root, "docker/quotes/quotes.py"), "utf8");
    const tags = [...page.matchAll(/^\| `((?:urlprefix-|haproxy\.)[^`]+)` \|/gm)].map(([, tag = ""]) => tag);
    expect(tags).toHaveLength(4);
    for (const tag of tags.filter((one) => !one.startsWith("haproxy.timeout."))) expect(source).toContain(`"${tag}"`);
    expect(tags).toContain(`haproxy.timeout.queue=${/"QUEUE_TIMEOUT", "(\w+)"/.exec(source)?.[1]}`);
  });
});
