import { isDeepStrictEqual } from "node:util";
import { afterEach, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { loadTemplate, templateFromSources } from "../../src/render/template-source.ts";
import { routeMaps } from "../../src/routing/map-rows.ts";
import { matchRequest } from "../../src/routing/match.ts";
import { createMerger } from "../../src/routing/merged-routes.ts";
import { claimedBackends, randomClaim, randomRequest } from "../support/random-claims.ts";
import { type RenderedHaproxy, startRendered } from "../support/rendered-haproxy.ts";
import { ask } from "../support/system.ts";
import { loadBalancer } from "../unit/render/fixtures.ts";

jest.setTimeout(120_000);

const rounds = 12;
let haproxy: RenderedHaproxy | undefined;
afterEach(async () => {
  await haproxy?.stop();
  haproxy = undefined;
});

/** A template that answers by itself where a request would go, behind the rules that find it. */
async function tellingTemplate() {
  const { sources, path } = await loadTemplate();
  const frontend = sources["frontend-http.njk"]?.replace(
    "  default_backend",
    "  http-request return status 200 hdr X-Backend %[var(txn.sluice_backend)] hdr X-Server %[var(txn.sluice_server)]\n  default_backend",
  );
  return templateFromSources(path, { ...sources, "frontend-http.njk": frontend ?? "" });
}

test("HAProxy sends requests where the routes say, for routes and requests of any kind", async () => {
  const template = await tellingTemplate();
  const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 1_000_000);
  process.stdout.write(`route-model: seed ${seed}\n`);
  const worlds = fc.sample(
    fc.tuple(
      fc.array(randomClaim, { minLength: 10, maxLength: 30, size: "max" }),
      fc.array(randomRequest, { minLength: 60, maxLength: 60, size: "max" }),
    ),
    { numRuns: rounds, seed },
  );
  let found = 0;
  for (const [wanted, requests] of worlds) {
    // Who may is no question of where; rules for it answer before.
    const open = wanted.map((one) => ({ ...one, options: { strip: "/a" } }));
    const { routes } = createMerger()([open], claimedBackends);
    const balancer = loadBalancer([...claimedBackends.values()], { routes, maps: routeMaps(routes) });
    haproxy = await startRendered(balancer, { http: { trustedProxies: "127.0.0.0/8" } }, template);
    for (const asked of requests) {
      const { listen: _, ...one } = asked;
      const { host, tls = false } = one;
      // Node makes up a host where none is given.
      if (host === "") continue;
      const answer = await ask(haproxy.httpPort, {
        host,
        path: one.path,
        method: one.method,
        headers: { ...one.headers, "x-forwarded-proto": tls ? "https" : "http" },
      });
      const match = matchRequest({ routes }, one);
      const said = [answer.status, answer.headers["x-backend"], answer.headers["x-server"]];
      const places =
        match.kind === "route"
          ? match.route.targets.map(({ backend, server }) => [200, backend, server])
          : [[match.kind === "refused" ? 400 : 200, undefined, undefined]];
      if (match.kind === "route") found += 1;
      if (!places.some((place) => isDeepStrictEqual(place, said))) {
        throw new Error(`seed ${seed}: ${JSON.stringify({ one, said, places, routes })}`);
      }
    }
    await haproxy.stop();
    haproxy = undefined;
  }
  // Requests that find nothing would show nothing.
  expect(found).toBeGreaterThan(rounds * 10);
});
