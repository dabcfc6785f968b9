import { setTimeout as sleep } from "node:timers/promises";
import { startInstanceProcess } from "./instance-process.ts";
import { type OwnTemplate, ownTemplate } from "./own-template.ts";
import { eventually, type RunningSluice, type SluiceHome } from "./sluice.ts";
import { answers, type Scene, serversRunning } from "./system.ts";
import { registration } from "./web-instance.ts";

/** An operator at this home that serves `count` instances at the host. */
export async function servePool(scene: Scene, home: SluiceHome, host: string, count: number): Promise<RunningSluice> {
  const sluice = scene.run(home);
  await sluice.logged((line) => line.event === "reloaded");
  await answers(home, host);
  await eventually(`${count} serve`, async () => (await serversRunning(home)).length === count, 20_000);
  return sluice;
}

/**
 * Four instances of `web`, an operator on a template of its own, and sixteen clients.
 *
 * @param settings those of the operator besides the template
 */
export async function loadOnTemplate(
  scene: Scene,
  host: string,
  settings: (home: SluiceHome) => object | Promise<object>,
) {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const template: OwnTemplate = await ownTemplate(home);
  await template.writeEdition(0);
  await home.configure({ template: template.path, ...(await settings(home)) });
  for (let index = 0; index < 4; index += 1) {
    const one = await startInstanceProcess(`web-${index}`);
    scene.defer(() => one.kill());
    await consul.register(registration("web", one));
  }
  const sluice = scene.run(home);
  await answers(home, host);
  await eventually("all are in", async () => (await serversRunning(home)).length === 4);
  const load = scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8, headers: { host } });
  await sleep(500);
  return { consul, home, sluice, template, load };
}
