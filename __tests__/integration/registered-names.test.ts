import { afterEach, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { eventually } from "../support/sluice.ts";
import { ask, Scene, serversRunning } from "../support/system.ts";
import { registration } from "../support/web-instance.ts";

jest.setTimeout(60_000);

let scene: Scene;
afterEach(() => scene.end());

interface CatalogEntry {
  readonly ServiceID: string;
  readonly ServicePort: number;
  readonly ServiceMeta: Readonly<Record<string, string>>;
}

/** The ports HAProxy is registered with under a name. */
async function registered(consul: ConsulAgent, name: string): Promise<readonly number[]> {
  const entries = (await consul.get(`/v1/catalog/service/${name}`)) as readonly CatalogEntry[];
  return entries.filter(({ ServiceMeta }) => "sluice-registered" in ServiceMeta).map(({ ServicePort }) => ServicePort);
}

test("HAProxy is registered under the names that services ask for, as long as they ask and as it runs", async () => {
  scene = new Scene();
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const web = await scene.instance("web-1");
  const both = { Tags: ["urlprefix-/web register=shop", "urlprefix-/x register=cart.example"] };
  await consul.register(registration("web", web, both));
  const sluice = scene.run(home);
  await eventually("registered under both", async () => {
    const found = [await registered(consul, "shop"), await registered(consul, "cart.example")];
    return JSON.stringify(found) === JSON.stringify([[home.httpPort], [home.httpPort]]);
  });
  const checks = (await consul.get("/v1/health/checks/shop")) as readonly { readonly Status: string }[];
  expect(checks.map(({ Status }) => Status)).toEqual(["passing"]);

  await consul.register(registration("web", web, { Tags: ["urlprefix-/web register=shop"] }));
  await eventually("the other name is gone", async () => (await registered(consul, "cart.example")).length === 0);
  expect(await registered(consul, "shop")).toEqual([home.httpPort]);

  await consul.deregister(await idOf(consul, "shop"));
  await eventually("registered again", async () => (await registered(consul, "shop")).length === 1, 30_000);

  expect(await sluice.end()).toBe(0);
  expect(await registered(consul, "shop")).toEqual([]);
});

test("a name that is a service's own makes HAProxy no server of it", async () => {
  scene = new Scene();
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const web = await scene.instance("web-1");
  await consul.register(registration("web", web, { Tags: ["urlprefix-/web register=web"] }));
  scene.run(home);
  await eventually("registered", async () => (await registered(consul, "web")).length === 1);
  // A change behind it has gone all the way through.
  await scene.join(consul, "late", "late-1", { Tags: ["urlprefix-/late"] });
  await eventually("the late one answers", async () => (await ask(home.httpPort, { path: "/late" })).status === 200);
  expect((await serversRunning(home)).filter((server) => server.startsWith("web/"))).toHaveLength(1);
  for (let count = 0; count < 10; count += 1) {
    expect((await ask(home.httpPort, { path: "/web" })).body).toBe("web-1");
  }
});

async function idOf(consul: ConsulAgent, name: string): Promise<string> {
  const [entry] = (await consul.get(`/v1/catalog/service/${name}`)) as readonly CatalogEntry[];
  return entry?.ServiceID ?? "";
}
