import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { consulBinary } from "./binaries.ts";
import { freePort } from "./free-port.ts";
import { eventually } from "./sluice.ts";

/** One server of a cluster. */
export interface ConsulServer {
  readonly name: string;
  /** `http://<ip>:<port>` */
  readonly address: string;
  readonly pid: number;
  /** Registers with this server's agent. Throws when Consul refuses. */
  register(service: object): Promise<void>;
  deregister(id: string): Promise<void>;
  /** Ends it at once, as `kill -9` does. */
  kill(): Promise<void>;
}

export interface ConsulCluster {
  readonly servers: readonly ConsulServer[];
  /** The server that leads now, as those say that can be asked. */
  leader(): Promise<ConsulServer | undefined>;
  stop(): Promise<void>;
}

const names = ["s1", "s2", "s3"] as const;

/** Settings of a server that elects soon. One set of ports on three addresses of the loopback network. */
function configuration(
  name: string,
  ip: string,
  ips: readonly string[],
  ports: Readonly<Record<string, number>>,
): object {
  return {
    server: true,
    node_name: name,
    data_dir: "data",
    bootstrap_expect: 3,
    bind_addr: ip,
    client_addr: ip,
    retry_join: ips.map((one) => `${one}:${ports["serf_lan"]}`),
    retry_interval: "200ms",
    leave_on_terminate: false,
    disable_update_check: true,
    check_update_interval: "0s",
    connect: { enabled: false },
    ports: { dns: -1, serf_wan: -1, grpc: -1, grpc_tls: -1, ...ports },
    performance: { raft_multiplier: 1, leave_drain_time: "100ms", rpc_hold_timeout: "2s" },
    gossip_lan: { gossip_interval: "50ms", probe_interval: "200ms", probe_timeout: "100ms", suspicion_mult: 3 },
    autopilot: { cleanup_dead_servers: false, server_stabilization_time: "1s" },
    log_level: "warn",
  };
}

/** Starts three servers and resolves when they have a leader and know each other. They die with this process at the latest. */
export async function startConsulCluster(): Promise<ConsulCluster> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-consul-"));
  const [http, server, serfLan] = [await freePort(), await freePort(), await freePort()];
  // Its own loopback addresses for each run, so that two clusters on one machine do not meet.
  const third = 1 + Math.floor(Math.random() * 250);
  const ips = names.map((_name, index) => `127.77.${third}.${11 + index}`);
  const servers: ConsulServer[] = [];
  for (const [index, name] of names.entries()) {
    const ip = ips[index] ?? "";
    const file = path.join(directory, `${name}.json`);
    const settings = configuration(name, ip, ips, { http, server, serf_lan: serfLan });
    await writeFile(file, JSON.stringify({ ...settings, data_dir: path.join(directory, name) }));
    servers.push(startServer(name, ip, http, file));
  }
  const stop = async () => {
    for (const one of servers) await one.kill();
    await rm(directory, { recursive: true, force: true });
  };
  const leader = async () => {
    for (const one of servers) {
      const answer = await call(one.address, "GET", "/v1/status/leader").catch(() => undefined);
      const ip = /"([\d.]+):\d+"/.exec(answer?.text ?? "")?.[1];
      if (ip !== undefined) return servers.find(({ address }) => address === `http://${ip}:${http}`);
    }
    return undefined;
  };
  try {
    await eventually(
      "three servers have a leader",
      async () => {
        for (const { address } of servers) {
          const { text } = await call(address, "GET", "/v1/health/service/consul");
          if ((JSON.parse(text) as unknown[]).length < 3) return false;
        }
        return (await leader()) !== undefined;
      },
      60_000,
    );
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  return { servers, leader, stop };
}

function startServer(name: string, ip: string, port: number, file: string): ConsulServer {
  const child: ChildProcess = spawn(consulBinary, ["agent", "-config-file", file], { stdio: "ignore" });
  const killWithUs = () => child.kill("SIGKILL");
  process.once("exit", killWithUs);
  const gone = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const address = `http://${ip}:${port}`;
  const put = async (where: string, body?: unknown) => {
    // While the leader is frozen, so is what has to be asked of it.
    const { status, text } = await call(address, "PUT", where, body, 60_000);
    if (status !== 200) throw new Error(`PUT ${where}: ${status} ${text}`);
  };
  return {
    name,
    address,
    pid: child.pid ?? -1,
    register: (service) => put("/v1/agent/service/register?replace-existing-checks=true", service),
    deregister: (id) => put(`/v1/agent/service/deregister/${encodeURIComponent(id)}`),
    kill: async () => {
      process.off("exit", killWithUs);
      // One that is frozen ends too.
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await gone;
    },
  };
}

function call(address: string, method: string, where: string, body?: unknown, timeout = 3_000) {
  return new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
    const outgoing = request(`${address}${where}`, { method, agent: false, timeout }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, text }));
      incoming.on("error", reject);
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`${address} does not answer`)));
    outgoing.on("error", reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
