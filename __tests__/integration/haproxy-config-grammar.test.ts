import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import { sectionsEqual } from "../../src/haproxy/config/equality.ts";
import { parseConfig } from "../../src/haproxy/config/parse.ts";
import { printConfig } from "../../src/haproxy/config/print.ts";
import type { Config, Line } from "../../src/haproxy/config/types.ts";
import { quoteWord } from "../../src/haproxy/config/words.ts";
import { checkBinary } from "../../src/haproxy/process/validate.ts";
import { haproxyBinary, otherHaproxyBinaries } from "../support/binaries.ts";
import { configEnvironment, randomConfig } from "../support/random-config.ts";

const runs = Number(process.env["SLUICE_FUZZ_RUNS"] ?? 150);

let directory: string;
/** One that prints what it has read, if there is any: `-dC` is known from 2.9 on. */
let printer: string | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-grammar-"));
  for (const binary of [haproxyBinary, ...otherHaproxyBinaries()]) {
    const { version } = await checkBinary(binary);
    if (version[0] >= 3) printer ??= binary;
  }
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Verdict {
  readonly exitCode: number;
  /** What HAProxy said, without its pid. */
  readonly said: string;
  /** The words it read, line by line, as `-dC` prints them; undefined where it does not know that. */
  readonly read: string | undefined;
}

async function judge(text: string): Promise<Verdict> {
  const file = join(directory, "haproxy.cfg");
  await writeFile(file, text);
  const ask = (binary: string, ...more: readonly string[]) => {
    const options = {
      encoding: "latin1",
      env: { PATH: process.env["PATH"], HOME: "/", ...configEnvironment },
    } as const;
    const result = spawnSync(binary, ["-c", ...more, "-f", file], options);
    if (result.status === null) throw new Error(`${binary} cannot be run`);
    return result;
  };
  const { status, stdout, stderr } = ask(haproxyBinary);
  return {
    exitCode: status ?? -1,
    said: `${stdout}${stderr}`.replace(/\(\d+\)/g, "(PID)"),
    read: printer === undefined ? undefined : ask(printer, "-dC").stdout,
  };
}

/** A configuration written anew from what the parser understood of each line; what it did not take apart stays. */
function rewritten(config: Config): string {
  const lines = [...config.preamble, ...config.sections.flatMap(({ header, lines: own }) => [header, ...own])];
  return lines.map((one) => `${rewrittenLine(one)}\n`).join("");
}

function rewrittenLine({ raw, words, variables }: Line): string {
  // A word with a control character in it, written as an escape, and one that is the whole line: HAProxy cannot split it.
  const opaque = words.length === 1 && words[0] === raw;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (variables !== undefined || opaque || words.some((word) => /[\x00-\x1f\x7f]/.test(word))) return raw;
  return words.map(quoteWord).join(" ");
}

test(
  "HAProxy reads the same from a configuration and from what we print of it, in whatever way it is written",
  async () => {
    let valid = 0;
    let rewrittenLines = 0;
    const property = fc.asyncProperty(randomConfig, async (text) => {
      const config = parseConfig(text);
      const whole = text.endsWith("\n") ? text : `${text}\n`;
      expect(printConfig(config)).toBe(whole);

      const again = rewritten(config);
      const parsed = parseConfig(again);
      expect(parsed.sections).toHaveLength(config.sections.length);
      for (const [index, section] of parsed.sections.entries()) {
        const before = config.sections[index];
        expect(before !== undefined && sectionsEqual(before, section, { ignoreServers: false })).toBe(true);
      }

      const verdict = await judge(whole);
      expect(await judge(again)).toEqual(verdict);
      // 2.6 to 3.2 refuse a file that ends within a line, which what we print never does.
      if (whole !== text) expect((await judge(text)).exitCode).toBe(1);
      if (verdict.exitCode === 0) valid += 1;
      const raws = again.split("\n");
      rewrittenLines += whole.split("\n").filter((raw, index) => raw !== raws[index]).length;
    });
    await fc.assert(property, { numRuns: runs });
    process.stdout.write(
      `grammar: ${runs} configurations, ${valid} of them valid, ${rewrittenLines} lines written another way${printer === undefined ? "" : ", words compared by -dC"}\n`,
    );
    expect(valid).toBeGreaterThan(runs / 4);
  },
  60_000 + runs * 1_000,
);
