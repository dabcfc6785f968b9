import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { parseEnv } from "node:util";

/** What the set-up script found. */
const home = process.env["XDG_CACHE_HOME"] || path.join(process.env["HOME"] || homedir(), ".cache");
const file = path.join(home, "sluice", "env");
const found = existsSync(file) ? parseEnv(readFileSync(file, "utf8")) : {};

/** Where the real binaries are. What is set decides; without the set-up script, PATH serves. */
export const haproxyBinary = process.env["SLUICE_HAPROXY"] ?? found["SLUICE_HAPROXY"] ?? "haproxy";
export const consulBinary = process.env["SLUICE_CONSUL"] ?? found["SLUICE_CONSUL"] ?? "consul";
