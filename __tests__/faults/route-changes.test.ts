import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { percentile } from "../bench/numbers.ts";
import { expectEnough, printLoad } from "../support/fault-report.ts";
import type { LoadReport } from "../support/load.ts";
import {
  type EchoInstance,
  routeAnswer,
  routeAnswered,
  routeTag,
  routeWays,
  seededPick,
  startEcho,
  type TestRoute,
} from "../support/route-world.ts";
import { eventually, workerPid } from "../support/sluice.ts";
import { answers, countEvents, mapInFile, mapRunning, Scene } from "../support/system.ts";
import { registration } from "../support/web-instance.ts";

jest.setTimeout(240_000);

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

const services = 20;
const changes = 1_000;
/** So many write to Consul beside each other, each for services of its own. */
const writers = 4;
/** Routes a service has at most, so that some go as well. */
const mostRoutes = 12;
/** Of so many changes of a writer the time to its effect is measured of one. */
const sampleEvery = 20;

/** A service with its instances, and the routes that it asks for now. */
interface Service {
  readonly name: string;
  readonly instances: readonly EchoInstance[];
  routes: readonly TestRoute[];
}

test("1,000 changes of routes in a minute under load: no request of routes that stay fails, HAProxy is not reloaded", async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const all: Service[] = [];
  for (let index = 0; index < services; index += 1) {
    const name = `svc-${index}`;
    // Every third has two, which bring other tags for a moment.
    const instances: EchoInstance[] = [];
    for (const id of index % 3 === 0 ? [`${name}-a`, `${name}-b`] : [`${name}-a`]) {
      const instance = await startEcho(name, id);
      scene.defer(() => instance.stop());
      instances.push(instance);
    }
    all.push({ name, instances, routes: [] });
  }
  const register = ({ name, instances, routes }: Service) => {
    const tags = ["haproxy.enable=true", `urlprefix-stays.example.com/${name}/`, ...routes.map(routeTag)];
    return Promise.all(instances.map((one) => consul.register(registration(name, one, { Tags: tags }))));
  };
  for (const service of all) await register(service);
  const sluice = scene.run(home);
  await sluice.logged((line) => line.event === "reloaded");
  for (const { name } of all) await answers(home, `${name}.service.local`);
  const worker = await workerPid(home);
  const before = sluice.lines().length;

  const stays = { port: home.httpPort, keepAlive: 4, oneShot: 4 };
  const loads = [
    scene.load({ ...stays, headers: { host: "svc-0.service.local" } }),
    scene.load({ ...stays, headers: { host: "stays.example.com" }, path: "/svc-1/page" }),
  ];
  let numbers = 0;
  const done = { added: 0, moved: 0, removed: 0, other: 0 };
  const effects: number[] = [];
  const started = performance.now();

  const write = async (own: readonly Service[], count: number, seed: number) => {
    const pick = seededPick(seed);
    for (let turn = 0; turn < count; turn += 1) {
      const service = pick(own);
      const route = service.routes.length === 0 ? undefined : pick(service.routes);
      const others = service.routes.filter((one) => one !== route);
      const kind =
        service.routes.length >= mostRoutes
          ? "removed"
          : pick(["added", "added", "other", "moved", "removed"] as const);
      const begun = performance.now();
      let seen: { readonly route: TestRoute; readonly service: string; readonly there: boolean };
      if (kind === "added" || route === undefined) {
        numbers += 1;
        const fresh = { number: numbers, way: pick(routeWays) };
        service.routes = [...service.routes, fresh];
        seen = { route: fresh, service: service.name, there: true };
        done.added += 1;
      } else if (kind === "removed") {
        service.routes = others;
        seen = { route, service: service.name, there: false };
        done.removed += 1;
      } else if (kind === "other") {
        const way = pick(routeWays.filter((one) => one !== route.way));
        service.routes = [...others, { ...route, way }];
        seen = { route: { ...route, way }, service: service.name, there: true };
        done.other += 1;
      } else {
        const target = pick(own.filter((one) => one !== service));
        service.routes = others;
        target.routes = [...target.routes, route];
        // First it is there twice: at no time is it gone.
        await register(target);
        seen = { route, service: target.name, there: true };
        done.moved += 1;
      }
      await register(service);
      if (turn % sampleEvery === sampleEvery - 1) {
        const wanted = routeAnswer(seen.service, seen.there ? seen.route.way : undefined);
        await eventually(
          `route ${seen.route.number} answers ${wanted}`,
          async () => (await routeAnswered(home.httpPort, seen.route)) === wanted,
          20_000,
        );
        effects.push(performance.now() - begun);
      }
    }
  };
  await Promise.all(
    [...Array(writers).keys()].map((index) =>
      write(
        all.filter((_, at) => at % writers === index),
        changes / writers,
        index + 1,
      ),
    ),
  );
  const seconds = (performance.now() - started) / 1_000;

  // Each route that ever was answers as it should: those that are left, and those that are gone.
  const left = new Map(
    all.flatMap(({ name, routes }) => routes.map(({ number, way }) => [number, routeAnswer(name, way)] as const)),
  );
  const wanted = [...Array(numbers).keys()].map((at) => left.get(at + 1) ?? routeAnswer("", undefined));
  const wrong = async () => {
    const found: string[] = [];
    for (const [at, answer] of wanted.entries()) {
      const now = await routeAnswered(home.httpPort, { number: at + 1 });
      if (now !== answer) found.push(`route ${at + 1}: ${now}, should be ${answer}`);
    }
    return found;
  };
  await eventually("all routes answer as they should", async () => (await wrong()).length === 0, 30_000);
  expect(await wrong()).toEqual([]);
  await eventually("the file says what HAProxy has", async () => {
    const [file, running] = [await mapInFile(home, "routes.map"), await mapRunning(home, "routes.map")];
    return JSON.stringify(file) === JSON.stringify(running);
  });
  await sleep(300);
  const report = together(await Promise.all(loads.map((load) => load.stop())));

  printLoad(
    `${changes} changes of routes in ${seconds.toFixed(1)} s (${done.added} added, ${done.moved} moved, ${done.removed} removed, ${done.other} with other options)`,
    report,
    `${countEvents(sluice, "reloaded", before)} reloads`,
    `from Consul's write to the effect p50 ${Math.round(percentile(effects, 0.5))} ms, p95 ${Math.round(percentile(effects, 0.95))} ms`,
  );
  expect(report.failures).toEqual([]);
  expect(report.bodies).toEqual({ "svc-0 /": expect.any(Number), "svc-1 /svc-1/page": expect.any(Number) });
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
  expect(countEvents(sluice, "reload-wanted", before)).toBe(0);
  expect(countEvents(sluice, "operation-refused", before)).toBe(0);
  expect(countEvents(sluice, "drift", before)).toBe(0);
  expect(await workerPid(home)).toBe(worker);
  expect(Math.min(done.added, done.moved, done.removed, done.other)).toBeGreaterThan(50);
  expect(effects.length).toBeGreaterThan(40);
  expect(seconds).toBeLessThan(60);
  expectEnough(report);
});

function together(reports: readonly LoadReport[]): LoadReport {
  const [first, ...others] = reports;
  if (first === undefined) throw new Error("there was no load");
  return others.reduce(
    (sum, one) => ({
      sent: sum.sent + one.sent,
      statuses: { ...sum.statuses, "200": (sum.statuses["200"] ?? 0) + (one.statuses["200"] ?? 0) },
      failures: [...sum.failures, ...one.failures],
      slowestMs: Math.max(sum.slowestMs, one.slowestMs),
      bodies: { ...sum.bodies, ...one.bodies },
      seconds: Math.max(sum.seconds, one.seconds),
    }),
    first,
  );
}
