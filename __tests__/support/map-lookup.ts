import type { HttpRequest } from "../../src/routing/match.ts";
import { lookupPath } from "../../src/routing/match.ts";
import { readValue } from "../../src/routing/route-value.ts";
import type { MapRow, RouteMaps } from "../../src/routing/types.ts";

/**
 * What haproxy/request.njk does with the maps, rule by rule.
 *
 * @param drawn 10000 to 19999
 * @param side what the client's cookie says
 * @returns the value, with its fields; undefined where nothing is found
 */
export function lookUp(maps: RouteMaps, request: HttpRequest, drawn = 10_000, side?: string) {
  const { host = "", port } = /^(?<host>.*?)(?::(?<port>\d+))?$/.exec(request.host.toLowerCase())?.groups ?? {};
  const name = host.replace(/\.+$/, "");
  const at = request.listen === undefined ? "" : `@${request.listen}!`;
  const withPort = `${name}:${port ?? (request.tls === true ? 443 : 80)}`;
  const tail = `${lookupPath(request.path)}?`;
  const glob = name === "" ? undefined : mapReg(maps.hosts, withPort);
  let value: string | undefined;
  for (const before of [`${at}${withPort}`, `${at}${name}`, glob === undefined ? undefined : `${at}${glob}`, at]) {
    const row = before === undefined ? undefined : mapBeg(maps.routes, `${before}${tail}`);
    if (value !== undefined || row === undefined) continue;
    const { set, only } = readValue(row);
    if (set !== undefined) value = mapReg(maps.conditions, `${set} ${request.method} \r\n${headersOf(request)}`);
    if (only !== "1") value ??= row;
  }
  if (value === undefined) return undefined;
  const { share } = readValue(value);
  if (share === undefined) return readValue(value);
  const part = side === undefined ? undefined : mapBeg(maps.shares, `${share}/=${side}/${drawn}`);
  return readValue(part ?? mapBeg(maps.shares, `${share}/${drawn}`) ?? value);
}

/** HAProxy's map_beg: the longest beginning. */
export function mapBeg(rows: readonly MapRow[], subject: string): string | undefined {
  let found: MapRow | undefined;
  for (const row of rows) {
    if (subject.startsWith(row.key) && row.key.length > (found?.key.length ?? -1)) found = row;
  }
  return found?.value;
}

/** HAProxy's map_reg: the first that matches. */
export function mapReg(rows: readonly MapRow[], subject: string): string | undefined {
  return rows.find(({ key }) => regexOf(key).test(subject))?.value;
}

/** What PCRE has and JavaScript has not: groups that give nothing back, and a bound for its tries. */
function regexOf(pattern: string): RegExp {
  return new RegExp(pattern.replace(/^\(\*LIMIT_MATCH=\d+\)/, "").replaceAll("(?>", "(?:"));
}

function headersOf({ headers, host }: HttpRequest): string {
  const all = { host, ...headers };
  return `${Object.entries(all)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}\r\n`;
}
