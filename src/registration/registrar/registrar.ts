import { backoffMs } from "../../support/backoff.ts";
import type { Clock } from "../../support/clock.ts";
import { SluiceError, toSluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import { Wake } from "../../support/wake.ts";
import type { ServiceAgent } from "../agent-client.ts";
import { ContainerView, type Look } from "../docker/container-view.ts";
import { EventWatch } from "../docker/event-watch.ts";
import type { Container, Engine, EngineEvent } from "../docker/types.ts";
import { fewAtOnce } from "../few-at-once.ts";
import type { RegistrarOptions, RegistrarPace } from "./options.ts";
import { Said } from "./said.ts";
import { type Step, stepsTo } from "./steps.ts";
import { StopSignals } from "./stop-signals.ts";
import { madeBy } from "./wanted.ts";
import { desireOf } from "./wanted-state.ts";

export interface RegistrarDeps {
  readonly engine: Engine;
  readonly agent: ServiceAgent;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options: RegistrarOptions;
  readonly pace: RegistrarPace;
  /** What ids begin with. Default: the machine's name, or in a container of its own that container's. */
  readonly host?: string;
  /** Take over ids that are wanted and that nobody is said to have made. */
  readonly adopt: boolean;
  readonly machine: { readonly hostname: string; readonly containerId?: string };
  readonly random?: () => number;
}

/** The agent may forget (a restart without its data) and nothing tells us: it is looked at again so often. */
const lookAgainMs = 5_000;
/** The engine may say that something happened a moment before its list shows it. */
const settleMs = 1_000;
/** The events may be refused for ever: a proxy before the engine may not let them through. */
const longestSettlingMs = 10_000;
const retry = { baseMs: 250, maxMs: lookAgainMs };
/** The engine may never tell of our own container, and the others are not to wait for it. */
const longestBlindMs = 10_000;
/** How long the last deregistrations may take. */
const farewellMs = 5_000;

/**
 * Keeps a Consul agent in step with the containers of a Docker engine. The engine's events only say when to look: each
 * pass starts from what the engine and the agent have, and touches only what this host's registrar made. An engine that
 * does not answer has the containers that it had.
 */
export class Registrar {
  private readonly deps: RegistrarDeps;
  private readonly bell = new Wake();
  private readonly view: ContainerView;
  private readonly signals: StopSignals;
  private readonly events: EventWatch;
  private readonly said: Said;
  private seen: Look | undefined;
  private host: string | undefined;
  /** Since when the engine has had our own container and not told of it. */
  private blindSince: number | undefined;
  private lastEventAt = Number.NEGATIVE_INFINITY;
  /** Until then signals of before our start may still be told. */
  private settledAt: number;
  private heardBefore = false;
  /** What we have put in maintenance ourselves, by id of the service. */
  private readonly maintained = new Set<string>();
  /** When each TTL check was last told, by id of the service. */
  private readonly toldAt = new Map<string, number>();

  constructor(deps: RegistrarDeps) {
    const { engine, clock, logger, pace, random } = deps;
    this.deps = deps;
    this.host = deps.host;
    this.settledAt = clock.now() + longestSettlingMs;
    this.said = new Said(logger);
    this.view = new ContainerView(engine, clock, () => this.bell.ring());
    this.signals = new StopSignals(pace.drainMs);
    this.events = new EventWatch({
      engine,
      clock,
      rememberMs: pace.drainMs,
      renewMs: pace.resyncMs,
      ...(random !== undefined && { random }),
      onOpen: () => {
        this.said.over("events", "the Docker engine's events come again");
        if (!this.heardBefore) this.settledAt = Math.min(this.settledAt, clock.now() + settleMs);
        this.heardBefore = true;
        this.look();
      },
      onEvent: (event) => this.heard(event),
      onUnreadable: () => this.look(),
      onLost: (error) => {
        const reason = error?.message ?? "the engine ended them";
        this.said.warn("events", { reason }, "no events from the Docker engine; trying on");
      },
    });
  }

  /** Runs until the signal aborts; what is registered stays. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const following = this.events.run(signal);
    await this.keep(signal);
    await following;
  }

  /** Takes away all that is ours. Never rejects, and takes 5 seconds at the longest. */
  async release(): Promise<void> {
    const { agent, clock, logger } = this.deps;
    const { host } = this;
    if (host === undefined) return;
    const deadline = new AbortController();
    const stopTimer = clock.timer(farewellMs, () => deadline.abort(new Error("no time left")));
    try {
      const ours = (await agent.services(deadline.signal)).filter(({ meta }) => meta[madeBy] === host);
      await fewAtOnce(ours, ({ id, name }) => this.take({ kind: "deregister", id, name }, deadline.signal));
    } catch (thrown) {
      logger.warn({ reason: toSluiceError(thrown).message }, "some services stay registered");
    } finally {
      stopTimer();
    }
  }

  private async keep(signal: AbortSignal): Promise<void> {
    const { clock, pace, random } = this.deps;
    let failures = 0;
    while (!signal.aborted) {
      let waitMs = Math.min(lookAgainMs, pace.ttlRefreshMs);
      try {
        await this.pass(signal);
        failures = 0;
        this.said.over("pass", "Consul is in step again");
      } catch (thrown) {
        if (signal.aborted) return;
        this.said.warn("pass", { reason: toSluiceError(thrown).message }, "Consul is not in step; trying on");
        waitMs = backoffMs(retry, failures, random);
        failures += 1;
      }
      const now = clock.now();
      if (now - this.lastEventAt < settleMs) waitMs = Math.min(waitMs, settleMs);
      if (now < this.settledAt) waitMs = Math.min(waitMs, this.settledAt - now);
      await this.bell.wait(clock, signal, waitMs);
    }
  }

  /** Events may have been missed. */
  private look(): void {
    this.view.allChanged();
    this.bell.ring();
  }

  private heard({ action, container, signal, timeNs }: EngineEvent): void {
    if (container !== undefined) {
      const atMs = timeNs / 1_000_000;
      if (action === "kill") this.signals.heard(container, signal, atMs);
      else if (action === "die") this.view.ended(container, atMs);
      // `restart` comes behind the `start` that belongs to it, and so perhaps behind another end.
      else if (action === "start") this.view.started(container);
      else this.view.changed(container);
    }
    this.lastEventAt = this.deps.clock.now();
    this.bell.ring();
  }

  private async pass(signal: AbortSignal): Promise<void> {
    const seen = await this.running(signal);
    if (seen === undefined) return;
    const { containers } = seen;
    const { agent, options, adopt, clock, pace } = this.deps;
    const self = containers.find(({ id }) => this.isOurs(id));
    if (self === undefined && this.waitsForSelf(seen)) return;
    this.host ??= this.ownName(self);
    const { host } = this;
    const desire = desireOf(containers, options, host, (container) => this.maintenance(container), self);
    const [services, checks] = await Promise.all([agent.services(signal), agent.checks(signal)]);
    const isDue = (id: string) => clock.now() - (this.toldAt.get(id) ?? Number.NEGATIVE_INFINITY) >= pace.ttlRefreshMs;
    const settling = clock.now() < this.settledAt;
    const keepsMaintenance = (id: string) => settling && !this.maintained.has(id);
    const rules = { host, adopt, isDue, keepsMaintenance, unknown: seen.unknown };
    const { steps, conflicts } = stepsTo(desire.wanted, { services, checks }, rules);
    this.said.problems([...desire.problems, ...conflicts]);
    for (const known of [this.toldAt, this.maintained]) {
      for (const id of known.keys()) if (!desire.wanted.has(id)) known.delete(id);
    }
    const failed: SluiceError[] = [];
    for (const kind of ["maintain", "register", "ttl", "deregister"] as const) {
      const some = steps.filter((step) => step.kind === kind);
      await fewAtOnce(some, async (step) => {
        try {
          await this.take(step, signal);
        } catch (thrown) {
          // One that is refused costs itself alone; an agent that is away is not asked for each.
          const error = toSluiceError(thrown);
          failed.push(error);
          if (signal.aborted || error.code === "ERR_CONSUL_UNREACHABLE") throw error;
        }
      });
    }
    const [first] = failed;
    if (first !== undefined) throw first;
  }

  private async take(step: Step, signal: AbortSignal): Promise<void> {
    const { agent, clock, logger } = this.deps;
    const { id } = step;
    switch (step.kind) {
      case "maintain":
        await agent.maintain(id, step.on, step.reason, signal);
        if (step.on) this.maintained.add(id);
        logger.info({ id, reason: step.reason }, step.on ? "in maintenance" : "out of maintenance");
        return;
      case "register": {
        const { name, address, port } = step.registration;
        await agent.register(step.registration, signal);
        if (step.maintenance !== undefined) await agent.maintain(id, true, step.maintenance, signal);
        logger.info({ id, name, address, port, container: step.container }, `registered as ${name}`);
        return;
      }
      case "ttl":
        await agent.updateTtl(id, step.status, step.output, signal);
        this.toldAt.set(id, clock.now());
        return;
      case "deregister":
        await agent.deregister(id, signal).catch((thrown) => {
          // Gone already: Consul knows no such id.
          if (!(thrown instanceof SluiceError) || thrown.details["status"] !== 404) throw thrown;
        });
        logger.info({ id, name: step.name }, `no longer registered as ${step.name}`);
    }
  }

  /** @returns what was there last where the engine does not answer; undefined where it never has */
  private async running(signal: AbortSignal): Promise<Look | undefined> {
    try {
      this.seen = await this.view.look(signal);
      const { containers, unknown } = this.seen;
      this.signals.keepOnly(new Set([...containers.map(({ id }) => id), ...unknown]));
      this.said.over("engine", "the Docker engine answers again");
    } catch (thrown) {
      signal.throwIfAborted();
      const reason = toSluiceError(thrown).message;
      this.said.warn("engine", { reason }, "the Docker engine does not tell its containers; keeping those it had");
    }
    return this.seen;
  }

  private maintenance(container: Container): string | undefined {
    if (container.state === "paused") return "the container is paused";
    // The engine's clock is taken to be ours.
    return this.signals.isStopping(container, this.deps.clock.wall()) ? "the container was told to stop" : undefined;
  }

  /** Our name, under which all is registered, and our networks are known from our own container, where we run in one. */
  private waitsForSelf({ unknown }: Look): boolean {
    if (!unknown.some((id) => this.isOurs(id))) return false;
    const now = this.deps.clock.now();
    this.blindSince ??= now;
    if (now - this.blindSince < longestBlindMs) return true;
    const what =
      "the Docker engine does not tell of the registrar's own container; going on without its name and networks";
    this.said.warn("self", { reason: "no answer about it" }, what);
    return false;
  }

  private isOurs(id: string): boolean {
    return id === this.deps.machine.containerId || this.isNamedBy(id);
  }

  /** A container that is made anew has another host name, unless it was given one, and the same name. */
  private ownName(self: Container | undefined): string {
    return self !== undefined && this.isNamedBy(self.id) ? self.name : this.deps.machine.hostname;
  }

  /** Docker names a container's host by the first digits of its id, unless it is told another name. */
  private isNamedBy(id: string): boolean {
    const { hostname } = this.deps.machine;
    return /^[0-9a-f]{12}$/.test(hostname) && id.startsWith(hostname);
  }
}
