import type { SeenServer } from "./explain-service.ts";
import type { LoadBalancer, RouteTarget, Server } from "./types.ts";

export interface ExplainedServer {
  readonly server: string;
  readonly address: string;
  readonly weight: number;
  /** 0..1 of the requests of this route, as far as weights tell. */
  readonly share: number;
  /** What is to be said of it; empty where it serves. */
  readonly state: string;
}

/** The servers of the targets, each with the part it gets by the weights of those that take requests. */
export function explainServers(
  targets: readonly Pick<RouteTarget, "backend" | "server" | "share">[],
  {
    loadBalancer,
    seen,
  }: {
    readonly loadBalancer: Pick<LoadBalancer, "backends">;
    /** By `<backend>/<server>`; undefined where HAProxy could not be asked. */
    readonly seen: ReadonlyMap<string, SeenServer> | undefined;
  },
): readonly ExplainedServer[] {
  return targets.flatMap(({ backend: name, server: only, share }) => {
    const backend = loadBalancer.backends.find((one) => one.name === name);
    const servers = (backend?.servers ?? []).filter((server) => only === undefined || server.name === only);
    const states = servers.map((server) => ({ server, ...stateOf(name, server, seen) }));
    const main = states.filter(({ serves, server }) => serves && server.options.backup !== true);
    const taking = main.length > 0 ? main : states.filter(({ serves }) => serves);
    const total = taking.reduce((sum, { weight }) => sum + weight, 0);
    return states.map(({ server, weight, state }) => ({
      server: `${name}/${server.name}`,
      address: `${server.address}:${server.port}`,
      weight,
      share: taking.some((one) => one.server === server) && total > 0 ? (share * weight) / total : 0,
      state,
    }));
  });
}

function stateOf(backend: string, server: Server, seen: ReadonlyMap<string, SeenServer> | undefined) {
  const now = seen?.get(`${backend}/${server.name}`);
  const weight = now?.weight ?? server.weight;
  const state =
    seen !== undefined && now === undefined
      ? "HAProxy does not have it yet"
      : now?.maintenance === true
        ? "in maintenance"
        : now?.up === false
          ? "down by HAProxy's check"
          : server.joining
            ? "joining: waits for its first good check"
            : weight === 0
              ? "weight 0: takes nothing new"
              : server.options.backup === true
                ? "backup"
                : "";
  return { weight, state, serves: weight > 0 && (state === "" || state === "backup") };
}

/** What a client gets of them. */
export function answeredBy(
  servers: readonly ExplainedServer[],
  backend: string,
): { readonly serves: boolean; readonly answer: string } {
  const serving = servers.filter(({ share }) => share > 0);
  if (serving.length === 0) {
    const why = servers.length === 0 ? `backend ${backend} has no server` : `no server of ${backend} takes requests`;
    return { serves: false, answer: `503, the page for a service that cannot answer: ${why}` };
  }
  const names = serving.length === 1 ? serving[0]?.server : `one of ${serving.length} servers`;
  return { serves: true, answer: `answered by ${names}` };
}
