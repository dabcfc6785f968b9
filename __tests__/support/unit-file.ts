import { readFileSync } from "node:fs";

/** A unit of systemd: the values of each `Section.Key`, in the order given; later files (drop-ins) add to earlier ones. */
export class UnitFile {
  private readonly values = new Map<string, string[]>();

  /** @param files the unit, then its drop-ins */
  constructor(files: readonly string[]) {
    for (const file of files) this.read(readFileSync(file, "utf8"));
  }

  /** All values of a key; an empty assignment has taken back those before it (systemd.unit(5), systemd.service(5)). */
  all(key: string): readonly string[] {
    return this.values.get(key) ?? [];
  }

  /** Whether the key stands there at all, be it to say that there is none. */
  sets(key: string): boolean {
    return this.values.has(key);
  }

  /** The value that counts for a key that has one. */
  one(key: string): string {
    const value = this.all(key).at(-1);
    if (value === undefined) throw new Error(`the unit has no ${key}`);
    return value;
  }

  /** Like systemd.syntax(7): `[Section]`, `Key=value`, comments with # or ;, a backslash at the end goes on. */
  private read(text: string): void {
    let section = "";
    for (const line of text.replace(/\\\n/g, " ").split("\n")) {
      const [, named] = /^\[(.+)\]$/.exec(line.trim()) ?? [];
      if (named !== undefined) section = named;
      const [, key, value = ""] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
      if (key === undefined) continue;
      const name = `${section}.${key}`;
      const before = this.values.get(name) ?? [];
      this.values.set(name, value === "" ? [] : [...before, value.trim()]);
    }
  }
}

/** The words of a command line of a unit without quotes, its variables put in (systemd.service(5), "Command lines"). */
export function commandWords(line: string, variables: Readonly<Record<string, string>>): readonly string[] {
  if (/["'\\]/.test(line) || /^[-@:+!]/.test(line)) throw new Error(`more than this reader knows: ${line}`);
  return line.split(/\s+/).map((word) =>
    word.replace(/\$\{?([A-Z_]+)\}?/g, (_, name: string) => {
      const value = variables[name];
      if (value === undefined) throw new Error(`${line}: no value for ${name}`);
      return value;
    }),
  );
}
