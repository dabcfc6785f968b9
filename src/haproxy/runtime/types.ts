/** What this HAProxy can do, asked at every connect. The one source of version differences at run time. */
export interface Capabilities {
  /** As `show info` has it, for example "2.6.12-1+deb12u3". */
  readonly versionText: string;
  /** [2, 6, 12] */
  readonly version: readonly [number, number, number];
  /** `wait <t> srv-removable` exists (3.0). */
  readonly wait: boolean;
  /** `add backend` exists (3.4). */
  readonly dynamicBackends: boolean;
  /** A dynamic server needs `pool-max-conn -1 pool-purge-delay 5s` to keep idle connections (2.6). */
  readonly needsPoolKeywords: boolean;
}

/** One server as `show servers state` has it. */
export interface ObservedServer {
  readonly backend: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** The weight in force as set (srv_uweight), 0..256. */
  readonly weight: number;
  /**
   * Admin state bit 1: in maintenance now, whether the socket or `disabled` in the file said so. Bit 4 stays set after a
   * `disabled` server was made ready (measured on 2.6.12: 5, then 4 with the server running), so it tells nothing.
   */
  readonly maintenance: boolean;
  /** Drain by the socket (admin state bit 8). */
  readonly drain: boolean;
  /** srv_op_state: 0 stopped, 1 starting, 2 running, 3 stopping. */
  readonly operational: number;
  /** The last check's result: none yet, failed, passed. */
  readonly check: "none" | "failed" | "passed";
}

/** The identity of the worker that answers now. */
export interface WorkerInfo {
  readonly pid: number;
  readonly versionText: string;
  readonly stopping: boolean;
  readonly uptimeSeconds: number;
}

export interface MapEntry {
  readonly key: string;
  readonly value: string;
}
