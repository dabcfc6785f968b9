import type { Clock } from "../support/clock.ts";
import type { Logger } from "../support/logger.ts";
import { parseHealth, parseMembers } from "./answers.ts";
import { plainDeadlineMs } from "./blocking-query.ts";
import type { ConsulClient } from "./consul-client.ts";
import { plainHealthRequest } from "./selection.ts";
import { SharedLook } from "./shared-look.ts";

/** One look serves all services that fall to zero at about the same moment. */
const sharedMs = 1_000;
/** So long the names of departed nodes are told on: a node of that name may come back. */
const toldMs = 10_000;
const none: ReadonlySet<string> = new Set();

export interface WitnessesOptions {
  readonly client: ConsulClient;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * What is asked beside an answer that is hard to believe: whether we still see anything, and who has left in good
 * order. Never on the ordinary way of an instance that joins or leaves.
 */
export class Witnesses {
  private readonly canary: SharedLook<boolean>;
  private readonly members: SharedLook<ReadonlySet<string>>;
  private readonly options: WitnessesOptions;
  private sawServers = false;
  /** Undefined until it is learned. */
  private datacenter: string | undefined;
  private life: AbortSignal | undefined;

  constructor(options: WitnessesOptions) {
    this.options = options;
    const { clock } = options;
    this.canary = new SharedLook(clock, sharedMs, (signal) => this.lookForServers(signal));
    this.members = new SharedLook(clock, sharedMs, (signal) => this.lookForDeparted(signal));
  }

  /** To be called once the datacenter is known: looks for the first time, so that it is known what could be seen. */
  async begin(datacenter: string, life: AbortSignal): Promise<void> {
    this.datacenter = datacenter;
    this.life = life;
    await this.canary.get(life).catch(() => false);
  }

  /**
   * Why Consul's word that something is gone tells nothing: its own servers, which were to be seen before, are not
   * either. A token that lost its rights sees so.
   *
   * @throws SluiceError as `ConsulClient.get`, where that cannot be found out
   */
  async blind(): Promise<string | undefined> {
    if (this.life === undefined || !this.sawServers) return undefined;
    if (await this.canary.get(this.life)) return undefined;
    return "Consul lists no instance, and its own servers are not to be seen any more either: check the rights of consul.token";
  }

  /** Looks who has left. Never rejects: who cannot be asked has nothing to tell. */
  async learnDeparted(): Promise<void> {
    if (this.life === undefined) return;
    const { life } = this;
    await this.members.get(life).catch((thrown: unknown) => {
      if (!life.aborted) this.options.logger.debug({ err: thrown }, "the agent does not tell which nodes have left");
    });
  }

  /** Names of nodes that left in good order, as far as that was looked at a short while ago. */
  departed(): ReadonlySet<string> {
    return this.members.known(toldMs) ?? none;
  }

  private async lookForServers(signal: AbortSignal): Promise<boolean> {
    const limits = { signal, deadlineMs: plainDeadlineMs };
    const { entries } = parseHealth((await this.options.client.get(plainHealthRequest("consul"), limits)).body);
    if (entries.length > 0) this.sawServers = true;
    return entries.length > 0;
  }

  private async lookForDeparted(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const limits = { signal, deadlineMs: plainDeadlineMs };
    const members = parseMembers((await this.options.client.get({ path: "/agent/members" }, limits)).body);
    const left = members.filter(
      ({ Status: status, Tags: tags }) => leaving.has(status) && (tags?.["dc"] ?? this.datacenter) === this.datacenter,
    );
    return left.length === 0 ? none : new Set(left.map(({ Name: name }) => name));
  }
}

/** Serf's states: 1 alive, 2 leaving (it said so), 3 left, 4 failed. */
const leaving: ReadonlySet<number> = new Set([2, 3]);
