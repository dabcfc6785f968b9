import { cp } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { anyStep } from "../support/model-steps.ts";
import { ModelWorld } from "../support/model-world.ts";
import { Scene } from "../support/system.ts";

/** More sequences: SLUICE_MODEL_RUNS=200. The same ones again: SLUICE_MODEL_SEED=<the number that was printed>. */
const runs = Number(process.env["SLUICE_MODEL_RUNS"] ?? 20);
const seed = Number(process.env["SLUICE_MODEL_SEED"] ?? Math.floor(Math.random() * 0x7fffffff));
const perRunMs = 60_000;

jest.setTimeout(60_000 + runs * perRunMs);

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

test("whatever happens, what runs, the file and the catalog come to say the same, and no request fails that need not", async () => {
  process.stdout.write(`model: ${runs} sequences, SLUICE_MODEL_SEED=${seed}\n`);
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const template = path.join(home.directory, "template");
  await cp(fileURLToPath(new URL("../../haproxy/", import.meta.url)), template, { recursive: true });
  await home.configure({
    template: path.join(template, "haproxy.cfg.njk"),
    services: { remember: "3s" },
    reload: { minInterval: "250ms" },
    // What somebody changed by hand is to be noticed within the sequence.
    resync: "1s",
  });
  const world = await ModelWorld.start(scene, consul, home, path.join(template, "frontend-http.njk"));
  await world.begin();
  await world.take({ kind: "template", pauseMs: 0 });
  await world.settle(60_000).catch((thrown) => {
    throw new Error(`${thrown}\n${world.lastWords()}`);
  });

  const started = performance.now();
  let count = 0;
  const property = fc.asyncProperty(fc.array(anyStep, { minLength: 20, maxLength: 26 }), async (steps) => {
    count += 1;
    await world.begin();
    const taken: string[] = [];
    try {
      for (const one of steps) {
        taken.push(`${new Date().toISOString()} ${JSON.stringify(one)}`);
        await world.take(one);
      }
      await world.settle();
      const { failures } = world;
      if (failures.length > 0) {
        const shown = failures.slice(0, 8).map((one) => JSON.stringify(one));
        throw new Error(`${failures.length} requests failed that had to succeed:\n${shown.join("\n")}`);
      }
    } catch (thrown) {
      const told = [`sequence ${count} of seed ${seed}: ${thrown}`, ...taken, "", world.lastWords()];
      throw new Error(told.join("\n"), { cause: thrown });
    }
    const defects = world.lines().filter(({ level, code }) => level === "error" && code === "ERR_INTERNAL");
    expect(defects).toEqual([]);
  });
  // Not shrunk: a shorter sequence would start from another state of the world, and take as long again.
  await fc.assert(property, { numRuns: runs, seed, endOnFailure: true });

  const { requests, judged, reloads } = world.counts();
  const seconds = ((performance.now() - started) / 1_000 / runs).toFixed(1);
  process.stdout.write(
    `model: ${runs} sequences of ${seconds} s, ${requests} requests, ${judged} of them had to succeed and did, ${reloads} reloads\n`,
  );
  expect(judged).toBeGreaterThan(requests / 10);
});
