import type { RouteOptions } from "../settings/options/table.ts";
import { clientList } from "./clients.ts";
import { rewriteRow } from "./rewrites.ts";

/**
 * A value of routes.map: fields with `|` between them, empty where not set, and left out behind the last one that is. All of
 * a request's options stand in this one value, so that no request sees half of a change.
 * The numbers are those that haproxy/request.njk asks `field` for.
 */
export const valueFields = [
  "backend",
  "server",
  /** Part of shares.map that says which value it is in truth. */
  "share",
  /** Part of conditions.map that is tried first. */
  "set",
  /** `1` where nothing but those conditions leads anywhere. */
  "only",
  /** What a share's cookie says, and the path it is for. */
  "side",
  "sidePath",
  "strip",
  "prepend",
  "rewrite",
  "host",
  /** `<code>,<url>` */
  "redirect",
  "https",
  "hsts",
  "auth",
  /** Part of clients.map. */
  "clients",
  /** `<requests>/<period>/<route>` */
  "rate",
  "corsOrigins",
  "corsMethods",
  "corsHeaders",
  "corsCredentials",
  /** Seconds. */
  "corsMaxAge",
] as const;

export type ValueField = (typeof valueFields)[number];
export type RouteValue = Readonly<Partial<Record<ValueField, string>>>;

/** More would not pass the buffers on the way. In characters of ASCII. */
const longest = 4_000;

export function writeValue(value: RouteValue): string {
  const fields = valueFields.map((field) => (value[field] ?? "").replaceAll("|", "%7C"));
  return fields.join("|").replace(/\|+$/, "");
}

/** What `writeValue` wrote. */
export function readValue(text: string): RouteValue {
  const fields = text.split("|");
  return Object.fromEntries(valueFields.flatMap((field, index) => (fields[index] ? [[field, fields[index]]] : [])));
}

/** The fields of what is done on the way. `route` names the route, for what is counted by it. */
export function optionFields(options: RouteOptions, route: string): RouteValue {
  const cors = options["cors.origin"];
  const { rate, redirect } = options;
  const rewrite = rewriteRow(options);
  const https = options["https-redirect"];
  return {
    ...(options.strip !== undefined && { strip: pathText(options.strip) }),
    ...(options.prepend !== undefined && { prepend: pathText(options.prepend) }),
    ...(rewrite !== undefined && { rewrite: rewrite.id }),
    ...(options["host-header"] !== undefined && { host: options["host-header"] }),
    ...(redirect !== undefined && { redirect: `${redirect.code},${locationText(redirect.location)}` }),
    ...(https !== undefined && https !== 0 && { https: String(https) }),
    ...(options.hsts !== undefined && { hsts: options.hsts }),
    ...(options.auth !== undefined && { auth: options.auth }),
    clients: clientList(options).id,
    ...(rate !== undefined && { rate: `${rate.requests}/${rate.period}/${route}` }),
    ...(cors !== undefined && {
      corsOrigins: cors.includes("*") ? "*" : cors.join(","),
      corsMethods: (options["cors.methods"] ?? ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]).join(", "),
      ...(options["cors.headers"] !== undefined && { corsHeaders: options["cors.headers"].join(", ") }),
      ...(options["cors.credentials"] === true && { corsCredentials: "1" }),
      ...(options["cors.max-age"] !== undefined && { corsMaxAge: String(Math.round(options["cors.max-age"] / 1_000)) }),
    }),
  };
}

/** What is wrong with options that cannot be carried in a map, in words a person understands. */
export function optionsProblem(options: RouteOptions): string | undefined {
  const text = writeValue(optionFields(options, ""));
  if (text.length > longest) return `its options take ${text.length} characters, ${longest} can be carried`;
  return /^[ -~]*$/.test(text) ? undefined : "its options have characters that cannot be carried";
}

/** A path as it stands in a request: what is no sign of a URI is named by its bytes (RFC 3986, 2.1). */
function pathText(path: string): string {
  return path.replace(/[^!-~]+|["<>\\^`{|}]/gu, (signs) => encodeURIComponent(signs.toWellFormed()));
}

/**
 * A redirect's url as Fabio reads it: a `/` before `$path` is that of the path, and a url without a path has `/`.
 */
function locationText(location: string): string {
  const url = pathText(location).replace(/(^|[^/:])\/\$path/, "$1$path");
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/[^/?#]*?)(?=$|[?#])/i, (all) =>
    all.endsWith("$path") ? all : `${all}/`,
  );
}
