import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { openStore, type Store } from "../../../src/store/store.ts";
import type { Logger } from "../../../src/support/logger.ts";
import { eventually } from "../../support/eventually.ts";
import { ManualClock } from "../../support/manual-clock.ts";

let directory: string;
let opened: Store[];
let logged: { readonly level: string; readonly fields: object; readonly message: string }[];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "sluice-store-"));
  opened = [];
  logged = [];
});
afterEach(async () => {
  for (const store of opened) await store.close();
  rmSync(directory, { recursive: true });
});

const recorder: Logger = {
  debug: (fields, message) => logged.push({ level: "debug", fields, message }),
  info: (fields, message) => logged.push({ level: "info", fields, message }),
  warn: (fields, message) => logged.push({ level: "warn", fields, message }),
  error: (fields, message) => logged.push({ level: "error", fields, message }),
  child: () => recorder,
};

async function open(where = directory): Promise<Store> {
  const store = await openStore(where, { logger: recorder });
  opened.push(store);
  return store;
}

const inDirectory = (...names: string[]) => path.join(directory, ...names);
const leaving = {
  backend: "web",
  server: "w_10.0.0.1:80",
  address: "10.0.0.1",
  port: 80,
  options: ["check"],
  since: 5,
};

describe("opening a state directory", () => {
  test("makes it, for its owner only", async () => {
    const store = await open(inDirectory("new", "state"));
    for (const one of [
      store.paths.directory,
      store.paths.maps,
      store.paths.assets,
      store.paths.certificates,
      store.paths.sockets,
    ]) {
      expect(statSync(one).mode & 0o777).toBe(0o700);
    }
    expect(store.state()).toEqual({ schema: 2, generation: 0, leaving: [], haproxy: undefined });
    expect(await store.readConfig()).toBeUndefined();
    expect(await store.readMaps()).toEqual(new Map());
    expect(await store.readSnapshot()).toBeUndefined();
    expect(await store.readTemplate()).toBeUndefined();
  });

  test("is refused to a second operator until the first closes", async () => {
    const store = await open();
    await expect(openStore(directory)).rejects.toMatchObject({
      code: "ERR_STATE_LOCKED",
      details: { pid: process.pid },
    });
    await store.close();
    await store.close();
    await open();
  });

  test("waits for one that has it for a moment, until the signal ends the wait", async () => {
    opened.push(await openStore(directory, { task: "a moment's work" }));
    const clock = new ManualClock();
    const stop = new AbortController();
    const waiting = openStore(directory, { clock, signal: stop.signal });
    waiting.catch(() => undefined);
    await eventually(() => clock.pending === 1, "a wait");
    const reason = new Error("told to stop");
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  test("is possible where its path is as long as its sockets allow, also for the one of its lock", async () => {
    const longest = inDirectory("x".repeat(97 - Buffer.byteLength(inDirectory("", "sockets", "runtime.sock")) - 1));
    const { paths } = await open(longest);
    expect(Buffer.byteLength(paths.runtimeSocket)).toBe(97);
    const { token } = JSON.parse(readFileSync(paths.lock, "utf8"));
    expect(readdirSync(paths.sockets)).toEqual([`lock.sock.${token}`]);
  });

  test("fails where a file stands in the way, and where sockets could not be bound", async () => {
    writeFileSync(inDirectory("plain"), "");
    await expect(openStore(inDirectory("plain"))).rejects.toMatchObject({ code: "ERR_STATE_UNUSABLE" });
    await expect(openStore(inDirectory("x".repeat(100)))).rejects.toMatchObject({ code: "ERR_STATE_UNUSABLE" });
    expect(readdirSync(directory)).toEqual(["plain"]);
  });

  test("cleans up after an operator that was killed while it wrote", async () => {
    const first = await open();
    await first.writeMap("a/hosts.map", "a b\n");
    await first.close();
    const leftovers = ["x", "maps/x", "maps/a/x", "assets/x", "certs/x"].map((name) =>
      inDirectory(path.dirname(name), ".x.0123456789ab.sluice-tmp"),
    );
    for (const file of leftovers) writeFileSync(file, "half");
    const store = await open();
    expect(leftovers.filter(existsSync)).toEqual([]);
    expect(await store.readMaps()).toEqual(new Map([[inDirectory("maps/a/hosts.map"), "a b\n"]]));
    expect(logged.some(({ level }) => level === "info")).toBe(true);
  });

  test("refuses the state of a newer Sluice and leaves it untouched", async () => {
    const newer = JSON.stringify({ schema: 3, whatever: true });
    writeFileSync(inDirectory("state.json"), newer);
    await expect(openStore(directory)).rejects.toMatchObject({
      code: "ERR_STATE_VERSION",
      message: expect.stringContaining("run the newer Sluice again"),
      details: { found: 3, known: 2 },
    });
    expect(readFileSync(inDirectory("state.json"), "utf8")).toBe(newer);
    rmSync(inDirectory("state.json"));
    await open();
  });

  test.each([
    "",
    "{",
    "[]",
    '{"schema":1}',
    '{"schema":1,"generation":-1,"leaving":[]}',
    '{"schema":"1"}',
    '{"schema":2,"generation":1}',
  ])("sets a broken state.json aside (%j) and starts anew", async (text) => {
    writeFileSync(inDirectory("state.json"), text);
    writeFileSync(inDirectory("state.json.broken-1"), "an older one");
    const store = await open();
    expect(store.state()).toEqual({ schema: 2, generation: 0, leaving: [], haproxy: undefined });
    expect(readFileSync(inDirectory("state.json.broken-2"), "utf8")).toBe(text);
    expect(readFileSync(inDirectory("state.json.broken-1"), "utf8")).toBe("an older one");
    expect(existsSync(inDirectory("state.json"))).toBe(false);
    expect(logged).toContainEqual({
      level: "warn",
      fields: { file: inDirectory("state.json"), kept: inDirectory("state.json.broken-2") },
      message: expect.stringContaining("set aside"),
    });
  });
});

describe("the state", () => {
  test("outlives the operator", async () => {
    const first = await open();
    await first.saveState({ generation: 3, leaving: [leaving] });
    await first.saveState({ generation: 4, haproxy: "2.6.12" });
    const expected = { schema: 2, generation: 4, leaving: [leaving], haproxy: "2.6.12" };
    expect(first.state()).toEqual(expected);
    await first.close();
    expect((await open()).state()).toEqual(expected);
  });

  test("changes that come at once are all kept", async () => {
    const store = await open();
    await Promise.all([store.saveState({ generation: 7 }), store.saveState({ leaving: [leaving] })]);
    await store.close();
    expect((await open()).state()).toMatchObject({ generation: 7, leaving: [leaving] });
  });

  test("stays as it was when it cannot be saved", async () => {
    const store = await open();
    await store.saveState({ generation: 1 });
    rmSync(directory, { recursive: true });
    await expect(store.saveState({ generation: 2 })).rejects.toMatchObject({ code: "ERR_STATE_UNUSABLE" });
    expect(store.state().generation).toBe(1);
    directory = mkdtempSync(path.join(tmpdir(), "sluice-store-"));
  });

  test("of a leaving server known only by name is read", async () => {
    const state = { schema: 2, generation: 0, leaving: [{ backend: "b", server: "s", since: 1 }], later: "ignored" };
    writeFileSync(inDirectory("state.json"), JSON.stringify(state));
    expect((await open()).state()).toMatchObject({
      schema: 2,
      generation: 0,
      leaving: [{ backend: "b", server: "s", address: "", port: 0, options: undefined, since: 1 }],
    });
  });
});

describe("files", () => {
  test("configuration and candidate are two", async () => {
    const store = await open();
    await store.writeConfig("live\n");
    const candidate = await store.writeCandidate("next\n");
    expect(candidate).toBe(store.paths.candidate);
    expect(readFileSync(candidate, "utf8")).toBe("next\n");
    expect(await store.readConfig()).toBe("live\n");
  });

  test("certificates are written for their owner alone, read in order, removed; nothing goes elsewhere", async () => {
    const store = await open();
    await store.writeCertificate(store.paths.certificateList, "list\n");
    await store.writeCertificate(inDirectory("certs", "a.pem"), "a\n");
    expect([...(await store.readCertificates())]).toEqual([
      [inDirectory("certs", "a.pem"), "a\n"],
      [inDirectory("certs", "list.txt"), "list\n"],
    ]);
    expect(statSync(inDirectory("certs", "a.pem")).mode & 0o777).toBe(0o600);
    await store.removeCertificate(inDirectory("certs", "a.pem"));
    await store.removeCertificate(inDirectory("certs", "a.pem"));
    expect([...(await store.readCertificates()).keys()]).toEqual([inDirectory("certs", "list.txt")]);
    for (const file of ["../haproxy.cfg", inDirectory("maps", "x")]) {
      await expect(store.writeCertificate(file, "x")).rejects.toMatchObject({ code: "ERR_VALUE_UNSAFE" });
    }
  });

  test("maps are written, read in order, removed", async () => {
    const store = await open();
    await store.writeMap(inDirectory("maps", "z.map"), "z\n");
    await store.writeMap(inDirectory("maps", "sub", "a.map"), "");
    await store.writeMap("a.map", "a\n");
    expect([...(await store.readMaps())]).toEqual([
      [inDirectory("maps", "a.map"), "a\n"],
      [inDirectory("maps", "sub", "a.map"), ""],
      [inDirectory("maps", "z.map"), "z\n"],
    ]);
    await store.removeMap(inDirectory("maps", "z.map"));
    await store.removeMap(inDirectory("maps", "z.map"));
    await store.removeMap(inDirectory("maps", "gone", "z.map"));
    expect([...(await store.readMaps()).keys()]).toEqual([
      inDirectory("maps", "a.map"),
      inDirectory("maps", "sub", "a.map"),
    ]);
  });

  test("no path leads out of its directory", async () => {
    const store = await open();
    await store.writeConfig("live\n");
    for (const file of ["../haproxy.cfg", inDirectory("haproxy.cfg"), inDirectory("assets", "x")]) {
      await expect(store.writeMap(file, "x")).rejects.toMatchObject({ code: "ERR_VALUE_UNSAFE" });
      await expect(store.removeMap(file)).rejects.toMatchObject({ code: "ERR_VALUE_UNSAFE" });
    }
    await expect(store.writeAsset("../maps/x", "x")).rejects.toMatchObject({ code: "ERR_VALUE_UNSAFE" });
    expect(await store.readConfig()).toBe("live\n");
    expect(readdirSync(inDirectory("maps"))).toEqual([]);
  });

  test("an asset that is there is not written again, and one that nobody needs goes", async () => {
    const store = await open();
    await store.writeAsset("503-abc.http", "first");
    await store.writeAsset("503-abc.http", "second");
    await store.writeAsset("404-def.http", "other");
    expect(readFileSync(inDirectory("assets", "503-abc.http"), "utf8")).toBe("first");
    await store.pruneAssets(new Set([inDirectory("assets", "404-def.http"), inDirectory("assets", "not-there")]));
    expect(readdirSync(inDirectory("assets"))).toEqual(["404-def.http"]);
  });

  test("snapshot and template come back as they were written", async () => {
    const store = await open();
    await store.writeSnapshot({ services: [1, "ü"] });
    await store.writeTemplate({ "haproxy.cfg.njk": "global\n", "backend.njk": "" });
    expect(await store.readSnapshot()).toEqual({ services: [1, "ü"] });
    expect(await store.readTemplate()).toEqual({ "haproxy.cfg.njk": "global\n", "backend.njk": "" });
  });

  test("a broken snapshot or template is set aside", async () => {
    const store = await open();
    writeFileSync(store.paths.snapshot, "{");
    writeFileSync(store.paths.template, '{"a":1}');
    expect(await store.readSnapshot()).toBeUndefined();
    expect(await store.readTemplate()).toBeUndefined();
    expect(
      readdirSync(directory)
        .filter((name) => name.includes("broken"))
        .sort(),
    ).toEqual(["snapshot.json.broken-1", "template.json.broken-1"]);
  });

  test("nothing is written any more once it is closed: the directory may be another's", async () => {
    const store = await open();
    await store.close();
    const writes = [
      () => store.writeConfig("x"),
      () => store.writeMap("x", "x"),
      () => store.removeMap("x"),
      () => store.writeCertificate("x", "x"),
      () => store.removeCertificate("x"),
      () => store.writeAsset("x", "x"),
      () => store.pruneAssets(new Set()),
      () => store.saveState({ generation: 1 }),
    ];
    for (const write of writes) await expect(write()).rejects.toMatchObject({ code: "ERR_INTERNAL" });
    expect(readdirSync(directory).sort()).toEqual(["assets", "certs", "maps", "sockets"]);
  });
});
