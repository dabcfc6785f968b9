import type { Container } from "../../src/registration/docker/types.ts";
import type { RegistrarOptions } from "../../src/registration/registrar/options.ts";

export const plainOptions: RegistrarOptions = { internal: false, tags: [], explicit: false, healthcheck: true };

/** What Docker gives a container for an id. */
export function idOf(name: string): string {
  return Buffer.from(name.padEnd(32, ".")).toString("hex").slice(0, 64);
}

/** A running container with port 80 published on 32768 of all addresses. */
export function container(name: string, more: Partial<Container> = {}): Container {
  return {
    id: idOf(name),
    name,
    image: "registry.example:5000/team/shop:1.2",
    state: "running",
    startedAtMs: 1_000,
    environment: [],
    labels: new Map(),
    ports: [{ port: 80, protocol: "tcp", bindings: [{ address: "0.0.0.0", port: 32_768 }] }],
    networkMode: "default",
    networks: new Map([["bridge", "172.17.0.2"]]),
    stopSignal: "SIGTERM",
    stopTimeoutMs: 10_000,
    ...more,
  };
}

/** A port that is published where it says, or on none. */
export function port(number: number, ...hostPorts: readonly number[]): Container["ports"][number] {
  return {
    port: number,
    protocol: "tcp",
    bindings: hostPorts.map((one) => ({ address: "0.0.0.0", port: one })),
  };
}
