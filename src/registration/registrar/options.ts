/** How containers become services. What `sluice registrar` takes on its command line. */
export interface RegistrarOptions {
  /** The containers' own addresses and exposed ports, in place of those published on the host. */
  readonly internal: boolean;
  /** The network whose address counts with {@link internal}. Default: those that the registrar's own container is on. */
  readonly network?: string;
  /** The address of published ports. Default: the one they were published on, else the agent's own. */
  readonly address?: string;
  /** The label that says a container's address, where it has one (Registrator: `-useIpFromLabel`). */
  readonly addressLabel?: string;
  /** Added to the tags of every service. */
  readonly tags: readonly string[];
  /** Only what says its name. */
  readonly explicit: boolean;
  /** Whether HEALTHCHECK counts. */
  readonly healthcheck: boolean;
  /** Gives what has no check of its own one that the registrar keeps, with this time to live. */
  readonly ttlMs?: number;
  /** Where a check does not say it itself: after so long in a critical state, Consul forgets the service. */
  readonly deregisterAfterMs?: number;
}

/** How the daemon goes about it. */
export interface RegistrarPace {
  /** Every container is looked at again so often, whatever the engine's events say. */
  readonly resyncMs: number;
  /** TTL checks are kept alive so often. */
  readonly ttlRefreshMs: number;
  /** A container that was told to stop and runs on for longer than that, and than its own stop timeout, stays. */
  readonly drainMs: number;
}
