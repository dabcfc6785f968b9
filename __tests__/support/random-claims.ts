import fc from "fast-check";
import type { HttpRequest } from "../../src/routing/match.ts";
import type { Backend, Claim, Condition } from "../../src/routing/types.ts";
import { backend, server } from "../unit/render/fixtures.ts";

const hosts = ["", "a.x", "b.a.x", "c.b.a.x", "x", "*.x", "*.a.x", "*", "{a,c.b}.*", "?.x", "b.*"];
const paths = ["/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/a/b/"];
const conditions: readonly (readonly Condition[])[] = [
  [],
  [],
  [],
  [{ on: "header", name: "x-a", is: "present" }],
  [{ on: "header", name: "x-a", is: "equal", value: "1 (2)" }],
  [{ on: "header", name: "x-a", is: "like", value: "^1|3$" }],
  [
    { on: "cookie", name: "c", value: "1" },
    { on: "header", name: "x-b", is: "like", value: "[^a]\\s?b." },
  ],
];
/** What the claims below lead to; the last has no servers. */
export const claimedBackends: ReadonlyMap<string, Backend> = new Map(
  ["one", "two", "three", "none"].map((name, index) => {
    const servers = ["s1", "s2", "s3"].slice(0, name === "none" ? 0 : index + 1);
    return [
      name,
      backend(
        name,
        servers.map((one, at) => server(one, `10.0.0.${at + 1}`, 80, { weight: at * 3 })),
      ),
    ];
  }),
);

/** Of few hosts, paths and services, so that many meet. */
export const randomClaim: fc.Arbitrary<Claim> = fc
  .record({
    listen: fc.constantFrom(undefined, undefined, undefined, 8081),
    host: fc.constantFrom(...hosts),
    hostPort: fc.constantFrom(undefined, undefined, undefined, 80, 81),
    path: fc.constantFrom(...paths),
    match: fc.constantFrom("prefix", "segments", "exact"),
    methods: fc.constantFrom([], [], ["GET"], ["POST", "PUT"]),
    conditions: fc.constantFrom(...conditions),
    strip: fc.constantFrom(undefined, "/a"),
    guard: fc.constantFrom(undefined, undefined, { auth: "staff" }, { allow: ["10.0.0.0/9"] }, { deny: ["::/0"] }),
    dst: fc.boolean(),
    priority: fc.integer({ min: 0, max: 2 }),
    since: fc.integer({ min: 0, max: 3 }),
    name: fc.constantFrom(...claimedBackends.keys()),
    some: fc.constantFrom<"all" | readonly string[]>("all", "all", ["s1"], ["s1", "s2"]),
    share: fc.constantFrom(
      undefined,
      undefined,
      { part: 0.1, of: "each" } as const,
      { part: 0.3, of: "together" } as const,
    ),
    sticky: fc.boolean(),
    kind: fc.constantFrom("tag", "tag", "fabio", "domain"),
  })
  .map(({ listen, hostPort, strip, guard, dst, name, some, share, kind, ...rest }) => {
    const { host, path, match, methods, conditions: asked, priority, since, sticky } = rest;
    const carriers = name === "none" ? "all" : some;
    const all = claimedBackends.get(name)?.servers.length ?? 0;
    return {
      pattern: {
        host,
        path,
        match,
        methods,
        conditions: asked,
        ...(listen !== undefined && { listen }),
        ...(hostPort !== undefined && { hostPort }),
      },
      options: { ...(strip !== undefined && { strip }), ...(dst && { "host-header": "dst" }), ...guard },
      priority,
      backend: name,
      carriers,
      count: carriers === "all" ? all : carriers.length,
      ...(share !== undefined && { share }),
      sticky,
      since,
      origin: { service: name, kind, text: `${host}${path}` },
    } as Claim;
  });

/** For these hosts and paths, and others. */
export const randomRequest: fc.Arbitrary<HttpRequest> = fc
  .record({
    listen: fc.constantFrom(undefined, undefined, 8081, 8082),
    host: fc.constantFrom("", "a.x", "A.X.", "a.x:81", "b.a.x", "b.a.x:80", "c.b.a.x", "z.b.a.x:81", "x", "q.y", "b.q"),
    tls: fc.boolean(),
    path: fc.constantFrom(...paths, "/a%2fb", "//a/./b", "/a;b/c", "/a/b%3Fc", "/%3F", "/z", "/ab/c"),
    method: fc.constantFrom("GET", "POST", "HEAD"),
    headers: fc.constantFrom(
      {},
      { "x-a": "1 (2)" },
      { "x-a": "23" },
      { cookie: "b=2; c=1", "x-b": "b bc" },
      { "x-a": "" },
    ),
    client: fc.constantFrom("10.0.0.1", "10.200.0.1", "::1"),
  })
  .map(({ listen, ...rest }) => (listen === undefined ? rest : { ...rest, listen }));
