import { hexDigest } from "../support/digest.ts";
import { canonicalIp } from "../support/ip.ts";
import type { MapRow } from "./types.ts";

/** Values of clients.map. They are no names of backends, so that no row waits for one. */
const admittedClient = "+";
const refusedClient = "!";

/** Networks; left out where nothing is said. */
export interface Allowance {
  readonly allow?: readonly string[] | undefined;
  readonly deny?: readonly string[] | undefined;
}

/** Who may: the rows of clients.map for one pair of `allow` and `deny`. */
export interface ClientList {
  /** Digest of what it says; empty where all may. */
  readonly id: string;
  readonly rows: readonly MapRow[];
}

const everybody: ClientList = { id: "", rows: [] };
const known = new Map<string, ClientList>();
/** Lists that are remembered; then all are forgotten at once. */
const mostKnown = 4_096;

/**
 * The list of `allow` and `deny`: keys are `<id>/4<hex>` and `<id>/6<hex>`, beginnings of the client's address in hex,
 * looked up by the longest beginning; `<id>/` says what holds for all others. `deny` goes before `allow`.
 */
export function clientList({ allow, deny }: Allowance): ClientList {
  if (allow === undefined && deny === undefined) return everybody;
  const key = JSON.stringify([allow, deny]);
  const before = known.get(key);
  if (before !== undefined) return before;
  const list = makeList(allow, deny ?? []);
  if (known.size >= mostKnown) known.clear();
  known.set(key, list);
  return list;
}

function makeList(allow: readonly string[] | undefined, deny: readonly string[]): ClientList {
  const refused = new Set(deny.flatMap(beginnings));
  const admitted = new Set((allow ?? []).flatMap(beginnings).filter((one) => !hasBeginning(refused, one)));
  const verdicts = [
    ["", allow === undefined ? admittedClient : refusedClient] as const,
    ...[...admitted].map((one) => [one, admittedClient] as const),
    ...[...refused].map((one) => [one, refusedClient] as const),
  ].sort(([a], [b]) => (a < b ? -1 : 1));
  const id = hexDigest(JSON.stringify(verdicts), 12);
  return { id, rows: verdicts.map(([beginning, value]) => ({ key: `${id}/${beginning}`, value })) };
}

/** What HAProxy finds for a client: as the rules of request.njk ask. */
export function admits({ rows, id }: ClientList, address: string): boolean {
  if (id === "") return true;
  const subject = `${id}/${clientKey(address) ?? "?"}`;
  const found = rows.filter(({ key }) => subject.startsWith(key)).sort((a, b) => b.key.length - a.key.length);
  return found[0]?.value === admittedClient;
}

/** `4` or `6` and the address in hex; an IPv4 address within IPv6 (::ffff:0:0/96) is one of IPv4. */
function clientKey(address: string): string | undefined {
  const bits = bitsOf(address);
  if (bits === undefined) return undefined;
  const key = `${bits.length === 32 ? 4 : 6}${hexOf(bits)}`;
  return /^60{20}FFFF(.{8})$/.test(key) ? `4${key.slice(25)}` : key;
}

/** A network as beginnings of hex digits: one, or up to eight where its length is no multiple of four. */
function beginnings(network: string): string[] {
  const [address = "", length] = network.split("/");
  const all = bitsOf(address);
  if (all === undefined) throw new TypeError(`${network} is not a network`);
  const mapped = all.length === 128 && hexOf(all).startsWith("00000000000000000000FFFF");
  const count = length === undefined ? all.length : Number(length);
  // A network around ::ffff:0:0/96 takes in IPv4 as a whole.
  const [bits, kept] = mapped && count >= 96 ? [all.slice(96), count - 96] : [all, count];
  const family = bits.length === 32 ? "4" : "6";
  const free = (4 - (kept % 4)) % 4;
  const fixed = bits.slice(0, kept);
  const found: string[] = [];
  for (let rest = 0; rest < 2 ** free; rest += 1) {
    const tail = free === 0 ? "" : rest.toString(2).padStart(free, "0");
    found.push(`${family}${hexOf(fixed + tail)}`);
  }
  return found;
}

function hasBeginning(set: ReadonlySet<string>, text: string): boolean {
  for (let length = text.length; length > 0; length -= 1) if (set.has(text.slice(0, length))) return true;
  return false;
}

/** 32 or 128 signs `0` and `1`. */
function bitsOf(address: string): string | undefined {
  const canonical = canonicalIp(address);
  if (canonical === undefined) return undefined;
  if (!canonical.includes(":")) {
    return canonical
      .split(".")
      .map((part) => Number(part).toString(2).padStart(8, "0"))
      .join("");
  }
  const [head = "", tail] = canonical.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const [before, behind] = [groups(head), groups(tail ?? "")];
  const zeros = Array.from({ length: 8 - before.length - behind.length }, () => "0");
  return [...before, ...zeros, ...behind]
    .map((group) => Number.parseInt(group, 16).toString(2).padStart(16, "0"))
    .join("");
}

function hexOf(bits: string): string {
  return (bits.match(/.{4}/g) ?? []).map((four) => Number.parseInt(four, 2).toString(16).toUpperCase()).join("");
}
