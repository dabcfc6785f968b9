import { globProblem, isGlob } from "../globs.ts";
import { shown } from "../shown.ts";
import { expand } from "./expand.ts";
import { readTagOptions, type TagOptions } from "./tag-options.ts";

/** Where requests or connections are taken from. */
export type TagPlace =
  /** `host` in lower case, a name or a glob; empty: any. `hostPort`: the Host header's, 80 and 443 where it has none. */
  | { readonly kind: "http"; readonly host: string; readonly hostPort?: number; readonly path: string }
  /** A port of HAProxy's own. */
  | { readonly kind: "port"; readonly port: number }
  /** TLS connections that ask for this name, passed on as they are. */
  | { readonly kind: "name"; readonly host: string };

export interface FabioTag {
  /** As it was written, without white space around it. */
  readonly text: string;
  readonly place: TagPlace;
  readonly options: TagOptions;
}

export type ReadTag =
  /** Not one of Fabio's tags. */
  | { readonly kind: "other" }
  | { readonly kind: "read"; readonly tag: FabioTag }
  /** `problem` goes behind the tag. */
  | { readonly kind: "unreadable"; readonly text: string; readonly problem: string };

/** In UTF-16 units, as for other tags. */
const longest = 1_024;
/** RFC 1035, 2.3.4 */
const longestHost = 253;
const hostName = /^[a-z0-9_.-]+$/;

/**
 * Reads a tag as Fabio does (`registry/consul/routecmd.go`, `route/parse_new.go` and `route/table.go` of its source):
 * the prefix, a route up to the first space, then options. The route is `host/path`, `/path`, `:port`, or a host alone;
 * in the first two, `$DC` is the datacenter and any other variable nothing. The host's case does not count, the path's does.
 */
export function parseTag(written: string, prefix: string, datacenter: string): ReadTag {
  const text = written.trim();
  if (!text.startsWith(prefix)) return { kind: "other" };
  const unreadable = (problem: string) => ({ kind: "unreadable", text, problem }) as const;
  if (text.length > longest) return unreadable(`is ${text.length} characters long, ${longest} can be carried`);
  if (!text.isWellFormed()) return unreadable("has half a character");
  const rest = text.slice(prefix.length).trim();
  const space = rest.indexOf(" ");
  const route = space === -1 ? rest : rest.slice(0, space);
  if (route === "") return unreadable(`names no route; write ${prefix}host/path`);
  const options = readTagOptions(space === -1 ? "" : rest.slice(space + 1));
  if (typeof options === "string") return unreadable(options);
  const place = placeOf(route, options.proto, datacenter);
  return typeof place === "string" ? unreadable(place) : { kind: "read", tag: { text, place, options } };
}

function placeOf(route: string, proto: TagOptions["proto"], datacenter: string): TagPlace | string {
  if (route.startsWith(":")) {
    return portOf(route.slice(1)) ?? `asks for the port ${shown(route)}; write a number from 1 to 65535`;
  }
  const slash = route.indexOf("/");
  const [host, path] =
    slash === -1
      ? [route.toLowerCase(), "/"]
      : [
          expand(route.slice(0, slash), { DC: datacenter }).toLowerCase(),
          `/${expand(route.slice(slash + 1), { DC: datacenter })}`,
        ];
  if (!/^[^\s?#\p{C}]*$/u.test(path))
    return `has the path ${shown(path)}, which no request has; leave out spaces, ? and #`;
  const [, name = host, port] = /^(.*):(\d+)$/s.exec(host) ?? [];
  // Fabio's tcp-dynamic listener: an address and a port of its own.
  if (proto === "tcp" && slash === -1 && port !== undefined) {
    return portOf(port) ?? `asks for the port ${shown(port)}; write a number from 1 to 65535`;
  }
  const problem = hostProblem(name);
  if (problem !== undefined) return `has the host ${shown(name)}, which ${problem}`;
  if (proto === "tcp") {
    if (name === "" || path !== "/" || port !== undefined) {
      return "has no port for its connections; with proto=tcp write :port, or the name TLS clients ask for and a slash";
    }
    return { kind: "name", host: withoutFinalDot(name) };
  }
  if (port === undefined) return { kind: "http", host: withoutFinalDot(name), path };
  const hostPort = portOf(port)?.port;
  if (hostPort === undefined) return `has the port ${shown(port)} behind its host; write a number from 1 to 65535`;
  return { kind: "http", host: withoutFinalDot(name), hostPort, path };
}

function hostProblem(host: string): string | undefined {
  if (host.length > longestHost) return `is longer than ${longestHost} characters`;
  if (host === "") return undefined;
  if (isGlob(host)) return globProblem(host);
  return hostName.test(host) ? undefined : "is no host name; write a.example.com or *.example.com";
}

function withoutFinalDot(host: string): string {
  return host.length > 1 && host.endsWith(".") ? host.slice(0, -1) : host;
}

function portOf(digits: string): { readonly kind: "port"; readonly port: number } | undefined {
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : 0;
  return port >= 1 && port <= 65_535 ? { kind: "port", port } : undefined;
}
