import { readFileSync } from "node:fs";
import type { ConfigProblem } from "../../reconciler/ports.ts";
import type { Config, Line } from "../config/types.ts";
import { unconditionalLines } from "./binds.ts";
import type { Rights } from "./rights.ts";

/**
 * Lines of `global` that ask for more than HAProxy may do. A worker changes root directory, group and user after the
 * master has let the old one go: where it may not, 2.6 and 3.0 end altogether (measured on 2.6.12: master and workers
 * gone, every connection refused), and `haproxy -c` does not see it. Too high a `maxconn` or `ulimit-n` makes the reload
 * fail without harm, but as long as it is in the file HAProxy would not start.
 *
 * Not seen: values with environment variables in them, what stands inside an `.if` block.
 */
export function privilegeProblems(config: Config, rights: Rights): readonly ConfigProblem[] {
  const found: ConfigProblem[] = [];
  const lines = unconditionalLines(config).filter(({ section }) => section === "global");
  const strict = !lines.some(({ line: { words } }) => words[0] === "no" && words[1] === "strict-limits");
  for (const { line, number } of lines) {
    const message = line.variables === undefined ? problemOf(line, rights, strict) : undefined;
    if (message !== undefined) found.push({ line: number, message });
  }
  return found;
}

function problemOf({ words }: Line, rights: Rights, strict: boolean): string | undefined {
  const [keyword = "", value] = words;
  if (value === undefined) return undefined;
  switch (keyword) {
    case "chroot":
      return rights.has("CAP_SYS_CHROOT") ? undefined : notPermitted(`chroot ${value}`, "CAP_SYS_CHROOT");
    case "user":
    case "uid": {
      const uid = keyword === "uid" ? Number(value) : idOf("/etc/passwd", value);
      // 0 means "as it is".
      if (uid === 0 || uid === rights.uid || rights.has("CAP_SETUID")) return undefined;
      return notPermitted(`${keyword} ${value}`, "CAP_SETUID");
    }
    case "group":
    case "gid": {
      const gid = keyword === "gid" ? Number(value) : idOf("/etc/group", value);
      if (gid === 0 || gid === rights.gid || rights.has("CAP_SETGID")) return undefined;
      return notPermitted(`${keyword} ${value}`, "CAP_SETGID");
    }
    case "maxconn":
      // One for the client, one for the server; listeners and checks come on top.
      return strict ? tooManyFiles(`maxconn ${value}`, 2 * Number(value), rights) : undefined;
    case "ulimit-n":
      return strict ? tooManyFiles(`ulimit-n ${value}`, Number(value), rights) : undefined;
    default:
      return undefined;
  }
}

function notPermitted(what: string, capability: string): string {
  return `${what}: HAProxy may not do that without the capability ${capability}; take the line out, or start HAProxy as root`;
}

function tooManyFiles(what: string, needed: number, { openFiles }: Rights): string | undefined {
  if (!(needed > openFiles)) return undefined;
  return `${what} needs ${needed} open files, HAProxy may have ${openFiles}; lower it, or raise the limit (ulimit -Hn, LimitNOFILE)`;
}

/** `name:password:id:…`, one a line (passwd(5), group(5)). Undefined for a name that stands elsewhere, as in LDAP. */
function idOf(file: string, name: string): number | undefined {
  try {
    const entry = readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.split(":"))
      .find(([known]) => known === name);
    return entry?.[2] === undefined ? undefined : Number(entry[2]);
  } catch {
    return undefined;
  }
}
