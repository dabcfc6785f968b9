import { existsSync } from "node:fs";
import type { Command } from "commander";
import { writeBootstrap } from "../bootstrap.ts";
import { checkBinary } from "../haproxy/process/validate.ts";
import { openTls } from "../operator-tls.ts";
import { loadTemplate } from "../render/template-source.ts";
import type { Settings } from "../settings/schema.ts";
import { type StatePaths, statePaths } from "../store/paths.ts";
import { openStore, type Store } from "../store/store.ts";
import { systemClock } from "../support/clock.ts";
import { SluiceError } from "../support/errors.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import type { Outcome, Terminal } from "./terminal.ts";

/** How long an operator that holds the directory has to write the file itself. */
const operatorMs = 60_000;

/** `sluice bootstrap`: the first haproxy.cfg, so that HAProxy can be started before the operator has ever run. */
export function addBootstrapCommand(program: Command, terminal: Terminal, _outcome: Outcome): void {
  const command = program
    .command("bootstrap")
    .description(
      "write a first haproxy.cfg into the state directory where there is none: entry points, fallback, stats",
    )
    .option("--json", "the file and whether it was written, as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  sluice bootstrap --settings sluice.yaml && haproxy -W -S /var/lib/sluice/sockets/master.sock,mode,600 -f /var/lib/sluice/haproxy.cfg",
    );
  addSettingOptions(command).action(async () => {
    const { settings } = settingsOf(command, terminal);
    const paths = statePaths(settings.haproxy.directory);
    const written = await bootstrap(settings, paths, (warning) => terminal.err(`warning: ${warning}\n`));
    if (command.opts<{ json?: boolean }>().json === true) {
      terminal.out(`${JSON.stringify({ file: paths.config, written })}\n`);
    } else terminal.out(`${paths.config} ${written ? "written" : "is there already and stays as it is"}\n`);
  });
}

/**
 * @returns whether it was written here
 * @throws {SluiceError} what `writeBootstrap` throws; ERR_STATE_LOCKED when an operator holds the directory and has not
 *   written the file for a minute
 */
async function bootstrap(settings: Settings, paths: StatePaths, warn: (words: string) => void): Promise<boolean> {
  if (existsSync(paths.config)) return false;
  const { text: haproxyVersion } = await checkBinary(settings.haproxy.binary);
  const template = await loadTemplate(settings.template);
  const store = await openUnlessThere(paths);
  if (store === undefined) return false;
  try {
    if ((await store.readConfig()) !== undefined) return false;
    const tls = await openTls({
      settings,
      paths,
      kept: await store.readCertificates(),
      clock: systemClock,
      emit: (_type, severity, message) => void (severity === "info" || warn(message)),
    });
    tls.close();
    await writeBootstrap({ settings, store, template, tls, haproxyVersion });
    return true;
  } finally {
    await store.close();
  }
}

/** The operator writes the file where there is none: while one holds the directory, undefined as soon as it has. */
async function openUnlessThere(paths: StatePaths): Promise<Store | undefined> {
  const deadline = systemClock.now() + operatorMs;
  while (!existsSync(paths.config)) {
    try {
      return await openStore(paths.directory, { task: "sluice bootstrap" });
    } catch (thrown) {
      const locked = thrown instanceof SluiceError && thrown.code === "ERR_STATE_LOCKED";
      if (!locked || systemClock.now() >= deadline) throw thrown;
    }
    await systemClock.sleep(100);
  }
  return undefined;
}
