import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startConsul } from "../support/consul-agent.ts";
import { freePort } from "../support/free-port.ts";
import { eventually, runBuiltSluice, sluiceHome } from "../support/sluice.ts";
import { registration, startWebInstance } from "../support/web-instance.ts";
import { startBareHaproxy } from "./bare-haproxy.ts";
import { startAsking } from "./keep-alive-client.ts";
import { rounded, type Spread, spread } from "./numbers.ts";
import { type Contender, round } from "./rounds.ts";

export interface ChangeResult {
  readonly rounds: number;
  readonly bare: { readonly join: Spread; readonly leave: Spread };
  readonly sluice: { readonly join: Spread; readonly leave: Spread };
  readonly ratio: { readonly join: number; readonly leave: number };
  readonly reloads: number;
  readonly failed: number;
}

/** Change → traffic against the bare loop, rounds alternating in one run: one service with two instances each. */
export async function benchChange(rounds: number): Promise<ChangeResult> {
  const consul = await startConsul();
  const home = await sluiceHome(consul.address, { services: { expose: "tagged" }, reload: { minInterval: "50ms" } });
  const instances = await Promise.all(
    ["sluice-1", "sluice-2", "bare-1", "bare-2"].map((name) => startWebInstance(name)),
  );
  const [ownA, ownB, bareA, bareB] = instances;
  if (ownA === undefined || ownB === undefined || bareA === undefined || bareB === undefined)
    throw new Error("unreachable");
  await consul.register(registration("web", ownA));
  await consul.register(registration("bare", bareA, { Tags: [] }));

  const sluice = runBuiltSluice(home);
  const port = await freePort();
  const haproxy = await startBareHaproxy(`defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend f
  bind 127.0.0.1:${port}
  default_backend bare
backend bare
  server a 127.0.0.1:${bareA.port}
  server b 127.0.0.1:${bareB.port} disabled
`);
  let bare: ChildProcess | undefined;
  const own = startAsking(home.httpPort, "web.service.local");
  const other = startAsking(port, "bare");
  try {
    await eventually("sluice serves", () => own.lastAnswerOf("sluice-1") > 0, 20_000);
    await eventually("the bare HAProxy serves", () => other.lastAnswerOf("bare-1") > 0, 20_000);
    bare = spawn(
      process.execPath,
      [
        "--import",
        "tsx",
        fileURLToPath(new URL("bare-loop.ts", import.meta.url)),
        consul.address,
        "bare",
        haproxy.socket,
        "bare/b",
        "bare-2",
      ],
      { stdio: "inherit" },
    );
    own.setAsking(false);
    other.setAsking(false);
    own.failures.length = 0;
    other.failures.length = 0;
    const contenders: Contender[] = [
      { name: "bare", service: "bare", client: other, instance: bareB, tags: [], joins: [], leaves: [] },
      {
        name: "sluice",
        service: "web",
        client: own,
        instance: ownB,
        tags: ["haproxy.enable=true"],
        joins: [],
        leaves: [],
      },
    ];
    // Two rounds to warm up, not counted.
    for (let count = -2; count < rounds; count += 1) {
      for (const contender of contenders) {
        await round(consul, contender);
        if (count < 0) {
          contender.joins.length = 0;
          contender.leaves.length = 0;
        }
      }
    }
    const [b, s] = contenders.map(({ joins, leaves }) => ({ join: spread(joins), leave: spread(leaves) }));
    if (b === undefined || s === undefined) throw new Error("unreachable");
    const reloads = sluice.lines().filter((line) => line.event === "reloaded").length - 1;
    return {
      rounds,
      bare: b,
      sluice: s,
      ratio: { join: rounded(s.join.p50 / b.join.p50), leave: rounded(s.leave.p50 / b.leave.p50) },
      reloads,
      failed: own.failures.length,
    };
  } finally {
    await Promise.all([own.stop(), other.stop()]);
    if (bare !== undefined) {
      bare.kill();
      await once(bare, "exit");
    }
    await sluice.end();
    await haproxy.stop();
    await consul.stop();
    await home.remove();
    await Promise.all(instances.map((instance) => instance.stop()));
  }
}
