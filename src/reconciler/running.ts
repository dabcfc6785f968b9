import type { Position } from "../haproxy/config/position.ts";
import type { Config } from "../haproxy/config/types.ts";
import type { LeavingBackend, LeavingServer, ServerPath } from "../haproxy/plan/types.ts";

/** What the process runs, as far as is known. Replaced whole, never changed in place. */
export interface Running {
  /** What it loaded, with every change made to it since. */
  readonly config: Config;
  /** Its map files' contents by path. */
  readonly maps: ReadonlyMap<string, string>;
  /** The digest of its structure, as the file carries it. */
  readonly structure: string;
}

/**
 * The reconciler's memory of the process. Both lanes, the hot one and the one that writes files and reloads, read it;
 * it is changed under the reconciler's mutex only.
 */
export class RunningState {
  /** Undefined until a file of ours has been loaded once. */
  current: Running | undefined;
  /** Whether a process is there to talk to. */
  up = false;
  /** False when `current` may not be what runs: after a start, a reload, a surprise. The next pass reads back. */
  believed = false;
  /** Grows with each reason for doubt, to tell whether one has come up since a read-back. */
  doubts = 0;
  /** Whether this operator has read the process back once: what is there at that time may be another one's. */
  met = false;
  /** The worker that was last seen. */
  workerPid: number | undefined;
  /** The worker that answered last after a reload or start of ours, and when (monotonic ms): those before were told then. */
  loaded: { readonly pid: number; readonly at: number } | undefined;
  /** Grows with every change made to the process, to tell whether a read-back is still about the newest state. */
  changes = 0;
  /** Whether HAProxy was told of a change and has not answered yet: it may run it already, and `current` does not say it. */
  changing = false;
  /** Grows with each file that is put in place. */
  generation = 0;
  /** The last file that HAProxy refused although it runs the same; undefined when the file is as it should be. */
  fileRefused:
    | {
        /** Of the file, not to ask again and again; undefined when it is time to ask again. */
        readonly digest: string | undefined;
        readonly problems: readonly string[];
        /** What the lines belong to that were named. */
        readonly places: readonly Position[];
      }
    | undefined;
  readonly leaving = new Map<ServerPath, LeavingServer>();
  /** By name. Those of an operator's last life are not known: HAProxy refuses to add one of their name, and a reload settles it. */
  readonly leavingBackends = new Map<string, LeavingBackend>();
  /** Names of backends that were added and could not be published, or that an operator before this one has left. */
  readonly halfMade = new Set<string>();
  /** Backends that were changed since they were last verified. */
  readonly touched = new Set<string>();

  /** The file that was refused is asked about again with the next write. */
  askFileAgain(): void {
    if (this.fileRefused !== undefined) this.fileRefused = { ...this.fileRefused, digest: undefined };
  }

  /** What runs may not be `current`: the next pass that begins reads back. */
  doubt(): void {
    this.believed = false;
    this.doubts += 1;
  }
}
