import path from "node:path";
import type { Verdict } from "../../reconciler/ports.ts";
import type { Clock } from "../../support/clock.ts";
import type { Logger } from "../../support/logger.ts";
import type { BinaryWatch } from "./binary-watch.ts";
import { haproxyEnvironment } from "./environment.ts";
import { HaproxyLog } from "./haproxy-log.ts";
import type { StartParts } from "./start.ts";
import { validateConfig } from "./validate.ts";

/** Where HAProxy's files lie; all absolute. */
export interface ProcessPaths {
  /** The live configuration. */
  readonly config: string;
  readonly masterSocket: string;
  /** The stats socket that the configuration has. */
  readonly runtimeSocket: string;
  readonly haproxyLog: string;
}

/** What a HAProxy is given that Sluice starts, with a master or without. */
export interface ManagedProcessOptions {
  /** A path, or a name looked up in PATH. */
  readonly binary: string;
  readonly paths: ProcessPaths;
  readonly clock: Clock;
  readonly logger: Logger;
  /** HAProxy's environment. Default: this process's, without what `haproxyEnvironment` takes out. */
  readonly environment?: NodeJS.ProcessEnv;
  /** How long `stop` lets requests finish. Default: 1000 ms. */
  readonly softStopMs?: number;
  /** Asked before the binary is used. Default: nobody looks whether it is still the same. */
  readonly binaryWatch?: BinaryWatch;
}

/** What it takes to start one. */
export function startParts({ binary, paths, clock, environment }: ManagedProcessOptions): StartParts {
  return {
    binary: {
      // Taken before the working directory becomes the state directory.
      path: binary.includes("/") ? path.resolve(binary) : binary,
      environment: environment ?? haproxyEnvironment(process.env),
      directory: path.dirname(paths.config),
    },
    configPath: paths.config,
    masterSocket: paths.masterSocket,
    runtimeSocket: paths.runtimeSocket,
    pidFile: path.join(path.dirname(paths.masterSocket), "haproxy.pid"),
    log: new HaproxyLog(paths.haproxyLog, paths.config),
    clock,
  };
}

/** `haproxy -c` as the process itself would be called. Errors as those of `validateConfig`. */
export function validateWith(
  { binary, clock }: Pick<StartParts, "binary" | "clock">,
  file: string,
  signal?: AbortSignal,
): Promise<Verdict> {
  const { path: program, environment, directory } = binary;
  return validateConfig({
    binary: program,
    file,
    clock,
    signal,
    environment,
    ...(directory === undefined ? {} : { directory }),
  });
}
