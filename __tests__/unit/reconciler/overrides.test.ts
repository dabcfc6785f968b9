import { afterEach, expect, test } from "@jest/globals";
import { overrideOf } from "../../../src/catalog/overrides.ts";
import type { Snapshot } from "../../../src/catalog/types.ts";
import { A, a, B, b, servingWorld, World } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

type Services = Parameters<World["publish"]>[0];
const publish = (services: Services, overrides: Snapshot["overrides"]) => world.publish(services, [], [], overrides);
const written = (documents: Readonly<Record<string, string>>): Snapshot["overrides"] =>
  new Map(Object.entries(documents).map(([name, text]) => [name, overrideOf(text)]));

test("what an operator wrote is in force with the next pass, and gone with its key", async () => {
  world = await servingWorld();
  await publish({ web: [a] }, written({ web: "weight: 7", other: "weight: 9" }));
  expect(world.runningServers()).toEqual({ web: { [A]: 7 } });
  await publish({ web: [a] }, written({}));
  expect(world.runningServers()).toEqual({ web: { [A]: 1 } });
  expect(world.eventsOf("reloaded")).toHaveLength(1);
});

test("it stays while it cannot be read, or Consul does not tell, and across a restart", async () => {
  world = await servingWorld();
  const web = [{ ...a, weights: { passing: 3, warning: 1 } }];
  await publish({ web }, written({ web: "weight: 7" }));
  await publish({ web }, written({ web: "weight: [7" }));
  expect(world.runningServers()).toEqual({ web: { [A]: 7 } });
  await publish({ web }, undefined);
  expect(world.runningServers()).toEqual({ web: { [A]: 7 } });
  await world.advance(5_000);
  const accepted = world.store.accepted;
  expect(accepted?.overrides?.get("web")?.text).toBe("weight: 7");
  await world.stop();
  await world.startAgain({ accepted });
  await publish({ web }, undefined);
  expect(world.runningServers()).toEqual({ web: { [A]: 7 } });
});

test("others than before let what is in quarantine be tried again", async () => {
  world = new World();
  world.haproxy.failValidation(/backend bad/);
  await world.start();
  const services = { web: [a], bad: [b] };
  await publish(services, written({ bad: "weight: 2" }));
  await world.advance(100);
  expect(world.runningServers()).toEqual({ web: { [A]: 1 } });
  world.haproxy.mend();
  await publish(services, written({ bad: "weight: 3" }));
  await world.advance(5_000);
  expect(world.runningServers()).toEqual({ web: { [A]: 1 }, bad: { [B]: 3 } });
  expect(world.eventsOf("unquarantined").map(({ message }) => message)).toEqual([
    expect.stringContaining("overrides are others now"),
  ]);
});
