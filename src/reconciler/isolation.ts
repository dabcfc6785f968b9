import { serviceKeyString } from "../catalog/service-key.ts";
import type { Cell, Quarantined, Services } from "../guard/types.ts";
import type { Position } from "../haproxy/config/position.ts";
import { printConfig } from "../haproxy/config/print.ts";
import type { Config } from "../haproxy/config/types.ts";
import { safeName } from "../routing/names.ts";
import type { Clock } from "../support/clock.ts";
import { hexDigest } from "../support/digest.ts";
import { toSluiceError } from "../support/errors.ts";
import { candidateOf } from "./candidate.ts";
import type { Inputs, Wish } from "./desire.ts";
import type { EventLog } from "./events.ts";
import { isolate } from "./isolate.ts";
import type { KeptQuarantine, ProcessPort, StorePort } from "./ports.ts";
import { Quarantine } from "./quarantine.ts";

/** What was said of a configuration that was not taken. */
export interface Complaint {
  /** In words. */
  readonly problems: readonly string[];
  /** What the lines that were named belong to. */
  readonly places: readonly Position[];
}

export interface IsolationParts {
  readonly process: Pick<ProcessPort, "validate">;
  readonly store: Pick<StorePort, "readMaps" | "writeMap" | "writeAsset" | "writeCandidate" | "writeQuarantine">;
  readonly clock: Clock;
  readonly events: EventLog;
  /** Routing and rendering, which may throw. */
  readonly desire: (services: Services, inputs: Inputs) => Wish;
}

/**
 * Puts the data in quarantine because of which a configuration cannot be rendered, or is not taken by HAProxy, so that
 * it costs those alone whose data they are. Only for inputs in force: newer ones are what is to blame themselves.
 */
export class Isolation {
  readonly quarantine: Quarantine;
  private readonly parts: IsolationParts;
  /** The last configuration that is nobody's fault, with what was said of it: it is not searched again. */
  private hopeless: string | undefined;
  /** The services a configuration was made of. */
  private readonly madeOf = new WeakMap<Config, Services>();
  /** Version of the HAProxy by which what is in quarantine was judged. */
  private judgedBy: string | undefined;
  private keeping: Promise<void> = Promise.resolve();

  /**
   * @param kept what was in quarantine in an earlier life
   * @param taken the services that were accepted in it
   */
  constructor(parts: IsolationParts, kept: KeptQuarantine | undefined, taken: Services) {
    this.parts = parts;
    this.judgedBy = kept?.haproxy;
    this.quarantine = new Quarantine(
      { ...parts, onChange: (entries) => this.keep(entries) },
      kept?.entries ?? [],
      taken,
    );
  }

  /** This wish is of interest from here on: `taken` may be told of its configuration. */
  made({ desired, services }: Wish): void {
    this.madeOf.set(desired.config, services);
  }

  /** HAProxy takes this configuration from a file. */
  taken(config: Config): void {
    const services = this.madeOf.get(config);
    if (services !== undefined) this.quarantine.took(services);
  }

  /** What one HAProxy did not take, another may. */
  noteVersion(version: string): void {
    if (version === this.judgedBy) return;
    if (this.judgedBy !== undefined) this.quarantine.retry(`HAProxy is ${version} now`);
    this.judgedBy = version;
  }

  /** Resolves when what is in quarantine is on the disk, or could not be written. */
  settled(): Promise<void> {
    return this.keeping;
  }

  /**
   * The template cannot be rendered with these services.
   *
   * @returns whether there is another configuration to try now
   */
  async ofRender(services: Services, inputs: Inputs, thrown: unknown): Promise<boolean> {
    const error = toSluiceError(thrown);
    if (error.code !== "ERR_TEMPLATE_FAILED" && error.code !== "ERR_VALUE_UNSAFE") return false;
    const { backend } = error.details;
    const hinted = new Set<string>();
    if (typeof backend === "string") {
      for (const [key, { key: service }] of services) if (safeName(service.name) === backend) hinted.add(key);
    }
    return this.find(services, hinted, error.message, async (without) => this.tried(without, inputs) !== undefined);
  }

  /**
   * HAProxy does not take the configuration.
   *
   * @returns whether there is another configuration to try now
   */
  async ofConfig(wish: Wish, complaint: Complaint, signal: AbortSignal): Promise<boolean> {
    const problem = complaint.problems.join("; ");
    const key = hexDigest(`${problem}\n${printConfig(wish.desired.config)}`);
    if (key === this.hopeless) return false;
    const hinted = new Set<string>();
    for (const { name } of complaint.places) {
      const backend = wish.loadBalancer.backends.find((one) => one.name === name);
      for (const source of backend?.sources ?? []) hinted.add(serviceKeyString(source));
    }
    const found = await this.find(wish.services, hinted, problem, async (without) => {
      const tried = this.tried(without, wish.inputs);
      if (tried === undefined) return false;
      signal.throwIfAborted();
      return (await candidateOf(this.parts, tried, signal)).verdict.ok;
    });
    this.hopeless = found ? undefined : key;
    return found;
  }

  private async find(
    services: Services,
    hinted: ReadonlySet<string>,
    problem: string,
    taken: (services: Services) => Promise<boolean>,
  ): Promise<boolean> {
    const { quarantine } = this;
    const found = await isolate(services, hinted, quarantine.good(), (cells: readonly Cell[]) =>
      taken(quarantine.without(services, cells)),
    );
    if (found === undefined) return false;
    if (found.length > 0) quarantine.add(found, services, problem);
    return true;
  }

  private keep(entries: readonly Quarantined[]): void {
    const { store, events } = this.parts;
    const kept = { haproxy: this.judgedBy, entries };
    this.keeping = this.keeping
      .then(() => store.writeQuarantine(kept))
      .catch((thrown) => {
        const { code, message } = toSluiceError(thrown);
        events.emit("reconcile-failed", "error", `what is in quarantine is not on disk: ${message}`, { code });
      });
  }

  private tried(services: Services, inputs: Inputs): Wish | undefined {
    try {
      return this.parts.desire(services, inputs);
    } catch {
      return undefined;
    }
  }
}
