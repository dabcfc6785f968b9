import { describe, expect, test } from "@jest/globals";
import { mergeListeners } from "../../../src/routing/listeners.ts";
import { portRefusal } from "../../../src/routing/own-ports.ts";
import { createRouter } from "../../../src/routing/route.ts";
import type { ListenClaim } from "../../../src/routing/types.ts";
import { settingsSchema } from "../../../src/settings/schema.ts";
import { byKey, instance, service } from "./fixtures.ts";

const settings = settingsSchema.parse({
  http: { bind: ":80,[::1]:8000-8010" },
  https: { bind: "10.0.0.1:8443" },
  stats: { bind: ":9000" },
});

function claim(service: string, port: number, more: Partial<ListenClaim> = {}): ListenClaim {
  const origin = { service, kind: "tag" as const, text: `haproxy.listen=${port}` };
  return { port, mode: "tcp", sni: "", backend: service, priority: 0, since: 10, origin, ...more };
}

function fabio(service: string, port: number, more: Partial<ListenClaim> = {}): ListenClaim {
  const origin = { service, kind: "fabio" as const, text: `urlprefix-:${port} proto=tcp` };
  return claim(service, port, { count: 1, origin, ...more });
}

const merged = (...claims: readonly ListenClaim[]) => mergeListeners(claims, settings);
const rowsOf = (...claims: readonly ListenClaim[]) => merged(...claims).rows.map(({ key, value }) => `${key} ${value}`);

describe("ports that services may have", () => {
  test.each([80, 8_000, 8_010, 8_443, 9_000])("%i is HAProxy's own", (port) => {
    expect(portRefusal(port, settings)).toMatch(/HAProxy's own \(setting (http|https|stats)\.bind\)/);
  });

  test("are those of tcp.ports", () => {
    const ports = (text: string) => ({ ...settings, tcp: { ...settings.tcp, ports: text } });
    expect(portRefusal(5_432, settings)).toBeUndefined();
    expect(portRefusal(443, settings)).toContain("tcp.ports");
    expect(portRefusal(443, ports("443, 5000-5999"))).toBeUndefined();
    expect(portRefusal(5_999, ports("443, 5000-5999"))).toBeUndefined();
    expect(portRefusal(6_000, ports("443, 5000-5999"))).toContain("port 6000 is not among those");
  });

  test("a refused one opens nothing and names its service once", () => {
    const result = merged(claim("web", 80), claim("web", 80, { sni: "a.example" }), claim("db", 5_432));
    expect(result.listeners).toEqual([{ port: 5_432, mode: "tcp", sni: false }]);
    expect(result.excluded).toEqual([
      { service: "web", code: "listen-refused", reason: expect.stringContaining("port 80") },
    ]);
  });
});

test("a service that wants hundreds of ports has the first 256, and others have theirs", () => {
  const many = Array.from({ length: 300 }, (_, index) => claim("greedy", 10_000 + index));
  const { listeners, excluded } = merged(...many.toReversed(), claim("db", 20_000));
  expect(listeners).toHaveLength(257);
  expect(listeners.at(-2)?.port).toBe(10_255);
  const reason = "it wants 300 ports, 256 is the most; those from 10256 on stay closed";
  expect(excluded).toEqual([{ service: "greedy", code: "listen-refused", reason }]);
});

test("a port that cannot be opened names its services, with what is in the way", () => {
  const closed = new Map([[5_432, "127.0.0.1:5432 is in use by another process"]]);
  const { listeners, rows, excluded } = mergeListeners([claim("db", 5_432), claim("web", 8_081)], settings, closed);
  expect(listeners.map(({ port }) => port)).toEqual([8_081]);
  expect(rows.map(({ value }) => value)).toEqual(["web"]);
  const reason = "port 5432 cannot be opened: 127.0.0.1:5432 is in use by another process";
  expect(excluded).toEqual([{ service: "db", code: "listen-refused", reason }]);
});

test("an instance more leaves listeners and rows the very same objects, one that shares a port changes its rows", () => {
  const route = createRouter();
  const look = (count: number) => {
    const instances = Array.from({ length: count }, (_, index) => index + 1);
    const tagged = (name: string, tag: string) => instances.map((n) => instance(name, n, { tags: [tag] }));
    const first = tagged("a", "urlprefix-:3306 proto=tcp");
    const alone = tagged("c", "urlprefix-:3307 proto=tcp");
    const other = instance("b", 1, { tags: ["urlprefix-:3306 proto=tcp"] });
    const all = [service("a", first), service("b", [other]), service("c", alone)];
    return {
      alone: route(byKey(all.slice(2)), settings, new Map()),
      shared: createRouter()(byKey(all), settings, new Map()),
    };
  };
  const [one, two] = [look(1), look(2)];
  expect(two.alone.backends).not.toBe(one.alone.backends);
  expect(two.alone.listeners).toBe(one.alone.listeners);
  expect(two.alone.maps).toBe(one.alone.maps);
  expect(two.shared.maps.listeners).not.toEqual(one.shared.maps.listeners);
});

describe("listeners", () => {
  test("are sorted by port, and one of several names tells by name", () => {
    const { listeners, rows, excluded } = merged(
      claim("b", 9_443, { sni: "*.b.example" }),
      claim("a", 9_443, { sni: "a.example" }),
      claim("c", 9_443),
      claim("db", 5_432),
      claim("web", 8_081, { mode: "http" }),
    );
    expect(listeners).toEqual([
      { port: 5_432, mode: "tcp", sni: false },
      { port: 8_081, mode: "http", sni: false },
      { port: 9_443, mode: "tcp", sni: true },
    ]);
    expect(rows).toEqual([
      { key: "5432=", value: "db" },
      { key: "9443/*.b.example=", value: "b" },
      { key: "9443/a.example=", value: "a" },
      { key: "9443=", value: "c" },
    ]);
    expect(excluded).toEqual([]);
  });

  test("HTTP services go together on one port", () => {
    const http = { mode: "http" } as const;
    expect(merged(claim("a", 8_081, http), claim("b", 8_081, http))).toEqual({
      listeners: [{ port: 8_081, mode: "http", sni: false }],
      rows: [],
      clients: [],
      excluded: [],
    });
  });

  test("HTTP and TCP do not: who has the higher priority, is older, or goes before by name, has the port", () => {
    const [web, db] = [claim("web", 8_081, { mode: "http" }), claim("db", 8_081)];
    const winner = (...claims: readonly ListenClaim[]) => merged(...claims).listeners[0]?.mode;
    expect(winner(web, db)).toBe("tcp");
    expect(winner({ ...web, since: 9 }, db)).toBe("http");
    expect(winner(web, { ...db, since: 9 })).toBe("tcp");
    expect(winner({ ...web, since: 99, priority: 1 }, db)).toBe("http");
    const { excluded } = merged(web, db);
    expect(excluded).toEqual([
      { service: "web", code: "route-conflict", reason: expect.stringContaining('the service "db" has it for tcp') },
    ]);
  });

  test("one TCP service has a port or a name, the other is named", () => {
    const { rows, excluded } = merged(
      claim("old", 5_432, { since: 1 }),
      claim("new", 5_432, { since: 2 }),
      claim("new", 9_443, { sni: "a.example", since: 2 }),
      claim("old", 9_443, { sni: "a.example", since: 3 }),
    );
    expect(rows).toEqual([
      { key: "5432=", value: "old" },
      { key: "9443/a.example=", value: "new" },
    ]);
    expect(excluded.map(({ service, reason }) => `${service}: ${reason}`)).toEqual([
      expect.stringMatching(/^new: port 5432 belongs to the service "old"/),
      expect.stringMatching(/^old: the name "a\.example" on port 9443 belongs to the service "new"/),
    ]);
  });

  test("the order they come in does not matter", () => {
    const claims = [claim("b", 5_432), claim("a", 5_432), fabio("d", 6_000), fabio("c", 6_000), claim("e", 7_000)];
    expect(mergeListeners(claims.toReversed(), settings)).toEqual(mergeListeners(claims, settings));
  });

  test("a name that no TLS client asks for costs itself only", () => {
    const { rows, excluded } = merged(
      claim("a", 9_443, { sni: "a*.example" }),
      claim("a", 9_443, { sni: "x y=" }),
      claim("b", 9_443, { sni: "b.example" }),
    );
    expect(rows).toEqual([{ key: "9443/b.example=", value: "b" }]);
    expect(excluded.map(({ service, code }) => `${service} ${code}`)).toEqual([
      "a option-unusable",
      "a option-unusable",
    ]);
  });

  test("allow and deny are a list of clients, named behind the backend", () => {
    const { rows, clients } = merged(claim("db", 5_432, { allow: ["10.0.0.0/8"] }));
    const list = clients[0]?.key.split("/")[0];
    expect(rows).toEqual([{ key: "5432=", value: `db|${list}` }]);
    expect(clients.map(({ key, value }) => `${key} ${value}`)).toEqual([`${list}/ !`, `${list}/40A +`]);
  });
});

describe("a port of Fabio's tags", () => {
  test("is shared by the numbers of instances", () => {
    expect(rowsOf(fabio("a", 3_306, { count: 3 }), fabio("b", 3_306))).toEqual([
      ...[0, 1, 2, 3, 4, 5, 6].map((digit) => `3306=1${digit} a`),
      "3306=17 b",
      "3306=18 b",
      ...[0, 1, 2, 3, 4].map((digit) => `3306=19${digit} a`),
      ...[5, 6, 7, 8, 9].map((digit) => `3306=19${digit} b`),
    ]);
  });

  test("goes by weight where there is one", () => {
    const share = { part: 0.1, of: "each" as const };
    const [first, ...others] = rowsOf(fabio("a", 3_306, { share }), fabio("b", 3_306));
    expect(first).toBe("3306=10 a");
    expect(others).toHaveLength(9);
    expect(others.every((row) => row.endsWith(" b"))).toBe(true);
  });

  test("a service without instances has no part, unless it is alone", () => {
    expect(rowsOf(fabio("a", 3_306, { count: 0 }), fabio("b", 3_306))).toEqual(["3306= b"]);
    expect(rowsOf(fabio("a", 3_306, { count: 0 }))).toEqual(["3306= a"]);
  });

  test("belongs to an older service that wants it by other means", () => {
    const { rows, excluded } = merged(claim("own", 3_306, { since: 1 }), fabio("a", 3_306), fabio("b", 3_306));
    expect(rows).toEqual([{ key: "3306=", value: "own" }]);
    expect(excluded.map(({ service }) => service)).toEqual(["a", "b"]);
  });
});
