import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { z } from "zod";
import type { settingsSchema } from "../../src/settings/schema.ts";
import { Child } from "./child.ts";

export interface OperatorOptions {
  /** The repository. */
  readonly root: string;
  /** The demo's own directory. */
  readonly directory: string;
  readonly log: string;
  readonly haproxy: string;
  readonly consulAddress: string;
  readonly trafficPort: number;
  readonly statsPort: number;
  /** The service that gets what no route matches. */
  readonly defaultService?: string;
  readonly env: NodeJS.ProcessEnv;
}

/** What the stats page asks for. For a demo only: the settings `stats.user` and `stats.password` change it. */
export const statsUser = "admin";
export const statsPassword = "admin";
export const statsPath = "/haproxy_stats";

/** Writes the demo's sluice.yaml and starts `sluice run` from the sources. */
export function startOperator(options: OperatorOptions): Child {
  const state = join(options.directory, "state");
  mkdirSync(state, { recursive: true });
  const settings: z.input<typeof settingsSchema> = {
    consul: { address: options.consulAddress },
    haproxy: { binary: options.haproxy, directory: state, onStop: "stop" },
    http: {
      bind: `:${options.trafficPort}`,
      ...(options.defaultService !== undefined && { defaultService: options.defaultService }),
    },
    stats: { bind: `:${options.statsPort}`, path: statsPath, user: statsUser, password: statsPassword },
  };
  const file = join(options.directory, "sluice.yaml");
  writeFileSync(file, stringify(settings), { mode: 0o600 });
  return new Child("The operator", {
    command: process.execPath,
    args: ["--import", "tsx", "src/main.ts", "run", "--settings", file],
    cwd: options.root,
    env: options.env,
    log: options.log,
  });
}
