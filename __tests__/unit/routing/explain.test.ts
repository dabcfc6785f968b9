import { describe, expect, test } from "@jest/globals";
import type { CatalogService } from "../../../src/catalog/types.ts";
import { explainRequest } from "../../../src/routing/explain-request.ts";
import { explainService, type SeenServer, type ServiceFacts } from "../../../src/routing/explain-service.ts";
import { listenPlaces } from "../../../src/routing/listen-places.ts";
import { type RequestQuestion, readRequest } from "../../../src/routing/read-request.ts";
import type { LoadBalancer } from "../../../src/routing/types.ts";
import { instance, routed, service, settings } from "./fixtures.ts";

const up: SeenServer = { weight: 1, maintenance: false, up: true };
const web = (number: number, tags: readonly string[] = [], more: object = {}) =>
  instance("web", number, { tags: ["haproxy.enable=true", ...tags], ...more });

function facts(listed: CatalogService | undefined, more: Partial<ServiceFacts> = {}): ServiceFacts {
  return {
    name: "web",
    accepted: listed,
    listed,
    override: undefined,
    settings: settings().services,
    loadBalancer: routed(listed === undefined ? [] : [listed]),
    holds: [],
    quarantined: [],
    leaving: [],
    seen: undefined,
    checks: undefined,
    ...more,
  };
}

function whyOf(given: ServiceFacts, id = "node-1/web-1"): readonly string[] {
  return explainService(given).instances.find((one) => one.instance === id)?.why ?? [];
}

describe("why an instance gets nothing", () => {
  const both = service("web", [web(1), web(2)]);

  test("nothing is to be said of one that serves", () => {
    const { instances, serves, selected } = explainService(facts(both));
    expect(instances.map((one) => [one.serves, one.why])).toEqual([
      [true, []],
      [true, []],
    ]);
    expect(serves).toBe(true);
    expect(selected).toEqual({ yes: true, why: "the option enable is true" });
  });

  test("a critical check, with what it said, made fit for a terminal", () => {
    const critical = service("web", [web(1, [], { health: "critical" }), web(2)]);
    const checks = new Map([["node-1/web-1", [{ name: "http", status: "critical", output: "refused\u001b[2J\n" }]]]);
    expect(whyOf(facts(critical, { checks }))).toEqual([`Consul's check "http" is critical: "refused\\u001b[2J"`]);
    expect(whyOf(facts(critical))).toEqual(["critical by Consul's checks"]);
  });

  test("HAProxy's view: not there yet, in maintenance, down by its check", () => {
    const name = "web/web-1_10.0.0.1:8080";
    const seenAs = (seen: ReadonlyMap<string, SeenServer>) => whyOf(facts(both, { seen }));
    expect(seenAs(new Map())).toEqual(["HAProxy does not have it yet"]);
    expect(seenAs(new Map([[name, { ...up, maintenance: true }]]))).toEqual(["HAProxy has it in maintenance"]);
    expect(seenAs(new Map([[name, { ...up, up: false }]]))).toEqual(["HAProxy's own check finds it down"]);
    expect(seenAs(new Map([[name, up]]))).toEqual([]);
  });

  test("held, quarantined, left out for a value, leaving", () => {
    const since = Date.UTC(2026, 0, 2);
    const hold = { service: "dc1////web", instance: web(1), since, cause: "zero" as const };
    expect(whyOf(facts(both, { holds: [hold] }))[0]).toContain("held since 2026-01-02T00:00:00.000Z");
    const cell = { service: "dc1////web", name: "web", instances: ["node-1/web-1"], reason: "line 3", since };
    expect(whyOf(facts(both, { quarantined: [cell] }))[0]).toMatch(/^quarantined since .*, it is left out: line 3$/);
    const kept = { ...cell, good: { tags: [], meta: {} } };
    expect(whyOf(facts(both, { quarantined: [kept] }))[0]).toContain("stands in with its last good tags and meta");
    const odd = service("web", [web(1, [], { address: "nowhere" }), web(2)]);
    expect(whyOf(facts(odd))[0]).toMatch(/^address-unusable: address "nowhere"/);
    const left = { backend: "web", server: "web-9_10.0.0.9:80", address: "10.0.0.9", port: 80, options: [], since };
    expect(whyOf(facts(both, { leaving: [left] }), "web-9_10.0.0.9:80")[0]).toContain("it left");
  });

  test("one the catalog lists no more, and one that waits for its first check", () => {
    const gone = explainService(facts(both, { listed: service("web", [web(2)]) })).instances[0];
    expect(gone).toMatchObject({ instance: "node-1/web-1", health: "not listed" });
    const unproven = service("web", [web(1, [], { nodeHealthOnly: true }), web(2)]);
    expect(whyOf(facts(unproven))).toEqual(["joining: waits for HAProxy's first good check"]);
  });
});

describe("why a service is or is not there", () => {
  const why = (given: ServiceFacts) => explainService(given).selected;

  test("unknown, unselected, unwatched, hidden", () => {
    expect(why(facts(undefined)).why).toBe("Consul lists no service of this name");
    expect(why(facts(undefined, { aside: "unselected" })).why).toContain("nothing exposes it");
    expect(why(facts(undefined, { aside: "unwatched" })).why).toContain("no connection left");
    expect(why(facts(service("web", [web(1, ["haproxy.enable=false"])])))).toMatchObject({ yes: false });
    expect(why(facts(service("web", [instance("web", 1, { tags: [] })])))).toMatchObject({ yes: false });
  });

  test("where each option came from, the highest source last", () => {
    const { services } = settings({ services: { options: { web: { retries: 2, "timeout.queue": "3s" } } } });
    const listed = service("web", [web(1, ["haproxy.retries=4", "haproxy.balance=leastconn"])]);
    const override = { options: { balance: "first" }, problems: ["docs: is no option"] };
    const { options, problems } = explainService(facts(listed, { settings: services, override }));
    expect(options.map(({ key, source }) => `${key} by ${source}`)).toEqual([
      'balance by override "sluice/services/web: balance"',
      'enable by tag "haproxy.enable=true"',
      'retries by tag "haproxy.retries=4"',
      'timeout.queue by settings "services.options.web: timeout.queue"',
    ]);
    expect(problems).toEqual(["override: docs: is no option"]);
  });
});

describe("why a request goes where it goes", () => {
  const ask = (loadBalancer: LoadBalancer, target: string, more: Partial<RequestQuestion> = {}, given: object = {}) => {
    const read = readRequest({ target, method: "GET", headers: [], ...more });
    if (read === undefined) throw new Error(`${target} is no request`);
    return explainRequest(read, { loadBalancer, settings: settings(given), seen: undefined });
  };

  test("what is a request and what is not", () => {
    for (const target of ["web", ""]) {
      expect(readRequest({ target, method: "GET", headers: [] })).toBeUndefined();
    }
    expect(readRequest({ target: "a.b:81/x?y=1", method: "GET", headers: [] })).toMatchObject({
      text: "GET http://a.b:81/x?y=1",
      request: { host: "a.b:81", path: "/x", tls: false },
    });
    expect(readRequest({ target: "tls://db.example.com:5432", method: "GET", headers: [] })).toMatchObject({
      kind: "tcp",
      port: 5432,
      name: "db.example.com",
    });
  });

  test("shares of servers by their weights; a backup gets nothing while another serves", () => {
    const pool = [web(1, ["haproxy.weight=3"]), web(2), web(3, ["haproxy.backup=true"])];
    const { servers, answer, serves } = ask(routed([service("web", pool)]), "web.service.local");
    expect(servers.map(({ share, state }) => [share, state])).toEqual([
      [0.75, ""],
      [0.25, ""],
      [0, "backup"],
    ]);
    expect(answer).toBe("answered by one of 2 servers");
    expect(serves).toBe(true);
  });

  test("no route, no server, an address kept out, a redirect, no scheme of that name", () => {
    const tagged = (...tags: readonly string[]) => routed([service("web", [web(1, tags)])]);
    expect(ask(tagged(), "other.example.com/").answer).toContain("404");
    const empty = routed([service("web", [])]);
    expect(ask(empty, "web.service.local").answer).toBe(
      "503, the page for a service that cannot answer: backend web has no server",
    );
    const kept = tagged("haproxy.deny=192.0.2.0/24");
    expect(ask(kept, "web.service.local", { from: "192.0.2.9" }).answer).toContain("403");
    expect(ask(kept, "web.service.local", { from: "198.51.100.1" }).serves).toBe(true);
    expect(ask(tagged("haproxy.redirect=302,https://x.example.com$path"), "web.service.local").answer).toContain("302");
    expect(ask(tagged("haproxy.auth=staff"), "web.service.local").answer).toContain("403: nobody");
    expect(ask(tagged("haproxy.https-redirect=true"), "web.service.local").answer).toContain("301");
  });

  test("a port that is opened, one that is not, one that may not be", () => {
    const tcp = (port: number) =>
      routed([service("db", [instance("db", 1, { tags: [`haproxy.listen=${port}`, "haproxy.mode=tcp"] })])]);
    expect(ask(tcp(5432), ":5432")).toMatchObject({ serves: true, answer: "answered by db/db-1_10.0.0.1:8080" });
    expect(ask(tcp(5432), ":5433").listener).toBe("no listener");
    expect(ask(tcp(22), ":22").lost[0]).toContain('"db"');
  });
});

test("listeners.map read as the frontend does: the name, what is above it, the port", () => {
  const rows = [
    { key: "443=", value: "any" },
    { key: "443/*.example.com=", value: "wild|list" },
    { key: "443/a.example.com=10", value: "one" },
    { key: "443/a.example.com=11", value: "two" },
  ];
  expect(listenPlaces(rows, 443, "a.example.com")).toEqual([
    { backend: "one", list: "", share: 0.1 },
    { backend: "two", list: "", share: 0.1 },
  ]);
  expect(listenPlaces(rows, 443, "x.y.example.com")).toEqual([{ backend: "wild", list: "list", share: 1 }]);
  expect(listenPlaces(rows, 443, "example.org")).toEqual([{ backend: "any", list: "", share: 1 }]);
  expect(listenPlaces(rows, 444, "")).toEqual([]);
});
