export interface User {
  readonly name: string;
  /** As crypt(3) has it. */
  readonly hash: string;
}

export interface UserFile {
  /** In the order of the file. */
  readonly users: readonly User[];
  /** What could not be used, by line and user; never a hash. */
  readonly problems: readonly string[];
}

/**
 * HAProxy computes the hash anew for each request, in the thread that serves all others (configuration manual 12.2,
 * `user`): with more than this one request would take it a tenth of a second.
 */
const highestCost = 10;
const mostRounds = 100_000;

/** Kinds of hashes that crypt(3) of today's systems knows (crypt(5)), but for those that are broken in minutes. */
const kinds: readonly RegExp[] = [
  /^\$2[aby]\$(?<cost>\d\d)\$[./A-Za-z0-9]{53}$/,
  /^\$5\$(?:rounds=(?<rounds>\d{1,9})\$)?[^$:\s]{1,16}\$[./A-Za-z0-9]{43}$/,
  /^\$6\$(?:rounds=(?<rounds>\d{1,9})\$)?[^$:\s]{1,16}\$[./A-Za-z0-9]{86}$/,
  /^\$y\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}$/,
];

/** Reads lines of `user:hash`, as htpasswd and mkpasswd make them. Empty lines and those that begin with `#` do not count. */
export function readUsers(text: string): UserFile {
  const users = new Map<string, string>();
  const problems: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const written = line.trim();
    if (written === "" || written.startsWith("#")) continue;
    const [name = "", hash = ""] = written.split(":");
    const problem = nameProblem(name) ?? (users.has(name) ? "is there twice; the first counts" : hashProblem(hash));
    if (problem === undefined) users.set(name, hash);
    else problems.push(`line ${index + 1}: user ${JSON.stringify(name.slice(0, 64))} ${problem}`);
  }
  return { users: [...users].map(([name, hash]) => ({ name, hash })), problems };
}

function nameProblem(name: string): string | undefined {
  if (name === "") return "has no name";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return /[\x00-\x1f\x7f]/.test(name) || !name.isWellFormed() || name.length > 128
    ? "has a name that cannot be written into haproxy.cfg"
    : undefined;
}

function hashProblem(hash: string): string | undefined {
  const advice = "make it anew with htpasswd -B or mkpasswd -m sha-512";
  if (hash.startsWith("$apr1$")) return `has a hash of Apache's own kind (apr1), which HAProxy cannot check; ${advice}`;
  if (/^\{S?SHA\}/.test(hash)) return `has a SHA-1 hash, which HAProxy cannot check; ${advice}`;
  const found = kinds.map((kind) => kind.exec(hash)).find((match) => match !== null);
  if (found === undefined) return `has no password that is hashed as crypt(3) does it; ${advice}`;
  const { cost, rounds } = found.groups ?? {};
  if (Number(cost ?? 0) > highestCost) {
    return `has a bcrypt hash of cost ${cost}, which HAProxy would compute for each request; use at most ${highestCost} (htpasswd -B -C 5)`;
  }
  if (Number(rounds ?? 0) > mostRounds) {
    return `has a hash of ${rounds} rounds, which HAProxy would compute for each request; use at most ${mostRounds}`;
  }
  return undefined;
}
