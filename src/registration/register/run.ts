import { parseEndpoint } from "../../catalog/endpoint.ts";
import type { Settings } from "../../settings/schema.ts";
import type { Clock } from "../../support/clock.ts";
import type { Logger } from "../../support/logger.ts";
import { openAgent } from "../open-agent.ts";
import { KeptRegistration } from "./kept-registration.ts";
import { lookAt } from "./look.ts";
import { nothingLeft } from "./nothing-left.ts";
import { addressTowards, agentPlace, registrationOf } from "./place.ts";
import type { Register } from "./read-options.ts";
import { statsPage } from "./stats-page.ts";
import { startProcess } from "./wrapped-process.ts";
import { Wrapping } from "./wrapping.ts";

export interface RunRegisterOptions {
  readonly register: Register;
  readonly command: readonly string[];
  /** Ours; the command has it without what is ours alone. */
  readonly env: NodeJS.ProcessEnv;
  readonly settings: Pick<Settings, "consul" | "stats">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Where signals come from: the process. */
export interface Signals {
  on(name: NodeJS.Signals, listener: (name: NodeJS.Signals) => void): unknown;
}

const ends = ["SIGTERM", "SIGINT", "SIGQUIT"] as const;
const passed = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"] as const;
/** An agent that was restarted without its data has the service back within this. */
const lookAgainMs = 5_000;

/**
 * Registers a service and starts its process, until it ends; with `--once` registers what runs elsewhere.
 *
 * @returns the exit code
 * @throws {SluiceError} ERR_REGISTER_COMMAND; with `--once` ERR_REGISTER_REFUSED
 */
export async function runRegister(options: RunRegisterOptions, signals: Signals): Promise<number> {
  const { register, command, env, settings, clock, logger } = options;
  const place = agentPlace(parseEndpoint(settings.consul.address));
  const look = lookAt(register, clock);
  const kept = new KeptRegistration({
    agent: openAgent(settings.consul, clock, logger),
    id: register.id,
    registration: async () => {
      const address = register.address ?? (await addressTowards(place));
      return registrationOf(register, place, address, look.host());
    },
    tries: register.tries,
    retryIntervalMs: register.retryIntervalMs,
    ready: () => look.ready(),
    lookAgainMs: register.check.kind === "ttl" ? Math.min(lookAgainMs, register.check.intervalMs) : lookAgainMs,
    ...(register.check.kind === "ttl" && { port: () => look.port() }),
    clock,
    logger,
  });
  if (register.once) {
    await kept.enter(new AbortController().signal);
    return 0;
  }
  const pages = register.haproxy.map((url) => statsPage(url, settings.stats.user, settings.stats.password));
  // Listened to before anything is started: a signal that comes meanwhile must not leave the process behind.
  let wrapping: Wrapping | undefined;
  const early: NodeJS.Signals[] = [];
  for (const name of ends) signals.on(name, () => (wrapping === undefined ? early.push(name) : wrapping.stop(name)));
  for (const name of passed) signals.on(name, () => wrapping?.pass(name));
  const process = await startProcess(command, env);
  wrapping = new Wrapping({
    register,
    process,
    kept,
    ready: () => look.ready(),
    ...(pages.length > 0 && {
      nothingLeft: (registration, signal) => nothingLeft(pages, registration, { clock, logger }, signal),
    }),
    clock,
    logger,
  });
  for (const name of early) wrapping.stop(name);
  return wrapping.run();
}
