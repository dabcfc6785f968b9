/**
 * `npm run demo`: Consul, a sample application that registers itself, and Sluice with HAProxy in front of it, on this
 * machine and without containers. Everything it starts ends with it, and its directory goes too.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/support/clock.ts";
import { parseOptions, usage } from "./options.ts";
import { loadSetup } from "./setup-env.ts";
import { Stage } from "./stage.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
process.exitCode = await demo(process.argv.slice(2));

/** @returns the exit code: 0 when it ran until it was told to stop, 1 when it could not, 2 for wrong arguments */
async function demo(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if ("kind" in options) {
    if (options.kind === "help") say(usage);
    else say(`${options.message}\n\n${usage}`);
    return options.kind === "help" ? 0 : 2;
  }
  loadSetup();
  const directory = mkdtempSync(join(tmpdir(), "sluice-demo-"));
  const stop = new AbortController();
  const stage = new Stage({
    ...options,
    root,
    directory,
    haproxy: process.env["SLUICE_HAPROXY"] ?? "haproxy",
    consul: process.env["SLUICE_CONSUL"] ?? "consul",
    env: cleanEnvironment(),
    clock: systemClock,
    say,
  });
  // Whatever ends this process, short of SIGKILL: nothing stays.
  process.once("exit", () => {
    stage.kill();
    rmSync(directory, { recursive: true, force: true });
  });
  let askedAt = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      // Whoever asks again does not want to wait. But one Ctrl-C comes twice, from the terminal and from npm.
      if (stop.signal.aborted && systemClock.now() - askedAt > 1000) process.exit(1);
      if (!stop.signal.aborted) askedAt = systemClock.now();
      stop.abort();
    });
  }
  // The terminal or the reader of our output is gone.
  process.stdout.on("error", () => stop.abort());

  let exitCode = 0;
  try {
    await stage.run(process.stdin, stop.signal);
  } catch (thrown) {
    if (!stop.signal.aborted) {
      exitCode = 1;
      say(`The demo failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  }
  say("Stopping …");
  await stage.stop();
  rmSync(directory, { recursive: true, force: true });
  say("Everything has ended.");
  process.exit(exitCode);
}

/** This process's environment without what would change the settings of the parts. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(SLUICE|CONSUL)_/.test(name)));
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
