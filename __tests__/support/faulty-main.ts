/**
 * The operator with faults to order: `faulty-main.ts run --json --settings FILE`, the same as `sluice run`, but that it
 * kills at a named point (kill-points.ts; KILL_ORDER names the file) and that its wall clock can be moved (WALL_CLOCK
 * names a file with the ms to be ahead; read anew at each SIGUSR2). The clock is moved for the whole process, so that
 * nothing in it keeps to the true one.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { runOperator } from "../../src/operator.ts";
import { loadSettings } from "../../src/settings/load.ts";
import { createLogger } from "../../src/support/create-logger.ts";
import { killPoints } from "./kill-points.ts";

const { values } = parseArgs({
  allowPositionals: true,
  options: { settings: { type: "string" }, json: { type: "boolean" } },
});
const wallFile = process.env["WALL_CLOCK"];
if (wallFile !== undefined) moveWallClock(wallFile);

const reload = () => loadSettings({ file: values.settings, env: process.env, flags: {} });
const loaded = reload();
const logger = await createLogger({ level: loaded.settings.log.level, pretty: false });
const stop = new AbortController();
for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stop.abort());
const order = process.env["KILL_ORDER"];
const directory = loaded.settings.haproxy.directory;
const faults = order === undefined ? {} : { wrap: killPoints(order, directory) };
await runOperator({ loaded, reload, logger, ...faults }, stop.signal);

function moveWallClock(file: string): void {
  const trueNow = Date.now.bind(Date);
  let aheadMs = 0;
  const read = () => {
    aheadMs = Number(readFileSync(file, "utf8"));
  };
  read();
  Date.now = () => trueNow() + aheadMs;
  process.on("SIGUSR2", read);
}
