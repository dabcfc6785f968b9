import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { systemErrorCode } from "../support/errors.ts";

/** The files a certificate is read from, by the certificate's name. */
export type Sources = ReadonlyMap<string, readonly string[]>;

/** Extensions of files that hold a certificate without its key. */
const bare = new Set([".crt", ".cer"]);

/**
 * The certificates of a directory: `name.pem` with all in it, `name.crt` or `name.cer` beside `name.key`, and
 * directories with `fullchain.pem` and `privkey.pem`. Names with a leading dot are passed over. Where one name is there
 * in several forms, the first of these counts.
 *
 * @throws the error of the file system where the directory cannot be read
 */
export function certificateSources(directory: string): Sources {
  const sources = new Map<string, readonly string[]>();
  const add = (name: string, ...files: readonly string[]) => {
    if (!sources.has(name))
      sources.set(
        name,
        files.map((file) => path.join(directory, file)),
      );
  };
  const names = readdirSync(directory)
    .filter((name) => !name.startsWith("."))
    .sort();
  for (const name of names) if (path.extname(name) === ".pem") add(path.parse(name).name, name);
  for (const name of names) {
    const stem = path.parse(name).name;
    if (bare.has(path.extname(name))) add(stem, name, `${stem}.key`);
  }
  for (const name of names) {
    const inside = namesIn(path.join(directory, name));
    if (inside.includes("fullchain.pem")) add(name, path.join(name, "fullchain.pem"), path.join(name, "privkey.pem"));
  }
  return sources;
}

/**
 * The texts of files, one behind the other.
 *
 * @returns a sentence where one is not there or cannot be read
 */
export async function readSource(files: readonly string[]): Promise<{ readonly text: string } | string> {
  const texts: string[] = [];
  for (const file of files) {
    try {
      texts.push(await readFile(file, "utf8"));
    } catch (thrown) {
      const code = systemErrorCode(thrown);
      return code === "ENOENT"
        ? `${path.basename(file)} is not there`
        : `${path.basename(file)} cannot be read (${code})`;
    }
  }
  return { text: texts.join("\n") };
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
