import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { type Clock, systemClock } from "../../../src/support/clock.ts";
import { type FileWatch, type FileWatchOptions, watchFiles } from "../../../src/support/file-watch.ts";

let directory: string;
let file: string;
let watches: FileWatch[];
let told: (readonly string[])[];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "sluice-watch-"));
  file = path.join(directory, "a.njk");
  watches = [];
  told = [];
});
afterEach(() => {
  for (const watch of watches) watch.close();
  rmSync(directory, { recursive: true });
});

/** Time that moves by hand; a timer fires when its moment has come. */
function handClock() {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly ms: number; readonly callback: () => void }>();
  const clock: Clock = {
    now: () => now,
    wall: () => now,
    sleep: () => Promise.reject(new Error("nothing sleeps here")),
    timer: (ms, callback) => {
      const timer = { at: now + ms, ms, callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  };
  return {
    clock,
    waiting: () => [...timers].map((timer) => timer.ms).sort((a, b) => a - b),
    advance: (ms: number, only: (timerMs: number) => boolean = () => true) => {
      now += ms;
      for (const timer of [...timers]) {
        if (timer.at > now || !only(timer.ms)) continue;
        timers.delete(timer);
        timer.callback();
      }
    },
  };
}

function start(options: Partial<FileWatchOptions> = {}): FileWatch {
  const watch = watchFiles({
    paths: () => [file],
    clock: handClock().clock,
    onChange: (changed) => {
      told.push(changed);
    },
    ...options,
  });
  watches.push(watch);
  return watch;
}

/** Waits for what the file system is yet to tell. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemClock.sleep(5);
}

describe("watched files", () => {
  test("a change is told once the file system reports it", async () => {
    writeFileSync(file, "1");
    start({ clock: systemClock, pollMs: 3_600_000 });
    writeFileSync(file, "2");
    await until(() => told.length > 0);
    expect(told[0]).toEqual([file]);
  });

  test("what is reported within 20 ms is looked at once", async () => {
    writeFileSync(file, "1");
    const { clock, waiting, advance } = handClock();
    const watch = start({ clock, pollMs: 3_600_000 });
    for (let n = 0; n < 10; n += 1) writeFileSync(file, `2${n}`);
    await until(() => waiting().includes(20));
    await systemClock.sleep(20);
    expect(waiting()).toEqual([20, 3_600_000]);
    advance(20);
    await watch.rescan();
    expect(told).toEqual([[file]]);
  });

  test("the poll finds what nobody reports", async () => {
    writeFileSync(file, "1");
    const { clock, waiting, advance } = handClock();
    start({ clock });
    expect(waiting()).toEqual([2_000]);
    writeFileSync(file, "2");
    advance(2_000, (ms) => ms === 2_000);
    await until(() => told.length > 0);
    expect(told).toEqual([[file]]);
    await until(() => waiting().includes(2_000));
  });

  test("the same content is no change: touched, written anew, replaced by rename", async () => {
    writeFileSync(file, "same");
    const watch = start();
    utimesSync(file, 1, 1);
    await watch.rescan();
    writeFileSync(file, "same");
    await watch.rescan();
    writeFileSync(`${file}.tmp`, "same");
    renameSync(`${file}.tmp`, file);
    await watch.rescan();
    expect(told).toEqual([]);
  });

  test("an editor's rename is a change when the content is another, and the next one is still seen", async () => {
    writeFileSync(file, "1");
    start({ clock: systemClock, pollMs: 3_600_000 });
    for (const content of ["2", "3"]) {
      const before = told.length;
      writeFileSync(`${file}.tmp`, content);
      renameSync(`${file}.tmp`, file);
      await until(() => told.length > before);
    }
    expect(told).toEqual([[file], [file]]);
  });

  test("a swap of links, as Kubernetes does it, is one change for all its files", async () => {
    for (const version of ["v1", "v2"]) {
      mkdirSync(path.join(directory, version));
      writeFileSync(path.join(directory, version, "a.njk"), version);
      writeFileSync(path.join(directory, version, "b.njk"), version);
      writeFileSync(path.join(directory, version, "same.njk"), "same");
    }
    symlinkSync("v1", path.join(directory, "..data"));
    const files = ["a.njk", "b.njk", "same.njk"].map((name) => path.join(directory, name));
    for (const one of files) symlinkSync(path.join("..data", path.basename(one)), one);
    start({ clock: systemClock, pollMs: 3_600_000, paths: () => files });
    symlinkSync("v2", path.join(directory, "..data_tmp"));
    renameSync(path.join(directory, "..data_tmp"), path.join(directory, "..data"));
    await until(() => told.length > 0);
    expect(told).toEqual([[files[0], files[1]]]);
  });

  test("a file that is away for a moment was never away", async () => {
    writeFileSync(file, "1");
    const { clock, advance } = handClock();
    const watch = start({ clock, pollMs: 2_000 });
    unlinkSync(file);
    await watch.rescan();
    advance(1_999, () => false);
    await watch.rescan();
    writeFileSync(file, "1");
    await watch.rescan();
    expect(told).toEqual([]);
  });

  test("a file that stays away is told once, and told again when it is back", async () => {
    writeFileSync(file, "1");
    const { clock, advance } = handClock();
    const watch = start({ clock, pollMs: 2_000 });
    unlinkSync(file);
    await watch.rescan();
    advance(2_000, () => false);
    await watch.rescan();
    advance(2_000, () => false);
    await watch.rescan();
    expect(told).toEqual([[file]]);
    writeFileSync(file, "1");
    await watch.rescan();
    expect(told).toEqual([[file], [file]]);
  });

  test("a file that is not there at first is told when it comes", async () => {
    const watch = start();
    await watch.rescan();
    expect(told).toEqual([]);
    writeFileSync(file, "1");
    await watch.rescan();
    expect(told).toEqual([[file]]);
  });

  test("a directory that is made anew is watched anew", async () => {
    const below = path.join(directory, "sub", "a.njk");
    mkdirSync(path.dirname(below));
    writeFileSync(below, "1");
    const watch = start({ clock: systemClock, pollMs: 3_600_000, paths: () => [below] });
    rmSync(path.dirname(below), { recursive: true });
    mkdirSync(path.dirname(below));
    writeFileSync(below, "1");
    await watch.rescan();
    expect(told).toEqual([]);
    writeFileSync(below, "2");
    await until(() => told.length > 0);
    expect(told).toEqual([[below]]);
  });

  test("files that come into the list and leave it are told", async () => {
    writeFileSync(file, "1");
    const { clock, advance } = handClock();
    let listed = [file];
    const watch = start({ clock, paths: () => listed });
    const added = path.join(directory, "503.http");
    writeFileSync(added, "");
    listed = [added, file];
    await watch.rescan();
    expect(told).toEqual([[added]]);
    unlinkSync(file);
    listed = [added];
    await watch.rescan();
    advance(2_000, () => false);
    await watch.rescan();
    expect(told).toEqual([[added], [file]]);
    await watch.rescan();
    expect(told).toHaveLength(2);
  });

  test("what callbacks throw is handed on and ends nothing", async () => {
    writeFileSync(file, "1");
    const errors: unknown[] = [];
    let broken = false;
    const watch = start({
      paths: () => {
        if (broken) throw new Error("paths");
        return [file];
      },
      onChange: (changed) => {
        told.push(changed);
        throw new Error("onChange");
      },
      onError: (thrown) => errors.push((thrown as Error).message),
    });
    writeFileSync(file, "2");
    await watch.rescan();
    broken = true;
    writeFileSync(file, "3");
    await watch.rescan();
    expect(told).toEqual([[file], [file]]);
    expect(errors).toEqual(["onChange", "paths", "onChange"]);
  });

  test("after closing nothing is told and no timer is left", async () => {
    writeFileSync(file, "1");
    const { clock, waiting } = handClock();
    const watch = start({ clock });
    writeFileSync(file, "2");
    await until(() => waiting().includes(20));
    watch.close();
    await watch.rescan();
    expect(told).toEqual([]);
    expect(waiting()).toEqual([]);
  });
});
