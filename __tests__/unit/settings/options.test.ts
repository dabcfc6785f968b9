import { describe, expect, test } from "@jest/globals";
import { readOption } from "../../../src/settings/options/read-options.ts";

const read = (key: string, value: unknown) => {
  const result = readOption(key, value);
  return result.kind === "value" ? result.value : `refused: ${result.problem}`;
};

describe("balance", () => {
  test.each([
    "roundrobin",
    "random(2)",
    "uri len 5 depth 6 whole path-only",
    "url_param id check_post",
    "hdr(X-User) use_domain_only",
    "rdp-cookie(msts)",
    "hash req.hdr(X-User),lower",
    "hash src,ipmask(24)",
    "hash path,field(2,/)",
  ])("%s is one of HAProxy's", (text) => {
    expect(read("balance", text)).toBe(text);
  });

  test.each([
    "round-robin",
    "random(0)",
    "uri len 0",
    "hdr(X-User",
    "hash",
    "hash str(a),map(/dev/zero)",
    "hash lua.f",
    "roundrobin\nserver a 127.0.0.1:1",
  ])("%j is none", (text) => {
    expect(read("balance", text)).toBe("refused: is not an algorithm of HAProxy's balance");
  });
});

test.each<[string, unknown, unknown]>([
  ["timeout.server", "1.5m", 90_000],
  ["timeout.server", 250, 250],
  ["host", ["a.example.com", "b.example.com:81"], ["a.example.com", "b.example.com:81"]],
  ["host", " a.example.com , ", ["a.example.com"]],
  ["rate", "100/10s", { requests: 100, period: "10s" }],
  ["redirect", "301,https://a.example.com$path?a=1,2", { code: 301, location: "https://a.example.com$path?a=1,2" }],
  ["rewrite", "^/a(.*)  /b\\1", { pattern: "^/a(.*)", replacement: "/b\\1" }],
  ["request-header.set", "X-A:  b: c ", [{ name: "X-A", value: "b: c" }]],
  ["allow", "ip:10.0.0.0/8,fe80::1", ["10.0.0.0/8", "fe80::1"]],
  ["https-redirect", true, 301],
  ["https-redirect", "false", 0],
  ["hsts", "31536000;includeSubDomains; preload", "max-age=31536000; includeSubDomains; preload"],
  ["canary.weight", 2.5, 2.5],
  ["canary.weight", "100%", 100],
  ["tls", "true", true],
])("%s of %j is %j", (key, written, value) => {
  expect(read(key, written)).toEqual(value);
});

test.each<[string, unknown, string]>([
  ["timeout.server", "soon", "not a length of time"],
  ["timeout.server", "2d", "at most 24h"],
  ["host", "", "is empty"],
  ["host", "a b", "is not a host name"],
  ["host", { a: 1 }, "wrong kind"],
  ["host", null, "wrong kind"],
  ["path", "api", "is not a path"],
  ["path", "/a?b", "is not a path"],
  ["rewrite", "^/a /b\u0085", "is not a rewrite"],
  ["redirect", "200,/x", "is not a redirect"],
  ["allow", "10.0.0.0/33", "is not an address or network"],
  ["canary.weight", "101", "is not a percentage"],
  ["canary.weight", "100.5", "is more than 100"],
  ["tls", "yes", "is not one of true, false"],
  ["request-header.set", "X-A: a\u001bb", "is not a header"],
  ["request-header.set", "content-length: 5", "HAProxy's own"],
  ["response-header.add", "Transfer-Encoding: chunked", "HAProxy's own"],
  ["response-header.del", "Content-Length", "HAProxy's own"],
  ["weight", "257", "is not a whole number from 0 to 256"],
  ["weight", "1e2", "is not a whole number"],
])("%s of %j is refused: %s", (key, written, problem) => {
  expect(read(key, written)).toContain(problem);
});
