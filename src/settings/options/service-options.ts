import { durationWithin } from "../duration.ts";
import { flag, like, linesOf, listOf, oneOf, option, scalar, whole } from "./option.ts";

const headerName = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}";
/** Headers by which one message ends and the next begins: with another value, what one service sends would be read as another's. */
const framing = /^(content-length|transfer-encoding|connection|trailer)$/i;
const notFraming = { error: "is HAProxy's own to say, as it tells messages apart" };
const headerLine = like(new RegExp(`^${headerName}:\\s*[^\\s\\p{C}][^\\p{C}]*$`, "u"), "a header; write Name: value")
  .transform((text) => {
    const at = text.indexOf(":");
    return { name: text.slice(0, at), value: text.slice(at + 1).trim() };
  })
  .refine(({ name }) => !framing.test(name), notFraming);
const nameOfHeader = like(new RegExp(`^${headerName}$`), "a header's name").refine(
  (name) => !framing.test(name),
  notFraming,
);
const time = durationWithin({ minMs: 1, maxMs: 86_400_000 });

const name = "[A-Za-z0-9_.-]{1,64}";
/** Arguments of `balance` as HAProxy takes them (configuration manual 4.2); it refuses a file for others. */
const random = "random(\\([1-9]\\d{0,2}\\))?";
const uri = "uri( (len|depth) [1-9]\\d{0,4}| whole| path-only)*";
const parameter = `url_param ${name}( check_post)?|hdr\\(${name}\\)( use_domain_only)?`;
const cookie = `rdp-cookie(\\(${name}\\))?`;
/** What of a request may be hashed. Not any expression: one with `map(…)` has HAProxy read a file. */
const fetched = `src|src_port|dst|dst_port|method|path|pathq|query|url|base|ssl_fc_sni|(req\\.hdr|req\\.fhdr|req\\.cook|url_param)\\(${name}\\)`;
const sample = `(${fetched})(,(lower|upper|host_only|ipmask\\((3[0-2]|[12]?\\d)(,(12[0-8]|1[01]\\d|\\d{1,2}))?\\)|field\\(-?[1-9]\\d?,[./_:-]\\)))*`;

const status = scalar.refine((text) => /^[1-5]\d\d(-[1-5]\d\d)?(,[1-5]\d\d(-[1-5]\d\d)?)*$/.test(text), {
  error: "is not a list of status codes; write 200-399 or 200,204",
});

/** What a backend is like: the same for all instances of the service. */
export const serviceOptions = {
  enable: option({
    scope: "service",
    value: flag,
    describe: "`true` exposes the service, `false` hides it whatever its other tags say.",
    example: "true",
    change: "reload",
  }),
  mode: option({
    scope: "service",
    value: oneOf(["http", "tcp"]),
    describe: "`tcp`: bytes are passed on as they are, by `listen` alone. Default `http`.",
    example: "tcp",
    change: "reload",
  }),
  listen: option({
    scope: "service",
    value: listOf(whole(1, 65_535)),
    describe:
      "Own ports of HAProxy. With `mode=tcp` a `host` shares the port with other services by the name TLS clients ask for (SNI).",
    example: "5432",
    change: "reload",
  }),
  balance: option({
    scope: "service",
    value: like(
      new RegExp(
        `^(roundrobin|static-rr|leastconn|first|source|${random}|${uri}|${parameter}|${cookie}|hash ${sample})$`,
      ),
      "an algorithm of HAProxy's balance",
    ),
    describe: "HAProxy's algorithm, with its words (configuration manual, `balance`); hashes are consistent.",
    example: "leastconn",
    change: "reload",
  }),
  retries: option({
    scope: "service",
    value: whole(0, 100),
    describe: "How often a request that could not be sent is tried again, on another server.",
    example: "3",
    change: "reload",
  }),
  "timeout.connect": option({
    scope: "service",
    value: time,
    describe: "How long a connection to a server may take.",
    example: "2s",
    change: "reload",
  }),
  "timeout.server": option({
    scope: "service",
    value: time,
    describe: "How long a server may be silent while a request is under way.",
    example: "5m",
    change: "reload",
  }),
  "timeout.queue": option({
    scope: "service",
    value: time,
    describe: "How long a request may wait for a server below its `maxconn`.",
    example: "10s",
    change: "reload",
  }),
  "timeout.tunnel": option({
    scope: "service",
    value: time,
    describe: "How long a WebSocket or another tunnel may be silent.",
    example: "8h",
    change: "reload",
  }),
  check: option({
    scope: "service",
    value: oneOf(["tcp", "http", "grpc", "off"]),
    describe:
      "HAProxy's own check. Default `tcp`: the port accepts a connection (and speaks TLS, where that is spoken). `http`: an answer of `check.status`; `grpc`: `SERVING` of `grpc.health.v1.Health`.",
    example: "http",
    change: "reload",
  }),
  "check.path": option({
    scope: "service",
    value: like(/^\/[^\s\p{C}]*$/u, "a path; begin it with /"),
    describe: "Path an http check asks for. Default `/`.",
    example: "/health",
    change: "reload",
  }),
  "check.method": option({
    scope: "service",
    value: like(/^[A-Z]{1,20}$/, "a method; write GET"),
    describe: "Method of an http check. Default `GET`.",
    example: "HEAD",
    change: "reload",
  }),
  "check.status": option({
    scope: "service",
    value: status,
    describe: "Status codes that are well. Default `200-399`.",
    example: "200,204",
    change: "reload",
  }),
  "check.host": option({
    scope: "service",
    value: like(/^[A-Za-z0-9_.:-]{1,253}$/, "a host name"),
    describe: "Host header of an http check.",
    example: "shop.example.com",
    change: "reload",
  }),
  "check.service": option({
    scope: "service",
    value: like(/^[A-Za-z0-9_.-]{1,253}$/, "the name of a gRPC service"),
    describe: "Service a gRPC check asks the health of. Default: that of the server as a whole.",
    example: "shop.Orders",
    change: "reload",
  }),
  "check.interval": option({
    scope: "service",
    value: durationWithin({ minMs: 100, maxMs: 3_600_000 }),
    describe: "Time between two checks of a server that is well. Default 10s.",
    example: "5s",
    change: "reload",
  }),
  sticky: option({
    scope: "service",
    value: like(/^[A-Za-z0-9_-]{1,64}$/, "a cookie's name"),
    describe:
      "A client stays with its server, by a cookie of this name. It holds a digest of the server's address, and the server does not see it.",
    example: "SERVER",
    change: "reload",
  }),
  compression: option({
    scope: "service",
    value: listOf(like(/^[a-z0-9.+-]{1,64}\/[a-z0-9.+*-]{1,64}$/i, "a media type; write text/html")),
    describe: "Media types HAProxy compresses (gzip) where the client can take it and the server did not.",
    example: "text/html,application/json",
    change: "reload",
  }),
  "request-header.set": option({
    scope: "service",
    value: linesOf(headerLine),
    describe: "Header the server gets, in place of the client's. Repeated: several.",
    example: "X-Env: prod",
    change: "reload",
  }),
  "request-header.add": option({
    scope: "service",
    value: linesOf(headerLine),
    describe: "Header the server gets besides the client's.",
    example: "X-Via: sluice",
    change: "reload",
  }),
  "request-header.del": option({
    scope: "service",
    value: listOf(nameOfHeader),
    describe: "Headers of the client that the server does not get.",
    example: "X-Debug",
    change: "reload",
  }),
  "response-header.set": option({
    scope: "service",
    value: linesOf(headerLine),
    describe: "Header the client gets, in place of the server's.",
    example: "X-Frame-Options: DENY",
    change: "reload",
  }),
  "response-header.add": option({
    scope: "service",
    value: linesOf(headerLine),
    describe: "Header the client gets besides the server's.",
    example: "X-Served: sluice",
    change: "reload",
  }),
  "response-header.del": option({
    scope: "service",
    value: listOf(nameOfHeader),
    describe: "Headers of the server that the client does not get.",
    example: "Server,X-Powered-By",
    change: "reload",
  }),
  "error-page": option({
    scope: "service",
    value: like(/^[A-Za-z0-9_-]{1,64}$/, "the name of a page"),
    describe: "The page where no server can answer: `errors/<name>.http` beside the template. Default `503`.",
    example: "shop",
    change: "reload",
  }),
  panic: option({
    scope: "service",
    value: oneOf(["serve", "refuse"]),
    describe:
      "Where all instances are critical: `serve` tries them all the same. Default: the setting `services.panic`.",
    example: "serve",
    change: "runtime",
  }),
  admit: option({
    scope: "service",
    value: oneOf(["auto", "at-once", "after-check"]),
    describe: "When a joining server takes traffic. Default: the setting `services.admit`.",
    example: "after-check",
    change: "runtime",
  }),
  address: option({
    scope: "service",
    value: oneOf(["default", "lan", "wan", "lan_ipv4", "lan_ipv6", "wan_ipv4", "wan_ipv6"]),
    describe:
      "Which of an instance's tagged addresses is used, where it has it. Default: the setting `services.address`.",
    example: "wan",
    change: "runtime",
  }),
  failover: option({
    scope: "service",
    value: listOf(like(/^[A-Za-z0-9_-]{1,64}$/, "the name of a datacenter")),
    describe:
      "Datacenters whose instances serve where none here can. By the settings or the key-value store alone, or a tag of an instance here.",
    example: "dc2,dc3",
    change: "runtime",
  }),
} as const;
