/** Where other services find HAProxy, and where the agent looks whether it is well. */
export interface AdvertisedPlace {
  /** Left out: the agent's own address. */
  readonly address?: string;
  readonly port: number;
  /** `host:port` */
  readonly check: string;
}

const anywhere: ReadonlySet<string> = new Set(["", "*", "0.0.0.0", "::"]);

/**
 * The place of the setting `http.advertise`, or else of the first address of `http.bind`: its port, at the agent's
 * address where it is opened on all of the machine's.
 *
 * @returns undefined where neither names a port
 */
export function advertisedPlace(bind: string, advertise: string | undefined): AdvertisedPlace | undefined {
  const written = advertise === undefined ? bind.split(",") : [advertise];
  for (const one of written) {
    const [, bracketed, plain = "", digits = ""] = /^(?:\[([^\]]*)\]|([^@]*?)):(\d{1,5})$/.exec(one.trim()) ?? [];
    const port = Number(digits);
    if (port < 1 || port > 65_535) continue;
    const host = bracketed ?? plain;
    if (anywhere.has(host)) return { port, check: `127.0.0.1:${port}` };
    return { address: host, port, check: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}` };
  }
  return undefined;
}
