import type { Accepted } from "../guard/types.ts";
import { planChanges } from "../haproxy/plan/plan.ts";
import { poolSection } from "../haproxy/plan/pools.ts";
import type { Desired, ObservedBackends, Plan, ReloadReason } from "../haproxy/plan/types.ts";
import { Mutex } from "../support/mutex.ts";
import { Admission } from "./admission.ts";
import { announceApplied } from "./announce.ts";
import { applyPlan } from "./apply.ts";
import type { Beginning, ReconcilerParts } from "./beginning.ts";
import { CertificateLane } from "./certificate-lane.ts";
import { ClosedPorts } from "./closed-ports.ts";
import { Committer } from "./committer.ts";
import type { Inputs, Wish } from "./desire.ts";
import { DriftWatch } from "./drift-watch.ts";
import { Guard, type ReleaseOutcome } from "./guard.ts";
import { Isolation } from "./isolation.ts";
import { KeptTemplate } from "./kept-template.ts";
import { LeavingServers } from "./leaving.ts";
import { OldWorkers } from "./old-workers.ts";
import { readBack } from "./read-back.ts";
import { RunningState } from "./running.ts";
import { saveAccepted } from "./save-accepted.ts";
import { type ReconcilerStatus, reconcilerStatus } from "./status.ts";
import type { StructureOutcome, StructureRequest } from "./structure.ts";
import { StructureGate } from "./structure-gate.ts";
import { Surprises } from "./surprises.ts";
import { InputsTrial } from "./trial.ts";
import { notRunningReason, Wanting } from "./wanting.ts";
import { Wishes } from "./wishes.ts";

/**
 * The loop. One pass at a time, the newest snapshot wins, every pass starts from state: what the catalog says now
 * against what is known to run. A pass ends with HAProxy's answers; file, validation and reload follow in the
 * committer's lane. Nothing but abort ends it.
 */
export class Reconciler {
  readonly state = new RunningState();
  readonly committer: Committer;
  readonly admission: Admission;
  readonly oldWorkers: OldWorkers;
  readonly trial: InputsTrial;
  readonly structures: StructureGate;
  readonly guard: Guard;
  private readonly parts: ReconcilerParts;
  private readonly mutex = new Mutex();
  readonly isolation: Isolation;
  private readonly closedPorts: ClosedPorts;
  private readonly wanting: Wanting;
  private leaving: LeavingServers | undefined;
  private readonly surprises: Surprises;
  private pending: string | undefined;
  private active = false;
  private signal: AbortSignal = AbortSignal.abort();
  private readonly drift: DriftWatch;
  private readonly template: KeptTemplate;
  private readonly certificateLane: CertificateLane | undefined;
  private save: ((accepted: Accepted) => void) | undefined;

  constructor(parts: ReconcilerParts, beginning: Beginning) {
    this.parts = parts;
    this.state.current = beginning.running;
    this.state.generation = beginning.generation;
    for (const server of beginning.leaving) this.state.leaving.set(`${server.backend}/${server.server}`, server);
    this.trial = new InputsTrial(
      { ...parts, onAccepted: parts.onInputs, onRetry: () => this.trigger("inputs") },
      beginning.inputs,
      beginning.candidate,
    );
    const wishes = new Wishes({
      ...parts,
      admission: () => this.admission,
      closedPorts: () => this.closedPorts,
      inForce: () => this.trial.inForce,
      overrides: () => this.accepted?.overrides,
    });
    this.drift = new DriftWatch(parts.events, this.state);
    this.surprises = new Surprises({ ...parts, state: this.state, trigger: (cause) => this.trigger(cause) });
    this.template = new KeptTemplate(parts.store, (thrown) => this.failed(thrown));
    this.wanting = new Wanting(
      {
        ...parts,
        state: this.state,
        guard: () => this.guard,
        trial: this.trial,
        isolation: () => this.isolation,
        wishes,
        structures: () => this.structures,
        template: this.template,
        startFailed: () => this.committer.startFailed,
        awaited: () => this.committer.awaited,
        onAccepted: (accepted) => this.save?.(accepted),
      },
      beginning.accepted,
    );
    this.isolation = new Isolation(
      {
        ...parts,
        desire: (services, inputs) => wishes.of(services, inputs),
      },
      beginning.quarantine,
      beginning.accepted?.services ?? new Map(),
    );
    this.closedPorts = new ClosedPorts({ ...parts, state: this.state, onOpen: () => this.trigger("retry") });
    const { certificates } = parts;
    this.certificateLane =
      certificates && new CertificateLane({ ...parts, certificates }, beginning.certificates ?? new Map());
    this.committer = new Committer({
      ...parts,
      certificateLane: this.certificateLane,
      state: this.state,
      mutex: this.mutex,
      minReloadIntervalMs: () => this.trial.inForce.settings.reload.minInterval,
      doubting: (wish, down) => wishes.doubting(wish, down),
      isolate: (...complaint) => this.wanting.isolate(...complaint),
      closePorts: (wish, busy, signal) => this.closedPorts.close(wish, busy, signal),
      onIsolated: () => this.trigger("isolated"),
      onTaken: (config) => this.isolation.taken(config),
      onStructure: (request, outcome) => this.onStructure(request, outcome),
      onSurprise: (cause) => this.surprise(cause),
      onResumed: () => this.resumed(),
    });
    this.structures = new StructureGate({
      ...parts,
      state: this.state,
      ask: (request) => this.committer.want(request),
      onRetry: () => this.trigger("retry"),
    });
    this.oldWorkers = new OldWorkers({ ...parts, state: this.state });
    this.admission = new Admission({ ...parts, onAdmitted: () => this.trigger("admitted") });
    this.guard = new Guard({
      ...parts,
      loadBalancer: () => this.wish?.loadBalancer,
      onAnswers: () => this.trigger("probe"),
    });
  }

  get accepted(): Accepted | undefined {
    return this.wanting.accepted;
  }

  get wish(): Wish | undefined {
    return this.wanting.wish;
  }

  /** Runs until the signal aborts, and by then has ended all it began. */
  async run(signal: AbortSignal): Promise<void> {
    const { catalog, clock, process, events, store } = this.parts;
    this.signal = signal;
    this.save = saveAccepted(store, clock, events, signal);
    this.leaving = new LeavingServers(
      {
        ...this.parts,
        state: this.state,
        mutex: this.mutex,
        drainTimeoutMs: () => this.trial.inForce.settings.haproxy.drainTimeout,
        onChange: () => this.committer.touch(),
        onSurprise: (cause) => this.surprise(cause),
      },
      signal,
    );
    const unsubscribe = catalog.subscribe(() => this.trigger("catalog"));
    const forget = process.onExit((detail) => this.processGone(detail));
    const ignore = this.parts.certificates?.subscribe(() => this.trigger("certificates"));
    const committing = this.committer.run(signal);
    this.trigger("start");
    while (!signal.aborted) {
      await clock.sleep(this.trial.inForce.settings.resync, signal).catch(() => undefined);
      this.resync();
    }
    unsubscribe();
    forget();
    ignore?.();
    await committing;
    await this.mutex.run(() => undefined);
    await this.template.settled();
    await this.isolation.settled();
    this.surprises.stop();
    this.structures.stop();
    this.closedPorts.stop();
    this.trial.stop();
  }

  /** Compares what really runs with what is wanted, now. */
  resync(): void {
    if (!this.active) this.drift.note();
    this.state.doubt();
    this.state.askFileAgain();
    this.trigger("resync");
  }

  /** Something may have changed. Starts a pass at once, or one more behind the pass that is under way. */
  trigger(cause: string): void {
    this.pending = cause;
    if (!this.active && !this.signal.aborted) void this.drain();
  }

  /** Another HAProxy judges and is started from here on: what the last one did not take is tried again. */
  binaryChanged(version: string): void {
    this.isolation.quarantine.retry(`HAProxy's binary is ${version} now`);
    this.structures.forget();
    this.trigger("binary");
  }

  /** Offers newer settings or another template. */
  offer(inputs: Inputs): void {
    this.structures.unblock();
    this.trial.offer(inputs);
    this.trigger("inputs");
  }

  /** Lets holds go at an operator's word; see `Guard.release`. */
  release(target: string): ReleaseOutcome {
    return this.guard.release(target);
  }

  status(): ReconcilerStatus {
    return reconcilerStatus(this, this.parts.runtime.capabilities());
  }

  private async drain(): Promise<void> {
    this.active = true;
    while (this.pending !== undefined && !this.signal.aborted) {
      const cause = this.pending;
      this.pending = undefined;
      try {
        await this.mutex.run(() => this.pass(cause));
        this.surprises.ended();
      } catch (thrown) {
        if (this.signal.aborted) break;
        this.failed(thrown);
      }
    }
    this.active = false;
  }

  private async pass(cause: string): Promise<void> {
    const { catalog, runtime, clock, events } = this.parts;
    const { state } = this;
    const started = clock.now();
    const { doubts } = state;
    events.reconcile += 1;
    const snapshot = catalog.latest();
    this.wanting.judge(this.signal);
    const back = state.up && !state.believed ? await readBack(runtime, state, clock, this.signal) : undefined;
    if (back !== undefined) this.oldWorkers.look(this.signal);
    if (back?.kind === "known") {
      this.structures.known();
      this.drift.say(back.servers, runtime.capabilities());
      await this.certificateLane?.readBack(this.signal);
      this.admission.found(back.servers);
    }

    const capabilities = runtime.capabilities();
    if (capabilities !== undefined) this.isolation.noteVersion(capabilities.versionText);
    const wanted = await this.wanting.desired(snapshot !== undefined);
    if (wanted === undefined) return;
    if (!state.up || state.current === undefined || capabilities === undefined) {
      if (this.wish !== undefined && this.wanting.mustStartAnew() && this.trial.candidate === undefined) {
        this.structures.want(this.wish, notRunningReason);
      }
      return;
    }
    if (back?.kind === "unknown-structure") {
      const sentence = `it says ${back.found ?? "nothing"}, the file says ${state.current.structure}`;
      const subject = "the structure that HAProxy runs";
      if (this.wish !== undefined && (this.trial.candidate === undefined || this.structures.blockedNow())) {
        this.structures.wantKnown(this.wish, [{ code: "structure-unknown", subject, sentence }]);
      }
      return;
    }
    // The catalog has said nothing yet: what runs goes on as it is, even where it is not what the file says.
    if (wanted === state.current) {
      if (!(await this.certify())) this.surprises.refused(this.signal);
      return;
    }
    const plan = planChanges({
      current: state.current,
      wanted,
      capabilities,
      leaving: state.leaving,
      leavingBackends: state.leavingBackends,
      ...(back !== undefined && { observed: back.servers }),
    });
    const applied = await applyPlan({ ...this.parts, state }, plan, wanted, back?.servers, this.signal);
    const ended = clock.now();
    if (plan.operations.length > 0) {
      const sinceAnswerMs = cause === "catalog" && snapshot !== undefined ? ended - snapshot.answeredAt : undefined;
      announceApplied(events, plan, ended - started, sinceAnswerMs);
    }
    const complete = (await this.certify()) && applied;
    // Doubt that came up meanwhile stays: this pass's read-back may be older.
    if (complete && state.doubts === doubts) state.believed = true;
    this.follow(plan, complete, back?.servers);
  }

  /** Certificates come behind the servers, which wait for nothing. @returns whether all went well */
  private async certify(): Promise<boolean> {
    const { certificateLane, committer, state } = this;
    if (certificateLane === undefined) return true;
    const { complete, changed } = await certificateLane.settle(this.signal);
    if (changed) committer.touch();
    if (!complete) state.doubt();
    return complete;
  }

  /** What comes behind a pass: the file, a reload, deletions, checks of who joins, the next try after a surprise. */
  private follow(plan: Plan, complete: boolean, observed: ObservedBackends | undefined): void {
    const { state, wish } = this;
    if (plan.operations.length > 0 || observed !== undefined) this.committer.touch();
    if (state.leaving.size + state.leavingBackends.size > 0) this.leaving?.wake();
    if (complete) this.surprises.settled();
    else this.surprises.refused(this.signal);
    if (wish === undefined) return;
    this.admission.follow(wish.loadBalancer, wish.desired.config, this.signal);
    const reload =
      plan.reload ?? this.certificateLane?.reload ?? abandoned(state, wish.desired) ?? this.surprises.giveUp();
    if (reload === undefined) this.structures.forget();
    // While other inputs are on trial, their structure is the one that is asked for.
    if (this.trial.candidate === undefined) this.structures.want(wish, reload);
  }

  private onStructure(request: StructureRequest, outcome: StructureOutcome): void {
    if (this.signal.aborted) return;
    const inputs = request.kind === "wish" ? request.wish.inputs : undefined;
    const onTrial = inputs !== undefined && inputs === this.trial.candidate;
    if (outcome.kind === "refused") {
      this.structures.refuse(request, outcome, inputs === this.trial.inForce);
      if (onTrial) this.trial.refuse(outcome.problems.join("; "), outcome.stage === "reload" ? "warn" : "debug");
      this.trigger("refused");
      return;
    }
    this.structures.loaded(request);
    if (request.kind === "wish") this.isolation.quarantine.took(request.wish.services);
    this.surprises.settled();
    if (onTrial) this.wanting.acceptInputs();
    else if (inputs === this.trial.inForce) this.template.keep(this.trial.inForce.template);
    this.trigger("reloaded");
  }

  private processGone(detail: string): void {
    if (!this.state.up) return;
    this.state.up = false;
    this.state.doubt();
    this.structures.forget();
    const next = this.parts.process.startedByOthers === true ? "waiting for whoever starts it" : "starting it again";
    this.parts.events.emit("process-down", "error", `HAProxy is gone (${detail}); ${next}`, { detail });
    this.committer.processGone();
  }

  private failed(thrown: unknown): void {
    const { code } = this.surprises.failed(thrown, this.signal);
    if (code === "ERR_HAPROXY_UNREACHABLE") void this.askWhetherItRuns();
  }

  /** An exit that nobody saw: a process that ended between two steps, or one of another parent. */
  private async askWhetherItRuns(): Promise<void> {
    const runs = await this.parts.process.running().catch(() => true);
    if (!runs && !this.signal.aborted) this.processGone("nothing answers on its socket");
  }

  private surprise(cause: string): void {
    this.surprises.surprise(cause, this.signal);
  }

  /** HAProxy runs the live file again: what was changed since that was written is done at once, not after a wait. */
  private resumed(): void {
    this.surprises.settled();
    this.surprise("process-up");
  }
}

/** A backend that was begun and is not wanted any more has no other end than a reload. */
function abandoned({ halfMade }: RunningState, { config }: Desired): readonly ReloadReason[] | undefined {
  const sentence = "was added and could not be published, and is not wanted any more";
  const reasons = [...halfMade]
    .filter((name) => poolSection(config, name) === undefined)
    .map((name) => ({ code: "backend-removed" as const, subject: `backend ${name}`, sentence }));
  return reasons.length > 0 ? reasons : undefined;
}
