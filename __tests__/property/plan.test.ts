import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseConfig, SectionCache } from "../../src/haproxy/config/parse.ts";
import { printConfig } from "../../src/haproxy/config/print.ts";
import { serverLines } from "../../src/haproxy/config/servers.ts";
import type { Config } from "../../src/haproxy/config/types.ts";
import { advance } from "../../src/haproxy/plan/advance.ts";
import { mapEntries, mapText, sameEntries } from "../../src/haproxy/plan/maps.ts";
import { planChanges } from "../../src/haproxy/plan/plan.ts";
import {
  isServerOperation,
  type LeavingServer,
  type PlanInput,
  type RuntimeOperation,
  type ServerPath,
} from "../../src/haproxy/plan/types.ts";
import type { ObservedServer } from "../../src/haproxy/runtime/types.ts";
import { haproxy } from "../unit/haproxy/plan/fixtures.ts";

/** What a server line says. */
interface Written {
  readonly name: string;
  readonly at: number;
  readonly weight: number | undefined;
  readonly words: string;
  readonly state: string;
}

/** What HAProxy has in memory of a server. */
interface Live {
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly maintenance: boolean;
  readonly drain: boolean;
  /** Effective words. */
  readonly words: string;
}

const weight = fc.constantFrom(0, 1, 5, 256);
const names = ["a", "b", "c", "d", "e"] as const;
const written = (name: string): fc.Arbitrary<Written> =>
  fc.record({
    name: fc.constant(name),
    at: fc.constantFrom(1, 1, 1, 2),
    weight: fc.option(weight, { nil: undefined }),
    words: fc.constantFrom("", "", "", "check", "maxconn 5", "cookie weight"),
    state: fc.constantFrom("", "", "", "disabled", "enabled"),
  });
const servers = fc
  .tuple(...names.map((name) => fc.option(written(name), { nil: undefined })))
  .map((all) => all.filter((one) => one !== undefined));
/** What stands in a backend besides its servers. */
interface Structure {
  readonly mode: string;
  readonly defaults: string;
  readonly balance: string;
}

const structure: fc.Arbitrary<Structure> = fc.record({
  mode: fc.constantFrom("http", "http", "tcp"),
  defaults: fc.constantFrom("", "", "check inter 2s", "weight 5", "maxconn 3 disabled"),
  balance: fc.constantFrom("roundrobin", "roundrobin", "leastconn", "static-rr"),
});

function text({ mode, defaults, balance }: Structure, all: readonly Written[]): string {
  const lines = all.map(({ name, at, weight: own, words, state }) =>
    [`  server ${name} 10.0.0.${at}:80`, words, own === undefined ? "" : `weight ${own}`, state]
      .filter(Boolean)
      .join(" "),
  );
  return [
    "backend web",
    `  mode ${mode}`,
    `  balance ${balance}`,
    ...(defaults === "" ? [] : [`  default-server ${defaults}`]),
    ...lines,
    "",
  ].join("\n");
}

/** What HAProxy makes of a configuration. */
function loaded(config: Config): Map<string, Live> {
  const live = new Map<string, Live>();
  for (const line of config.sections.flatMap(serverLines)) {
    const { address, port, weight: own, maintenance } = line;
    live.set(line.name, {
      address,
      port,
      weight: own,
      maintenance,
      drain: false,
      words: [...line.defaults, ...line.options].join(" "),
    });
  }
  return live;
}

/** HAProxy's part: takes operations, refuses what it would refuse, and knows who is leaving. */
class Process {
  readonly live: Map<string, Live>;
  readonly leaving: Map<ServerPath, LeavingServer>;

  constructor(live: Map<string, Live>, leaving: Map<ServerPath, LeavingServer>) {
    this.live = live;
    this.leaving = leaving;
  }

  run(operation: RuntimeOperation, balance: string): void {
    if (!isServerOperation(operation)) throw new Error("there are no maps here");
    const { server } = operation;
    const now = this.live.get(server);
    if (operation.kind === "add-server") {
      if (now !== undefined) throw new Error("Already exists a server with the same name in backend.");
      if (balance === "static-rr") throw new Error("Backend must use a dynamic load balancing");
      const { address, port, weight: own, options } = operation;
      this.live.set(server, { address, port, weight: own, maintenance: false, drain: false, words: options.join(" ") });
      return;
    }
    if (now === undefined) throw new Error("No such server.");
    switch (operation.kind) {
      case "revive-server":
        if (!this.leaving.delete(`web/${server}`) && !now.maintenance) throw new Error("it needs no reviving");
        this.setWeight(server, now, operation.weight, balance);
        this.set(server, { maintenance: false, drain: false });
        break;
      case "set-weight":
        this.setWeight(server, now, operation.weight, balance);
        break;
      case "set-state":
        this.set(server, { maintenance: operation.state === "maint", drain: false });
        break;
      default:
        this.set(server, { maintenance: true, drain: false });
        this.leaving.set(`web/${server}`, {
          backend: "web",
          server,
          address: now.address,
          port: now.port,
          options: now.words === "" ? [] : now.words.split(" "),
          since: 0,
        });
    }
  }

  /** All but those that are leaving. */
  serving(): ReadonlyMap<string, Live> {
    return new Map([...this.live].filter(([name]) => !this.leaving.has(`web/${name}`)).sort());
  }

  observed(): readonly ObservedServer[] {
    return [...this.live].map(([name, { words: _words, ...one }]) => ({
      backend: "web",
      name,
      ...one,
      operational: 2,
      check: "none" as const,
    }));
  }

  private setWeight(server: string, now: Live, own: number, balance: string): void {
    if (balance === "static-rr" && own !== 0) throw new Error("Backend is using a static LB algorithm");
    this.live.set(server, { ...now, weight: own });
  }

  private set(server: string, change: Partial<Live>): void {
    const now = this.live.get(server);
    if (now !== undefined) this.live.set(server, { ...now, ...change });
  }
}

function sorted<T>(live: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return new Map([...live].sort(([a], [b]) => (a < b ? -1 : 1)));
}
const withoutWords = (live: ReadonlyMap<string, Live>) =>
  new Map([...live].map(([name, { words: _words, ...one }]) => [name, one]));

/** Names that some reason for a reload is about. */
function named(plan: { readonly reload?: readonly { readonly sentence: string }[] }): ReadonlySet<string> {
  return new Set(
    (plan.reload ?? []).flatMap(({ sentence }) => {
      const name = /^server (\S+) /.exec(sentence)?.[1];
      return name === undefined ? [] : [name];
    }),
  );
}

/** A server that is leaving; some are hardly known. */
interface Leaver {
  readonly name: string;
  readonly known: boolean;
  readonly words: string;
}

const leavers: fc.Arbitrary<readonly Leaver[]> = fc.array(
  fc.record({ name: fc.constantFrom(...names), known: fc.boolean(), words: fc.constantFrom("", "check") }),
  {
    maxLength: 2,
  },
);

function leavingSet(all: readonly Leaver[], live: Map<string, Live>): Map<ServerPath, LeavingServer> {
  const leaving = new Map<ServerPath, LeavingServer>();
  for (const { name, known, words } of all) {
    if (live.has(name)) continue;
    const options = words === "" ? [] : words.split(" ");
    live.set(name, { address: "10.0.0.1", port: 80, weight: 3, maintenance: true, drain: false, words });
    leaving.set(`web/${name}`, {
      backend: "web",
      server: name,
      address: known ? "10.0.0.1" : "",
      port: known ? 80 : 0,
      options: known ? options : undefined,
      since: 0,
    });
  }
  return leaving;
}

/** All that decides over one move from a state to another. */
interface World {
  readonly before: Structure;
  readonly after: Structure;
  readonly some: readonly Written[];
  readonly more: readonly Written[];
  readonly left: readonly Leaver[];
}

const world: fc.Arbitrary<World> = fc
  .record({
    before: structure,
    other: fc.option(structure, { nil: undefined }),
    some: servers,
    more: servers,
    left: leavers,
  })
  .map(({ other, ...one }) => ({ ...one, after: other ?? one.before }));

/** The same where no reload is due: one structure, servers that differ in weight and in who is there. */
function calmed({ before, some, more, left }: World): World {
  const same = { ...before, balance: "roundrobin", defaults: before.defaults.replace(" disabled", "") };
  const calm = (all: readonly Written[]) => all.map((one) => ({ ...one, at: 1, words: "", state: "" }));
  const words = same.defaults === "weight 5" ? "" : same.defaults;
  const known = left.map((one) => ({ ...one, words }));
  return { before: same, after: same, some: calm(some), more: calm(more), left: known };
}

describe("operations take HAProxy's servers to what is wanted", () => {
  test("from what is believed; what is then written down is what runs, and nothing is left to do", () => {
    let reached = 0;
    fc.assert(
      fc.property(fc.oneof(world, world.map(calmed)), ({ before, some, after, more, left }) => {
        const cache = new SectionCache();
        const current = parseConfig(text(before, some), cache);
        // Of whom little is known, the name must say the address.
        const strangers = new Set(left.filter(({ known }) => !known).map(({ name }) => name));
        const comeBack = more.map((one) => (strangers.has(one.name) ? { ...one, at: 1 } : one));
        const wanted = parseConfig(text(after, comeBack), cache);
        const live = loaded(current);
        const process = new Process(live, leavingSet(left, live));
        const input: PlanInput = {
          current: { config: current, maps: new Map() },
          wanted: { config: wanted, maps: new Map() },
          capabilities: haproxy(2, 6),
          leaving: new Map(process.leaving),
        };
        const plan = planChanges(input);
        for (const operation of plan.operations) process.run(operation, before.balance);

        // Each wanted server that no reason speaks of is there as wanted; what is not wanted is gone.
        const target = sorted(loaded(wanted));
        const serving = process.serving();
        const excused = named(plan);
        for (const name of serving.keys()) expect(target.has(name)).toBe(true);
        for (const name of target.keys()) {
          if (excused.has(name)) continue;
          expect(withoutWords(serving).get(name)).toEqual(withoutWords(target).get(name));
        }
        if (plan.reload === undefined) {
          reached += 1;
          // Of others that came back the words were not known.
          if (left.every((one) => one.known)) expect(serving).toEqual(target);
        }

        const advanced = advance(current, plan.operations, wanted);
        const parsed = parseConfig(printConfig(advanced));
        expect(sorted(withoutWords(loaded(parsed)))).toEqual(withoutWords(serving));
        expect(sorted(loaded(advanced))).toEqual(sorted(loaded(parsed)));
        if (before.defaults === after.defaults && left.every((one) => one.known)) {
          expect(sorted(loaded(parsed))).toEqual(serving);
        }

        const again = planChanges({
          ...input,
          current: { config: parsed, maps: new Map() },
          leaving: process.leaving,
          observed: new Map([["web", process.observed()]]),
        });
        expect(again.operations).toEqual([]);
        expect(again.reload === undefined).toBe(plan.reload === undefined);
        expect(
          planChanges({ ...input, current: { config: parsed, maps: new Map() }, leaving: process.leaving }).operations,
        ).toEqual([]);
      }),
      { numRuns: 500 },
    );
    // Else this would say little.
    expect(reached).toBeGreaterThan(100);
  });

  test("from what was read back, whatever has drifted", () => {
    const drift = fc.record({
      name: fc.constantFrom(...names, "x", "y"),
      how: fc.constantFrom("gone", "weight", "maint", "drain", "there"),
      weight,
    });
    fc.assert(
      fc.property(servers, servers, fc.array(drift, { maxLength: 4 }), leavers, (some, more, drifts, left) => {
        const plain: Structure = { mode: "http", defaults: "", balance: "roundrobin" };
        // Words cannot be read back, and an address that changes under a name is for a reload.
        const bare = (all: readonly Written[]) => all.map((one) => ({ ...one, words: "", at: 1 }));
        const current = parseConfig(text(plain, bare(some)));
        const wanted = parseConfig(
          text(
            plain,
            bare(more).map((one) => ({ ...one, state: "" })),
          ),
        );
        const live = loaded(current);
        const leaving = leavingSet(
          left.map((one) => ({ ...one, words: "" })),
          live,
        );
        for (const { name, how, weight: other } of drifts) {
          const now = live.get(name);
          if (leaving.has(`web/${name}`)) continue;
          if (how === "gone") live.delete(name);
          else if (how === "there" && now === undefined) {
            live.set(name, {
              address: "10.0.0.1",
              port: 80,
              weight: other,
              maintenance: false,
              drain: false,
              words: "",
            });
          } else if (now !== undefined) {
            live.set(name, {
              ...now,
              weight: how === "weight" ? other : now.weight,
              maintenance: how === "maint" || now.maintenance,
              drain: how === "drain",
            });
          }
        }
        const process = new Process(live, leaving);
        const input: PlanInput = {
          current: { config: current, maps: new Map() },
          wanted: { config: wanted, maps: new Map() },
          capabilities: haproxy(3, 0),
          leaving: new Map(leaving),
          observed: new Map([["web", process.observed()]]),
        };
        const plan = planChanges(input);
        expect(plan.reload).toBeUndefined();
        for (const operation of plan.operations) process.run(operation, plain.balance);
        expect(process.serving()).toEqual(sorted(loaded(wanted)));
        const again = planChanges({
          ...input,
          current: input.wanted,
          leaving: process.leaving,
          observed: new Map([["web", process.observed()]]),
        });
        expect(again.operations).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test("no step on the way leaves a backend without a server that takes requests, where there is one before and after", () => {
    const serves = (live: ReadonlyMap<string, Live>) =>
      [...live.values()].some((one) => one.weight > 0 && !one.maintenance && !one.drain);
    const plain: Structure = { mode: "http", defaults: "", balance: "roundrobin" };
    let looked = 0;
    fc.assert(
      fc.property(servers, servers, (some, more) => {
        const bare = (all: readonly Written[]) => all.map((one) => ({ ...one, words: "", at: 1 }));
        const current = parseConfig(text(plain, bare(some)));
        const wanted = parseConfig(text(plain, bare(more)));
        const process = new Process(loaded(current), new Map());
        const plan = planChanges({
          current: { config: current, maps: new Map() },
          wanted: { config: wanted, maps: new Map() },
          capabilities: haproxy(2, 6),
          leaving: new Map(),
        });
        if (plan.reload !== undefined || !serves(loaded(current)) || !serves(loaded(wanted))) return;
        looked += 1;
        for (const operation of plan.operations) {
          process.run(operation, plain.balance);
          expect(serves(process.live)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
    expect(looked).toBeGreaterThan(20);
  });
});

test("map entries survive being written and read again", () => {
  const character = fc.constantFrom(..."ab# \t\r\n.:/\u00a0é");
  fc.assert(
    fc.property(fc.string({ unit: character, maxLength: 30 }), (file) => {
      const entries = mapEntries(file);
      expect(mapEntries(mapText(entries))).toEqual(entries);
      expect(sameEntries(file, mapText(entries), true)).toBe(true);
      for (const { key, value } of entries) {
        expect(key).toMatch(/^[^ \t\r\n]+$/);
        expect(value).toMatch(/^([^ \t\r\n]([^\r\n]*[^ \t\r\n])?)?$/);
      }
    }),
  );
});
