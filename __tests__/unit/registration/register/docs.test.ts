import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { main } from "../../../../src/cli/main.ts";
import { type RegisterOption, registerOptions, variableOf } from "../../../../src/registration/register/options.ts";

const doc = readFileSync(new URL("../../../../docs/register.md", import.meta.url), "utf8");
const rows = [...doc.matchAll(/^\| `(--[\w-]+)` \| (.*?) \| (.*?) \| .* \|$/gm)].map(([, flag, names, value]) => ({
  flag,
  names,
  value,
}));

test("docs/register.md has each option with its variables and its default, in the order of the help", () => {
  expect(rows.map(({ flag, names }) => ({ flag, names }))).toEqual(
    Object.values(registerOptions).map((option: RegisterOption) => ({
      flag: option.flag,
      names: [variableOf(option), ...(option.known ?? [])].map((name) => `\`${name}\``).join(", "),
    })),
  );
  for (const option of Object.values(registerOptions) as readonly RegisterOption[]) {
    if (option.default === undefined) continue;
    expect(rows.find(({ flag }) => flag === option.flag)?.value).toBe(`\`${option.default}\``);
  }
});

test("--help has each option, with examples", async () => {
  let help = "";
  const terminal = { out: (text: string) => (help += text), err: () => undefined, env: {} };
  expect(await main(["register", "--help"], terminal as never)).toBe(0);
  for (const { flag } of Object.values(registerOptions)) expect(help).toContain(flag);
  expect(help).toContain("Examples:\n  sluice register --name web --port 8080 -- node server.js");
});

const commands = [...doc.matchAll(/^sluice (register .*)$/gm)].map(([, words = ""]) => words);

test.each(commands)("docs/register.md: sluice %s is right use", async (line) => {
  // Taken up to the command, and without it: that it is missing is all that is wrong.
  const [words = "", rest] = line.split(" -- ");
  let said = "";
  const terminal = { out: () => undefined, err: (text: string) => (said += text), env: {} };
  const argv = words.split(" ");
  const code = await main(rest === undefined ? [...argv, "--", "extra"] : argv, terminal as never);
  expect(code).toBe(2);
  expect(said.trim().split("\n")).toHaveLength(1);
  expect(said).toContain(rest === undefined ? "leave out the command" : "the command is missing");
});
