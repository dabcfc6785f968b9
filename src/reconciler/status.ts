import type { Accepted } from "../guard/types.ts";
import type { Capabilities } from "../haproxy/runtime/types.ts";
import type { Wish } from "./desire.ts";
import type { RunningState } from "./running.ts";

/** What the reconciler knows of itself, as plain data. */
export interface ReconcilerStatus {
  readonly haproxy: {
    readonly up: boolean;
    readonly version: string | undefined;
    readonly worker: number | undefined;
    /** Whether what runs has been read back since it last may have changed unseen. */
    readonly believed: boolean;
  };
  readonly generation: number;
  readonly structure: string | undefined;
  /** Ms that the file is behind the process now; absent when it is not. */
  readonly fileLagMs?: number;
  readonly lastFileLagMs?: number;
  readonly services: readonly {
    readonly name: string;
    readonly servers: readonly ServerStatus[];
    readonly emptySince?: string;
  }[];
  readonly routes: readonly { readonly host: string; readonly backend: string }[];
  readonly leaving: readonly { readonly server: string; readonly since: string }[];
  readonly joining: readonly string[];
  readonly holds: readonly { readonly service: string; readonly instance: string; readonly since: string }[];
  readonly excluded: readonly {
    readonly service: string;
    readonly instance?: string;
    readonly code: string;
    readonly reason: string;
  }[];
  /** Why the newest settings or template are not in force; absent when they are. */
  readonly inputsProblem?: string;
  /** What HAProxy said of the structure that is wanted; absent when it took it. */
  readonly refused?: readonly string[];
  /** What HAProxy said of the file that would say what runs; absent when it took it. */
  readonly fileRefused?: readonly string[];
}

interface ServerStatus {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly joining: boolean;
}

/** Where it is read from. */
export interface StatusSource {
  readonly state: RunningState;
  readonly committer: { readonly lagMs: () => number | undefined; readonly lastLagMs: number | undefined };
  readonly accepted: Accepted | undefined;
  readonly wish: Wish | undefined;
  readonly trial: { readonly problem: string | undefined };
  readonly structures: { readonly refused: { readonly problems: readonly string[] } | undefined };
  readonly admission: { readonly waiting: () => ReadonlyMap<string, ReadonlySet<string>> };
}

export function reconcilerStatus(source: StatusSource, capabilities: Capabilities | undefined): ReconcilerStatus {
  const { state, committer, accepted, wish, trial, admission } = source;
  const { refused } = source.structures;
  const lag = committer.lagMs();
  const emptySince = new Map<string, number>();
  for (const [key, since] of accepted?.emptySince ?? []) {
    const name = accepted?.services.get(key)?.key.name;
    if (name !== undefined) emptySince.set(name, since);
  }
  return {
    haproxy: { up: state.up, version: capabilities?.versionText, worker: state.workerPid, believed: state.believed },
    generation: state.generation,
    structure: state.current?.structure,
    ...(lag !== undefined && { fileLagMs: Math.round(lag) }),
    ...(committer.lastLagMs !== undefined && { lastFileLagMs: Math.round(committer.lastLagMs) }),
    services: (wish?.loadBalancer.backends ?? []).map(({ name, sources, servers }) => {
      const since = emptySince.get(sources[0]?.name ?? "");
      return {
        name,
        servers: servers.map(({ name, address, port, weight, joining }) => ({ name, address, port, weight, joining })),
        ...(since !== undefined && { emptySince: iso(since) }),
      };
    }),
    routes: (wish?.loadBalancer.routes ?? []).map(({ host, backend }) => ({ host, backend })),
    leaving: [...state.leaving].map(([server, { since }]) => ({ server, since: iso(since) })),
    joining: [...admission.waiting()].flatMap(([backend, names]) => [...names].map((name) => `${backend}/${name}`)),
    holds: (accepted?.holds ?? []).map(({ instance, since }) => ({
      service: instance.service.name,
      instance: `${instance.node}/${instance.id}`,
      since: iso(since),
    })),
    excluded: wish?.loadBalancer.excluded ?? [],
    ...(trial.problem !== undefined && { inputsProblem: trial.problem }),
    ...(refused !== undefined && { refused: refused.problems }),
    ...(state.fileRefused !== undefined && { fileRefused: state.fileRefused.problems }),
  };
}

function iso(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
