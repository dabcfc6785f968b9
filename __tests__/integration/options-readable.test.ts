import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { validateConfig } from "../../src/haproxy/process/validate.ts";
import type { TemplateSource } from "../../src/reconciler/ports.ts";
import { Renderer } from "../../src/render/renderer.ts";
import { loadTemplate } from "../../src/render/template-source.ts";
import { systemClock } from "../../src/support/clock.ts";
import { haproxyBinary } from "../support/binaries.ts";
import { readableTag } from "../support/readable-options.ts";
import { instance, routed, service, settings } from "../unit/routing/fixtures.ts";

/** SLUICE_FUZZ_RUNS=2000 for a long run; SLUICE_FUZZ_SEED to repeat one. */
const runs = Number(process.env["SLUICE_FUZZ_RUNS"] ?? 40);
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? Date.now() & 0x7fffffff);

jest.setTimeout(60_000 + runs * 1_000);

let directory: string;
let template: TemplateSource;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "sluice-options-"));
  await Promise.all(["maps", "assets", "sockets"].map((name) => mkdir(path.join(directory, name))));
  template = await loadTemplate();
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Services of one to three instances each, with tags that can all be read. */
const fleet = fc.array(
  fc.array(fc.uniqueArray(readableTag, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 }),
  { minLength: 1, maxLength: 5 },
);

test("whatever options can be read, HAProxy takes the configuration they make", async () => {
  const given = { http: { bind: "127.0.0.1:8" }, stats: { bind: "127.0.0.1:9" }, tcp: { bind: "127.0.0.1" } };
  const inForce = settings(given);
  const paths = {
    directory,
    maps: path.join(directory, "maps"),
    assets: path.join(directory, "assets"),
    runtimeSocket: path.join(directory, "sockets", "runtime.sock"),
  };
  await fc.assert(
    fc.asyncProperty(fleet, async (services) => {
      const loadBalancer = routed(
        services.map((instances, at) => {
          const name = `svc-${at}`;
          return service(
            name,
            instances.map((tags, number) => instance(name, number + 1, { tags: tags.sort() })),
          );
        }),
        given,
      );
      const rendered = new Renderer({ paths }).render(loadBalancer, inForce, template);
      const file = path.join(directory, "haproxy.cfg");
      for (const [name, text] of [...rendered.maps, ...rendered.assets, [file, rendered.text] as const]) {
        await writeFile(name, text);
      }
      const verdict = await validateConfig({ binary: haproxyBinary, file, clock: systemClock });
      expect(verdict).toMatchObject({ ok: true });
    }),
    { numRuns: runs, seed },
  );
});
