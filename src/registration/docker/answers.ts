import { z } from "zod";
import { canonicalIp } from "../../support/ip.ts";
import type { Binding, Container, ContainerPort, EngineEvent, ListedContainer } from "./types.ts";

/** Answers of the Docker Engine API (API reference: "Container", "System"), of which these fields are read. */

const textMap = z.record(z.string(), z.string().nullable()).nullish();

export const versionAnswer = z.object({ ApiVersion: z.string(), MinAPIVersion: z.string().optional() });

const listedNetworks = z
  .record(
    z.string(),
    z.object({ IPAddress: z.string().default(""), GlobalIPv6Address: z.string().default("") }).nullable(),
  )
  .nullish();

/** `GET /containers/json` */
export const listAnswer = z.array(
  z
    .object({
      Id: z.string().min(1),
      Names: z.array(z.string()).nullish(),
      State: z.string().default(""),
      /** `Up 5 minutes (healthy)` */
      Status: z.string().default(""),
      Ports: z.array(z.unknown()).nullish(),
      NetworkSettings: z.object({ Networks: listedNetworks }).nullish(),
    })
    .transform(({ Id, Names, State, Status, Ports, NetworkSettings }): ListedContainer => {
      const networks = Object.entries(NetworkSettings?.Networks ?? {}).map(([name, network]) => [
        name,
        network?.IPAddress,
        network?.GlobalIPv6Address,
      ]);
      const health = /\(([^)]*)\)$/.exec(Status)?.[1] ?? "";
      // Several names: those that links of old gave it have a slash inside.
      const name = (Names ?? []).find((one) => !one.slice(1).includes("/")) ?? Id.slice(0, 12);
      const ports = (Ports ?? []).map((port) => JSON.stringify(port)).sort();
      return { id: Id, name: bareName(name), look: JSON.stringify([name, State, health, ports, networks.sort()]) };
    }),
);

const portBindings = z
  .record(
    z.string(),
    z.array(z.object({ HostIp: z.string().default(""), HostPort: z.string().default("") })).nullable(),
  )
  .nullish();

/** `GET /containers/<id>/json` */
export const containerAnswer = z
  .object({
    Id: z.string().min(1),
    Name: z.string(),
    State: z.object({
      Running: z.boolean().default(false),
      Paused: z.boolean().default(false),
      Restarting: z.boolean().default(false),
      StartedAt: z.string().default(""),
      Health: z.object({ Status: z.string().default("") }).nullish(),
    }),
    Config: z.object({
      Image: z.string().default(""),
      Env: z.array(z.string()).nullish(),
      Labels: textMap,
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
      StopSignal: z.string().nullish(),
      StopTimeout: z.number().nullish(),
    }),
    HostConfig: z.object({ NetworkMode: z.string().default(""), PortBindings: portBindings }).nullish(),
    NetworkSettings: z.object({ Ports: portBindings, Networks: listedNetworks }).nullish(),
  })
  .transform(({ Id, Name, State, Config, HostConfig, NetworkSettings }): Container => {
    const startedAt = Date.parse(State.StartedAt);
    const health = State.Health?.Status;
    const running = State.Running && !State.Restarting;
    return {
      id: Id,
      name: bareName(Name),
      image: Config.Image,
      state: !running ? "stopped" : State.Paused ? "paused" : "running",
      startedAtMs: Number.isNaN(startedAt) ? 0 : startedAt,
      ...((health === "starting" || health === "healthy" || health === "unhealthy") && { health }),
      environment: Config.Env ?? [],
      labels: new Map(Object.entries(Config.Labels ?? {}).map(([name, value]) => [name, value ?? ""])),
      ports: portsOf(
        // On the host's own network nothing is published: what was asked for shows only in what was asked for.
        [...Object.keys(Config.ExposedPorts ?? {}), ...Object.keys(HostConfig?.PortBindings ?? {})],
        NetworkSettings?.Ports ?? {},
      ),
      networkMode: HostConfig?.NetworkMode ?? "",
      networks: new Map(
        Object.entries(NetworkSettings?.Networks ?? {}).flatMap(([name, network]) => {
          const address = canonicalIp(network?.IPAddress || network?.GlobalIPv6Address || "");
          return address === undefined ? [] : [[name, address] as const];
        }),
      ),
      // What Docker takes where neither image nor container say anything (`docker run --stop-signal`, `--stop-timeout`).
      stopSignal: Config.StopSignal || "SIGTERM",
      stopTimeoutMs: (Config.StopTimeout ?? 10) * 1_000,
    };
  });

/** One line of `GET /events`. */
export const eventAnswer = z
  .object({
    Type: z.string(),
    Action: z.string(),
    Actor: z.object({ ID: z.string().default(""), Attributes: textMap }).nullish(),
    timeNano: z.number(),
  })
  .transform(({ Type, Action, Actor, timeNano }): EngineEvent => {
    const container = Type === "container" ? Actor?.ID : Actor?.Attributes?.["container"];
    const signal = Actor?.Attributes?.["signal"];
    return {
      action: Action,
      ...(container !== undefined && container !== null && container !== "" && { container }),
      ...(signal !== undefined && signal !== null && { signal }),
      timeNs: timeNano,
    };
  });

/** @param asked what is exposed or was asked to be published, as `80/tcp` */
function portsOf(
  asked: readonly string[],
  published: Readonly<Record<string, readonly { HostIp: string; HostPort: string }[] | null>>,
): readonly ContainerPort[] {
  const found = new Map<string, ContainerPort>();
  for (const key of new Set([...asked, ...Object.keys(published)])) {
    const [, digits = "", protocol = "tcp"] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(key) ?? [];
    const port = portNumber(digits);
    if (port === undefined) continue;
    const bindings = (published[key] ?? []).flatMap(({ HostIp, HostPort }): readonly Binding[] => {
      const hostPort = portNumber(HostPort);
      return hostPort === undefined ? [] : [{ address: HostIp, port: hostPort }];
    });
    found.set(`${port}/${protocol}`, { port, protocol: protocol as ContainerPort["protocol"], bindings });
  }
  return [...found.values()].sort((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1));
}

function portNumber(text: string): number | undefined {
  const port = Number(text);
  return /^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535 ? port : undefined;
}

function bareName(name: string): string {
  return name.replace(/^\//, "");
}
