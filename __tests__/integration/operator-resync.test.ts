import { readFile, rm, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { eventually, type RunningSluice, runtimeCommand, type SluiceHome, sluiceCommand } from "../support/sluice.ts";
import { answers, ask, countEvents, Scene } from "../support/system.ts";

jest.setTimeout(120_000);

let scene: Scene;
let home: SluiceHome;
let sluice: RunningSluice;

beforeEach(async () => {
  scene = new Scene();
  const consul = await scene.consul();
  home = await scene.home(consul.address, { resync: "1h" });
  await scene.join(consul, "web", "web-1");
  await scene.join(consul, "web", "web-2");
  sluice = scene.run(home);
  await answers(home, "web.service.local");
});
afterEach(() => scene.end());

test("what somebody changed by hand is found and settled when asked, without a reload", async () => {
  const state = await runtimeCommand(home, "show servers state web");
  const [first = "", second = ""] = [...state.matchAll(/ (web-\d_\S+) /g)].map(([, name = ""]) => name);
  await runtimeCommand(home, `set server web/${first} weight 77`);
  await runtimeCommand(home, `set server web/${second} state maint`);

  const { out, code } = await sluiceCommand(["resync", "--settings", home.settingsFile]);
  expect(code).toBe(0);
  expect(out).toContain("asked");
  await sluice.logged(({ msg }) => msg.includes(`${first} weight 77 → 1`));
  await eventually("both are as the catalog says", async () => {
    const rows = (await runtimeCommand(home, "show servers state web"))
      .split("\n")
      .filter((row) => row.includes(" web-"));
    return rows.length === 2 && rows.every((row) => row.split(" ")[6] === "0" && row.split(" ")[7] === "1");
  });
  expect(countEvents(sluice, "reloaded", 0)).toBe(1);
});

test("a settings file that was emptied or removed changes nothing, and is taken again when it is back", async () => {
  const text = await readFile(home.settingsFile, "utf8");
  for (const spoil of [() => writeFile(home.settingsFile, ""), () => rm(home.settingsFile)]) {
    const before = sluice.lines().length;
    await spoil();
    const { msg } = await sluice.logged((line) => line.event === "inputs-refused", 15_000, before);
    expect(msg).toContain("sluice.yaml");
    expect((await ask(home.httpPort, { host: "web.service.local" })).status).toBe(200);
    const refused = sluice.lines().length;
    await writeFile(home.settingsFile, text);
    await sluice.logged((line) => line.event === "inputs-accepted", 15_000, refused);
  }
  expect(countEvents(sluice, "reloaded", 0)).toBe(1);
});
