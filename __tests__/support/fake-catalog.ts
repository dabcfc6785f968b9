import { serviceKeyString } from "../../src/catalog/service-key.ts";
import type { CatalogService, Instance, ServiceKey, Snapshot } from "../../src/catalog/types.ts";
import type { CatalogPort } from "../../src/reconciler/ports.ts";
import type { Clock } from "../../src/support/clock.ts";

/** What a test says of an instance: a name for node and id, a port, and what is out of the ordinary. */
export type InstanceFacts = { readonly id: string; readonly port: number } & Partial<
  Pick<Instance, "address" | "meta" | "weights" | "health" | "nodeHealthOnly" | "nodeCritical">
>;

/** A catalog that says what it is told to. What did not change stays the same object, as the real one keeps it. */
export class FakeCatalog implements CatalogPort {
  private snapshot: Snapshot | undefined;
  private readonly listeners = new Set<(snapshot: Snapshot) => void>();
  private readonly clock: Clock;
  private known = new Map<string, { readonly text: string; readonly service: CatalogService }>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  latest(): Snapshot | undefined {
    return this.snapshot;
  }

  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  get listening(): number {
    return this.listeners.size;
  }

  /**
   * The newest snapshot: these services and no others.
   *
   * @param unselected names of services the catalog lists without their being selected
   * @param departed names of nodes that left in good order
   * @param overrides by service name; left out: it is not known whether there are any
   */
  publish(
    services: Readonly<Record<string, readonly InstanceFacts[]>>,
    unselected: readonly string[] = [],
    departed: readonly string[] = [],
    overrides?: Snapshot["overrides"],
  ): void {
    const next = new Map<string, CatalogService>();
    const known = new Map<string, { readonly text: string; readonly service: CatalogService }>();
    for (const [name, facts] of Object.entries(services).sort(([x], [y]) => (x < y ? -1 : 1))) {
      const key = keyOf(name);
      const text = JSON.stringify(facts);
      const before = this.known.get(name);
      const service = before?.text === text ? before.service : this.service(key, facts);
      known.set(name, { text, service });
      next.set(serviceKeyString(key), service);
    }
    this.known = known;
    this.snapshot = {
      services: next,
      unselected: new Set(unselected.map((name) => serviceKeyString(keyOf(name)))),
      unwatched: new Set(),
      departed: new Set(departed),
      ...(overrides !== undefined && { overrides }),
      sequence: (this.snapshot?.sequence ?? 0) + 1,
      takenAt: this.clock.wall(),
      answeredAt: this.clock.now(),
    };
    for (const listener of [...this.listeners]) listener(this.snapshot);
  }

  /** Key strings of the services that were to be read anew, in order. */
  readonly rereads: string[] = [];

  reread(services: readonly string[]): void {
    this.rereads.push(...services);
  }

  /** As after a start of the operator: nothing has been answered yet. */
  forget(): void {
    this.snapshot = undefined;
    this.known = new Map();
  }

  private service(key: ServiceKey, facts: readonly InstanceFacts[]): CatalogService {
    const instances = facts.map(
      ({ id, port, ...rest }): Instance => ({
        node: `node-${id}`,
        id,
        service: key,
        address: "10.0.0.1",
        port,
        tags: [],
        meta: {},
        weights: { passing: 1, warning: 1 },
        health: "passing",
        ...rest,
      }),
    );
    return {
      key,
      instances: instances.sort((a, b) => (a.id < b.id ? -1 : 1)),
      freshness: { asOf: this.clock.wall(), stale: false },
    };
  }
}

export function keyOf(name: string): ServiceKey {
  return { datacenter: "dc1", name };
}
