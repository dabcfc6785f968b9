import type { Settings } from "../settings/schema.ts";

/** Settings that say which ports services may have. */
export type PortSettings = Pick<Settings, "http" | "https" | "stats" | "tcp">;

/**
 * Why a service may not have a port of HAProxy's opened.
 *
 * @returns undefined where it may
 */
export function portRefusal(port: number, settings: PortSettings): string | undefined {
  const { http, https, stats, tcp } = settings;
  const own = [
    ["http.bind", http.bind],
    ["https.bind", https.bind],
    ["stats.bind", stats.bind],
  ] as const;
  for (const [setting, bind] of own) {
    if (bind?.split(",").some((address) => holds(address, port))) {
      return `port ${port} is HAProxy's own (setting ${setting}); choose another`;
    }
  }
  if (tcp.ports.split(",").some((range) => within(range, port))) return undefined;
  return `port ${port} is not among those that services may have (setting tcp.ports: ${tcp.ports}); choose one of them or widen the setting`;
}

/** Whether an address of a `bind` line takes this port, at whatever address: `:80`, `[::1]:8000-8010`. */
function holds(address: string, port: number): boolean {
  const range = /:(\d+(?:-\d+)?)$/.exec(address)?.[1];
  return range !== undefined && within(range, port);
}

/** `443`, `5000-5999` */
function within(range: string, port: number): boolean {
  const [first = "", last = first] = range.trim().split("-");
  return port >= Number(first) && port <= Number(last);
}
