import { instanceOptions } from "../settings/options/instance-options.ts";
import type { InstanceOptions, Options } from "../settings/options/table.ts";
import type { Backend } from "./types.ts";

const instanceKeys = Object.keys(instanceOptions) as (keyof InstanceOptions)[];

/** Those of an instance's scope. */
export function instanceScope(options: Options): InstanceOptions {
  const kept: Record<string, unknown> = {};
  for (const key of instanceKeys) if (options[key] !== undefined) kept[key] = options[key];
  return kept;
}

/**
 * What stands on a server's line, and nothing that changes nothing there: `tls` and `backup` where they are true,
 * `maxconn` where it is a limit, words of TLS only with it, `protocol` only as `h2` and in mode http. The weight is the server's own.
 *
 * @param options in their normal form
 */
export function serverWords(options: InstanceOptions, mode: Backend["mode"], standsIn: boolean): InstanceOptions {
  const tls = options.tls === true;
  const kept: Record<string, unknown> = {};
  for (const key of instanceKeys) {
    const value = key === "backup" ? standsIn || options.backup === true : options[key];
    if (key === "weight" || value === undefined || value === false || value === 0) continue;
    if (key === "protocol" && (mode === "tcp" || value !== "h2")) continue;
    if (key.startsWith("tls.") && !tls) continue;
    // The name of the request is not known where bytes are passed on.
    if (key === "tls.sni" && value === "host" && mode === "tcp") continue;
    kept[key] = value;
  }
  return kept;
}
