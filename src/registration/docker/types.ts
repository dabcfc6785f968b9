/** A container of the list of those that run or are paused. */
export interface ListedContainer {
  readonly id: string;
  /** Without the slash before it. */
  readonly name: string;
  /** Changes whenever a look at the container would show something else, but for a restart. */
  readonly look: string;
}

/** A port that the engine opens on its host for a container's. */
export interface Binding {
  /** `0.0.0.0` and `::` are all of the host's addresses. */
  readonly address: string;
  readonly port: number;
}

export interface ContainerPort {
  readonly port: number;
  readonly protocol: "tcp" | "udp" | "sctp";
  /** Empty: the port is exposed and not published. */
  readonly bindings: readonly Binding[];
}

/** `starting` until its first check is good, or too many were bad (Dockerfile reference: "HEALTHCHECK"). */
export type ContainerHealth = "starting" | "healthy" | "unhealthy";

/** What the engine says of one container. */
export interface Container {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly state: "running" | "paused" | "stopped";
  /** Of this run of it, ms since 1970 by the engine's clock. */
  readonly startedAtMs: number;
  /** undefined: it has no HEALTHCHECK. */
  readonly health?: ContainerHealth;
  /** `NAME=value` */
  readonly environment: readonly string[];
  readonly labels: ReadonlyMap<string, string>;
  /** Sorted by number, then protocol. */
  readonly ports: readonly ContainerPort[];
  /** `host`, `bridge`, `container:<id>`, or the name of a network. */
  readonly networkMode: string;
  /** Its address on each network that it is on, by the network's name. */
  readonly networks: ReadonlyMap<string, string>;
  /** What `docker stop` sends first, as a name or a number. */
  readonly stopSignal: string;
  /** How long `docker stop` waits before it kills, ms. */
  readonly stopTimeoutMs: number;
}

/** What happened, as far as it matters here: a look at the containers tells the rest. */
export interface EngineEvent {
  /** `start`, `die`, `kill`, `health_status: healthy`, `connect`… */
  readonly action: string;
  /** undefined: an event of something else than a container. */
  readonly container?: string;
  /** Of `kill`: the signal's number, as the engine writes it. */
  readonly signal?: string;
  /** By the engine's clock, ns since 1970, as exact as a double holds it. */
  readonly timeNs: number;
}

/** The part of the Docker Engine API that only reads. */
export interface Engine {
  /**
   * The containers that run or are paused.
   *
   * @throws {SluiceError} ERR_DOCKER_UNREACHABLE, ERR_DOCKER_STATUS, ERR_DOCKER_ANSWER_INVALID; as the others
   */
  list(signal: AbortSignal): Promise<readonly ListedContainer[]>;
  /** @returns undefined where the engine does not know it, or not any more */
  inspect(id: string, signal: AbortSignal): Promise<Container | undefined>;
  /**
   * What happens from a moment on, what is past included as far as the engine remembers it. Resolves when the engine has
   * taken the question; what it gives ends by throwing when the connection does, and when the signal aborts.
   *
   * @param sinceNs by the engine's clock, ns since 1970
   */
  events(sinceNs: number, signal: AbortSignal): Promise<AsyncIterable<EngineEvent | "unreadable">>;
}
