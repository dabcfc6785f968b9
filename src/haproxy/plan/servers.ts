import { canonicalIp } from "../../support/ip.ts";
import { serverLines, serversByLine } from "../config/servers.ts";
import type { Config, Line, Section, ServerLine } from "../config/types.ts";
import type { Capabilities, ObservedServer } from "../runtime/types.ts";
import { type Balance, balanceOf, cookiesWait, maxCommandWords, ringNeedsIds, wordsNotDynamic } from "./dynamic.ts";
import { allWords, isChecked, sameWords, spelledOut, withoutNoCheck } from "./server-words.ts";
import type { Change, LeavingServer, ReloadReason, RuntimeOperation, ServerPath } from "./types.ts";

/** A server as it runs now, whether known from the configuration or read back. */
interface RunningServer {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly maintenance: boolean;
  readonly drain: boolean;
  /** srv_op_state, 0 for one that is down; undefined where it was not read back. */
  readonly operational?: number;
  /** Undefined where only a read-back knows of it. */
  readonly line: ServerLine | undefined;
}

export interface ServerChanges {
  readonly operations: readonly RuntimeOperation[];
  readonly reload: readonly ReloadReason[];
  readonly changes: readonly Change[];
}

export interface BackendPair {
  readonly currentConfig: Config;
  readonly current: Section;
  readonly wanted: Section;
  readonly capabilities: Capabilities;
  readonly leaving: ReadonlyMap<ServerPath, LeavingServer>;
  readonly observed?: readonly ObservedServer[];
}

/**
 * The steps that take the servers of one backend from what runs to what is wanted. A server line that appears is added,
 * one that goes is retired, a weight or state is set; what cannot be done to a running server (other words, another
 * address under the same name) is a reason for a reload.
 */
export function planServers(pair: BackendPair): ServerChanges {
  return new BackendPlanner(pair).plan();
}

class BackendPlanner {
  private readonly operations: RuntimeOperation[] = [];
  private readonly reload: ReloadReason[] = [];
  private readonly changes: Change[] = [];
  private readonly pair: BackendPair;
  private readonly backend: string;
  private knownBalance: Balance | undefined;
  private knownCookies: boolean | undefined;
  private running: ReadonlyMap<string, RunningServer> = new Map();
  /** Servers that differ in nothing but what `default-server` says. */
  private otherDefaults = 0;

  constructor(pair: BackendPair) {
    this.pair = pair;
    this.backend = pair.wanted.name ?? "";
  }

  plan(): ServerChanges {
    const { current, wanted, leaving, observed } = this.pair;
    const running = new Map(runningServers(current, observed).map((server) => [server.name, server]));
    this.running = running;
    const wantedServers = serverLines(wanted);
    for (const server of wantedServers) {
      const left = leaving.get(`${this.backend}/${server.name}`);
      const now = running.get(server.name);
      if (left !== undefined) this.revive(server, left, now);
      else if (now === undefined) this.add(server);
      else this.settle(server, now);
    }
    if (this.otherDefaults > 0) {
      this.refuse(
        "server-options-changed",
        `default-server gives other options to servers that run (${this.otherDefaults} of them)`,
      );
    }
    const wantedNames = new Set(wantedServers.map(({ name }) => name));
    const strangersStay = makesOtherServers(current);
    for (const server of running.values()) {
      if (wantedNames.has(server.name) || leaving.has(`${this.backend}/${server.name}`)) continue;
      if (server.line === undefined && strangersStay) continue;
      this.operations.push({ kind: "retire-server", backend: this.backend, server: server.name });
      this.say(`- ${server.name} (${server.address}:${server.port})`);
    }
    return { operations: this.operations, reload: this.reload, changes: this.changes };
  }

  private add(server: ServerLine): void {
    const obstacle = this.addObstacle(server);
    if (obstacle !== undefined) {
      this.refuse(obstacle.code, `server ${server.name} cannot be added at run time: ${obstacle.sentence}`);
      return;
    }
    const words = allWords(server);
    this.operations.push({
      kind: "add-server",
      backend: this.backend,
      server: server.name,
      address: server.address,
      port: server.port,
      weight: server.weight,
      options: spelledOut(words),
      check: isChecked(words),
      ...(this.cookiesWait() && { makeCookies: true }),
    });
    this.say(`+ ${server.name} (${server.address}:${server.port}, weight ${server.weight})`);
  }

  private revive(server: ServerLine, left: LeavingServer, now: RunningServer | undefined): void {
    // Sent elsewhere by somebody, and on its way out for that: it is made anew once it is gone.
    if (left.address !== "" && now?.line !== undefined && isDisplaced(left, now.line, server)) return;
    const words = allWords(server);
    const place = left.address === "" ? now : left;
    const samePlace = place === undefined || (place.address === server.address && place.port === server.port);
    const obstacle = this.stateObstacle(server) ?? this.balance().obstacle;
    if (!samePlace || (left.options !== undefined && !sameWords(left.options, words))) {
      const sentence = `server ${server.name} came back with another address or other options while it was still leaving`;
      this.refuse("server-options-changed", sentence);
    } else if (obstacle !== undefined) {
      this.refuse("server-not-dynamic", `server ${server.name} cannot be taken back at run time: ${obstacle}`);
    } else {
      const check = isChecked(words);
      this.operations.push({
        kind: "revive-server",
        backend: this.backend,
        server: server.name,
        weight: server.weight,
        check,
      });
      this.say(`${server.name} is back before it was gone`);
    }
  }

  private settle(server: ServerLine, now: RunningServer): void {
    const at = { backend: this.backend, server: server.name };
    if (server.uncertain || now.line?.uncertain === true) {
      if (now.line === undefined || !sameLine(now.line, server)) {
        this.refuse("server-options-changed", `server ${server.name} has another line, and ${uncertainty}`);
      }
      return;
    }
    if (now.address !== server.address || now.port !== server.port) {
      const displaced = now.line !== undefined && isDisplaced(now, now.line, server);
      if (displaced && this.addObstacle(server) === undefined && this.anotherServes(server)) {
        this.operations.push({ kind: "retire-server", ...at });
        this.say(`${server.name} was sent to ${now.address}:${now.port}; it is made anew`);
        return;
      }
      this.refuse(
        "server-options-changed",
        `server ${server.name} moves from ${now.address}:${now.port} to ${server.address}:${server.port} under one name`,
      );
      return;
    }
    if (now.line !== undefined) this.compareWords(server, now.line);
    // A fixed set takes no server at run time, and may refuse to be told its weights again.
    const unknown = now.line === undefined && this.balance().obstacle === undefined;
    if (unknown && now.maintenance && !server.maintenance) {
      // Added and not finished: its checks may not be enabled yet, which nothing but the command tells (management
      // guide 9.3, "add server").
      this.operations.push({
        kind: "revive-server",
        ...at,
        weight: server.weight,
        check: isChecked(allWords(server)),
      });
      this.say(`${server.name} was there already, in maintenance`);
      return;
    }
    // A server nobody wrote down becomes a known one by setting what it has already.
    if (now.weight !== server.weight || unknown) this.setWeight(server, now.weight);
    if (now.maintenance !== server.maintenance || now.drain) {
      const state = server.maintenance ? "maint" : "ready";
      this.operations.push({ kind: "set-state", ...at, state });
      this.say(`${server.name} state → ${state}`);
    }
  }

  /** Whether requests have somewhere to go while this one is made anew. */
  private anotherServes(one: ServerLine): boolean {
    return serverLines(this.pair.wanted).some((other) => {
      const now = this.running.get(other.name);
      if (other.name === one.name || now === undefined || other.weight === 0 || now.weight === 0) return false;
      const inPlace = now.address === other.address && now.port === other.port;
      return inPlace && !now.maintenance && !now.drain && now.operational !== 0;
    });
  }

  private compareWords(server: ServerLine, line: ServerLine): void {
    if (sameWords(allWords(line), allWords(server))) return;
    if (sameWords(line.options, server.options)) this.otherDefaults += 1;
    else {
      const [before, after] = [shownWords(line.options), shownWords(server.options)];
      this.refuse("server-options-changed", `server ${server.name} has other options: ${before} → ${after}`);
    }
  }

  private setWeight(server: ServerLine, before: number): void {
    const { obstacle } = this.balance();
    // Besides 0, a fixed set takes only the weight it was loaded with, which is not known here.
    if (server.weight !== 0 && obstacle !== undefined) {
      this.refuse("balance-not-dynamic", `server ${server.name} weight ${before} → ${server.weight}: ${obstacle}`);
      return;
    }
    this.operations.push({ kind: "set-weight", backend: this.backend, server: server.name, weight: server.weight });
    if (before === server.weight) this.say(`${server.name} was there already`);
    else this.say(`${server.name} weight ${before} → ${server.weight}${server.weight === 0 ? " (drain)" : ""}`);
  }

  private addObstacle(server: ServerLine): Obstacle | undefined {
    const { capabilities } = this.pair;
    const { obstacle, ring } = this.balance();
    if (obstacle !== undefined) return { code: "balance-not-dynamic", sentence: obstacle };
    const words = withoutNoCheck(allWords(server));
    const sentence =
      wordsNotDynamic(words, capabilities) ??
      this.stateObstacle(server) ??
      (canonicalIp(server.address) === undefined || server.port === 0
        ? `only HAProxy itself can make out "${server.address}" as an address and port`
        : undefined) ??
      (ring && ringNeedsIds(capabilities) && !words.includes("id")
        ? `HAProxy ${capabilities.version.join(".")} gives it a wrong share of a consistent hash without an "id"`
        : undefined) ??
      tooManyWords(words, capabilities);
    return sentence === undefined ? undefined : { code: "server-not-dynamic", sentence };
  }

  private stateObstacle(server: ServerLine): string | undefined {
    if (server.uncertain) return uncertainty;
    return server.maintenance ? "it starts disabled" : undefined;
  }

  private cookiesWait(): boolean {
    const { currentConfig, current, capabilities } = this.pair;
    this.knownCookies ??= cookiesWait(currentConfig, current, capabilities);
    return this.knownCookies;
  }

  private balance(): Balance {
    this.knownBalance ??= balanceOf(this.pair.currentConfig, this.pair.current);
    return this.knownBalance;
  }

  private refuse(code: ReloadReason["code"], sentence: string): void {
    this.reload.push({ code, subject: `${this.pair.wanted.kind} ${this.backend}`, sentence });
  }

  private say(sentence: string): void {
    this.changes.push({ subject: this.backend, sentence });
  }
}

interface Place {
  readonly address: string;
  readonly port: number;
}

/** Whether a server is not where both its own line and the wanted one have it. */
function isDisplaced(found: Place, line: Place, wanted: Place): boolean {
  const same = (a: Place, b: Place) => a.address === b.address && a.port === b.port;
  return same(line, wanted) && !same(found, wanted);
}

interface Obstacle {
  readonly code: ReloadReason["code"];
  readonly sentence: string;
}

const uncertainty = "its words depend on environment variables or on an .if that only HAProxy evaluates";

/** `add server <path> <address>`, `weight <n>`, and the pool keywords where they are needed. */
function tooManyWords(words: readonly string[], { needsPoolKeywords }: Capabilities): string | undefined {
  const count = spelledOut(words).length + 6 + (needsPoolKeywords ? 4 : 0);
  return count > maxCommandWords ? `it takes ${count} words, a command may have ${maxCommandWords}` : undefined;
}

function runningServers(current: Section, observed: readonly ObservedServer[] | undefined): readonly RunningServer[] {
  const known = serverLines(current);
  if (observed === undefined) return known.map(asWritten);
  const byName = new Map(known.map((line) => [line.name, line]));
  // What such a server is called is not known, so none that is read back can be it.
  const nameless = known.filter(({ line }) => nameHasVariable(line)).map(asWritten);
  const readBack = observed.map((server) => {
    const line = byName.get(server.name);
    if (line === undefined) return { ...server, line };
    // A host name, a socket path or a port offset reads back as what HAProxy made of it.
    if (canonicalIp(line.address) === undefined) return { ...server, address: line.address, port: line.port, line };
    return { ...server, line };
  });
  return nameless.length === 0 ? readBack : [...readBack, ...nameless];
}

function asWritten(line: ServerLine): RunningServer {
  const { name, address, port, weight, maintenance } = line;
  return { name, address, port, weight, maintenance, drain: false, line };
}

/**
 * Whether HAProxy makes servers of this section that `serverLines` does not know (a `server-template`, a server in an
 * `.if`, a name from the environment): then a server that is read back and not known may be one of them.
 */
function makesOtherServers(section: Section): boolean {
  const known = serversByLine(section);
  return section.lines.some((line, index) => {
    if (line.words[0] === "server-template") return true;
    if (line.words[0] !== "server") return false;
    return !known.has(index) || nameHasVariable(line);
  });
}

function nameHasVariable(line: Line): boolean {
  return line.variables?.some((place) => place.startsWith("1:")) === true;
}

/** Same words, from the same variables, below the same defaults. */
function sameLine(a: ServerLine, b: ServerLine): boolean {
  return (
    a.uncertain === b.uncertain &&
    sameWords(a.line.words, b.line.words) &&
    sameWords(a.line.variables ?? [], b.line.variables ?? []) &&
    sameWords(a.defaults, b.defaults)
  );
}

function shownWords(words: readonly string[]): string {
  const text = words.join(" ");
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}
