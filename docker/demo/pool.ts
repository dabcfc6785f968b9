import type { Clock } from "../../src/support/clock.ts";
import { Child } from "./child.ts";
import { anyPort } from "./ports.ts";
import type { InstancePlace, InstanceProgram, World } from "./worlds.ts";

export interface PoolOptions extends Pick<InstancePlace, "root" | "directory" | "consulAddress" | "statsUrl"> {
  readonly world: World;
  readonly clock: Clock;
  /** Ports that are given away; those of the instances are added. */
  readonly taken: Set<number>;
  readonly env: NodeJS.ProcessEnv;
  /** Where lines for the person at the keyboard go. */
  readonly say: (line: string) => void;
}

interface Member {
  readonly name: string;
  readonly child: Child;
  readonly program: InstanceProgram;
  port: string;
  state: "starting" | "serving" | "leaving" | "stopped";
}

export interface ListedMember {
  readonly name: string;
  readonly address: string;
  readonly pid: number | undefined;
  readonly state: string;
}

/** The instances of the sample application. */
export class Pool {
  private readonly options: PoolOptions;
  private readonly members = new Map<string, Member>();
  private over = false;

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
    const joining: Member[] = [];
    while (serving.length + joining.length < count) {
      const port = await anyPort(this.options.taken);
      if (this.over) break;
      joining.push(this.start(port));
    }
    const joined = await Promise.all(joining.map((member) => this.registered(member)));
    await Promise.all(leaving.map((name) => this.deregistered(name)));
    return { joined: joined.filter((name) => name !== undefined), left: leaving };
  }

  /** Ends them all, without a drain. */
  async stop(): Promise<void> {
    const { clock, world } = this.options;
    this.over = true;
    const all = [...this.members.values()];
    for (const member of all) {
      member.state = "stopped";
      member.child.signal("SIGINT");
    }
    // `sluice register` drains when it is told for the first time, and no longer when it is told again.
    await clock.sleep(200);
    await Promise.all(all.map(({ child }) => child.stop("SIGINT", world.endMs, clock)));
  }

  kill(): void {
    for (const { child } of this.members.values()) child.kill();
  }

  private start(port: number): Member {
    const { world, root, directory, consulAddress, statsUrl, env } = this.options;
    let number = 1;
    while (this.members.has(`${world.service}-${number}`)) number += 1;
    const name = `${world.service}-${number}`;
    const program = world.instance({ number, name, port, root, directory, consulAddress, statsUrl });
    const child = new Child(name, {
      command: program.command,
      args: program.args,
      cwd: root,
      env: { ...env, ...program.env },
    });
    const member: Member = { name, child, program, port: String(port), state: "starting" };
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
    const match = await member.child.line(member.program.ready);
    if (match === undefined || member.state !== "starting") return undefined;
    member.port = match[1] ?? member.port;
    member.state = "serving";
    return member.name;
  }

  private async deregistered(name: string): Promise<void> {
    const member = this.members.get(name);
    if (member === undefined) return;
    member.state = "leaving";
    member.child.signal("SIGTERM");
    if (member.program.left === undefined) await member.child.ended;
    else await member.child.line(member.program.left);
  }
}

function numberOf(name: string): number {
  return Number(name.slice(name.lastIndexOf("-") + 1));
}
