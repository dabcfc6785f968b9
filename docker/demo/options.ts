import { parseArgs } from "node:util";

export interface DemoOptions {
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
  | { readonly kind: "list" | "restart" | "help" | "quit" | "nothing" }
  | { readonly kind: "mistake"; readonly message: string };

/** More would only make the machine slow: each is a process. */
const mostInstances = 20;

export const commandHelp = `\
  scale web=N   run N instances of the sample application (0 to ${mostInstances})
  list          the instances that run
  restart       start the operator again, when it has ended
  quit          stop everything (Ctrl-C does the same)`;

export const usage = `\
Usage: npm run demo -- [--scale web=N] [--traffic-port N] [--stats-port N] [--consul-port N]

Starts Consul, a sample application that registers itself, and Sluice with HAProxy in front of it.
Where a port is in use, the next free one is taken.

  --scale web=N     start with N instances (default 3)
  --traffic-port N  where HAProxy takes requests (default 80, or 8080 where 80 cannot be bound)
  --stats-port N    HAProxy's stats page (default 9000)
  --consul-port N   Consul's HTTP API and UI (default 8500)

What can be typed while it runs:
${commandHelp}

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
        scale: { type: "string", default: "web=3" },
        "traffic-port": { type: "string", default: "80" },
        "stats-port": { type: "string", default: "9000" },
        "consul-port": { type: "string", default: "8500" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return { kind: "help" };
    const scale = parseCommand(`scale ${values.scale}`);
    if (scale.kind !== "scale") {
      return { kind: "mistake", message: scale.kind === "mistake" ? scale.message : "--scale takes web=N" };
    }
    return {
      instances: scale.instances,
      trafficPort: parsePort("traffic-port", values["traffic-port"]),
      statsPort: parsePort("stats-port", values["stats-port"]),
      consulPort: parsePort("consul-port", values["consul-port"]),
    };
  } catch (thrown) {
    return { kind: "mistake", message: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

/** One line as a person types it. */
export function parseCommand(line: string): Command {
  const text = line.trim();
  if (text === "") return { kind: "nothing" };
  if (text === "list" || text === "restart" || text === "help" || text === "quit") return { kind: text };
  if (text === "exit") return { kind: "quit" };
  const scale = /^scale\s+(\S+?)\s*=\s*(\d+)$/.exec(text);
  if (scale === null) return { kind: "mistake", message: `"${text}" is not known. Type one of these:\n${commandHelp}` };
  const [, service, count] = scale;
  if (service !== "web") {
    return { kind: "mistake", message: `there is no service "${service}" here, only "web": scale web=${count}` };
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
