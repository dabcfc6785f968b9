import { readFileSync, renameSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { ownProcesses } from "../../src/haproxy/process/ours.ts";
import { childrenOf, findProcess } from "../../src/haproxy/process/process-table.ts";
import { serverScript } from "../../src/haproxy/runtime/commands.ts";
import type { OperatorPorts } from "../../src/operator.ts";

/** Where in the way of a change something is killed. */
export type KillPoint =
  /** The first half of a pass's operations is done. */
  | "between-operations"
  /** A server was added and is not let in yet. */
  | "server-half-added"
  | "operations-done"
  | "candidate-written"
  | "validated"
  /** A map file is written, the configuration not yet. */
  | "map-written"
  | "file-swapped"
  /** `afterMs` behind the call that reloads. */
  | "reload-sent"
  /** The new worker answers, and the operator has not taken note of it. */
  | "worker-up"
  /** The state is saved: generation and leaving set. */
  | "committed"
  /** A server that leaves was found to have connections. */
  | "server-leaving";

/** The operator itself, HAProxy's master, its newest worker or process without a master, or all at once. */
export type Victim = "operator" | "master" | "worker" | "all";

export interface KillOrder {
  readonly point: KillPoint;
  readonly who: Victim;
  readonly afterMs?: number;
}

/**
 * Ports that carry out a kill -9 where the order says: once, the order's file being renamed to `<file>.done` before.
 * There is no order while the file is not there.
 *
 * @param directory the state directory
 */
export function killPoints(orderFile: string, directory: string): (ports: OperatorPorts) => OperatorPorts {
  const sockets = path.join(directory, "sockets");
  const kill = (who: Victim) => {
    renameSync(orderFile, `${orderFile}.done`);
    if (who !== "operator") killHaproxy(sockets, who);
    if (who === "operator" || who === "all") process.kill(process.pid, "SIGKILL");
  };
  const at = (point: KillPoint) => {
    const order = readOrder(orderFile);
    if (order?.point === point) kill(order.who);
  };
  const behind = async <T>(point: KillPoint, work: Promise<T>): Promise<T> => {
    const result = await work;
    at(point);
    return result;
  };

  return ({ runtime, process: haproxy, store, ...others }) => ({
    ...others,
    runtime: overriding(runtime, {
      apply: async (operations, signal) => {
        const order = readOrder(orderFile);
        if (order?.point === "between-operations" && operations.length > 1) {
          const half = Math.ceil(operations.length / 2);
          const first = await runtime.apply(operations.slice(0, half), signal);
          kill(order.who);
          return [...first, ...(await runtime.apply(operations.slice(half), signal))];
        }
        const added = operations.find(({ kind }) => kind === "add-server");
        const capabilities = runtime.capabilities();
        if (order?.point === "server-half-added" && added?.kind === "add-server" && capabilities !== undefined) {
          const script = serverScript(added, capabilities);
          if (script.ok) await tell(path.join(sockets, "runtime.sock"), script.steps[0]?.line ?? "");
          kill(order.who);
        }
        return behind("operations-done", runtime.apply(operations, signal));
      },
      deleteServer: async (backend, server, force) => {
        const result = await runtime.deleteServer(backend, server, force);
        if (result.kind === "busy") at("server-leaving");
        return result;
      },
    }),
    process: overriding(haproxy, {
      validate: (candidate, signal) => behind("validated", haproxy.validate(candidate, signal)),
      reload: (signal) => {
        at("file-swapped");
        const order = readOrder(orderFile);
        if (order?.point === "reload-sent") setTimeout(() => kill(order.who), order.afterMs ?? 0);
        return behind("worker-up", haproxy.reload(signal));
      },
    }),
    store: overriding(store, {
      writeCandidate: (text) => behind("candidate-written", store.writeCandidate(text)),
      writeMap: (file, text) => behind("map-written", store.writeMap(file, text)),
      saveState: (change) => behind("committed", store.saveState(change)),
    }),
  });
}

function readOrder(file: string): KillOrder | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as KillOrder;
  } catch {
    return undefined;
  }
}

/** A port with some of its methods replaced; the others keep their own `this`. */
function overriding<T extends object>(port: T, methods: Partial<T>): T {
  return new Proxy(port, {
    get: (target, name) => {
      const value = (methods[name as keyof T] ?? target[name as keyof T]) as unknown;
      return typeof value === "function" && !(name in methods) ? value.bind(target) : value;
    },
  });
}

function killHaproxy(sockets: string, who: Victim): void {
  const pidFile = path.join(sockets, "haproxy.pid");
  const first = findProcess(Number(readFileSync(pidFile, "latin1")));
  if (first === undefined) throw new Error("there is no HAProxy to kill");
  const configPath = path.join(path.dirname(sockets), "haproxy.cfg");
  const singles = ownProcesses({ configPath, pidFile, masterSocket: "" }).singles.map(({ pid }) => pid);
  const workers = singles.length > 0 ? singles : [...childrenOf(first)].sort((a, b) => a - b);
  const victims = who === "worker" ? workers.slice(-1) : who === "all" ? [first.pid, ...workers] : [first.pid];
  for (const pid of victims) process.kill(pid, "SIGKILL");
}

/** One command on a socket; what it answers does not matter. */
function tell(socketPath: string, line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => socket.write(`${line}\n`));
    socket.resume();
    socket.on("end", () => resolve());
    socket.on("error", reject);
  });
}
