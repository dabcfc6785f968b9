import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Takes SLUICE_HAPROXY and SLUICE_CONSUL from what docker/setup.sh wrote down; what is set already stays. */
export function loadSetup(): void {
  const cache = process.env["XDG_CACHE_HOME"] || join(process.env["HOME"] || homedir(), ".cache");
  const file = join(cache, "sluice", "env");
  if (existsSync(file)) process.loadEnvFile(file);
}
