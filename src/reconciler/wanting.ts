import { guardPolicy } from "../guard/policy.ts";
import type { Accepted } from "../guard/types.ts";
import { planChanges } from "../haproxy/plan/plan.ts";
import type { Desired, ReloadReason } from "../haproxy/plan/types.ts";
import { toSluiceError } from "../support/errors.ts";
import { announceExclusions } from "./announce.ts";
import type { Awaited } from "./awaited.ts";
import type { ReconcilerParts } from "./beginning.ts";
import type { Inputs, Wish } from "./desire.ts";
import type { Guard } from "./guard.ts";
import type { Complaint, Isolation } from "./isolation.ts";
import type { KeptTemplate } from "./kept-template.ts";
import type { RunningState } from "./running.ts";
import type { StructureGate } from "./structure-gate.ts";
import type { InputsTrial } from "./trial.ts";
import type { Wishes } from "./wishes.ts";

export interface WantingParts extends Pick<ReconcilerParts, "catalog" | "runtime" | "events" | "onRegisters"> {
  readonly state: RunningState;
  readonly guard: () => Guard;
  readonly trial: InputsTrial;
  readonly isolation: () => Isolation;
  readonly wishes: Wishes;
  readonly structures: () => StructureGate;
  readonly template: KeptTemplate;
  /** Whether HAProxy could not be started on the file there is. */
  readonly startFailed: () => boolean;
  readonly awaited: () => Pick<Awaited, "now" | "long">;
  /** Called with what the guard accepts, to be kept. */
  readonly onAccepted: (accepted: Accepted) => void;
}

/** What is believed of the catalog, and what HAProxy should run for it by the settings and template in force. */
export class Wanting {
  accepted: Accepted | undefined;
  wish: Wish | undefined;
  private readonly parts: WantingParts;

  constructor(parts: WantingParts, accepted: Accepted | undefined) {
    this.parts = parts;
    this.accepted = accepted;
  }

  /** The guard's word on the newest snapshot. */
  judge(signal: AbortSignal): void {
    const { catalog, guard, trial, isolation, onAccepted } = this.parts;
    const snapshot = catalog.latest();
    if (snapshot === undefined) return;
    const before = this.accepted?.overrides;
    this.accepted = guard().judge(this.accepted, snapshot, guardPolicy(trial.inForce.settings), signal);
    if (before !== undefined && this.accepted.overrides !== before) {
      isolation().quarantine.retry("overrides are others now");
    }
    onAccepted(this.accepted);
  }

  /**
   * What should run; where the template cannot be rendered because of somebody's data, without them.
   *
   * @param answered whether the catalog has said anything yet
   * @throws what the renderer throws, where nobody's data is to blame
   */
  async desired(answered: boolean): Promise<Desired | undefined> {
    const { isolation, trial } = this.parts;
    try {
      return this.desiredOfAll(answered);
    } catch (thrown) {
      const services = isolation().quarantine.apply(this.accepted?.services ?? new Map());
      if (!(await isolation().ofRender(services, trial.inForce, thrown))) throw thrown;
      return this.desiredOfAll(answered);
    }
  }

  /** In the committer's lane: who is to blame for what HAProxy does not take. Newer inputs are it themselves. */
  async isolate(wish: Wish | undefined, complaint: Complaint, signal: AbortSignal): Promise<boolean> {
    const { trial, isolation } = this.parts;
    const culprit = wish ?? this.wish;
    if (culprit === undefined || culprit.inputs !== trial.inForce) return false;
    return isolation().ofConfig(culprit, complaint, signal);
  }

  /** The inputs on trial are in force from here on. */
  acceptInputs(): void {
    const { trial, isolation, template } = this.parts;
    trial.accept();
    isolation().quarantine.retry("settings or template are others now");
    template.keep(trial.inForce.template);
  }

  /**
   * Whether there is no file that HAProxy could be started on. Where somebody else starts it, that is not known: one that
   * was never met and is long in coming may not be able to start on the file, which a person has mended in the settings
   * and started us again. One that was met did run on it.
   */
  mustStartAnew(): boolean {
    const { state, startFailed, awaited } = this.parts;
    return state.current === undefined || startFailed() || (awaited().long && !state.met);
  }

  /**
   * Until the catalog has answered it is what runs already, and other inputs wait: the last good snapshot may be older
   * than the file, and serves only where there is no file, or one that cannot be started.
   */
  private desiredOfAll(answered: boolean): Desired | undefined {
    const { trial, state, isolation, wishes, events, onRegisters } = this.parts;
    const { accepted } = this;
    if (accepted === undefined) return state.current;
    if (!answered && !this.mustStartAnew()) return state.current;
    if (trial.candidate !== undefined) this.tryCandidate(accepted, trial.candidate);
    const before = this.wish?.loadBalancer.excluded ?? [];
    const services = isolation().quarantine.apply(accepted.services);
    this.wish = wishes.of(services, trial.inForce);
    isolation().made(this.wish);
    announceExclusions(events, before, this.wish.loadBalancer.excluded);
    onRegisters?.(this.wish.loadBalancer.registers);
    return this.wish.desired;
  }

  /** Asks for what the newer inputs want; where that needs no reload, they are in force from here on. */
  private tryCandidate(accepted: Accepted, candidate: Inputs): void {
    const { state, trial, isolation, wishes, structures, runtime, awaited } = this.parts;
    try {
      const services = isolation().quarantine.apply(accepted.services);
      const wish = wishes.of(services, candidate);
      const capabilities = runtime.capabilities();
      if (!state.up || state.current === undefined || capabilities === undefined) {
        if (this.mustStartAnew() || awaited().now) structures().wantOnTrial(wish, notRunningReason);
        return;
      }
      const { current, leaving, leavingBackends } = state;
      const plan = planChanges({ current, wanted: wish.desired, capabilities, leaving, leavingBackends });
      if (plan.reload === undefined) this.acceptInputs();
      else structures().wantOnTrial(wish, plan.reload);
    } catch (thrown) {
      trial.fail(toSluiceError(thrown).message);
    }
  }
}

export const notRunningReason: readonly ReloadReason[] = [
  { code: "process-started", subject: "HAProxy", sentence: "is not running" },
];
