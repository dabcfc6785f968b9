import type {
  CheckStatus,
  Registered,
  RegisteredCheck,
  Registration,
  ServiceAgent,
} from "../../src/registration/agent-client.ts";

/** An agent that keeps what it is told, and can be made to refuse or to forget. */
export class FakeAgent implements ServiceAgent {
  readonly asked: string[] = [];
  broken = false;
  readonly there = new Map<string, Registered>();
  /** What was last registered under each id, checks included. */
  readonly registrations = new Map<string, Registration>();
  readonly inMaintenance = new Set<string>();
  /** The reason of each maintenance that {@link inMaintenance} has. */
  private readonly reasons = new Map<string, string>();
  /** What was last said of each TTL check, by id of the service. */
  readonly ttls = new Map<string, CheckStatus>();

  async services(): Promise<readonly Registered[]> {
    this.say("services");
    return [...this.there.values()];
  }

  async checks(): Promise<readonly RegisteredCheck[]> {
    this.say("checks");
    const maintenance = [...this.inMaintenance].map((serviceId) => ({
      id: `_service_maintenance:${serviceId}`,
      serviceId,
      status: "critical",
      notes: this.reasons.get(serviceId) ?? "",
    }));
    const kept = [...this.registrations.values()].flatMap(({ id, check }) =>
      check === undefined
        ? []
        : [{ id: `service:${id}`, serviceId: id, status: this.ttls.get(id) ?? check.status ?? "critical", notes: "" }],
    );
    return [...maintenance, ...kept];
  }

  /** As Consul does, ends maintenance: it is a check that is not in the registration. */
  async register(registration: Registration): Promise<void> {
    const { id, name, address = "", port, tags = [], meta } = registration;
    this.say(`register ${id}`);
    this.there.set(id, { id, name, address, port, tags, meta });
    this.registrations.set(id, registration);
    this.inMaintenance.delete(id);
    this.ttls.delete(id);
  }

  async deregister(id: string): Promise<void> {
    this.say(`deregister ${id}`);
    this.there.delete(id);
    this.registrations.delete(id);
    this.inMaintenance.delete(id);
  }

  async maintain(id: string, on: boolean, reason = ""): Promise<void> {
    this.say(`maintain ${id} ${on ? "on" : "off"}`);
    this.reasons.set(id, reason);
    if (on) this.inMaintenance.add(id);
    else this.inMaintenance.delete(id);
  }

  async passTtl(id: string): Promise<void> {
    this.say(`pass ${id}`);
    this.ttls.set(id, "passing");
  }

  async updateTtl(id: string, status: CheckStatus): Promise<void> {
    this.say(`ttl ${id} ${status}`);
    this.ttls.set(id, status);
  }

  /** What was asked since the last time. */
  news(): readonly string[] {
    return this.asked.splice(0);
  }

  private say(what: string): void {
    if (this.broken) throw new Error("broken");
    this.asked.push(what);
  }
}
