import fc from "fast-check";
import { readOption } from "../../src/settings/options/read-options.ts";
import { type OptionKey, optionTable } from "../../src/settings/options/table.ts";

const keys = Object.keys(optionTable) as OptionKey[];

/** At the edge of what can be read, or with what HAProxy, its maps or its expressions could take for signs of theirs. */
const edges: Partial<Record<OptionKey, readonly string[]>> = {
  host: ["*", "*.*", "a.*.b", "**", "a..b", "-", "_a._b", "a.example.com:1,a.example.com:65535", "x".repeat(253)],
  path: ["/", "=/", "//", "/%[src]", "/a|b", "/%41%00", "/=", "/\\1", "/é", "/{ab}", `/${"x".repeat(1_000)}`],
  method: ["GET,GET", "X", "A".repeat(20)],
  header: ["X", "X: %[src] | \\ \" ' # $HOME", "X ~ ^(a|b)[c-d]{2,3}\\.$", "X ~ (?i)a", "X ~ [", "cookie: a=b", "X: é"],
  strip: ["/", "/a.*(b)[c]", "/%[src]", "/|"],
  prepend: ["/", "/a\\1", "/%[src]", "/$HOME"],
  rewrite: ["^(.*)$ /\\1", "a /", "^/(a|b)/(.*)$ /\\2/\\1|x", "( /x", "[[:alpha:]]+ /x", "^/x /%[src]"],
  "host-header": ["dst", "-", "a:80", "..."],
  redirect: ["301,/", "302,https://$host$path?a=%[src]|b", "308,$path", "307,x\\1"],
  "https-redirect": ["true", "false", "307"],
  hsts: ["0", "9999999999;preload;preload"],
  allow: ["0.0.0.0/0", "::/0", "1.2.3.4", "::ffff:1.2.3.4/97", "10.0.0.0/31,10.0.0.0/9,10.0.0.1", "fe80::/63"],
  deny: ["0.0.0.0/1", "::1/1"],
  rate: ["1/1s", "999999999/1m"],
  "cors.origin": ["*", "http://a:1,https://-_.:"],
  "cors.headers": ["*", "X,Y", "!#$%&'*+.^_`|~-"],
  "cors.max-age": ["0", "1ms"],
  "canary.weight": ["0", "100", "0.01", "33.33%"],
  "canary.header": ["X", "X: |", "X ~ ^.$"],
  mode: ["http", "tcp"],
  listen: ["1024", "8081,8082", "65535"],
  balance: [
    "roundrobin",
    "static-rr",
    "first",
    "source",
    "random",
    "random(999)",
    "uri",
    "uri len 99999 depth 1 whole path-only",
    "url_param a.b-c_ check_post",
    "hdr(X.Y) use_domain_only",
    "rdp-cookie",
    "rdp-cookie(a)",
    "hash src,ipmask(32,128)",
    "hash path,lower,field(-2,/),upper",
    "hash req.cook(a.b),host_only",
    "hash ssl_fc_sni",
  ],
  retries: ["0", "100"],
  "timeout.server": ["1ms", "24h"],
  check: ["tcp", "http", "grpc", "off"],
  "check.path": ["/", "/%[src]\"'\\#$HOME", "/é|"],
  "check.method": ["A".repeat(20)],
  "check.status": ["100-599", "200,204,300-301"],
  "check.host": ["a:80", "-"],
  "check.service": ["x".repeat(253), "."],
  "check.interval": ["100ms", "1h"],
  sticky: ["_", "x".repeat(64)],
  compression: ["text/*", "a/b,c.d/e+f"],
  "request-header.set": ["X: %[env(HOME)] \" ' \\ # $HOME %", "!#$%&'*+.^_`|~-: x", "Host: a", "X: é\\n"],
  "response-header.add": ["X: %", "Set-Cookie: a=b; c"],
  "response-header.del": ["!#$%&'*+.^_`|~-"],
  "error-page": ["503", "nowhere"],
  weight: ["0", "256"],
  maxconn: ["0", "1000000"],
  protocol: ["http", "https", "h2", "h2c", "grpc", "grpcs", "tcp"],
  tls: ["true", "false"],
  "tls.verify": ["required", "none"],
  "tls.sni": ["host", "..."],
  "proxy-protocol": ["v1", "v2"],
  backup: ["true", "false"],
};

/** A tag that can be read. */
export const readableTag: fc.Arbitrary<string> = fc.constantFrom(...keys).chain((key) =>
  fc
    .oneof(
      { weight: 3, arbitrary: fc.constantFrom(...(edges[key] ?? []), optionTable[key].example) },
      // Its example with something else in the middle of it.
      fc.tuple(fc.nat(), fc.string({ maxLength: 8 })).map(([at, text]) => {
        const { example } = optionTable[key];
        const cut = at % (example.length + 1);
        return `${example.slice(0, cut)}${text}${example.slice(cut)}`;
      }),
    )
    .filter((value) => readOption(key, value).kind === "value")
    .chain((value) => {
      const own = `haproxy.${key}=${value}`;
      const named = `haproxy.route.x.${key}=${value}`;
      return optionTable[key].scope === "route" ? fc.constantFrom(own, own, named) : fc.constant(own);
    }),
);
