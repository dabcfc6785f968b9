import type { Accepted, HoldCause, Quarantined } from "../guard/types.ts";
import type { Capabilities } from "../haproxy/runtime/types.ts";
import type { Settings } from "../settings/schema.ts";
import type { Wish } from "./desire.ts";
import type { OldWorkers } from "./old-workers.ts";
import type { RunningState } from "./running.ts";

/** What the reconciler knows of itself, as plain data. */
export interface ReconcilerStatus {
  readonly haproxy: {
    readonly up: boolean;
    readonly version: string | undefined;
    readonly worker: number | undefined;
    /** Whether what runs has been read back since it last may have changed unseen. */
    readonly believed: boolean;
    /** Workers that reloads replaced and that still finish their connections; what is left at `reload.hardStopAfter` is cut. */
    readonly oldWorkers: readonly {
      readonly pid: number;
      readonly since: string;
      /** Absent where that cannot be known. */
      readonly connections?: number;
    }[];
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
  readonly holds: readonly HoldStatus[];
  readonly excluded: readonly {
    readonly service: string;
    readonly instance?: string;
    readonly code: string;
    readonly reason: string;
  }[];
  /** What the template or HAProxy did not take of the catalog's data. */
  readonly quarantined: readonly {
    readonly service: string;
    /** `<node>/<id>`; empty where the whole service is meant. */
    readonly instances: readonly string[];
    readonly since: string;
    readonly reason: string;
    /** Whether they go on with tags and meta of before, or not at all. */
    readonly keeps: "last-good" | "left-out";
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

/** An instance that the catalog lost and that is kept while it accepts connections. */
export interface HoldStatus {
  readonly service: string;
  /** `<node>/<id>` */
  readonly instance: string;
  readonly address: string;
  readonly port: number;
  readonly since: string;
  readonly cause: HoldCause;
  /** When it is let go at the latest. */
  readonly until: string;
}

/** Where it is read from. */
export interface StatusSource {
  readonly state: RunningState;
  readonly committer: { readonly lagMs: () => number | undefined; readonly lastLagMs: number | undefined };
  readonly accepted: Accepted | undefined;
  readonly wish: Wish | undefined;
  readonly trial: {
    readonly problem: string | undefined;
    readonly inForce: { readonly settings: Pick<Settings, "guard"> };
  };
  readonly guard: { readonly behindMs: number };
  readonly structures: { readonly refused: { readonly problems: readonly string[] } | undefined };
  readonly isolation: { readonly quarantine: { readonly list: () => readonly Quarantined[] } };
  readonly oldWorkers: Pick<OldWorkers, "list">;
  readonly admission: { readonly waiting: () => ReadonlyMap<string, ReadonlySet<string>> };
}

export function reconcilerStatus(source: StatusSource, capabilities: Capabilities | undefined): ReconcilerStatus {
  const { state, committer, accepted, wish, trial, admission, oldWorkers } = source;
  const { refused } = source.structures;
  const lag = committer.lagMs();
  const emptySince = new Map<string, number>();
  for (const [key, since] of accepted?.emptySince ?? []) {
    const name = accepted?.services.get(key)?.key.name;
    if (name !== undefined) emptySince.set(name, since);
  }
  return {
    haproxy: {
      up: state.up,
      version: capabilities?.versionText,
      worker: state.workerPid,
      believed: state.believed,
      oldWorkers: oldWorkers.list().map(({ pid, since, connections }) => ({
        pid,
        since: iso(since),
        ...(connections !== undefined && { connections }),
      })),
    },
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
    routes: (wish?.loadBalancer.routes ?? []).map(({ host, path, targets }) => ({
      host,
      path,
      backend: targets[0]?.backend ?? "",
    })),
    leaving: [...state.leaving].map(([server, { since }]) => ({ server, since: iso(since) })),
    joining: [...admission.waiting()].flatMap(([backend, names]) => [...names].map((name) => `${backend}/${name}`)),
    holds: (accepted?.holds ?? []).map(({ instance, since, cause }) => ({
      service: instance.service.name,
      instance: `${instance.node}/${instance.id}`,
      address: instance.address,
      port: instance.port,
      since: iso(since + source.guard.behindMs),
      cause,
      until: iso(since + source.guard.behindMs + trial.inForce.settings.guard.holdFor),
    })),
    excluded: wish?.loadBalancer.excluded ?? [],
    quarantined: source.isolation.quarantine.list().map(({ name: service, instances, since, reason, good }) => ({
      service,
      instances,
      since: iso(since),
      reason,
      keeps: good === undefined ? "left-out" : "last-good",
    })),
    ...(trial.problem !== undefined && { inputsProblem: trial.problem }),
    ...(refused !== undefined && { refused: refused.problems }),
    ...(state.fileRefused !== undefined && { fileRefused: state.fileRefused.problems }),
  };
}

function iso(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
