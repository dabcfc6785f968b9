import { nesting } from "../config/conditions.ts";
import type { Config, Line } from "../config/types.ts";

/** An address a configuration listens on. */
export type Bind = TcpBind | UnixBind;

export interface TcpBind {
  readonly kind: "tcp";
  /** As it stands in the file: `:80`, `[::1]:8000-8010`. */
  readonly text: string;
  /** 1-based line of the file. */
  readonly line: number;
  /** An address or a host name; `0.0.0.0` or `::` for any. */
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
 * What a configuration listens on: `bind` lines and stats sockets (configuration manual 4.2 `bind`, 3.1 `stats socket`,
 * 11 address formats). Left out: what another process hands over (`fd@`, `sockpair@`), abstract sockets, datagrams,
 * other network name spaces and devices, and addresses with environment variables in them.
 */
export function bindsOf(config: Config): readonly Bind[] {
  const lines = unconditionalLines(config);
  const prefix =
    lines.find(({ line: { words } }) => words[0] === "unix-bind" && words[1] === "prefix")?.line.words[2] ?? "";
  return lines.flatMap(({ section, line, number }) => {
    const { words } = line;
    if (words[0] === "bind") return lineBinds(line, 1, number, prefix);
    const isSocket = section === "global" && words[0] === "stats" && words[1] === "socket";
    // The prefix is for bind lines alone.
    return isSocket ? lineBinds(line, 2, number, "") : [];
  });
}

function lineBinds({ words, variables }: Line, at: number, number: number, prefix: string): readonly Bind[] {
  const options = words.slice(at + 1);
  if (variables?.some((place) => place.startsWith(`${at}:`))) return [];
  if (options.includes("namespace") || options.includes("interface")) return [];
  return (words[at] ?? "").split(",").flatMap((text): readonly Bind[] => {
    const unix = /^(?:(?:unix|uxst)@)?(\/.*)$/.exec(text)?.[1];
    if (unix !== undefined) return [{ kind: "unix", text, line: number, path: `${prefix}${unix}` }];
    const tcp = parseTcp(text);
    if (tcp === undefined) return [];
    const flags = { v6only: options.includes("v6only"), transparent: options.includes("transparent") };
    return [{ kind: "tcp", text, line: number, ...tcp, ...flags }];
  });
}

/** `:80`, `*:80`, `1.2.3.4:80`, `[::1]:80`, `::1:80` (the last colon parts the port), `ipv6@:80`, `:8000-8010` */
function parseTcp(text: string): Pick<TcpBind, "host" | "firstPort" | "lastPort"> | undefined {
  const match = /^(?:(ipv4|ipv6|tcp|tcp4|tcp6)@)?([^@]*):([0-9]+)(?:-([0-9]+))?$/.exec(text);
  if (match === null) return undefined;
  const [, family, written = "", first, last] = match;
  const bare = written.replace(/^\[(.*)\]$/, "$1");
  const any = family === "ipv6" || family === "tcp6" ? "::" : "0.0.0.0";
  const firstPort = Number(first);
  return { host: bare === "" || bare === "*" ? any : bare, firstPort, lastPort: Number(last ?? first) };
}

/** Whether one address takes in the other: the same port, and the same host or any. */
export function covers(bind: TcpBind, host: string, port: number): boolean {
  if (port < bind.firstPort || port > bind.lastPort) return false;
  return bind.host === host || isAny(bind.host) || isAny(host);
}

function isAny(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
