import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { fabioExamples, grouped } from "../support/fabio-examples.ts";
import { FabioWorld } from "../support/fabio-world.ts";
import { eventually } from "../support/sluice.ts";
import { ask } from "../support/system.ts";

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

test("a server is told by X-Forwarded-Prefix what was taken off", async () => {
  await world.scene.add("prefixed", ["urlprefix-prefixed.test/foo strip=/foo", "urlprefix-plain.test/"]);
  const { home } = world.scene;
  const forwarded = async (host: string, path: string) => {
    const { status, body } = await ask(home.httpPort, { host, path });
    return status === 200 ? ((JSON.parse(body) as Record<string, string>)["x-forwarded-prefix"] ?? "nothing") : status;
  };
  await eventually("stripped", async () => (await forwarded("prefixed.test", "/foo/headers")) === "/foo");
  expect(await forwarded("plain.test", "/headers")).toBe("nothing");
});

describe.each([...grouped(examples, ({ section }) => section)])("%s", (_, rows) => {
  test.each(rows.map((row) => [row.tags.map(({ instance, tag }) => `${instance}: ${tag}`).join(", "), row] as const))(
    "%s",
    async (_title, row) => {
      await world.run(row);
    },
  );
});
