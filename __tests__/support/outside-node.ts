import type { ConsulAgent } from "./consul-agent.ts";
import type { ServerText } from "./system.ts";
import type { WebInstance } from "./web-instance.ts";

interface Member {
  readonly service: string;
  readonly web: WebInstance;
  readonly weight: number;
}

/** What changes at once. */
export interface NodeChange {
  readonly join?: readonly (readonly [service: string, web: WebInstance])[];
  readonly leave?: readonly WebInstance[];
  readonly weight?: readonly (readonly [web: WebInstance, weight: number])[];
}

const node = "outside";

/**
 * A node of the catalog that has no agent: its instances are written in transactions (`PUT /v1/txn`), so that what
 * changes at once is one change to whoever watches, and makes one pass.
 */
export class OutsideNode {
  private readonly consul: ConsulAgent;
  private readonly members = new Map<string, Member>();

  constructor(consul: ConsulAgent) {
    this.consul = consul;
  }

  async change({ join = [], leave = [], weight = [] }: NodeChange): Promise<void> {
    const changed = [
      ...join.map(([service, web]): Member => ({ service, web, weight: 1 })),
      ...weight.map(([web, value]): Member => ({ ...this.member(web), weight: value })),
    ];
    await this.consul.put("/v1/txn", [
      { Node: { Verb: "set", Node: { Node: node, Address: "127.0.0.1" } } },
      ...changed.flatMap(registration),
      ...leave.map((web) => {
        const definition = { ID: web.name, Service: this.member(web).service };
        return { Service: { Verb: "delete", Node: node, Service: definition } };
      }),
    ]);
    for (const member of changed) this.members.set(member.web.name, member);
    for (const { name } of leave) this.members.delete(name);
  }

  /** The servers that HAProxy has to have, as `serversRunning` gives them. */
  servers(): readonly ServerText[] {
    return [...this.members.values()]
      .map(({ service, web: { name, port }, weight }) => {
        const at = `127.0.0.1:${port}`;
        return `${service}/${name}_${at} ${at} weight ${weight}`;
      })
      .sort();
  }

  /** The services that have instances, sorted. */
  services(): readonly string[] {
    return [...new Set([...this.members.values()].map(({ service }) => service))].sort();
  }

  private member(web: WebInstance): Member {
    const member = this.members.get(web.name);
    if (member === undefined) throw new Error(`${web.name} is not registered`);
    return member;
  }
}

function registration({ service, web: { name, port }, weight }: Member) {
  const definition = {
    ID: name,
    Service: service,
    Address: "127.0.0.1",
    Port: port,
    Tags: ["haproxy.enable=true"],
    Weights: { Passing: weight, Warning: weight },
  };
  const check = {
    Node: node,
    CheckID: `check-${name}`,
    Name: name,
    Status: "passing",
    ServiceID: name,
    ServiceName: service,
  };
  return [{ Service: { Verb: "set", Node: node, Service: definition } }, { Check: { Verb: "set", Check: check } }];
}
