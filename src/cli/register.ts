import { hostname } from "node:os";
import { setFlagsFromString } from "node:v8";
import { type Command, Option } from "commander";
import { type RegisterOption, registerOptions } from "../registration/register/options.ts";
import { readRegister, withConsulPort } from "../registration/register/read-options.ts";
import { toSluiceError } from "../support/errors.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import type { Outcome, Terminal } from "./terminal.ts";

const examples = `
Examples:
  sluice register --name web --port 8080 -- node server.js
  sluice register --name api --port 5000 --check http --check-path /health --tag v2 -- gunicorn -b :5000 app
  APP_NAME=hello APP_PORT=7777 HEALTH_CHECK_TYPE=grpc CONSUL_PORT=8500 sluice register -- ./hello_server
  sluice register --name web --port 8080 --drain 30s --haproxy http://lb:9000/haproxy_stats -- node server.js
  sluice register --once --name db --address 10.0.0.7 --port 5432

Each option is a variable as well, --check-path for one SLUICE_REGISTER_CHECK_PATH; a flag stands above it.`;

/** `sluice register`: a process that is in Consul as long as it runs. */
export function addRegisterCommand(program: Command, terminal: Terminal, outcome: Outcome): void {
  const command = program
    .command("register")
    .description("start a command, keep it registered with the local Consul agent, and drain it before it is stopped")
    .usage("[options] -- COMMAND [ARGUMENT...]")
    .argument("[command...]", "the command, and its arguments")
    .option("--json", "log as JSON also on a terminal")
    .addHelpText("after", examples);
  for (const option of Object.values(registerOptions)) command.addOption(optionOf(option));
  addSettingOptions(command).action(async (words: readonly string[]) => {
    // It stands beside every app and has nothing to do but to wait: rather small than fast.
    setFlagsFromString("--optimize-for-size");
    setFlagsFromString("--no-opt");
    const flags = command.opts<Record<string, unknown>>();
    const register = readRegister({ flags, env: terminal.env, host: hostname(), command: words });
    const { settings } = settingsOf(command, { ...terminal, env: withConsulPort(terminal.env) });
    const [{ createLogger }, { systemClock }, { runRegister }] = await Promise.all([
      import("../support/create-logger.ts"),
      import("../support/clock.ts"),
      import("../registration/register/run.ts"),
    ]);
    // Standard output is the command's own.
    const logger = await createLogger({
      level: settings.log.level,
      descriptor: 2,
      ...(flags["json"] === true && { pretty: false }),
    });
    try {
      const options = { register, command: words, env: terminal.env, settings, clock: systemClock, logger };
      outcome.exitCode = await runRegister(options, process);
    } catch (thrown) {
      const error = toSluiceError(thrown);
      logger.error({ error }, error.message);
      const { status } = error.details;
      outcome.exitCode = typeof status === "number" ? status : 1;
    }
  });
}

function optionOf(one: RegisterOption): Option {
  const known = one.known === undefined ? [] : [one.known.join(", ")];
  const more = [...(one.default === undefined ? [] : [`default: ${one.default}`]), ...known];
  const help = more.length === 0 ? one.help : `${one.help} (${more.join("; ")})`;
  const option = new Option(one.value === undefined ? one.flag : `${one.flag} <${one.value}>`, help);
  const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];
  return one.repeats === true ? option.argParser(collect) : option;
}
