import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Registered, RegisteredCheck } from "../../src/registration/agent-client.ts";
import { containerAnswer } from "../../src/registration/docker/answers.ts";
import type { Container } from "../../src/registration/docker/types.ts";
import type { RegistrarOptions } from "../../src/registration/registrar/options.ts";
import { type Step, stepsTo } from "../../src/registration/registrar/steps.ts";
import { desireOf } from "../../src/registration/registrar/wanted-state.ts";
import { container, idOf, plainOptions } from "../support/containers.ts";

const words = [
  ...["NAME", "TAGS", "ID", "IGNORE", "REGION", "80_NAME", "443_ID", "80_CHECK_TCP", "CHECK_HTTP", "CHECK_TTL"],
  ...["CHECK_INTERVAL", "CHECK_TIMEOUT", "CHECK_INITIAL_STATUS", "CHECK_DEREGISTER_AFTER", "CHECK_SCRIPT"],
  ...["SLUICE-REGISTRAR", "SLUICE-DIGEST", "HAPROXY_HOST", "__proto__", "constructor", "99999_NAME", "_", ""],
];
const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom("a", "b", "true", "/health", "15s", "passing", "\u0000", "a\nb", "\ud800", "é".repeat(600), "../x"),
);
const said = fc.tuple(
  fc.oneof(
    fc.constantFrom(...words).map((word) => `SERVICE_${word}`),
    hostile,
    hostile.map((text) => `SERVICE_${text}`),
  ),
  hostile,
);
const portsOf = fc.uniqueArray(
  fc.record({
    port: fc.constantFrom(53, 80, 443),
    protocol: fc.constantFrom("tcp" as const, "udp" as const),
    bindings: fc.array(
      fc.record({
        address: fc.constantFrom("0.0.0.0", "::", "127.0.0.1", ""),
        port: fc.integer({ min: 1, max: 65_535 }),
      }),
      { maxLength: 2 },
    ),
  }),
  { selector: ({ port, protocol }) => `${port}/${protocol}`, maxLength: 4 },
);
const containers: fc.Arbitrary<readonly Container[]> = fc
  .array(
    fc.record(
      {
        image: fc.oneof(hostile, fc.constantFrom("a/b:1", "x")),
        state: fc.constantFrom("running" as const, "paused" as const, "stopped" as const),
        startedAtMs: fc.integer({ min: 0, max: 3 }),
        health: fc.constantFrom("starting" as const, "healthy" as const, "unhealthy" as const),
        environment: fc.array(
          said.map(([name, value]) => `${name}=${value}`),
          { maxLength: 5 },
        ),
        labels: fc.array(said, { maxLength: 5 }).map((all) => new Map(all)),
        ports: portsOf,
        networkMode: fc.constantFrom("host", "default", "container:c0", "container:nobody"),
      },
      { requiredKeys: [] },
    ),
    { maxLength: 4 },
  )
  .map((all) => all.map((more, index) => container(`c${index}`, more)));
const optionsOf: fc.Arbitrary<RegistrarOptions> = fc
  .record(
    {
      internal: fc.boolean(),
      explicit: fc.boolean(),
      healthcheck: fc.boolean(),
      ttlMs: fc.constant(60_000),
      tags: fc.subarray(["a", "z", "é"]),
    },
    { requiredKeys: [] },
  )
  .map((more) => ({ ...plainOptions, ...more }));

interface World {
  readonly services: ReadonlyMap<string, Registered>;
  readonly checks: ReadonlyMap<string, RegisteredCheck>;
}

/** What Consul's agent makes of it: what it is told comes back through JSON, in UTF-8. */
function after({ services, checks }: World, steps: readonly Step[]): World {
  const has = new Map(services);
  const checked = new Map(checks);
  const maintain = (id: string, on: boolean, notes: string) => {
    const check = `_service_maintenance:${id}`;
    if (on) checked.set(check, { id: check, serviceId: id, status: "critical", notes });
    else checked.delete(check);
  };
  for (const step of steps) {
    const { id } = step;
    if (step.kind === "maintain") maintain(id, step.on, step.reason);
    else if (step.kind === "ttl")
      checked.set(`service:${id}`, { id: `service:${id}`, serviceId: id, notes: "", status: step.status });
    else if (step.kind === "deregister") {
      has.delete(id);
      checked.delete(`service:${id}`);
      maintain(id, false, "");
    } else {
      const { name, address = "", port, tags = [], meta, check } = step.registration;
      const told = { id, name, address, port, tags, meta };
      has.set(id, JSON.parse(Buffer.from(JSON.stringify(told)).toString()) as Registered);
      checked.delete(`service:${id}`);
      if (check !== undefined) {
        checked.set(`service:${id}`, {
          id: `service:${id}`,
          serviceId: id,
          notes: "",
          status: check.status ?? "critical",
        });
      }
      maintain(id, step.maintenance !== undefined, step.maintenance ?? "");
    }
  }
  return { services: has, checks: checked };
}

function plan(world: World, all: readonly Container[], options: RegistrarOptions) {
  const maintenance = ({ state }: Container) => (state === "paused" ? "paused" : undefined);
  const desire = desireOf(all, options, "h1", maintenance, undefined);
  const has = { services: [...world.services.values()], checks: [...world.checks.values()] };
  const rules = { host: "h1", adopt: false, isDue: () => false, keepsMaintenance: () => false, unknown: [] };
  return { desire, ...stepsTo(desire.wanted, has, rules) };
}

const others: readonly Registered[] = ["a", "b", "h1:c0:80", "h1:c1:80"].flatMap((id, index) => [
  { id, name: "x", address: "", port: 1, tags: [], meta: index % 2 === 0 ? {} : { "sluice-registrar": "h2" } },
]);

test("whatever containers say, one round of steps is enough, and others' services are never touched", () => {
  fc.assert(
    fc.property(containers, containers, optionsOf, fc.subarray([...others]), (first, second, options, there) => {
      const known = new Map(there.map((one) => [one.id, one]));
      let world: World = { services: known, checks: new Map() };
      for (const all of [first, second, []]) {
        const { steps, desire } = plan(world, all, options);
        for (const { id } of steps) expect(known.has(id)).toBe(false);
        world = after(world, steps);
        expect(plan(world, all, options).steps).toEqual([]);
        for (const id of desire.wanted.keys()) expect(world.services.has(id)).toBe(true);
      }
      // In the end nothing is left of ours.
      expect([...world.services.values()]).toEqual(there);
    }),
    { numRuns: 200 },
  );
});

test("what is registered is within what Consul takes, and does not depend on any order", () => {
  fc.assert(
    fc.property(containers, optionsOf, (all, options) => {
      const desire = desireOf(all, options, "h1", () => undefined, undefined);
      const turned = all.map((one) => ({ ...one, labels: new Map([...one.labels].reverse()) })).reverse();
      const again = desireOf(turned, options, "h1", () => undefined, undefined);
      expect(new Map(again.wanted)).toEqual(new Map(desire.wanted));
      for (const [id, { registration }] of desire.wanted) {
        const { name, port, meta, tags = [] } = registration;
        expect(id).toBe(registration.id);
        expect(name).toMatch(/^[^\p{Cc}/]+$/u);
        expect(id).toMatch(/^\P{Cc}+$/u);
        expect(port).toBeGreaterThan(0);
        expect(Object.keys(meta).length).toBeLessThanOrEqual(64);
        for (const [key, value] of Object.entries(meta)) {
          expect(key).toMatch(/^[A-Za-z0-9_-]{1,128}$/);
          expect(Buffer.byteLength(value)).toBeLessThanOrEqual(512);
        }
        expect(meta["sluice-registrar"]).toBe("h1");
        for (const tag of tags) expect(tag).not.toBe("");
      }
    }),
    { numRuns: 200 },
  );
});

test("whatever an engine answers is read or refused, and never throws otherwise", () => {
  const answer = fc.oneof(
    fc.anything({ maxDepth: 4 }),
    fc.record(
      {
        Id: fc.constant(idOf("x")),
        Name: hostile,
        State: fc.record({ Running: fc.boolean(), Paused: fc.boolean(), StartedAt: hostile }),
        Config: fc.record({ Image: hostile, Env: fc.array(hostile), Labels: fc.dictionary(hostile, hostile) }),
        NetworkSettings: fc.record({
          Ports: fc.dictionary(fc.constantFrom("80/tcp", "x", "0/udp", "70000/tcp", "8080"), fc.constant(null)),
          Networks: fc.dictionary(hostile, fc.record({ IPAddress: hostile })),
        }),
      },
      { requiredKeys: ["Id", "Name", "State", "Config"] },
    ),
  );
  fc.assert(
    fc.property(answer, (body) => {
      const parsed = containerAnswer.safeParse(body);
      if (parsed.success) desireOf([parsed.data], plainOptions, "h1", () => undefined, undefined);
    }),
    { numRuns: 1_000 },
  );
});
