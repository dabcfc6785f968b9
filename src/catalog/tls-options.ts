import { readFileSync } from "node:fs";
import type { Settings } from "../settings/schema.ts";
import { SluiceError } from "../support/errors.ts";

/** What a connection over TLS is made with. Throws ERR_SETTINGS_UNREADABLE where a file cannot be read. */
export function tlsOptions(tls: Settings["consul"]["tls"]) {
  const { ca, cert, key, serverName } = tls;
  return {
    ...(ca === undefined ? {} : { ca: readPem("ca", ca) }),
    ...(cert === undefined ? {} : { cert: readPem("cert", cert) }),
    ...(key === undefined ? {} : { key: readPem("key", key) }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}

function readPem(what: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new SluiceError("ERR_SETTINGS_UNREADABLE", `consul.tls.${what} ${file} cannot be read`, { cause });
  }
}
