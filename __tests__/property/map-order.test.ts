import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseConfig, SectionCache } from "../../src/haproxy/config/parse.ts";
import type { Config } from "../../src/haproxy/config/types.ts";
import { inBoth, mapTargets } from "../../src/haproxy/plan/map-targets.ts";
import { entriesByKey, inOrderOf, mapEntries, mapText } from "../../src/haproxy/plan/maps.ts";
import { planChanges } from "../../src/haproxy/plan/plan.ts";
import { poolNames } from "../../src/haproxy/plan/pools.ts";
import { type Desired, isMapOperation, type MapOperation } from "../../src/haproxy/plan/types.ts";
import type { MapEntry } from "../../src/haproxy/runtime/types.ts";
import { writeMaps } from "../../src/reconciler/write-maps.ts";
import { executeMap } from "../support/fake-maps.ts";
import { haproxy } from "../unit/haproxy/plan/fixtures.ts";

/*
 * Routes that refer to shares, conditions and lists of clients by ids of their content. The ids spell the content out, so
 * that it can be told of each id what has to be there.
 */

const backends = ["a", "b", "c", "d"] as const;
const paths = ["/1", "/2", "/3", "/4"] as const;

/** `<backend>.<number of rows of its list of clients>` */
interface Target {
  readonly backend: string;
  readonly clients: number;
}

interface Route {
  readonly path: string;
  readonly target: Target;
  readonly shares: readonly Target[];
  readonly conditions: readonly Target[];
}

const target: fc.Arbitrary<Target> = fc.record({
  backend: fc.constantFrom(...backends),
  clients: fc.constantFrom(0, 0, 1, 2, 3),
});
const targets = fc.array(target, { maxLength: 3 });
const wishes: fc.Arbitrary<readonly Route[]> = fc.uniqueArray(
  fc.record({ path: fc.constantFrom(...paths), target, shares: targets, conditions: targets }),
  { selector: ({ path }) => path, maxLength: 4 },
);

const spelled = (all: readonly Target[]) => all.map(({ backend, clients }) => `(${backend}.${clients})`).join("");
const plain = ({ backend, clients }: Target) => `${backend}|||${clients === 0 ? "" : `l${clients}`}`;

const names = { clients: "/m/clients", shares: "/m/shares", conditions: "/m/conditions", routes: "/m/routes" };

function mapsOf(routes: readonly Route[]): ReadonlyMap<string, string> {
  const rows = { clients: new Map(), shares: new Map(), conditions: new Map(), routes: new Map<string, string>() };
  const addClients = ({ clients }: Target) => {
    for (let at = 0; at < clients; at += 1) rows.clients.set(`l${clients}/${at}`, "=yes");
  };
  for (const route of routes) {
    for (const one of [route.target, ...route.shares, ...route.conditions]) addClients(one);
    const [share, set] = [spelled(route.shares), spelled(route.conditions)];
    for (const [at, one] of route.shares.entries()) rows.shares.set(`${share}/${at}`, plain(one));
    for (const [at, one] of route.conditions.entries()) rows.conditions.set(`${set}/${at}`, plain(one));
    const [backend, , , clients] = plain(route.target).split("|");
    rows.routes.set(route.path, [backend, share, set, clients].join("|"));
  }
  const text = (map: ReadonlyMap<string, string>) => mapText([...map].map(([key, value]) => ({ key, value })));
  return new Map(Object.entries(names).map(([name, file]) => [file, text(rows[name as keyof typeof rows])]));
}

function configOf(pools: readonly string[], cache: SectionCache): Config {
  const uses = [
    `http-request set-var(txn.l) src,map_beg(${names.clients})`,
    `http-request set-var(txn.s) path,map_beg(${names.shares})`,
    `http-request set-var(txn.c) path,map_reg(${names.conditions})`,
    `use_backend %[path,map_beg(${names.routes})]`,
  ];
  return parseConfig(["frontend f", ...uses, ...pools.map((name) => `backend ${name}`), ""].join("\n"), cache);
}

type Maps = ReadonlyMap<string, readonly MapEntry[]>;

/**
 * What a request could meet that is not as it should be.
 *
 * @param before backends that were loaded before: what leads to others may still be missing
 */
function faults(maps: Maps, loaded: ReadonlySet<string>, before = loaded): readonly string[] {
  const found: string[] = [];
  const rows = (file: string) => entriesByKey(maps.get(file) ?? []);
  const [clients, shares, conditions] = [rows(names.clients), rows(names.shares), rows(names.conditions)];
  const look = (key: string, value: string) => {
    const [backend = "", share = "", set = "", list = ""] = value.split("|");
    if (!loaded.has(backend)) found.push(`${key} leads to ${backend}, which is not loaded`);
    for (let at = 0; at < Number(list.slice(1)); at += 1) {
      if (!clients.has(`${list}/${at}`)) found.push(`${key} lacks row ${at} of clients ${list}`);
    }
    for (const [id, there] of [
      [share, shares],
      [set, conditions],
    ] as const) {
      for (const [at, [, to = ""]] of [...id.matchAll(/\(([a-z]+)\.[0-9]+\)/g)].entries()) {
        if (loaded.has(to) && before.has(to) && !there.has(`${id}/${at}`))
          found.push(`${key} lacks row ${at} of ${id}`);
      }
    }
  };
  for (const file of [names.shares, names.conditions, names.routes]) for (const [k, v] of rows(file)) look(k, v);
  // Those of one set are tried in their order.
  const places = new Map<string, number>();
  for (const key of conditions.keys()) {
    const [id = "", at = ""] = key.split("/");
    if (Number(at) < (places.get(id) ?? 0)) found.push(`${key} stands behind ${places.get(id)}`);
    places.set(id, Number(at));
  }
  return found;
}

/** An operation as the single commands it is sent as. */
function commands(operation: MapOperation): readonly MapOperation[] {
  if (operation.kind === "replace-map") return [operation];
  const none = { ...operation, add: [], set: [], delete: [] };
  return [
    ...operation.add.map((one) => ({ ...none, add: [one] })),
    ...operation.set.map((one) => ({ ...none, set: [one] })),
    ...operation.delete.map((one) => ({ ...none, delete: [one] })),
  ];
}

const entriesOf = (maps: ReadonlyMap<string, string>): Map<string, readonly MapEntry[]> =>
  new Map([...maps].map(([file, text]) => [file, mapEntries(text)]));

/** Moves the process to what is wanted, as far as it gets; looks at each step. */
function move(
  process: Map<string, readonly MapEntry[]>,
  config: Config,
  wanted: Desired,
  {
    breakAt = -1,
    before = poolNames(config),
  }: { readonly breakAt?: number; readonly before?: ReadonlySet<string> } = {},
): boolean {
  const current = { config, maps: new Map([...process].map(([file, rows]) => [file, mapText(rows)])) };
  const plan = planChanges({ current, wanted, capabilities: haproxy(2, 6), leaving: new Map() });
  let steps = 0;
  for (const operation of plan.operations.filter(isMapOperation)) {
    for (const command of commands(operation)) {
      // As when a command is refused or the connection breaks: nothing of maps is sent behind it.
      if (steps === breakAt) return false;
      steps += 1;
      expect(executeMap(process, command)).toBeUndefined();
      expect(faults(process, poolNames(config), before)).toEqual([]);
    }
  }
  return true;
}

const same = (maps: Maps) =>
  [...maps].map(([file, rows]) => {
    const entries = rows.map(({ key, value }) => `${key} ${value}`);
    return [file, file === names.conditions ? entries : entries.sort()];
  });

test("whatever changes, an entry never refers to what is not there: in the process, on the disk, across a reload", async () => {
  const wish = fc.record({
    routes: wishes,
    pools: fc.subarray([...backends], { minLength: 1 }),
    breakAt: fc.option(fc.nat(6), { nil: -1, freq: 3 }),
    reload: fc.boolean(),
  });
  let moved = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(wish, { minLength: 2, maxLength: 6 }), async (all) => {
      const cache = new SectionCache();
      let config = configOf(["a"], cache);
      let disk: ReadonlyMap<string, string> = mapsOf([]);
      let process = entriesOf(disk);
      const onDisk = async (maps: ReadonlyMap<string, string>, before = poolNames(config)) => {
        const files = new Map(disk);
        const write = async (path: string, text: string) => {
          files.set(path, text);
          // What was loaded last is what anybody would start on it.
          expect(faults(entriesOf(files), poolNames(config), before)).toEqual([]);
        };
        await writeMaps({ writeMap: write }, disk, inOrderOf(disk, maps));
        disk = files;
      };
      for (const { routes, pools, breakAt, reload } of all) {
        // What is wanted leads to backends that are wanted.
        const possible = routes.filter(({ target: first, shares, conditions }) =>
          [first, ...shares, ...conditions].every(({ backend }) => (pools as string[]).includes(backend)),
        );
        const wanted: Desired = { config: configOf(pools, cache), maps: mapsOf(possible) };
        if (!move(process, config, wanted, { breakAt })) {
          expect(faults(process, poolNames(config))).toEqual([]);
          // It is read back, and tried again.
          expect(move(process, config, wanted)).toBe(true);
        }
        await onDisk(new Map([...process].map(([file, rows]) => [file, mapText(rows)])));
        if (!reload) continue;
        const [before, after] = [poolNames(config), poolNames(wanted.config)];
        // What leads to a backend that goes with this reload is taken out first: its condition or share is over.
        await onDisk(mapTargets(wanted.maps, disk, inBoth(before, after)), after);
        config = wanted.config;
        process = entriesOf(disk);
        expect(faults(process, after, before)).toEqual([]);
        move(process, config, wanted, { before });
        expect(faults(process, after)).toEqual([]);
        await onDisk(new Map([...process].map(([file, rows]) => [file, mapText(rows)])), before);
        expect(same(process)).toEqual(same(entriesOf(wanted.maps)));
        moved += 1;
      }
    }),
    { numRuns: 400 },
  );
  expect(moved).toBeGreaterThan(200);
});
