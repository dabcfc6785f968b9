import { describe, expect, test } from "@jest/globals";
import { loadTemplate } from "../../../src/render/template-source.ts";
import { clientList } from "../../../src/routing/clients.ts";
import { routeMaps } from "../../../src/routing/map-rows.ts";
import { readValue, valueFields, writeValue } from "../../../src/routing/route-value.ts";
import type { Route, RouteTarget } from "../../../src/routing/types.ts";
import type { RouteOptions } from "../../../src/settings/options/table.ts";
import { lookUp } from "../../support/map-lookup.ts";
import { route } from "../../support/routes.ts";

const routeRows = (...routes: readonly Route[]) => routeMaps(routes).routes.map(({ key, value }) => `${key} ${value}`);
const to = (backend: string, more: Partial<RouteTarget> = {}): RouteTarget => ({
  backend,
  share: 1,
  options: {},
  origins: [],
  ...more,
});

describe("rows of routes.map", () => {
  test("begin with host and path; what is meant for one path alone ends in a question mark", () => {
    expect(
      routeRows(
        route("a.x", "a", { path: "/p", match: "prefix" }),
        route("a.x", "b", { path: "/e", match: "exact" }),
        route("a.x", "c", { path: "/s", match: "segments" }),
        route("", "d", { path: "/", match: "segments" }),
        route("a.x", "e", { hostPort: 8080 }),
        route("a.x", "f", { listen: 81 }),
      ),
    ).toEqual(["/ d", "@81!a.x/ f", "a.x/e? b", "a.x/p a", "a.x/s/ c", "a.x/s? c", "a.x:8080/ e"]);
  });

  test("hold the backend alone where nothing else is said", () => {
    const [row] = routeMaps([route("a.x", "a")]).routes;
    expect(row).toEqual({ key: "a.x/", value: "a" });
  });

  test("name the parts of other maps by what they say", () => {
    const options = {
      allow: ["10.0.0.0/8"],
      strip: "/a|ü",
      rate: { requests: 5, period: "10s" as const },
      rewrite: { pattern: "^/x (.*)$", replacement: "/y/\\1" },
      redirect: { code: 301, location: "https://b.x/$path" },
      "cors.origin": ["https://c.x", "*"],
      "cors.max-age": 90_000,
      "https-redirect": 0,
    } satisfies RouteOptions;
    const maps = routeMaps([route("a.x", "a", { targets: [to("a", { server: "s1", options })] })]);
    const value = readValue(maps.routes[0]?.value ?? "");
    expect(value).toMatchObject({
      backend: "a",
      server: "s1",
      strip: "/a%7C%C3%BC",
      redirect: "301,https://b.x$path",
      clients: clientList(options).id,
      corsOrigins: "*",
      corsMaxAge: "90",
    });
    expect(value.https).toBeUndefined();
    expect(value.rate).toMatch(/^5\/10s\/[0-9a-f]{12}$/);
    expect(maps.clients).toEqual(clientList(options).rows);
    expect(maps.rewrites).toEqual([
      { key: `(*LIMIT_MATCH=100000)^${value.rewrite}\\x20(?:/x\\x20(.*)$)`, value: "/y/\\1" },
    ]);
  });

  test.each([
    ["https://b.x", "https://b.x/"],
    ["https://b.x?a=b", "https://b.x/?a=b"],
    ["https://b.x$path", "https://b.x$path"],
    ["https://b.x/new$path", "https://b.x/new$path"],
    ["https://b.x/new/$path", "https://b.x/new$path"],
    ["https://$host/$path", "https://$host$path"],
    ["/$path", "$path"],
    ["/new", "/new"],
  ])("redirect to %s", (location, expected) => {
    const targets = [to("a", { options: { redirect: { code: 302, location } } })];
    const [row] = routeMaps([route("a.x", "a", { targets })]).routes;
    expect(readValue(row?.value ?? "").redirect).toBe(`302,${expected}`);
  });

  test("lead to rows of a share where there are several targets, and to the largest where those are not there", () => {
    const targets = [to("a", { share: 0.2 }), to("b", { share: 0.8, options: { strip: "/x" } })];
    const { routes, shares } = routeMaps([route("a.x", "a", { targets })]);
    const value = readValue(routes[0]?.value ?? "");
    expect(value).toMatchObject({ backend: "b", strip: "/x" });
    expect(shares.every(({ key }) => key.startsWith(`${value.share}/1`))).toBe(true);
    expect(new Set(shares.map((row) => row.value))).toEqual(new Set(["a", writeValue({ backend: "b", strip: "/x" })]));
  });
});

describe("rows of other maps", () => {
  const header = (name: string) => ({ on: "header", name, is: "present" }) as const;

  test("two ways to write one glob are one pattern of hosts, and lead to the routes of both", () => {
    const maps = routeMaps([route("*.a.x", "one", { path: "/one" }), route("**.a.x", "two", { path: "/two" })]);
    expect(new Set(maps.hosts.map(({ key }) => key)).size).toBe(maps.hosts.length);
    const asked = (path: string) =>
      lookUp(maps, { host: "b.a.x", path, method: "GET", headers: {}, client: "10.0.0.1" });
    expect([asked("/one")?.backend, asked("/two")?.backend]).toEqual(["one", "two"]);
  });

  test("conditions that nobody meets lead to the shorter path's, at last nowhere", () => {
    const deep = route("a.x", "deep", { path: "/d", conditions: [header("x-d")] });
    const wide = route("a.x", "wide", { methods: ["GET"] });
    const without = routeMaps([deep, wide]);
    const [forAll, forDeep] = without.routes.map(({ value }) => readValue(value));
    expect([forAll, forDeep]).toMatchObject([
      { backend: "wide", only: "1" },
      { backend: "deep", only: "1" },
    ]);
    expect(without.conditions.filter(({ key }) => key.includes(`^${forDeep?.set}`)).map(({ value }) => value)).toEqual([
      "deep",
      "wide",
    ]);
    const [, held] = routeMaps([deep, route("a.x", "all")]).routes.map(({ value }) => readValue(value));
    expect(held).toMatchObject({ backend: "all" });
    expect(held?.only).toBeUndefined();
  });

  test("patterns of hosts, the most specific first; each has what wider ones hold besides", () => {
    const routes = [
      route("*.x", "wide"),
      route("*.x", "wide-p", { path: "/p" }),
      route("*.a.x", "narrow", { path: "/n" }),
      route("*.a.x", "ported", { hostPort: 81 }),
    ];
    const { hosts, routes: rows } = routeMaps(routes);
    expect(hosts.map(({ value }) => value)).toEqual(["*.a.x:81", "*.a.x", "*.x"]);
    expect(hosts.find(({ key }) => new RegExp(key).test("b.a.x:80"))?.value).toBe("*.a.x");
    expect(hosts.find(({ key }) => new RegExp(key).test("b.a.x:81"))?.value).toBe("*.a.x:81");
    expect(rows.map(({ key, value }) => `${key} ${value}`)).toEqual([
      "*.a.x/ wide",
      "*.a.x/n narrow",
      "*.a.x/p wide-p",
      "*.a.x:81/ ported",
      "*.x/ wide",
      "*.x/p wide-p",
    ]);
  });

  test("what several routes bring is there once", () => {
    const options = { deny: ["10.0.0.0/8"] };
    const routes = ["a", "b"].map((name) => route(`${name}.x`, name, { targets: [to(name, { options })] }));
    expect(routeMaps(routes).clients).toEqual(clientList(options).rows);
  });
});

test("haproxy/request.njk asks for the fields by their numbers", async () => {
  const { sources } = await loadTemplate();
  const text = sources["request.njk"] ?? "";
  const asked = [...text.matchAll(/sluice_value\),field\((\d+)/g), ...text.matchAll(/option\("\w+", (\d+)\)/g)];
  const numbers = new Set(asked.map(([, number]) => Number(number)));
  for (const row of text.matchAll(/field\(([45]),\|\)/g)) numbers.add(Number(row[1]));
  expect([...numbers].sort((a, b) => a - b)).toEqual(valueFields.map((_, index) => index + 1));
  const named = Object.fromEntries(
    [...text.matchAll(/option\("(\w+)", (\d+)\)/g)].map(([, name, number]) => [name, number]),
  );
  const at = (field: (typeof valueFields)[number]) => String(valueFields.indexOf(field) + 1);
  expect(named).toEqual({
    share: at("share"),
    list: at("clients"),
    to_https: at("https"),
    rate: at("rate"),
    origins: at("corsOrigins"),
    cors_credentials: at("corsCredentials"),
    auth: at("auth"),
    strip: at("strip"),
    prepend: at("prepend"),
    rewrite: at("rewrite"),
    redirect: at("redirect"),
    host_header: at("host"),
  });
});
