import { describe, expect, test } from "@jest/globals";
import { type HttpRequest, lookupPath, matchRequest } from "../../../src/routing/match.ts";
import type { Route } from "../../../src/routing/types.ts";
import { leadsTo, route } from "../../support/routes.ts";

const request = (host: string, path = "/", more: Partial<HttpRequest> = {}): HttpRequest => ({
  host,
  path,
  method: "GET",
  headers: {},
  client: "10.0.0.1",
  ...more,
});
function found(routes: readonly Route[], asked: HttpRequest): string {
  const match = matchRequest({ routes }, asked);
  return match.kind === "route" ? leadsTo(match.route) : match.kind;
}

describe("the path that is looked up", () => {
  test.each([
    ["/a", "/a"],
    ["/%61%2Fb", "/a/b"],
    ["//a///b/", "/a/b/"],
    ["/./a/././b", "/a/b"],
    ["/a;x=/b;y", "/a/b"],
    ["/a%3fb", "/a%3Fb"],
    ["/%C3%BC", "/ü"],
    ["/..a/b..", "/..a/b.."],
    ["*", "*"],
  ])("%s is %s", (path, expected) => expect(lookupPath(path)).toBe(expected));

  test.each(["/a/../b", "/..", "/%2e%2e/b", "/a%2f..%2fb", "/..;x/b", "/a%00", "/a%", "/%zz"])("%s is none", (path) => {
    expect(lookupPath(path)).toBeUndefined();
    expect(found([route("", "a")], request("x", path))).toBe("refused");
  });
});

describe("a request goes", () => {
  const routes = [
    route("", "any"),
    route("*.x", "wide"),
    route("*.a.x", "narrow", { path: "/n" }),
    route("b.a.x", "exact", { path: "/e", match: "exact" }),
    route("b.a.x", "ported", { hostPort: 81 }),
    route("y", "own-port", { listen: 8081 }),
  ];

  test.each([
    ["b.a.x", "/e", "exact"],
    ["b.a.x", "/e/x", "wide"],
    ["B.A.X.", "/n", "narrow"],
    ["b.a.x:81", "/e", "ported"],
    ["c.a.x", "/n/m", "narrow"],
    ["c.a.x", "/m", "wide"],
    ["y", "/", "any"],
    ["", "/", "any"],
    ["a b", "/", "refused"],
    ["a!b", "/", "refused"],
  ])("to %s%s: %s", (host, path, expected) => expect(found(routes, request(host, path))).toBe(expected));

  test("by its port alone on a port of its own", () => {
    expect(found(routes, request("y", "/", { listen: 8081 }))).toBe("own-port");
    expect(found(routes, request("z", "/", { listen: 8081 }))).toBe("none");
  });

  test("a Host without a port means that of the scheme", () => {
    const ported = [route("a", "plain", { hostPort: 80 }), route("a", "secure", { hostPort: 443 })];
    expect(found(ported, request("a"))).toBe("plain");
    expect(found(ported, request("a", "/", { tls: true }))).toBe("secure");
  });

  test("and is told whether the client is let in", () => {
    const targets = [{ backend: "a", share: 1, options: { deny: ["10.0.0.0/8"] }, origins: [] }];
    const guarded = { routes: [route("a", "a", { targets })] };
    expect(matchRequest(guarded, request("a"))).toMatchObject({ kind: "route", admitted: false });
    expect(matchRequest(guarded, request("a", "/", { client: "11.0.0.1" }))).toMatchObject({ admitted: true });
  });
});
