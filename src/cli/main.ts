import { Command, CommanderError } from "commander";
import { type SluiceError, toSluiceError } from "../support/errors.ts";
import { fromRegistrator } from "./registrator-words.ts";
import { type Outcome, processTerminal, type Terminal } from "./terminal.ts";

type AddCommand = (program: Command, terminal: Terminal, outcome: Outcome) => void;

/**
 * The commands by their word, in the order of the help. Each is loaded when it is asked for: `sluice register` stands
 * beside every app, and is not to hold what the operator needs.
 */
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  run: async () => (await import("./run.ts")).addRunCommand,
  bootstrap: async () => (await import("./bootstrap.ts")).addBootstrapCommand,
  render: async () => (await import("./render.ts")).addRenderCommand,
  validate: async () => (await import("./validate.ts")).addValidateCommand,
  plan: async () => (await import("./plan.ts")).addPlanCommand,
  status: async () => (await import("./status.ts")).addStatusCommand,
  resync: async () => (await import("./resync.ts")).addResyncCommand,
  release: async () => (await import("./release.ts")).addReleaseCommand,
  register: async () => (await import("./register.ts")).addRegisterCommand,
  registrar: async () => (await import("./registrar.ts")).addRegistrarCommand,
  why: async () => (await import("./why.ts")).addWhyCommand,
  settings: async () => (await import("./settings.ts")).addSettingsCommand,
  migrate: async () => (await import("./migrate.ts")).addMigrateCommand,
};

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
  // The command that is asked for; for a help of all, or a word that is none of them, all.
  const [word = ""] = argv;
  const asked = Object.hasOwn(commands, word) ? [commands[word]] : Object.values(commands);
  for (const load of asked) (await load?.())?.(program, terminal, outcome);
  try {
    const words = argv[0] === "registrar" ? ["registrar", ...fromRegistrator(argv.slice(1))] : [...argv];
    await program.parseAsync(words, { from: "user" });
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
