import type { Clock } from "../support/clock.ts";
import type { Mutex } from "../support/mutex.ts";
import type { CertificateLane } from "./certificate-lane.ts";
import type { EventLog } from "./events.ts";
import type { ProcessPort, RuntimePort, StorePort } from "./ports.ts";
import type { RunningState } from "./running.ts";

/** What the steps of the committer's lane work with. */
export interface LaneParts {
  readonly process: ProcessPort;
  readonly runtime: RuntimePort;
  readonly store: StorePort;
  readonly state: RunningState;
  readonly mutex: Mutex;
  readonly clock: Clock;
  readonly events: EventLog;
  /** Undefined where nothing is served over TLS. */
  readonly certificateLane?: CertificateLane | undefined;
}
