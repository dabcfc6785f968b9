import { parseArgs } from "node:util";
import { isWorldName, type World, worlds } from "./worlds.ts";

export interface DemoOptions {
  readonly world: World;
  /** How many instances of the sample application to start with. */
  readonly instances: number;
  /** Ports to begin the search for free ones at. */
  readonly trafficPort: number;
  readonly statsPort: number;
  readonly consulPort: number;
}

/** What a line typed into the demo, or `--scale`, asks for. */
export type Command =
  | { readonly kind: "scale"; readonly instances: number }
  | { readonly kind: "load"; readonly requests: number }
  | { readonly kind: "list" | "restart" | "help" | "quit" | "nothing" }
  | { readonly kind: "mistake"; readonly message: string };

/** More would only make the machine slow: each is a process. */
const mostInstances = 20;
/** What `load` sends where no number stands behind it: one minute's worth. */
const loadRequests = 6_000;

/** What can be typed in a world. */
export function commandHelp({ name, service }: World): string {
  const commands = [
    [`scale ${service}=N`, `run N instances of the sample application (0 to ${mostInstances})`],
    [
      "list",
      name === "grpc" ? "the instances that run, and who has answered the one connection" : "the instances that run",
    ],
    ...(name === "quotes"
      ? [["load", `${loadRequests} requests in a minute, and what came of them (load 600: of 600)`]]
      : []),
    ["restart", "start the operator again, when it has ended"],
    ["quit", "stop everything (Ctrl-C does the same)"],
  ];
  return commands.map(([command = "", meaning]) => `  ${command.padEnd(21)}  ${meaning}`).join("\n");
}

export const usage = `\
Usage: npm run demo -- [--world web|grpc|quotes] [--scale SERVICE=N] [--traffic-port N] [--stats-port N] [--consul-port N]

Starts Consul, a sample application that is registered, and Sluice with HAProxy in front of it.
Where a port is in use, the next free one is taken.

  --world web       a web server that registers itself (the default)
  --world grpc      a gRPC server under \`sluice register\`, and a client with one connection
  --world quotes    a slow application with Fabio's tags, and its load test (needs python3)
  --scale NAME=N    start with N instances (default web=3, hello_server=3, quotes=1)
  --traffic-port N  where HAProxy takes requests (default 80, or 8080 where 80 cannot be bound; grpc: 5000)
  --stats-port N    HAProxy's stats page (default 9000)
  --consul-port N   Consul's HTTP API and UI (default 8500)

What can be typed while it runs:
${commandHelp(worlds.web)}

When standard input is a pipe or a file, its end changes nothing: the demo goes on until "quit" or a signal.`;

/**
 * @param args what stands behind the script's name
 * @returns the options; or `help`, or what is wrong with the arguments
 */
export function parseOptions(
  args: readonly string[],
): DemoOptions | { readonly kind: "help" } | { readonly kind: "mistake"; readonly message: string } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        world: { type: "string", default: "web" },
        scale: { type: "string" },
        "traffic-port": { type: "string" },
        "stats-port": { type: "string", default: "9000" },
        "consul-port": { type: "string", default: "8500" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return { kind: "help" };
    if (!isWorldName(values.world)) {
      return {
        kind: "mistake",
        message: `--world ${values.world}: not known; one of ${Object.keys(worlds).join(", ")}`,
      };
    }
    const world = worlds[values.world];
    const scale = parseCommand(`scale ${values.scale ?? `${world.service}=${world.instances}`}`, world);
    if (scale.kind !== "scale") {
      return {
        kind: "mistake",
        message: scale.kind === "mistake" ? scale.message : `--scale takes ${world.service}=N`,
      };
    }
    return {
      world,
      instances: scale.instances,
      trafficPort: parsePort("traffic-port", values["traffic-port"] ?? String(world.trafficPort)),
      statsPort: parsePort("stats-port", values["stats-port"]),
      consulPort: parsePort("consul-port", values["consul-port"]),
    };
  } catch (thrown) {
    return { kind: "mistake", message: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

/** One line as a person types it. */
export function parseCommand(line: string, world: World): Command {
  const text = line.trim();
  if (text === "") return { kind: "nothing" };
  if (text === "list" || text === "restart" || text === "help" || text === "quit") return { kind: text };
  if (text === "exit") return { kind: "quit" };
  const load = /^load(?:\s+(\d{1,5}))?$/.exec(text);
  if (load !== null && world.name === "quotes") {
    const requests = Number(load[1] ?? loadRequests);
    return requests > 0 ? { kind: "load", requests } : { kind: "mistake", message: "load 0 would ask for nothing" };
  }
  const scale = /^scale\s+(\S+?)\s*=\s*(\d+)$/.exec(text);
  if (scale === null)
    return { kind: "mistake", message: `"${text}" is not known. Type one of these:\n${commandHelp(world)}` };
  const [, service, count] = scale;
  if (service !== world.service) {
    const message = `there is no service "${service}" here, only "${world.service}": scale ${world.service}=${count}`;
    return { kind: "mistake", message };
  }
  const instances = Number(count);
  if (instances > mostInstances) {
    return { kind: "mistake", message: `${count} are too many for one machine; at most ${mostInstances}` };
  }
  return { kind: "scale", instances };
}

function parsePort(flag: string, value: string): number {
  const port = Number(value);
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return port;
  throw new Error(`--${flag} ${value}: not a port; write a number from 1 to 65535`);
}
