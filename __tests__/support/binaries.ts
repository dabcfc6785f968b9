import { existsSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";

/** What the set-up script found; what is set already stays. */
const home = process.env["XDG_CACHE_HOME"] || path.join(process.env["HOME"] || homedir(), ".cache");
const found = path.join(home, "sluice", "env");
if (existsSync(found)) process.loadEnvFile(found);

/** Where the real binaries are. Without the set-up script, PATH serves. */
export const haproxyBinary = process.env["SLUICE_HAPROXY"] ?? "haproxy";
export const consulBinary = process.env["SLUICE_CONSUL"] ?? "consul";
