import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Clock } from "../../support/clock.ts";
import { validateConfig } from "./validate.ts";

export interface JudgeOptions {
  readonly binary: string;
  /** A directory that is made for it, readable by nobody else, and removed behind it. */
  readonly directory: string;
  readonly clock: Clock;
}

/**
 * Asks `haproxy -c` about certificates: what OpenSSL takes, HAProxy may not (keys that its security level finds too
 * short), and one bad file would keep it from starting.
 *
 * @param pems by name
 * @returns what it says against each one that it does not take
 * @throws {SluiceError} as `validateConfig`, where it cannot be asked
 */
export async function judgeCertificates(
  { binary, directory, clock }: JudgeOptions,
  pems: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, string>> {
  const refused = new Map<string, string>();
  const names = [...pems.keys()];
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  try {
    for (const [index, name] of names.entries()) {
      await writeFile(path.join(directory, `${index}.pem`), pems.get(name) ?? "", { mode: 0o600 });
    }
    const ask = async (asked: readonly number[]) => {
      const file = path.join(directory, "haproxy.cfg");
      const binds = asked.map((index) => `  bind unix@${directory}/s${index} ssl crt ${directory}/${index}.pem\n`);
      await writeFile(file, `${head}${binds.join("")}`, { mode: 0o600 });
      const verdict = await validateConfig({ binary, file, clock });
      return verdict.ok ? [] : verdict.problems;
    };
    const refuse = (index: number, message: string) => {
      const name = names[index] ?? "";
      const before = refused.get(name);
      const said = message.replaceAll(`${directory}/`, "").replace(/^'bind [^']*' in section '[^']*' : /, "");
      refused.set(name, before === undefined ? said : `${before}; ${said}`);
    };
    let asked = [...names.keys()];
    for (;;) {
      const problems = asked.length === 0 ? [] : await ask(asked);
      if (problems.length === 0) return refused;
      const named = new Map<number, string>();
      for (const { line, message } of problems) {
        const index = line === undefined ? undefined : asked[line - firstBind];
        if (index !== undefined) named.set(index, message);
      }
      // It does not say whom it means: one by one.
      if (named.size === 0) break;
      for (const [index, message] of named) refuse(index, message);
      asked = asked.filter((index) => !named.has(index));
    }
    for (const index of asked) {
      const problems = await ask([index]);
      if (problems.length > 0) refuse(index, problems.map(({ message }) => message).join("; "));
    }
    return refused;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const head = "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nfrontend one\n";
/** The line of the first of them, from 1. */
const firstBind = head.split("\n").length;
