import { Command, CommanderError } from "commander";
import { type SluiceError, toSluiceError } from "../support/errors.ts";
import { addMigrateCommand } from "./migrate.ts";
import { addPlanCommand } from "./plan.ts";
import { addReleaseCommand } from "./release.ts";
import { addRenderCommand } from "./render.ts";
import { addResyncCommand } from "./resync.ts";
import { addRunCommand } from "./run.ts";
import { addSettingsCommand } from "./settings.ts";
import { addStatusCommand } from "./status.ts";
import { type Outcome, processTerminal, type Terminal } from "./terminal.ts";
import { addValidateCommand } from "./validate.ts";
import { addWhyCommand } from "./why.ts";

/**
 * Runs one command line.
 *
 * @param argv the words behind the program's name
 * @returns the exit code: 0 fine, 1 failed, 2 wrong use, 3 what `plan --fail-on` asked for
 */
export async function main(argv: readonly string[], terminal: Terminal = processTerminal): Promise<number> {
  const outcome: Outcome = { exitCode: 0 };
  const program = new Command("sluice")
    .description("Keeps HAProxy at what Consul's catalog says, by the smallest step that exists.")
    .exitOverride()
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err })
    .showHelpAfterError("(add --help for the words this command takes)");
  for (const add of [
    addRunCommand,
    addRenderCommand,
    addValidateCommand,
    addPlanCommand,
    addStatusCommand,
    addResyncCommand,
    addReleaseCommand,
    addWhyCommand,
    addSettingsCommand,
    addMigrateCommand,
  ]) {
    add(program, terminal, outcome);
  }
  try {
    await program.parseAsync([...argv], { from: "user" });
    return outcome.exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const error = toSluiceError(thrown);
    report(error, argv.includes("--json"), terminal);
    return error.code === "ERR_USAGE" ? 2 : 1;
  }
}

/** An error, for a person or for a script. */
function report(error: SluiceError, json: boolean, terminal: Terminal): void {
  if (json)
    terminal.out(
      `${JSON.stringify({ error: { code: error.code, message: error.message, details: error.details } })}\n`,
    );
  else terminal.err(`sluice: ${error.message} [${error.code}]\n`);
  if (error.code === "ERR_INTERNAL" && error.stack !== undefined) terminal.err(`${error.stack}\n`);
}
