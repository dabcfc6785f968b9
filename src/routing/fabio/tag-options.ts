import type { InstanceOptions, RouteOptions } from "../../settings/options/table.ts";
import { isNetwork } from "../../support/ip.ts";
import { shown } from "../shown.ts";

/** What the options behind a route in a tag ask for. */
export interface TagOptions {
  readonly proto: "http" | "https" | "grpc" | "grpcs" | "tcp";
  readonly route: RouteOptions;
  /** More than 0; several are set against each other. Left out: an equal part of what the others leave. */
  readonly weight?: number;
  readonly server: InstanceOptions;
  readonly register?: string;
  /** What is ignored, as Fabio ignores it. */
  readonly notes: readonly string[];
}

/** Codes HAProxy redirects with (configuration manual, "redirect"). */
const redirectCodes: ReadonlySet<string> = new Set(["301", "302", "303", "307", "308"]);
const path = /^\/[^\s?#\p{C}]*$/u;
const hostHeader = /^[A-Za-z0-9_.:-]{1,253}$/;
const serverName = /^[A-Za-z0-9_.-]{1,253}$/;
const schemeName = /^[A-Za-z0-9_-]{1,64}$/;
/** As Consul's DNS can tell it; dots for names of hosts. */
const registeredName = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,126}[A-Za-z0-9_])?$/;
const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i;

const known = [
  "strip",
  "prepend",
  "proto",
  "tlsskipverify",
  "host",
  "weight",
  "redirect",
  "register",
  "auth",
  "allow",
  "deny",
  "pxyproto",
  "grpcservername",
] as const;
type Known = (typeof known)[number];

/** Thrown for what costs the whole tag; its message goes behind the tag. */
class Unreadable extends Error {}

/**
 * Reads the options of a tag: `key=value`, separated by white space; of several of one key the last counts. Fabio ignores
 * what it does not know, and so do we, by name. Where a value that cannot be read would let in whom it keeps out, or
 * lead requests elsewhere, the tag is not taken.
 *
 * @returns the options, or what is wrong with the tag
 */
export function readTagOptions(text: string): TagOptions | string {
  const values = new Map<Known, string>();
  const notes: string[] = [];
  for (const word of text.split(/\s+/)) {
    if (word === "") continue;
    const at = word.indexOf("=");
    const key = at === -1 ? word : word.slice(0, at);
    if (isKnown(key)) values.set(key, at === -1 ? "" : word.slice(at + 1));
    else notes.push(`${shown(key)} is none of Fabio's options and is ignored`);
  }
  try {
    return collect((key) => values.get(key) ?? "", notes);
  } catch (error) {
    if (error instanceof Unreadable) return error.message;
    throw error;
  }
}

function collect(value: (key: Known) => string, notes: string[]): TagOptions {
  const proto = protoOf(value("proto"), notes);
  const strip = stripOf(value("strip"), notes);
  const prepend = prependOf(value("prepend"));
  const host = hostOf(value("host"));
  const redirect = redirectOf(value("redirect"), notes);
  const auth = value("auth");
  if (auth !== "" && !schemeName.test(auth)) {
    throw new Unreadable(`asks for the scheme ${shown(auth)}, which is no name; write auth=<name>`);
  }
  const allow = networksOf("allow", value("allow"));
  const deny = networksOf("deny", value("deny"));
  if (allow !== undefined && deny !== undefined) {
    throw new Unreadable("has both allow and deny, with which Fabio lets everybody in; write one of them");
  }
  const weight = weightOf(value("weight"));
  const register = registerOf(value("register"), notes);
  return {
    proto,
    route: {
      ...(strip !== undefined && { strip }),
      ...(prepend !== undefined && { prepend }),
      ...(host !== undefined && { "host-header": host }),
      ...(redirect !== undefined && { redirect }),
      ...(auth !== "" && { auth }),
      ...(allow !== undefined && { allow }),
      ...(deny !== undefined && { deny }),
    },
    ...(weight !== undefined && { weight }),
    server: serverOptions(proto, host, value, notes),
    ...(register !== undefined && { register }),
    notes,
  };
}

/** What a server's line needs: the protocol, and how TLS and the PROXY protocol are spoken to it. */
function serverOptions(
  proto: TagOptions["proto"],
  host: string | undefined,
  value: (key: Known) => string,
  notes: string[],
): InstanceOptions {
  const tls = proto === "https" || proto === "grpcs";
  const skip = truthOf("tlsskipverify", value("tlsskipverify"), notes);
  if (skip && !tls) notes.push("tlsskipverify is for proto=https and proto=grpcs and is ignored");
  const proxy = truthOf("pxyproto", value("pxyproto"), notes);
  if (proxy && proto !== "tcp") notes.push("pxyproto is for proto=tcp and is ignored");
  const grpcName = value("grpcservername");
  if (grpcName !== "" && proto !== "grpcs") notes.push("grpcservername is for proto=grpcs and is ignored");
  const asked = proto === "grpcs" ? grpcName : proto === "https" && host !== "dst" ? (host ?? "") : "";
  const name = asked.replace(/:\d+$/, "");
  if (name !== "" && !serverName.test(name)) {
    throw new Unreadable(`names the server ${shown(name)}, which is no host name; write internal.example.com`);
  }
  return {
    ...(proto !== "http" && { protocol: proto }),
    ...(tls && skip && { "tls.verify": "none" as const }),
    ...(name !== "" && { "tls.sni": name }),
    ...(proxy && proto === "tcp" && { "proxy-protocol": "v1" as const }),
  };
}

function protoOf(proto: string, notes: string[]): TagOptions["proto"] {
  switch (proto) {
    case "https":
    case "grpc":
    case "grpcs":
    case "tcp":
      return proto;
    case "tcp+sni":
    case "https+tcp+sni":
      return "tcp";
    case "":
    case "http":
      return "http";
    default:
      notes.push(`${shown(`proto=${proto}`)} is none of Fabio's protocols and is taken for http`);
      return "http";
  }
}

function stripOf(strip: string, notes: string[]): string | undefined {
  if (strip === "" || strip === "/") return undefined;
  if (!strip.startsWith("/")) {
    notes.push(`${shown(`strip=${strip}`)} begins no path and takes nothing off; write strip=/…`);
    return undefined;
  }
  if (!path.test(strip)) throw new Unreadable(`strips ${shown(strip)}, which is no path; write strip=/path`);
  return strip;
}

function prependOf(prepend: string): string | undefined {
  if (prepend === "") return undefined;
  const whole = prepend.startsWith("/") ? prepend : `/${prepend}`;
  if (!path.test(whole)) throw new Unreadable(`prepends ${shown(prepend)}, which is no path; write prepend=/path`);
  return whole;
}

function hostOf(host: string): string | undefined {
  if (host === "") return undefined;
  if (hostHeader.test(host)) return host;
  throw new Unreadable(`sets the host ${shown(host)}, which is no host name; write host=<name> or host=dst`);
}

function redirectOf(redirect: string, notes: string[]): RouteOptions["redirect"] {
  if (redirect === "") return undefined;
  const [code = "", location = "", ...more] = redirect.split(",");
  if (!redirect.includes(",") || more.length > 0) {
    notes.push(`${shown(`redirect=${redirect}`)} is not <code>,<url> and is ignored`);
    return undefined;
  }
  if (!redirectCodes.has(code)) {
    throw new Unreadable(`redirects with the code ${shown(code)}; write 301, 302, 303, 307 or 308`);
  }
  if (location === "" || /[\s\p{C}]/u.test(location)) {
    throw new Unreadable("redirects to no url; write redirect=<code>,<url>");
  }
  return { code: Number(code), location: redirectLocation(location) };
}

/**
 * A redirect's url as Fabio sends it: no fragment, `/` where there is no path, and no second slash before `$path`, which
 * begins with one.
 */
function redirectLocation(url: string): string {
  const [beforeFragment = ""] = url.split("#", 1);
  const [, origin = "", address = "", query = ""] =
    /^((?:[a-z][a-z0-9+.-]*:)?\/\/)?([^?]*)(.*)$/i.exec(beforeFragment) ?? [];
  const whole = origin !== "" && !/[/]|\$path$/.test(address) ? `${address}/` : address;
  return `${origin}${whole.replace("/$path", "$path")}${query}`;
}

function networksOf(key: "allow" | "deny", list: string): string[] | undefined {
  if (list === "") return undefined;
  return list.split(",").map((item) => {
    // The type is left out in one of the examples of Fabio's own documentation.
    const network = item.replace(/^\s*ip\s*:/i, "").trim();
    if (isNetwork(network)) return network;
    throw new Unreadable(`has ${key}=${shown(item)}, which is no network; write ${key}=ip:10.0.0.0/8`);
  });
}

function weightOf(weight: string): number | undefined {
  if (weight === "") return undefined;
  if (!decimal.test(weight) || !Number.isFinite(Number(weight))) {
    throw new Unreadable(`has the weight ${shown(weight)}, which is no number; write weight=0.25`);
  }
  return Number(weight) > 0 ? Number(weight) : undefined;
}

function registerOf(register: string, notes: string[]): string | undefined {
  if (register === "") return undefined;
  if (registeredName.test(register) && register !== "consul") return register;
  notes.push(`${shown(`register=${register}`)} cannot be a service's name and is ignored`);
  return undefined;
}

function truthOf(key: Known, value: string, notes: string[]): boolean {
  if (value !== "true" && value !== "false" && value !== "")
    notes.push(`${shown(`${key}=${value}`)} is not ${key}=true`);
  return value === "true";
}

function isKnown(key: string): key is Known {
  return (known as readonly string[]).includes(key);
}
