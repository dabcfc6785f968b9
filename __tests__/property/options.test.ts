import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { CatalogService, Instance } from "../../src/catalog/types.ts";
import { type ServiceBackend, serviceBackend } from "../../src/routing/backend.ts";
import { metaKeyOf, type OptionKey, optionTable } from "../../src/settings/options/table.ts";
import { instance, service, settings } from "../unit/routing/fixtures.ts";

const keys = Object.keys(optionTable) as OptionKey[];
const nobody = { admitted: new Set<string>(), doubted: new Set<string>() };
const base = settings();

/** Values of options that some tests' services share, so that instances agree, differ, and conflict. */
const values: Partial<Record<OptionKey, readonly string[]>> = {
  host: ["a.example.com", "b.example.com:81", "*.example.com,A.example.com"],
  path: ["/", "/x", "=/x", "/x,/y/"],
  priority: ["0", "7"],
  mode: ["http", "tcp"],
  listen: ["8081", "8082,8083"],
  "canary.weight": ["5", "100"],
  weight: ["0", "7"],
};
const option = fc
  .constantFrom(...keys)
  .chain((key) => fc.constantFrom(...(values[key] ?? []), optionTable[key].example).map((value) => ({ key, value })));
const routeKeys = keys.filter((key) => optionTable[key].scope === "route");
const ownTag = fc.oneof(
  option.map(({ key, value }) => `haproxy.${key}=${value}`),
  fc
    .tuple(fc.constantFrom("api", "v2"), fc.constantFrom(...routeKeys))
    .map(([name, key]) => `haproxy.route.${name}.${key}=${values[key]?.[1] ?? optionTable[key].example}`),
);
const goodTag = fc.oneof(
  { weight: 5, arbitrary: ownTag },
  fc.constantFrom("v1", "urlprefix-/f strip=/f", "urlprefix-f.example.com/ auth=x", "urlprefix-:5432 proto=tcp"),
);
const meta = fc
  .uniqueArray(option, { maxLength: 3, selector: ({ key }) => key })
  .map((options) => Object.fromEntries(options.map(({ key, value }) => [metaKeyOf(key), value])));
const health = fc.constantFrom("passing", "passing", "warning", "critical", "maintenance") as fc.Arbitrary<
  Instance["health"]
>;
const instances = fc
  .array(
    fc.record({
      tags: fc.uniqueArray(goodTag, { maxLength: 5 }).map((tags) => tags.sort()),
      meta,
      health,
      createIndex: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((all) =>
    all.map(({ createIndex, ...more }, at) =>
      instance("web", at + 1, { ...more, ...(createIndex !== undefined && { createIndex }) }),
    ),
  );

function found(all: readonly Instance[], more: Partial<CatalogService> = {}): ServiceBackend | undefined {
  return serviceBackend(service("web", all, more), base, () => nobody);
}

describe("what a service comes to", () => {
  test("does not depend on the order of its instances", () => {
    fc.assert(
      fc.property(instances, fc.func(fc.integer()), (all, rank) => {
        const shuffled = [...all].sort((a, b) => rank(a.id) - rank(b.id));
        const sorted = (result: ServiceBackend | undefined) =>
          result && { ...result, excluded: result.excluded.map((one) => JSON.stringify(one)).sort() };
        expect(sorted(found(shuffled))).toEqual(sorted(found(all)));
      }),
      { numRuns: 300 },
    );
  });

  test("is what it was beside a tag or meta value that cannot be read, and that is named", () => {
    const bad = fc.oneof(
      fc.constantFrom("haproxy.", "haproxy.x=1", "haproxy.weight=-1", "haproxy.route.=1", "haproxy.route.a.b=1"),
      fc.constantFrom(...keys).map((key) => `haproxy.${key}=\u00a0\u2028`),
      fc.string({ maxLength: 30, unit: "binary" }).map((text) => `haproxy.${text}`),
      fc
        .tuple(fc.constantFrom(...keys), fc.string({ unit: "grapheme" }))
        .map(([key, text]) => `haproxy.${key}=#"'\\${text} `),
    );
    fc.assert(
      fc.property(instances, bad, (all, tag) => {
        const [first, ...others] = all as [Instance, ...Instance[]];
        // One that is exposed and speaks anyway: a tag that cannot be read still says that the service is meant.
        const speaking = { ...first, tags: [...first.tags, "haproxy.admit=auto"].sort() };
        const before = found([speaking, ...others]);
        const after = found([{ ...speaking, tags: [...speaking.tags, tag].sort() }, ...others]);
        const unread = (after?.excluded.length ?? 0) - (before?.excluded.length ?? 0);
        // By chance it may be one that can be read.
        fc.pre(
          before !== undefined &&
            unread === 1 &&
            /is no|is not|has no value|name|wrong kind|has a /.test(last(before, after)),
        );
        const { backend, ...rest } = before as ServiceBackend;
        expect(after).toMatchObject({ claims: rest.claims, listens: rest.listens, registers: rest.registers });
        expect({ ...after?.backend, servers: after?.backend.servers.map(withoutTags) }).toEqual({
          ...backend,
          servers: backend.servers.map(withoutTags),
        });
      }),
      { numRuns: 300 },
    );
  });

  test("holds no byte that is not meant to be there, whatever tags and meta are", () => {
    const hostile = fc.oneof(
      goodTag,
      fc
        .tuple(fc.constantFrom(...keys, "route.x.host", "route.x.path"), fc.string({ maxLength: 20, unit: "binary" }))
        .map(([key, text]) => `haproxy.${key}=${text}`),
      fc
        .tuple(
          option,
          fc.constantFrom("\n", "\r\n", "\0", "\u2028", "\u0085", "\u001b", "\t"),
          fc.string({ maxLength: 5 }),
        )
        .map(([{ key, value }, sign, text]) => `haproxy.${key}=${value}${sign}${text}`),
      fc.string({ maxLength: 20, unit: "binary" }).map((text) => `urlprefix-${text}`),
    );
    const everything = fc.array(hostile, { maxLength: 8 });
    fc.assert(
      fc.property(everything, everything, (tags, more) => {
        const values = Object.fromEntries(
          more.flatMap((tag) => {
            const [key = "", ...rest] = tag.split("=");
            return key.startsWith("haproxy.") ? [[key.replaceAll(/[^a-z]/g, "_"), rest.join("=")]] : [];
          }),
        );
        const result = found([instance("web", 1, { tags, meta: values })]);
        if (result === undefined) return;
        const { backend, tcp, claims, listens, excluded } = result;
        for (const { name, options, servers } of [backend, ...(tcp === undefined ? [] : [tcp])]) {
          expect(name).toMatch(/^[A-Za-z0-9_.:-]+$/);
          for (const server of servers) {
            expect(server.name).toMatch(/^[A-Za-z0-9_.:-]+$/);
            expect(JSON.stringify(server.options)).toMatch(/^[\x20-\x7e]*$/);
          }
          expect(textsOf(options).filter((text) => /\p{C}/u.test(text))).toEqual([]);
        }
        for (const { pattern, options, origin, ...rest } of claims) {
          expect(textsOf({ pattern, options, ...rest }).filter((text) => /\p{C}/u.test(text))).toEqual([]);
          expect(pattern.path).toMatch(/^\/\S*$/);
          expect(pattern.host).toMatch(/^\S*$/);
          expect(origin.service).toBe("web");
        }
        for (const { sni } of listens) expect(sni).toMatch(/^\S*$/);
        for (const { reason } of excluded) expect(reason).not.toMatch(/\p{C}/u);
      }),
      { numRuns: 500 },
    );
  });
});

/** What is said beside what was said before. */
function last(before: ServiceBackend | undefined, after: ServiceBackend | undefined): string {
  const known = new Set(before?.excluded.map(({ reason }) => reason));
  return after?.excluded.find(({ reason }) => !known.has(reason))?.reason ?? "";
}

function withoutTags<T extends { readonly tags: unknown; readonly meta: unknown }>({ tags, meta: _, ...rest }: T) {
  return rest;
}

/** Every text in a value, keys too. */
function textsOf(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) => [key, ...textsOf(one)]);
}
