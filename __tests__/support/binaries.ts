import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { parseEnv } from "node:util";

/** What the set-up script found. */
const home = process.env["XDG_CACHE_HOME"] || path.join(process.env["HOME"] || homedir(), ".cache");
const cache = path.join(home, "sluice");
const file = path.join(cache, "env");
const found = existsSync(file) ? parseEnv(readFileSync(file, "utf8")) : {};

/** Where the real binaries are. What is set decides; without the set-up script, PATH serves. */
export const haproxyBinary = process.env["SLUICE_HAPROXY"] ?? found["SLUICE_HAPROXY"] ?? "haproxy";
export const consulBinary = process.env["SLUICE_CONSUL"] ?? found["SLUICE_CONSUL"] ?? "consul";

/** Binaries of other versions of HAProxy, where `docker/setup-versions.sh` has put some; of which it has to be asked. */
export function otherHaproxyBinaries(): readonly string[] {
  const directory = path.join(cache, "bin");
  const names = existsSync(directory) ? readdirSync(directory).filter((name) => /^haproxy-[a-z]+$/.test(name)) : [];
  return names.sort().map((name) => path.join(directory, name));
}
