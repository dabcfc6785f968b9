import { hostname } from "node:os";
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseEndpoint } from "../catalog/endpoint.ts";
import { durationWithin } from "../settings/duration.ts";
import { systemClock } from "../support/clock.ts";
import { commaList } from "../support/comma-list.ts";
import { SluiceError } from "../support/errors.ts";
import { canonicalIp } from "../support/ip.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import type { Outcome, Terminal } from "./terminal.ts";

/** What commander makes of the command line. */
interface Words {
  readonly dockerSocket?: string;
  readonly internal?: true;
  readonly network?: string;
  readonly ip?: string;
  readonly ipFromLabel?: string;
  readonly tags?: string;
  readonly explicit?: true;
  readonly host?: string;
  readonly adopt?: true;
  readonly healthcheck: boolean;
  readonly resync?: number;
  readonly drain?: number;
  readonly ttl?: number;
  readonly ttlRefresh?: number;
  readonly deregisterAfter?: number;
  readonly onStop: "leave" | "deregister";
  readonly json?: true;
}

/** Those of the settings that count here; the others would be in the way. */
const sections = ["consul", "log"];
const defaultResyncMs = 60_000;
const defaultDrainMs = 300_000;
/** What is said once holds for a day, and a restart of the agent brings it back. */
const longestRefreshMs = 300_000;
/** Consul takes no shorter one. */
const leastForgetMs = 60_000;

const example = `
Containers say what they are by SERVICE_NAME, SERVICE_TAGS, SERVICE_80_CHECK_HTTP and so on, in their environment or as
labels: see docs/registrar.md. Registrator's command lines are understood: its options with one dash, times in seconds,
and where Consul is as consul://host:8500.

Example:
  sluice registrar --internal --explicit consul://consul:8500`;

/** `sluice registrar`: keeps Consul in step with the containers of a Docker engine, until SIGTERM or SIGINT. */
export function addRegistrarCommand(program: Command, terminal: Terminal, _outcome: Outcome): void {
  const command = program
    .command("registrar")
    .description("keep Consul in step with the containers of a Docker engine, until stopped by SIGTERM or SIGINT")
    .argument("[consul]", "where Consul's agent is, as consul://host:8500 (default: the setting consul.address)")
    .option(
      "--docker-socket <where>",
      "the engine's socket, or tcp://host:port (default: $DOCKER_HOST, else /var/run/docker.sock)",
    )
    .option("--internal", "register the containers' own addresses and exposed ports, not those published on the host")
    .option(
      "--network <name>",
      "with --internal: the network whose address counts (default: those its own container is on)",
    )
    .option("--ip <address>", "address of published ports (default: that of the agent)", ipAddress)
    .option("--ip-from-label <label>", "a label of a container that says its address")
    .option("--tags <list>", "tags of every service, separated by commas")
    .option("--explicit", "only containers that say SERVICE_NAME")
    .option("--host <name>", "what ids begin with; two registrars need two (default: the host's name)")
    .option("--adopt", "take over ids that are ours by name and were registered by another program")
    .option("--no-healthcheck", "do not tell on what a container's HEALTHCHECK says")
    .option("--resync <time>", "look at every container again so often (default: 60s)", seconds)
    .option(
      "--drain <time>",
      "a container told to stop that runs on for longer gets requests again (default: 5m)",
      seconds,
    )
    .option(
      "--ttl <time>",
      "give what has no check one that turns critical when the registrar is silent so long",
      seconds,
    )
    .option("--ttl-refresh <time>", "keep those checks alive so often (default: a third of --ttl)", seconds)
    .option("--deregister-after <time>", "Consul forgets what is critical for so long, 1m or more", seconds)
    .addOption(
      new Option("--on-stop <what>", "what happens to what is registered when the registrar stops")
        .choices(["leave", "deregister"])
        .default("leave"),
    )
    .option("--json", "log as JSON also on a terminal")
    // Registrator's, which have nothing to say here.
    .addOption(new Option("--cleanup").hideHelp())
    .addOption(new Option("--deregister <mode>").choices(["always"]).hideHelp())
    .addOption(new Option("--retry-attempts <number>").hideHelp())
    .addOption(new Option("--retry-interval <ms>").hideHelp())
    .addHelpText("after", example);
  addSettingOptions(command, sections).action(async (where: string | undefined) => {
    const words = command.opts<Words>();
    const { settings } = settingsOf(command, terminal, undefined, sections);
    const consul = { ...settings.consul, ...(where !== undefined && { address: consulAddress(where) }) };
    const { dockerEndpoint } = await import("../registration/docker/endpoint.ts");
    const engineAt = dockerEndpoint(words.dockerSocket, terminal.env);
    if (words.deregisterAfter !== undefined && words.deregisterAfter < leastForgetMs) {
      throw new SluiceError("ERR_USAGE", "--deregister-after is at least 1m, for Consul takes no less");
    }
    const { createLogger } = await import("../support/create-logger.ts");
    const { DockerClient } = await import("../registration/docker/client.ts");
    const { ownContainerId } = await import("../registration/docker/own-container.ts");
    const { openAgent } = await import("../registration/open-agent.ts");
    const { Registrar } = await import("../registration/registrar/registrar.ts");
    const { lastingTtlMs } = await import("../registration/registrar/wanted.ts");
    const logger = await createLogger({ level: settings.log.level, ...(words.json && { pretty: false }) });
    const containerId = ownContainerId();
    if (!parseEndpoint(consul.address).loopback && !words.internal && words.ip === undefined) {
      const what = "ports published on all addresses are registered at the agent's address, which is not on loopback";
      logger.warn({ consul: consul.address }, `${what}: set --ip or --internal where the agent runs on another host`);
    }
    const refreshMs = words.ttlRefresh || (words.ttl || lastingTtlMs) / 3;
    const registrar = new Registrar({
      engine: new DockerClient(engineAt, systemClock),
      agent: openAgent(consul, systemClock, logger),
      clock: systemClock,
      logger,
      options: {
        internal: words.internal === true,
        ...(words.network && { network: words.network }),
        ...(words.ip !== undefined && { address: words.ip }),
        ...(words.ipFromLabel && { addressLabel: words.ipFromLabel }),
        tags: commaList(words.tags),
        explicit: words.explicit === true,
        healthcheck: words.healthcheck,
        ...(words.ttl !== undefined && words.ttl > 0 && { ttlMs: words.ttl }),
        ...(words.deregisterAfter !== undefined && { deregisterAfterMs: words.deregisterAfter }),
      },
      pace: {
        // Registrator's 0 is never.
        resyncMs: words.resync || defaultResyncMs,
        drainMs: words.drain ?? defaultDrainMs,
        ttlRefreshMs: Math.min(longestRefreshMs, refreshMs),
      },
      ...(words.host !== undefined && { host: words.host }),
      adopt: words.adopt === true,
      machine: { hostname: hostname(), ...(containerId !== undefined && { containerId }) },
    });
    const stop = new AbortController();
    for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stop.abort());
    logger.info({ docker: engineAt.socketPath ?? engineAt.baseUrl, consul: consul.address }, "registrar started");
    await registrar.run(stop.signal);
    if (words.onStop === "deregister") await registrar.release();
    logger.info({ onStop: words.onStop }, "registrar stopped");
  });
}

/**
 * Consul's address in Registrator's words, or as everywhere else.
 *
 * @throws {SluiceError} ERR_USAGE
 */
function consulAddress(text: string): string {
  const [, scheme = "", rest = ""] = /^([a-z0-9-]+):\/\/(.*)$/.exec(text) ?? [];
  const host = rest.replace(/\/+$/, "") || "127.0.0.1:8500";
  switch (scheme) {
    case "consul":
      return `http://${host}`;
    case "consul-tls":
      return `https://${host}`;
    case "consul-unix":
      return `unix://${rest}`;
    case "http":
    case "https":
    case "unix":
      return text;
    default:
      throw new SluiceError("ERR_USAGE", "services are registered with Consul alone: write consul://host:8500");
  }
}

/** A length of time; a bare number is seconds, as Registrator has it. */
function seconds(text: string): number {
  const parsed = durationWithin({}).safeParse(/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(parsed.error.issues.map(({ message }) => message).join("; "));
}

/** @returns undefined where it is empty, which to Go's flags is as if it were not given */
function ipAddress(text: string): string | undefined {
  if (text === "") return undefined;
  const address = canonicalIp(text);
  if (address === undefined) throw new InvalidArgumentError("not an IP address");
  return address;
}
