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

/** What is found wrong while a tag's options are read. */
interface Findings {
  /** What is ignored. */
  readonly notes: string[];
  /** What costs the whole tag; goes behind it. */
  readonly problems: string[];
}

/**
 * Reads the options of a tag: `key=value`, separated by white space; of several of one key the last counts. Fabio ignores
 * what it does not know, and so do we, by name. Where a value that cannot be read would let in whom it keeps out, or
 * lead requests elsewhere, the tag is not taken.
 *
 * @returns the options, or what is wrong with the tag
 */
export function readTagOptions(text: string): TagOptions | string {
  const values = new Map<Known, string>();
  const found: Findings = { notes: [], problems: [] };
  for (const word of text.split(/\s+/)) {
    if (word === "") continue;
    const at = word.indexOf("=");
    const key = at === -1 ? word : word.slice(0, at);
    if (isKnown(key)) values.set(key, at === -1 ? "" : word.slice(at + 1));
    else found.notes.push(`${shown(key)} is none of Fabio's options and is ignored`);
  }
  const options = collect((key) => values.get(key) ?? "", found);
  return found.problems[0] ?? options;
}

function collect(value: (key: Known) => string, found: Findings): TagOptions {
  const proto = protoOf(value("proto"), found);
  const strip = stripOf(value("strip"), found);
  const prepend = prependOf(value("prepend"), found);
  const host = hostOf(value("host"), found);
  const redirect = redirectOf(value("redirect"), found);
  const auth = value("auth");
  if (auth !== "" && !schemeName.test(auth)) {
    found.problems.push(`asks for the scheme ${shown(auth)}, which is no name; write auth=<name>`);
  }
  const allow = networksOf("allow", value("allow"), found);
  const deny = networksOf("deny", value("deny"), found);
  if (allow !== undefined && deny !== undefined) {
    found.problems.push("has both allow and deny, with which Fabio lets everybody in; write one of them");
  }
  const weight = weightOf(value("weight"), found);
  const register = registerOf(value("register"), found);
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
    server: serverOptions(proto, host, value, found),
    ...(register !== undefined && { register }),
    notes: found.notes,
  };
}

/** What a server's line needs: the protocol, and how TLS and the PROXY protocol are spoken to it. */
function serverOptions(
  proto: TagOptions["proto"],
  host: string | undefined,
  value: (key: Known) => string,
  found: Findings,
): InstanceOptions {
  const tls = proto === "https" || proto === "grpcs";
  const skip = truthOf("tlsskipverify", value("tlsskipverify"), found);
  if (skip && !tls) found.notes.push("tlsskipverify is for proto=https and proto=grpcs and is ignored");
  const proxy = truthOf("pxyproto", value("pxyproto"), found);
  if (proxy && proto !== "tcp") found.notes.push("pxyproto is for proto=tcp and is ignored");
  const grpcName = value("grpcservername");
  if (grpcName !== "" && proto !== "grpcs") found.notes.push("grpcservername is for proto=grpcs and is ignored");
  const asked = proto === "grpcs" ? grpcName : proto === "https" && host !== "dst" ? (host ?? "") : "";
  const name = asked.replace(/:\d+$/, "");
  if (name !== "" && !serverName.test(name)) {
    found.problems.push(`names the server ${shown(name)}, which is no host name; write internal.example.com`);
  }
  return {
    ...(proto !== "http" && { protocol: proto }),
    ...(tls && skip && { "tls.verify": "none" as const }),
    ...(name !== "" && { "tls.sni": name }),
    ...(proxy && proto === "tcp" && { "proxy-protocol": "v1" as const }),
  };
}

function protoOf(proto: string, found: Findings): TagOptions["proto"] {
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
      found.notes.push(`${shown(`proto=${proto}`)} is none of Fabio's protocols and is taken for http`);
      return "http";
  }
}

function stripOf(strip: string, found: Findings): string | undefined {
  if (strip === "" || strip === "/") return undefined;
  if (!strip.startsWith("/")) {
    found.notes.push(`${shown(`strip=${strip}`)} begins no path and takes nothing off; write strip=/…`);
    return undefined;
  }
  if (!path.test(strip)) found.problems.push(`strips ${shown(strip)}, which is no path; write strip=/path`);
  return strip;
}

function prependOf(prepend: string, found: Findings): string | undefined {
  if (prepend === "") return undefined;
  const whole = prepend.startsWith("/") ? prepend : `/${prepend}`;
  if (!path.test(whole)) found.problems.push(`prepends ${shown(prepend)}, which is no path; write prepend=/path`);
  return whole;
}

function hostOf(host: string, found: Findings): string | undefined {
  if (host === "") return undefined;
  if (!hostHeader.test(host)) {
    found.problems.push(`sets the host ${shown(host)}, which is no host name; write host=<name> or host=dst`);
  }
  return host;
}

function redirectOf(redirect: string, found: Findings): RouteOptions["redirect"] {
  if (redirect === "") return undefined;
  const [code = "", location = "", ...more] = redirect.split(",");
  if (!redirect.includes(",") || more.length > 0) {
    found.notes.push(`${shown(`redirect=${redirect}`)} is not <code>,<url> and is ignored`);
    return undefined;
  }
  if (!redirectCodes.has(code)) {
    found.problems.push(`redirects with the code ${shown(code)}; write 301, 302, 303, 307 or 308`);
  }
  if (location === "" || /[\s\p{C}]/u.test(location)) {
    found.problems.push("redirects to no url; write redirect=<code>,<url>");
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

function networksOf(key: "allow" | "deny", list: string, found: Findings): string[] | undefined {
  if (list === "") return undefined;
  return list.split(",").map((item) => {
    // The type is left out in one of the examples of Fabio's own documentation.
    const network = item.replace(/^\s*ip\s*:/i, "").trim();
    if (!isNetwork(network)) {
      found.problems.push(`has ${key}=${shown(item)}, which is no network; write ${key}=ip:10.0.0.0/8`);
    }
    return network;
  });
}

function weightOf(weight: string, found: Findings): number | undefined {
  if (weight === "") return undefined;
  if (!decimal.test(weight) || !Number.isFinite(Number(weight))) {
    found.problems.push(`has the weight ${shown(weight)}, which is no number; write weight=0.25`);
  }
  return Number(weight) > 0 ? Number(weight) : undefined;
}

function registerOf(register: string, found: Findings): string | undefined {
  if (register === "") return undefined;
  if (registeredName.test(register) && register !== "consul") return register;
  found.notes.push(`${shown(`register=${register}`)} cannot be a service's name and is ignored`);
  return undefined;
}

function truthOf(key: Known, value: string, found: Findings): boolean {
  if (value !== "true" && value !== "false" && value !== "")
    found.notes.push(`${shown(`${key}=${value}`)} is not ${key}=true`);
  return value === "true";
}

function isKnown(key: string): key is Known {
  return (known as readonly string[]).includes(key);
}
