import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { fabioExamples, grouped } from "../support/fabio-examples.ts";
import { FabioWorld } from "../support/fabio-world.ts";

jest.setTimeout(120_000);

const examples = await fabioExamples();
let world: FabioWorld;

beforeAll(async () => {
  world = await FabioWorld.begin();
  await world.scene.add("begin", ["urlprefix-begin.test/"]);
  await world.scene.run();
});
afterAll(() => world.end());

test("docs/fabio.md has its examples", () => {
  expect(examples.length).toBeGreaterThan(60);
  expect(examples.flatMap(({ steps }) => steps).length).toBeGreaterThan(150);
});

describe.each([...grouped(examples, ({ section }) => section)])("%s", (_, rows) => {
  test.each(rows.map((row) => [row.tags.map(({ instance, tag }) => `${instance}: ${tag}`).join(", "), row] as const))(
    "%s",
    async (_title, row) => {
      await world.run(row);
    },
  );
});
