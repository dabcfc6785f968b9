import type { Instance, Snapshot } from "../catalog/types.ts";
import { judge } from "../guard/accept.ts";
import { holdKey } from "../guard/instances.ts";
import { SteadyTime } from "../guard/steady-time.ts";
import type { Accepted, GuardPolicy } from "../guard/types.ts";
import type { LoadBalancer } from "../routing/types.ts";
import type { Clock } from "../support/clock.ts";
import { announceHeld, announceReleased } from "./announce-holds.ts";
import type { EventLog } from "./events.ts";
import { heldServers, reachedAt } from "./held-servers.ts";
import { HoldProbes } from "./holds.ts";
import type { CatalogPort, ProbePort, RuntimePort } from "./ports.ts";
import { LossVerification } from "./verify-losses.ts";

export interface GuardParts {
  readonly catalog: CatalogPort;
  readonly runtime: RuntimePort;
  readonly probe: ProbePort;
  readonly clock: Clock;
  readonly events: EventLog;
  /** What HAProxy is to look like as of the last pass. */
  readonly loadBalancer: () => LoadBalancer | undefined;
  /** Called when the newest snapshot is to be judged anew. */
  readonly onAnswers: () => void;
}

/** What came of an operator's word: how many holds it ended, and what is held, as `<service>/<node>/<id>`. */
export interface ReleaseOutcome {
  readonly released: number;
  readonly held: readonly string[];
}

/** The guard with all it needs of the world: time, probes of what is held, a second read of what is hard to believe. */
export class Guard {
  private readonly parts: GuardParts;
  private readonly time = new SteadyTime();
  private readonly verification = new LossVerification();
  private readonly probes: HoldProbes;
  private accepted: Accepted | undefined;

  constructor(parts: GuardParts) {
    this.parts = parts;
    this.probes = new HoldProbes({
      ...parts,
      servers: () => this.servers(),
      reachedAt: (service, instance) => reachedAt(service, instance, parts.loadBalancer()),
    });
  }

  /** The guard's word on a snapshot, said and seen to. */
  judge(before: Accepted | undefined, snapshot: Snapshot, policy: GuardPolicy, signal: AbortSignal): Accepted {
    const { catalog, clock, events } = this.parts;
    const now = this.time.at(clock.wall(), clock.now());
    const { accepted, released } = judge(before, snapshot, this.probes.answers, policy, now);
    announceHeld(events, before?.holds ?? [], accepted.holds, policy.holdForMs);
    announceReleased(events, released, this.probes.said);
    this.accepted = accepted;
    this.probes.follow(accepted, signal);
    const doubtful = this.verification.due(accepted);
    if (doubtful.length > 0) catalog.reread(doubtful);
    return accepted;
  }

  /** @param target `<service>`, `<service>/<id>` or `<service>/<node>/<id>` */
  release(target: string): ReleaseOutcome {
    const held = (this.accepted?.holds ?? []).map(({ instance }) => namesOf(instance)[0]);
    const released = this.probes.release((_service, instance) => namesOf(instance).includes(target));
    if (released > 0) this.parts.onAnswers();
    return { released, held };
  }

  /** How much the wall clock was set ahead, and the times of holds are behind it, ms. */
  get behindMs(): number {
    return this.time.behindMs;
  }

  private servers() {
    const loadBalancer = this.parts.loadBalancer();
    // What an operator or a probe has let go needs no further look.
    const holds = (this.accepted?.holds ?? []).filter(
      ({ service, instance }) => this.probes.answers.get(holdKey(service, instance)) !== false,
    );
    return loadBalancer === undefined ? new Map() : heldServers(holds, loadBalancer);
  }
}

/** All that one may call an instance by; the full name first. */
function namesOf({ service, node, id }: Instance): [string, string, string] {
  return [`${service.name}/${node}/${id}`, `${service.name}/${id}`, service.name];
}
