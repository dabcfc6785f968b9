import type { Registered, Registration, ServiceAgent } from "../../src/registration/agent-client.ts";

/** An agent that keeps what it is told, and can be made to refuse or to forget. */
export class FakeAgent implements ServiceAgent {
  readonly asked: string[] = [];
  broken = false;
  readonly there = new Map<string, Registered>();
  /** What was last registered under each id, checks included. */
  readonly registrations = new Map<string, Registration>();
  readonly inMaintenance = new Set<string>();

  async services(): Promise<readonly Registered[]> {
    this.say("services");
    return [...this.there.values()];
  }

  async register(registration: Registration): Promise<void> {
    const { id, name, address = "", port, tags = [], meta } = registration;
    this.say(`register ${id}`);
    this.there.set(id, { id, name, address, port, tags, meta });
    this.registrations.set(id, registration);
  }

  async deregister(id: string): Promise<void> {
    this.say(`deregister ${id}`);
    this.there.delete(id);
    this.registrations.delete(id);
    this.inMaintenance.delete(id);
  }

  async maintain(id: string, on: boolean): Promise<void> {
    this.say(`maintain ${id} ${on ? "on" : "off"}`);
    if (on) this.inMaintenance.add(id);
    else this.inMaintenance.delete(id);
  }

  async passTtl(id: string): Promise<void> {
    this.say(`pass ${id}`);
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
