import type { Settings } from "../../settings/schema.ts";
import type { Clock } from "../../support/clock.ts";
import type { Logger } from "../../support/logger.ts";
import type { BinaryWatch } from "./binary-watch.ts";
import { ExternalProcess, type OtherVersion } from "./external-process.ts";
import type { HaproxyProcess } from "./haproxy-process.ts";
import type { ProcessPaths } from "./managed-options.ts";
import { ManagedProcess } from "./managed-process.ts";
import { SingleProcess } from "./single-process.ts";

export interface OpenProcessOptions {
  readonly settings: Settings["haproxy"];
  readonly paths: ProcessPaths;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly binaryWatch: BinaryWatch;
  /** Called when a HAProxy that somebody else has started is of another version than the binary here. */
  readonly onOtherVersion: (versions: OtherVersion) => void;
}

/** The HAProxy that the settings ask for: who starts it (`haproxy.mode`) and how it is reloaded (`haproxy.reload`). */
export function openProcess({ settings, ...parts }: OpenProcessOptions): HaproxyProcess {
  const options = { binary: settings.binary, ...parts };
  if (settings.mode === "external") return new ExternalProcess(options);
  return settings.reload === "sf" ? new SingleProcess(options) : new ManagedProcess(options);
}
