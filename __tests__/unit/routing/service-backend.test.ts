import { describe, expect, test } from "@jest/globals";
import type { CatalogService, Instance, Override } from "../../../src/catalog/types.ts";
import { type ServiceBackend, serviceBackend } from "../../../src/routing/backend.ts";
import type { Claim, RoutePattern } from "../../../src/routing/types.ts";
import { instance, service, settings } from "./fixtures.ts";

const nobody = { admitted: new Set<string>(), doubted: new Set<string>() };

function found(given: CatalogService, more: object = {}, override?: Override): ServiceBackend {
  const result = serviceBackend(given, settings(more), () => nobody, override);
  if (result === undefined) throw new Error("the service is hidden");
  return result;
}

const tagged = (number: number, tags: readonly string[], more: Partial<Instance> = {}) =>
  instance("web", number, { tags: [...tags].sort(), ...more });
const web = (...instances: readonly Instance[]) => service("web", instances);
const one = (...tags: readonly string[]) => web(tagged(1, tags));
const override = (options: Override["options"], more: Partial<Override> = {}): Override => ({
  options,
  problems: [],
  ...more,
});
const place = ({ listen, host, path }: RoutePattern) => `${listen === undefined ? "" : `:${listen} `}${host}${path}`;
/** `place → who carries it`, with what a request must have besides. */
const briefly = (claim: Claim) => {
  const { pattern, carriers, options } = claim;
  const conditions = pattern.conditions.map((one) => JSON.stringify(one)).join();
  return [
    place(pattern) + (pattern.methods.length > 0 ? ` ${pattern.methods}` : "") + conditions,
    ...(carriers === "all" ? [] : [carriers.map((name) => name.split("_")[0]).join()]),
    ...Object.entries(options).map(([key, value]) => `${key}=${JSON.stringify(value)}`),
  ].join(" ");
};
const claimsOf = (backend: ServiceBackend) => backend.claims.map(briefly).sort();

describe("claims", () => {
  test("a service that says no more than that it is there has its name below the domain", () => {
    expect(found(one("haproxy.enable=true")).claims).toEqual([
      {
        pattern: { host: "web.service.local", path: "/", match: "prefix", methods: [], conditions: [] },
        options: {},
        priority: 0,
        sticky: false,
        origin: { service: "web", kind: "domain", text: "web.service.local" },
        backend: "web",
        carriers: "all",
        count: 1,
        since: Number.MAX_SAFE_INTEGER,
      },
    ]);
  });

  test("few words that ask for very many routes get the first thousands, what guards a part of them before all", () => {
    const many = (count: number, make: (at: number) => string) => Array.from({ length: count }, (_, at) => make(at));
    const { claims, excluded } = found(
      one(
        ...many(2_000, (at) => `haproxy.host=h${at}.example.com`),
        ...many(2_000, (at) => `haproxy.path=/p${at}`),
        "haproxy.route.admin.host=h1.example.com",
        "haproxy.route.admin.path=/p1/admin",
        "haproxy.route.admin.auth=staff",
      ),
    );
    expect(claims).toHaveLength(5_000);
    expect(claims.filter(({ options }) => options.auth === "staff").map(({ pattern }) => place(pattern))).toEqual([
      "h1.example.com/p1/admin",
      "web.service.local/p1/admin",
    ]);
    expect(excluded.map(({ reason }) => reason)).toContainEqual(expect.stringContaining("more than 5000 routes"));
    const passed = found(
      one(
        "haproxy.mode=tcp",
        `haproxy.listen=${many(150, (at) => String(20_000 + at))}`,
        ...many(2_000, (at) => `haproxy.host=h${at}.example.com`),
      ),
    );
    expect(passed.listens.length).toBeLessThanOrEqual(5_000);
    expect(passed.excluded.map(({ reason }) => reason)).toContainEqual(expect.stringContaining("2000 names"));
  });

  test("each host with each path, and the name below the domain with all paths; all with the same options", () => {
    const given = one(
      "haproxy.host=a.example.com,B.example.com.:8080",
      "haproxy.path=/x,=/y,/z/",
      "haproxy.auth=staff",
    );
    expect(found(given).claims.map(({ pattern }) => pattern)).toEqual(
      expect.arrayContaining([
        { host: "a.example.com", path: "/x", match: "segments", methods: [], conditions: [] },
        { host: "a.example.com", path: "/y", match: "exact", methods: [], conditions: [] },
        { host: "a.example.com", path: "/z/", match: "prefix", methods: [], conditions: [] },
        { host: "b.example.com", hostPort: 8080, path: "/x", match: "segments", methods: [], conditions: [] },
        { host: "web.service.local", path: "/", match: "prefix", methods: [], conditions: [] },
      ]),
    );
    expect(found(given).claims).toHaveLength(7);
    for (const { options } of found(given).claims) expect(options).toEqual({ auth: "staff" });
  });

  test("a host alone is all its paths, a path alone all hosts", () => {
    expect(claimsOf(found(one("haproxy.host=a.example.com")))).toEqual(["a.example.com/", "web.service.local/"]);
    expect(claimsOf(found(one("haproxy.path=/x")))).toEqual(["/x", "web.service.local/"]);
  });

  test("methods and headers are part of the pattern, sorted, by either name", () => {
    const given = one(
      "haproxy.path=/x",
      "haproxy.method=PUT,GET,PUT",
      "haproxy.header=X-V: 2",
      "haproxy.header=A ~ ^b",
    );
    for (const { pattern, options } of found(given).claims) {
      expect(pattern.methods).toEqual(["GET", "PUT"]);
      expect(pattern.conditions).toEqual([
        { on: "header", name: "a", is: "like", value: "^b" },
        { on: "header", name: "x-v", is: "equal", value: "2" },
      ]);
      expect(options).toEqual({});
    }
  });

  test("a named route inherits but host and path, and guards its path below the domain too", () => {
    const given = one(
      "haproxy.host=a.example.com",
      "haproxy.rate=9/1s",
      "haproxy.route.admin.path=/admin",
      "haproxy.route.admin.auth=staff",
      "haproxy.route.www.host=www.example.com",
      "haproxy.route.www.rate=1/1s",
    );
    expect(claimsOf(found(given))).toEqual([
      '/admin auth="staff" rate={"requests":9,"period":"1s"}',
      'a.example.com/ rate={"requests":9,"period":"1s"}',
      'web.service.local/ rate={"requests":9,"period":"1s"}',
      'web.service.local/admin auth="staff" rate={"requests":9,"period":"1s"}',
      'www.example.com/ rate={"requests":1,"period":"1s"}',
    ]);
  });

  test("own ports of http have all paths, or the hosts and paths that are asked for", () => {
    expect(claimsOf(found(one("haproxy.listen=8081")))).toEqual([":8081 /", "web.service.local/"]);
    const given = found(one("haproxy.listen=8081,8082", "haproxy.host=a.example.com"));
    expect(claimsOf(given)).toEqual([
      ":8081 a.example.com/",
      ":8082 a.example.com/",
      "a.example.com/",
      "web.service.local/",
    ]);
    expect(given.listens.map(({ port, mode, sni, backend }) => [port, mode, sni, backend])).toEqual([
      [8081, "http", "", "web"],
      [8082, "http", "", "web"],
    ]);
  });

  test("the port of the settings' domain is of no matter, its name is", () => {
    expect(claimsOf(found(one("haproxy.enable"), { http: { domain: "Example.COM" } }))).toEqual(["web.example.com/"]);
  });

  test("a name that cannot stand in a host is said, and only that is lost", () => {
    const given = service("a b", [instance("a b", 1, { tags: ["haproxy.host=a.example.com"] })]);
    expect(claimsOf(found(given))).toEqual(["a.example.com/"]);
    expect(found(given).excluded).toMatchObject([{ service: "a b", code: "host-unusable" }]);
  });
});

describe("instances that say different things", () => {
  test("each carries what it says: two versions of a tag are two routes", () => {
    const given = web(
      tagged(1, ["haproxy.host=old.example.com"], { createIndex: 5 }),
      tagged(2, ["haproxy.host=new.example.com"], { createIndex: 9 }),
      tagged(3, ["haproxy.host=new.example.com,both.example.com"], { createIndex: 7 }),
    );
    const { claims, excluded } = found(given);
    expect(claims.map(briefly).sort()).toEqual([
      "both.example.com/ web-3",
      "new.example.com/ web-2,web-3",
      "old.example.com/ web-1",
      "web.service.local/",
    ]);
    expect(excluded).toEqual([]);
    const newer = claims.find(({ pattern }) => pattern.host === "new.example.com");
    expect([newer?.count, newer?.since]).toEqual([2, 7]);
  });

  test("one who says nothing serves the name below the domain on the terms of those who speak", () => {
    const given = web(tagged(1, []), tagged(2, ["haproxy.auth=staff", "haproxy.host=a.example.com"]));
    expect(claimsOf(found(given))).toEqual(['a.example.com/ web-2 auth="staff"', 'web.service.local/ auth="staff"']);
  });

  test("critical ones keep their routes and count for nothing", () => {
    const given = web(tagged(1, ["haproxy.host=a"], { health: "critical" }), tagged(2, ["haproxy.host=b"]));
    const claims = found(given).claims.map(({ pattern, carriers, count }) => [pattern.host, carriers, count]);
    expect(claims).toEqual(
      expect.arrayContaining([
        ["a", [], 0],
        ["b", "all", 1],
      ]),
    );
  });

  test("drained ones carry and are not counted", () => {
    const given = web(tagged(1, ["haproxy.path=/x"]), tagged(2, ["haproxy.path=/x"], { health: "maintenance" }));
    for (const { carriers, count } of found(given).claims) expect([carriers, count]).toEqual(["all", 1]);
  });
});

describe("a canary", () => {
  const stable = tagged(1, ["haproxy.host=a.example.com"]);

  test("has its share together, however many they are", () => {
    const canary = ["haproxy.host=a.example.com", "haproxy.canary.weight=5%", "haproxy.canary.sticky=true"];
    const { claims } = found(web(stable, tagged(2, canary), tagged(3, canary)));
    const shares = claims
      .filter(({ pattern }) => pattern.host === "a.example.com")
      .map(({ share, sticky, count, options }) => ({ share, sticky, count, options }));
    expect(shares).toEqual(
      expect.arrayContaining([
        { share: { part: 0.05, of: "together" }, sticky: true, count: 2, options: {} },
        { share: undefined, sticky: false, count: 1, options: {} },
      ]),
    );
    expect(shares).toHaveLength(2);
  });

  test("is reached by header or cookie whatever its weight, before those without", () => {
    const canary = [
      "haproxy.host=a.example.com",
      "haproxy.canary.weight=0",
      "haproxy.canary.header=X-Canary: always",
      "haproxy.canary.cookie=canary=1",
      "haproxy.priority=3",
    ];
    const { claims } = found(web(stable, tagged(2, canary)));
    const there = claims.filter(({ pattern }) => pattern.host === "a.example.com");
    expect(there.map(({ pattern: { conditions }, priority, share }) => ({ conditions, priority, share }))).toEqual(
      expect.arrayContaining([
        { conditions: [], priority: 3, share: { part: 0, of: "together" } },
        {
          conditions: [{ on: "header", name: "x-canary", is: "equal", value: "always" }],
          priority: 1_000_004,
          share: undefined,
        },
        { conditions: [{ on: "cookie", name: "canary", value: "1" }], priority: 1_000_004, share: undefined },
        { conditions: [], priority: 0, share: undefined },
      ]),
    );
  });
});

describe("precedence", () => {
  const given = one("haproxy.host=tag.example.com", "haproxy.retries=2", "haproxy.weight=20");
  const documents = {
    services: {
      options: {
        "*": { retries: 9, "timeout.server": "9s", "timeout.queue": "9s", path: "/all" },
        web: { "timeout.queue": "8s", weight: 80, backup: true },
      },
    },
  };

  test("override, then tags, then meta, then the settings of the service, then those of all", () => {
    const { backend, claims } = found(given, documents, override({ "timeout.queue": 7_000, host: ["kv.example.com"] }));
    expect(backend.options).toEqual({ retries: 2, "timeout.server": 9_000, "timeout.queue": 7_000 });
    expect(backend.servers).toMatchObject([{ weight: 20, options: { backup: true } }]);
    expect(claims.map(({ pattern: { host, path }, origin: { kind } }) => `${host}${path} ${kind}`).sort()).toEqual([
      "kv.example.com/all override",
      "web.service.local/ domain",
    ]);
  });

  test("an override is read for one service only; its named routes go before those of the tags", () => {
    const { claims } = found(
      one("haproxy.route.api.path=/api", "haproxy.route.api.auth=tags"),
      {},
      override({ deny: ["10.0.0.0/8"] }, { routes: { api: { auth: "kv" }, more: { path: ["/more"] } } }),
    );
    expect(claims.map(briefly).sort()).toEqual([
      '/api auth="kv" deny=["10.0.0.0/8"]',
      '/more deny=["10.0.0.0/8"]',
      'web.service.local/ deny=["10.0.0.0/8"]',
      'web.service.local/api auth="kv" deny=["10.0.0.0/8"]',
      'web.service.local/more deny=["10.0.0.0/8"]',
    ]);
  });

  test("what of an override could not be read is said", () => {
    const { excluded } = found(given, {}, override({}, { problems: ["blance is no option"] }));
    expect(excluded).toEqual([
      { service: "web", code: "option-unusable", reason: "sluice/services/web: blance is no option" },
    ]);
  });

  test("a protocol of a higher source is not left with the TLS of a lower one", () => {
    const over = (tags: readonly string[]) =>
      found(one(...tags), { services: { options: { "*": { protocol: "https", "tls.verify": "none" } } } });
    expect(over(["haproxy.protocol=grpc"]).backend.servers[0]?.options).toEqual({ protocol: "h2" });
    expect(over(["haproxy.enable"]).backend.servers[0]?.options).toEqual({ tls: true, "tls.verify": "none" });
  });

  test.each<[string, CatalogService, object, Override | undefined, boolean]>([
    ["a tag hides it", one("haproxy.enable=false", "urlprefix-/x"), {}, undefined, false],
    ["an override shows what a tag hides", one("haproxy.enable=false"), {}, override({ enable: true }), true],
    ["an override hides what a tag shows", one("haproxy.enable=true"), {}, override({ enable: false }), false],
    [
      "the settings hide all",
      one("haproxy.host=a"),
      { services: { options: { "*": { enable: false } } } },
      undefined,
      false,
    ],
    [
      "a tag shows what the settings hide",
      one("haproxy.enable=true"),
      { services: { options: { "*": { enable: false } } } },
      undefined,
      true,
    ],
    ["nothing shows it", one("v1"), {}, undefined, false],
    ["the settings show it", one("v1"), { services: { options: { web: { enable: true } } } }, undefined, true],
  ])("enable: %s", (_, shown, more, kv, exposed) => {
    expect(serviceBackend(shown, settings(more), () => nobody, kv) !== undefined).toBe(exposed);
  });
});

describe("what holds for the service as a whole", () => {
  const instances = (indices: readonly (number | undefined)[], priorities: readonly number[] = []) =>
    web(
      ...["leastconn", "source", "source"].map((balance, at) => {
        const createIndex = indices[at];
        const priority = priorities[at] === undefined ? [] : [`haproxy.priority=${priorities[at]}`];
        return tagged(at + 1, [`haproxy.balance=${balance}`, ...priority], {
          ...(createIndex !== undefined && { createIndex }),
        });
      }),
    );

  test.each<[string, CatalogService, string, readonly string[]]>([
    ["the older registration", instances([7, 9, 8]), "leastconn", ["web-2", "web-3"]],
    ["the older one, whatever its name", instances([7, 9, 3]), "source", ["web-1"]],
    ["the higher priority before the older", instances([1, 2, 3], [0, 4, 0]), "source", ["web-1"]],
    ["the first by name, where no age is known", instances([]), "leastconn", ["web-2", "web-3"]],
  ])("%s has it, the others are named", (_, given, balance, losers) => {
    for (const order of [given.instances, given.instances.toReversed()]) {
      const { backend, excluded } = found({ ...given, instances: order });
      expect(backend.balance).toBe(balance);
      expect(backend.consistent).toBe(balance === "source");
      expect(excluded.map((one) => [one.instance, one.code]).sort()).toEqual(
        losers.map((id) => [`node-${id.at(-1)}/${id}`, "option-unusable"]),
      );
      for (const { reason } of excluded) expect(reason).toContain(`haproxy.balance=${balance}" of`);
    }
  });

  test("an override settles it, and nobody is named", () => {
    const { backend, excluded } = found(instances([7, 9, 8]), {}, override({ balance: "first" }));
    expect([backend.balance, excluded]).toEqual(["first", []]);
  });

  test("settings that have a field or a setting of their own are no options of the backend", () => {
    const { backend } = found(
      one(
        "haproxy.balance=uri",
        "haproxy.panic=serve",
        "haproxy.admit=at-once",
        "haproxy.listen=8081",
        "haproxy.check=http",
      ),
    );
    expect(backend).toMatchObject({ balance: "uri", consistent: true, options: { check: "http" } });
    expect(Object.keys(backend.options)).toEqual(["check"]);
  });
});

describe("beside Fabio's tags", () => {
  test("Fabio's tags alone make their routes and no name below the domain", () => {
    expect(claimsOf(found(one("urlprefix-a.example.com/x")))).toEqual(["a.example.com/x"]);
    for (const more of [{ services: { expose: "all" } }, { services: { options: { web: { enable: true } } } }]) {
      expect(claimsOf(found(one("urlprefix-/x"), more))).toEqual(["/x", "web.service.local/"]);
    }
    expect(claimsOf(found(one("urlprefix-/x"), {}, override({ weight: 0 })))).toEqual(["/x"]);
    expect(claimsOf(found(one("urlprefix-/x"), {}, override({ host: ["kv"] })))).toEqual([
      "/x",
      "kv/",
      "web.service.local/",
    ]);
  });

  test("with own words beside them there is the name, and what guards it guards Fabio's routes; theirs goes before", () => {
    const tags = ["urlprefix-a/x auth=fabio", "urlprefix-b/", "haproxy.auth=own", "haproxy.strip=/s", "haproxy.hsts=1"];
    expect(claimsOf(found(one(...tags)))).toEqual([
      'a/x hsts="max-age=1" auth="fabio"',
      'b/ hsts="max-age=1" auth="own"',
      'web.service.local/ strip="/s" hsts="max-age=1" auth="own"',
    ]);
    expect(claimsOf(found(one(...tags), {}, override({ auth: "kv" }))).filter((one) => !one.startsWith("web"))).toEqual(
      ['a/x hsts="max-age=1" auth="kv"', 'b/ hsts="max-age=1" auth="kv"'],
    );
  });

  test.each<[string, readonly string[], boolean]>([
    ["a guarded tag of Fabio's", ["urlprefix-a/ auth=staff", "haproxy.weight=5"], false],
    ["a guarded named route", ["haproxy.route.x.host=a", "haproxy.route.x.allow=10.0.0.0/8"], false],
    ["with a guard of its own", ["urlprefix-a/ auth=staff", "haproxy.allow=10.0.0.0/8"], true],
    ["with a host at large", ["urlprefix-a/ auth=staff", "haproxy.host=b"], true],
    ["nothing guarded", ["urlprefix-a/ strip=/x", "haproxy.weight=5"], true],
  ])("the name below the domain is no way around a guard: %s", (_, tags, open) => {
    const { claims, excluded } = found(one(...tags));
    expect(claims.some(({ origin }) => origin.kind === "domain")).toBe(open);
    expect(excluded.map(({ code }) => code)).toEqual(open ? [] : ["option-unusable"]);
    if (!open) expect(excluded[0]?.reason).toContain("web.service.local would be a way around");
  });

  test("nor is a port of its own, unless it says by which hosts and paths", () => {
    const tags = ["urlprefix-a/ auth=staff", "haproxy.listen=8081"];
    expect(claimsOf(found(one(...tags)))).toEqual(['a/ auth="staff"']);
    expect(found(one(...tags)).excluded[0]?.reason).toContain("the host web.service.local, port 8081 would be");
    const named = ["haproxy.listen=8081", "haproxy.route.x.path=/x", "haproxy.route.x.auth=staff"];
    expect(claimsOf(found(one(...named)))).toEqual(['/x auth="staff"', ':8081 /x auth="staff"']);
    expect(claimsOf(found(one(...named, "haproxy.path=/y")))).toContain(":8081 /y");
  });

  test("who is kept from the service is kept from the ports of Fabio's tags", () => {
    const tags = ["urlprefix-:5432 proto=tcp", "haproxy.deny=10.0.0.0/8"];
    expect(found(one(...tags)).listens).toMatchObject([{ port: 5432, deny: ["10.0.0.0/8"] }]);
    const over = found(one(...tags), {}, override({ deny: ["10.1.0.0/16"] }));
    expect(over.listens).toMatchObject([{ port: 5432, deny: ["10.1.0.0/16"] }]);
  });

  test("what Fabio's tags say of the server goes below the service's own words", () => {
    const tags = ["urlprefix-/x proto=https tlsskipverify=true"];
    expect(found(one(...tags)).backend.servers[0]?.options).toEqual({ tls: true, "tls.verify": "none" });
    const own = ["haproxy.tls.verify=required", "haproxy.tls.sni=in.example.com"];
    expect(found(one(...tags, ...own)).backend.servers[0]?.options).toEqual({
      tls: true,
      "tls.verify": "required",
      "tls.sni": "in.example.com",
    });
  });
});

describe("bytes that are passed on", () => {
  test("mode=tcp has its ports and names, and no route", () => {
    const given = one(
      "haproxy.mode=tcp",
      "haproxy.listen=5432,6432",
      "haproxy.host=DB.example.com",
      "haproxy.deny=10.0.0.0/8",
    );
    const { backend, claims, listens, excluded, tcp } = found(given);
    expect([backend.name, backend.mode, tcp]).toEqual(["web", "tcp", undefined]);
    expect([claims, excluded]).toEqual([[], []]);
    expect(listens).toEqual(
      [5432, 6432].map((port) => ({
        port,
        mode: "tcp",
        sni: "db.example.com",
        backend: "web",
        priority: 0,
        since: Number.MAX_SAFE_INTEGER,
        deny: ["10.0.0.0/8"],
        origin: { service: "web", kind: "tag", text: "haproxy.listen=5432,6432" },
      })),
    );
  });

  test("protocol=tcp is mode=tcp; without a port nothing leads there, and that is said", () => {
    const { backend, listens, excluded } = found(one("haproxy.protocol=tcp"));
    expect([backend.mode, listens]).toEqual(["tcp", []]);
    expect(excluded).toMatchObject([{ code: "option-unusable", reason: expect.stringContaining("haproxy.listen") }]);
  });

  test("what only HTTP has is named, and reaches neither backend nor server", () => {
    const given = one(
      "haproxy.mode=tcp",
      "haproxy.listen=5432",
      "haproxy.path=/x",
      "haproxy.sticky=S",
      "haproxy.balance=hdr(X)",
      "haproxy.check=http",
      "haproxy.tls=true",
      "haproxy.tls.sni=host",
      "haproxy.maxconn=5",
    );
    const { backend, excluded } = found(given, { services: { options: { "*": { "response-header.del": "Server" } } } });
    expect(backend).toMatchObject({
      mode: "tcp",
      balance: "roundrobin",
      consistent: false,
      options: { check: "http" },
    });
    expect(Object.keys(backend.options)).toEqual(["check"]);
    expect(backend.servers[0]?.options).toEqual({ maxconn: 5, tls: true });
    const named = excluded.map(({ reason }) => reason).join();
    expect(excluded).toHaveLength(3);
    for (const tag of ["haproxy.path=/x", "haproxy.sticky=S", "haproxy.balance=hdr(X)"]) expect(named).toContain(tag);
  });

  test("Fabio's tcp alone makes the backend one of bytes; beside its routes there are two", () => {
    const alone = found(one("urlprefix-:5432 proto=tcp"));
    expect([alone.backend.name, alone.backend.mode, alone.tcp]).toEqual(["web", "tcp", undefined]);
    expect(alone.listens.map(({ port, backend }) => [port, backend])).toEqual([[5432, "web"]]);
    const both = found(one("urlprefix-:5432 proto=tcp", "urlprefix-a.example.com/"));
    expect([both.backend.name, both.backend.mode, both.tcp?.name, both.tcp?.mode]).toEqual([
      "web",
      "http",
      "web:tcp",
      "tcp",
    ]);
    expect(both.tcp?.servers).toEqual(both.backend.servers);
    expect(both.listens.map(({ port, backend }) => [port, backend])).toEqual([[5432, "web:tcp"]]);
    expect(claimsOf(both)).toEqual(["a.example.com/"]);
  });

  test("own mode=tcp beside a route of Fabio's leaves the route", () => {
    const tags = ["haproxy.mode=tcp", "haproxy.listen=5432", "haproxy.allow=10.0.0.0/8", "urlprefix-a.example.com/"];
    const both = found(one(...tags));
    expect([both.backend.mode, both.tcp?.name]).toEqual(["http", "web:tcp"]);
    expect(both.listens.map(({ port, backend }) => [port, backend])).toEqual([[5432, "web:tcp"]]);
    expect(claimsOf(both)).toEqual(['a.example.com/ allow=["10.0.0.0/8"]']);
  });
});

describe("a service without instances", () => {
  const tags = ["haproxy.host=a.example.com", "haproxy.retries=7"];

  test("has its name, and what the settings and an override say", () => {
    const { backend, claims } = found(
      web(),
      { services: { options: { web: { path: "/x" } } } },
      override({ auth: "kv" }),
    );
    expect(backend.servers).toEqual([]);
    expect(claims.map(briefly).sort()).toEqual(['/x auth="kv"', 'web.service.local/ auth="kv"']);
    expect(claims.map(({ carriers, count }) => [carriers, count])).toEqual([
      ["all", 0],
      ["all", 0],
    ]);
  });

  test("keeps what its last instances said", () => {
    const before = found(one(...tags));
    const { instances } = one(...tags);
    const after = found(service("web", [], { spoke: instances }));
    expect(after.backend).toEqual({ ...before.backend, servers: [] });
    expect(after.claims).toEqual(before.claims.map((claim) => ({ ...claim, count: 0 })));
    const fabio = one("urlprefix-/x");
    expect(claimsOf(found(service("web", [], { spoke: fabio.instances })))).toEqual(["/x"]);
  });

  test("elsewhere stands in on all its routes, and nobody elsewhere makes one", () => {
    const far = instance("web", 9, {
      service: { datacenter: "dc2", name: "web" },
      tags: ["haproxy.host=far.example.com", "haproxy.maxconn=9"],
    });
    const { backend, claims } = found(service("web", [], { spoke: one(...tags).instances, elsewhere: [far] }), {
      services: { failover: "dc2" },
    });
    expect(backend.servers).toMatchObject([{ options: { backup: true, maxconn: 9 } }]);
    expect(claims.map(briefly).sort()).toEqual(["a.example.com/", "web.service.local/"]);
    const beside = found({ ...one(...tags), elsewhere: [far] }, { services: { failover: "dc2" } });
    expect(beside.claims.map(({ carriers, count }) => [carriers, count])).toEqual([
      ["all", 1],
      ["all", 1],
    ]);
  });
});
