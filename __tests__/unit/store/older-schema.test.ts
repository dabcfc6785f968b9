import { existsSync } from "node:fs";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { parseAccepted } from "../../../src/store/accepted-file.ts";
import { openStore, type Store } from "../../../src/store/store.ts";

/** A state directory as Sluice 0.1.0 wrote it, before there was a second schema. */
const golden = fileURLToPath(new URL("golden/schema-1/", import.meta.url));

let directory: string;
let store: Store | undefined;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "sluice-older-"));
  await cp(golden, directory, { recursive: true });
});
afterEach(async () => {
  await store?.close();
  store = undefined;
  await rm(directory, { recursive: true });
});

async function open(): Promise<Store> {
  store = await openStore(directory);
  return store;
}
const text = (name: string, from = directory) => readFile(path.join(from, name), "utf8");

describe("a state directory of schema 1", () => {
  test("is brought to today's schema, and nothing in it is lost", async () => {
    const { paths } = await open();
    const leaving = [
      {
        backend: "web",
        server: "web-3_10.0.0.3:8080",
        address: "10.0.0.3",
        port: 8080,
        options: ["check", "inter", "10s"],
        since: 1763700000000,
      },
      { backend: "api", server: "api-1_10.0.1.1:80", address: "", port: 0, options: undefined, since: 1763700001000 },
    ];
    expect(store?.state()).toEqual({ schema: 2, generation: 42, leaving, haproxy: undefined });
    expect(JSON.parse(await text("state.json"))).toMatchObject({ schema: 2, generation: 42 });
    expect(await text("state.json.v1")).toBe(await text("state.json", golden));
    expect(paths.directory).toBe(directory);
  });

  test("is migrated once: what is saved later stays", async () => {
    await (await open()).saveState({ generation: 43, haproxy: "3.0.11" });
    await store?.close();
    expect((await open()).state()).toMatchObject({ schema: 2, generation: 43, haproxy: "3.0.11" });
    expect(await text("state.json.v1")).toBe(await text("state.json", golden));
  });

  test("has the old state.json still when the migration was cut short behind the copy", async () => {
    await cp(path.join(golden, "state.json"), path.join(directory, "state.json.v1"));
    expect((await open()).state()).toMatchObject({ schema: 2, generation: 42 });
  });

  test("keeps its last good snapshot and template: services, holds, since when a service is empty", async () => {
    const json = await (await open()).readSnapshot();
    const accepted = parseAccepted(json);
    expect([...accepted.services.keys()]).toEqual(["dc1////api", "dc1////web"]);
    const [first, second] = accepted.services.get("dc1////web")?.instances ?? [];
    expect(first).toMatchObject({ id: "web-1", address: "10.0.0.1", port: 8080, weights: { passing: 10, warning: 1 } });
    expect(accepted.emptySince).toEqual(new Map([["dc1////api", 1763699000000]]));
    expect(accepted.holds).toMatchObject([{ service: "dc1////web", instance: second, since: 1763699500000 }]);
    expect(await store?.readTemplate()).toMatchObject({ "haproxy.cfg.njk": "global\n" });
    expect(existsSync(path.join(directory, "snapshot.json.broken-1"))).toBe(false);
  });
});
