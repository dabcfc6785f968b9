import { expect, test } from "@jest/globals";
import { ContainerView } from "../../../../src/registration/docker/container-view.ts";
import { container } from "../../../support/containers.ts";
import { FakeEngine } from "../../../support/fake-engine.ts";
import { ManualClock, settled } from "../../../support/manual-clock.ts";

const clock = new ManualClock();
const { signal } = new AbortController();

test("a change while we look is seen by the next look", async () => {
  const engine = new FakeEngine();
  const one = container("one");
  engine.has(one);
  const view = new ContainerView(engine, clock, () => undefined);
  await view.look(signal);
  const inspect = engine.inspect.bind(engine);
  engine.inspect = async (id) => {
    const found = await inspect(id);
    // After the engine has looked and before we know.
    engine.has({ ...one, networks: new Map([["n", "10.0.0.2"]]) });
    view.changed(id);
    engine.inspect = inspect;
    return found;
  };
  view.changed(one.id);
  expect((await view.look(signal)).containers[0]?.networks.has("n")).toBe(false);
  expect((await view.look(signal)).containers[0]?.networks.has("n")).toBe(true);
});

test("a look that fails leaves nothing unseen", async () => {
  const engine = new FakeEngine();
  engine.has(container("one"), container("two"));
  const view = new ContainerView(engine, clock, () => undefined);
  await view.look(signal);
  engine.news();
  engine.away = true;
  view.changed(container("two").id);
  await expect(view.look(signal)).rejects.toThrow("away");
  engine.away = false;
  await view.look(signal);
  expect(engine.news()).toEqual(["list", "inspect two"]);
  view.allChanged();
  engine.away = true;
  await expect(view.look(signal)).rejects.toThrow("away");
  engine.away = false;
  await view.look(signal);
  expect(engine.news()).toEqual(["list", "inspect one", "inspect two"]);
});

test("one that goes between the list and the look is not there", async () => {
  const engine = new FakeEngine();
  engine.has(container("one"), container("two"));
  const inspect = engine.inspect.bind(engine);
  engine.inspect = async (id) => {
    engine.containers.delete(container("two").id);
    return inspect(id);
  };
  const view = new ContainerView(engine, clock, () => undefined);
  expect(await view.look(signal)).toEqual({ containers: [container("one")], unknown: [] });
});

test("one that is listed and that the engine does not know any more is not there", async () => {
  const engine = new FakeEngine();
  const one = container("one");
  engine.has(one);
  const view = new ContainerView(engine, clock, () => undefined);
  await view.look(signal);
  engine.inspect = async () => undefined;
  view.changed(one.id);
  expect(await view.look(signal)).toEqual({ containers: [], unknown: [] });
});

test("one that the engine does not tell of keeps nobody waiting, and is seen when it is told", async () => {
  const engine = new FakeEngine();
  const [one, two] = [container("one"), container("two")];
  engine.has(one, two);
  let late = 0;
  const view = new ContainerView(engine, clock, () => {
    late += 1;
  });
  const inspect = engine.inspect.bind(engine);
  let tell: () => void = () => undefined;
  engine.inspect = async (id) => {
    if (id === one.id) {
      await new Promise<void>((resolve) => {
        tell = resolve;
      });
    }
    return inspect(id);
  };
  const first = view.look(signal);
  await clock.advance(1_000);
  expect(await first).toEqual({ containers: [two], unknown: [one.id] });
  // It is asked for once, however often we look.
  expect(await view.look(signal)).toEqual({ containers: [two], unknown: [one.id] });
  expect(engine.news().filter((asked) => asked.startsWith("inspect"))).toEqual(["inspect two"]);
  tell();
  await settled();
  expect(late).toBe(1);
  expect(await view.look(signal)).toMatchObject({ containers: [one, two], unknown: [] });
});

test("one whose answer fails stays as it was", async () => {
  const engine = new FakeEngine();
  const one = container("one");
  engine.has(one);
  const view = new ContainerView(engine, clock, () => undefined);
  const inspect = engine.inspect.bind(engine);
  const broken = () => Promise.reject(new Error("broken"));
  engine.inspect = broken;
  expect(await view.look(signal)).toEqual({ containers: [], unknown: [one.id] });
  engine.inspect = inspect;
  expect(await view.look(signal)).toEqual({ containers: [one], unknown: [] });
  engine.inspect = broken;
  view.changed(one.id);
  expect(await view.look(signal)).toEqual({ containers: [one], unknown: [] });
});

test("one that has ended is gone at once, though the list still shows it, until it is started again", async () => {
  const engine = new FakeEngine();
  const one = container("one", { startedAtMs: 1_000 });
  engine.has(one);
  const view = new ContainerView(engine, clock, () => undefined);
  await view.look(signal);
  engine.news();
  view.ended(one.id, 2_000);
  expect(await view.look(signal)).toEqual({ containers: [], unknown: [] });
  expect(engine.news()).toEqual(["list"]);
  // `network disconnect` comes after each end.
  view.changed(one.id);
  expect(await view.look(signal)).toEqual({ containers: [], unknown: [] });
  engine.has({ ...one, startedAtMs: 3_000 });
  view.started(one.id);
  expect((await view.look(signal)).containers).toHaveLength(1);
  // What is told late of the run before.
  view.ended(one.id, 2_000);
  expect((await view.look(signal)).containers).toHaveLength(1);
  // Listed for long after its end: it may have been started and nobody has told.
  view.ended(one.id, 4_000);
  expect((await view.look(signal)).containers).toHaveLength(0);
  await clock.advance(30_000);
  expect((await view.look(signal)).containers).toHaveLength(1);
});
