import type { Instance } from "../catalog/types.ts";
import { holdKey } from "../guard/instances.ts";
import type { Accepted } from "../guard/types.ts";
import type { Clock } from "../support/clock.ts";
import type { HeldServers } from "./held-servers.ts";
import { knownDown } from "./known-down.ts";
import type { ProbePort, RuntimePort } from "./ports.ts";

const everyMs = 1_000;
const timeoutMs = 100;
const atOnce = 50;
/** So many bad rounds in a row let a held instance go: one may be a lost packet, or a moment of too much to do. */
const mostBad = 3;

/** Why an instance is to be let go. */
export type Said = "refused" | "silent" | "dead" | "operator";

interface Asked {
  readonly key: string;
  readonly service: string;
  readonly instance: Instance;
  readonly held: boolean;
  /** Where it is asked. */
  readonly at: { readonly address: string; readonly port: number };
}

export interface HoldProbesParts {
  readonly probe: ProbePort;
  readonly runtime: Pick<RuntimePort, "observe">;
  readonly clock: Clock;
  /** HAProxy's servers that stand for what is held now. */
  readonly servers: () => HeldServers;
  /** Where HAProxy reaches an instance of a service (key string). */
  readonly reachedAt: (service: string, instance: Instance) => { readonly address: string; readonly port: number };
  /** Called when the guard has something new to judge, and after each round. */
  readonly onAnswers: () => void;
}

/**
 * Asks held instances and suspects whether they accept a connection: at once when they are new, then every second for
 * as long as there are any. HAProxy's own checks of held ones are looked at as well: they may ask for more.
 */
export class HoldProbes {
  /** By hold key; only of what is held or suspected now. What is false stays so until it is forgotten. */
  readonly answers = new Map<string, boolean>();
  /** Why an answer is false. */
  readonly said = new Map<string, Said>();
  /** Rounds in a row without an answer, and those in which HAProxy's check found it dead; by hold key. */
  private readonly silent = new Map<string, number>();
  private readonly dead = new Map<string, number>();
  private asked: ReadonlyMap<string, Asked> = new Map();
  /** Keys whose question is under way. */
  private readonly asking = new Set<string>();
  private running = false;
  private readonly parts: HoldProbesParts;

  constructor(parts: HoldProbesParts) {
    this.parts = parts;
  }

  /** Follows the holds and suspects of what was accepted last. */
  follow({ holds, suspects }: Accepted, signal: AbortSignal): void {
    const before = this.asked;
    if (holds.length + suspects.length + before.size === 0) return;
    const asked = new Map<string, Asked>();
    for (const [all, held] of [[holds, true] as const, [suspects, false] as const]) {
      for (const { service, instance } of all) {
        const key = holdKey(service, instance);
        // Once it has left HAProxy, nobody can tell any more.
        const at = before.get(key)?.at ?? this.parts.reachedAt(service, instance);
        asked.set(key, { key, service, instance, held, at });
      }
    }
    this.asked = asked;
    for (const known of [this.answers, this.said, this.silent, this.dead]) {
      for (const key of known.keys()) if (!asked.has(key)) known.delete(key);
    }
    if (asked.size === 0 || signal.aborted) return;
    const fresh = [...asked.values()].filter(({ key }) => !before.has(key));
    if (fresh.length > 0) void this.ask(fresh, signal);
    if (this.running) return;
    this.running = true;
    void this.run(signal).finally(() => {
      this.running = false;
    });
  }

  /**
   * An operator lets go of what is held, and keeps suspects from being held.
   *
   * @param matches told key string of the service and instance
   * @returns how many holds that are
   */
  release(matches: (service: string, instance: Instance) => boolean): number {
    let count = 0;
    for (const { key, service, instance, held } of this.asked.values()) {
      if (!matches(service, instance)) continue;
      if (held && this.answers.get(key) !== false) count += 1;
      this.letGo(key, "operator");
    }
    return count;
  }

  private async run(signal: AbortSignal): Promise<void> {
    const { clock, onAnswers } = this.parts;
    while (this.asked.size > 0) {
      await clock.sleep(everyMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      await Promise.all([this.ask([...this.asked.values()], signal), this.look(signal)]);
      if (!signal.aborted) onAnswers();
    }
  }

  private async ask(all: readonly Asked[], signal: AbortSignal): Promise<void> {
    const due = all.filter(({ key }) => !this.asking.has(key) && this.answers.get(key) !== false);
    for (const { key } of due) this.asking.add(key);
    for (let at = 0; at < due.length; at += atOnce) {
      const news = await Promise.all(due.slice(at, at + atOnce).map((one) => this.askOne(one)));
      if (news.includes(true) && !signal.aborted) this.parts.onAnswers();
    }
  }

  /** @returns whether the guard would judge otherwise now */
  private async askOne({ key, held, at }: Asked): Promise<boolean> {
    const answer = await this.parts.probe.probe(at.address, at.port, timeoutMs);
    this.asking.delete(key);
    if (!this.asked.has(key) || this.answers.get(key) === false) return false;
    if (answer === "refuses") return this.letGo(key, "refused");
    if (answer === "silent") return this.another(this.silent, key) && this.letGo(key, "silent");
    this.silent.delete(key);
    this.answers.set(key, true);
    return !held;
  }

  /** What HAProxy's checks say of the servers of held instances. */
  private async look(signal: AbortSignal): Promise<void> {
    const servers = this.parts.servers();
    if (servers.size === 0) return;
    const backends = new Set([...servers.keys()].map((path) => path.slice(0, path.lastIndexOf("/"))));
    // Where HAProxy does not answer, the reconciler deals with that.
    const seen = await this.parts.runtime.observe([...backends].sort(), signal).catch(() => undefined);
    if (seen === undefined) return;
    const down = new Set(knownDown(seen.servers).map(({ backend, name }) => `${backend}/${name}`));
    for (const [path, { service, instance }] of servers) {
      const key = holdKey(service, instance);
      if (!this.asked.has(key)) continue;
      if (!down.has(path)) this.dead.delete(key);
      else if (this.another(this.dead, key)) this.letGo(key, "dead");
    }
  }

  /** @returns whether it was one bad round too many */
  private another(rounds: Map<string, number>, key: string): boolean {
    const count = (rounds.get(key) ?? 0) + 1;
    rounds.set(key, count);
    return count >= mostBad;
  }

  private letGo(key: string, why: Said): true {
    if (this.answers.get(key) !== false) this.said.set(key, why);
    this.answers.set(key, false);
    return true;
  }
}
