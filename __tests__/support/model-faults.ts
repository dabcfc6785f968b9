import { link, rename, rm } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Drift, type FaultStep, pickOf } from "./model-steps.ts";
import { pidOf, reloadByHand } from "./running-haproxy.ts";
import { eventually, type LogLine, type RunningSluice, runtimeCommand, type SluiceHome, workerPid } from "./sluice.ts";
import { type Scene, type ServerText, serversRunning, statusNow } from "./system.ts";

const frozenMs = 1_000;
const awayMs = 300;

/** The operator and its HAProxy, and all that can befall them. */
export class ModelFaults {
  /** Whether what somebody leaves can be answered: an operator runs, and HAProxy hears it. */
  able = true;
  private readonly scene: Scene;
  private readonly home: SluiceHome;
  private readonly done: (readonly LogLine[])[] = [];
  private readonly wanted: () => readonly ServerText[];
  private readonly onBlackout: (dark: boolean) => void;
  private sluice: RunningSluice;
  private restarting: Promise<void> = Promise.resolve();

  /**
   * @param wanted the servers that are to be there
   * @param onBlackout told when requests may fail, and when they may no longer
   */
  constructor(
    scene: Scene,
    home: SluiceHome,
    wanted: () => readonly ServerText[],
    onBlackout: (dark: boolean) => void,
  ) {
    this.scene = scene;
    this.home = home;
    this.wanted = wanted;
    this.onBlackout = onBlackout;
    this.sluice = scene.run(home);
  }

  /** The log of all operators so far. */
  lines(): readonly LogLine[] {
    return [...this.done, this.sluice.lines()].flat();
  }

  /** Waits until the operator that was started last says that HAProxy is up. */
  restarted(): Promise<void> {
    return this.restarting;
  }

  async take(fault: FaultStep): Promise<void> {
    await this.restarting;
    switch (fault.kind) {
      case "operator-kill":
        return this.killOperator();
      case "haproxy-kill":
        return this.killHaproxy(fault.who);
      case "haproxy-freeze": {
        const worker = await eventualPid(this.home, workerPid);
        this.able = false;
        process.kill(worker, "SIGSTOP");
        await sleep(frozenMs).finally(() => thaw(worker));
        this.able = true;
        return;
      }
      case "foreign-reload":
        // While another reload goes on, the master is not there to be asked.
        return eventually("the master reloads", () => reloadByHand(this.home).then(() => true));
      case "drift":
        return this.drift(fault.what, fault.pick);
      case "socket-away":
        return this.hideSocket();
    }
  }

  /** Kills the operator and starts the next one; the steps that follow do not wait for it. */
  private async killOperator(): Promise<void> {
    this.able = false;
    await this.sluice.end("SIGKILL");
    this.done.push(this.sluice.lines());
    this.sluice = this.scene.run(this.home);
    this.restarting = this.sluice
      .logged(({ event }) => event === "process-up", 30_000)
      .then(() => {
        this.able = true;
      });
    // Whoever waits for it gets the error.
    this.restarting.catch(() => undefined);
  }

  private async killHaproxy(who: "master" | "worker"): Promise<void> {
    this.onBlackout(true);
    const killed = await eventualPid(this.home, workerPid);
    process.kill(who === "master" ? await eventualPid(this.home, (home) => pidOf(home, "master")) : killed, "SIGKILL");
    // Where it hits in the middle of a reload, the worker may be one on its way out, and the end come a little later.
    let upSince: number | undefined;
    await eventually(
      "HAProxy is back after it was killed",
      async () => {
        const { haproxy } = (await statusNow(this.home)).reconciler;
        const up =
          haproxy.up && haproxy.worker !== killed && haproxy.worker === (await workerPid(this.home).catch(() => 0));
        upSince = up ? (upSince ?? performance.now()) : undefined;
        return upSince !== undefined && performance.now() - upSince > 300;
      },
      20_000,
    );
    this.onBlackout(false);
  }

  /** Somebody's hand on HAProxy's socket. Where it takes a server, another one is left, and time to put it right. */
  private async drift(what: Drift, pick: number): Promise<void> {
    const wanted = this.wanted();
    const running = (await serversRunning(this.home)).filter((server) => wanted.includes(server));
    const server = pickOf(running, pick);
    const [name = "", at = ""] = server?.split(" ") ?? [];
    const [backend = ""] = name.split("/");
    if (server === undefined) return;
    switch (what) {
      case "weight":
        await this.command(`set server ${name} weight 7`);
        return;
      case "server":
        await this.command(`add server ${backend}/by-hand ${at} weight 3`, `enable server ${backend}/by-hand`);
        return;
      case "route":
        await this.command(`add map ${path.join(this.home.state, "maps", "routes.map")} by.hand/ ${backend}`);
        return;
      case "maintenance":
      case "deletion": {
        const others = running.filter((one) => one !== server && one.startsWith(`${backend}/`));
        if (!others.some((one) => / weight [1-9]\d*$/.test(one))) return;
        await this.command(`set server ${name} state maint`, ...(what === "deletion" ? [`del server ${name}`] : []));
        await eventually(
          `${name} is put right`,
          async () => (await serversRunning(this.home)).includes(server),
          10_000,
        );
      }
    }
  }

  private async command(...commands: readonly string[]): Promise<void> {
    for (const command of commands) await runtimeCommand(this.home, command);
  }

  /** Who connects by the socket's path finds nothing for a while. What a reload put there meanwhile stays. */
  private async hideSocket(): Promise<void> {
    const socket = path.join(this.home.state, "sockets", "runtime.sock");
    const away = `${socket}.away`;
    await rename(socket, away);
    await sleep(awayMs);
    await link(away, socket).catch(() => undefined);
    await rm(away);
  }
}

/** A pid, also where HAProxy's sockets do not answer for the moment: while a reload goes on. */
async function eventualPid(home: SluiceHome, pidOf: (home: SluiceHome) => Promise<number>): Promise<number> {
  let pid = 0;
  await eventually("HAProxy tells its pid", async () => {
    pid = await pidOf(home);
    return pid > 0;
  });
  return pid;
}

function thaw(pid: number): void {
  try {
    process.kill(pid, "SIGCONT");
  } catch {
    // It was ended meanwhile, which stopped processes can be.
  }
}
