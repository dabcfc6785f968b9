import { fileURLToPath } from "node:url";
import type { Clock } from "../../src/support/clock.ts";
import { Child } from "./child.ts";

export interface PoolOptions {
  readonly clock: Clock;
  /** `http://127.0.0.1:8500` */
  readonly consulAddress: string;
  readonly env: NodeJS.ProcessEnv;
  /** Where lines for the person at the keyboard go. */
  readonly say: (line: string) => void;
}

interface Member {
  readonly name: string;
  readonly child: Child;
  port: string;
  state: "starting" | "serving" | "leaving" | "stopped";
}

export interface ListedMember {
  readonly name: string;
  readonly address: string;
  readonly pid: number | undefined;
  readonly state: string;
}

const program = fileURLToPath(new URL("./instance.mjs", import.meta.url));

/** The instances of the sample application. */
export class Pool {
  private readonly options: PoolOptions;
  private readonly members = new Map<string, Member>();

  constructor(options: PoolOptions) {
    this.options = options;
  }

  /** Names of the instances that serve, in the order of their numbers. */
  get serving(): readonly string[] {
    return this.list().flatMap(({ name, state }) => (state === "serving" ? [name] : []));
  }

  list(): readonly ListedMember[] {
    return [...this.members.values()]
      .sort((a, b) => numberOf(a.name) - numberOf(b.name))
      .map(({ name, port, state, child }) => ({ name, address: `127.0.0.1:${port}`, pid: child.pid, state }));
  }

  /**
   * Starts instances, or lets the newest leave, until there are `count`. Resolves when those that joined are registered
   * and those that leave are deregistered; these go on answering for a few seconds.
   *
   * @returns the names that joined and the names that leave
   */
  async scaleTo(count: number): Promise<{ readonly joined: readonly string[]; readonly left: readonly string[] }> {
    const serving = this.serving;
    const leaving = serving.slice(count).reverse();
    const joining = Array.from({ length: Math.max(0, count - serving.length) }, () => this.start());
    const joined = await Promise.all(joining.map((member) => this.registered(member)));
    await Promise.all(leaving.map((name) => this.deregistered(name)));
    return { joined: joined.filter((name) => name !== undefined), left: leaving };
  }

  /** Ends them all at once; nobody deregisters. */
  async stop(): Promise<void> {
    const all = [...this.members.values()];
    for (const member of all) member.state = "stopped";
    await Promise.all(all.map(({ child }) => child.stop("SIGINT", 1000, this.options.clock)));
  }

  kill(): void {
    for (const { child } of this.members.values()) child.kill();
  }

  private start(): Member {
    let number = 1;
    while (this.members.has(`web-${number}`)) number += 1;
    const name = `web-${number}`;
    const child = new Child(name, {
      command: process.execPath,
      args: [program, name],
      cwd: process.cwd(),
      env: { ...this.options.env, CONSUL_HTTP_ADDR: this.options.consulAddress },
    });
    const member: Member = { name, child, port: "?", state: "starting" };
    this.members.set(name, member);
    void child.ended.then((how) => {
      this.members.delete(name);
      if (member.state === "leaving") this.options.say(`${name} has ended.`);
      if (member.state === "serving" || member.state === "starting") {
        this.options.say(`${name} ended unasked (${how}); Consul's check will find out.`);
        for (const line of child.lastLines) this.options.say(`  | ${line}`);
      }
    });
    return member;
  }

  private async registered(member: Member): Promise<string | undefined> {
    const match = await member.child.line(/^ready (\d+)$/);
    if (match === undefined || member.state !== "starting") return undefined;
    member.port = match[1] ?? "?";
    member.state = "serving";
    return member.name;
  }

  private async deregistered(name: string): Promise<void> {
    const member = this.members.get(name);
    if (member === undefined) return;
    member.state = "leaving";
    member.child.signal("SIGTERM");
    await member.child.line(/^leaving$/);
  }
}

function numberOf(name: string): number {
  return Number(name.slice(name.indexOf("-") + 1));
}
