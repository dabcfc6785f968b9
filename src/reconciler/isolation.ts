import { serviceKeyString } from "../catalog/service-key.ts";
import type { Cell, Services } from "../guard/quarantine.ts";
import type { Position } from "../haproxy/config/position.ts";
import { printConfig } from "../haproxy/config/print.ts";
import { safeName } from "../routing/names.ts";
import { hexDigest } from "../support/digest.ts";
import { toSluiceError } from "../support/errors.ts";
import { candidateOf } from "./candidate.ts";
import type { Inputs, Wish } from "./desire.ts";
import { isolate } from "./isolate.ts";
import type { ProcessPort, StorePort } from "./ports.ts";
import type { Quarantine } from "./quarantine.ts";

/** What was said of a configuration that was not taken. */
export interface Complaint {
  /** In words. */
  readonly problems: readonly string[];
  /** What the lines that were named belong to. */
  readonly places: readonly Position[];
}

export interface IsolationParts {
  readonly process: Pick<ProcessPort, "validate">;
  readonly store: Pick<StorePort, "readMaps" | "writeMap" | "writeAsset" | "writeCandidate">;
  readonly quarantine: Quarantine;
  /** Routing and rendering, which may throw. */
  readonly desire: (services: Services, inputs: Inputs) => Wish;
}

/**
 * Puts the data in quarantine because of which a configuration cannot be rendered, or is not taken by HAProxy, so that
 * it costs those alone whose data they are. Only for inputs in force: newer ones are what is to blame themselves.
 */
export class Isolation {
  private readonly parts: IsolationParts;
  /** The last configuration that is nobody's fault, with what was said of it: it is not searched again. */
  private hopeless: string | undefined;

  constructor(parts: IsolationParts) {
    this.parts = parts;
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
    const { quarantine } = this.parts;
    const found = await isolate(services, hinted, quarantine.good(), (cells: readonly Cell[]) =>
      taken(quarantine.without(services, cells)),
    );
    if (found === undefined) return false;
    if (found.length > 0) quarantine.add(found, services, problem);
    return true;
  }

  private tried(services: Services, inputs: Inputs): Wish | undefined {
    try {
      return this.parts.desire(services, inputs);
    } catch {
      return undefined;
    }
  }
}
