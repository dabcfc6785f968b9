import { z } from "zod";
import { isNetwork } from "../../support/ip.ts";
import { durationWithin } from "../duration.ts";
import { flag, like, linesOf, listOf, oneOf, option, scalar, whole } from "./option.ts";

const headerName = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}";
const path = like(/^\/[^\s?#\p{C}]*$/u, "a path; begin it with / and leave out spaces, ? and #");

/** `10.0.0.0/8`, `fe80::1`; Fabio's `ip:` before it is taken too. */
const network = scalar
  .transform((text) => text.replace(/^ip:/, ""))
  .refine(isNetwork, { error: "is not an address or network; write 10.0.0.0/8 or fe80::1" });

const cookiePair = like(/^[A-Za-z0-9_.-]{1,64}=[A-Za-z0-9_.-]{1,128}$/, "a cookie; write name=value");
const headerCondition = like(
  new RegExp(`^${headerName}\\s*(?:$|:\\s*[^\\s\\p{C}][^\\p{C}]*$|~\\s*\\S[^\\p{C}]*$)`, "u"),
  "a condition on a header; write Name, Name: value or Name ~ regex",
);

/** `<code>,<url>`; the url may hold `$path` and `$host`. */
const redirect = like(
  /^(301|302|303|307|308),[^\s\p{C}]+$/u,
  "a redirect; write <code>,<url> with a code of 301, 302, 303, 307 or 308",
).transform((text) => ({ code: Number(text.slice(0, 3)), location: text.slice(4) }));

const rate = like(/^[1-9]\d{0,8}\/(1s|10s|1m)$/, "a rate; write <requests>/1s, /10s or /1m").transform((text) => {
  const [requests = "", period = ""] = text.split("/");
  return { requests: Number(requests), period: period as "1s" | "10s" | "1m" };
});

const rewrite = like(
  /^[^\s\p{C}]+ +\/[^\s\p{C}]*$/u,
  "a rewrite; write <regex> <path>, with \\1 for what the first group matched",
).transform((text) => {
  const [pattern = "", replacement = ""] = text.split(/ +/);
  return { pattern, replacement };
});

/**
 * What a request must look like to reach a service, and what is done with it on the way. All of it lives in map files:
 * a change costs no reload.
 */
export const routeOptions = {
  host: option({
    scope: "route",
    value: listOf(
      like(/^(?!\.)[A-Za-z0-9_.*-]{1,253}(?::[1-9]\d{0,4})?$/, "a host name; write a.example.com or *.example.com"),
    ),
    describe:
      "Host names the service answers at, besides `<service>.<domain>`; `*.example.com` stands for every name below, `host:8080` for a Host header with that port.",
    example: "shop.example.com,*.shop.example.com",
    change: "runtime",
  }),
  path: option({
    scope: "route",
    value: listOf(like(/^=?\/[^\s?#,\p{C}]*$/u, "a path; write /api, or =/api for that path alone")),
    describe: "Paths, each with all below it (`/api` is `/api` and `/api/x`, not `/apix`); `=/api` is that path alone.",
    example: "/api,=/health",
    change: "runtime",
  }),
  method: option({
    scope: "route",
    value: listOf(like(/^[A-Z]{1,20}$/, "a method; write GET")),
    describe: "Only requests with one of these methods.",
    example: "GET,HEAD",
    change: "runtime",
  }),
  header: option({
    scope: "route",
    value: linesOf(headerCondition),
    describe:
      "Only requests with this header: `Name` (there at all), `Name: value` (exactly), `Name ~ regex`. Repeated: all of them.",
    example: "X-Version: 2",
    change: "runtime",
  }),
  priority: option({
    scope: "route",
    value: whole(0, 1_000_000),
    describe:
      "Where two services want the same route with what does not go together, the higher one has it. Default 0.",
    example: "10",
    change: "runtime",
  }),
  strip: option({
    scope: "route",
    value: path,
    describe: "Taken off the beginning of the path.",
    example: "/api",
    change: "runtime",
  }),
  prepend: option({
    scope: "route",
    value: path,
    describe: "Put before the path, after `strip`.",
    example: "/v2",
    change: "runtime",
  }),
  rewrite: option({
    scope: "route",
    value: rewrite,
    describe: "The path as a regular expression finds it, and what it becomes; after `strip` and `prepend`.",
    example: "^/old/(.*)$ /new/\\1",
    change: "runtime",
  }),
  "host-header": option({
    scope: "route",
    value: like(/^[A-Za-z0-9_.:-]{1,253}$/, "a host name"),
    describe: "The Host header the server gets; `dst` for the server's own address and port.",
    example: "internal.example.com",
    change: "runtime",
  }),
  redirect: option({
    scope: "route",
    value: redirect,
    describe:
      "Answered with a redirect: `<code>,<url>`. `$path` in the url is the request's path (after `strip` and `prepend`), `$host` its host.",
    example: "301,https://www.example.com$path",
    change: "runtime",
  }),
  "https-redirect": option({
    scope: "route",
    value: oneOf(["301", "302", "307", "308", "true", "false"]).transform((text) =>
      text === "true" ? 301 : text === "false" ? 0 : Number(text),
    ),
    describe: "A request without TLS is sent to https with this code; `true` is 301.",
    example: "308",
    change: "runtime",
  }),
  hsts: option({
    scope: "route",
    value: like(
      /^\d{1,10}(;\s*(includeSubDomains|preload))*$/,
      "a Strict-Transport-Security value; write seconds, then ;includeSubDomains;preload",
    ).transform((text) => {
      const [seconds = "", ...words] = text.split(";").map((part) => part.trim());
      return [`max-age=${seconds}`, ...words].join("; ");
    }),
    describe: "Strict-Transport-Security on answers over TLS: seconds, then `;includeSubDomains` and `;preload`.",
    example: "31536000;includeSubDomains",
    change: "runtime",
  }),
  auth: option({
    scope: "route",
    value: like(/^[A-Za-z0-9_-]{1,64}$/, "the name of a scheme of the setting auth"),
    describe: "Basic authentication by a scheme of the setting `auth`. A scheme that is not there lets nobody in.",
    example: "staff",
    change: "runtime",
  }),
  allow: option({
    scope: "route",
    value: listOf(network),
    describe: "Only clients of these networks; others get 403.",
    example: "10.0.0.0/8,fe80::/10",
    change: "runtime",
  }),
  deny: option({
    scope: "route",
    value: listOf(network),
    describe: "Clients of these networks get 403. Goes before `allow`.",
    example: "10.9.0.0/16",
    change: "runtime",
  }),
  rate: option({
    scope: "route",
    value: rate,
    describe: "Most requests of one client address on this route in 1s, 10s or 1m; what is beyond gets 429.",
    example: "100/10s",
    change: "runtime",
  }),
  "cors.origin": option({
    scope: "route",
    value: listOf(like(/^(\*|https?:\/\/[A-Za-z0-9.:_-]+)$/, "an origin; write https://app.example.com or *")),
    describe: "Origins that may read the answers in a browser; preflight requests are answered by HAProxy.",
    example: "https://app.example.com",
    change: "runtime",
  }),
  "cors.methods": option({
    scope: "route",
    value: listOf(like(/^[A-Z]{1,20}$/, "a method; write GET")),
    describe: "Methods a preflight answer allows. Default GET, HEAD, POST, PUT, PATCH, DELETE.",
    example: "GET,POST",
    change: "runtime",
  }),
  "cors.headers": option({
    scope: "route",
    value: listOf(like(new RegExp(`^(\\*|${headerName})$`), "a header's name")),
    describe: "Request headers a preflight answer allows. Default: those asked for.",
    example: "Content-Type,Authorization",
    change: "runtime",
  }),
  "cors.credentials": option({
    scope: "route",
    value: flag,
    describe: "Whether browsers may send cookies along.",
    example: "true",
    change: "runtime",
  }),
  "cors.max-age": option({
    scope: "route",
    value: durationWithin({ maxMs: 86_400_000 }),
    describe: "How long a browser may remember a preflight answer.",
    example: "10m",
    change: "runtime",
  }),
  "canary.weight": option({
    scope: "route",
    value: like(/^(100|\d{1,2})(\.\d{1,2})?%?$/, "a percentage from 0 to 100")
      .transform((text) => Number.parseFloat(text))
      .pipe(z.number().max(100, { error: "is more than 100" })),
    describe:
      "Percent of the route's requests that these instances get together, however many they are; the rest goes to the others.",
    example: "5",
    change: "runtime",
  }),
  "canary.header": option({
    scope: "route",
    value: headerCondition,
    describe: "Requests with this header go to these instances, whatever their weight. Written like `header`.",
    example: "X-Canary: always",
    change: "runtime",
  }),
  "canary.cookie": option({
    scope: "route",
    value: cookiePair,
    describe: "Requests with this cookie go to these instances, whatever their weight.",
    example: "canary=always",
    change: "runtime",
  }),
  "canary.sticky": option({
    scope: "route",
    value: flag,
    describe: "A client that was sent to one side of the share stays there (by a cookie).",
    example: "true",
    change: "runtime",
  }),
} as const;
