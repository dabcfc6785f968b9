import type { FabioSetup } from "../routing/fabio/compare-tags.ts";
import { fabioDefaults } from "../routing/fabio/compare-tags.ts";

/** What one of Fabio's properties is in Sluice. */
export interface PropertyVerdict {
  readonly property: string;
  readonly value: string;
  /** Settings that say the same, by key. */
  readonly settings: Readonly<Record<string, string>>;
  /** What to know besides; empty where nothing. */
  readonly note: string;
}

export interface FabioProperties {
  readonly setup: FabioSetup;
  readonly verdicts: readonly PropertyVerdict[];
}

type Meaning = (value: string) => Pick<PropertyVerdict, "settings"> & { readonly note?: string };

const unneeded: Meaning = () => ({ settings: {}, note: "has no counterpart and needs none" });
const as =
  (key: string, note?: string): Meaning =>
  (value) => ({ settings: { [key]: value }, ...(note !== undefined && { note }) });

/** By property, in the order of Fabio's own reference; of one that is not here nothing is known. */
const meanings: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ["proxy.addr", listeners],
  ["proxy.cs", () => ({ settings: {}, note: "put the certificates into one directory and set https.certificates" })],
  [
    "proxy.strategy",
    (value) => ({
      settings: { "services.balance": value === "rr" ? "roundrobin" : "random" },
      note: "routes with weights are drawn at random in either case",
    }),
  ],
  [
    "proxy.matcher",
    (value) => ({
      settings: {},
      ...(value !== "prefix" && { note: `paths are compared as plain beginnings only; ${value} is not there` }),
    }),
  ],
  [
    "proxy.noroutestatus",
    (value) => ({
      settings: {},
      ...(value !== "404" && { note: "what no route takes is answered with 404; change the template for another" }),
    }),
  ],
  ["proxy.auth", (value) => ({ settings: authSettings(value) })],
  ["proxy.header.clientip", () => ({ settings: {}, note: "X-Forwarded-For has it; add another in the template" })],
  ["proxy.header.tls", () => ({ settings: {}, note: "X-Forwarded-Proto says it; add another in the template" })],
  [
    "proxy.header.requestid",
    () => ({ settings: {}, note: "see docs/access-log.md for the header of the request's id" }),
  ],
  [
    "proxy.header.sts.maxage",
    (value) => ({
      settings: Number(value) > 0 ? { "services.options.*.hsts": value } : {},
    }),
  ],
  [
    "proxy.gzip.contenttype",
    (value) => ({
      settings: {},
      ...(value !== "" && { note: "list the media types in services.options.*.compression" }),
    }),
  ],
  ["proxy.maxconn", () => ({ settings: {}, note: "is per upstream: the option maxconn, where it is needed" })],
  ["proxy.dialtimeout", as("services.options.*.timeout.connect")],
  [
    "proxy.responseheadertimeout",
    (value) => ({
      settings: /^0\D*$/.test(value) ? {} : { "services.options.*.timeout.server": value },
    }),
  ],
  ["proxy.shutdownwait", as("reload.hardStopAfter", "connections of a worker that was replaced may end in this time")],
  ["proxy.localip", unneeded],
  ["proxy.flushinterval", unneeded],
  ["proxy.globalflushinterval", unneeded],
  ["proxy.keepalivetimeout", unneeded],
  ["proxy.idleconntimeout", unneeded],
  ["log.access.target", (value) => ({ settings: value === "" ? {} : { "accessLog.target": value } })],
  [
    "log.access.format",
    (value) => ({
      settings:
        value === "common" || value === "combined" ? { "accessLog.format": "common" } : { "accessLog.format": "json" },
      ...(value !== "common" && { note: "the fields are others; see docs/access-log.md" }),
    }),
  ],
  ["log.level", (value) => ({ settings: { "log.level": value.toLowerCase().replace(/^(fatal|trace)$/, "error") } })],
  [
    "registry.backend",
    (value) => ({
      settings: {},
      ...(value !== "consul" && { note: "only Consul is watched" }),
    }),
  ],
  [
    "registry.consul.addr",
    (value) => ({ settings: { "consul.address": value.includes("://") ? value : `http://${value}` } }),
  ],
  ["registry.consul.token", () => ({ settings: {}, note: "write the token to a file and set consul.tokenFile" })],
  ["registry.consul.tls.cafile", as("consul.tls.ca")],
  ["registry.consul.tls.certfile", as("consul.tls.cert")],
  ["registry.consul.tls.keyfile", as("consul.tls.key")],
  ["registry.consul.tagprefix", as("services.fabioPrefix")],
  [
    "registry.consul.kvpath",
    () => ({ settings: {}, note: "route commands in the key-value store are not read; say it by tags" }),
  ],
  [
    "registry.consul.noroutehtmlpath",
    () => ({ settings: {}, note: "copy the page to errors/404.http beside the template" }),
  ],
  [
    "registry.consul.service.status",
    (value) => ({
      settings: {},
      ...(value !== "passing" && {
        note: "instances that are passing or warning serve, by Consul's weights; critical ones do not",
      }),
    }),
  ],
  [
    "registry.consul.checksRequired",
    (value) => ({
      settings: {},
      note: value === "all" ? "" : "all checks of an instance count here: its worst is its health",
    }),
  ],
  ["registry.consul.register.enabled", unneeded],
  [
    "registry.consul.register.name",
    () => ({ settings: {}, note: "Sluice registers under the names of register= alone" }),
  ],
  ["registry.consul.register.addr", () => ({ settings: {}, note: "for register=, set http.advertise" })],
  ["registry.consul.pollinterval", unneeded],
  ["registry.consul.serviceMonitors", unneeded],
  [
    "glob.matching.disabled",
    (value) => ({
      settings: {},
      ...(value === "true" && { note: "hosts with * are globs all the same" }),
    }),
  ],
  ["glob.cache.size", unneeded],
  ["ui.addr", as("stats.bind", "HAProxy's own page; Sluice's dashboard comes besides")],
]);

/** What a file of Fabio's properties comes to. Properties that are not in it have Fabio's defaults. */
export function readFabioProperties(text: string): FabioProperties {
  const properties = parseProperties(text);
  const known = new Map([...meanings.keys()].map((key) => [key.toLowerCase(), key]));
  const verdicts = [...properties].map(([property, value]) => {
    const meaning = meanings.get(known.get(property.toLowerCase()) ?? "");
    if (meaning === undefined) return { property, value, settings: {}, note: "is not carried over" };
    const { settings, note = "" } = meaning(value);
    return { property, value: /token|password/i.test(property) ? "***" : value, settings, note };
  });
  const matcher = properties.get("proxy.matcher");
  const addresses = properties.get("proxy.addr");
  return {
    setup: {
      matcher: matcher === "iprefix" || matcher === "glob" ? matcher : fabioDefaults.matcher,
      globs: properties.get("glob.matching.disabled") !== "true",
      ...(addresses !== undefined && { tcpPorts: tcpPortsOf(addresses) }),
    },
    verdicts,
  };
}

/** Lines `key = value`, `key: value` or `key value`; `#` and `!` begin comments, `\` at the end goes on in the next line. */
export function parseProperties(text: string): ReadonlyMap<string, string> {
  const properties = new Map<string, string>();
  for (const line of text.replace(/\\\r?\n[ \t]*/g, "").split(/\r?\n/)) {
    const [, key, value = ""] = /^\s*([^#!\s=:][^\s=:]*)\s*[=:\s]\s*(.*?)\s*$/.exec(`${line} `) ?? [];
    if (key !== undefined) properties.set(key, value);
  }
  return properties;
}

interface Address {
  readonly bind: string;
  readonly port: number;
  readonly options: ReadonlyMap<string, string>;
}

/** `[host]:port;opt=arg;…`, separated by commas (Fabio: reference, proxy.addr). */
function addressesOf(value: string): readonly Address[] {
  return value.split(",").flatMap((one) => {
    const [bind = "", ...words] = one.split(";").map((part) => part.trim());
    const port = Number(/:(\d{1,5})$/.exec(bind)?.[1] ?? Number.NaN);
    if (!Number.isInteger(port)) return [];
    return [
      {
        bind,
        port,
        options: new Map(words.map((word) => [word.split("=", 1)[0] ?? "", word.replace(/^[^=]*=?/, "")])),
      },
    ];
  });
}

function protoOf({ options }: Address): string {
  return options.get("proto") ?? (options.has("cs") ? "https" : "http");
}

function tcpPortsOf(value: string): ReadonlySet<number> {
  return new Set(addressesOf(value).flatMap((one) => (protoOf(one) === "tcp" ? [one.port] : [])));
}

function listeners(value: string): ReturnType<Meaning> {
  const addresses = addressesOf(value);
  const binds = (...protos: readonly string[]) =>
    addresses.filter((one) => protos.includes(protoOf(one))).map(({ bind }) => bind);
  const names = addresses.filter((one) => /\+sni$/.test(protoOf(one))).map(({ port }) => port);
  const [http, https] = [binds("http", "grpc"), binds("https", "grpcs")];
  const both = addresses.some((one) => protoOf(one) === "https+tcp+sni");
  const notes = [
    ...(both
      ? ["one port for TLS that is passed on and TLS that is ended cannot be had; give https.bind another"]
      : []),
    ...(names.length > 0
      ? ["with tcp+sni a tag needs proto=tcp here, and its port is for such connections alone"]
      : []),
    ...(addresses.some((one) => protoOf(one) === "tcp-dynamic") ? ["ports of tcp-dynamic are opened on tcp.bind"] : []),
    ...(addresses.some((one) => protoOf(one) === "tcp" && one.options.has("cs"))
      ? ["TLS of TCP listeners is not ended"]
      : []),
    ...(addresses.some((one) => one.options.get("pxyproto") === "true")
      ? ["for PROXY protocol from clients name their networks in http.acceptProxy"]
      : []),
  ];
  return {
    settings: {
      ...(http.length > 0 && { "http.bind": http.join(",") }),
      ...(https.length > 0 && { "https.bind": https.join(",") }),
      ...(names.length > 0 && { "services.fabioSniPorts": names.join(",") }),
    },
    note: notes.join("; "),
  };
}

/** `name=<name>;type=basic;file=<file>;realm=<realm>`, separated by commas. */
function authSettings(value: string): Readonly<Record<string, string>> {
  const settings: Record<string, string> = {};
  for (const scheme of value.split(",")) {
    const parts = new Map(
      scheme.split(";").map((part) => [part.split("=", 1)[0]?.trim() ?? "", part.replace(/^[^=]*=?/, "").trim()]),
    );
    const name = parts.get("name");
    if (name === undefined) continue;
    const [file, realm] = [parts.get("file"), parts.get("realm")];
    if (file !== undefined) settings[`auth.${name}.file`] = file;
    if (realm !== undefined) settings[`auth.${name}.realm`] = realm;
  }
  return settings;
}
