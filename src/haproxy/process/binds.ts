import { isIP, isIPv4, isIPv6 } from "node:net";
import { hostname } from "node:os";
import { canonicalIp } from "../../support/ip.ts";
import { nesting } from "../config/conditions.ts";
import type { Config, Line } from "../config/types.ts";

/** An address a configuration listens on. */
export type Bind = AddressBind | UnixBind;

export interface AddressBind {
  /** Streams, or the datagrams of QUIC and of log forwarding. */
  readonly kind: "tcp" | "udp";
  /** What the line is: `bind` also stands for a stats socket. */
  readonly keyword: "bind" | "dgram-bind" | "peer";
  /** As it stands in the file: `:80`, `[::1]:8000-8010`. */
  readonly text: string;
  /** 1-based line of the file. */
  readonly line: number;
  /** An address in its one form, or a host name; `0.0.0.0` or `::` for any. */
  readonly host: string;
  readonly firstPort: number;
  readonly lastPort: number;
  readonly v6only: boolean;
  /** May take an address this machine does not have. */
  readonly transparent: boolean;
}

export interface UnixBind {
  readonly kind: "unix";
  readonly text: string;
  readonly line: number;
  readonly path: string;
}

/** A line that is in force whatever `.if` blocks come to, and its number in the file, from 1. */
export interface NumberedLine {
  readonly section: string;
  readonly line: Line;
  readonly number: number;
}

/** The lines of a configuration that no `.if` block decides about; blank lines and headers left out. */
export function unconditionalLines(config: Config): readonly NumberedLine[] {
  const found: NumberedLine[] = [];
  let number = config.preamble.length;
  for (const section of config.sections) {
    number += 1;
    let depth = section.conditional === undefined ? 0 : 1;
    for (const line of section.lines) {
      number += 1;
      depth += nesting(line);
      if (depth === 0 && line.words.length > 0) found.push({ section: section.kind, line, number });
    }
  }
  return found;
}

/**
 * What a configuration listens on: `bind` lines, `dgram-bind` lines of log forwarding, stats sockets, and the line of a
 * `peers` section that is this machine's own (configuration manual 4.2 `bind`, 3.1 `stats socket` and `localpeer`, 3.5
 * `peer`, 3.10 `dgram-bind`, 11 address formats).
 *
 * Not seen: addresses, and names of peers, with environment variables in them; what stands inside an `.if` block. Left
 * out: what another process hands over (`fd@`, `sockpair@`), abstract sockets, other network name spaces and devices.
 *
 * @param hostName this machine's name: the local peer's, where no `localpeer` says otherwise
 */
export function bindsOf(config: Config, hostName: string = hostname()): readonly Bind[] {
  const lines = unconditionalLines(config);
  const prefix =
    lines.find(({ line: { words } }) => words[0] === "unix-bind" && words[1] === "prefix")?.line.words[2] ?? "";
  const named = lines.findLast(({ section, line: { words } }) => section === "global" && words[0] === "localpeer");
  const localPeer = named === undefined ? hostName : knownWord(named.line, 1);
  return lines.flatMap(({ section, line, number }) => {
    const { words } = line;
    if (words[0] === "bind") return lineBinds(line, 1, number, prefix);
    if (words[0] === "dgram-bind") return lineBinds(line, 1, number, "", "dgram-bind");
    const isPeer = section === "peers" && words[0] === "peer" && knownWord(line, 1) === localPeer;
    if (isPeer) return localPeer === undefined ? [] : lineBinds(line, 2, number, "", "peer");
    const isSocket = section === "global" && words[0] === "stats" && words[1] === "socket";
    // The prefix is for bind lines alone.
    return isSocket ? lineBinds(line, 2, number, "") : [];
  });
}

/** Undefined where there is none, or the environment has a part in it. */
function knownWord({ words, variables }: Line, at: number): string | undefined {
  return variables?.some((place) => place.startsWith(`${at}:`)) ? undefined : words[at];
}

function lineBinds(
  line: Line,
  at: number,
  number: number,
  prefix: string,
  keyword: AddressBind["keyword"] = "bind",
): readonly Bind[] {
  const options = line.words.slice(at + 1);
  if (options.includes("namespace") || options.includes("interface")) return [];
  return (knownWord(line, at) ?? "").split(",").flatMap((text): readonly Bind[] => {
    const unix = /^(?:(?:unix|uxst)@)?(\/.*)$/.exec(text)?.[1];
    if (unix !== undefined) return [{ kind: "unix", text, line: number, path: `${prefix}${unix}` }];
    const address = parseAddress(text);
    // HAProxy takes `udp@` for datagrams only.
    if (address === undefined || (keyword !== "dgram-bind" && text.startsWith("udp"))) return [];
    const kind = keyword === "dgram-bind" ? "udp" : address.kind;
    const flags = { v6only: options.includes("v6only"), transparent: options.includes("transparent") };
    return [{ keyword, text, line: number, ...address, kind, ...flags }];
  });
}

/** `:80`, `*:80`, `1.2.3.4:80`, `[::1]:80`, `::1:80` (the last colon parts the port), `ipv6@:80`, `:8000-8010`, `quic4@:443` */
function parseAddress(text: string): Pick<AddressBind, "kind" | "host" | "firstPort" | "lastPort"> | undefined {
  const match = /^(?:(ipv[46]|tcp[46]?|udp[46]?|quic[46])@)?([^@]*):([0-9]+)(?:-([0-9]+))?$/.exec(text);
  if (match === null) return undefined;
  const [, family = "", written = "", first, last] = match;
  const bare = written.replace(/^\[(.*)\]$/, "$1");
  const any = family.endsWith("6") ? "::" : "0.0.0.0";
  const firstPort = Number(first);
  return {
    kind: family.startsWith("quic") ? "udp" : "tcp",
    host: bare === "" || bare === "*" ? any : (canonicalIp(bare) ?? bare),
    firstPort,
    lastPort: Number(last ?? first),
  };
}

/**
 * Whether who listens on `own` holds all of `other` at this port. `::` takes in IPv4 unless it is `v6only`, as Linux has
 * it by default. What a host name stands for is not known here: it passes for any address, and any address for it.
 */
export function covers(own: AddressBind, other: AddressBind, port: number): boolean {
  if (!hasPort(own, other.kind, port)) return false;
  if (isIP(own.host) === 0 || isIP(other.host) === 0) return true;
  if (own.host === "0.0.0.0") return isIPv4(other.host);
  if (own.host !== "::") return own.host === other.host;
  if (!own.v6only) return true;
  return other.host === "::" ? other.v6only : isIPv6(other.host);
}

/** Whether it listens on this port, at whatever address. */
export function hasPort(bind: AddressBind, kind: AddressBind["kind"], port: number): boolean {
  return bind.kind === kind && port >= bind.firstPort && port <= bind.lastPort;
}

/** Whether it stands for all addresses of this machine. */
export function isAny({ host }: AddressBind): boolean {
  return host === "0.0.0.0" || host === "::";
}
