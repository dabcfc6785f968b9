import { execFile, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";
import { accepts } from "./raw-tcp.ts";

const run = promisify(execFile);

/** Where Debian has them; elsewhere `SLUICE_POSTGRES` names the directory. */
function programs(): string {
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? readdirSync(base).sort().reverse() : [];
  const places = [process.env["SLUICE_POSTGRES"] ?? "", ...versions.map((version) => path.join(base, version, "bin"))];
  const found = places.find((place) => place !== "" && existsSync(path.join(place, "initdb")));
  if (found === undefined) {
    throw new Error("PostgreSQL's server is needed and not there; install Debian's package postgresql");
  }
  return found;
}

/** PostgreSQL refuses to run as root; Debian's package brings a user. */
function user(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const [, uid, gid] = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync("/etc/passwd", "utf8")) ?? [];
  if (uid === undefined) throw new Error("PostgreSQL refuses to run as root, and there is no user postgres; add one");
  return { uid: Number(uid), gid: Number(gid) };
}

/** PostgreSQL's real server, with a database `postgres` that anybody may use. */
export interface Postgres {
  readonly name: string;
  readonly port: number;
  stop(): Promise<void>;
}

export async function startPostgres(name: string): Promise<Postgres> {
  const [bin, as] = [programs(), user()];
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-postgres-"));
  if (as.uid !== undefined && as.gid !== undefined) await chown(directory, as.uid, as.gid);
  const options = { ...as, cwd: directory, env: { LC_ALL: "C", PATH: process.env["PATH"] ?? "" } };
  const remove = () => rm(directory, { recursive: true, force: true });
  try {
    const data = ["-D", directory, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"];
    await run(path.join(bin, "initdb"), data, options);
  } catch (thrown) {
    await remove();
    throw thrown;
  }
  const port = await freePort();
  const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", `cluster_name=${name}`];
  const child = spawn(
    path.join(bin, "postgres"),
    ["-D", directory, "-p", String(port), ...settings.flatMap((one) => ["-c", one])],
    { ...options, stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    log = (log + chunk).slice(-4_000);
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const killWithUs = () => child.kill("SIGQUIT");
  process.once("exit", killWithUs);
  const stop = async () => {
    process.off("exit", killWithUs);
    // Fast shutdown; SIGQUIT would leave its children to themselves for a moment.
    child.kill("SIGINT");
    await ended;
    await remove();
  };
  const deadline = Date.now() + 60_000;
  while (!(await accepts(port))) {
    if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
      await stop();
      throw new Error(`PostgreSQL did not come up: ${log}`);
    }
    await sleep(50);
  }
  return { name, port, stop };
}

/** A session of psql: statements one after the other, over one connection. */
export interface PostgresSession {
  /** The rows, a line each, columns parted by `|`. Rejects where the session has ended, or after 20 s. */
  query(statement: string): Promise<string>;
  end(): Promise<void>;
}

export function postgresSession(port: number): PostgresSession {
  const child = spawn(
    path.join(programs(), "psql"),
    ["-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", String(port), "-U", "postgres", "-d", "postgres"],
    { stdio: ["pipe", "pipe", "pipe"], env: { LC_ALL: "C", PATH: process.env["PATH"] ?? "", PGSSLMODE: "disable" } },
  );
  let output = "";
  let errors = "";
  let over = false;
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    errors += chunk;
  });
  child.stdin.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => {
      over = true;
      resolve();
    });
  });
  let count = 0;
  return {
    query: async (statement) => {
      count += 1;
      const [from, mark] = [output.length, `-- end of ${count} --`];
      child.stdin.write(`${statement};\n\\echo ${mark}\n`);
      const deadline = Date.now() + 20_000;
      while (!output.slice(from).includes(mark)) {
        if (over || Date.now() > deadline) throw new Error(`no answer to ${statement}: ${errors}`);
        await sleep(5);
      }
      if (errors !== "") throw new Error(errors);
      return output.slice(from, output.indexOf(mark, from)).trim();
    },
    end: async () => {
      child.stdin.end();
      child.kill("SIGTERM");
      await ended;
    },
  };
}
